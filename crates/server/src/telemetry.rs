//! Structured logs on standard error; what may stand in them is in `docs/LOGGING.md`.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::settings::{BadSetting, Values, bad};

/// Starts logging as configured.
pub(crate) fn start() -> Result<(), BadSetting> {
    let values = Values::of_process()?;
    let filter = EnvFilter::try_new(values.need("BERTH_LOG")?.as_str())
        .map_err(|_| bad("BERTH_LOG", "is no filter, such as info or info,flows=debug"))?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    match values.need("BERTH_LOG_FORMAT")?.as_str() {
        "json" => registry.with(lines.json()).init(),
        "text" => registry.with(lines.with_target(false).with_ansi(std::io::stderr().is_terminal())).init(),
        _ => return Err(bad("BERTH_LOG_FORMAT", "must be text or json")),
    }
    Ok(())
}
