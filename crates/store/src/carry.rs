//! Carries wake-ups between processes with LISTEN and NOTIFY.
//!
//! Never inside a business transaction: a NOTIFY there takes a lock across the
//! commit, which halves how many commit at once. What was committed is gathered
//! for [`PAUSE`] and told in one message from a connection of its own. A message
//! that gets lost costs time, nothing else.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use uuid::Uuid;

use crate::{
    access::{Access, PULSE},
    signals::{Outgoing, Signals},
};

const CHANNEL: &str = "berth";
/// What somebody may do has changed; told by triggers, each message one id.
const ACCESS: &str = "berth_access";
/// A listening connection that does not answer for so long is made anew.
const MUTE: Duration = Duration::from_millis(600);
/// At most one message in this time.
const PAUSE: Duration = Duration::from_millis(20);
/// Before the next try after the database was away.
const AGAIN: Duration = Duration::from_secs(1);

/// Tells the other processes and listens to them. Two connections beside the pool; never ends.
///
/// `me` tells this process from others.
pub(crate) async fn carry(options: PgConnectOptions, (signals, access): (&Signals, &Access), me: Uuid) -> Infallible {
    // A message is worth nothing after a crash: nobody waits for the disk.
    let options = options.application_name("berth signals").options([("synchronous_commit", "off")]);
    let pool = PgPoolOptions::new().max_connections(2).idle_timeout(None).connect_lazy_with(options);
    tokio::select! {
        never = tell(&pool, signals, me) => never,
        never = listen(&pool, (signals, access), me) => never,
    }
}

async fn tell(pool: &PgPool, signals: &Signals, me: Uuid) -> Infallible {
    loop {
        let message = write(me, &signals.outgoing().await);
        // Not the checked macro: it has no table to check.
        let told = sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(message).execute(pool).await;
        if let Err(error) = told {
            tracing::debug!(error = &error as &dyn std::error::Error, "other processes were not woken");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn listen(pool: &PgPool, (signals, access): (&Signals, &Access), me: Uuid) -> Infallible {
    loop {
        if let Err(error) = listen_once(pool, (signals, access), me).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "wake-ups of other processes are not heard");
        }
        access.forget_everything();
        tokio::time::sleep(AGAIN).await;
    }
}

async fn listen_once(pool: &PgPool, (signals, access): (&Signals, &Access), me: Uuid) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen_all([CHANNEL, ACCESS]).await?;
    // What was said before is not heard: look once.
    signals.hear_everything();
    access.forget_everything();
    let mut due = Instant::now();
    loop {
        // Whatever came before the answer to this question has been heard by then.
        if Instant::now() >= due {
            let asked = Instant::now();
            let answered = tokio::time::timeout(MUTE, sqlx::query("select 1").execute(&mut listener)).await;
            answered.map_err(|_| sqlx::Error::PoolTimedOut)??;
            while let Some(message) = listener.next_buffered() {
                hear((signals, access), me, (message.channel(), message.payload()));
            }
            access.heard_at(asked);
            due = asked + PULSE;
        }
        // Giving up waiting loses nothing: a message is taken from the buffer whole or not at all.
        match tokio::time::timeout_at(due.into(), listener.try_recv()).await {
            Ok(Ok(Some(message))) => hear((signals, access), me, (message.channel(), message.payload())),
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
    }
}

fn hear((signals, access): (&Signals, &Access), me: Uuid, (channel, payload): (&str, &str)) {
    if channel == ACCESS {
        match payload.parse() {
            Ok(subject) => access.forget(subject),
            Err(_) => access.forget_everything(),
        }
        return;
    }
    match read(payload) {
        Some((from, _)) if from == me => {}
        Some((_, heard)) if heard.more => signals.hear_everything(),
        Some((_, heard)) => signals.hear(heard.work, heard.touched.into_iter()),
        // Another build's words, or a stranger's: looking is always allowed.
        None => signals.hear_everything(),
    }
}

/// `<process> <w or -> <* or subjects>`; with 150 subjects under Postgres' 8,000 bytes.
fn write(me: Uuid, out: &Outgoing) -> String {
    let touched = if out.more {
        "*".to_owned()
    } else {
        out.touched.iter().map(|subject| subject.simple().to_string()).collect::<Vec<_>>().join(",")
    };
    format!("{} {} {touched}", me.simple(), if out.work { 'w' } else { '-' })
}

fn read(message: &str) -> Option<(Uuid, Outgoing)> {
    let mut words = message.splitn(3, ' ');
    let from = words.next()?.parse().ok()?;
    let work = match words.next()? {
        "w" => true,
        "-" => false,
        _ => return None,
    };
    let rest = words.next()?;
    if rest == "*" {
        return Some((from, Outgoing { work, more: true, ..Outgoing::default() }));
    }
    let touched = rest.split(',').filter(|word| !word.is_empty()).map(|word| word.parse().ok()).collect::<Option<_>>();
    Some((from, Outgoing { work, touched: touched?, more: false }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let me = Uuid::from_u128(9);
        for subjects in [0, 1, 150] {
            let out = Outgoing { work: true, touched: (0..subjects).map(Uuid::from_u128).collect(), more: false };
            let message = write(me, &out);
            assert!(message.len() < 8000, "Postgres refuses {} bytes", message.len());
            assert_eq!(read(&message), Some((me, out)));
        }
        let more = Outgoing { more: true, ..Outgoing::default() };
        assert_eq!(read(&write(me, &more)), Some((me, more)));
    }

    #[test]
    fn other_words_are_not_understood() {
        for message in ["", "x", "00 w *", "00000000-0000-0000-0000-000000000000 y *", "0 - zz"] {
            assert_eq!(read(message), None, "{message}");
        }
    }
}
