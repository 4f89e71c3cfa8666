//! A process is stopped in the middle for longer than its lease, and then goes on as if nothing had been.

use std::time::{Duration, Instant};

use testkit::sim::{How, Verb};
use tokio::time::sleep;

use crate::{
    checked::{emptied, found},
    dice::Dice,
    fleet::{Fleet, LEASE},
    load::Load,
    size::{say, seed, sized},
};

const PROCESSES: usize = 3;
const REST_MAX: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_past_its_lease_a_process_writes_nothing_late() {
    let (began, seed, stops, agents) = (Instant::now(), seed("stops"), sized(5, 50), sized(30, 200));
    let dice = Dice::new(seed);
    let mut fleet = Fleet::start(PROCESSES).await;
    let load = Load::start(&fleet.api, agents, seed);
    for _ in 0..stops {
        sleep(dice.ms(300, 900)).await;
        fleet.raise(false).await;
        let index = dice.below(PROCESSES);
        fleet.processes[index].signal("STOP").await;
        // A health check finds out.
        fleet.rotate(index, false);
        sleep(LEASE + dice.ms(300, 2000)).await;
        fleet.processes[index].signal("CONT").await;
        fleet.rotate(index, true);
    }
    let (promises, acts) = load.end().await;
    found(&fleet, &promises, REST_MAX).await.none(&fleet);
    emptied(&fleet, REST_MAX).await.none(&fleet);
    let (took, made) = (began.elapsed().as_secs_f64(), promises.len());
    say(&format!(
        "stops: {PROCESSES} processes, {agents} agents at a time, {made} in all, {acts} requests, \
         {stops} stops past the lease, 0 leaked, 0 double, 0 lost, 0 stuck, in {took:.0} s"
    ));
}

/// Stopped between its last look at the provider and the making, it makes a machine whose agent has lived and gone
/// meanwhile. No lease can hold that call back. What Berth owes is to find the machine and to tell an operator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_is_made_after_its_agent_was_deleted_is_found() {
    let fleet = Fleet::start(2).await;
    let mut tries = 0;
    while !made_late(&fleet).await {
        tries += 1;
        assert!(tries < 20, "the late call never came: this test shows nothing");
    }
    let swept = fleet.cron("health").await;
    assert_eq!(swept["counts"]["strangers"], 1, "{swept}");
    let told = "select key from alerts where kind = 'machine_mismatch' and closed_at is null";
    assert_eq!(fleet.database.texts(told).await, [format!("machine_mismatch:{}", fleet.simulator.machines()[0].name)]);
}

/// Whether the process made the machine when it went on. It does not if it hears of its lost lease first.
async fn made_late(fleet: &Fleet) -> bool {
    fleet.only(0);
    fleet.simulator.strike(Verb::Leases, How::Late(Duration::from_millis(400)), 1);
    let id = fleet.api.create("scout").await;
    while fleet.simulator.will_strike(Verb::Leases) {
        sleep(Duration::from_millis(2)).await;
    }
    fleet.processes[0].signal("STOP").await;
    fleet.only(1);
    fleet.api.seen(&id, "live", REST_MAX).await.expect("the other process makes it");
    fleet.api.delete(&id).await;
    fleet.api.seen(&id, "gone", REST_MAX).await.expect("the other process removes it");
    assert_eq!(fleet.simulator.machines(), []);

    fleet.processes[0].signal("CONT").await;
    let began = Instant::now();
    while fleet.simulator.machines().is_empty() && began.elapsed() < Duration::from_secs(2) {
        sleep(Duration::from_millis(5)).await;
    }
    !fleet.simulator.machines().is_empty()
}
