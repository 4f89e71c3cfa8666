//! The process that goes on after a death dies as well, at a second point further along the path.

use std::time::{Duration, Instant};

use flows::CrashPoint;

use crate::{
    checked::{Promise, emptied, found},
    dice::Dice,
    fleet::Fleet,
    lanes::lanes,
    paths::{PATHS, Path, Point},
    size::{say, seed, sized},
};

const LANES: usize = 4;
/// Longest until a point is reached, a lease included.
const REACHED: Duration = Duration::from_secs(20);
const REST_MAX: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_while_it_recovers_it_still_finishes_what_it_began() {
    let (began, seed, faults) = (Instant::now(), seed("double faults"), sized(20, 500));
    lanes(LANES, |n| async move {
        let dice = Dice::new(seed.wrapping_add(u64::try_from(n).unwrap()));
        let mut fleet = Fleet::start(1).await;
        for round in 0..faults / LANES {
            let (first, second) = pair(&dice);
            twice(&mut fleet, &first, &second, &format!("d{round}")).await;
        }
        emptied(&fleet, REST_MAX).await.none(&fleet);
    })
    .await;
    let took = began.elapsed().as_secs_f64();
    let deaths = 2 * (faults / LANES) * LANES;
    say(&format!(
        "double faults: {} pairs, {deaths} deaths, 0 leaked, 0 double, 0 lost, 0 stuck, in {took:.0} s",
        deaths / 2
    ));
}

/// Two points of one path, the second not before the first.
fn pair(dice: &Dice) -> (Point, Point) {
    let path: &Path = dice.one(&PATHS);
    let places: Vec<(&'static str, CrashPoint)> =
        path.steps.iter().flat_map(|step| CrashPoint::EVERY.map(|point| (*step, point))).collect();
    let first = dice.below(places.len() - 1);
    // A step that was settled is over; one that was not is run again and can die at the same place.
    let least = if places[first].1 == CrashPoint::Settled { first + 1 } else { first };
    let second = least + dice.below(places.len() - least);
    let at = |place: usize| Point { path: *path, step: places[place].0, at: places[place].1 };
    (at(first), at(second))
}

async fn twice(fleet: &mut Fleet, first: &Point, second: &Point, name: &str) {
    let mut id = first.path.prepare(fleet, name).await;
    fleet.arm(0, &first.setting()).await;
    let mut answered = first.path.act(fleet, &id, name).await;
    for (point, next) in [(first, Some(second.setting())), (second, None)] {
        assert!(
            fleet.processes[0].crashed(REACHED).await,
            "{first:?}, then {second:?}: {point:?} was not reached\n{}",
            fleet.log()
        );
        fleet.processes[0].start(next.as_deref());
        fleet.processes[0].up().await;
        if !answered {
            answered = first.path.act(fleet, &id, name).await;
        }
    }
    if !answered {
        first.path.insist(fleet, &id, name).await;
    }
    if first.path.creates() {
        id = fleet.api.create(name).await;
    }
    let wanted = first.path.end(fleet, &id).await;
    found(fleet, &[Promise { id: id.clone(), wanted }], REST_MAX).await.none(fleet);
    fleet.api.delete(&id).await;
}
