//! Tells the control plane what it would otherwise have to ask for.
//!
//! Nothing depends on these calls: they only make a wait shorter. A home that
//! cannot be reached is tried again a few times and then passed over, because
//! the next event, or the next question from there, says the same.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use domain::protocol::MachineEvent;
use http::{Request, StatusCode, Uri, header};
use http_body_util::Full;
use tokio::{sync::mpsc, time::sleep};
use zeroize::Zeroizing;

use crate::{http_client::send, machine::Machine};

const PATH: &str = "/api/internal/machine/events";
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(20);
const TRIES_MAX: u32 = 8;
const ANSWER_BYTES_MAX: usize = 64 * 1024;

const STARTING_PACE: Duration = Duration::from_millis(300);
const READY_PACE: Duration = Duration::from_secs(5);
/// A gateway under load may miss one look; this many in a row count.
const MISSES_MAX: u32 = 3;

/// Watches the gateway and calls home; runs beside the service and never ends.
pub async fn run(machine: Arc<Machine>) {
    let (events, queue) = mpsc::channel(16);
    let _ = events.try_send(MachineEvent::Up);
    tokio::join!(watch(&machine, events), deliver(&machine, queue));
}

/// Looks at `/readyz`: closely while starting, calmly while ready.
async fn watch(machine: &Machine, events: mpsc::Sender<MachineEvent>) {
    let (mut was_ready, mut misses) = (false, 0);
    loop {
        if machine.gateway.ready().await {
            if !was_ready {
                // A full queue means that home is away; it will ask when it is back.
                let _ = events.try_send(MachineEvent::GatewayReady);
            }
            (was_ready, misses) = (true, 0);
        } else if was_ready {
            misses += 1;
            if machine.is_asked_down() {
                was_ready = false;
            } else if misses >= MISSES_MAX {
                was_ready = false;
                let _ = events.try_send(MachineEvent::GatewayLost);
            }
        }
        sleep(if was_ready && misses == 0 { READY_PACE } else { STARTING_PACE }).await;
    }
}

async fn deliver(machine: &Machine, mut queue: mpsc::Receiver<MachineEvent>) {
    while let Some(event) = queue.recv().await {
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=TRIES_MAX {
            match tell(machine, event).await {
                Ok(()) => break,
                Err(error) => tracing::info!(?event, attempt, error = %format!("{error:#}"), "home did not hear"),
            }
            // What is newer says more: do not keep it waiting behind what is old.
            if !queue.is_empty() {
                break;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

async fn tell(machine: &Machine, event: MachineEvent) -> Result<()> {
    let uri: Uri = format!("{}{PATH}", machine.config.home).parse().context("home is no URL")?;
    if uri.scheme_str() != Some("http") {
        bail!("calling home over TLS is not built; the control plane asks instead");
    }
    let host = uri.host().context("home has no host")?;
    let address = lookup(host, uri.port_u16().unwrap_or(80)).await?;
    let bearer = Zeroizing::new(format!("Bearer {}", machine.config.machine_token.expose()));
    let mut bearer = header::HeaderValue::from_str(&bearer).ok().context("the machine token is no header value")?;
    bearer.set_sensitive(true);
    let authority = uri.authority().context("home has no host")?.as_str();
    let request = Request::post(uri.path())
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, bearer)
        .body(Full::new(Bytes::from(serde_json::to_vec(&event)?)))?;
    let (status, _) = send(address, request, PATIENCE, ANSWER_BYTES_MAX).await?;
    // A refusal will not become a yes by repetition.
    if status.is_success() || (status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS) {
        if !status.is_success() {
            tracing::warn!(%status, ?event, "home refused the event");
        }
        return Ok(());
    }
    bail!("home answered {status}")
}

async fn lookup(host: &str, port: u16) -> Result<SocketAddr> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await;
    found.context("no answer from the name service")??.next().context("home has no address")
}
