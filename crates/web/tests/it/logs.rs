//! What the log says of a request, and what it never says.

use std::{
    io,
    sync::{Mutex, Once},
};

use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Answer, CRON_SECRET, House};

/// Other tests share the log, and their seeded ids.
const ID: &str = "019aa6b2-7c1e-7d3f-9b1a-000000000001";

/// The log of all tests of this program.
static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Lines;

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

/// Keeps the log from now on; a subscriber of one thread would miss lines whose place another thread met first.
pub fn keep() {
    static KEEP: Once = Once::new();
    KEEP.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(Lines);
        tracing::subscriber::set_global_default(subscriber.with_max_level(tracing::Level::TRACE).finish()).unwrap();
    });
}

/// What was logged so far, by all tests.
pub fn text() -> String {
    String::from_utf8_lossy(&LINES.lock().unwrap()).into_owned()
}

/// The beginning of the first line that holds this. Tests that search the database for it name it in their statements.
pub fn told(log: &str, marker: &str) -> Option<String> {
    let mut lines = log.lines().filter(|line| !line.contains("t where t::text like"));
    lines.find(|line| line.contains(marker)).map(|line| line.chars().take(300).collect())
}

#[tokio::test]
async fn a_request_is_one_line_without_a_secret() {
    let mut house = House::new().await;
    let id = house.world.live_agent("scout").await;
    let mut tx = house.web.db.system().await.unwrap();
    let link = app::people::setup_link(&mut tx, &*house.web.dice.0).await.unwrap().unwrap();
    tx.commit().await.unwrap();

    let cookie = house.cookie().await;
    let turn = format!("/api/v1/agents/{id}/turns?wait=0");
    house.request_id = Some(ID);
    let answers = [
        house.page("", &format!("/setup?link={}", link.expose())).await,
        house.get(CRON_SECRET, "/api/v1/me").await,
        house.post(&house.alice, &turn, r#"{"text":"words-of-a-person"}"#).await,
        house.form(&cookie, "/agents", "name=name+of+a+person").await,
        house.post(&house.alice, "/api/v1/agents", r#"{"name":"name of a person"}"#).await,
    ];

    let text = text();
    let session = cookie.split_once('=').unwrap().1;
    for secret in [link.expose(), &house.alice, session, CRON_SECRET, "words-of-a-person", "of a person", "of+a+person"]
    {
        assert!(!text.contains(secret), "the log holds {secret}");
    }
    let lines = text.lines().filter(|line| line.contains(ID) && line.contains("answered"));
    let told: Vec<bool> = lines.zip(&answers).map(|(line, answer)| line.contains(&said(answer))).collect();
    assert_eq!(told, [true; 5]);
}

fn said(answer: &Answer) -> String {
    format!("status={}", answer.status.as_u16())
}
