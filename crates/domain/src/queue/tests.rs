//! The engine simulated: three workers, a life in small, a clock that is moved, and everything that we know to go wrong.
//!
//! A seed decides all of it. One that breaks a promise is named with its
//! schedule; `BERTH_SEED=n cargo test -p domain -- --ignored --nocapture tells`
//! shows it again, and `BERTH_SEEDS=1000000 cargo test --release -p domain --
//! --ignored many` runs a million. That the promises can be broken is shown by
//! planting bugs: each is found.

mod dice;
mod schedule;
mod worker;
mod world;

use std::io::Write as _;

use self::{schedule::Reached, world::Step};
use super::Flaw;

/// Seeds of an ordinary run.
const SEEDS: u64 = 2_000;

/// A bug that can be planted: in the queue, or in how workers use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Planted {
    Queue(Flaw),
    /// A machine is made in the step that only chooses its name.
    EffectBeforeIdentity,
    /// A long step loses its lease.
    NotRenewed,
    /// A flow goes on although its removal was asked for.
    RemovalIgnored,
    /// Failed steps wait twice as long each time, for ever.
    NoCeiling,
    /// A machine that is there is made again.
    MakesAnew,
    /// A machine is called gone although its removal failed.
    GoneUnseen,
}

/// Each with words of a promise that it breaks.
const PLANTED: [(Planted, &str); 14] = [
    (Planted::EffectBeforeIdentity, "is leaked"),
    (Planted::Queue(Flaw::NoFence), "by a worker that had lost its lease"),
    (Planted::Queue(Flaw::NoSkipLocked), "a healthy worker"),
    (Planted::Queue(Flaw::UnseenWake), "sleeps over"),
    (Planted::Queue(Flaw::WakeUpLost), "sleeps over"),
    (Planted::Queue(Flaw::SignalLost), "never heard"),
    (Planted::Queue(Flaw::SleepySignal), "sleeps over"),
    (Planted::Queue(Flaw::DeadlineReset), "does not come to rest"),
    (Planted::Queue(Flaw::UnfencedFinish), "by a worker that had lost its lease"),
    (Planted::NotRenewed, "a healthy worker"),
    (Planted::RemovalIgnored, "sleeps over"),
    (Planted::NoCeiling, "past its deadline"),
    (Planted::MakesAnew, "has 2 machines"),
    (Planted::GoneUnseen, "is leaked"),
];

/// Runs seeds and adds up what they reached.
fn all_hold(seeds: std::ops::Range<u64>) -> Reached {
    let mut reached = Reached::new();
    for seed in seeds {
        match schedule::run(seed, None) {
            Ok(more) => more.into_iter().for_each(|(what, times)| *reached.entry(what).or_default() += times),
            Err(broken) => panic!("BERTH_SEED={}: {}\n{}", broken.seed, broken.what, broken.schedule.join("\n")),
        }
    }
    reached
}

#[test]
fn nothing_is_leaked_doubled_lost_or_stuck_whatever_goes_wrong() {
    let reached = all_hold(0..SEEDS);
    // The promises are worth what was tried: every fault, at every step.
    let mut expected: Vec<String> = [
        "clock:back",
        "clock:forward",
        "database:away",
        "provider:away",
        "late signal:",
        "signal twice:",
        "woken-during:a claim",
        "woken-during:a step",
        "zombie:acting",
        "zombie:done",
        "ghost:",
        "answer-lost:create",
        "answer-lost:remove",
        "crash:found:-",
        "pause:found",
    ]
    .map(str::to_owned)
    .into();
    for step in Step::NAMES {
        let kinds = ["step:", "crash:acting:", "crash:done:", "removal:", "unwritten:"];
        expected.extend(kinds.iter().map(|kind| format!("{kind}{step}")));
    }
    let absent: Vec<&String> = expected.iter().filter(|what| !reached.contains_key(*what)).collect();
    assert_eq!(absent, Vec::<&String>::new(), "{reached:?}");
}

#[test]
fn every_planted_bug_is_found() {
    for (planted, words) in PLANTED {
        let found = (0..SEEDS).filter_map(|seed| schedule::run(seed, Some(planted)).err());
        let broken = found.into_iter().find(|broken| broken.what.contains(words));
        let broken = broken.unwrap_or_else(|| panic!("{planted:?} was not found in {SEEDS} seeds"));
        assert!(!broken.schedule.is_empty(), "{planted:?} was found and its schedule cannot be told again");
    }
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    for seed in 0..20 {
        assert_eq!(schedule::tell(seed, None), schedule::tell(seed, None));
    }
}

#[test]
#[ignore = "by hand: BERTH_SEEDS=1000000 cargo test --release -p domain -- --ignored many"]
fn many_seeds() {
    let seeds = number("BERTH_SEEDS").unwrap_or(100_000);
    let reached = all_hold(0..seeds);
    writeln!(std::io::stderr(), "{seeds} seeds held; reached: {reached:#?}").ok();
}

#[test]
#[ignore = "by hand: BERTH_SEED=7 cargo test -p domain -- --ignored --nocapture tells"]
fn tells_what_a_seed_does() {
    let seed = number("BERTH_SEED").unwrap_or(0);
    writeln!(std::io::stderr(), "{}", schedule::tell(seed, None).join("\n")).ok();
}

fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a run by hand is told how many seeds, or which")]
    std::env::var(name).ok()?.parse().ok()
}
