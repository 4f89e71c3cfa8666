//! Keeps the pool: as many spares as wanted, of the image that is current.

use std::time::Duration;

use app::machines::SPARE;
use serde_json::json;
use store::{flows::Claim, spares::Stock};

use crate::{
    World, deliver,
    outcome::{HouseWrite, Next, Outcome, Step, StepError},
    spare::{self, LOW, RETIRE},
    world::Pool,
};

/// Spares in the making at once: more would only slow each other down.
const MAKING_MAX: i64 = 4;
/// A machine that was just given away takes its first turn before another one is started beside it: on a small host
/// the two would share the processors, and somebody waits for the turn.
const GIVE_WAY: Duration = Duration::from_secs(3);

/// Runs the one step: count, retire what is too much, begin what is missing.
///
/// # Errors
/// [`StepError::Retry`] only.
pub async fn run(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    if claim.overdue {
        let counts = json!({ "error": "the refill did not end in time" });
        return Ok(Outcome::next(Next::Done).house(HouseWrite::JobEnded(claim.subject, counts)));
    }
    let image = &world.machines.image;
    let mut tx = world.db.system().await?;
    let stock = store::spares::stock(&mut tx, image).await?;
    let wanted = wanted(world.machines.pool, &stock);
    let surplus = (stock.ready - wanted).max(0);
    let retired = store::spares::to_retire(&mut tx, image, surplus).await?;
    let troubled = store::alerts::is_open(&mut tx, LOW).await?;
    drop(tx);
    let begin = missing(wanted, &stock, troubled);
    let gave_way = claim.step.get("gave_way").is_some_and(|gave_way| gave_way == true);
    if begin > 0 && stock.given_away_now && !gave_way {
        return Ok(Outcome::next(Next::Wait(counted_after(true), GIVE_WAY)));
    }
    let counts = json!({
        "wanted": wanted, "ready": stock.ready, "making": stock.making, "begun": begin, "retired": retired.len(),
    });
    let mut outcome = if begin > 0 {
        // Counted once more before it ends: somebody may have claimed meanwhile.
        Outcome::next(Next::Wait(counted_after(gave_way), Duration::from_secs(1)))
    } else {
        Outcome::next(Next::Done).house(HouseWrite::JobEnded(claim.subject, counts))
    };
    if !retired.is_empty() {
        outcome = outcome.house(HouseWrite::Signal(SPARE, retired, RETIRE));
    }
    for _ in 0..begin {
        let reservation = deliver::reservation(world, None)?;
        let flow = spare::begin(world, reservation.id);
        outcome = outcome.house(HouseWrite::Reserve(Box::new(reservation))).house(HouseWrite::Start(flow));
    }
    Ok(outcome)
}

/// The same step again. It gives way once: claims that never end must not keep the pool empty.
fn counted_after(gave_way: bool) -> Step {
    Step { name: "count", value: json!({ "step": "count", "gave_way": gave_way }), deadline: None }
}

/// The floor, and as many more as were claimed within ten minutes, up to the ceiling.
fn wanted(pool: Pool, stock: &Stock) -> i64 {
    (i64::from(pool.floor) + stock.claimed).min(i64::from(pool.ceiling.max(pool.floor)))
}

/// How many to begin now. While spares fail, one at a time: a broken image must not burn through machines.
fn missing(wanted: i64, stock: &Stock, troubled: bool) -> i64 {
    let making_max = if troubled { 1 } else { MAKING_MAX };
    (wanted - stock.ready - stock.making).min(making_max - stock.making).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn stock(ready: i64, making: i64, claimed: i64) -> Stock {
        Stock { ready, making, claimed, given_away_now: false }
    }

    #[test]
    fn demand_raises_what_is_wanted_up_to_the_ceiling() {
        let pool = Pool { floor: 2, ceiling: 5 };
        assert_eq!(wanted(pool, &stock(0, 0, 0)), 2);
        assert_eq!(wanted(pool, &stock(0, 0, 2)), 4);
        assert_eq!(wanted(pool, &stock(0, 0, 99)), 5);
        assert_eq!(wanted(Pool { floor: 0, ceiling: 0 }, &stock(3, 0, 99)), 0);
    }

    #[test]
    fn what_is_in_the_making_is_not_begun_again() {
        assert_eq!(missing(3, &stock(1, 2, 0), false), 0);
        assert_eq!(missing(3, &stock(0, 0, 0), false), 3);
        assert_eq!(missing(20, &stock(0, 1, 0), false), 3, "four at once");
        assert_eq!(missing(20, &stock(0, 0, 0), true), 1, "one at a time while they fail");
        assert_eq!(missing(20, &stock(0, 1, 0), true), 0);
        assert_eq!(missing(1, &stock(5, 0, 0), false), 0);
    }
}
