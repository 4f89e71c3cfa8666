//! Three processes under load, with and without a pool, and every moment one of them is killed.

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
    let (kills, agents) = (sized(20, 300), sized(30, 200));
    let mut fleet = Fleet::start(PROCESSES).await;
    under_load(&mut fleet, "random kills", agents, kills).await;
    emptied(&fleet, REST_MAX).await.none(&fleet);
}

/// Spares are made, given away and made again while everybody dies. What is left when the pool is switched off is
/// nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_a_pool_gives_no_machine_twice() {
    let (kills, agents) = (sized(15, 200), sized(20, 100));
    let mut fleet = Fleet::start(PROCESSES).await;
    fleet.restart_with(&[("BERTH_POOL_FLOOR", "5"), ("BERTH_POOL_CEILING", "10")]).await;
    fleet.cron("pool").await;
    let (began, ready) = (Instant::now(), "select count(*) from spares where state = 'ready'");
    while fleet.database.count(ready).await < 5 {
        assert!(began.elapsed() < REST_MAX, "the pool does not fill\n{}", fleet.log());
        sleep(Duration::from_millis(50)).await;
    }
    under_load(&mut fleet, "random kills with a pool", agents, kills).await;
    let taken = "select count(*) from machines where claimed_at is not null";
    assert!(fleet.database.count(taken).await > 0, "no spare was taken: this test shows nothing");
    fleet.restart_with(&[("BERTH_POOL_FLOOR", "0"), ("BERTH_POOL_CEILING", "0")]).await;
    fleet.cron("pool").await;
    emptied(&fleet, REST_MAX).await.none(&fleet);
}

async fn under_load(fleet: &mut Fleet, what: &str, agents: usize, kills: usize) {
    let (began, seed) = (Instant::now(), seed(what));
    let dice = Dice::new(seed);
    let load = Load::start(&fleet.api, agents, seed);
    for _ in 0..kills {
        sleep(dice.ms(200, 700)).await;
        fleet.raise(false).await;
        fleet.kill(dice.below(PROCESSES)).await;
    }
    let (promises, acts) = load.end().await;
    found(fleet, &promises, REST_MAX).await.none(fleet);
    let (took, made) = (began.elapsed().as_secs_f64(), promises.len());
    say(&format!(
        "{what}: {PROCESSES} processes, {agents} agents at a time, {made} in all, {acts} requests, \
         {kills} kills, 0 leaked, 0 double, 0 lost, 0 stuck, in {took:.0} s"
    ));
}
