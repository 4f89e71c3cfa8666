//! Short or long, from which seed, and what is said about it.

use std::io::Write as _;

/// Which form is run: the long one when `BERTH_TEST_LONG` is `1`.
pub(crate) fn sized<T>(short: T, long: T) -> T {
    if read("BERTH_TEST_LONG").as_deref() == Some("1") { long } else { short }
}

/// `BERTH_TEST_SEED`, or one that no run had before. Printed, so that a failure can be run again.
pub(crate) fn seed(test: &str) -> u64 {
    let seed = read("BERTH_TEST_SEED").map(|text| text.parse().expect("BERTH_TEST_SEED is a whole number"));
    let seed = seed.unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        u64::from(since.subsec_nanos()) ^ since.as_secs().rotate_left(32)
    });
    say(&format!("{test}: seed {seed}"));
    seed
}

/// Tells whoever watches a long test where it is; past the harness, which keeps the words of what passes.
pub(crate) fn say(words: &str) {
    writeln!(std::io::stderr(), "    {words}").ok();
}

#[expect(clippy::disallowed_methods, reason = "tests learn from scripts/test how long they shall run")]
fn read(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
