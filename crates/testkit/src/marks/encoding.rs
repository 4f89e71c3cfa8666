//! The shapes in which a secret may lie about.

use std::fmt::Write as _;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// How a mark was written where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// As it is.
    Raw,
    /// Either alphabet, at any of three offsets, with or without padding; its own signs may be escaped.
    Base64,
    /// Lower or upper case; with or without `\x`, spaces or colons.
    Hex,
    /// Percent-encoded: what has to be, or all of it.
    Url,
    /// In a string of JSON, or of Rust: what has to be escaped, what may be, or all of it; once or twice.
    Json,
    /// In a page: by name or by number.
    Html,
    /// Two bytes a character, little or big end first.
    Utf16,
    /// A list of numbers, as `Debug` and JSON write bytes.
    Numbers,
}

impl Encoding {
    /// All of them.
    pub const EVERY: [Self; 8] =
        [Self::Raw, Self::Base64, Self::Hex, Self::Url, Self::Json, Self::Html, Self::Utf16, Self::Numbers];

    /// As it stands in a report and in the list of what is allowed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Base64 => "base64",
            Self::Hex => "hex",
            Self::Url => "url",
            Self::Json => "json",
            Self::Html => "html",
            Self::Utf16 => "utf16",
            Self::Numbers => "numbers",
        }
    }
}

/// A part of a secret in every shape, each once. The plain one comes first: what reads the same is called raw.
pub(super) fn forms(part: &[u8]) -> Vec<(Encoding, Vec<u8>)> {
    let mut forms: Vec<(Encoding, Vec<u8>)> = vec![(Encoding::Raw, part.to_vec())];
    let mut add = |encoding: Encoding, form: Vec<u8>| {
        if !forms.iter().any(|(_, known)| *known == form) {
            forms.push((encoding, form));
        }
    };
    for form in base64(part) {
        add(Encoding::Base64, form);
    }
    for form in hex(part) {
        add(Encoding::Hex, form);
    }
    for form in url(part) {
        add(Encoding::Url, form);
    }
    for after in [",", ", ", " "] {
        let numbers: Vec<String> = part.iter().map(u8::to_string).collect();
        add(Encoding::Numbers, numbers.join(after).into_bytes());
    }
    if let Ok(text) = std::str::from_utf8(part) {
        for form in json(text) {
            add(Encoding::Json, form.into_bytes());
        }
        for form in html(text) {
            add(Encoding::Html, form.into_bytes());
        }
        add(Encoding::Utf16, text.encode_utf16().flat_map(u16::to_le_bytes).collect());
        add(Encoding::Utf16, text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    }
    forms
}

/// What stands in the base64 of a whole, wherever in it the part lies: characters that no neighbour changes.
fn base64(part: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for offset in 0..3 {
        let whole = [vec![0; offset], part.to_vec()].concat();
        let certain = (8 * offset).div_ceil(6)..8 * whole.len() / 6;
        for text in [STANDARD_NO_PAD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
            let text = text.get(certain.clone()).unwrap_or_default();
            forms.push(text.to_owned());
            for lower in [false, true] {
                let escaped = text.replace('+', "%2B").replace('/', "%2F");
                forms.push(if lower { escaped.replace("%2B", "%2b").replace("%2F", "%2f") } else { escaped });
            }
            forms.push(text.replace('/', "\\/"));
        }
    }
    forms.into_iter().map(String::into_bytes).collect()
}

fn hex(part: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for before in ["", "\\x", " ", ":"] {
        let (mut lower, mut upper) = (String::new(), String::new());
        for byte in part {
            let _ = write!(lower, "{before}{byte:02x}");
            let _ = write!(upper, "{before}{byte:02X}");
        }
        // The first may stand at the start of all.
        forms.extend([lower, upper].map(|form| form.strip_prefix(before).unwrap_or_default().as_bytes().to_vec()));
    }
    forms
}

fn url(part: &[u8]) -> Vec<Vec<u8>> {
    let is_free = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let written = |keeps_free: bool, space: &str, is_upper: bool| -> String {
        let one = |byte: &u8| match byte {
            b' ' => space.to_owned(),
            byte if keeps_free && is_free(*byte) => char::from(*byte).to_string(),
            byte if is_upper => format!("%{byte:02X}"),
            byte => format!("%{byte:02x}"),
        };
        part.iter().map(one).collect()
    };
    let ways = [(true, "%20"), (true, "+"), (false, "%20")];
    let both =
        ways.into_iter().flat_map(|(keeps_free, space)| [true, false].map(|upper| written(keeps_free, space, upper)));
    both.map(String::into_bytes).collect()
}

fn json(text: &str) -> Vec<String> {
    let plain = |text: &str| {
        let quoted = serde_json::Value::from(text).to_string();
        quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
    };
    // Those beyond ASCII, those that pages must not hold, or all.
    let by_number = |text: &str, is_escaped: fn(char) -> bool, is_upper: bool| {
        let mut out = String::new();
        for c in text.chars() {
            if is_escaped(c) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = if is_upper { write!(out, "\\u{unit:04X}") } else { write!(out, "\\u{unit:04x}") };
                }
            } else {
                out += &plain(&c.to_string());
            }
        }
        out
    };
    let mut forms = vec![
        plain(text),
        plain(text).replace('/', "\\/"),
        text.escape_default().to_string(),
        text.escape_debug().to_string(),
    ];
    for is_upper in [false, true] {
        forms.push(by_number(text, |c| !c.is_ascii(), is_upper));
        forms.push(by_number(text, |c| matches!(c, '<' | '>' | '&'), is_upper));
        forms.push(by_number(
            text,
            |c| matches!(c, '<' | '>' | '&' | '\'' | '"' | '/' | '+' | '%' | '=') || !c.is_ascii(),
            is_upper,
        ));
        forms.push(by_number(text, |_| true, is_upper));
    }
    let again: Vec<String> = forms.iter().map(|form| plain(form)).collect();
    forms.extend(again);
    forms
}

fn html(text: &str) -> [String; 4] {
    const NAMED: [(&str, &str); 4] = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;")];
    let named = NAMED.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    let numbered = |form: fn(u32) -> String| -> String {
        text.chars().map(|c| if "&<>\"'".contains(c) { form(c.into()) } else { c.to_string() }).collect()
    };
    [
        named.clone(),
        named.replace('\'', "&#39;"),
        named.replace('\'', "&#x27;"),
        numbered(|number| format!("&#{number};")),
    ]
}
