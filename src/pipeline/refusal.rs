//! Every way in which the line ends early.

use http::StatusCode;

use super::approve::Unapproved;
use crate::identity;
use crate::mcp::error::ProtocolError;
use crate::net::head::HeadRefusal;
use crate::vocab::{Denial, Fault, Reason};

/// What a stage answers instead of its value. `rescue` turns it into a response; nothing else does.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The head of the request is not acceptable. The body is unread.
    Head(HeadRefusal),
    /// No, a bad, or a too narrow credential. The body is unread.
    Identity(identity::Refusal),
    /// Answered with a bare status before a message was read.
    Http(StatusCode, Reason, &'static str),
    /// A method that the path does not take; it takes those of this list.
    Method(&'static str, Reason, &'static str),
    /// The message breaks the protocol.
    Protocol(Box<ProtocolError>),
    /// Policy or a limit said no.
    Denied(Denial),
    /// People have to approve first, or did not.
    Unapproved(Box<Unapproved>),
    /// The upstream wants to know something that nobody here can tell it, or would; one sentence for the client.
    Unanswered(&'static str),
    /// Something failed.
    Failed(Fault),
}

impl Refusal {
    /// The fault, if that is what it is.
    pub(super) fn fault(&self) -> Option<&Fault> {
        if let Self::Failed(fault) = self { Some(fault) } else { None }
    }
}

impl From<HeadRefusal> for Refusal {
    fn from(refusal: HeadRefusal) -> Self {
        Self::Head(refusal)
    }
}

impl From<identity::Refusal> for Refusal {
    fn from(refusal: identity::Refusal) -> Self {
        Self::Identity(refusal)
    }
}

impl From<ProtocolError> for Refusal {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(Box::new(error))
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}
