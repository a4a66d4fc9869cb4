//! Finds out how a new process wants to be spoken to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::Stdio;
use super::process::Process;
use crate::mcp::Reply;
use crate::mcp::client_caps::ClientCaps;
use crate::upstream::pipe::{Pipe as _, PipeCall};
use crate::upstream::wire::{self, Discovered, Facts, STATELESS};
use crate::vocab::limits::{ERA_MS_MAX, PROCESS_DISCOVER_MS_MAX};
use crate::vocab::{Deadline, Fault, FaultKind, PrincipalKey, Revision};

/// What came of `server/discover`.
enum Found {
    Stateless(Facts),
    Sessions,
    /// Nothing came yet: the call waits on.
    Silence(PipeCall),
    /// The process ended. Some do, at a request they do not expect before `initialize`.
    Ended,
}

impl Stdio {
    /// A process that is ready for calls. `server/discover` comes first (2026-07-28, stdio); what is not an answer of a server
    /// without handshakes, silence included, leads to `initialize`.
    pub(super) async fn open(
        &self,
        owner: Option<&PrincipalKey>,
        capabilities: ClientCaps,
        deadline: Deadline,
    ) -> Result<Arc<Process>, Fault> {
        let mut process = Opening(Some(self.start(owner).await?));
        let mut late = None;
        if !self.wants_sessions() {
            match discover(process.get()?, deadline).await? {
                Found::Stateless(facts) => {
                    let process = process.keep()?;
                    process.talk.settle(facts);
                    return Ok(process);
                }
                Found::Sessions => {}
                Found::Silence(call) => late = Some(call),
                Found::Ended => process = Opening(Some(self.start(owner).await?)),
            }
        }
        let facts = initialize(process.get()?, capabilities, late).await;
        let facts = facts.inspect_err(|_| *self.sessions_until.lock() = None)?;
        let process = process.keep()?;
        if facts.revision < STATELESS {
            *self.sessions_until.lock() = Some(Instant::now() + Duration::from_millis(ERA_MS_MAX));
            process.talk.settle(facts.clone());
            process.send(wire::initialized(facts.revision)).await?;
        } else {
            process.talk.settle(facts);
        }
        Ok(process)
    }

    fn wants_sessions(&self) -> bool {
        self.sessions_until.lock().is_some_and(|until| Instant::now() < until)
    }
}

/// A process during its handshake: stopped if that fails, or is given up.
struct Opening(Option<Arc<Process>>);

impl Opening {
    fn get(&self) -> Result<&Arc<Process>, Fault> {
        self.0.as_ref().ok_or_else(|| Fault::internal(FaultKind::Internal, "no process"))
    }

    fn keep(&mut self) -> Result<Arc<Process>, Fault> {
        self.0.take().ok_or_else(|| Fault::internal(FaultKind::Internal, "no process"))
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(process) = &self.0 {
            process.stop();
        }
    }
}

async fn discover(process: &Arc<Process>, deadline: Deadline) -> Result<Found, Fault> {
    let id = process.talk.next_id();
    let begun = PipeCall::ask(process.clone(), id, wire::discover(id)).await;
    let mut call = match begun {
        Ok(call) => call,
        Err(fault) if fault.kind == FaultKind::Unreachable => return Ok(Found::Ended),
        Err(fault) => return Err(fault),
    };
    // Half of what is left at most, so that a silent process still has time for `initialize`.
    let patience = Duration::from_millis(PROCESS_DISCOVER_MS_MAX).min(deadline.remaining() / 2);
    match timeout(patience, call.reply()).await {
        Err(_) => Ok(Found::Silence(call)),
        Ok(Ok(reply)) => Ok(match wire::discovered(&reply)? {
            Discovered::Stateless(facts) => Found::Stateless(facts),
            Discovered::Sessions => Found::Sessions,
        }),
        Ok(Err(fault)) if fault.kind == FaultKind::Unreachable => Ok(Found::Ended),
        Ok(Err(fault)) => Err(fault),
    }
}

/// `initialize`. With a late `server/discover` still open, whichever is answered with a result counts: a process may only have
/// been slow to start.
async fn initialize(process: &Arc<Process>, capabilities: ClientCaps, late: Option<PipeCall>) -> Result<Facts, Fault> {
    let asked = Revision::NEWEST_WITH_SESSIONS;
    let id = process.talk.next_id();
    // Read as the newest while an answer to `server/discover` may come; that of `initialize` has the same form in both.
    if late.is_none() {
        process.talk.read_as(asked);
    }
    let mut call = PipeCall::ask(process.clone(), id, wire::initialize(asked, id, capabilities)).await?;
    let Some(mut late) = late else {
        return wire::initialized_as(&call.reply().await?, asked, false);
    };
    tokio::select! {
        biased;
        reply = late.reply() => match wire::discovered(&reply?)? {
            Discovered::Stateless(facts) => Ok(facts),
            Discovered::Sessions => wire::initialized_as(&call.reply().await?, asked, false),
        },
        reply = call.reply() => match reply? {
            reply @ Reply::Result(_) => wire::initialized_as(&reply, asked, false),
            Reply::Error(_) => match wire::discovered(&late.reply().await?)? {
                Discovered::Stateless(facts) => Ok(facts),
                Discovered::Sessions => Err(Fault::upstream(FaultKind::Failed, "refuses server/discover and initialize")),
            },
        },
    }
}
