//! What a refusal says of the session it came in.

use std::sync::Arc;

use http::StatusCode;

use super::Http;
use super::housekeeping::Asked;
use super::session::Session;
use crate::mcp::{Incoming, Method, Outgoing, dialect};
use crate::vocab::Deadline;

impl Http {
    /// Whether `session` is over, after a request in it was refused with `status` and not under its own id.
    ///
    /// Servers that were started anew say 404 for a session they do not know (2025-11-25, transports: session management), and many say
    /// 400, as they do for much else. A ping tells: nothing in it can be wrong but its session.
    pub(super) async fn is_lost(self: &Arc<Self>, session: &Arc<Session>, status: StatusCode, deadline: Deadline) -> bool {
        if status != StatusCode::BAD_REQUEST || session.id.is_none() {
            return false;
        }
        let id = self.next_id();
        let ping = dialect::lower_request(session.facts.revision, &Outgoing::new(Method::Ping), id);
        let asked = Box::pin(self.ask_in(session, ping, id, deadline)).await;
        if matches!(asked, Ok(Asked::Refused(StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND))) {
            session.feed.end();
        }
        session.feed.is_over()
    }
}

/// Whether a reply to `id` is among `messages`.
pub(super) fn names(messages: &[Incoming], id: u64) -> bool {
    messages.iter().any(|message| matches!(message, Incoming::Response { id: of, .. } if of.as_u64() == Some(id)))
}
