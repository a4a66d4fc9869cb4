//! Sends a request and reads until it is known what the answer is.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderValue, StatusCode};

use super::Http;
use super::exchange::Exchange;
use super::post::{Content, Door, Replay, Sending};
use super::session::Session;
use super::shown::Whom;
use crate::mcp::{Incoming, Lowered};
use crate::upstream::wire::{self, malformed};
use crate::vocab::{Deadline, Fault, FaultKind, Revision};

/// An answer, as far as it must be read to know what it is.
pub(super) enum Heard {
    /// A document.
    Messages { messages: Vec<Incoming>, status: StatusCode, bytes: usize },
    /// Events to be read.
    Stream(Exchange),
    /// A 4xx, not 401 or 403, without a message of the protocol.
    Refused(StatusCode),
}

/// An answer on its way.
pub(super) type Hearing = BoxFuture<'static, Result<Heard, Fault>>;

impl Http {
    /// Posts a request and reads until it is known what the answer is.
    pub(super) async fn hear(
        &self,
        whom: Whom<'_>,
        message: Lowered,
        session: Option<&Session>,
        replay: Replay,
        revision: Revision,
        deadline: Deadline,
    ) -> Result<(Heard, Option<HeaderValue>), Fault> {
        self.hear_through(&self.door, whom, message, session, replay, revision, deadline).await
    }

    /// As [`Self::hear`], through `door`.
    #[expect(clippy::too_many_arguments, reason = "what a request is made of")]
    pub(super) async fn hear_through(
        &self,
        door: &Door,
        whom: Whom<'_>,
        message: Lowered,
        session: Option<&Session>,
        replay: Replay,
        revision: Revision,
        deadline: Deadline,
    ) -> Result<(Heard, Option<HeaderValue>), Fault> {
        let answered = self.send_through(door, whom, Sending::Post { message, replay }, session, deadline).await?;
        let status = answered.status;
        let heard = match (status, answered.content) {
            (StatusCode::OK, Content::Stream) => Heard::Stream(answered.exchange),
            (StatusCode::OK, Content::Json) => {
                let body = answered.exchange.whole().await?;
                let messages = wire::parse(&body, revision, self.depth())?;
                Heard::Messages { messages, status, bytes: body.len() }
            }
            (StatusCode::OK, Content::Other) => return Err(malformed("answers neither JSON nor a stream")),
            (_, Content::Json) if status.is_client_error() => {
                let body = answered.exchange.whole().await?;
                match wire::parse(&body, revision, self.depth()) {
                    Ok(messages) => Heard::Messages { messages, status, bytes: body.len() },
                    Err(_) => Heard::Refused(status),
                }
            }
            _ if status.is_client_error() => Heard::Refused(status),
            _ if status.is_success() || status.is_informational() => {
                return Err(malformed(&format!("answered a request with {}", status.as_u16())));
            }
            _ => return Err(Fault::upstream(FaultKind::Failed, format!("answered {}", status.as_u16()))),
        };
        Ok((heard, answered.session))
    }

    /// As [`Self::hear`], for a call that may be asked something before it is known what the answer is. `deadline` bounds the way to the
    /// upstream; whoever waits for the rest bounds that.
    pub(super) fn hear_apart(
        self: &Arc<Self>,
        session: &Arc<Session>,
        message: Lowered,
        replay: Replay,
        revision: Revision,
        deadline: Deadline,
    ) -> Hearing {
        let (this, session) = (Arc::clone(self), Arc::clone(session));
        async move { Ok(this.hear(session.whom(), message, Some(&session), replay, revision, deadline).await?.0) }.boxed()
    }
}
