//! What every connection has from its beginning, whichever transaction is on it.

use testkit::Database;

use super::*;

#[tokio::test]
async fn no_statement_and_no_idling_lasts_for_ever() {
    let database = Database::fresh().await;
    let db = Db::connect(&DbOptions { url: database.url_as("berth_login"), connections_max: 1 }).await.unwrap();
    let settings = "select concat_ws(' ', current_setting('statement_timeout'),
                                     current_setting('idle_in_transaction_session_timeout'))";
    let mut lent = db.lend().await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, String>(settings).fetch_one(&mut *lent).await.unwrap(), "10s 15s");
    drop(lent);
    let mut tx = db.tenant(TenantId::from_uuid(Uuid::from_u128(1))).await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, String>(settings).fetch_one(tx.conn()).await.unwrap(), "10s 15s");
    drop(tx);
    let mut tx = db.system().await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, String>(settings).fetch_one(tx.conn()).await.unwrap(), "10s 15s");
    tx.commit().await.unwrap();
}
