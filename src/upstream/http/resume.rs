//! Goes on with the stream of a call where it broke (2025-03-26 and later, transports: resumability). Nothing of it is visible to
//! whoever waits for the answer.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderValue, StatusCode};
use parking_lot::Mutex;

use super::Http;
use super::events::Resumption;
use super::exchange::Exchange;
use super::post::{Content, GetFor};
use super::session::Session;
use crate::mcp::sse::SseEvent;
use crate::vocab::limits::{CALL_RESUMES_MAX, RESUME_MS_MAX};
use crate::vocab::{Fault, FaultKind};

/// The rest of a stream on its way; `None` if there is none to be had.
type Resuming = BoxFuture<'static, Result<Option<Exchange>, Fault>>;

/// Where the stream of a call goes on.
#[derive(Default)]
pub(super) struct Resume {
    resumption: Resumption,
    times: u32,
    /// Never shared, but a call is looked at from where it could be.
    under_way: Mutex<Option<Resuming>>,
}

impl Resume {
    pub(super) fn note(&mut self, event: &SseEvent) {
        self.resumption.note(event);
    }

    /// True if the upstream said from where, and it did not happen too often.
    pub(super) fn is_possible(&self) -> bool {
        self.times < CALL_RESUMES_MAX && self.resumption.last_event().is_some()
    }

    /// The rest of the stream; `None` if there is none to be had. Safe to drop and call again. The caller bounds the time.
    pub(super) async fn next(&mut self, http: &Arc<Http>, session: &Arc<Session>) -> Result<Option<Exchange>, Fault> {
        let under_way = match (self.under_way.get_mut(), self.resumption.last_event()) {
            (Some(under_way), _) => under_way,
            (none, Some(from)) => {
                self.times += 1;
                let rest = rest(Arc::clone(http), Arc::clone(session), from.clone(), self.resumption.wait());
                none.insert(rest.boxed())
            }
            (None, None) => return Ok(None),
        };
        let rest = under_way.await;
        *self.under_way.get_mut() = None;
        rest
    }
}

async fn rest(http: Arc<Http>, session: Arc<Session>, from: HeaderValue, wait: Duration) -> Result<Option<Exchange>, Fault> {
    let mut wait = wait;
    loop {
        tokio::time::sleep(wait).await;
        match http.get(&session, Some(from.clone()), GetFor::Calls).await {
            Ok(answered) if answered.status == StatusCode::OK && answered.content == Content::Stream => {
                return Ok(Some(answered.exchange));
            }
            Ok(answered) if answered.status.is_server_error() && answered.status != StatusCode::NOT_IMPLEMENTED => {}
            // One stream at a time, and another is not known to be over.
            Ok(answered) if matches!(answered.status, StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS) => {}
            Ok(_) => return Ok(None),
            Err(fault) if fault.kind == FaultKind::Unreachable => {}
            Err(fault) => return Err(fault),
        }
        wait = (wait * 2).min(Duration::from_millis(RESUME_MS_MAX));
    }
}
