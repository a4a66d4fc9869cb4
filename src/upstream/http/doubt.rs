//! What a refusal says of the session it came in, and of the era that the upstream was found to be of.

use std::sync::Arc;

use http::StatusCode;
use tokio::time::timeout_at;

use super::Http;
use super::housekeeping::{Asked, aside};
use super::session::Session;
use crate::mcp::{Incoming, Method, Outgoing, Reply, RpcError, codes, dialect};
use crate::upstream::wire;
use crate::vocab::{Deadline, Fault};

impl Http {
    /// Whether `session` is over, after a request in it was refused with `status`: then the status with which a ping was refused, too.
    ///
    /// Servers that were started anew say 404 for a session they do not know (2025-11-25, transports: session management), and many say
    /// 400. Both are said of much else. A ping tells: nothing in it can be wrong but its session, unless the server has no ping.
    pub(super) async fn lost(
        self: &Arc<Self>,
        session: &Arc<Session>,
        status: StatusCode,
        deadline: Deadline,
    ) -> Option<StatusCode> {
        if !matches!(status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND) || session.id.is_none() {
            return None;
        }
        let id = self.next_id();
        let ping = dialect::lower_request(session.facts.revision, &Outgoing::new(Method::Ping), id);
        // Not answered, it says nothing, and what was refused keeps its refusal.
        let until = aside(deadline);
        let asked = timeout_at(until.instant().into(), Box::pin(self.ask_in(session, ping, id, until))).await;
        let Ok(Ok(Asked::Refused(said @ (StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND)))) = asked else { return None };
        match said {
            // It may be about something else after all: what the server still holds is not left behind.
            StatusCode::BAD_REQUEST => self.give_up(session),
            _ => session.feed.end(),
        }
        Some(said)
    }

    /// Takes `error`, with which a request was refused, for what it says against the finding how the upstream is spoken to. A finding
    /// that does not fit is in doubt, and the next request finds out anew.
    pub(super) fn doubt(&self, error: &RpcError, status: StatusCode, session: Option<&Session>) {
        let bad = status == StatusCode::BAD_REQUEST;
        match session {
            None if error.code == codes::UNSUPPORTED_VERSION => self.era.doubt(),
            // No server without sessions refuses so: this one wants them by now.
            None if bad && !wire::refuses_as_stateless(error) => self.era.doubt(),
            // None with sessions refuses so.
            Some(session) if bad && matches!(error.code, codes::HEADER_MISMATCH | codes::UNSUPPORTED_VERSION) => {
                session.feed.end();
                self.era.doubt();
            }
            _ => {}
        }
    }
}

/// Whether a refusal with `status` may be about the session it came in. Under the request's own id many servers say other things with
/// 400, and say these of a session.
pub(super) fn may_be_about_session(status: StatusCode, named: bool, reply: &Result<Reply, Fault>) -> bool {
    let code = match reply {
        Ok(Reply::Error(error)) => error.code,
        _ => 0,
    };
    match status {
        StatusCode::NOT_FOUND => code != codes::METHOD_NOT_FOUND,
        StatusCode::BAD_REQUEST => !named || matches!(code, codes::INVALID_REQUEST | -32_000 | -32_001),
        _ => false,
    }
}

/// Whether a reply to `id` is among `messages`.
pub(super) fn names(messages: &[Incoming], id: u64) -> bool {
    messages.iter().any(|message| matches!(message, Incoming::Response { id: of, .. } if of.as_u64() == Some(id)))
}
