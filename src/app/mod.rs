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

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};

use crate::private_file;
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
        let link_file = loaded.config.data_dir.join(LINK_FILE);
        let running = start(loaded).await?;
        let terminal = std::io::stderr().is_terminal();
        let link = running.console_link().map(|link| show_link(&link, link_file, terminal, &mut std::io::stderr()));
        let _link = link.transpose().map(Option::flatten).unwrap_or_else(|error| {
            tracing::error!(%error, "nobody can be shown the link to sign in at the console");
            None
        });
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

/// The link of the console, below the data directory.
const LINK_FILE: &str = "run/console.link";

/// A file that goes when this does.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(file = %self.0.display(), %error, "the link of the console stays where it is; it serves no more");
        }
    }
}

/// Shows `link`, which is a secret, to whoever started us: on `out`, if that is a terminal. What is none most likely ends in a journal
/// that many read, and the link goes into `file` instead, for its owner only.
fn show_link(link: &str, file: PathBuf, terminal: bool, out: &mut dyn std::io::Write) -> std::io::Result<Option<Removed>> {
    if terminal {
        writeln!(out, "console: open {link} to sign in (once, within ten minutes)")?;
        return Ok(None);
    }
    // One of a gateway that was killed serves no more; the data directory is ours alone by now.
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    private_file::create(&file, format!("{link}\n").as_bytes())?;
    tracing::info!(file = %file.display(), "the link to sign in at the console (once, within ten minutes) is in this file");
    Ok(Some(Removed(file)))
}

fn announce(running: &Running) -> std::io::Result<()> {
    if running.observes_only() {
        // Beside the log, whose level may hide it.
        writeln!(std::io::stderr().lock(), "{OBSERVE_ONLY_BANNER}")?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_is_on_the_terminal_or_in_a_file_until_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("console.link");
        let mut out = Vec::new();
        assert!(show_link("http://a/?key=b", file.clone(), true, &mut out).unwrap().is_none());
        assert!(String::from_utf8(out).unwrap().contains("open http://a/?key=b to sign in") && !file.exists());
        std::fs::write(&file, "one of before").unwrap();
        let mut out = Vec::new();
        let removed = show_link("http://a/?key=b", file.clone(), false, &mut out).unwrap();
        assert_eq!((out.as_slice(), std::fs::read_to_string(&file).unwrap().as_str()), (&b""[..], "http://a/?key=b\n"));
        drop(removed);
        assert!(!file.exists());
    }
}
