//! A process is stopped in the middle for longer than its lease, and then goes on as if nothing had been.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::{
    checked::{emptied, found},
    dice::Dice,
    fleet::{Fleet, LEASE},
    load::Load,
    size::{say, seed, sized},
};

const PROCESSES: usize = 3;
const REST_MAX: Duration = Duration::from_secs(120);

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
