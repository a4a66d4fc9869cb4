//! Upstreams that speak Streamable HTTP.

mod askable;
mod call;
mod doubt;
mod era;
mod events;
mod exchange;
mod hear;
mod housekeeping;
mod lane;
mod listen;
mod pool;
mod post;
mod push;
mod ready;
mod resume;
mod session;
mod shown;
mod sse;
mod stream;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::era::Era;
pub(super) use self::listen::Listen;
use self::post::Door;
use self::session::Session;
use self::sse::Line;
pub(super) use self::stream::HttpStream;
use super::breaker::Breaker;
use super::credential::Keyring;
use super::settings::UpstreamSettings;
use super::shared::Shared;
use super::table::Table;
use crate::vocab::limits::{KEPT_STREAMS_MAX, UPSTREAM_SESSION_IDLE_MS_MAX};
use crate::vocab::{Deadline, Revision};

/// One upstream over HTTP: its connections, what is known of it, its sessions.
pub(super) struct Http {
    settings: UpstreamSettings,
    pinned: Option<Revision>,
    door: Door,
    /// The same door, with connections of their own for streams that stay open.
    streams: Door,
    keyring: Keyring,
    era: Era,
    sessions: Table<Session>,
    /// It answered a log level with a result before. One that did not is not given any on the way of other things.
    takes_levels: AtomicBool,
    /// Sessions over HTTP+SSE.
    lines: Table<Line>,
    breaker: Arc<Breaker>,
    /// Ids of requests: one space for all connections, so that an answer on the wrong one is never taken for another's.
    ids: AtomicU64,
    /// Streams of sessions that are open for as long as those.
    kept_streams: Arc<Semaphore>,
    /// Cancelled when it is not used any more.
    stop: CancellationToken,
    shared: Arc<Shared>,
}

impl Http {
    pub(super) fn new(
        settings: UpstreamSettings,
        url: &Url,
        pinned: Option<Revision>,
        tls: Arc<ClientConfig>,
        shared: Arc<Shared>,
    ) -> Result<Self, &'static str> {
        let keyring = Keyring::new(&settings, &tls)?;
        let tls = Keyring::tls(&settings, tls)?;
        let door = Door::new(url, settings.dial, tls, settings.limits.response_bytes)?;
        let sessions = Table::new(settings.limits.sessions_max);
        let lines = Table::new(settings.limits.sessions_max);
        Ok(Self {
            settings,
            pinned,
            streams: door.apart(),
            door,
            keyring,
            era: Era::default(),
            sessions,
            takes_levels: AtomicBool::new(false),
            lines,
            breaker: Arc::default(),
            ids: AtomicU64::new(1),
            kept_streams: Arc::new(Semaphore::new(KEPT_STREAMS_MAX)),
            stop: shared.stop.child_token(),
            shared,
        })
    }

    pub(super) fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn is_up(&self) -> bool {
        self.breaker.is_closed()
    }

    pub(super) fn is_busy(&self) -> bool {
        self.sessions.any_busy() || self.lines.any_busy()
    }

    /// Sessions that are open.
    pub(super) fn sessions_open(&self) -> usize {
        self.sessions.count() + self.lines.count()
    }

    /// How it is spoken to, as far as that was found out.
    pub(super) fn manner(&self) -> &'static str {
        self.pinned.map_or_else(|| self.era.manner(), Revision::as_str)
    }

    /// Closes what was idle too long.
    pub(super) fn sweep(self: &Arc<Self>) {
        self.door.pool.sweep();
        self.streams.pool.sweep();
        for session in self.sessions.sweep(Duration::from_millis(UPSTREAM_SESSION_IDLE_MS_MAX)) {
            self.end_session(session);
        }
        for line in self.lines.sweep(Duration::from_millis(UPSTREAM_SESSION_IDLE_MS_MAX)) {
            line.stop();
        }
    }

    /// Ends every session, within `deadline`.
    pub(super) async fn retire(self: &Arc<Self>, deadline: Deadline) {
        self.lines.drain().iter().for_each(|line| line.stop());
        let farewells = self.sessions.drain().into_iter().map(|session| self.farewell(session, deadline));
        let all = futures_util::future::join_all(farewells);
        let _ = tokio::time::timeout_at(deadline.instant().into(), all).await;
        self.stop.cancel();
        self.door.pool.clear();
        self.streams.pool.clear();
    }

    fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    fn name(&self) -> &str {
        &self.settings.name
    }

    fn depth(&self) -> usize {
        self.settings.limits.depth
    }

    fn response_bytes(&self) -> usize {
        self.settings.limits.response_bytes
    }
}
