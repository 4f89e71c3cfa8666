//! The queue in SQL does what the queue in `domain::queue` means: the same operations, the same rows after each.
//!
//! Sequences are drawn from a seed. One that disagrees is made shorter before
//! it is shown: what can be left out is left out. `BERTH_SEED` runs one seed.

use std::{collections::BTreeMap, time::Duration};

use domain::{
    FlowId, TenantId,
    queue::{self, Millis, Queue, Row},
};
use sqlx::{AssertSqlSafe, Row as _};
use store::{
    flows::{self, NewFlow},
    settling,
};
use testkit::{Database, Seeded};
use uuid::Uuid;

const FLOWS: u32 = 4;
const WORDS: [&str; 3] = ["prove", "look", "wanted"];
const CASES: u64 = 40;
const OPERATIONS: usize = 60;

/// What may be done to the queue. Claims are named by their order, so that stale ones are used too.
#[derive(Debug, Clone)]
enum Operation {
    Start {
        flow: u64,
        deadline: Option<u32>,
    },
    Signal {
        flow: u64,
        word: &'static str,
        by_house: bool,
    },
    AskRemoval {
        flow: u64,
    },
    Claim {
        limit: i64,
        lease: u32,
    },
    Renew {
        claim: usize,
        lease: u32,
    },
    Settle {
        claim: usize,
        step: u32,
        pause: u32,
        moved: bool,
        deadline: Option<u32>,
        failed: bool,
        heard: bool,
        together: bool,
    },
    Finish {
        claim: usize,
        together: bool,
    },
    Clock {
        seconds: i64,
    },
}

struct Dice(Seeded);

impl Dice {
    fn below(&self, bound: u32) -> u32 {
        use domain::Entropy as _;
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_le_bytes(bytes) % bound
    }

    fn word(&self) -> &'static str {
        WORDS.get(self.below(3) as usize).copied().unwrap_or_default()
    }

    fn operation(&self) -> Operation {
        let flow = u64::from(self.below(FLOWS));
        let claim = self.below(12) as usize;
        let deadline = (self.below(2) == 0).then(|| 1 + self.below(30));
        match self.below(16) {
            0 | 1 => Operation::Start { flow, deadline },
            2 | 3 => Operation::Signal { flow, word: self.word(), by_house: self.below(2) == 0 },
            4 => Operation::AskRemoval { flow },
            5..=8 => Operation::Claim { limit: i64::from(self.below(4)), lease: 1 + self.below(10) },
            9 => Operation::Renew { claim, lease: 1 + self.below(10) },
            10..=12 => Operation::Settle {
                claim,
                step: self.below(3),
                pause: self.below(3) * 5,
                moved: self.below(2) == 0,
                deadline,
                failed: self.below(3) == 0,
                heard: self.below(2) == 0,
                together: self.below(2) == 0,
            },
            13 if self.below(3) == 0 => Operation::Finish { claim, together: self.below(2) == 0 },
            // Mostly on, sometimes back: the database's clock is set by others.
            _ => Operation::Clock { seconds: i64::from(self.below(14)) - 3 },
        }
    }
}

/// Both queues side by side.
struct Twins<'a> {
    database: &'a Database,
    tenant: TenantId,
    model: Queue<u32>,
    claims: Vec<(flows::Claim, queue::Claim<u32>)>,
    now: Millis,
    tokens: u64,
}

impl Twins<'_> {
    /// One operation on both. The text says where they disagree.
    async fn run(&mut self, operation: &Operation) -> Result<(), String> {
        let db = &self.database.db;
        match *operation {
            Operation::Start { flow, deadline } => {
                let mut tx = db.tenant(self.tenant).await.unwrap();
                let new = NewFlow {
                    id: FlowId::from_uuid(uuid(flow)),
                    kind: "life",
                    subject: uuid(flow),
                    step: step(0),
                    deadline: deadline.map(seconds),
                };
                flows::start(&mut tx, &new).await.unwrap();
                tx.commit().await.unwrap();
                self.model.start(flow, 0, deadline.map(millis), self.now);
            }
            Operation::Signal { flow, word, by_house } => {
                if by_house {
                    let mut tx = db.system().await.unwrap();
                    flows::signal_house(&mut tx, "life", &[uuid(flow)], word).await.unwrap();
                    tx.commit().await.unwrap();
                } else {
                    let mut tx = db.tenant(self.tenant).await.unwrap();
                    flows::signal(&mut tx, "life", uuid(flow), word).await.unwrap();
                    tx.commit().await.unwrap();
                }
                self.model.signal(flow, word, self.now);
            }
            Operation::AskRemoval { flow } => {
                let mut tx = db.tenant(self.tenant).await.unwrap();
                flows::ask_removal(&mut tx, "life", uuid(flow)).await.unwrap();
                tx.commit().await.unwrap();
                self.model.ask_removal(flow, self.now);
            }
            Operation::Claim { limit, lease } => return self.claim(limit, lease).await,
            Operation::Renew { claim, lease } => {
                let Some((real, meant)) = self.claims.get(claim) else { return Ok(()) };
                let mut tx = db.system().await.unwrap();
                let kept = flows::renew(&mut tx, real, seconds(lease)).await.unwrap();
                tx.commit().await.unwrap();
                return agree("renew", kept, self.model.renew(meant, millis(lease), self.now));
            }
            Operation::Settle { claim, step: to, pause, moved, deadline, failed, heard, together } => {
                let Some((real, meant)) = self.claims.get(claim) else { return Ok(()) };
                let left = flows::Settle {
                    step: step(to),
                    pause: seconds(pause),
                    moved,
                    deadline: deadline.map(seconds),
                    failed,
                    heard,
                };
                let mut tx = db.system().await.unwrap();
                let kept = if together {
                    settling::settle_all(&mut tx, &[(real, &left)]).await.unwrap().contains(&real.flow)
                } else {
                    flows::settle(&mut tx, real, &left).await.unwrap()
                };
                tx.commit().await.unwrap();
                let left = queue::Settle {
                    step: to,
                    pause: millis(pause),
                    moved,
                    deadline: deadline.map(millis),
                    failed,
                    heard,
                };
                return agree("settle", kept, self.model.settle(meant, &left, self.now));
            }
            Operation::Finish { claim, together } => {
                let Some((real, meant)) = self.claims.get(claim) else { return Ok(()) };
                let mut tx = db.system().await.unwrap();
                let kept = if together {
                    settling::finish_all(&mut tx, &[real]).await.unwrap().contains(&real.flow)
                } else {
                    flows::finish(&mut tx, real, None).await.unwrap()
                };
                tx.commit().await.unwrap();
                return agree("finish", kept, self.model.finish(meant));
            }
            Operation::Clock { seconds } => {
                self.now += seconds * 1000;
                set_clock(self.database, self.now).await;
            }
        }
        Ok(())
    }

    /// Which of the due ones are taken first is Postgres's choice; that they are due and enough is not.
    async fn claim(&mut self, limit: i64, lease: u32) -> Result<(), String> {
        self.tokens += 1;
        let mut tx = self.database.db.system().await.unwrap();
        let (worker, length) = (uuid(self.tokens), seconds(lease));
        // Fairness is not compared: whatever is due may be taken.
        let seats = flows::Seats { token: worker, lease: length, free: limit, held: &[], share: i32::MAX };
        let taken = flows::claim(&mut tx, &seats).await.unwrap();
        tx.commit().await.unwrap();
        let due = self.model.due(self.now);
        let some = usize::try_from(limit).unwrap().min(due.len()).min(1);
        if taken.len() < some || taken.len() > usize::try_from(limit).unwrap() {
            return Err(format!("claimed {} of at most {limit}, where {due:?} are due", taken.len()));
        }
        for real in taken {
            let flow = number(real.flow.uuid());
            let seen = due.iter().find(|seen| seen.flow == flow).cloned();
            let Some(meant) = seen.and_then(|seen| self.model.claim(seen, self.tokens, millis(lease), self.now)) else {
                return Err(format!("claimed {flow}, where {due:?} are due"));
            };
            let words = |claim: &flows::Claim| claim.signals.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
            let mut meant_words: Vec<_> = meant.signals.iter().map(|(word, seq)| (*seq, (*word).to_owned())).collect();
            meant_words.sort();
            agree("words", words(&real), meant_words.into_iter().map(|(_, word)| word).collect())?;
            agree("attempt", real.attempt, meant.attempt)?;
            agree("overdue", real.overdue, meant.overdue)?;
            agree("removal_asked", real.removal_asked, meant.removal_asked)?;
            agree("step", real.step.clone(), step(meant.step))?;
            self.claims.push((real, meant));
        }
        Ok(())
    }

    async fn compare(&self) -> Result<(), String> {
        let rows = rows(self.database).await;
        // How often something was asked is numbered by each in its own way; what was asked is not.
        let plain =
            |row: &Row<u32>| Row { signals: row.signals.keys().map(|word| (*word, 0)).collect(), ..row.clone() };
        let meant: BTreeMap<u64, Row<u32>> = self.model.rows().iter().map(|(flow, row)| (*flow, plain(row))).collect();
        agree("rows", rows, meant)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "both are made for this call")]
fn agree<T: PartialEq + std::fmt::Debug>(what: &str, real: T, meant: T) -> Result<(), String> {
    if real == meant { Ok(()) } else { Err(format!("{what}: Postgres has {real:?}, the model {meant:?}")) }
}

fn step(word: u32) -> serde_json::Value {
    serde_json::json!({ "step": word.to_string() })
}

fn uuid(number: u64) -> Uuid {
    Uuid::from_u128(u128::from(number))
}

fn number(uuid: Uuid) -> u64 {
    u64::try_from(uuid.as_u128()).unwrap()
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

fn millis(seconds: u32) -> Millis {
    i64::from(seconds) * 1000
}

async fn set_clock(database: &Database, now: Millis) {
    database.sql(&format!("update berth.test_clock set at = to_timestamp({now} / 1000.0)")).await;
}

async fn rows(database: &Database) -> BTreeMap<u64, Row<u32>> {
    let ms = |column: &str| format!("(extract(epoch from {column}) * 1000)::bigint");
    let statement = format!(
        "select id, (step ->> 'step')::int4, {}, {}, {}, lease_token, attempt, wakes, {}, removal_asked,
                array(select signal from flow_signals where flow_id = flows.id)
         from flows",
        ms("step_since"),
        ms("run_at"),
        ms("lease_until"),
        ms("deadline_at"),
    );
    let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(&database.root).await.unwrap();
    let read = rows.iter().map(|row| {
        let lease = row.get::<Option<Uuid>, _>(5).zip(row.get::<Option<i64>, _>(4));
        let words: Vec<String> = row.get(10);
        let known = WORDS.iter().filter(|word| words.iter().any(|w| w == *word));
        let row_of = Row {
            step: u32::try_from(row.get::<i32, _>(1)).unwrap(),
            step_since: row.get(2),
            run_at: row.get(3),
            lease: lease.map(|(token, until)| queue::Lease { until, token: number(token) }),
            attempt: row.get(6),
            wakes: row.get(7),
            deadline_at: row.get(8),
            removal_asked: row.get(9),
            signals: known.map(|word| (*word, 0)).collect(),
        };
        (number(row.get(0)), row_of)
    });
    read.collect()
}

/// Runs a sequence on two fresh queues; where they disagree, says so.
async fn disagree(database: &Database, tenant: TenantId, operations: &[Operation]) -> Option<String> {
    database.sql("truncate flows cascade").await;
    let now = 1_800_000_000_000;
    set_clock(database, now).await;
    let mut twins = Twins { database, tenant, model: Queue::new(), claims: Vec::new(), now, tokens: 0 };
    for (index, operation) in operations.iter().enumerate() {
        let outcome = match twins.run(operation).await {
            Ok(()) => twins.compare().await,
            wrong => wrong,
        };
        if let Err(why) = outcome {
            return Some(format!("after operation {index}: {why}"));
        }
    }
    None
}

/// Leaves out what can be left out while they still disagree.
async fn shorter(database: &Database, tenant: TenantId, mut operations: Vec<Operation>) -> Vec<Operation> {
    let mut index = 0;
    while index < operations.len() {
        let mut without = operations.clone();
        without.remove(index);
        if disagree(database, tenant, &without).await.is_some() {
            operations = without;
        } else {
            index += 1;
        }
    }
    operations
}

/// A database whose clock stands still until it is set.
async fn with_clock() -> (Database, TenantId) {
    let database = Database::fresh().await;
    let tenant = TenantId::from_uuid(uuid(9));
    for statement in [
        "create table berth.test_clock (at timestamptz)",
        "insert into berth.test_clock values (now())",
        "grant select on berth.test_clock to public",
        "create or replace function berth.now() returns timestamptz language sql stable
         as 'select at from berth.test_clock'",
        &format!("insert into tenants (id, name) values ('{}', 't')", tenant.uuid()),
    ] {
        database.sql(statement).await;
    }
    (database, tenant)
}

#[tokio::test]
async fn the_queue_in_sql_is_the_queue_that_is_meant() {
    let (database, tenant) = with_clock().await;
    #[expect(clippy::disallowed_methods, reason = "a test that failed is run again by its seed")]
    let only: Option<u64> = std::env::var("BERTH_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in only.map_or(0..CASES, |seed| seed..seed + 1) {
        let dice = Dice(Seeded::new(seed));
        let operations: Vec<Operation> = (0..OPERATIONS).map(|_| dice.operation()).collect();
        if disagree(&database, tenant, &operations).await.is_some() {
            let operations = shorter(&database, tenant, operations).await;
            let why = disagree(&database, tenant, &operations).await.unwrap_or_default();
            let list: Vec<String> = operations.iter().map(|operation| format!("  {operation:?}")).collect();
            panic!("BERTH_SEED={seed}: {why}\n{}", list.join("\n"));
        }
    }
}

/// Written together, each flow still gets its own, and whoever lost the lease writes nothing.
#[tokio::test]
async fn flows_settled_together_are_settled_each_by_itself() {
    let (database, tenant) = with_clock().await;
    let mut tx = database.db.tenant(tenant).await.unwrap();
    for n in 0..4 {
        let new =
            NewFlow { id: FlowId::from_uuid(uuid(n)), kind: "life", subject: uuid(n), step: step(0), deadline: None };
        flows::start(&mut tx, &new).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut tx = database.db.system().await.unwrap();
    let seats = flows::Seats { token: uuid(7), lease: seconds(10), free: 4, held: &[], share: i32::MAX };
    let mut claims = flows::claim(&mut tx, &seats).await.unwrap();
    tx.commit().await.unwrap();
    claims.sort_by_key(|claim| claim.flow.uuid());
    database
        .sql(&format!("update flows set lease_token = '{}' where id in ('{}', '{}')", uuid(8), uuid(1), uuid(3)))
        .await;

    let left = |n: u32| flows::Settle {
        step: step(n),
        pause: seconds(n),
        moved: true,
        deadline: (n == 0).then(|| seconds(5)),
        failed: n == 1,
        heard: true,
    };
    let (zero, one) = (left(0), left(1));
    let [first, second, third, fourth] = claims.as_slice() else { panic!("{claims:?}") };
    let mut tx = database.db.system().await.unwrap();
    let kept = settling::settle_all(&mut tx, &[(second, &one), (first, &zero)]).await.unwrap();
    assert_eq!(kept, [first.flow].into());
    let gone = settling::finish_all(&mut tx, &[fourth, third]).await.unwrap();
    assert_eq!(gone, [third.flow].into());
    tx.commit().await.unwrap();
    let rows = rows(&database).await;
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), [0, 1, 3], "another one's flow was ended");
    assert!(rows[&0].lease.is_none() && rows[&0].deadline_at.is_some() && rows[&0].attempt == 0, "{rows:?}");
    assert!(rows[&1].lease.is_some() && rows[&1].attempt == 1, "another one's flow was written: {rows:?}");
}

/// The comparison can fail: a rule that is changed in the database alone is found.
#[tokio::test]
async fn a_rule_that_differs_is_found() {
    let (database, tenant) = with_clock().await;
    for statement in [
        "create function berth.forget_wakes() returns trigger language plpgsql as
         'begin new.wakes := old.wakes; return new; end'",
        "create trigger forget_wakes before update on flows for each row execute function berth.forget_wakes()",
    ] {
        database.sql(statement).await;
    }
    let dice = Dice(Seeded::new(1));
    let operations: Vec<Operation> = (0..OPERATIONS).map(|_| dice.operation()).collect();
    assert!(disagree(&database, tenant, &operations).await.is_some_and(|why| why.contains("rows")));
    let short = shorter(&database, tenant, operations).await;
    assert!(short.len() <= 3, "{short:?}");
}
