//! Takes due flows, runs one step of each, writes down what came of it.
//!
//! No database transaction is open while a step talks to the outside world. The
//! lease is short and kept alive while the step runs, so that a killed process
//! is relieved within [`RunnerOptions::lease`]; whoever lost a lease moves
//! nothing on, because settling brings the lease's token. (Two rows are written
//! before their effect, by the step itself: a configuration's fence and a
//! proof's nonce. Both carry an identity and may be written twice.)

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::timeline::Happening;
use futures::future::BoxFuture;
use metrics::{counter, histogram};
use store::{StoreError, flows::Claim};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use crate::{
    World, exchange, life,
    outcome::{Next, Outcome, Step, StepError, TenantWrite, write_house, write_tenant},
    refill, retention,
    seats::{Seat, Seats},
    settler::{Settler, alone, moved, to},
    spare, sweep,
};

/// No step runs longer; the longest is a turn, which the guest ends after 90 s.
const STEP_MAX: Duration = Duration::from_secs(110);

/// Where the process dies on purpose, for the tests that kill Berth at every step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashAt {
    /// Name of the step.
    pub step: String,
    /// At which point of it.
    pub point: CrashPoint,
}

/// The points of a step between which the world differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// Claimed; nothing was done.
    Claimed,
    /// Done outside; nothing was written down.
    Done,
    /// Written down.
    Settled,
}

impl CrashPoint {
    /// Every point once.
    pub const EVERY: [Self; 3] = [Self::Claimed, Self::Done, Self::Settled];

    /// The word in `BERTH_CRASH_AT`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Done => "done",
            Self::Settled => "settled",
        }
    }
}

/// What a worker does with a claimed flow.
pub type Behaviour = for<'a> fn(&'a World, &'a Claim) -> BoxFuture<'a, Result<Outcome, StepError>>;

/// How a runner works.
#[derive(Debug, Clone)]
pub struct RunnerOptions {
    /// A process that dies is relieved after this; kept alive every third of it.
    pub lease: Duration,
    /// Steps at once.
    pub steps_max: usize,
    /// The net below all wake-ups: due flows are looked for at least this often.
    pub poll: Duration,
    /// Where to die, in tests.
    pub crash_at: Option<CrashAt>,
    /// The catalogue's kinds, [`behaviour`]. Another one measures the engine by itself.
    pub behaviour: Behaviour,
}

impl Default for RunnerOptions {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), steps_max: 32, poll: Duration::from_secs(1), crash_at: None, behaviour }
    }
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// The step ended and was written down.
    Step,
    /// It failed and will be tried again.
    Failed,
    /// The lease was lost: nothing was written, the work belongs to another worker.
    LostLease,
}

impl Ran {
    /// The word in metrics.
    const fn word(self) -> &'static str {
        match self {
            Self::Step => "well",
            Self::Failed => "again",
            Self::LostLease => "lost",
        }
    }
}

/// Runs flows until `stop`; steps under way are given time to end.
pub async fn run(world: World, options: RunnerOptions, stop: CancellationToken) {
    let seats = Seats::new(options.steps_max);
    let settler = Arc::new(Settler::start(world.clone()));
    let tasks = TaskTracker::new();
    while !stop.is_cancelled() {
        // With every seat taken there is nothing to claim for: wait for one instead of asking the database.
        tokio::select! {
            () = stop.cancelled() => break,
            () = seats.one_is_free() => {}
        }
        let claimed = match claim(&world, &options, &seats).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "flows cannot be claimed");
                Vec::new()
            }
        };
        world.db.set_sated(seats.are_taken());
        let found = !claimed.is_empty();
        for (claim, seat) in claimed {
            let (world, options, settler) = (world.clone(), options.clone(), Arc::clone(&settler));
            let span = tracing::info_span!("step", flow = %claim.flow, kind = %claim.kind, step = name(&claim.step));
            if let Some(trace) = &claim.trace {
                (world.adopt)(&span, trace);
            }
            tasks.spawn(async move {
                drive(&world, &options, Some(&settler), claim).instrument(span).await;
                drop(seat);
                world.db.set_sated(false);
            });
        }
        if !found {
            tokio::select! {
                () = stop.cancelled() => {}
                () = world.db.work() => {}
                () = tokio::time::sleep(sleep(&world, options.poll).await) => {}
            }
        }
    }
    world.db.set_sated(true);
    tasks.close();
    tasks.wait().await;
}

/// Runs every flow that is due now, one step each, one after the other. For tests, which move the clock.
///
/// # Errors
/// The database, when claiming.
pub async fn run_due(world: &World, options: &RunnerOptions) -> Result<Vec<Ran>, StoreError> {
    let seats = Seats::new(options.steps_max);
    let mut ran = Vec::new();
    for (claim, _seat) in claim(world, options, &seats).await? {
        ran.push(drive(world, options, None, claim).await);
    }
    Ok(ran)
}

async fn claim(world: &World, options: &RunnerOptions, seats: &Seats) -> Result<Vec<(Claim, Seat)>, StoreError> {
    let free = seats.free();
    if free.is_empty() {
        return Ok(Vec::new());
    }
    let asked = store::flows::Seats {
        token: world.entropy.uuid(),
        lease: options.lease,
        free: i64::try_from(free.len()).unwrap_or(1),
        held: &seats.held(),
        share: seats.share,
    };
    let mut tx = world.db.system().await?;
    let claims = store::flows::claim(&mut tx, &asked).await?;
    tx.commit().await?;
    Ok(claims
        .into_iter()
        .zip(free)
        .map(|(claim, permit)| {
            let seat = seats.take(claim.tenant, permit);
            (claim, seat)
        })
        .collect())
}

async fn sleep(world: &World, longest: Duration) -> Duration {
    let next = async {
        let mut tx = world.db.system().await?;
        store::flows::next_due(&mut tx, longest).await
    };
    // Never zero: a due flow that could not be claimed is another worker's.
    next.await.unwrap_or(longest).max(Duration::from_millis(20))
}

async fn drive(world: &World, options: &RunnerOptions, settler: Option<&Settler>, claim: Claim) -> Ran {
    let began = Instant::now();
    let (kind, step) = (claim.kind.clone(), name(&claim.step).to_owned());
    let ran = drive_uncounted(world, options, settler, claim).await;
    let labels = [("kind", kind.clone()), ("step", step.clone()), ("ended", ran.word().to_owned())];
    counter!("berth_steps_total", &labels).increment(1);
    histogram!("berth_step_seconds", "kind" => kind, "step" => step).record(began.elapsed().as_secs_f64());
    ran
}

async fn drive_uncounted(world: &World, options: &RunnerOptions, settler: Option<&Settler>, claim: Claim) -> Ran {
    die_at(options, &claim, CrashPoint::Claimed);
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(STEP_MAX, (options.behaviour)(world, &claim)) => {
            outcome.unwrap_or_else(|_| Err(StepError::retry(format!("the step took longer than {} s", STEP_MAX.as_secs()))))
        }
        () = keep_lease(world, options.lease, &claim) => {
            tracing::warn!("the lease was lost; another worker goes on");
            return Ran::LostLease;
        }
    };
    die_at(options, &claim, CrashPoint::Done);
    match settle(world, settler, &claim, outcome).await {
        Ok(ran) => {
            die_at(options, &claim, CrashPoint::Settled);
            ran
        }
        Err(error) => {
            // The lease runs out and the step runs again: that is what steps are made for.
            tracing::warn!(error = &error as &dyn std::error::Error, "a step could not be written down");
            Ran::LostLease
        }
    }
}

/// Ends the process as `kill -9` would: nothing is unwound, flushed or told.
fn die_at(options: &RunnerOptions, claim: &Claim, point: CrashPoint) {
    if options.crash_at.as_ref().is_some_and(|crash| crash.point == point && crash.step == name(&claim.step)) {
        std::process::abort();
    }
}

/// Runs one step of any kind that this build knows.
///
/// # Errors
/// [`StepError`]; a kind that it does not know is tried again, for a newer build to take.
#[must_use]
pub fn behaviour<'a>(world: &'a World, claim: &'a Claim) -> BoxFuture<'a, Result<Outcome, StepError>> {
    Box::pin(step(world, claim))
}

async fn step(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    match claim.kind.as_str() {
        app::agents::LIFE => life::run(world, claim).await,
        app::exchanges::EXCHANGE => exchange::run(world, claim).await,
        app::jobs::SWEEP => sweep::run(world, claim).await,
        sweep::SLICE => sweep::run_slice(world, claim).await,
        app::jobs::REFILL => refill::run(world, claim).await,
        app::jobs::RETENTION => retention::run(world, claim).await,
        app::machines::SPARE => spare::run(world, claim).await,
        app::keys::ROTATION => crate::rotation::run(world, claim).await,
        app::tenants::ERASURE => crate::erasure::run(world, claim).await,
        app::members::INVITATION => crate::invitation::run(world, claim).await,
        app::alerts::NOTICE => crate::notice::run(world, claim).await,
        app::reconciliation::RECONCILIATION => crate::reconciliation::run(world, claim).await,
        app::billing::BILLING => crate::billing::run(world, claim).await,
        app::events::EVENT => crate::event::run(world, claim).await,
        app::letters::LETTER => crate::letter::run(world, claim).await,
        other => Err(StepError::retry(format!("this build knows no flow of kind {other}"))),
    }
}

/// Returns once the lease is lost.
async fn keep_lease(world: &World, lease: Duration, claim: &Claim) {
    loop {
        tokio::time::sleep(lease / 3).await;
        let renewed = async {
            let mut tx = world.db.system().await?;
            let kept = store::flows::renew(&mut tx, claim, lease).await?;
            tx.commit().await?;
            Ok::<_, StoreError>(kept)
        };
        match renewed.await {
            Ok(true) => {}
            Ok(false) => return,
            // A database that is away for a moment decides nothing: the token will.
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "a lease could not be renewed"),
        }
    }
}

async fn settle(
    world: &World,
    settler: Option<&Settler>,
    claim: &Claim,
    outcome: Result<Outcome, StepError>,
) -> Result<Ran, StoreError> {
    let (outcome, ran) = match outcome {
        Ok(outcome) => (outcome, Ran::Step),
        Err(error) => (again(world, claim, &error), Ran::Failed),
    };
    if let Some(settler) = settler
        && let Some(left) = alone(claim, &outcome, ran)
    {
        let kept = settler.settle(claim.clone(), left).await?;
        return Ok(if kept { ran } else { Ran::LostLease });
    }
    let mut tx = world.db.system().await?;
    let kept = match &outcome.next {
        Next::Done => store::flows::finish(&mut tx, claim, outcome.result.as_ref()).await?,
        Next::Go(step) => store::flows::settle(&mut tx, claim, &to(claim, step, Duration::ZERO, ran, &outcome)).await?,
        Next::Wait(step, pause) => {
            store::flows::settle(&mut tx, claim, &to(claim, step, *pause, ran, &outcome)).await?
        }
    };
    if !kept {
        return Ok(Ran::LostLease);
    }
    if let Next::Go(next) | Next::Wait(next, _) = &outcome.next
        && moved(claim, next)
        && next.name != "failed"
    {
        let took = (store::house::now(&mut tx).await? - claim.step_since).to_std().unwrap_or_default();
        store::history::record_run(&mut tx, &claim.kind, name(&claim.step), took).await?;
    }
    for write in &outcome.house {
        write_house(&mut tx, world, (claim.flow, claim.tenant), write).await?;
    }
    match claim.tenant {
        Some(tenant) if !outcome.tenant.is_empty() => {
            let mut tx = tx.into_tenant(tenant).await?;
            for write in &outcome.tenant {
                write_tenant(&mut tx, write).await?;
            }
            tx.commit().await?;
        }
        _ => tx.commit().await?,
    }
    Ok(ran)
}

/// The same step once more, later and later, said on the timeline at the first, second, fourth, eighth … time.
fn again(world: &World, claim: &Claim, error: &StepError) -> Outcome {
    tracing::warn!(
        attempt = claim.attempt,
        step = name(&claim.step),
        error = error as &dyn std::error::Error,
        "a step will be tried again"
    );
    let stay = Step { name: "", value: claim.step.clone(), deadline: None };
    let outcome = Outcome::next(Next::Wait(stay, backoff(world, claim.attempt)));
    let why = match error {
        StepError::Retry { why } | StepError::Stuck { why, .. } => why.clone(),
        StepError::Store(_) => "the database did not answer".to_owned(),
    };
    let attempt = u32::try_from(claim.attempt).unwrap_or(1);
    if claim.kind == app::agents::LIFE && attempt.is_power_of_two() {
        let said = Happening::StepRetried { step: name(&claim.step).to_owned(), why, attempt: claim.attempt };
        return outcome.tenant(TenantWrite::Say(domain::AgentId::from_uuid(claim.subject), vec![said]));
    }
    outcome
}

/// 1 s, 2 s, 4 s … up to a minute, less up to a quarter so that many do not come back at once.
fn backoff(world: &World, attempt: i32) -> Duration {
    let exponent = u32::try_from(attempt - 1).unwrap_or(0).min(6);
    let whole = Duration::from_secs(2_u64.pow(exponent)).min(Duration::from_mins(1));
    let mut random = [0];
    world.entropy.fill(&mut random);
    whole.mul_f64(1.0 - f64::from(random[0]) / 1024.0)
}

/// The word of a stored step.
pub(crate) fn name(step: &serde_json::Value) -> &str {
    step.get("step").and_then(serde_json::Value::as_str).unwrap_or_default()
}
