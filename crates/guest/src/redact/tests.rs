use super::*;

const SECRET: &str = "p@ss word/with+signs";

fn shown(raw: &str) -> String {
    let mut redactor = Redactor::default();
    redactor.add(SECRET);
    redactor.line(raw, 2_000)
}

#[test]
fn a_known_secret_is_found_in_every_form() {
    let inside_base64 = |before: &str| STANDARD_NO_PAD.encode(format!("{before}{SECRET} and more"));
    for hidden in [
        SECRET.to_owned(),
        percent_encoded(SECRET),
        STANDARD_NO_PAD.encode(SECRET),
        URL_SAFE_NO_PAD.encode(SECRET),
        inside_base64(""),
        inside_base64("a"),
        inside_base64("ab"),
    ] {
        let text = shown(&format!("before {hidden} after"));
        assert!(text.contains(PLACEHOLDER) && text.starts_with("before ") && text.ends_with(" after"), "{text}");
    }
}

#[test]
fn what_looks_like_a_credential_goes() {
    for (raw, wanted) in [
        ("authorization: Bearer abc.def", "authorization: Bearer [redacted]"),
        ("Authorization: Basic dXNlcg==", "Authorization: Basic [redacted]=="),
        (r#"{"apiKey":"short"}"#, r#"{"apiKey":"[redacted]"}"#),
        ("url?token=12345&x=1", "url?token=[redacted]&x=1"),
        ("key sk-ant-0123456789 used", "key [redacted] used"),
        ("got aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3", "got [redacted]"),
    ] {
        assert_eq!(shown(raw), wanted);
    }
}

#[test]
fn ordinary_lines_stay_readable() {
    for raw in [
        "config hot reload applied (models.providers.berth.baseUrl, agents.defaults.model.primary)",
        "run chatcmpl_c0272f83-17fa-450c-b95f-5ce23c545a58 ended with stopReason=stop",
        "the token was not accepted",
        "/opt/openclaw/node_modules/openclaw/dist/session-accessor.sqlite-entry.mjs:253:12",
    ] {
        assert_eq!(shown(raw), raw);
    }
}

#[test]
fn terminal_escapes_and_tricks_with_direction_are_gone_and_length_is_bounded() {
    assert_eq!(shown("\u{1b}[31mred\u{1b}[39m\r\u{202e}x\n"), "red  x ");
    assert_eq!(Redactor::default().line(&"é".repeat(10), 4), "éééé");
    assert_eq!(shown("\u{1b}["), "");
}
