use std::collections::BTreeSet;

use super::*;
use crate::letter::LetterKind;

const BASE: &str = "https://berth.example";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_796_047_500, 0).unwrap()
}

#[test]
fn a_moment_is_in_words_and_in_utc() {
    assert_eq!(moment(now()), "Monday, 30 November 2026, 14:05 UTC");
}

#[test]
fn every_kind_has_a_sample() {
    let names: BTreeSet<&str> = samples(BASE, now()).iter().map(|(name, _)| *name).collect();
    for kind in LetterKind::EVERY {
        assert!(names.iter().any(|name| name.starts_with(kind.name())), "{}", kind.name());
    }
    assert_eq!(names.len(), samples(BASE, now()).len(), "each has a name of its own");
}

#[test]
fn every_letter_has_one_link_home_and_fetches_nothing() {
    for (name, letter) in samples(BASE, now()) {
        let (plain, html) = (letter.plain(), letter.html());
        assert_eq!(plain.matches("http").count(), 1, "{name}: {plain}");
        assert!(plain.contains(&format!("\n{BASE}/")), "{name}: {plain}");
        assert_eq!(html.matches("href=").count(), 1, "{name}");
        for fetches in ["src=", "<img", "url(", "<link", "<script", "@import", "<form", "<iframe", "<style"] {
            assert!(!html.contains(fetches), "{name} holds {fetches}");
        }
        assert!(!plain.contains("  \n") && plain.lines().count() < 40, "{name}: {plain}");
        assert!(letter.subject.len() < 80 && !letter.subject.contains('\n'), "{name}");
        assert!(!format!("{plain}{html}").to_lowercase().contains("unsubscribe"), "{name}");
    }
}

#[test]
fn the_link_leads_to_the_page_that_it_is_about() {
    for (name, letter) in samples(BASE, now()) {
        let page = match name {
            "welcome" => "/welcome",
            "ready" => "/agents/agt_",
            "sign_in" => "/login?link=",
            "invite" => "/signup?code=",
            "invitation" => "/invitation?link=",
            _ => "/billing",
        };
        let ok = letter.link.to.strip_prefix(BASE).is_some_and(|path| path.starts_with(page));
        assert!(ok, "{name}: {}", letter.link.to);
    }
}

#[test]
fn a_certificate_names_each_agent_machine_and_moment() {
    let letter = samples(BASE, now()).into_iter().find(|(name, _)| *name == "removed").unwrap().1;
    let plain = letter.plain().split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["scout (agt_", "machine mch_", "made Tuesday, 1 September 2026, 14:05 UTC", "never had a machine"] {
        assert!(plain.contains(part), "{part}: {plain}");
    }
    assert!(plain.contains("no backups of these machines were kept"), "{plain}");
}
