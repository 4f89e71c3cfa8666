//! Whoever gives up waiting for a transaction to begin leaves none open for the next.

use std::time::Duration;

use testkit::Database;

#[tokio::test]
async fn a_begin_that_nobody_waits_for_any_more_leaves_no_open_transaction() {
    let database = Database::fresh().await;
    let open = "select count(*) from pg_stat_activity
                where datname = current_database() and state like 'idle in transaction%'";
    for _ in 0..10 {
        drop(database.db.system().await.unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
        // Asked once, so that the statement is on its way, and then no more.
        tokio::select! {
            biased;
            _ = database.db.system() => {}
            () = std::future::ready(()) => {}
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(database.count(open).await, 0);
    }
}
