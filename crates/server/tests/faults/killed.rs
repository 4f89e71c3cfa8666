//! Three processes under load, and every moment one of them is killed.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::{
    checked::{emptied, found},
    dice::Dice,
    fleet::Fleet,
    load::Load,
    size::{say, seed, sized},
};

const PROCESSES: usize = 3;
/// Longest until everything rests after the last death.
const REST_MAX: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_under_load_nothing_is_lost() {
    let (began, seed, kills, agents) = (Instant::now(), seed("random kills"), sized(20, 300), sized(30, 200));
    let dice = Dice::new(seed);
    let mut fleet = Fleet::start(PROCESSES).await;
    let load = Load::start(&fleet.api, agents, seed);
    for _ in 0..kills {
        sleep(dice.ms(200, 700)).await;
        fleet.raise(false).await;
        fleet.kill(dice.below(PROCESSES)).await;
    }
    let (promises, acts) = load.end().await;
    found(&fleet, &promises, REST_MAX).await.none(&fleet);
    emptied(&fleet, REST_MAX).await.none(&fleet);
    let (took, made) = (began.elapsed().as_secs_f64(), promises.len());
    say(&format!(
        "random kills: {PROCESSES} processes, {agents} agents at a time, {made} in all, {acts} requests, \
         {kills} kills, 0 leaked, 0 double, 0 lost, 0 stuck, in {took:.0} s"
    ));
}
