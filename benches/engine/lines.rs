//! One line at a time with the program that started us.

use std::io::{self, BufRead as _, Write as _};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Whatever went wrong, for the person at the terminal.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What we are told, line by line; read by a thread of its own, which ends with the input.
pub(crate) fn heard() -> UnboundedReceiver<String> {
    let (tell, heard) = unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                break;
            }
        }
    });
    heard
}

/// Waits for this word; an end of the input is one too.
pub(crate) async fn until(heard: &mut UnboundedReceiver<String>, word: &str) {
    while let Some(line) = heard.recv().await {
        if line == word {
            break;
        }
    }
}

/// Says a line at once.
pub(crate) fn say(line: &str) {
    let mut out = io::stdout();
    // Nobody listens any more: then nobody is told.
    writeln!(out, "{line}").and_then(|()| out.flush()).ok();
}

/// Says what went wrong.
pub(crate) fn complain(line: &str) {
    writeln!(io::stderr(), "engine: {line}").ok();
}
