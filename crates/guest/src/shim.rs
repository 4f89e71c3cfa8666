//! What SSH starts: hands one request to the service and one answer back.
//!
//! It runs as the SSH user and can do nothing but speak to the socket. It looks
//! at no argument and no environment, so what the other side asks SSH to run is
//! of no account. Whatever happens, one well-formed answer goes out.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use domain::protocol::{Answer, BYTES_MAX, Outcome, Refusal, VERSION};
use zeroize::Zeroizing;

/// The longest verb is a turn of two minutes; this is above it and below forever.
const ANSWER_PATIENCE: Duration = Duration::from_secs(150);
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(10);

/// Passes one exchange through; `false` if the service could not be asked.
pub fn pass(socket: &Path, input: impl Read, mut output: impl Write) -> io::Result<bool> {
    let (answer, passed) = match exchange(socket, input) {
        Ok(answer) => (answer, true),
        Err(refusal) => {
            let answer = Answer { version: VERSION, outcome: Outcome::Refused(refusal) };
            (Zeroizing::new(serde_json::to_vec(&answer).map_err(io::Error::other)?), false)
        }
    };
    output.write_all(&answer)?;
    output.flush()?;
    Ok(passed)
}

fn exchange(socket: &Path, input: impl Read) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let request = bounded(input).map_err(|_| Refusal::Malformed { why: "the request broke off".to_owned() })?;
    let Some(request) = request else {
        return Err(Refusal::Malformed { why: "the request is larger than allowed".to_owned() });
    };
    let broken = |_| Refusal::Broken { why: "the guest service does not answer".to_owned() };
    let mut stream = UnixStream::connect(socket).map_err(broken)?;
    stream.set_read_timeout(Some(ANSWER_PATIENCE)).map_err(broken)?;
    stream.set_write_timeout(Some(HAND_OVER_PATIENCE)).map_err(broken)?;
    stream.write_all(&request).map_err(broken)?;
    stream.shutdown(std::net::Shutdown::Write).map_err(broken)?;
    let answer = bounded(stream).map_err(broken)?;
    match answer {
        Some(answer) if !answer.is_empty() => Ok(answer),
        Some(_) | None => Err(Refusal::Broken { why: "the guest service gave no answer".to_owned() }),
    }
}

/// Reads up to the end, or to the end of the first line; `None` if there is more than allowed.
fn bounded(mut input: impl Read) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    // Reserved whole at once: a growing buffer would leave copies of secrets behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_MAX + 1));
    let mut piece = Zeroizing::new([0; 16 * 1024]);
    loop {
        let count = match input.read(piece.as_mut_slice()) {
            Ok(0) => return Ok(Some(bytes)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let piece = piece.get(..count).unwrap_or_default();
        if bytes.len() + piece.len() > BYTES_MAX {
            return Ok(None);
        }
        bytes.extend_from_slice(piece);
        // JSON as we write it has no line breaks within; one ends the message.
        if piece.contains(&b'\n') {
            return Ok(Some(bytes));
        }
    }
}
