//! Makes text fit to be shown: no secret, no control character, a bounded length.
//!
//! Two nets. Every secret that this machine knows is looked for as it is, in
//! base64 and percent-encoded. What merely looks like a credential (after
//! `Bearer`, beside a telling name, behind a vendor's prefix, or a long mix of
//! letters and digits) goes as well: a lost word in a log costs less than a key.

use std::fmt::{self, Write as _};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use zeroize::Zeroizing;

/// What stands in place of a secret.
pub const PLACEHOLDER: &str = "[redacted]";

/// Shorter ones would blank out ordinary words; `apply` takes none.
const SECRET_BYTES_MIN: usize = 6;
/// Words this long that mix upper case, lower case and digits are taken for keys.
const KEY_CHARS_MIN: usize = 32;

const PREFIXES: [&str; 14] = [
    "sk-",
    "sk_",
    "pk_",
    "rk_",
    "berth_",
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "AKIA",
    "AIza",
];
const NAMES: [&str; 9] =
    ["token", "apikey", "api_key", "api-key", "secret", "password", "passwd", "authorization", "credential"];

/// Knows what may not be shown.
#[derive(Default)]
pub struct Redactor {
    /// Longest first, so that a secret inside another does not leave the rest.
    known: Vec<Zeroizing<String>>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.known.len())
    }
}

impl Redactor {
    /// Adds a secret in all its forms.
    pub fn add(&mut self, secret: &str) {
        if secret.len() < SECRET_BYTES_MIN {
            return;
        }
        let mut forms = vec![secret.to_owned(), percent_encoded(secret)];
        // Inside a longer base64 text a secret may begin at any of three offsets; the outer characters vary with
        // the neighbours and are left off.
        for offset in 0..3 {
            let padded = [vec![0; offset], secret.as_bytes().to_vec()].concat();
            for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
                let skip = [0, 2, 3].get(offset).copied().unwrap_or(0);
                let keep = encoded.len().saturating_sub(usize::from(padded.len() % 3 != 0));
                forms.extend(encoded.get(skip..keep).map(str::to_owned));
            }
        }
        for form in forms {
            if form.len() >= SECRET_BYTES_MIN && !self.known.iter().any(|known| **known == form) {
                self.known.push(Zeroizing::new(form));
            }
        }
        self.known.sort_by_key(|known| std::cmp::Reverse(known.len()));
    }

    /// One line, fit to be shown.
    #[must_use]
    pub fn line(&self, raw: &str, chars_max: usize) -> String {
        let mut text = without_controls(raw);
        for known in &self.known {
            if text.contains(known.as_str()) {
                text = text.replace(known.as_str(), PLACEHOLDER);
            }
        }
        let text = without_lookalikes(&text);
        match text.char_indices().nth(chars_max) {
            Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
            None => text,
        }
    }
}

/// Leaves out terminal escapes; other control characters and direction marks become spaces.
fn without_controls(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            if chars.next_if_eq(&'[').is_some() {
                while chars.next_if(|c| !('@'..='~').contains(c)).is_some() {}
                chars.next();
            }
        } else if c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            text.push(' ');
        } else {
            text.push(c);
        }
    }
    text
}

/// Replaces what looks like a credential, word by word.
fn without_lookalikes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut telling = false;
    while !rest.is_empty() {
        let word_end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        let gap_end = after.find(is_word).unwrap_or(after.len());
        let (gap, next) = after.split_at(gap_end);
        let redacted = !word.is_empty() && word != "redacted" && (telling && !is_scheme(word) || is_key(word));
        out.push_str(if redacted { PLACEHOLDER } else { word });
        out.push_str(gap);
        // `Bearer x`, `token=x`, `"apiKey": "x"`: the next word is the value. A name in a sentence is not followed so.
        let assigns = gap.contains('=') || gap.contains(':');
        telling = !word.is_empty() && (is_scheme(word) && (telling || !gap.is_empty()) || is_name(word) && assigns);
        rest = next;
    }
    out
}

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '/' | '~' | '%') || !c.is_ascii()
}

fn is_scheme(word: &str) -> bool {
    word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic")
}

fn is_name(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    NAMES.iter().any(|name| word.ends_with(name)) || word == "x-api-key"
}

fn is_key(word: &str) -> bool {
    let prefixed = PREFIXES.iter().any(|prefix| {
        word.find(prefix).is_some_and(|at| word.get(at + prefix.len()..).is_some_and(|rest| rest.len() >= 8))
            && word.bytes().any(|b| b.is_ascii_digit())
    });
    let mixed = word.bytes().any(|b| b.is_ascii_digit())
        && word.bytes().any(|b| b.is_ascii_lowercase())
        && word.bytes().any(|b| b.is_ascii_uppercase());
    // A path has slashes and dots at short distances; a key has none or few.
    let longest = word.split(['/', '.']).map(str::len).max().unwrap_or(0);
    prefixed || mixed && longest >= KEY_CHARS_MIN
}

fn percent_encoded(secret: &str) -> String {
    secret.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests;
