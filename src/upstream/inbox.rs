//! Tells what a message means to one call.

use std::sync::Arc;

use super::answer::Event;
use super::feed::News;
use super::shared::Shared;
use super::wire::malformed;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::reply::Listing;
use crate::mcp::{Incoming, Notification, RawId};
use crate::vocab::limits::{STREAM_MESSAGES_MAX, UPSTREAM_QUESTIONS_MAX};
use crate::vocab::{Fault, FaultKind, PrincipalKey};

/// The messages of one stream, of which one is the answer to `id`.
#[derive(Debug)]
pub(super) struct Inbox {
    id: u64,
    /// What the upstream may ask meanwhile.
    askable: ClientCaps,
    messages: u64,
    questions: u32,
    lists_seen: Vec<Listing>,
    /// Something claimed to be the answer to another request.
    strangers: bool,
}

/// What a message means.
pub(super) enum Meaning {
    /// The caller wants it.
    Event(Event),
    /// The upstream asks something that nobody is asked, and must be answered.
    Question {
        id: RawId,
        method: String,
    },
    /// Something announced, for whoever watches the session.
    News(News),
    Nothing,
}

impl Inbox {
    pub(super) fn new(id: u64, askable: ClientCaps) -> Self {
        Self { id, askable, messages: 0, questions: 0, lists_seen: Vec::new(), strangers: false }
    }

    /// Of the request.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Sorts `message`. Answers to other requests, progress of other calls and what no revision knows are dropped and counted.
    pub(super) fn sort(
        &mut self,
        message: Incoming,
        upstream: &str,
        owner: Option<&PrincipalKey>,
        shared: &Shared,
    ) -> Result<Meaning, Fault> {
        self.messages += 1;
        if self.messages > STREAM_MESSAGES_MAX {
            return Err(Fault::upstream(FaultKind::TooLarge, "too many messages before the answer"));
        }
        match message {
            Incoming::Response { id, reply } if id.as_u64() == Some(self.id) => return Ok(Meaning::Event(Event::Reply(reply))),
            Incoming::Response { .. } | Incoming::Orphan(_) => self.strangers = true,
            Incoming::Notification(Notification::Progress { token, members }) if token.as_u64() == Some(self.id) => {
                return Ok(Meaning::Event(Event::Progress { members }));
            }
            Incoming::Notification(Notification::Log { params, level }) => {
                return Ok(Meaning::Event(Event::Log { level, params }));
            }
            Incoming::Notification(Notification::ListChanged(listing)) => {
                // Once per stream and list: saying it a thousand times changes nothing.
                if self.lists_seen.contains(&listing) {
                    return Ok(Meaning::Nothing);
                }
                self.lists_seen.push(listing);
                (shared.hook)(upstream, owner, listing);
                return Ok(Meaning::News(News::ListChanged(listing)));
            }
            Incoming::Notification(Notification::Updated { uri }) => {
                return Ok(Meaning::News(News::Updated(Arc::from(uri.as_str()))));
            }
            Incoming::Notification(Notification::Task { id }) => {
                return Ok(Meaning::News(News::Task(Arc::from(id.as_str()))));
            }
            Incoming::Request { id, method, params } => {
                self.questions += 1;
                if self.questions > UPSTREAM_QUESTIONS_MAX {
                    return Err(malformed("asks too much during one call"));
                }
                if self.askable.cover(&method, params.as_ref()) {
                    return Ok(Meaning::Event(Event::Question { id, method, params }));
                }
                return Ok(Meaning::Question { id, method });
            }
            Incoming::Notification(_) => {}
        }
        shared.count_dropped();
        Ok(Meaning::Nothing)
    }

    /// The stream ended and the answer was not in it.
    pub(super) fn unanswered(&self) -> Fault {
        if self.strangers {
            malformed("answered another request than the one asked")
        } else {
            Fault::upstream(FaultKind::Unreachable, "ended its answer before the reply")
        }
    }
}
