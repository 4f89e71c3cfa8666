//! Three processes and a pool before one real daemon: killed at random, no machine is lost, doubled or given twice.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use domain::machine::MachineName;
use tokio::{process::Child, time::sleep};

use crate::{berth::Berth, curl::Curl, hardened, setting::say};

const POOL: [(&str, &str); 2] = [("BERTH_POOL_FLOOR", "2"), ("BERTH_POOL_CEILING", "2")];
const NO_POOL: [(&str, &str); 1] = [("BERTH_POOL_FLOOR", "0")];
/// Longest until the pool is full, on two cores.
const FULL_MAX: Duration = Duration::from_mins(4);

/// Two spares are ready, three agents are asked for at once, and until all three are live somebody dies every second.
#[tokio::test]
#[ignore = "needs a daemon, an image and a browser: scripts/test e2e runs it"]
async fn three_processes_are_killed_at_random_before_the_real_daemon() {
    let mut berth = Berth::fresh().await;
    berth.start(&POOL).await;
    let token = berth.token("captain@example.org", true).await;
    let api = berth.api(&token);
    let mut workers = [berth.worker(&POOL), berth.worker(&POOL)];
    let spares = full(&berth).await;
    say(&format!("{} spares are ready", spares.len()));

    let began = Instant::now();
    let mut agents = Vec::new();
    for name in ["scout", "baker", "cook"] {
        agents.push(berth.create(&api, name).await);
    }
    for death in 0..12 {
        sleep(Duration::from_millis(300 + 137 * death % 900)).await;
        match death % 3 {
            2 => {
                berth.kill().await;
                berth.start(&POOL).await;
            }
            worker => again(&berth, &mut workers[usize::try_from(worker).unwrap()]).await,
        }
    }
    for id in &agents {
        let agent = berth.seen(&api, id, "live").await;
        assert_eq!(agent["proof"]["ok"], true, "{agent}");
    }
    say(&format!("three are live after 12 deaths and {:.0} s", began.elapsed().as_secs_f64()));
    let theirs = machines_of(&berth, &api, &agents).await;
    assert_eq!(theirs.iter().collect::<BTreeSet<_>>().len(), 3, "each has a machine of its own: {theirs:?}");
    assert!(spares.iter().all(|spare| theirs.contains(spare)), "the spares were taken: {spares:?} {theirs:?}");
    full(&berth).await;
    hardened::each(&berth.machines(), 5).await;
    berth.verified().await;

    for worker in &mut workers {
        worker.kill().await.unwrap();
    }
    berth.end().await;
    berth.start(&NO_POOL).await;
    for id in &agents {
        assert_eq!(api.delete(&format!("/api/v1/agents/{id}")).await.status, 202);
    }
    let began = Instant::now();
    while berth.database.count("select count(*) from machines where state <> 'gone'").await > 0 {
        assert!(began.elapsed() < FULL_MAX, "machines left\n{}", berth.log());
        sleep(Duration::from_millis(250)).await;
    }
    let began = Instant::now();
    while berth.database.count("select count(*) from agents").await > 0 && began.elapsed() < FULL_MAX {
        sleep(Duration::from_millis(100)).await;
    }
    berth.nothing_left().await;
    berth.verified().await;
    berth.end().await;
}

/// A worker is killed and another one started in its place.
async fn again(berth: &Berth, worker: &mut Child) {
    worker.kill().await.unwrap();
    *worker = berth.worker(&POOL);
}

/// Waits until two spares are ready; their machines' names.
async fn full(berth: &Berth) -> Vec<String> {
    let began = Instant::now();
    loop {
        let ready = berth.database.texts("select machine_id::text from spares where state = 'ready'").await;
        if ready.len() == 2 {
            let name = |id: &String| MachineName::of(domain::MachineId::from_uuid(id.parse().unwrap())).to_string();
            return ready.iter().map(name).collect();
        }
        assert!(began.elapsed() < FULL_MAX, "the pool is not full: {ready:?}\n{}", berth.log());
        sleep(Duration::from_millis(250)).await;
    }
}

async fn machines_of(berth: &Berth, api: &Curl, agents: &[String]) -> Vec<String> {
    let there: BTreeSet<String> = berth.machines().list().await.into_iter().map(|one| one.name.to_string()).collect();
    let mut names = Vec::new();
    for id in agents {
        let agent = api.get(&format!("/api/v1/agents/{id}")).await.expect(200);
        let id: domain::MachineId = agent["machine"]["id"].as_str().unwrap().parse().unwrap();
        let name = MachineName::of(id).to_string();
        assert!(there.contains(&name), "{name} is at the daemon: {there:?}");
        names.push(name);
    }
    names
}
