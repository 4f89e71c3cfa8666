//! Personal API tokens.

use std::time::Duration;

use domain::{
    Entropy, TokenId,
    audit::{Act, Actor},
    entropy::mint,
    names::Email,
    people::Caller,
};
use store::{StoreError, SystemTx};
use vault::{Token, TokenKind};

use crate::{audit, people::local_user};

/// How long a personal token issued on the command line works.
pub const TOKEN: Duration = Duration::from_hours(90 * 24);

/// Who holds this personal token.
///
/// # Errors
/// The database.
pub async fn caller_by_token(tx: &mut SystemTx, token: &Token) -> Result<Option<Caller>, StoreError> {
    store::tokens::caller_by_token(tx, &token.hash()).await
}

/// From the command line: a personal token for a local user, who is made if missing, with a tenant of their own.
///
/// # Errors
/// The database.
pub async fn issue_token(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    email: &Email,
    operator: bool,
    name: &str,
) -> Result<Token, StoreError> {
    let (user, tenant) = local_user(tx, entropy, email, email.as_str(), operator).await?;
    let token = Token::mint(entropy, TokenKind::Personal);
    let id: TokenId = mint(entropy);
    store::tokens::insert_token(tx, id, &token.hash(), (user, tenant), name, TOKEN).await?;
    let details = [("for", &*user.to_string()), ("name", name)];
    audit::record_for(tx, tenant, Actor::shell(), Act::TokenIssue, (&id, &details)).await?;
    Ok(token)
}
