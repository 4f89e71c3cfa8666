//! What is promised of every address and every answer, tried on all of them: the routes come from the table, the
//! bodies from the OpenAPI document.

mod answers;
mod hygiene;
mod inputs;
mod people;
mod watched;

/// What an answer says only when something of Berth's insides got into it.
const INSIDES: &[&str] = &[
    "sqlx",
    "panicked",
    "PoolClosed",
    "PoolTimedOut",
    "stack backtrace",
    ".rs:",
    "/home/",
    "/root/",
    "permission denied for",
    "relation \"",
    "berth_login",
    "berth_tenant",
    "berth_system",
    "postgres://",
    "insert into ",
    "the insides",
];

/// The first word of [`INSIDES`] that is in a text.
fn insides(text: &str) -> Option<&'static str> {
    INSIDES.iter().find(|word| text.contains(**word)).copied()
}
