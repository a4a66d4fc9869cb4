//! Every upstream by name. A reload replaces the ones that changed and leaves the rest alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use parking_lot::{Mutex, MutexGuard};
use rustls::ClientConfig;
use tokio::time::{Instant, sleep_until};

use super::endpoint::Upstream;
use super::settings::UpstreamSettings;
use super::shared::{ListHook, Shared};
use crate::vocab::Deadline;

/// An upstream whose settings cannot work.
#[derive(Debug, thiserror::Error)]
#[error("upstream {upstream}: {why}")]
pub struct Unusable {
    /// Its name.
    pub upstream: Arc<str>,
    /// What is wrong. Holds no secret.
    pub why: &'static str,
}

/// Upstreams by name, as one set of settings made them.
pub type Upstreams = BTreeMap<Arc<str>, Arc<Upstream>>;

/// Upstreams that are ready to take over. Nothing was contacted or started for them; dropped, they leave no trace.
pub struct Prepared<'a> {
    registry: &'a Registry,
    upstreams: Arc<Upstreams>,
    _replacing: MutexGuard<'a, ()>,
}

impl Prepared<'_> {
    /// The upstreams. A request that holds them is served by them, whatever replaces them meanwhile.
    pub fn upstreams(&self) -> Arc<Upstreams> {
        Arc::clone(&self.upstreams)
    }

    /// Makes them the upstreams of the registry. Those that changed or are gone serve the requests they have and end.
    pub fn commit(self) {
        let Registry { upstreams, shared, .. } = self.registry;
        let old = upstreams.swap(Arc::clone(&self.upstreams));
        let kept = |name, upstream| self.upstreams.get(name).is_some_and(|new| Arc::ptr_eq(new, upstream));
        for (_, upstream) in old.iter().filter(|(name, upstream)| !kept(*name, *upstream)) {
            upstream.end_watches();
            let done = wind_down(Arc::clone(upstream), Arc::downgrade(&old));
            shared.tasks.spawn_on(done, &shared.handle);
        }
    }
}

/// The upstreams of the gateway, and every task and process they need.
pub struct Registry {
    upstreams: ArcSwap<Upstreams>,
    /// Held while upstreams are replaced.
    replacing: Mutex<()>,
    tls: Arc<ClientConfig>,
    shared: Arc<Shared>,
}

impl Registry {
    /// An empty registry. `hook` is called when an upstream says that a list changed. Must be called inside a tokio runtime,
    /// on which everything will run.
    pub fn new(tls: Arc<ClientConfig>, hook: ListHook) -> Arc<Self> {
        let shared = Arc::new(Shared::new(hook));
        let registry =
            Arc::new(Self { upstreams: ArcSwap::default(), replacing: Mutex::new(()), tls, shared: Arc::clone(&shared) });
        let weak = Arc::downgrade(&registry);
        let stop = shared.stop.clone();
        shared.tasks.spawn_on(
            async move {
                let mut next = Instant::now();
                loop {
                    next += SWEEP_EVERY;
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = sleep_until(next) => {}
                    }
                    let Some(registry) = weak.upgrade() else { return };
                    registry.sweep();
                }
            },
            &shared.handle,
        );
        registry
    }

    /// Makes the upstreams of `settings`. One that did not change is the one of before, with its connections, sessions,
    /// processes and breaker. Others that prepare wait until this is committed or dropped.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn prepare(&self, settings: &[UpstreamSettings]) -> Result<Prepared<'_>, Unusable> {
        let replacing = self.replacing.lock();
        let old = self.upstreams.load_full();
        let mut new = Upstreams::new();
        for one in settings {
            let kept = old.get(&one.name).filter(|upstream| upstream.settings().same_as(one));
            let upstream = match kept {
                Some(upstream) => Arc::clone(upstream),
                None => Arc::new(
                    Upstream::new(one.clone(), Arc::clone(&self.tls), Arc::clone(&self.shared))
                        .map_err(|why| Unusable { upstream: Arc::clone(&one.name), why })?,
                ),
            };
            new.insert(Arc::clone(&one.name), upstream);
        }
        Ok(Prepared { registry: self, upstreams: Arc::new(new), _replacing: replacing })
    }

    /// [`Self::prepare`] and [`Prepared::commit`].
    ///
    /// # Errors
    /// [`Unusable`]; then nothing changes.
    pub fn apply(&self, settings: &[UpstreamSettings]) -> Result<(), Unusable> {
        self.prepare(settings).map(Prepared::commit)
    }

    /// The upstream called `name`.
    pub fn get(&self, name: &str) -> Option<Arc<Upstream>> {
        self.upstreams.load().get(name).cloned()
    }

    /// All names, sorted.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.upstreams.load().keys().cloned().collect()
    }

    /// Each upstream, and false for those that are left alone at the moment because they failed too often.
    pub fn health(&self) -> Vec<(Arc<str>, bool)> {
        self.upstreams.load().iter().map(|(name, upstream)| (Arc::clone(name), upstream.is_up())).collect()
    }

    /// Messages of upstreams that belonged to no call, so far.
    pub fn dropped_messages(&self) -> u64 {
        self.shared.dropped()
    }

    /// Ends sessions, processes, connections and tasks, and waits for them until `deadline`. Calls to processes
    /// that are still open fail; streams over HTTP end when their [`super::Answer`] is dropped.
    pub async fn shutdown(&self, deadline: Deadline) {
        let all = self.upstreams.swap(Arc::default());
        join_all(all.values().map(|upstream| upstream.retire(deadline))).await;
        self.shared.stop.cancel();
        self.shared.tasks.close();
        let _ = tokio::time::timeout_at(deadline.instant().into(), self.shared.tasks.wait()).await;
    }

    fn sweep(&self) {
        for upstream in self.upstreams.load().values() {
            upstream.sweep();
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

/// Lets the calls of a replaced upstream finish, and those that requests of its time are yet to make, then ends it.
async fn wind_down(upstream: Arc<Upstream>, its_time: Weak<Upstreams>) {
    let limit = Deadline::after(upstream.settings().timeout.saturating_add(HAND_OVER_TIME));
    while (its_time.strong_count() > 0 || upstream.is_busy()) && !limit.remaining().is_zero() {
        tokio::time::sleep(WIND_DOWN_LOOK_EVERY).await;
    }
    upstream.retire(Deadline::after(RETIRE_TIME)).await;
}

const SWEEP_EVERY: Duration = Duration::from_secs(5);
const WIND_DOWN_LOOK_EVERY: Duration = Duration::from_millis(250);
/// Time for a request that began before its upstream was replaced to come to its call.
const HAND_OVER_TIME: Duration = Duration::from_secs(30);
const RETIRE_TIME: Duration = Duration::from_secs(10);
