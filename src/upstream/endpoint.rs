//! One upstream, whatever its transport.

use std::sync::Arc;

use rustls::ClientConfig;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::http::Http;
use super::settings::{Transport, UpstreamSettings};
use super::shared::Shared;
use super::stdio::Stdio;
use super::wire::Facts;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::{Method, Outgoing, Reference};
use crate::policy::permit::Permit;
use crate::vocab::limits::WATCHES_MAX;
use crate::vocab::{Deadline, Fault, FaultKind, PrincipalKey};

/// An upstream.
pub struct Upstream {
    settings: UpstreamSettings,
    pub(super) link: Link,
    /// A place for each watch.
    pub(super) watches: Arc<Semaphore>,
    /// Cancelled when nobody may watch any more.
    pub(super) closing: CancellationToken,
}

#[derive(Clone)]
pub(super) enum Link {
    Http(Arc<Http>),
    Stdio(Arc<Stdio>),
}

impl Link {
    pub(super) fn settings(&self) -> &UpstreamSettings {
        match self {
            Self::Http(http) => http.settings(),
            Self::Stdio(stdio) => stdio.settings(),
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        match self {
            Self::Http(http) => http.shared(),
            Self::Stdio(stdio) => stdio.shared(),
        }
    }
}

impl Upstream {
    pub(super) fn new(settings: UpstreamSettings, tls: Arc<ClientConfig>, shared: Arc<Shared>) -> Result<Self, &'static str> {
        let closing = shared.stop.child_token();
        let link = match &settings.transport {
            Transport::Http { url, dialect } => Link::Http(Arc::new(Http::new(settings.clone(), url, *dialect, tls, shared)?)),
            Transport::Stdio { .. } => Link::Stdio(Stdio::new(settings.clone(), shared)),
        };
        Ok(Self { settings, link, watches: Arc::new(Semaphore::new(WATCHES_MAX)), closing })
    }

    /// Its settings.
    pub fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }

    /// The upstream's revision and capabilities as seen by `who`. Where it wants a session it is one with `caps`. Found out, and a
    /// session or process opened, on first use: once however many ask at the same time, and never with a user's call.
    ///
    /// # Errors
    /// [`Fault`], also when `permit` is for another upstream.
    pub async fn ready(&self, who: &PrincipalKey, caps: ClientCaps, permit: &Permit, deadline: Deadline) -> Result<Facts, Fault> {
        self.check(permit)?;
        let deadline = deadline.capped(self.settings.timeout);
        match &self.link {
            Link::Http(http) => http.ready(who, caps, deadline).await,
            Link::Stdio(stdio) => Box::pin(stdio.ready(who, caps, deadline)).await,
        }
    }

    /// Calls on behalf of `who`. Returns when the answer is here, or is known to come as a stream. The future and the [`Answer`]
    /// cancel the call when dropped. Everything together takes no longer than `deadline` and the upstream's own timeout.
    ///
    /// A call is sent at most once: again only if not a byte of it was written, or if the upstream says of it and
    /// of a ping after it that it does not know their session.
    ///
    /// # Errors
    /// [`Fault`], also when `permit` is for another upstream or operation. What the upstream itself says went wrong is a reply, not a
    /// fault.
    pub async fn call(&self, permit: Permit, who: &PrincipalKey, out: &Outgoing, deadline: Deadline) -> Result<Answer, Fault> {
        self.check(&permit)?;
        if !covers(&permit, out) {
            return Err(Fault::internal(FaultKind::Internal, "a permit for another operation"));
        }
        let deadline = deadline.capped(self.settings.timeout);
        match &self.link {
            Link::Http(http) => http.call(permit, who, out, deadline).await,
            Link::Stdio(stdio) => Box::pin(stdio.call(permit, who, out, deadline)).await,
        }
    }

    pub(super) fn check(&self, permit: &Permit) -> Result<(), Fault> {
        if permit.upstream() == &*self.settings.name {
            return Ok(());
        }
        Err(Fault::internal(FaultKind::Internal, "a permit for another upstream"))
    }

    /// False while it is left alone because it failed too often.
    pub fn is_up(&self) -> bool {
        match &self.link {
            Link::Http(http) => http.is_up(),
            Link::Stdio(stdio) => stdio.is_up(),
        }
    }

    /// Sessions with it that are open, or processes of it that run.
    pub fn sessions_open(&self) -> usize {
        match &self.link {
            Link::Http(http) => http.sessions_open(),
            Link::Stdio(stdio) => stdio.running(),
        }
    }

    /// How it is spoken to, in words for people: a revision it is pinned to, or what was found out.
    pub fn manner(&self) -> &'static str {
        match &self.link {
            Link::Http(http) => http.manner(),
            Link::Stdio(_) => "process",
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        match &self.link {
            Link::Http(http) => http.is_busy(),
            Link::Stdio(stdio) => stdio.is_busy(),
        }
    }

    pub(super) fn sweep(&self) {
        match &self.link {
            Link::Http(http) => http.sweep(),
            Link::Stdio(stdio) => stdio.sweep(),
        }
    }

    /// Ends every watch: whoever wants to go on asks the upstream that took over.
    pub(super) fn end_watches(&self) {
        self.closing.cancel();
    }

    pub(super) async fn retire(&self, deadline: Deadline) {
        self.end_watches();
        match &self.link {
            Link::Http(http) => http.retire(deadline).await,
            Link::Stdio(stdio) => stdio.retire(deadline).await,
        }
    }
}

/// The upstream's own name, or URI, of what a permit is for.
pub(super) fn own_name(permit: &Permit) -> Option<&str> {
    permit.name().strip_prefix(permit.upstream()).and_then(|rest| rest.strip_prefix("__"))
}

/// A permit for one thing does not buy another.
fn covers(permit: &Permit, out: &Outgoing) -> bool {
    let is_own = |named: Option<&str>| named.is_some() && named == own_name(permit);
    match out.method {
        Method::ToolsCall => permit.is_for_tool() && is_own(out.name.as_deref()),
        Method::PromptsGet => permit.is_for_prompt() && is_own(out.name.as_deref()),
        Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => {
            permit.is_for_resource() && is_own(out.uri.as_deref())
        }
        Method::Complete => match &out.reference {
            Some(Reference::Prompt(name)) => permit.is_for_prompt() && is_own(Some(name)),
            Some(Reference::Resource(uri)) => permit.is_for_resource() && is_own(Some(uri)),
            None => false,
        },
        Method::TasksGet | Method::TasksResult | Method::TasksUpdate | Method::TasksCancel => {
            permit.is_for_task() && is_own(out.task.as_ref().map(|task| task.tool.as_str()))
        }
        // It holds for the whole session, not for one name.
        Method::SetLevel => permit.is_for_lists(),
        method => permit.is_for_lists() || !method.is_list(),
    }
}
