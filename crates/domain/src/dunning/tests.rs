use super::*;
use crate::entitlement::{PAST_DUE, Suspended};

const SECOND: Duration = Duration::seconds(1);

fn at(day: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(day * 86_400, 0).unwrap()
}

fn served(by: Served) -> Entitlement {
    Entitlement::Served { by }
}

const PAID: fn() -> Entitlement = || served(Served::Paid { renews: at(30) });

fn causes(before: Option<&Entitlement>, after: &Entitlement, now: DateTime<Utc>) -> Vec<String> {
    let past_due_since = match after {
        Entitlement::Served { by: Served::PastDue { until } } => Some(*until - PAST_DUE),
        _ => None,
    };
    let change = Change { before, after, past_due_since, plan: Some("Pro"), erase_after: None, now };
    due(&change).into_iter().map(|due| due.cause).collect()
}

#[test]
fn a_gift_is_told_of_three_days_before_its_end_to_the_second() {
    let gift = |until| served(Served::Complimentary { until });
    let told = vec![format!("gift_ending:{}", at(30).timestamp())];
    let given = gift(Some(at(30)));
    assert_eq!(causes(Some(&given), &given, at(27) - SECOND), Vec::<String>::new());
    assert_eq!(causes(Some(&given), &given, at(27)), told);
    assert_eq!(causes(None, &given, at(30) - SECOND), told);
    assert_eq!(causes(Some(&given), &given, at(30)), Vec::<String>::new(), "what is over does not end any more");
    assert_eq!(next_at(&given, None, at(27) - SECOND), Some(at(27)));
    assert_eq!((next_at(&given, None, at(27)), next_at(&gift(None), None, at(0))), (None, None));
    // Made longer meanwhile: what was written before is not sent.
    let ending = Told::GiftEnding { ends: at(30), plan: None };
    assert!(ending.still_holds(&given) && !ending.still_holds(&gift(Some(at(60)))) && !ending.still_holds(&gift(None)));
}

#[test]
fn a_trial_is_told_of_three_days_before_its_end_to_the_second() {
    let trial = served(Served::Trial { ends: at(7) });
    let told = vec![format!("trial_ending:{}", at(7).timestamp())];
    assert_eq!(causes(Some(&trial), &trial, at(4) - SECOND), Vec::<String>::new());
    assert_eq!(causes(Some(&trial), &trial, at(4)), told);
    assert_eq!(causes(Some(&trial), &trial, at(4) + SECOND), told);
    assert_eq!(causes(Some(&trial), &trial, at(7) - SECOND), told);
    assert_eq!(causes(Some(&trial), &trial, at(7)), Vec::<String>::new(), "what is over does not end any more");
    assert_eq!(next_at(&trial, None, at(4) - SECOND), Some(at(4)));
    assert_eq!(next_at(&trial, None, at(4)), None);
}

#[test]
fn a_failed_payment_is_told_of_on_days_0_3_and_5_to_the_second() {
    let owed = served(Served::PastDue { until: at(37) });
    let on = |day: u8| vec![format!("payment_failed:{day}:{}", at(30).timestamp())];
    for (now, day) in [
        (at(30), 0),
        (at(30) + SECOND, 0),
        (at(33) - SECOND, 0),
        (at(33), 3),
        (at(33) + SECOND, 3),
        (at(35) - SECOND, 3),
        (at(35), 5),
        (at(35) + SECOND, 5),
        (at(37) - SECOND, 5),
    ] {
        assert_eq!(causes(Some(&owed), &owed, now), on(day), "{now}");
    }
    let next = |now| next_at(&owed, Some(at(30)), now);
    assert_eq!(next(at(30)), Some(at(33)));
    assert_eq!(next(at(33) - SECOND), Some(at(33)));
    assert_eq!(next(at(33)), Some(at(35)));
    assert_eq!(next(at(35)), None);
}

#[test]
fn of_dates_that_were_slept_through_only_the_latest_is_told() {
    let owed = served(Served::PastDue { until: at(37) });
    assert_eq!(causes(Some(&PAID()), &owed, at(36)), [format!("payment_failed:5:{}", at(30).timestamp())]);
    let stopped = Entitlement::Suspended { why: Suspended::PastDue, since: at(37) };
    assert_eq!(causes(Some(&PAID()), &stopped, at(50)), [format!("suspended:past_due:{}", at(37).timestamp())]);
    let gone = Entitlement::Gone { since: at(60) };
    assert_eq!(causes(Some(&PAID()), &gone, at(90)), Vec::<String>::new(), "the certificate tells it");
}

#[test]
fn stopping_is_told_once_for_each_reason() {
    let stopped = |why, since| Entitlement::Suspended { why, since };
    let late = stopped(Suspended::PastDue, at(37));
    let owed = served(Served::PastDue { until: at(37) });
    assert_eq!(causes(Some(&owed), &late, at(37)), [format!("suspended:past_due:{}", at(37).timestamp())]);
    assert_eq!(causes(Some(&late), &late, at(38)), Vec::<String>::new());
    let disputed = stopped(Suspended::Disputed, at(40));
    assert_eq!(causes(Some(&late), &disputed, at(40)), [format!("suspended:disputed:{}", at(40).timestamp())]);
    let paused = stopped(Suspended::Paused, at(7));
    let trial = served(Served::Trial { ends: at(7) });
    assert_eq!(causes(Some(&trial), &paused, at(7)), [format!("suspended:trial_over:{}", at(7).timestamp())]);
    assert_eq!(causes(None, &paused, at(7)).len(), 1, "also as the first that is known");
    let gift = served(Served::Complimentary { until: Some(at(9)) });
    assert_eq!(
        causes(Some(&gift), &Entitlement::Unpaid, at(9)),
        [format!("suspended:gift_over:{}", at(9).timestamp())]
    );
    assert_eq!(causes(None, &Entitlement::Unpaid, at(9)), Vec::<String>::new(), "who never paid is not told");
}

#[test]
fn being_served_again_is_told_and_being_served_on_is_not() {
    let late = Entitlement::Suspended { why: Suspended::PastDue, since: at(37) };
    assert_eq!(causes(Some(&late), &PAID(), at(40)), [format!("restored:{}", at(37).timestamp())]);
    let leaving = Entitlement::Leaving { until: at(60) };
    assert_eq!(causes(Some(&leaving), &PAID(), at(40)), [format!("restored:{}", at(60).timestamp())]);
    for before in [PAID(), served(Served::PastDue { until: at(37) }), Entitlement::Unpaid, served(Served::BillingOff)] {
        assert_eq!(causes(Some(&before), &PAID(), at(40)), Vec::<String>::new(), "{before:?}");
    }
    // A dispute that ends while a payment is owed: both are true, and both are told.
    let disputed = Entitlement::Suspended { why: Suspended::Disputed, since: at(29) };
    let owed = served(Served::PastDue { until: at(37) });
    assert_eq!(causes(Some(&disputed), &owed, at(31)).len(), 2);
}

#[test]
fn leaving_is_told_once_with_both_dates() {
    let cancelled = served(Served::Cancelled { ends: at(30) });
    let leaving = Entitlement::Leaving { until: at(60) };
    let told = vec![format!("cancelled:{}", at(30).timestamp())];
    assert_eq!(causes(Some(&PAID()), &cancelled, at(10)), told);
    assert_eq!(causes(Some(&cancelled), &cancelled, at(11)), Vec::<String>::new());
    assert_eq!(causes(Some(&cancelled), &leaving, at(30)), Vec::<String>::new(), "it ended as it was told");
    assert_eq!(causes(Some(&leaving), &leaving, at(31)), Vec::<String>::new());
    assert_eq!(causes(Some(&PAID()), &leaving, at(30)), told, "it ended without a word before");
    let early = Entitlement::Leaving { until: at(50) };
    assert_eq!(causes(Some(&cancelled), &early, at(20)), [format!("cancelled:{}", at(20).timestamp())]);

    let change = |erase_after| Change {
        before: Some(&leaving),
        after: &cancelled,
        past_due_since: None,
        plan: Some("Pro"),
        erase_after,
        now: at(10),
    };
    let kept = |erase_after| match due(&change(erase_after)).pop().map(|due| due.told) {
        Some(Told::Cancelled { served_until, kept_until, .. }) => (served_until, kept_until),
        other => panic!("{other:?}"),
    };
    assert_eq!(kept(None), (at(30), at(60)));
    assert_eq!(kept(Some(at(41))), (at(30), at(41)), "an erasure that was asked for comes first");
}

#[test]
fn without_a_date_nobody_is_told_of_a_failed_payment() {
    let owed = served(Served::PastDue { until: at(37) });
    let change =
        Change { before: None, after: &owed, past_due_since: None, plan: None, erase_after: None, now: at(30) };
    assert_eq!(due(&change), []);
    assert_eq!(next_at(&owed, None, at(30)), None);
}

#[test]
fn nobody_is_told_of_trouble_that_is_over() {
    let owed = served(Served::PastDue { until: at(37) });
    let failed = Told::PaymentFailed { since: at(30), day: 0, until: at(37), plan: None };
    assert!(failed.still_holds(&owed) && !failed.still_holds(&PAID()));
    let stopped = Told::Suspended { why: Stopped::PastDue, since: at(37) };
    let late = Entitlement::Suspended { why: Suspended::PastDue, since: at(37) };
    assert!(stopped.still_holds(&late) && !stopped.still_holds(&PAID()));
    assert!(Told::Restored { at: at(40) }.still_holds(&PAID()) && !Told::Restored { at: at(40) }.still_holds(&late));
    let ending = Told::TrialEnding { ends: at(7), plan: None };
    assert!(ending.still_holds(&served(Served::Trial { ends: at(7) })));
    assert!(!ending.still_holds(&served(Served::Trial { ends: at(9) })), "another end is another letter");
}
