//! Requests by the real `curl`, a client that nobody here wrote.

use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// Who asks, and where.
#[derive(Debug, Clone)]
pub(crate) struct Curl {
    /// Where Berth is.
    pub(crate) base: String,
    /// What stands behind `Authorization: Bearer`, if anything.
    pub(crate) token: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 0: nothing did.
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Curl {
    pub(crate) fn with(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub(crate) fn without(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.run(path, &[]).await
    }

    pub(crate) async fn post(&self, path: &str, body: Option<&str>) -> Answer {
        self.post_with(path, body, &[]).await
    }

    /// A body goes through a file: no command line takes a megabyte.
    pub(crate) async fn post_with(&self, path: &str, body: Option<&str>, extra: &[&str]) -> Answer {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("body");
        let data = format!("@{}", file.display());
        let mut arguments = vec!["-X", "POST"];
        if let Some(body) = body {
            std::fs::write(&file, body).unwrap();
            arguments.extend(["-H", "content-type: application/json", "--data-binary", &data]);
        }
        arguments.extend(extra);
        self.run(path, &arguments).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.run(path, &["-X", "DELETE"]).await
    }

    pub(crate) async fn run(&self, path: &str, extra: &[&str]) -> Answer {
        let folder = TempDir::new().unwrap();
        let head = folder.path().join("head");
        let mut command = self.command(path);
        command.args(["-m", "90", "-w", "\n%{http_code}", "-D"]).arg(&head).args(extra);
        let output = command.output().await.expect("curl is installed");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or((&text, "0"));
        Answer {
            status: status.trim().parse().unwrap_or(0),
            head: std::fs::read_to_string(&head).unwrap_or_default(),
            body: body.to_owned(),
        }
    }

    /// What a stream says within this time.
    pub(crate) async fn listen(&self, path: &str, extra: &[&str], longest: Duration) -> String {
        let mut command = self.command(path);
        command.args(["-N", "-m", &format!("{:.1}", longest.as_secs_f64())]).args(extra);
        let output = command.output().await.expect("curl is installed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn command(&self, path: &str) -> Command {
        let mut command = Command::new("curl");
        command.args(["-sS", &format!("{}{path}", self.base)]).kill_on_drop(true);
        if let Some(token) = &self.token {
            command.args(["-H", &format!("authorization: Bearer {token}")]);
        }
        command
    }
}

impl Answer {
    /// The answer as JSON, if it came with this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// A problem: RFC 9457, with a request id and words.
    #[track_caller]
    pub(crate) fn expect_problem(&self, status: u16) -> Value {
        let problem = self.expect(status);
        assert!(self.head.to_lowercase().contains("application/problem+json"), "{}", self.head);
        assert!(problem["detail"].as_str().is_some_and(|words| words.len() > 10), "{problem}");
        problem
    }
}

/// The events of a stream: id, name, data.
pub(crate) fn events(stream: &str) -> Vec<(i64, String, Value)> {
    let field = |block: &str, name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(|v| v.trim().to_owned()))
    };
    let event = |block: &str| {
        let id = field(block, "id")?.parse().ok()?;
        let data = serde_json::from_str(&field(block, "data")?).ok()?;
        Some((id, field(block, "event").unwrap_or_default(), data))
    };
    stream.split("\n\n").filter_map(event).collect()
}
