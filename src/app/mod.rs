//! The composition root: the only place that knows every part. Start, reload, stop.

mod admin;
mod audit;
mod authserver;
mod check;
mod checkpoints;
mod credentials;
mod hook;
mod identity;
pub mod init;
mod linking;
mod load;
mod offboard;
mod otlp;
mod policies;
mod reload;
mod running;
mod start;
mod telemetry;
mod usable;
mod watch;

pub use check::{Checked, check};
pub use identity::principal_of;
pub use load::{Loaded, load, load_to_judge};
pub use policies::{Around, PolicyPlace, compile_at, read_text};
pub use running::Running;
pub use start::{StartError, start};

use std::io::Write as _;
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use crate::telemetry::logging;

/// Runs the gateway of the config at `path` until SIGTERM or SIGINT. SIGHUP reloads.
///
/// The first line on standard output, once connections are accepted, is
/// `portcullis ready mcp=<scheme://host:port> admin=<scheme://host:port>`.
///
/// # Errors
/// [`StartError`] before anything is served.
pub fn serve(path: &Path) -> Result<(), StartError> {
    let loaded = load(path).map_err(StartError::Config)?;
    logging::init(&loaded.config.telemetry.log, log_format(&loaded)).map_err(|error| StartError::Other(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let (mut end, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hangup = signal(SignalKind::hangup())?;
        let running = start(loaded).await?;
        announce(&running)?;
        running.announced();
        loop {
            tokio::select! {
                _ = end.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => running.reload_now(),
            }
        }
        tracing::info!("stopping: new work is refused, calls under way are finished");
        running.stop().await;
        Ok(())
    })
}

fn announce(running: &Running) -> std::io::Result<()> {
    if running.observes_only() {
        // Beside the log, whose level may hide it.
        writeln!(std::io::stderr().lock(), "{OBSERVE_ONLY_BANNER}")?;
    }
    if let Some(link) = running.console_link() {
        writeln!(std::io::stderr().lock(), "console: open {link} to sign in (once, within ten minutes)")?;
    }
    let mut out = std::io::stdout().lock();
    write!(out, "portcullis ready mcp={}", running.mcp_url())?;
    if let Some(admin) = running.admin_url() {
        write!(out, " admin={admin}")?;
    }
    writeln!(out)?;
    out.flush()
}

const OBSERVE_ONLY_BANNER: &str = "\
**********************************************************************\n\
** danger_observe_only: POLICY IS NOT ENFORCED. What it refuses     **\n\
** passes, and is recorded as refused. For a first rollout only.    **\n\
**********************************************************************";

fn log_format(loaded: &Loaded) -> logging::Format {
    match loaded.config.telemetry.log_format {
        crate::config::LogFormat::Json => logging::Format::Json,
        crate::config::LogFormat::Text => logging::Format::Text,
    }
}
