//! What must hold once everything rests, whatever happened before: nothing leaked, doubled, lost or stuck.
//!
//! Three witnesses are compared: what the client was promised, what the database
//! says, and what the simulator's ledger says was done.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, Instant},
};

use domain::AgentId;
use testkit::sim::Effect;
use tokio::time::sleep;

use crate::fleet::Fleet;

/// What a client was told of one agent, and wants of it.
#[derive(Debug, Clone)]
pub(crate) struct Promise {
    pub(crate) id: String,
    pub(crate) wanted: Wanted,
}

/// What a client wanted last, and was told it would get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Running,
    Stopped,
    Gone,
}

/// What was found. Each line is one fault, in words.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Machines that nobody pays for, or that outlived their agent.
    pub(crate) leaked: Vec<String>,
    /// What was done twice.
    pub(crate) double: Vec<String>,
    /// What was promised and is not there.
    pub(crate) lost: Vec<String>,
    /// What does not come to rest where it was wanted.
    pub(crate) stuck: Vec<String>,
}

impl Found {
    /// Ends the test, with the logs, unless there is nothing.
    pub(crate) fn none(&self, fleet: &Fleet) {
        let clean = self.leaked.is_empty() && self.double.is_empty() && self.lost.is_empty() && self.stuck.is_empty();
        assert!(clean, "{self}: {self:#?}\n{}", fleet.log());
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leaked, double, lost, stuck } = self;
        write!(f, "{} leaked, {} double, {} lost, {} stuck", leaked.len(), double.len(), lost.len(), stuck.len())
    }
}

/// Flows that do not rest where their agent was wanted, or have something left to do.
const RESTLESS: &str = "
    select f.kind || ' of ' || f.subject || ' at ' || f.step::text || ', attempt ' || f.attempt
           || coalesce(', wanted ' || a.wanted, '') || coalesce(', under a lease until ' || f.lease_until, '')
    from flows f left join agents a on a.id = f.subject
    where f.lease_until is not null
       or exists (select from flow_signals s where s.flow_id = f.id)
       or case f.kind
              when 'life' then f.run_at < now() + interval '1 minute'
                   or (f.step ->> 'step', a.wanted) not in
                      (('live', 'running'), ('stopped', 'stopped'))
              when 'spare' then f.step ->> 'step' <> 'ready'
              when 'exchange' then f.step ->> 'step' <> 'forget'
              else true
          end";

/// Waits until every flow rests, at most this long, and looks at everything.
pub(crate) async fn found(fleet: &Fleet, promises: &[Promise], longest: Duration) -> Found {
    let began = Instant::now();
    let mut stuck = fleet.database.texts(RESTLESS).await;
    while !stuck.is_empty() && began.elapsed() < longest {
        sleep(Duration::from_millis(100)).await;
        stuck = fleet.database.texts(RESTLESS).await;
    }
    let mut found = Found { stuck, ..Found::default() };
    machines(fleet, &mut found).await;
    agents(fleet, promises, &mut found).await;
    ledger(fleet, &mut found).await;
    verify(fleet, &mut found).await;
    found
}

/// Wants every agent gone and looks that nothing of them is left, anywhere.
pub(crate) async fn emptied(fleet: &Fleet, longest: Duration) -> Found {
    for id in fleet.database.texts("select id::text from agents").await {
        fleet.api.delete(&AgentId::from_uuid(id.parse().unwrap()).to_string()).await;
    }
    let mut found = found(fleet, &[], longest).await;
    for (what, statement) in [
        ("agents", "select id::text from agents"),
        ("flows", "select kind || ' ' || subject || ' ' || step::text from flows where kind = 'life'"),
        ("alerts", "select key || ': ' || message from alerts where closed_at is null"),
    ] {
        let left = fleet.database.texts(statement).await;
        found.stuck.extend(left.into_iter().map(|one| format!("{what} left: {one}")));
    }
    found.leaked.extend(fleet.simulator.machines().into_iter().map(|machine| format!("{} is left", machine.name)));
    found
}

/// The simulator's machines are the living rows, and have power where their agent is live.
async fn machines(fleet: &Fleet, found: &mut Found) {
    let rows = fleet.database.texts(
        "select 'berth-' || replace(m.id::text, '-', '') || ' ' || m.state || ' ' || coalesce(f.step ->> 'step', '')
         from machines m left join flows f on f.kind = 'life' and f.subject = m.agent_id
         where m.gone_at is null",
    );
    let rows = rows.await;
    let rows: BTreeMap<&str, (&str, &str)> = rows
        .iter()
        .map(|row| {
            let mut words = row.splitn(3, ' ');
            let mut word = || words.next().unwrap_or_default();
            (word(), (word(), word()))
        })
        .collect();
    let there: BTreeMap<String, bool> =
        fleet.simulator.machines().into_iter().map(|machine| (machine.name, machine.running)).collect();
    for (name, running) in &there {
        match rows.get(name.as_str()) {
            None => found.leaked.push(format!("{name} is at the provider and no living row knows it")),
            Some((_, "live")) if !running => found.lost.push(format!("{name} has no power and its agent is live")),
            Some((_, "stopped")) if *running => {
                found.leaked.push(format!("{name} has power and its agent is stopped"));
            }
            Some(_) => {}
        }
    }
    let gone = rows.iter().filter(|(name, (state, _))| *state == "made" && !there.contains_key(**name));
    found.lost.extend(gone.map(|(name, _)| format!("{name} is made, says its row, and is not at the provider")));
}

/// Every promise is kept, and whoever is live was proved.
async fn agents(fleet: &Fleet, promises: &[Promise], found: &mut Found) {
    for Promise { id, wanted } in promises {
        let seen = fleet.api.agent(id).await;
        let state = seen.as_ref().map(|agent| agent["seen"]["state"].as_str().unwrap_or_default());
        match (wanted, state) {
            (Wanted::Running, Some("live")) | (Wanted::Stopped, Some("stopped")) | (Wanted::Gone, None) => {}
            (Wanted::Gone, Some(state)) => found.stuck.push(format!("{id} was deleted and is seen {state}")),
            (_, None) => found.lost.push(format!("{id} was created and is not there")),
            (wanted, Some(state)) => found.stuck.push(format!("{id} is wanted {wanted:?} and seen {state}")),
        }
    }
    let unproved = "select a.id::text from agents a
                    where a.seen ->> 'state' = 'live' and coalesce(a.proof ->> 'ok', '') <> 'true'";
    let unproved = fleet.database.texts(unproved).await;
    found.lost.extend(unproved.into_iter().map(|id| format!("{id} is live and has no proof")));
}

/// What Berth's own `berth verify` has to say, in a build that has it.
async fn verify(fleet: &Fleet, found: &mut Found) {
    let run = async |arguments: &[&str]| fleet.processes[0].command(arguments).output().await.unwrap();
    if !run(&["verify", "--help"]).await.status.success() {
        return;
    }
    let said = run(&["verify", "--json", "--grace-seconds", "10"]).await;
    if !said.status.success() {
        let (out, error) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        found.stuck.push(format!("berth verify: {}: {out}{error}", said.status));
    }
}

/// No name was made or deleted twice, no agent had two machines.
async fn ledger(fleet: &Fleet, found: &mut Found) {
    let (mut once, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for entry in fleet.simulator.ledger() {
        if matches!(entry.effect, Effect::Create | Effect::Delete) && !once.insert((entry.name.clone(), entry.effect)) {
            twice.insert(format!(
                "{} of {}",
                if entry.effect == Effect::Create { "creation" } else { "deletion" },
                entry.name
            ));
        }
    }
    found.double.extend(twice);
    let two = "select agent_id::text from machines where agent_id is not null
               group by agent_id having count(*) > 1";
    let two = fleet.database.texts(two).await;
    found.double.extend(two.into_iter().map(|agent| format!("agent {agent} had two machines")));
}
