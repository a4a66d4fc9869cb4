//! Reload: everything is read and checked anew, then replaced at once, or nothing is.

use std::mem::discriminant;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::admin::Front;
use super::credentials::Outside;
use super::load::{self, Loaded};
use super::start::{origin, tls_files};
use super::watch::fingerprint;
use crate::config::{AuthServer, Config};
use crate::pipeline::Gateway;
use crate::server::TlsHandle;
use crate::server::tls::server_config;
use crate::upstream::Registry;
use crate::vocab::Problem;

/// Watches the files of the running config and reloads when asked or when they changed and then rested.
pub(super) struct Reloader {
    file: PathBuf,
    running: Mutex<Config>,
    gateway: Arc<Gateway>,
    registry: Arc<Registry>,
    tls: Option<TlsHandle>,
    bound_origin: String,
    outside: Arc<Outside>,
    /// The operators' listener, if there is one.
    front: Option<Arc<Front>>,
    /// Fingerprint of the watched files, of before the running set was read.
    seen: u64,
    asked: Notify,
    stopping: CancellationToken,
}

/// How often watched files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks without a change before a change is acted upon: 2 s of quiet.
const QUIET_LOOKS: u32 = 2;

impl Reloader {
    #[expect(clippy::too_many_arguments, reason = "the parts of a running gateway that a reload changes")]
    pub(super) fn new(
        loaded: Loaded,
        gateway: Arc<Gateway>,
        registry: Arc<Registry>,
        tls: Option<TlsHandle>,
        bound_origin: String,
        outside: Arc<Outside>,
        front: Option<Arc<Front>>,
        stopping: CancellationToken,
    ) -> Self {
        gateway.metrics.set_reload_success(true);
        observing(&gateway);
        let (file, seen) = (loaded.config.file.clone(), loaded.seen);
        let (running, asked) = (Mutex::new(loaded.config), Notify::new());
        Self { file, running, gateway, registry, tls, bound_origin, outside, front, seen, asked, stopping }
    }

    /// Asks for a reload at once.
    pub(super) fn ask(&self) {
        self.asked.notify_one();
    }

    /// Runs until the gateway stops; keeps the issuers' keys fresh meanwhile.
    pub(super) async fn run(self: Arc<Self>) {
        let mut keys = self.refresh_keys();
        let mut seen = self.seen;
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
                // Looked at before it is read: what changes meanwhile is a change.
                seen = self.look().await;
                if let Some(read) = self.reload().await {
                    seen = read;
                    keys.cancel();
                    keys = self.refresh_keys();
                }
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

    /// The fingerprint of what was read, if that replaced the running set.
    async fn reload(self: &Arc<Self>) -> Option<u64> {
        let this = self.clone();
        let replaced = tokio::task::spawn_blocking(move || load::load(&this.file).and_then(|loaded| this.replace(loaded))).await;
        let replaced = replaced.unwrap_or_else(|_| Err(vec![problem(&self.file, "the reload stopped")]));
        self.gateway.metrics.set_reload_success(replaced.is_ok());
        match replaced {
            Ok(seen) => {
                tracing::info!(policy = %self.gateway.world.load().policy.digest(), "configuration reloaded");
                observing(&self.gateway);
                Some(seen)
            }
            Err(problems) => {
                if let Some(front) = &self.front {
                    front.refused(problems.len());
                }
                for problem in &problems {
                    tracing::error!(%problem, "reload refused; the running configuration stays");
                }
                None
            }
        }
    }

    /// Everything that can fail is made first. Then all of it is put in place, or nothing was.
    fn replace(&self, loaded: Loaded) -> Result<u64, Vec<Problem>> {
        let mut running = self.running.lock();
        let fixed = fixed_changes(&running, &loaded.config);
        if !fixed.is_empty() {
            return Err(fixed
                .into_iter()
                .map(|key| problem(&self.file, &format!("{key} cannot change while running: restart")))
                .collect());
        }
        let failed = |why: String| vec![problem(&self.file, &why)];
        let (config, clock) = (&loaded.config, &self.gateway.clock);
        let files = tls_files(config, clock).map_err(|error| failed(error.to_string()))?;
        let tls = files.map(|files| server_config(&files, clock)).transpose().map_err(|error| failed(error.to_string()))?;
        let (origin, old) = (origin(config, &self.bound_origin), self.gateway.world.load_full());
        let upstreams = load::upstreams(config, &origin, &self.outside).map_err(failed)?;
        let prepared = self.registry.prepare(&upstreams).map_err(|error| failed(error.to_string()))?;
        let world = load::world(&loaded, &origin, clock, &self.outside, prepared.upstreams(), Some(&old));
        let world = Arc::new(world.map_err(failed)?);
        let front = self.front.as_ref().map(|front| front.change(config, &world).map(|change| (front, change)));
        let front = front.transpose().map_err(failed)?;
        prepared.commit();
        self.outside.offer(&world);
        self.gateway.world.store(world);
        self.gateway.revised.send_replace(());
        if let (Some(handle), Some(tls)) = (&self.tls, tls) {
            handle.swap(tls);
        }
        if let Some((front, change)) = front {
            front.put(change);
        }
        *running = loaded.config;
        Ok(loaded.seen)
    }

    /// The watched files as they are.
    async fn look(&self) -> u64 {
        let watched = self.running.lock().watched.clone();
        tokio::task::spawn_blocking(move || fingerprint(&watched)).await.unwrap_or(0)
    }
}

/// Says loudly, at the start and with every reload, that policy is not enforced.
fn observing(gateway: &Gateway) {
    let observe_only = gateway.world.load().observe.is_some();
    gateway.metrics.set_observe_only(observe_only);
    if observe_only {
        tracing::warn!("danger_observe_only is on: what policy refuses passes, and is recorded as refused");
    }
}

/// Keys that need a restart and differ.
fn fixed_changes(old: &Config, new: &Config) -> Vec<&'static str> {
    let door = |config: &Config| config.admin.as_ref().map(|admin| (admin.listen, discriminant(&admin.tls)));
    let site = |config: &Config| {
        let known = config.admin.as_ref();
        known.map(|admin| (admin.allowed_hosts.clone(), admin.public_url.clone(), admin.oidc.is_some()))
    };
    let audit = |config: &Config| {
        let audit = &config.audit;
        let files = (audit.file.clone(), audit.rotate, audit.compress, audit.retain);
        let kept = (audit.checkpoints, format!("{:?}", audit.exports), audit.sinks.clone());
        (audit.durability, audit.reads_wait, audit.intent_timeout, files, kept)
    };
    let (was, is) = (&old.limits, &new.limits);
    let lasting =
        |config: &Config| config.authserver.as_ref().map(|section: &AuthServer| (section.algorithm, section.key_rotation));
    let per_hour = |config: &Config| config.authserver.as_ref().and_then(|section| section.dcr.as_ref()).map(|dcr| dcr.per_hour);
    let kept = |config: &Config| (config.telemetry.trace_parts_per_million, config.telemetry.trace_slow);
    let keys = [
        ("authserver.enabled, algorithm or key_rotation", lasting(old) != lasting(new)),
        ("authserver.dcr.enabled or per_hour", per_hour(old) != per_hour(new)),
        ("keys.vault", old.vault_keys != new.vault_keys),
        ("listen", old.listen != new.listen),
        ("data_dir", old.data_dir != new.data_dir),
        ("admin.listen or tls", door(old) != door(new)),
        ("admin.allowed_hosts, public_url, or whether there is oidc", site(old) != site(new)),
        ("tls", discriminant(&old.tls) != discriminant(&new.tls)),
        ("audit, but for record_arguments", audit(old) != audit(new)),
        ("keys.checkpoint", old.audit.checkpoint_key != new.audit.checkpoint_key),
        ("telemetry.log", old.telemetry.log != new.telemetry.log),
        ("telemetry.log_format", old.telemetry.log_format != new.telemetry.log_format),
        ("telemetry.otlp", old.telemetry.otlp != new.telemetry.otlp),
        ("telemetry.trace_sample or trace_slow", kept(old) != kept(new)),
        ("limits.header_timeout", was.header_timeout != is.header_timeout),
        ("limits.connections", was.connections != is.connections),
        ("limits.in_flight", was.in_flight != is.in_flight),
    ];
    keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
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
