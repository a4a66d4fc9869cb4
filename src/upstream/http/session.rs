//! Sessions with upstreams that want a handshake (2025-11-25 and older). Never shared between principals, unless the operator
//! said so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use http::HeaderValue;
use parking_lot::Mutex;
use tokio::time::timeout_at;

use super::Http;
use super::askable::Asking;
use super::era::is_evidence;
use super::housekeeping::{Asked, aside};
use super::post::Replay;
use super::push::PushSlot;
use super::shown::Whom;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::{LogLevel, Method, Outgoing, Reply, dialect};
use crate::upstream::feed::Feed;
use crate::upstream::key::SessionKey;
use crate::upstream::table::Kept;
use crate::upstream::wire::{self, Facts};
use crate::vocab::{Deadline, Fault, FaultKind, PrincipalKey, Revision};

/// One session. Small: there may be a thousand idle ones.
pub(super) struct Session {
    /// The upstream's id of it, a secret; some upstreams give none.
    pub(super) id: Option<HeaderValue>,
    /// What was agreed.
    pub(super) facts: Facts,
    /// On whose behalf it was opened.
    pub(super) who: PrincipalKey,
    /// The account that its credential opens.
    pub(super) account: u64,
    /// Whose it is; `None` if it is everybody's.
    pub(super) owner: Option<PrincipalKey>,
    /// It was given a log level, or refused one.
    pub(super) leveled: AtomicBool,
    /// What it announces, and when it is over.
    pub(super) feed: Feed,
    /// The stream that belongs to no call.
    pub(super) push: Mutex<PushSlot>,
    /// Calls that its server may ask something, if there ever was one.
    pub(super) asking: OnceLock<Box<Asking>>,
}

impl Session {
    /// What a server is shown of it, for what must not keep it from being closed.
    pub(super) fn shown(&self) -> Self {
        Self {
            id: self.id.clone(),
            facts: self.facts.clone(),
            who: self.who.clone(),
            account: self.account,
            owner: None,
            leveled: AtomicBool::new(true),
            feed: Feed::default(),
            push: Mutex::default(),
            asking: OnceLock::new(),
        }
    }

    /// Whose credential goes with its messages.
    pub(super) fn whom(&self) -> Whom<'_> {
        Whom { who: &self.who, account: Some(self.account) }
    }
}

impl Kept for Session {
    /// Calls hold the session they go through; the table holds one handle itself.
    fn is_busy(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }

    fn is_gone(&self) -> bool {
        self.feed.is_over()
    }
}

impl Http {
    /// The session of `who`, opened on first use.
    pub(super) async fn session_of(
        self: &Arc<Self>,
        who: &PrincipalKey,
        capabilities: ClientCaps,
        deadline: Deadline,
    ) -> Result<(SessionKey, Arc<Session>), Fault> {
        let account = self.show(Whom::any_account(who)).await?.account;
        let key = SessionKey::of(self.settings.shared, who, account, capabilities);
        let session = self.session(&key, Whom { who, account: Some(account) }, deadline).await?;
        Ok((key, session))
    }

    async fn session(self: &Arc<Self>, key: &SessionKey, whom: Whom<'_>, deadline: Deadline) -> Result<Arc<Session>, Fault> {
        let evicted = |session| self.end_session(session);
        self.sessions
            .get(key, evicted, async {
                // Boxed when it is needed, so that finding an open session costs nothing for it.
                Box::pin(self.open_session(key, whom, deadline)).await.map(Arc::new)
            })
            .await
    }

    async fn open_session(self: &Arc<Self>, key: &SessionKey, whom: Whom<'_>, deadline: Deadline) -> Result<Session, Fault> {
        let asked_for = self.pinned.unwrap_or(Revision::NEWEST_WITH_SESSIONS);
        let id = self.next_id();
        let question = wire::initialize(asked_for, id, key.capabilities());
        let (reply, session_id) = match self.ask(whom, question, id, asked_for, deadline).await? {
            Asked::Reply { reply, session } => (reply, session),
            Asked::Refused(status) => {
                self.era.doubt();
                if is_evidence(status) {
                    Box::pin(self.probe_lines(whom, deadline)).await;
                }
                let detail = format!("answered initialize with {}", status.as_u16());
                return Err(Fault::upstream(FaultKind::Failed, detail));
            }
        };
        let facts = match wire::initialized_as(&reply, asked_for, self.pinned.is_some()) {
            Ok(facts) => facts,
            Err(fault) => {
                self.era.doubt();
                if wire::refuses_as_older(&reply) {
                    Box::pin(self.probe_lines(whom, deadline)).await;
                }
                return Err(fault);
            }
        };
        let (who, account) = (whom.who.clone(), whom.account.unwrap_or(0));
        let owner = key.principal().cloned();
        let session = Session {
            id: session_id,
            facts,
            who,
            account,
            owner,
            leveled: AtomicBool::new(false),
            feed: Feed::default(),
            push: Mutex::default(),
            asking: OnceLock::new(),
        };
        let notice = wire::initialized(session.facts.revision);
        self.tell(notice, &session, Replay::Harmless, deadline).await?;
        Ok(session)
    }

    /// Sets the level that the client's session set at the session before. Without it too, a session is better than none. One that
    /// everybody shares logs for everybody.
    pub(super) async fn restore_level(self: &Arc<Self>, session: &Session, level: LogLevel, deadline: Deadline) {
        let takes = session.facts.capabilities.logging && self.takes_levels.load(Ordering::Relaxed) && session.owner.is_some();
        if !takes || session.leveled.swap(true, Ordering::AcqRel) {
            return;
        }
        let id = self.next_id();
        let out = Outgoing { level: Some(level), ..Outgoing::new(Method::SetLevel) };
        let question = dialect::lower_request(session.facts.revision, &out, id);
        let until = aside(deadline);
        let asked = timeout_at(until.instant().into(), self.ask_in(session, question, id, until)).await;
        if !matches!(asked, Ok(Ok(Asked::Reply { reply: Reply::Result(_), .. }))) {
            tracing::debug!(upstream = self.name(), "a log level was not set anew");
        }
    }
}
