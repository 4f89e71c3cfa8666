//! One-time links are used once, however many try at once.

use std::sync::Arc;

use app::{
    people::{LinkError, finish_setup, look_at_link, setup_link, sign_in_by_link, sign_in_link},
    sessions::Opened,
};
use domain::{names::Email, operators::AdminEmails};
use testkit::{Database, Seeded};

#[tokio::test]
async fn of_many_at_once_exactly_one_becomes_the_first_operator() {
    let database = Arc::new(Database::fresh().await);
    let entropy = Arc::new(Seeded::new(1));
    let mut tx = database.db.system().await.unwrap();
    let link = Arc::new(setup_link(&mut tx, entropy.as_ref()).await.unwrap().expect("nobody is there yet"));
    tx.commit().await.unwrap();

    let tries = (0..20).map(|n| {
        let (database, entropy, link) = (Arc::clone(&database), Arc::clone(&entropy), Arc::clone(&link));
        tokio::spawn(async move {
            let email = Email::parse(&format!("op{n}@example.org")).unwrap();
            let mut tx = database.db.system().await.unwrap();
            let session = finish_setup(&mut tx, entropy.as_ref(), &link, (&email, "Home"), "a test").await?;
            tx.commit().await?;
            Ok::<Opened, LinkError>(session)
        })
    });
    let outcomes = futures_all(tries).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(LinkError::Closed))));
    assert_eq!(database.count("select count(*) from users").await, 1);
    assert_eq!(database.count("select count(*) from tenants").await, 1);

    let mut tx = database.db.system().await.unwrap();
    assert!(setup_link(&mut tx, entropy.as_ref()).await.unwrap().is_none(), "set-up is offered twice");
    assert!(look_at_link(&mut tx, &link).await.unwrap().is_none());
}

#[tokio::test]
async fn a_link_expires_and_a_newer_one_replaces_it() {
    let (database, entropy) = (Database::fresh().await, Seeded::new(1));
    let mut tx = database.db.system().await.unwrap();
    let old = setup_link(&mut tx, &entropy).await.unwrap().unwrap();
    let new = setup_link(&mut tx, &entropy).await.unwrap().unwrap();
    assert!(look_at_link(&mut tx, &old).await.unwrap().is_none());
    assert!(look_at_link(&mut tx, &new).await.unwrap().is_some());
    tx.commit().await.unwrap();
    database.sql("update links set expires_at = now() - interval '1 second'").await;
    let mut tx = database.db.system().await.unwrap();
    let email = Email::parse("op@example.org").unwrap();
    assert!(matches!(finish_setup(&mut tx, &entropy, &new, (&email, "Home"), "a test").await, Err(LinkError::Closed)));
}

#[tokio::test]
async fn a_sign_in_link_signs_its_own_user_in_once() {
    let (database, entropy) = (Database::fresh().await, Seeded::new(1));
    let email = Email::parse("op@example.org").unwrap();
    let mut tx = database.db.system().await.unwrap();
    assert!(sign_in_link(&mut tx, &entropy, &email).await.unwrap().is_none(), "nobody of that name yet");
    app::tokens::issue_token(&mut tx, &entropy, &email, true, "t").await.unwrap();
    let link = sign_in_link(&mut tx, &entropy, &email).await.unwrap().unwrap();
    let nobody = AdminEmails::default();
    let (session, _) = sign_in_by_link(&mut tx, &entropy, &nobody, &link, "a test").await.unwrap();
    let caller = store::sessions::caller_by_id(&mut tx, session.standing.id).await.unwrap().unwrap().0;
    assert_eq!(caller.email, email);
    assert!(caller.is_operator);
    assert!(matches!(sign_in_by_link(&mut tx, &entropy, &nobody, &link, "a test").await, Err(LinkError::Closed)));
    app::sessions::sign_out(&mut tx, session.refresh.as_ref().unwrap()).await.unwrap();
    assert!(store::sessions::caller_by_id(&mut tx, session.standing.id).await.unwrap().is_none());
}

async fn futures_all<T>(tasks: impl Iterator<Item = tokio::task::JoinHandle<T>>) -> Vec<T> {
    let mut all = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        all.push(task.await.unwrap());
    }
    all
}
