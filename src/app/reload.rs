//! Reload: everything is read and checked anew, then replaced at once, or nothing is.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::load::{self, Loaded};
use super::start::tls_files;
use crate::config::Config;
use crate::net::Fetch;
use crate::pipeline::Gateway;
use crate::server::TlsHandle;
use crate::upstream::Registry;
use crate::vocab::Problem;

/// Watches the files of the running config and reloads when asked or when they changed and then rested.
pub(super) struct Reloader {
    file: PathBuf,
    running: Mutex<Config>,
    gateway: Arc<Gateway>,
    registry: Arc<Registry>,
    tls: Option<TlsHandle>,
    origin: String,
    fetch: Fetch,
    asked: Notify,
    stopping: CancellationToken,
}

/// How often watched files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks without a change before a change is acted upon: 2 s of quiet.
const QUIET_LOOKS: u32 = 2;

impl Reloader {
    pub(super) fn new(
        loaded: Loaded,
        gateway: Arc<Gateway>,
        registry: Arc<Registry>,
        tls: Option<TlsHandle>,
        origin: String,
        fetch: Fetch,
        stopping: CancellationToken,
    ) -> Self {
        gateway.metrics.set_reload_success(true);
        let file = loaded.config.file.clone();
        Self { file, running: Mutex::new(loaded.config), gateway, registry, tls, origin, fetch, asked: Notify::new(), stopping }
    }

    /// Asks for a reload at once.
    pub(super) fn ask(&self) {
        self.asked.notify_one();
    }

    /// Runs until the gateway stops; keeps the issuers' keys fresh meanwhile.
    pub(super) async fn run(self: Arc<Self>) {
        let mut keys = self.refresh_keys();
        let mut seen = self.look().await;
        let (mut changed, mut quiet) = (false, 0);
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => break,
                () = self.asked.notified() => (changed, quiet) = (true, QUIET_LOOKS),
                () = tokio::time::sleep(LOOK_EVERY) => {
                    let now = self.look().await;
                    if now == seen { quiet += 1 } else { (changed, quiet, seen) = (true, 0, now) }
                }
            }
            if changed && quiet >= QUIET_LOOKS {
                changed = false;
                if self.reload().await {
                    keys.cancel();
                    keys = self.refresh_keys();
                }
                seen = self.look().await;
            }
        }
        keys.cancel();
    }

    fn refresh_keys(&self) -> CancellationToken {
        let stop = self.stopping.child_token();
        let identity = self.gateway.world.load().identity.clone();
        drop(self.gateway.tasks.spawn(identity.run(stop.clone())));
        stop
    }

    /// True if the running set was replaced.
    async fn reload(&self) -> bool {
        let file = self.file.clone();
        let loaded = tokio::task::spawn_blocking(move || load::load(&file)).await;
        let replaced = match loaded {
            Ok(Ok(loaded)) => self.replace(loaded),
            Ok(Err(problems)) => Err(problems),
            Err(_) => Err(vec![problem(&self.file, "the reload stopped")]),
        };
        self.gateway.metrics.set_reload_success(replaced.is_ok());
        match replaced {
            Ok(()) => {
                tracing::info!(policy = %self.gateway.world.load().policy.digest(), "configuration reloaded");
                true
            }
            Err(problems) => {
                for problem in &problems {
                    tracing::error!(%problem, "reload refused; the running configuration stays");
                }
                false
            }
        }
    }

    fn replace(&self, loaded: Loaded) -> Result<(), Vec<Problem>> {
        let mut running = self.running.lock();
        let fixed = fixed_changes(&running, &loaded.config);
        if !fixed.is_empty() {
            return Err(fixed
                .into_iter()
                .map(|key| problem(&self.file, &format!("{key} cannot change while running: restart")))
                .collect());
        }
        let failed = |why: String| vec![problem(&self.file, &why)];
        let clock = &self.gateway.clock;
        let origin = loaded.config.public_url.as_ref().map_or_else(|| self.origin.clone(), |url| url.origin());
        let old = self.gateway.world.load_full();
        let world = load::world(&loaded, &origin, clock, &self.fetch, Some(&old.identity)).map_err(failed)?;
        if let (Some(tls), Ok(Some(files))) = (&self.tls, tls_files(&loaded.config, clock)) {
            tls.reload(&files, clock).map_err(|error| failed(error.to_string()))?;
        }
        self.registry.apply(&load::upstreams(&loaded.config).map_err(failed)?).map_err(|error| failed(error.to_string()))?;
        self.gateway.world.store(Arc::new(world));
        *running = loaded.config;
        Ok(())
    }

    /// A fingerprint of the contents of everything watched; of no use but to be compared.
    async fn look(&self) -> u64 {
        let watched = self.running.lock().watched.clone();
        tokio::task::spawn_blocking(move || fingerprint(&watched)).await.unwrap_or(0)
    }
}

/// Keys that need a restart.
fn fixed_changes(old: &Config, new: &Config) -> Vec<&'static str> {
    let mut keys = Vec::new();
    if old.listen != new.listen {
        keys.push("listen");
    }
    if old.data_dir != new.data_dir {
        keys.push("data_dir");
    }
    if old.admin.as_ref().map(|a| a.listen) != new.admin.as_ref().map(|a| a.listen) {
        keys.push("admin.listen");
    }
    if std::mem::discriminant(&old.tls) != std::mem::discriminant(&new.tls) {
        keys.push("tls");
    }
    if old.audit.file != new.audit.file || old.audit.durability != new.audit.durability {
        keys.push("audit");
    }
    keys
}

fn fingerprint(watched: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in watched {
        hasher.write(path.as_os_str().as_encoded_bytes());
        if path.is_dir() {
            let mut names: Vec<_> = std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.file_name()).collect();
            names.sort();
            names.iter().for_each(|name| hasher.write(name.as_encoded_bytes()));
        } else {
            hasher.write(&std::fs::read(path).unwrap_or_default());
        }
    }
    hasher.finish()
}

fn problem(file: &Path, message: &str) -> Problem {
    Problem {
        file: file.display().to_string(),
        line: 0,
        column: 0,
        path: String::new(),
        value: String::new(),
        message: message.to_owned(),
        hint: String::new(),
    }
}
