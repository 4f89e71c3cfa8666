//! What a flow is waiting for, in one sentence made from its row.

use chrono::{DateTime, TimeDelta, Utc};

/// What a flow's row says, by the database's clock.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The flow's kind.
    pub kind: &'a str,
    /// The word of its step.
    pub step: &'a str,
    /// The time of looking.
    pub now: DateTime<Utc>,
    /// When it runs next.
    pub run_at: DateTime<Utc>,
    /// Until when a worker holds it, if one does.
    pub lease_until: Option<DateTime<Utc>>,
    /// Claims of this step that did not move it on; the one under way counts.
    pub attempt: i32,
    /// When it has been in this step too long.
    pub deadline_at: Option<DateTime<Utc>>,
    /// Whether removal was asked for.
    pub removal_asked: bool,
    /// What was asked of it and not heard yet.
    pub signals: &'a [String],
}

/// The sentence: whom the step waits for, who is at it and when it goes on, what was asked, until when.
#[must_use]
pub fn sentence(facts: &Facts<'_>) -> String {
    let whom = whom(facts.kind, facts.step).map_or_else(
        || format!("Waits at the step {} of a flow of kind {}, which this build does not know", facts.step, facts.kind),
        str::to_owned,
    );
    let parts = [Some(whom), removal(facts), Some(worker(facts)), asked(facts), deadline(facts)];
    format!("{}.", parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
}

/// Whom or what a step waits for. `None`: a step of a newer build.
#[must_use]
pub fn whom(kind: &str, step: &str) -> Option<&'static str> {
    Some(match (kind, step) {
        ("life", "reserve") => "Waits for a worker to choose a machine's id and to seal its keys",
        ("life", "create") => "Waits for the provider to make the machine",
        ("life", "await") => "Waits for the machine to start and to call home",
        ("life", "hello") => "Waits for the gateway on the machine to get ready",
        ("life", "apply") => "Waits for the machine to put its configuration in force",
        ("life", "prove") => "Waits for the agent's answer to a proof",
        ("life", "live") => "Waits for its tenant, its machine or a sweep to want something: the agent is live",
        ("life", "recover") => "Waits for a machine that went silent to answer again",
        ("life", "stop") => "Waits for the gateway to end its work and for the provider to stop the machine",
        ("life", "stopped") => "Waits for its tenant to start the agent again",
        ("life", "start") => "Waits for the provider to start the machine",
        ("life", "restart") => "Waits for the gateway on the machine to restart",
        ("life", "failed") => "Waits for its tenant to retry, stop or delete the agent: Berth gave up",
        ("life", "remove") => "Waits for the provider to destroy the machine and to show that it is gone",
        ("exchange", "ask") => "Waits for the agent to be ready for a question",
        ("exchange", "carry") => "Waits for the machine's answer to a question",
        ("exchange", "forget") => "Waits until ten minutes are over, then forgets question and answer",
        ("spare", "create") => "Waits for the provider to make a spare machine",
        ("spare", "await") => "Waits for the spare machine to start and to call home",
        ("spare", "hello") => "Waits for the gateway on the spare machine to get ready",
        ("spare", "apply") => "Waits for the spare machine to put its configuration in force",
        ("spare", "warm") => "Waits for the spare machine's first answer",
        ("spare", "ready") => "Waits for an agent to take the spare machine",
        ("spare", "retire") => "Waits for the provider to destroy the spare machine and to show that it is gone",
        ("sweep", "spread" | "look") => "Waits for every machine that should answer, and for the provider's list",
        ("sweep", "gather") => "Waits for the slices of the fleet that are being looked at",
        ("sweep_slice", "look") => "Waits for the machines of its slice to answer",
        ("refill", "count") => "Waits for a worker to count the spare machines and to begin what is missing",
        ("retention", "forget") => "Waits for a worker to forget what ran out",
        ("notice", "fire") => "Waits for a worker to write down that its alert fires",
        ("notice", "deliver") => "Waits for mail and webhook to take the alert",
        ("erasure", "wait") => "Waits for the thirty days after which its tenant is erased",
        ("erasure", "empty") => "Waits for the last of its tenant's agents to be removed",
        ("erasure", "erase") => "Waits for a worker to delete its tenant",
        ("invitation", "send") => "Waits for the mail server to take the invitation",
        ("notice", "rest") => "Waits for its alert to be closed or to be due again",
        _ => return None,
    })
}

fn removal(facts: &Facts<'_>) -> Option<String> {
    let first = facts.removal_asked && facts.step != "remove";
    first.then(|| "removal was asked for and comes first".to_owned())
}

/// Who is at it, or when somebody will be.
fn worker(facts: &Facts<'_>) -> String {
    let now = facts.now;
    match facts.lease_until {
        Some(until) if until > now => {
            let tries = if facts.attempt > 1 { format!(", at try {}", facts.attempt) } else { String::new() };
            return format!(
                "a worker is at it{tries}, and its lease ends in {} unless it is renewed",
                span(until - now)
            );
        }
        Some(until) => {
            return format!("its worker fell silent {} ago, and another one takes it over", span(now - until));
        }
        None => {}
    }
    let tries = match facts.attempt {
        ..=0 => String::new(),
        1 => "1 try did not work, ".to_owned(),
        many => format!("{many} tries did not work, "),
    };
    if facts.run_at <= now {
        return format!("{tries}it has been due for {} and waits for a free worker", span(now - facts.run_at));
    }
    let next = span(facts.run_at - now);
    if facts.attempt > 0 { format!("{tries}the next is in {next}") } else { format!("it looks by itself in {next}") }
}

fn asked(facts: &Facts<'_>) -> Option<String> {
    let (first, rest) = facts.signals.split_first()?;
    if rest.is_empty() {
        return Some(format!("the signal {first} is not heard yet"));
    }
    Some(format!("the signals {} are not heard yet", facts.signals.join(", ")))
}

fn deadline(facts: &Facts<'_>) -> Option<String> {
    let at = facts.deadline_at?;
    if at > facts.now {
        return Some(format!("its deadline is in {}", span(at - facts.now)));
    }
    let then = match (facts.kind, facts.step) {
        ("life", "remove") => "it goes on trying, with an alert open",
        _ => "its next run gives the step up",
    };
    Some(format!("its deadline passed {} ago: {then}", span(facts.now - at)))
}

/// `4 s`, `3 min`, `2 h`, `5 days`: rounded down, never negative.
fn span(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alert::Notice,
        exchange::ExchangeStep,
        id::{AgentId, MachineId},
        life::Life,
        spare::Spare,
    };
    use uuid::Uuid;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000 + seconds, 0).unwrap()
    }

    fn facts<'a>(kind: &'a str, step: &'a str) -> Facts<'a> {
        Facts {
            kind,
            step,
            now: at(0),
            run_at: at(12),
            lease_until: None,
            attempt: 0,
            deadline_at: None,
            removal_asked: false,
            signals: &[],
        }
    }

    /// The steps come from the types, so a new one fails here until it has its words.
    #[test]
    fn every_step_of_every_kind_says_whom_it_waits_for() {
        let (machine, agent) = (MachineId::from_uuid(Uuid::nil()), AgentId::from_uuid(Uuid::nil()));
        let exchange = [ExchangeStep::Ask { agent }, ExchangeStep::Carry { agent }, ExchangeStep::Forget { agent }];
        let all = (Life::every(machine).iter().map(|step| ("life", step.name())))
            .chain(exchange.iter().map(|step| ("exchange", step.name())))
            .chain(Notice::EVERY.iter().map(|step| ("notice", step.name())))
            .chain(Spare::every().iter().map(|step| ("spare", step.name())))
            .chain([("sweep", "spread"), ("sweep", "gather"), ("sweep_slice", "look")])
            .chain([("refill", "count"), ("retention", "forget"), ("invitation", "send")])
            .chain([("erasure", "wait"), ("erasure", "empty"), ("erasure", "erase")])
            .map(|(kind, step)| (kind, step.to_owned()))
            .collect::<Vec<_>>();
        let mut said = Vec::new();
        for (kind, step) in &all {
            let words = whom(kind, step).unwrap_or_else(|| panic!("{kind} {step} has no words"));
            assert!(words.starts_with("Waits ") && !words.ends_with('.'), "{words}");
            said.push(words);
            let whole = sentence(&facts(kind, step));
            assert_eq!(whole, format!("{words}; it looks by itself in 12 s."));
        }
        said.sort_unstable();
        said.dedup();
        assert_eq!(said.len(), all.len(), "two steps say the same");
    }

    #[test]
    fn a_step_of_a_newer_build_is_named_too() {
        let words = sentence(&facts("pool", "refill"));
        assert!(words.contains("the step refill of a flow of kind pool"), "{words}");
    }

    #[test]
    fn each_fact_of_the_row_is_said() {
        let life = facts("life", "create");
        let made = "Waits for the provider to make the machine";
        let signals = ["look".to_owned(), "prove".to_owned()];
        let cases = [
            (Facts { run_at: at(-3), ..life }, "it has been due for 3 s and waits for a free worker"),
            (Facts { attempt: 1, ..life }, "1 try did not work, the next is in 12 s"),
            (
                Facts { attempt: 4, run_at: at(-70), ..life },
                "4 tries did not work, it has been due for 1 min and waits for a free worker",
            ),
            (
                Facts { lease_until: Some(at(9)), attempt: 1, ..life },
                "a worker is at it, and its lease ends in 9 s unless it is renewed",
            ),
            (
                Facts { lease_until: Some(at(9)), attempt: 3, ..life },
                "a worker is at it, at try 3, and its lease ends in 9 s unless it is renewed",
            ),
            (
                Facts { lease_until: Some(at(-5)), ..life },
                "its worker fell silent 5 s ago, and another one takes it over",
            ),
            (Facts { deadline_at: Some(at(185)), ..life }, "it looks by itself in 12 s; its deadline is in 3 min"),
            (
                Facts { deadline_at: Some(at(-185)), ..life },
                "it looks by itself in 12 s; its deadline passed 3 min ago: its next run gives the step up",
            ),
            (
                Facts { removal_asked: true, ..life },
                "removal was asked for and comes first; it looks by itself in 12 s",
            ),
            (Facts { signals: &signals[..1], ..life }, "it looks by itself in 12 s; the signal look is not heard yet"),
            (
                Facts { signals: &signals, ..life },
                "it looks by itself in 12 s; the signals look, prove are not heard yet",
            ),
        ];
        for (facts, words) in cases {
            assert_eq!(sentence(&facts), format!("{made}; {words}."));
        }
        let remove = sentence(&Facts { removal_asked: true, deadline_at: Some(at(-7200)), ..facts("life", "remove") });
        assert!(remove.ends_with("its deadline passed 2 h ago: it goes on trying, with an alert open."), "{remove}");
        assert!(!remove.contains("comes first"));
    }
}
