//! Where the test's daemon, image and browser are, as scripts/test says.

use std::{io::Write as _, path::PathBuf};

/// What the environment says about this computer.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Unix socket of Incus or LXD.
    pub(crate) socket: PathBuf,
    /// Managed bridge.
    pub(crate) network: String,
    /// Storage pool.
    pub(crate) pool: String,
    /// Alias of the machine image.
    pub(crate) image: String,
    /// The host's address on the bridge.
    pub(crate) home: String,
    /// The program that drives Chromium.
    pub(crate) chromedriver: String,
}

impl Setting {
    /// Reads them.
    pub(crate) fn of_process() -> Self {
        Self {
            socket: PathBuf::from(need("BERTH_TEST_INCUS_SOCKET")),
            network: need("BERTH_TEST_NETWORK"),
            pool: need("BERTH_TEST_POOL"),
            image: need("BERTH_TEST_IMAGE"),
            home: need("BERTH_TEST_HOME_ADDRESS"),
            chromedriver: chromedriver(),
        }
    }
}

/// The program that drives Chromium, for tests that need no daemon.
pub(crate) fn chromedriver() -> String {
    read("BERTH_TEST_CHROMEDRIVER").unwrap_or_else(|| "/usr/bin/chromedriver".to_owned())
}

fn need(name: &str) -> String {
    read(name).unwrap_or_else(|| panic!("{name} is not set: run these tests by scripts/test e2e"))
}

/// Whether everything is tried, however long that takes.
pub(crate) fn is_long() -> bool {
    read("BERTH_TEST_LONG").as_deref() == Some("1")
}

#[expect(clippy::disallowed_methods, reason = "tests learn from scripts/test where daemon, image and browser are")]
fn read(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Tells whoever watches a long test where it is.
pub(crate) fn say(words: &str) {
    writeln!(std::io::stderr(), "    {words}").ok();
}
