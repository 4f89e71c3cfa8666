//! What may be done only so often, exactly: many at once, from two pools, from processes that are killed.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use app::limits::{Limit, LimitError, give_back, spend, spend_at_once};
use domain::{
    limits::{Rule, Source, TooMany},
    names::Email,
};
use store::{Db, DbOptions, limits::Bucket};
use testkit::Database;
use tokio::task::JoinSet;

/// Where the child of a test finds its database.
const CHILD: &str = "BERTH_TEST_SPENDING_CHILD";

fn source(text: &str) -> Source {
    Source::of(text.parse().unwrap())
}

fn bucket(name: &str, at_once: u32, every: Duration) -> Bucket {
    Bucket { key: vault::digest(name.as_bytes()), rule: Rule::new(at_once, every), yields_to_newcomers: false }
}

async fn take(db: &Db, buckets: &[Bucket]) -> Result<(), TooMany> {
    let mut tx = db.system().await.unwrap();
    let taken = store::limits::spend(&mut tx, buckets, None).await.unwrap();
    if taken.is_ok() {
        tx.commit().await.unwrap();
    }
    taken
}

fn wait_of(refused: Result<(), LimitError>) -> TooMany {
    match refused {
        Err(LimitError::TooMany(too_many)) => too_many,
        other => panic!("{other:?}"),
    }
}

async fn pool(database: &Database, connections_max: u32) -> Db {
    Db::connect(&DbOptions { url: database.url_as("berth_login"), connections_max }).await.unwrap()
}

#[tokio::test]
async fn a_hundred_at_once_from_two_pools_get_exactly_fifty() {
    let database = Database::fresh().await;
    let pools = [pool(&database, 10).await, pool(&database, 10).await];
    let mine = bucket("fifty", 50, Duration::from_hours(1));
    let mut tasks = JoinSet::new();
    for number in 0..100 {
        let db = pools[number % 2].clone();
        tasks.spawn(async move { take(&db, &[mine]).await.is_ok() });
    }
    let mut taken = 0;
    while let Some(ended) = tasks.join_next().await {
        taken += usize::from(ended.unwrap());
    }
    assert_eq!(taken, 50);
}

/// A use of several buckets takes from all or from none, and two that overlap never wait in a circle.
#[tokio::test]
async fn what_is_refused_takes_from_no_bucket_and_nobody_deadlocks() {
    let database = Database::fresh().await;
    let db = pool(&database, 10).await;
    let all: Vec<Bucket> = (0..6).map(|n| bucket(&format!("b{n}"), 1000, Duration::from_hours(1))).collect();
    let empty = bucket("empty", 1, Duration::from_hours(1));
    take(&db, &[empty]).await.unwrap();
    let mut tasks = JoinSet::new();
    for number in 0..60_usize {
        let (db, mut buckets) = (db.clone(), all.clone());
        tasks.spawn(async move {
            buckets.rotate_left(number % 6);
            buckets.truncate(4);
            let is_refused = number.is_multiple_of(3);
            if is_refused {
                buckets.push(empty);
            }
            (is_refused, buckets.len(), take(&db, &buckets).await.is_err())
        });
    }
    let mut taken = 0;
    while let Some(ended) = tasks.join_next().await {
        let (is_refused, count, was_refused) = ended.unwrap();
        assert_eq!(is_refused, was_refused);
        taken += if is_refused { 0 } else { count };
    }
    // Each use moved a bucket's instant by an hour: their sum is what was taken, and nothing of what was refused.
    let hours = "select (sum(extract(epoch from full_at - berth.now())) / 3600 + 0.5)::bigint from limits";
    assert_eq!(database.count(hours).await, i64::try_from(taken + 1).unwrap());
}

/// What a refusal says is true to the second, by the database's clock.
#[tokio::test]
async fn waiting_as_told_is_enough_and_less_is_not() {
    let database = Database::fresh().await;
    let db = pool(&database, 2).await;
    let to = Email::parse("ada@harbour.example").unwrap();
    let mail = Limit::Mail { source: source("192.0.2.1"), to: &to };
    for _ in 0..3 {
        spend_at_once(&db, mail).await.unwrap();
    }
    let wait = wait_of(spend_at_once(&db, mail).await).seconds();
    assert!((590..=600).contains(&wait), "{wait}");
    database.move_clock(&format!("{} seconds", wait - 10)).await;
    assert!((1..=10).contains(&wait_of(spend_at_once(&db, mail).await).seconds()));
    database.move_clock(&format!("{wait} seconds")).await;
    spend_at_once(&db, mail).await.unwrap();
    assert!(wait_of(spend_at_once(&db, mail).await).seconds() > 500);
}

/// The arithmetic in SQL is that of the domain: the same answers to the same uses at the same times.
#[tokio::test]
async fn the_database_counts_as_the_domain_does() {
    let database = Database::fresh().await;
    let rule = Rule::new(5, Duration::from_secs(7));
    let mine = Bucket { rule, ..bucket("model", 1, Duration::ZERO) };
    let (mut full_at, mut at) = (Duration::ZERO, 1_000_000_u64);
    // A clock that stands still but for what the test adds: fractions of a second would blur the comparison.
    for turn in 0..120_u64 {
        at += [0, 0, 1, 3, 0, 9, 0, 40, 2, 0, 7][usize::try_from(turn % 11).unwrap()];
        let still = format!(
            "create or replace function berth.now() returns timestamptz language sql stable parallel safe
             set search_path = pg_catalog as $$ select to_timestamp({at}) $$"
        );
        database.sql(&still).await;
        let meant = rule.take(full_at, Duration::from_secs(at));
        assert_eq!(take(&database.db, &[mine]).await, meant.map(|_| ()), "turn {turn}");
        full_at = meant.unwrap_or(full_at);
    }
}

#[tokio::test]
async fn guessing_elsewhere_never_locks_the_rightful_owner_out() {
    let database = Database::fresh().await;
    let db = pool(&database, 4).await;
    let attempt = |from: &str| {
        let source = source(from);
        let db = db.clone();
        async move { spend_at_once(&db, Limit::SignIn { source, account: "ada@harbour.example" }).await }
    };
    // Forty sources guess, each until it is told to stop; then what there is for all is used up, too.
    let mut guesses = 0;
    for number in 0..40 {
        while attempt(&format!("198.51.100.{number}")).await.is_ok() {
            guesses += 1;
            assert!(guesses < 1000, "nobody is told to stop");
        }
    }
    assert_eq!(guesses, 400, "ten for each source");
    database.sql("update limits set full_at = berth.now() + interval '1 hour'").await;
    assert!(attempt("198.51.100.7").await.is_err());
    attempt("203.0.113.5").await.expect("ada herself, from where nobody guessed");
    // Who used little goes on when the others' bucket is empty; who used it up waits.
    wait_of(attempt("203.0.113.5").await);
}

/// Mails cost the same whoever asks: what there is for all is never passed, and one source cannot use it up.
#[tokio::test]
async fn one_source_cannot_use_up_the_mails_of_all_and_all_together_are_bounded() {
    let database = Database::fresh().await;
    let db = pool(&database, 4).await;
    let mut sent = 0;
    for number in 0..40 {
        let source = source(&format!("2001:db8:0:{number:x}::1"));
        for turn in 0..12 {
            let to = Email::parse(&format!("u{number}-{turn}@harbour.example")).unwrap();
            let is_sent = spend_at_once(&db, Limit::Mail { source, to: &to }).await.is_ok();
            assert!(!is_sent || turn < 10, "more than its share");
            sent += u32::from(is_sent);
        }
    }
    assert!((200..=203).contains(&sent), "{sent}");
}

#[tokio::test]
async fn what_turned_out_good_is_given_back_and_what_is_full_is_forgotten() {
    let database = Database::fresh().await;
    let db = pool(&database, 2).await;
    let limit = Limit::SignIn { source: source("192.0.2.1"), account: "ada" };
    for _ in 0..40 {
        let mut tx = db.system().await.unwrap();
        spend(&mut tx, limit).await.expect("her own good sign-ins never add up");
        give_back(&mut tx, limit).await.unwrap();
        tx.commit().await.unwrap();
    }
    spend_at_once(&db, limit).await.unwrap();
    database.move_clock("1 day").await;
    let mut tx = db.system().await.unwrap();
    assert_eq!(store::limits::forget_full(&mut tx).await.unwrap(), 3);
    tx.commit().await.unwrap();
    assert_eq!(database.count("select count(*) from limits").await, 0);
}

/// No address and no account stands in the table.
#[tokio::test]
async fn who_asked_is_not_written_down() {
    let database = Database::fresh().await;
    let to = Email::parse("ada@harbour.example").unwrap();
    spend_at_once(&database.db, Limit::Mail { source: source("192.0.2.77"), to: &to }).await.unwrap();
    let rows = database.texts("select limits::text || encode(key_hash, 'escape') from limits").await;
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| !row.contains("192.0.2") && !row.contains("harbour")));
}

/// Takes from a bucket for ever, and says so on a line each time. Not a test of its own.
#[tokio::test]
#[ignore = "the child of another test"]
async fn spending_child() {
    #[expect(clippy::disallowed_methods, reason = "the parent says where the database is")]
    let Ok(url) = std::env::var(CHILD) else { return };
    let db = Db::connect(&DbOptions { url, connections_max: 1 }).await.unwrap();
    let mine = bucket("killed", 1000, Duration::from_hours(1));
    loop {
        let is_taken = take(&db, &[mine]).await.is_ok();
        #[expect(clippy::print_stdout, reason = "the parent counts these lines")]
        {
            println!("{}", if is_taken { "SPENT" } else { "REFUSED" });
        }
        if !is_taken {
            break;
        }
    }
}

fn child(database: &Database) -> (Child, impl Iterator<Item = String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "limits::spending_child", "--ignored", "--nocapture"])
        .env(CHILD, database.url_as("berth_login"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    (child, lines.filter(|line| line == "SPENT" || line == "REFUSED"))
}

/// Two processes at a time, killed again and again in the middle (SIGKILL): the sum stays what the rule says.
#[tokio::test]
async fn killed_processes_neither_lose_nor_invent_a_use() {
    let database = Database::fresh().await;
    let (mut told, mut kills, mut is_empty) = (0, 0, false);
    for round in 1.. {
        let mut children = [child(&database), child(&database)];
        for (process, lines) in &mut children {
            for nth in 1.. {
                match lines.next().as_deref() {
                    Some("SPENT") => told += 1,
                    _ => is_empty = true,
                }
                // Once the bucket is empty, each goes on until it has heard so itself.
                if is_empty || nth > 20 + round % 7 {
                    break;
                }
            }
            if !is_empty {
                process.kill().unwrap();
                kills += 1;
            }
            // What it said before it died counts too.
            told += lines.filter(|line| line == "SPENT").count();
            process.wait().unwrap();
        }
        if is_empty {
            break;
        }
    }
    assert!(kills >= 4, "{kills}");
    // A process may die between its commit and its word, once: never the other way round.
    let spent = "select (sum(extract(epoch from full_at - berth.now())) / 3600 + 0.5)::bigint from limits";
    let spent = usize::try_from(database.count(spent).await).unwrap();
    assert_eq!(spent, 1000);
    assert!(told <= spent && told + kills + 2 >= spent, "told {told}, spent {spent}, kills {kills}");
}
