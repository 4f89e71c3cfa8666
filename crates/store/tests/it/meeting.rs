//! Two transactions meet at one row: the later one sees what the earlier one wrote, and neither waits for the other for ever.

use std::time::Duration;

use domain::{billing::PriceId, plan::Plan};
use store::plans::{self, Changed};
use testkit::Database;
use tokio::time::sleep;

/// Two operators give one price to two plans. The second is told so, and not that something failed.
#[tokio::test]
async fn a_price_that_two_plans_want_at_once_is_the_firsts() {
    let database = Database::fresh().await;
    let mut first = database.db.system().await.unwrap();
    let all = plans::list(&mut first).await.unwrap();
    let with_price = |plan: &Plan| Plan { price: Some(PriceId::parse("price_1").unwrap()), ..plan.clone() };
    let [one, other] = [&all[0], &all[1]].map(with_price);
    assert_eq!(plans::change(&mut first, &one).await.unwrap(), Changed::So);
    let db = database.db.clone();
    let second = tokio::spawn(async move {
        let mut tx = db.system().await.unwrap();
        plans::change(&mut tx, &other).await
    });
    let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
    while database.count(waits).await == 0 {
        assert!(!second.is_finished(), "it waited for nobody: nothing was tried");
        sleep(Duration::from_millis(5)).await;
    }
    first.commit().await.unwrap();
    assert_eq!(second.await.unwrap().unwrap(), Changed::PriceTaken);
}
