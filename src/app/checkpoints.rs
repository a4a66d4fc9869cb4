//! Checkpoints of the audit, kept elsewhere than the audit: whoever cuts the log off does not have them.
//!
//! Each place has a task that sends the last checkpoint that is on disk. A place that is slow misses those between, and one that fails
//! is tried again; neither holds up anything else.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::{self, Checkpoint, Exporter};
use crate::config::{CheckpointExport, CheckpointWebhook, Config};
use crate::net::backoff::pause;
use crate::net::{DialPolicy, Fetch, Payload};
use crate::notice;
use crate::pipeline::Gateway;
use crate::telemetry::metrics::Metrics;
use crate::vocab::Clock;

/// The tasks, which end with the last checkpoint.
pub(super) struct Exports {
    tasks: TaskTracker,
    last: CancellationToken,
}

impl Exports {
    /// Starts a task for every place in the config.
    pub(super) fn start(gateway: &Gateway, config: &Config, fetch: &Fetch) -> Self {
        if key_beside_log(config) {
            tracing::warn!(
                key = %config.audit.checkpoint_key.display(),
                "the key that signs the audit lies beside it: whoever may write there can forge both"
            );
        }
        let (tasks, last) = (TaskTracker::new(), CancellationToken::new());
        for export in &config.audit.exports {
            let place = match export {
                CheckpointExport::File(path) => Place::File(path.clone()),
                CheckpointExport::Webhook(webhook) => Place::Webhook(webhook.clone(), fetch.clone(), gateway.clock.clone()),
            };
            let witness = gateway.audit.witness(&place.to_string(), place.kind());
            let worker = Worker { place, witness, metrics: gateway.metrics.clone(), clock: gateway.clock.clone() };
            drop(tasks.spawn(run(worker, gateway.audit.checkpoints(), last.clone())));
        }
        Self { tasks, last }
    }

    /// Sends the last checkpoint, after which there is none. What does not take it in time does not have it.
    pub(super) async fn finish(&self) {
        self.last.cancel();
        self.tasks.close();
        if tokio::time::timeout(FINISH_TIME, self.tasks.wait()).await.is_err() {
            tracing::error!("the last checkpoint of the audit was not taken everywhere");
        }
    }
}

/// Whether the key that signs lies where the gateway writes, links followed.
pub(super) fn key_beside_log(config: &Config) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (key, dir) = (&config.audit.checkpoint_key, &config.data_dir);
    key.starts_with(dir) || real(key).starts_with(real(dir))
}

struct Worker {
    place: Place,
    witness: Arc<Exporter>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

async fn run(
    Worker { place, witness, metrics, clock }: Worker,
    mut checkpoints: watch::Receiver<Option<Arc<Checkpoint>>>,
    last: CancellationToken,
) {
    let (mut taken, mut failing, mut failed) = (0, false, 0_u32);
    loop {
        let ending = last.is_cancelled();
        let now = checkpoints.borrow_and_update().clone();
        if let Some(checkpoint) = now.filter(|checkpoint| checkpoint.statement.size.saturating_add(1) > taken) {
            let sent = place.send(&checkpoint).await;
            if sent.is_err() != failing {
                failing = sent.is_err();
                metrics.audit.export_fails(failing);
                match &sent {
                    Err(error) => tracing::error!(%place, error, "a checkpoint of the audit was not taken: it is tried again"),
                    Ok(()) => tracing::info!(%place, "checkpoints of the audit are taken again"),
                }
            }
            match sent {
                Ok(()) => {
                    (taken, failed) = (checkpoint.statement.size.saturating_add(1), 0);
                    witness.took(checkpoint.statement.size);
                }
                Err(error) => {
                    failed = failed.saturating_add(1);
                    witness.failed(clock.unix_ms(), &error);
                }
            }
        }
        if ending {
            return;
        }
        let wait = async {
            if failing {
                tokio::time::sleep(pause(failed, PAUSE_MS_MIN..=PAUSE_MS_MAX)).await
            } else {
                drop(checkpoints.changed().await)
            }
        };
        tokio::select! {
            () = wait => {}
            () = last.cancelled() => {}
        }
    }
}

enum Place {
    File(PathBuf),
    Webhook(CheckpointWebhook, Fetch, Clock),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Webhook(webhook, ..) => write!(f, "{}", webhook.url.origin().ascii_serialization()),
        }
    }
}

impl Place {
    fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Webhook(..) => "webhook",
        }
    }

    async fn send(&self, checkpoint: &Checkpoint) -> Result<(), String> {
        let line = audit::exported(checkpoint);
        match self {
            Self::File(path) => {
                let path = path.clone();
                let written = tokio::task::spawn_blocking(move || append(&path, line.as_bytes())).await;
                written.map_err(|_| "it was cut off".to_owned())?.map_err(|error| error.to_string())
            }
            Self::Webhook(webhook, fetch, clock) => post(webhook, fetch, clock.unix_s(), checkpoint, line.trim_end()).await,
        }
    }
}

/// Opened each time: the file may be moved away by whoever keeps it. A line is there whole or not at all; where what is there may not
/// be taken back, as in a file that can only be appended to, half of one is ended before the next.
fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let length = file.metadata()?.len();
    let whole = if ends_within_a_line(path, length) { [b"\n", line].concat() } else { line.to_vec() };
    let written = file.write(&whole)?;
    if written < whole.len() {
        // Nobody else's line is behind ours.
        if file.metadata()?.len() == length + written as u64 {
            file.set_len(length)?;
        }
        return Err(io::ErrorKind::StorageFull.into());
    }
    file.sync_data()
}

/// What cannot be read is taken for whole.
fn ends_within_a_line(path: &Path, length: u64) -> bool {
    let mut last = [b'\n'];
    let Some(before) = length.checked_sub(1) else { return false };
    File::open(path).and_then(|file| file.read_at(&mut last, before)).is_ok() && last != *b"\n"
}

async fn post(webhook: &CheckpointWebhook, fetch: &Fetch, now_s: u64, checkpoint: &Checkpoint, body: &str) -> Result<(), String> {
    let id = format!("{}-{}", checkpoint.statement.log, checkpoint.statement.size);
    let headers = notice::headers("checkpoint", &id, Some(&webhook.secret), now_s, body.as_bytes());
    let headers = headers.ok_or("a header cannot be written")?;
    let policy = DialPolicy::written(&webhook.url, webhook.allow_private_addresses);
    let got = fetch.send(&webhook.url, policy, &headers, Payload::Json(body), ANSWER_BYTES_MAX).await;
    let got = got.map_err(|error| error.to_string())?;
    if got.status.is_success() { Ok(()) } else { Err(format!("answered {}", got.status.as_u16())) }
}

/// Pause after the first attempt that failed; the next ones are twice as long each.
const PAUSE_MS_MIN: u64 = 1_000;
/// Pause between attempts, however many failed.
const PAUSE_MS_MAX: u64 = 60_000;
/// Time the last checkpoint may take.
const FINISH_TIME: Duration = Duration::from_secs(5);
/// What is read of an answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn half_a_line_is_ended_before_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seen.jsonl");
        for (before, after) in [("", "2\n"), ("1\n", "1\n2\n"), ("1\nhal", "1\nhal\n2\n")] {
            std::fs::write(&path, before).unwrap();
            append(&path, b"2\n").unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
    }

    /// The limit to the length of files is one of a whole process, so the test runs itself again in one of its own.
    #[test]
    fn a_line_that_is_not_taken_whole_is_taken_back() {
        const NAME: &str = "app::checkpoints::tests::a_line_that_is_not_taken_whole_is_taken_back";
        if let Some(path) = std::env::var_os("CHECKPOINT_TEST_FILE") {
            return assert!(append(Path::new(&path), &[b'x'; 100]).is_err());
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seen.jsonl");
        let before = "y".repeat(1_003) + "\n";
        std::fs::write(&path, before.repeat(4)).unwrap();
        append(&path, b"one\n").unwrap();
        let child = Command::new("bash")
            .args(["-c", &format!("trap '' XFSZ; ulimit -f 4; exec \"$0\" --exact {NAME}")])
            .arg(std::env::current_exe().unwrap())
            .env("CHECKPOINT_TEST_FILE", &path)
            .output()
            .unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before.repeat(4) + "one\n");
    }
}
