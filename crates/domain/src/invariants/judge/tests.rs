//! Each judgement over a good row and over the same row with one thing wrong.

use serde_json::json;

use super::*;
use crate::{ProofId, agent::ProofFacts, machine::Isolation, machine::MachineFacts, names::AgentName};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
}

const NOW: i64 = 10_000;

/// A live agent of which everything holds, to be spoilt.
struct Good {
    agent: Agent,
    flow: FlowView,
    machines: Vec<MachineView>,
    named_to: Option<AgentId>,
    configured_at: Option<DateTime<Utc>>,
    alerted: bool,
}

fn tenant() -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(1))
}

fn machine() -> MachineId {
    MachineId::from_uuid(Uuid::from_u128(3))
}

fn good() -> Good {
    let id = AgentId::from_uuid(Uuid::from_u128(2));
    let facts = MachineFacts {
        id: machine(),
        isolation: Isolation::Container,
        image: "i".into(),
        openclaw: None,
        created_at: at(0),
        keys_replaced_at: None,
    };
    let proof = ProofFacts {
        id: ProofId::from_uuid(Uuid::from_u128(4)),
        at: at(200),
        ok: true,
        latency_ms: Some(1),
        why: None,
    };
    Good {
        agent: Agent {
            id,
            name: AgentName::parse("scout").expect("a name"),
            wanted: Wanted::Running,
            seen: Seen::Live { since: at(200) },
            machine: Some(facts),
            proof: Some(proof),
            created_at: at(0),
        },
        flow: FlowView {
            id: FlowId::from_uuid(Uuid::from_u128(5)),
            kind: "life".into(),
            tenant: Some(tenant()),
            subject: id.uuid(),
            step: json!(Life::Live { machine: machine() }),
            run_at: at(NOW + 3600),
            lease_until: None,
            has_token: false,
            deadline_at: None,
            removal_asked: false,
            signals: 0,
        },
        machines: vec![MachineView {
            id: machine(),
            tenant: Some(tenant()),
            agent: Some(id),
            fence: 1,
            digest: Some("d".into()),
            in_force: Some(InForce { fence: 1, digest: "d".into(), applied: true, secrets_digest: None }),
        }],
        named_to: Some(id),
        configured_at: Some(at(100)),
        alerted: false,
    }
}

fn judged(good: &Good) -> Vec<Check> {
    let view = AgentView {
        tenant: tenant(),
        agent: &good.agent,
        flow: Some(&good.flow),
        machines: &good.machines,
        named_to: good.named_to,
        configured_at: good.configured_at,
        alerted: good.alerted,
        now: at(NOW),
    };
    let mut found = agent(&view);
    found.extend(flow(&good.flow, at(NOW), TimeDelta::minutes(3)));
    found.iter().map(|violation| violation.check).collect()
}

fn put_at(good: &mut Good, step: &Life, seen: Seen) {
    good.flow.step = json!(step);
    good.flow.deadline_at = step.deadline().map(|_| at(NOW + 60));
    good.agent.seen = seen;
}

type Spoil = fn(&mut Good);

#[test]
fn each_fault_of_an_agent_is_named_and_nothing_else() {
    let table: &[(Check, Spoil)] = &[
        (Check::TwoMachines, |g| {
            let second = MachineView { id: MachineId::from_uuid(Uuid::from_u128(9)), ..g.machines[0].clone() };
            g.machines.push(second);
        }),
        (Check::ForeignOwner, |g| g.machines[0].tenant = Some(TenantId::from_uuid(Uuid::from_u128(8)))),
        (Check::Shared, |g| g.named_to = Some(AgentId::from_uuid(Uuid::from_u128(8)))),
        (Check::NotInForce, |g| g.machines[0].digest = Some("other".into())),
        (Check::NotInForce, |g| g.machines[0].fence = 2),
        (Check::NotInForce, |g| g.machines[0].in_force = None),
        (Check::NotInForce, |g| {
            g.machines[0].in_force =
                Some(InForce { fence: 1, digest: "d".into(), applied: false, secrets_digest: None });
        }),
        (Check::NotInForce, |g| g.machines.clear()),
        (Check::NotProved, |g| g.agent.proof = None),
        (Check::NotProved, |g| g.configured_at = Some(at(201))),
        (Check::NotProved, |g| {
            if let Some(proof) = g.agent.proof.as_mut() {
                proof.ok = false;
            }
        }),
        (Check::SeenDiffers, |g| g.agent.seen = Seen::Stopped { since: at(1) }),
        (Check::SeenDiffers, |g| put_at(g, &Life::Create { machine: machine() }, Seen::Live { since: at(1) })),
        (Check::SeenDiffers, |g| put_at(g, &Life::Hello { machine: machine() }, Seen::Deleting { since: at(1) })),
        (Check::WakeUpLost, |g| g.agent.wanted = Wanted::Stopped),
        (Check::WakeUpLost, |g| g.flow.signals = 1),
        (Check::WakeUpLost, |g| {
            put_at(g, &Life::Stopped { machine: machine() }, Seen::Stopped { since: at(1) });
        }),
        (Check::RemovalForgotten, |g| g.agent.wanted = Wanted::Gone),
        (Check::FailedUntold, |g| {
            let why = String::new();
            put_at(g, &Life::Failed { machine: None, why: why.clone() }, Seen::Failed { since: at(1), why });
        }),
        (Check::FlowWithoutAgent, |g| g.flow.tenant = None),
        (Check::Untaken, |g| g.flow.run_at = at(NOW - 181)),
        (Check::BrokenLease, |g| g.flow.has_token = true),
        (Check::BrokenLease, |g| {
            g.flow.has_token = true;
            g.flow.lease_until = Some(at(NOW + 3600));
        }),
        (Check::UnreadableStep, |g| g.flow.step = json!({ "step": "dream" })),
        (Check::Overdue, |g| {
            put_at(g, &Life::Apply { machine: machine() }, Seen::Configuring { since: at(1) });
            g.flow.deadline_at = Some(at(NOW - 181));
        }),
        (Check::NoDeadline, |g| {
            put_at(g, &Life::Apply { machine: machine() }, Seen::Configuring { since: at(1) });
            g.flow.deadline_at = None;
        }),
    ];
    assert_eq!(judged(&good()), []);
    for (index, (check, spoil)) in table.iter().enumerate() {
        let mut spoilt = good();
        spoil(&mut spoilt);
        assert_eq!(judged(&spoilt), [*check], "row {index}");
    }
}

#[test]
fn an_agent_without_a_flow_is_named() {
    let good = good();
    let view = AgentView {
        tenant: tenant(),
        agent: &good.agent,
        flow: None,
        machines: &good.machines,
        named_to: good.named_to,
        configured_at: None,
        alerted: false,
        now: at(NOW),
    };
    let found: Vec<Check> = agent(&view).iter().map(|violation| violation.check).collect();
    assert_eq!(found, [Check::AgentWithoutFlow]);
}

#[test]
fn what_is_merely_under_way_is_no_violation() {
    let table: &[Spoil] = &[
        // Just asked, just due, just claimed.
        |g| {
            g.agent.wanted = Wanted::Stopped;
            g.flow.run_at = at(NOW);
        },
        |g| {
            g.flow.signals = 1;
            g.flow.lease_until = Some(at(NOW + 10));
            g.flow.has_token = true;
        },
        // A worker died: its lease ran out a moment ago.
        |g| {
            g.flow.run_at = at(NOW - 600);
            g.flow.lease_until = Some(at(NOW - 100));
            g.flow.has_token = true;
        },
        // A configuration on its way to a live agent.
        |g| {
            put_at(g, &Life::Apply { machine: machine() }, Seen::Live { since: at(1) });
            g.machines[0].fence = 2;
        },
        |g| {
            put_at(g, &Life::Apply { machine: machine() }, Seen::Configuring { since: at(1) });
            g.flow.deadline_at = Some(at(NOW - 100));
        },
        // On its way out.
        |g| {
            put_at(g, &Life::Remove { machine: None }, Seen::Deleting { since: at(1) });
            g.agent.wanted = Wanted::Gone;
            g.flow.removal_asked = true;
            g.machines.clear();
        },
    ];
    for (index, spoil) in table.iter().enumerate() {
        let mut moving = good();
        spoil(&mut moving);
        assert_eq!(judged(&moving), [], "row {index}");
    }
}

#[test]
fn a_machine_is_leaked_or_lost_only_if_both_listings_say_so() {
    let id = |n: u128| MachineId::from_uuid(Uuid::from_u128(n));
    let names = |ids: &[u128]| ids.iter().map(|n| MachineName::of(id(*n))).collect::<BTreeSet<_>>();
    // 1 is known; 2 leaked; 3 was removed meanwhile; 4 lost; 5 was made meanwhile; 6 is leaving; 7 not made yet.
    let mut listing = Listing::new(names(&[1, 2, 3]));
    for (n, made, leaving) in [(1, true, false), (4, true, false), (5, true, false), (6, true, true), (7, false, false)]
    {
        listing.row(id(n), made, leaving);
    }
    assert!(listing.is_in_doubt());
    let found = listing.settle(&names(&[1, 2, 5]));
    let found: Vec<(Check, &str)> = found.iter().map(|v| (v.check, v.ids[0].as_str())).collect();
    let (leaked, lost) = (MachineName::of(id(2)).to_string(), id(4).to_string());
    assert_eq!(found, [(Check::Leaked, leaked.as_str()), (Check::Lost, lost.as_str())]);

    let mut calm = Listing::new(names(&[1]));
    calm.row(id(1), true, false);
    assert!(!calm.is_in_doubt());
}
