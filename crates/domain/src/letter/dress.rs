//! A letter as plain text and as HTML: the same words in both, one link, no picture, nothing fetched from anywhere.

use std::fmt::Write as _;

/// The widest line of plain text, in characters.
const WIDTH: usize = 76;

/// A letter's words, in neither dress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What it is about.
    pub subject: String,
    /// What comes before the link.
    pub before: Vec<Block>,
    /// Where its reader goes on.
    pub link: Link,
    /// What comes after it.
    pub after: Vec<Block>,
}

/// A part of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A paragraph.
    Words(String),
    /// Something to be copied: one line.
    Code(String),
    /// One line each.
    List(Vec<String>),
}

/// The one link of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What is done there, as a button says it.
    pub does: &'static str,
    /// The whole address.
    pub to: String,
}

impl Written {
    /// As plain text, lines of at most 76 characters but for what is to be copied.
    #[must_use]
    pub fn plain(&self) -> String {
        let mut text = String::new();
        plain_blocks(&mut text, &self.before);
        let _ = write!(text, "{}:\n\n{}\n\n", self.link.does, self.link.to);
        plain_blocks(&mut text, &self.after);
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }

    /// As a whole HTML document. Whatever came from people is text in it, never markup.
    #[must_use]
    pub fn html(&self) -> String {
        let mut body = String::new();
        html_blocks(&mut body, &self.before);
        let (to, does) = (escaped(&self.link.to), escaped(self.link.does));
        let _ = write!(
            body,
            "<p style=\"margin:24px 0\"><a href=\"{to}\" style=\"display:inline-block;padding:11px 18px;border-radius:8px;\
             background:#0b5d78;color:#ffffff;font-weight:600;text-decoration:none\">{does}</a></p>\n\
             <p style=\"margin:0 0 16px;color:#536171;font-size:13px;word-break:break-all\">{to}</p>\n"
        );
        html_blocks(&mut body, &self.after);
        let subject = escaped(&self.subject);
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{subject}</title>\n</head>\n\
             <body style=\"margin:0;padding:24px 12px;background:#f6f7f8;color:#16202c;\
             font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif\">\n\
             <div style=\"max-width:560px;margin:0 auto;padding:28px;background:#ffffff;border:1px solid #dfe3e8;border-radius:8px\">\n\
             <p style=\"margin:0 0 20px;color:#0b5d78;font-weight:700\">Berth</p>\n\
             <h1 style=\"margin:0 0 16px;font-size:21px;line-height:1.3\">{subject}</h1>\n{body}</div>\n</body>\n</html>\n"
        )
    }
}

fn plain_blocks(text: &mut String, blocks: &[Block]) {
    for block in blocks {
        match block {
            Block::Words(words) => wrapped(text, words, ""),
            Block::Code(code) => text.extend(["    ", code, "\n"]),
            Block::List(lines) => lines.iter().for_each(|line| wrapped(text, line, "- ")),
        }
        text.push('\n');
    }
}

/// Lines after the first are indented as far as its mark.
fn wrapped(text: &mut String, words: &str, mark: &str) {
    let mut line = mark.to_owned();
    let mut is_begun = false;
    for word in words.split_whitespace() {
        if is_begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = " ".repeat(mark.len());
        } else if is_begun {
            line.push(' ');
        }
        line.push_str(word);
        is_begun = true;
    }
    text.push_str(&line);
    text.push('\n');
}

fn html_blocks(body: &mut String, blocks: &[Block]) {
    for block in blocks {
        let _ = match block {
            Block::Words(words) => writeln!(body, "<p style=\"margin:0 0 16px\">{}</p>", escaped(words)),
            Block::Code(code) => writeln!(
                body,
                "<p style=\"margin:0 0 16px;padding:12px 16px;background:#f0f2f4;border-radius:8px;\
                 font:16px ui-monospace,Menlo,Consolas,monospace\">{}</p>",
                escaped(code)
            ),
            Block::List(lines) => {
                body.push_str("<ul style=\"margin:0 0 16px;padding-left:20px\">\n");
                for line in lines {
                    let line = escaped(line);
                    let _ = writeln!(body, "<li style=\"margin:0 0 8px;overflow-wrap:anywhere\">{line}</li>");
                }
                writeln!(body, "</ul>")
            }
        };
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(words: &str) -> Written {
        Written {
            subject: words.to_owned(),
            before: vec![Block::Words(words.to_owned()), Block::Code(words.to_owned())],
            link: Link { does: "Open", to: "https://berth.example/billing?a=1&b=2".to_owned() },
            after: vec![Block::List(vec![words.to_owned()])],
        }
    }

    #[test]
    fn what_people_wrote_is_never_markup() {
        let html = letter("<img src=x onerror=alert(1)> \"' & </p>\u{1b}").html();
        assert!(!html.contains("<img") && !html.contains('\u{1b}'), "{html}");
        assert!(html.contains("&lt;img src=x onerror=alert(1)&gt; &quot;&#39; &amp; &lt;/p&gt;"), "{html}");
        assert!(html.contains("href=\"https://berth.example/billing?a=1&amp;b=2\""), "{html}");
    }

    #[test]
    fn plain_text_is_wrapped_and_its_link_is_whole() {
        let text = letter(&"word ".repeat(60)).plain();
        let (code, rest): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("    "));
        assert_eq!(code.len(), 1, "what is copied is one line");
        assert!(rest.iter().all(|line| line.len() <= WIDTH), "{text}");
        assert!(rest.contains(&"https://berth.example/billing?a=1&b=2"), "{text}");
        assert!(
            rest.iter().any(|line| line.starts_with("- word")) && rest.iter().any(|line| line.starts_with("  word"))
        );
        assert!(text.ends_with("word\n") && !text.ends_with("\n\n"));
    }
}
