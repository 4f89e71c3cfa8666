//! Where somebody goes after signing in: a page of this site and nothing else.

/// A path of this site, with its query. An open redirect would lend our name to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPath(String);

impl OwnPath {
    /// Longer ones are dropped.
    const LENGTH_MAX: usize = 1000;

    /// The dashboard.
    #[must_use]
    pub fn dashboard() -> Self {
        Self("/dashboard".to_owned())
    }

    /// Takes what an address or a form said. Whatever is no plain path of this site becomes the dashboard.
    #[must_use]
    pub fn of(text: &str) -> Self {
        // Browsers take `\` for `/`, and drop tabs and line breaks before they look.
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let ours = text.starts_with('/') && !text.starts_with("//") && text.len() <= Self::LENGTH_MAX;
        // Back to where one signs in or out would be a circle.
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let circle = ["/login", "/logout", "/signup", "/setup"].contains(&path) || path.starts_with("/auth/");
        if plain && ours && !circle { Self(text.to_owned()) } else { Self::dashboard() }
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_ours_is_kept() {
        for good in ["/agents/agt_1", "/admin/flows?kind=life&after=x", "/settings#tokens", "/"] {
            assert_eq!(OwnPath::of(good).as_str(), good);
        }
    }

    /// AUT-23: forty ways to lead elsewhere; none does.
    #[test]
    fn no_payload_leads_to_another_site() {
        let payloads = [
            "",
            "//evil.example",
            "///evil.example",
            "////evil.example",
            "https://evil.example",
            "http://evil.example",
            "HTTPS://evil.example",
            "https:evil.example",
            "https:/evil.example",
            "//evil.example/%2f..",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "/\\/evil.example",
            "/\tevil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/\r/evil.example",
            "/a\r\nLocation: https://evil.example",
            "\t//evil.example",
            " //evil.example",
            " https://evil.example",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "java\tscript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "ftp://evil.example",
            "evil.example",
            "evil.example/a",
            "@evil.example",
            "?next=//evil.example",
            "#//evil.example",
            ".//evil.example",
            "..//evil.example",
            "%2f%2fevil.example",
            "%68ttps://evil.example",
            "/ä",
            "/a b",
            "\u{2028}//evil.example",
            "／／evil.example",
            "/login?next=/login",
            "/auth/google/start",
            "/logout",
            "/signup",
        ];
        for payload in payloads {
            assert_eq!(OwnPath::of(payload), OwnPath::dashboard(), "{payload:?}");
        }
        assert_eq!(OwnPath::of(&format!("/{}", "a".repeat(1000))), OwnPath::dashboard());
    }
}
