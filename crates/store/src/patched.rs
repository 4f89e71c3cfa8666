//! Which releases of Postgres have the security fixes that are published.

/// The first release of each major version with the fixes of 14 May 2026 (eleven of them).
const FIXED: [(i32, i32); 4] = [(15, 18), (16, 14), (17, 10), (18, 4)];

/// What a server of this `server_version_num` lacks, in a sentence. `None`: nothing that is known here.
pub(crate) fn lacking(version: i32) -> Option<String> {
    let (major, minor) = (version / 10_000, version % 10_000);
    match FIXED.iter().find(|(known, _)| *known == major) {
        Some((_, fixed)) if minor < *fixed => {
            Some(format!("Postgres {major}.{minor} lacks security fixes; update it to {major}.{fixed} or later"))
        }
        None if major < 15 => {
            Some(format!("Postgres {major} is older than any that Berth was tried on; use 15 or later"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RLS-40.
    #[test]
    fn an_unpatched_server_is_named() {
        for bad in [150_017, 150_000, 160_013, 170_009, 180_003, 140_022, 90_624] {
            assert!(lacking(bad).is_some_and(|words| words.contains("Postgres")), "{bad}");
        }
        for good in [150_018, 150_020, 160_014, 170_010, 180_004, 190_000] {
            assert_eq!(lacking(good), None, "{good}");
        }
        assert_eq!(
            lacking(150_017).as_deref(),
            Some("Postgres 15.17 lacks security fixes; update it to 15.18 or later")
        );
    }
}
