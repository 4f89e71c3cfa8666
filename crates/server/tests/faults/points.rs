//! Berth dies at every generated point, alone and beside two healthy processes, and what it began is finished once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    checked::{Promise, emptied, found},
    fleet::Fleet,
    lanes::lanes,
    paths::{Point, points},
    size::{say, sized},
};

/// Fleets at work at once.
const LANES: usize = 3;
/// Longest until a step is reached.
const REACHED: Duration = Duration::from_secs(6);
/// How often another process may be faster before that is no accident any more.
const TRIES_MAX: usize = 12;
/// Longest until everything rests again.
const REST_MAX: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_point_alone_it_finishes_what_it_began() {
    everywhere(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_point_beside_two_others_they_finish_what_it_began() {
    everywhere(3).await;
}

async fn everywhere(processes: usize) {
    let began = Instant::now();
    let all = points(sized(true, false));
    let count = all.len();
    let points = Arc::new(all);
    lanes(LANES, |first| lane(processes, Arc::clone(&points), first)).await;
    let (took, kind) = (began.elapsed().as_secs_f64(), if processes == 1 { "alone" } else { "beside two others" });
    say(&format!("{kind}: {count} points, {count} deaths, 0 leaked, 0 double, 0 lost, 0 stuck, in {took:.0} s"));
}

/// Every third point, from this one on, in a fleet of its own.
async fn lane(processes: usize, all: Arc<Vec<Point>>, first: usize) {
    let mut fleet = Fleet::start(processes).await;
    for (n, point) in all.iter().enumerate().skip(first).step_by(LANES) {
        one(&mut fleet, point, &format!("p{n}")).await;
    }
    emptied(&fleet, REST_MAX).await.none(&fleet);
}

/// Dies at one point, is started again, and everything is as it was wanted.
async fn one(fleet: &mut Fleet, point: &Point, name: &str) {
    let mut promises = Vec::new();
    for attempt in 0.. {
        assert!(attempt < TRIES_MAX, "{point:?} was not reached\n{}", fleet.log());
        let name = format!("{name}-{attempt}");
        let mut id = point.path.prepare(fleet, &name).await;
        fleet.arm(0, &point.setting()).await;
        // Whoever is asked usually goes on with it; one of the others may be faster, and then another agent is tried.
        fleet.only(0);
        let answered = point.path.act(fleet, &id, &name).await;
        let alone = fleet.processes.len() == 1;
        let dead = fleet.processes[0].crashed(if alone { REACHED } else { REACHED / 4 }).await;
        fleet.all();
        if !dead {
            assert!(!alone, "{point:?} was not reached\n{}", fleet.log());
            fleet.processes[0].kill().await;
        }
        fleet.processes[0].start(None);
        fleet.processes[0].up().await;
        if !answered {
            point.path.insist(fleet, &id, &name).await;
        }
        if point.path.creates() {
            id = fleet.api.create(&name).await;
        }
        let wanted = point.path.end(fleet, &id).await;
        promises.push(Promise { id, wanted });
        if dead {
            break;
        }
    }
    found(fleet, &promises, REST_MAX).await.none(fleet);
    for promise in &promises {
        fleet.api.delete(&promise.id).await;
    }
}
