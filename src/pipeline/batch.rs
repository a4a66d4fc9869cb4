//! Batches (2025-03-26): each entry is a request of its own, with its own record and decision, a place of its own among the requests under
//! way, and an id by which it can be cancelled. Answers come in one array.

use bytes::Bytes;
use futures_util::future::join_all;
use http::StatusCode;

use super::cancel::InFlight;
use super::ctx::Ctx;
use super::decode::{self, Asking};
use super::operate::{Done, accepted, notified, responded, run};
use super::refusal::Refusal;
use super::reply::{Answered, Content};
use super::rescue::rescue;
use crate::audit::Status;
use crate::mcp::error::ProtocolError;
use crate::mcp::headers::McpHeaders;
use crate::mcp::{Message, Method, Shape};
use crate::vocab::{Fault, FaultKind, Reason, Revision};

/// One entry, until it is served.
struct Entry {
    ctx: Ctx,
    message: Message,
    /// That of every request but the first, which has the place of the whole.
    place: Option<InFlight>,
    /// Why it is not served: another request of the session has its id.
    taken: Option<ProtocolError>,
}

/// Serves a batch.
///
/// # Errors
/// 503 when there is no room for the record of every entry, or no place for every request; then none is served.
pub(super) async fn serve(ctx: &Ctx, messages: Vec<Message>) -> Result<Answered, Refusal> {
    let mut entries = Vec::with_capacity(messages.len());
    if let Err(refusal) = reserve(ctx, messages, &mut entries) {
        entries.iter().for_each(Entry::turned_away);
        return Err(refusal);
    }
    // All are known before the first is served, so that the last can be cancelled then, and no two have one id.
    entries.iter_mut().for_each(Entry::register);
    // What was cancelled has no answer, and yet a request was made.
    let asked = entries.iter().any(Entry::is_request);
    let status = if asked { StatusCode::OK } else { StatusCode::ACCEPTED };
    let answers = join_all(entries.into_iter().map(|entry| entry.served(status))).await;
    let mut body = vec![b'['];
    for answer in answers.into_iter().flatten() {
        if body.len() > 1 {
            body.push(b',');
        }
        body.extend_from_slice(&answer);
    }
    body.push(b']');
    Ok(match body.len() {
        2 if asked => Answered::unanswered(),
        2 => Answered::empty(status),
        _ => Answered::json(status.as_u16(), body),
    })
}

/// Takes what `messages` need before any of them is served. What was made when it fails is in `entries`.
fn reserve(ctx: &Ctx, messages: Vec<Message>, entries: &mut Vec<Entry>) -> Result<(), Refusal> {
    let full = |_| Refusal::Http(StatusCode::SERVICE_UNAVAILABLE, Reason::Overloaded, "there is no room for so many records");
    for message in messages {
        // The first entry has the record that was reserved for the whole.
        let audit = match entries.is_empty() {
            true => ctx.audit.clone(),
            false => ctx.gateway.audit.reserve().map_err(full)?.into_handle(),
        };
        let mut ctx = ctx.entry(audit);
        decode::identify(&mut ctx, &message);
        entries.push(Entry { ctx, message, place: None, taken: None });
    }
    for entry in entries.iter_mut().filter(|entry| entry.is_request()).skip(1) {
        entry.place = Some(InFlight::enter(ctx)?);
    }
    Ok(())
}

impl Entry {
    fn is_request(&self) -> bool {
        self.message.shape == Shape::Request
    }

    fn turned_away(&self) {
        self.ctx.ended(Status::Refused, Reason::Overloaded);
        self.answered(StatusCode::SERVICE_UNAVAILABLE);
    }

    fn answered(&self, status: StatusCode) {
        self.ctx.note(|draft| draft.http = Some(status.as_u16()));
    }

    /// From now on the session's client can cancel it.
    fn register(&mut self) {
        let Some((session, id)) = self.ctx.asked.session.zip(self.message.id.as_ref()).filter(|_| self.is_request()) else {
            return;
        };
        match self.ctx.gateway.cancels.register(session, id) {
            Ok(registered) => self.ctx.cancel = Some(registered),
            Err(taken) => self.taken = Some(taken),
        }
    }

    /// Its answer, if it is a request that was not cancelled. The array around it has `status`.
    async fn served(self, status: StatusCode) -> Option<Bytes> {
        self.answered(status);
        let is_request = self.is_request();
        let Self { mut ctx, message, place: _place, taken } = self;
        let cancel = ctx.cancel.as_ref().map(|cancel| cancel.token.clone()).unwrap_or_default();
        let served = async {
            match taken {
                Some(taken) => Err(taken.into()),
                None => line(&mut ctx, message).await,
            }
        };
        let served = tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            served = served => Some(served),
        };
        let Some(served) = served else {
            ctx.ended(Status::Cancelled, Reason::Cancelled);
            return None;
        };
        match served.unwrap_or_else(|refusal| rescue(&ctx, refusal)).content {
            Content::Json(body) if is_request => Some(body),
            _ => None,
        }
    }
}

async fn line(ctx: &mut Ctx, message: Message) -> Result<Answered, Refusal> {
    ctx.asked.revision = Some(Revision::V2025_03_26);
    let initialize = message.method == Method::Initialize;
    match decode::lift(Revision::V2025_03_26, Box::new(message))? {
        Asking::Operation(_) if initialize => Err(ProtocolError::invalid_request("initialize cannot be part of a batch").into()),
        Asking::Operation(operation) => match run(ctx, &operation, &McpHeaders::default()).await? {
            Done::Answered(answered) => Ok(answered),
            Done::Streaming(_) | Done::Held(_) => Err(Fault::internal(FaultKind::Internal, "a batch entry streamed").into()),
        },
        Asking::Notification(message) => Ok(notified(ctx, &message)),
        Asking::Response(id, outcome) => Ok(responded(ctx, &id, outcome)),
        _ => Ok(accepted(ctx)),
    }
}
