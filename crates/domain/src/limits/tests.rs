use std::{net::IpAddr, time::Duration};

use super::*;

/// Repeatable dice: xorshift64*.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
    }
}

/// What is meant: a bucket of tokens that refills by the microsecond, counted in parts of a token.
struct Bucket {
    parts: u128,
    at: u128,
}

impl Bucket {
    fn take(&mut self, rule: Rule, now: u128) -> bool {
        let every = rule.every().as_micros();
        // One token is `every` parts, and one part comes back each microsecond.
        self.parts = (self.parts + (now - self.at)).min(every * u128::from(rule.at_once()));
        self.at = now;
        let is_there = self.parts >= every;
        self.parts -= if is_there { every } else { 0 };
        is_there
    }
}

/// A day and more of uses at random, against the bucket of tokens; then what a refusal promises.
#[test]
fn the_arithmetic_is_that_of_a_bucket_of_tokens() {
    for seed in 1..400 {
        let mut dice = Dice(seed);
        let rule =
            Rule::new(1 + u32::try_from(dice.below(50)).unwrap(), Duration::from_micros(1 + dice.below(90_000_000)));
        let every = u64::try_from(rule.every().as_micros()).unwrap();
        let (mut full_at, mut now) = (Duration::ZERO, Duration::ZERO);
        let mut bucket = Bucket { parts: every.into(), at: 0 };
        bucket.parts *= u128::from(rule.at_once());
        for _ in 0..400 {
            now += Duration::from_micros(match dice.below(4) {
                0 => 0,
                1 => dice.below(every),
                2 => dice.below(every * 3),
                _ => dice.below(every * u64::from(rule.at_once()) + 1),
            });
            let meant = bucket.take(rule, now.as_micros());
            match rule.take(full_at, now) {
                Ok(next) => full_at = next,
                Err(too_many) => {
                    let wait = too_many.retry_after;
                    assert!(rule.take(full_at, now + wait).is_ok(), "seed {seed}: it waited as told");
                    let short = wait.checked_sub(Duration::from_micros(1)).unwrap();
                    assert!(rule.take(full_at, now + short).is_err(), "seed {seed}: it was told too much");
                    assert!(Duration::from_secs(too_many.seconds().into()) >= wait && too_many.seconds() >= 1);
                    assert!(!meant, "seed {seed}: refused what the bucket holds");
                    continue;
                }
            }
            assert!(meant, "seed {seed}: let through what the bucket does not hold");
        }
    }
}

/// Whatever the times are, no stretch of time lets more through than what is full at its start and what comes in.
#[test]
fn no_stretch_of_time_lets_more_through() {
    for seed in 1..200 {
        let mut dice = Dice(seed);
        let rule = Rule::new(1 + u32::try_from(dice.below(9)).unwrap(), Duration::from_micros(100));
        let (mut full_at, mut now, mut taken) = (Duration::ZERO, Duration::ZERO, Vec::new());
        for _ in 0..300 {
            now += Duration::from_micros(dice.below(120));
            if let Ok(next) = rule.take(full_at, now) {
                full_at = next;
                taken.push(now);
            }
        }
        for (first, start) in taken.iter().enumerate() {
            for (last, end) in taken.iter().enumerate().skip(first) {
                let most = u128::from(rule.at_once()) + end.saturating_sub(*start).as_micros() / 100;
                assert!(u128::try_from(last - first + 1).unwrap() <= most, "seed {seed}");
            }
        }
    }
}

#[test]
fn a_clock_that_steps_back_gives_nothing_away() {
    let rule = Rule::new(2, Duration::from_secs(10));
    let hour = Duration::from_hours(1);
    let full_at = rule.take(rule.take(Duration::ZERO, hour).unwrap(), hour).unwrap();
    let back = rule.take(full_at, Duration::from_mins(59));
    assert_eq!(back, Err(TooMany { retry_after: Duration::from_secs(70) }));
}

#[test]
fn senseless_rules_let_through_one_and_never_panic() {
    let rule = Rule::new(0, Duration::ZERO);
    assert_eq!((rule.at_once(), rule.every()), (1, Duration::from_micros(1)));
    assert!(Rule::new(u32::MAX, Duration::MAX).take(Duration::MAX, Duration::MAX).is_ok());
    assert_eq!(TooMany { retry_after: Duration::MAX }.seconds(), u32::MAX);
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn an_ipv6_source_is_its_64_and_an_ipv4_address_is_itself() {
    let source = |text: &str| Source::of(address(text)).to_string();
    assert_eq!(source("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    assert_eq!(source("2001:db8:1:2:ffff::1"), "2001:db8:1:2::");
    assert_ne!(source("2001:db8:1:3::1"), "2001:db8:1:2::");
    assert_eq!(source("::ffff:192.0.2.7"), "192.0.2.7");
    assert_ne!(source("192.0.2.7"), source("192.0.2.8"));
}

#[test]
fn networks_are_read_and_hold_what_they_say() {
    for bad in ["", "x", "10.0.0.0/33", "fd00::/129", "10.0.0.0/-1", "10.0.0/8", "10.0.0.0/8/8"] {
        assert_eq!(bad.parse::<Network>(), Err(BadNetwork), "{bad:?}");
    }
    let holds = |network: &str, text: &str| network.parse::<Network>().unwrap().holds(address(text));
    assert!(holds("10.0.0.0/8", "10.9.8.7") && !holds("10.0.0.0/8", "11.0.0.1"));
    assert!(holds("127.0.0.1", "127.0.0.1") && !holds("127.0.0.1", "127.0.0.2"));
    assert!(holds("127.0.0.1", "::ffff:127.0.0.1"));
    assert!(holds("fd00::/8", "fd12::1") && !holds("fd00::/8", "fe00::1") && !holds("fd00::/8", "10.0.0.1"));
    assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "2001:db8::1"));
    assert!(holds("::/0", "203.0.113.9"));
}

#[test]
fn only_a_proxy_of_ours_says_who_is_behind_it() {
    let none = Proxies::default();
    let ours: Proxies = "10.0.0.0/8, 192.0.2.1".parse().unwrap();
    let source = |proxies: &Proxies, peer: &str, headers: &[&str]| {
        proxies.source(address(peer), headers.iter().copied()).to_string()
    };
    // Nobody is trusted: the header is noise.
    assert_eq!(source(&none, "203.0.113.5", &["1.2.3.4"]), "203.0.113.5");
    // A stranger says it: the same.
    assert_eq!(source(&ours, "203.0.113.5", &["1.2.3.4"]), "203.0.113.5");
    // Our proxy says it: what it added is the last entry; what the caller made up stands before.
    assert_eq!(source(&ours, "10.0.0.2", &["203.0.113.5"]), "203.0.113.5");
    assert_eq!(source(&ours, "10.0.0.2", &["1.2.3.4, 203.0.113.5"]), "203.0.113.5");
    assert_eq!(source(&ours, "10.0.0.2", &["1.2.3.4", "203.0.113.5"]), "203.0.113.5");
    // Two of ours in a row, and one that a caller calls ours.
    assert_eq!(source(&ours, "10.0.0.2", &["1.2.3.4, 203.0.113.5, 192.0.2.1"]), "203.0.113.5");
    assert_eq!(source(&ours, "10.0.0.2", &["10.0.0.9, 203.0.113.5"]), "203.0.113.5");
    // Nothing to read: whoever is nearest.
    for empty in [&[][..], &[""], &["unknown"], &["203.0.113.5:99"], &["1.2.3.4, x"]] {
        assert_eq!(source(&ours, "10.0.0.2", empty), "10.0.0.2", "{empty:?}");
    }
    assert_eq!(source(&ours, "10.0.0.2", &["2001:db8:1:2:3::4"]), "2001:db8:1:2::");
}
