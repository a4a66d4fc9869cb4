//! The current keys of one issuer: loaded, kept fresh, and kept through outages.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::StatusCode;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;
use url::Url;

use super::discovery::{self, Place};
use super::issuer_settings::{IssuerSettings, JwksSource};
use super::jwk::{self, Key, KeyList};
use crate::net::{DialPolicy, Fetch, FetchError, Origin};
use crate::vocab::Clock;
use crate::vocab::limits::JWKS_BYTES_MAX;

/// Bounds of the freshness a server may claim.
const FRESH_MS_MIN: u64 = 60_000;
const FRESH_MS_MAX: u64 = 24 * 3_600_000;
/// Freshness where the server claims none.
const FRESH_MS_DEFAULT: u64 = 15 * 60_000;
/// How often a file is looked at.
const FILE_PERIOD_MS: u64 = 2_000;
/// How long the last good keys outlive a source that no longer answers.
pub(super) const STALE_MS_MAX: u64 = 24 * 3_600_000;
/// Between two loads that tokens with unknown keys caused. Short enough that a rotation is noticed at once, long enough that
/// an attacker who invents key ids does not turn the gateway against the issuer.
pub(super) const DEMAND_GAP_MS_MIN: u64 = 8_000;
/// Pause after the first of several failures; it doubles with each. Without any keys nothing works, so there is more haste.
const RETRY_MS_MIN: u64 = 8_000;
const RETRY_EMPTY_MS_MIN: u64 = 1_000;
/// The longest pause between attempts while a source fails.
const RETRY_MS_MAX: u64 = 60_000;
/// One load, discovery included: what a request waits for at most.
const LOAD_MS_MAX: u64 = 5_000;
/// Discovering anew, where an address is known already: leaves time to load from that one.
const REDISCOVERY_MS_MAX: u64 = 2_000;
/// How long a discovered address is used without looking for another while all is well.
pub(super) const DISCOVERED_MS_MAX: u64 = 3_600_000;
/// Between two attempts to discover anew because the address fails, or lacks a key. An address that is gone is not waited for.
pub(super) const REDISCOVERY_GAP_MS_MIN: u64 = 60_000;

/// Keys that were loaded at some time.
pub(super) struct Loaded {
    pub(super) list: KeyList,
    loaded_ms: u64,
}

/// One issuer's keys.
pub(super) struct Jwks {
    issuer: String,
    source: JwksSource,
    policy: DialPolicy,
    fetch: Fetch,
    clock: Clock,
    current: ArcSwapOption<Loaded>,
    /// The shared document that was looked at last, whether it was any good or not.
    seen: ArcSwapOption<Bytes>,
    /// The discovered address of the key set, from the last discovery that succeeded.
    place: ArcSwapOption<Place>,
    discovered_ms: AtomicU64,
    /// When discovery was attempted last.
    sought_ms: AtomicU64,
    /// Held while loading, so that there is one load at a time.
    flight: Arc<Mutex<()>>,
    /// Loads that ended, well or not.
    loads: AtomicU64,
    /// The load that a token caused: it goes on when the request that wanted it is gone, so that dropping requests cannot
    /// keep new keys out. One at a time, and at most [`LOAD_MS_MAX`].
    tasks: TaskTracker,
    due_ms: AtomicU64,
    attempted_ms: AtomicU64,
    demanded_ms: AtomicU64,
    failures: AtomicU32,
}

impl Jwks {
    /// A file or built-in document is loaded here; a network one by the first refresh.
    ///
    /// # Errors
    /// What is wrong with the file or the built-in document.
    pub(super) fn new(settings: &IssuerSettings, clock: Clock, fetch: Fetch) -> Result<Self, String> {
        let jwks = Self {
            issuer: settings.issuer.clone(),
            source: settings.jwks.clone(),
            policy: DialPolicy {
                allow_private: settings.allow_private_addresses,
                allow_loopback: consents_to_loopback(settings),
            },
            fetch,
            clock,
            current: ArcSwapOption::empty(),
            seen: ArcSwapOption::empty(),
            place: ArcSwapOption::empty(),
            discovered_ms: AtomicU64::new(0),
            sought_ms: AtomicU64::new(0),
            flight: Arc::default(),
            loads: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            due_ms: AtomicU64::new(0),
            attempted_ms: AtomicU64::new(0),
            demanded_ms: AtomicU64::new(0),
            failures: AtomicU32::new(0),
        };
        match &settings.jwks {
            JwksSource::Url(_) | JwksSource::Discovered | JwksSource::None => {}
            JwksSource::Shared(_) => jwks.follow(),
            JwksSource::Static(document) => jwks.accept(document, FRESH_MS_MAX)?,
            JwksSource::File(path) => jwks.accept(&read_now(path)?, FILE_PERIOD_MS)?,
        }
        Ok(jwks)
    }

    /// The keys, unless there are none or they are too old to be trusted.
    pub(super) fn current(&self) -> Option<Arc<Loaded>> {
        self.follow();
        let loaded = self.current.load_full()?;
        self.is_usable(&loaded).then_some(loaded)
    }

    /// Whether the key with `fingerprint` is one of the current keys. Cheap: runs for every request.
    pub(super) fn holds(&self, fingerprint: &[u8; 32]) -> bool {
        self.follow();
        let current = self.current.load();
        current
            .as_ref()
            .is_some_and(|loaded| self.is_usable(loaded) && loaded.list.keys.iter().any(|k| k.fingerprint == *fingerprint))
    }

    fn is_usable(&self, loaded: &Loaded) -> bool {
        self.is_here() || self.clock.unix_ms().saturating_sub(loaded.loaded_ms) < STALE_MS_MAX
    }

    /// Whether the document is handed over in memory, and never loaded.
    fn is_here(&self) -> bool {
        matches!(self.source, JwksSource::Static(_) | JwksSource::Shared(_) | JwksSource::None)
    }

    /// Takes over a shared document that was swapped. One that is no good leaves the keys of before in force.
    fn follow(&self) {
        let JwksSource::Shared(document) = &self.source else { return };
        let document = document.load();
        if self.seen.load().as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &document)) {
            return;
        }
        let document = Arc::clone(&document);
        self.seen.store(Some(document.clone()));
        if let Err(why) = self.accept(&document, FRESH_MS_MAX) {
            tracing::error!(issuer = %self.issuer, %why, "the gateway's own key set is not usable; keeping the last good one");
        }
    }

    /// Loads again because a token needs a key that is not here; does nothing within [`DEMAND_GAP_MS_MIN`] of the last time,
    /// or of an attempt that failed. Callers that arrive while a load is under way wait for it, and cause none of their own,
    /// so that nobody waits longer than [`LOAD_MS_MAX`].
    pub(super) async fn demand(self: &Arc<Self>) {
        if self.is_here() {
            return;
        }
        let loads = self.loads.load(Ordering::Acquire);
        let one = self.flight.clone().lock_owned().await;
        if self.loads.load(Ordering::Acquire) != loads || !self.may_demand() {
            return;
        }
        self.demanded_ms.store(self.clock.unix_ms(), Ordering::Relaxed);
        let this = self.clone();
        let load = self.tasks.spawn(async move {
            this.load(true).await;
            drop(one);
        });
        if load.await.is_err() {
            tracing::error!(issuer = %self.issuer, "loading the issuer's keys ended early");
        }
    }

    fn may_demand(&self) -> bool {
        let now_ms = self.clock.unix_ms();
        let passed = |then: &AtomicU64| now_ms.abs_diff(then.load(Ordering::Relaxed)) >= DEMAND_GAP_MS_MIN;
        passed(&self.demanded_ms) && (self.failures.load(Ordering::Relaxed) == 0 || passed(&self.attempted_ms))
    }

    /// Loads again if the keys are no longer fresh.
    pub(super) async fn refresh_due(&self) {
        // A clock that was set back before the last attempt would otherwise put the next one off by as much.
        let due = || {
            let now_ms = self.clock.unix_ms();
            now_ms >= self.due_ms.load(Ordering::Relaxed) || now_ms < self.attempted_ms.load(Ordering::Relaxed)
        };
        if self.is_here() || !due() {
            return;
        }
        let _one = self.flight.lock().await;
        if due() {
            self.load(false).await;
        }
    }

    /// One attempt, [`LOAD_MS_MAX`] at most. A failure keeps what there is and schedules the next attempt. `demanded`: a token
    /// needs a key that is not here.
    async fn load(&self, demanded: bool) {
        self.attempted_ms.store(self.clock.unix_ms(), Ordering::Relaxed);
        let read = tokio::time::timeout(Duration::from_millis(LOAD_MS_MAX), self.read(demanded)).await;
        let done = match read {
            Ok(Ok((document, fresh_ms))) => self.accept(&document, fresh_ms),
            Ok(Err(why)) => Err(why),
            Err(_) => Err("not loaded in time".to_owned()),
        };
        match done {
            Ok(()) => self.failures.store(0, Ordering::Relaxed),
            Err(why) => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(6);
                let first_ms = if self.current.load().is_some() { RETRY_MS_MIN } else { RETRY_EMPTY_MS_MIN };
                let pause_ms = (first_ms << failures).min(RETRY_MS_MAX);
                self.due_ms.store(self.clock.unix_ms().saturating_add(pause_ms), Ordering::Relaxed);
                tracing::warn!(issuer = %self.issuer, %why, "the issuer's keys could not be loaded; keeping the last good ones");
            }
        }
        self.loads.fetch_add(1, Ordering::Release);
    }

    async fn read(&self, demanded: bool) -> Result<(Bytes, u64), String> {
        match &self.source {
            JwksSource::Static(document) => Ok((document.clone(), FRESH_MS_MAX)),
            JwksSource::Shared(document) => Ok(((**document.load()).clone(), FRESH_MS_MAX)),
            JwksSource::None => Err("the issuer has no keys".to_owned()),
            JwksSource::File(path) => Ok((read_file(path).await?, FILE_PERIOD_MS)),
            JwksSource::Url(url) => self.download(url, self.policy).await.map_err(|e| format!("{url}: {e}")),
            JwksSource::Discovered => self.read_discovered(demanded).await,
        }
    }

    /// From the known address, unless it is time to look for another. That address stands until discovery finds another.
    async fn read_discovered(&self, demanded: bool) -> Result<(Bytes, u64), String> {
        let (place, just_found) = match self.place.load_full() {
            None => (self.discover().await?, true),
            Some(known) if self.may_rediscover(demanded) => {
                let time_max = Duration::from_millis(REDISCOVERY_MS_MAX);
                let found = tokio::time::timeout(time_max, self.discover()).await;
                match found.unwrap_or_else(|_| Err("discovery took too long".to_owned())) {
                    Ok(place) => (place, true),
                    Err(why) => {
                        tracing::warn!(issuer = %self.issuer, %why, "no new discovery; keeping the address of the key set");
                        (known, false)
                    }
                }
            }
            Some(known) => (known, false),
        };
        let says = |error: FetchError| format!("{}: {error}", place.url);
        match self.download(&place.url, place.policy).await {
            Err(error @ FetchError::Status(StatusCode::NOT_FOUND | StatusCode::GONE)) if !just_found => {
                let other = self.discover().await?;
                if other == place {
                    return Err(says(error));
                }
                self.download(&other.url, other.policy).await.map_err(|e| format!("{}: {e}", other.url))
            }
            got => got.map_err(says),
        }
    }

    fn may_rediscover(&self, demanded: bool) -> bool {
        let now_ms = self.clock.unix_ms();
        let since_ms = |then: &AtomicU64| now_ms.abs_diff(then.load(Ordering::Relaxed));
        let wanted = demanded || self.failures.load(Ordering::Relaxed) > 0 || since_ms(&self.discovered_ms) >= DISCOVERED_MS_MAX;
        wanted && since_ms(&self.sought_ms) >= REDISCOVERY_GAP_MS_MIN
    }

    async fn discover(&self) -> Result<Arc<Place>, String> {
        self.sought_ms.store(self.clock.unix_ms(), Ordering::Relaxed);
        let place = Arc::new(discovery::keys_of(&self.issuer, self.policy, &self.fetch).await?);
        self.discovered_ms.store(self.clock.unix_ms(), Ordering::Relaxed);
        self.place.store(Some(place.clone()));
        Ok(place)
    }

    async fn download(&self, url: &Url, policy: DialPolicy) -> Result<(Bytes, u64), FetchError> {
        let got = self.fetch.get(url, policy, JWKS_BYTES_MAX).await?;
        let claimed_ms = got.max_age_s.map_or(FRESH_MS_DEFAULT, |s| s.saturating_mul(1_000));
        Ok((got.body, claimed_ms.clamp(FRESH_MS_MIN, FRESH_MS_MAX)))
    }

    fn accept(&self, document: &[u8], fresh_ms: u64) -> Result<(), String> {
        let list = jwk::parse(document)?;
        let loaded_ms = self.clock.unix_ms();
        let changed = self.current.load().as_ref().is_none_or(|old| old.list.digest != list.digest);
        if changed {
            tracing::info!(issuer = %self.issuer, keys = list.keys.len(), "the issuer's keys are loaded");
        }
        self.current.store(Some(Arc::new(Loaded { list, loaded_ms })));
        self.due_ms.store(loaded_ms.saturating_add(fresh_ms), Ordering::Relaxed);
        Ok(())
    }

    /// The issuer's name, and how many usable keys there are.
    pub(super) fn health(&self) -> (&str, usize) {
        (&self.issuer, self.current().map_or(0, |loaded| loaded.list.keys.len()))
    }
}

impl Loaded {
    /// The keys to try for a token: those with its `kid`, else those without any; of keys without `kid` only a few.
    pub(super) fn candidates(&self, kid: Option<&str>, alg: jsonwebtoken::Algorithm) -> Vec<Arc<Key>> {
        /// Signatures tried for one token.
        const CANDIDATES_MAX: usize = 4;
        let fitting = |wanted: Option<&str>, any: bool| -> Vec<Arc<Key>> {
            let keys = self.list.keys.iter().filter(|k| k.fits(alg) && (any || k.kid.as_deref() == wanted));
            keys.take(CANDIDATES_MAX).cloned().collect()
        };
        match kid {
            None => fitting(None, true),
            Some(kid) => {
                let named = fitting(Some(kid), false);
                if named.is_empty() { fitting(None, false) } else { named }
            }
        }
    }
}

/// A loopback address written by the operator is its own consent.
fn consents_to_loopback(settings: &IssuerSettings) -> bool {
    let origin = match &settings.jwks {
        JwksSource::Url(url) => Origin::of(url),
        JwksSource::Discovered => settings.issuer.parse().ok().as_ref().and_then(Origin::of),
        JwksSource::File(_) | JwksSource::Static(_) | JwksSource::Shared(_) | JwksSource::None => None,
    };
    origin.is_some_and(|origin| origin.names_loopback())
}

fn read_now(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let mut document = Vec::new();
    file.take(JWKS_BYTES_MAX as u64 + 1).read_to_end(&mut document).map_err(|e| e.to_string())?;
    Ok(document)
}

async fn read_file(path: &Path) -> Result<Bytes, String> {
    let file = tokio::fs::File::open(path).await.map_err(|e| e.to_string())?;
    let mut document = Vec::new();
    file.take(JWKS_BYTES_MAX as u64 + 1).read_to_end(&mut document).await.map_err(|e| e.to_string())?;
    Ok(document.into())
}
