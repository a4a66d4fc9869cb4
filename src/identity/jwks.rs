//! The current keys of one issuer: loaded, kept fresh, and kept through outages.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;
use url::Url;

use super::discovery;
use super::issuer_settings::{IssuerSettings, JwksSource};
use super::jwk::{self, Key, KeyList};
use crate::net::{DialPolicy, Fetch, Origin};
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
/// The longest pause between attempts while a source fails.
const RETRY_MS_MAX: u64 = 60_000;

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
    /// Held while loading, so that there is one load at a time.
    flight: Mutex<()>,
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
            flight: Mutex::new(()),
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

    /// Loads again because a token needs a key that is not here; does nothing within [`DEMAND_GAP_MS_MIN`] of the last time.
    /// Callers that arrive while a load is under way wait for it.
    pub(super) async fn demand(&self) {
        if self.is_here() {
            return;
        }
        let _one = self.flight.lock().await;
        let now_ms = self.clock.unix_ms();
        if now_ms.abs_diff(self.demanded_ms.load(Ordering::Relaxed)) >= DEMAND_GAP_MS_MIN {
            self.demanded_ms.store(now_ms, Ordering::Relaxed);
            self.load().await;
        }
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
            self.load().await;
        }
    }

    /// One attempt. A failure keeps what there is and schedules the next attempt.
    async fn load(&self) {
        self.attempted_ms.store(self.clock.unix_ms(), Ordering::Relaxed);
        let done = match self.read().await {
            Ok((document, fresh_ms)) => self.accept(&document, fresh_ms),
            Err(why) => Err(why),
        };
        match done {
            Ok(()) => self.failures.store(0, Ordering::Relaxed),
            Err(why) => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(6);
                let pause_ms = (1_000_u64 << failures).min(RETRY_MS_MAX);
                self.due_ms.store(self.clock.unix_ms().saturating_add(pause_ms), Ordering::Relaxed);
                tracing::warn!(issuer = %self.issuer, %why, "the issuer's keys could not be loaded; keeping the last good ones");
            }
        }
    }

    async fn read(&self) -> Result<(Bytes, u64), String> {
        match &self.source {
            JwksSource::Static(document) => Ok((document.clone(), FRESH_MS_MAX)),
            JwksSource::Shared(document) => Ok(((**document.load()).clone(), FRESH_MS_MAX)),
            JwksSource::None => Err("the issuer has no keys".to_owned()),
            JwksSource::File(path) => Ok((read_file(path).await?, FILE_PERIOD_MS)),
            JwksSource::Url(url) => self.download(url, self.policy).await,
            JwksSource::Discovered => {
                let (url, policy) = discovery::keys_of(&self.issuer, self.policy, &self.fetch).await?;
                self.download(&url, policy).await
            }
        }
    }

    async fn download(&self, url: &Url, policy: DialPolicy) -> Result<(Bytes, u64), String> {
        let got = self.fetch.get(url, policy, JWKS_BYTES_MAX).await.map_err(|e| format!("{url}: {e}"))?;
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
