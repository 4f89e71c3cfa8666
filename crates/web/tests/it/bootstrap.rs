//! `ADMIN_EMAILS`: whose verified address makes them an operator, once.

use http::StatusCode;
use serde_json::json;

use crate::vendor::Door;

impl Door {
    async fn operators(&self) -> Vec<String> {
        let who = "select i.subject from users u join identities i on i.user_id = u.id where u.is_operator order by 1";
        self.house.world.database.texts(who).await
    }
}

/// ADM-01, ADM-03.
#[tokio::test]
async fn a_listed_and_verified_address_makes_one_operator_who_needs_no_invite() {
    let door = Door::with_admins("ada@harbour.example").await;
    door.issuer.inform("ada-1", json!({}));
    for claims in [
        json!({ "email": "ada@harbour.example", "email_verified": false }),
        json!({ "email": "ada@harbour.example" }),
        json!({ "email": "ada+x@harbour.example", "email_verified": true }),
        json!({ "email": "ada@harbour.example.evil.example", "email_verified": true }),
    ] {
        door.issuer.sign_in_as("ada-1", claims.clone());
        let refused = door.pass("", "").await;
        assert_eq!(refused.headers["location"], "/signup?closed=1", "{claims}");
    }
    assert!(door.operators().await.is_empty());
    door.issuer.sign_in_as("ada-1", json!({ "email": "Ada@Harbour.example", "email_verified": true }));
    let entered = door.pass("", "").await;
    let me = door.house.page(&entered.cookies(), "/api/v1/me").await.json();
    assert_eq!((&me["operator"], &me["role"]), (&json!(true), &json!("owner")));
    assert_eq!(door.operators().await, ["ada-1"]);
    let made =
        "select count(*) from house_audit_events where act = 'operator.make' and details ->> 'how' = 'ADMIN_EMAILS'";
    assert_eq!(door.house.world.database.count(made).await, 1);
    assert_eq!(
        door.house.page(&entered.cookies(), "/admin").await.status,
        StatusCode::SEE_OTHER,
        "a factor comes first"
    );
}

/// The address is worth nothing any more: not to somebody else, not after the role was taken away.
#[tokio::test]
async fn after_the_first_one_the_address_makes_nobody_an_operator() {
    let door = Door::with_admins("ada@harbour.example").await;
    door.pass("", "").await;
    door.issuer.sign_in_as("mallory-2", json!({ "email": "ada@harbour.example", "email_verified": true }));
    assert_eq!(door.pass("", "").await.headers["location"], "/signup?closed=1", "no way in without an invite");
    let invite = door.invite(1).await;
    door.pass(&invite, "").await;
    door.pass("", "").await;
    assert_eq!(door.operators().await, ["ada-1"]);
    door.house.world.database.sql("update users set is_operator = false").await;
    door.issuer.sign_in_as("ada-1", json!({ "email": "ada@harbour.example", "email_verified": true }));
    door.pass("", "").await;
    assert!(door.operators().await.is_empty(), "whoever lost the role does not get it back by signing in");
}

#[tokio::test]
async fn somebody_who_is_here_already_becomes_one_when_they_sign_in() {
    let door = Door::with_admins("ada@harbour.example").await;
    door.issuer.inform("ada-1", json!({}));
    door.issuer.sign_in_as("ada-1", json!({ "email": "old@harbour.example", "email_verified": true }));
    let invite = door.invite(2).await;
    door.pass(&invite, "").await;
    assert!(door.operators().await.is_empty());
    door.issuer.sign_in_as("ada-1", json!({ "email": "ada@harbour.example", "email_verified": false }));
    door.pass("", "").await;
    assert!(door.operators().await.is_empty(), "an address that nobody verified");
    door.issuer.sign_in_as("ada-1", json!({ "email": "ada@harbour.example", "email_verified": true }));
    door.pass("", "").await;
    assert_eq!(door.operators().await, ["ada-1"]);
}
