//! Whether an upstream wants a handshake: asked once, remembered for a while, never found out with a user's call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use http::StatusCode;
use parking_lot::Mutex;

use super::Http;
use super::housekeeping::Asked;
use super::shown::Whom;
use crate::mcp::ServerCapabilities;
use crate::upstream::wire::{self, Discovered, Facts, STATELESS};
use crate::vocab::limits::ERA_MS_MAX;
use crate::vocab::{Deadline, Fault, FaultKind};

/// The finding, and who is finding out.
#[derive(Default)]
pub(super) struct Era {
    verdict: ArcSwapOption<Verdict>,
    asking: tokio::sync::Mutex<()>,
    /// When asking last failed, for those who waited for it.
    failed: Mutex<Option<(Instant, Fault)>>,
}

struct Verdict {
    /// Facts of a stateless upstream; `None` for one with sessions.
    stateless: Option<Facts>,
    /// It has the transport of 2024-11-05 only.
    line: bool,
    /// An upstream may be upgraded and still know the old way, so no finding holds for ever.
    until: Instant,
}

impl Era {
    fn known(&self, now: Instant) -> Option<Arc<Verdict>> {
        self.verdict.load_full().filter(|verdict| now < verdict.until)
    }

    /// What is found, as long as it holds: the facts of a stateless upstream.
    pub(super) fn in_force(&self) -> Option<Option<Facts>> {
        self.known(Instant::now()).map(|verdict| verdict.stateless.clone())
    }

    /// The finding did not fit what the upstream did: it is asked again before the next call. As long as it cannot be asked, there is no
    /// better finding.
    pub(super) fn doubt(&self) {
        let now = Instant::now();
        self.verdict.rcu(|found| {
            found
                .as_ref()
                .map(|old| Arc::new(Verdict { stateless: old.stateless.clone(), line: old.line, until: now.min(old.until) }))
        });
    }

    fn remember(&self, stateless: Option<Facts>, for_ms: u64) -> Option<Facts> {
        self.find(stateless.clone(), false, for_ms);
        stateless
    }

    fn find(&self, stateless: Option<Facts>, line: bool, for_ms: u64) {
        let until = Instant::now() + Duration::from_millis(for_ms);
        self.verdict.store(Some(Arc::new(Verdict { stateless, line, until })));
    }

    /// What was found, in words.
    pub(super) fn manner(&self) -> &'static str {
        match self.known(Instant::now()).as_deref() {
            None => "not found out yet",
            Some(Verdict { line: true, .. }) => "HTTP+SSE",
            Some(Verdict { stateless: Some(_), .. }) => "without sessions",
            Some(Verdict { stateless: None, .. }) => "with sessions",
        }
    }

    /// True if the upstream was found to have the transport of 2024-11-05 only.
    pub(super) fn is_line(&self) -> bool {
        self.known(Instant::now()).is_some_and(|verdict| verdict.line)
    }

    /// The upstream wants sessions.
    pub(super) fn is_found_to_have_sessions(&self) {
        self.find(None, false, ERA_MS_MAX);
    }

    /// The upstream has the transport of 2024-11-05 only.
    pub(super) fn is_found_to_have_lines(&self) {
        self.find(None, true, ERA_MS_MAX);
    }
}

impl Http {
    /// True if calls go out without a session. For a pinned upstream nothing is asked.
    pub(super) async fn is_stateless(self: &Arc<Self>, whom: Whom<'_>, deadline: Deadline) -> Result<bool, Fault> {
        match self.pinned {
            Some(revision) => Ok(revision == STATELESS),
            None => match self.era.known(Instant::now()) {
                Some(verdict) => Ok(verdict.stateless.is_some()),
                None => Box::pin(self.stateless_facts(whom, deadline)).await.map(|facts| facts.is_some()),
            },
        }
    }

    /// What a stateless upstream said of itself; `None` if it wants sessions. However many ask, one request goes out.
    pub(super) async fn stateless_facts(self: &Arc<Self>, whom: Whom<'_>, deadline: Deadline) -> Result<Option<Facts>, Fault> {
        let came = Instant::now();
        if let Some(verdict) = self.era.known(came) {
            return Ok(verdict.stateless.clone());
        }
        let _asking = self.era.asking.lock().await;
        if let Some(verdict) = self.era.known(Instant::now()) {
            return Ok(verdict.stateless.clone());
        }
        // Whoever waited while it failed has its answer: another try each would make them wait in line.
        if let Some((at, fault)) = &*self.era.failed.lock()
            && *at > came
        {
            return Err(fault.clone());
        }
        match self.ask_era(whom, deadline).await {
            Ok(Discovered::Stateless(facts)) => Ok(self.era.remember(Some(facts), ERA_MS_MAX)),
            Ok(Discovered::Sessions) => Ok(self.era.remember(None, ERA_MS_MAX)),
            Err(fault) => self.keep_or_fail(fault),
        }
    }

    async fn ask_era(self: &Arc<Self>, whom: Whom<'_>, deadline: Deadline) -> Result<Discovered, Fault> {
        let id = self.next_id();
        let question = wire::discover(id);
        let found = match self.ask(whom, question, id, STATELESS, deadline).await? {
            Asked::Reply { reply, .. } => wire::discovered(&reply)?,
            Asked::Refused(status) if is_evidence(status) => Discovered::Sessions,
            Asked::Refused(status) => {
                return Err(Fault::upstream(FaultKind::Failed, format!("answered server/discover with {}", status.as_u16())));
            }
        };
        match found {
            // Pinned: it is spoken to without sessions whatever it says, it only does not say what it can do.
            Discovered::Sessions if self.pinned.is_some() => {
                Ok(Discovered::Stateless(Facts { revision: STATELESS, capabilities: ServerCapabilities::default() }))
            }
            found => Ok(found),
        }
    }

    /// An old finding outlives a failure to renew it, for a minute.
    fn keep_or_fail(&self, fault: Fault) -> Result<Option<Facts>, Fault> {
        if let Some(old) = self.era.verdict.load_full() {
            self.era.find(old.stateless.clone(), old.line, STALE_MS);
            return Ok(old.stateless.clone());
        }
        // What one person may not is no answer to another.
        let about_whom = matches!(fault.kind, FaultKind::Unauthorized | FaultKind::Credential | FaultKind::Unlinked);
        if !(about_whom && self.keyring.is_personal()) {
            *self.era.failed.lock() = Some((Instant::now(), fault.clone()));
        }
        Err(fault)
    }
}

/// How long a finding is used on after it could not be renewed.
const STALE_MS: u64 = 60_000;
/// True for a status with which a server says that it does not understand. Others (too many requests, gone) say nothing about
/// the era.
pub(super) fn is_evidence(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY
    )
}
