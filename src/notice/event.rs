//! What approvers are told of, and the id of each delivery.

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::approval::{Request, RequestId, State};

/// What happened to a request for approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Event {
    /// People are asked.
    #[serde(rename = "approval.requested")]
    Requested,
    /// Every gate is met.
    #[serde(rename = "approval.approved")]
    Approved,
    /// Somebody said no.
    #[serde(rename = "approval.denied")]
    Denied,
    /// Its time passed.
    #[serde(rename = "approval.expired")]
    Expired,
    /// Who asked took it back.
    #[serde(rename = "approval.withdrawn")]
    Withdrawn,
    /// The call was made.
    #[serde(rename = "approval.used")]
    Used,
}

impl Event {
    /// The event of a request that came to `state`.
    pub(super) fn of(state: State) -> Self {
        match state {
            State::Pending => Self::Requested,
            State::Approved => Self::Approved,
            State::Denied => Self::Denied,
            State::Expired => Self::Expired,
            State::Withdrawn => Self::Withdrawn,
            State::Used => Self::Used,
        }
    }

    /// The word in documents and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "approval.requested",
            Self::Approved => "approval.approved",
            Self::Denied => "approval.denied",
            Self::Expired => "approval.expired",
            Self::Withdrawn => "approval.withdrawn",
            Self::Used => "approval.used",
        }
    }

    /// The words for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Requested => "Approval needed",
            Self::Approved => "Approved",
            Self::Denied => "Denied",
            Self::Expired => "Expired",
            Self::Withdrawn => "Withdrawn",
            Self::Used => "Used",
        }
    }
}

/// Whether anybody but who asks can decide on `request`: only then is there somebody to tell.
pub(super) fn concerns_approvers(request: &Request) -> bool {
    !request.bound.gates.iter().all(crate::approval::Gate::is_of_caller)
}

const PREFIX: &str = "ntc_";
const DOMAIN: &[u8] = b"portcullis notice 1";
const ID_BYTES: usize = 16;

/// The id of what is delivered by `channel`: of the same thing it is the same, however often and by whichever process it is sent.
pub(super) fn delivery_id(channel: &str, request: &RequestId, event: Event) -> String {
    let mut context = Context::new(&SHA256);
    for part in [DOMAIN, channel.as_bytes(), request.as_str().as_bytes(), event.as_str().as_bytes()] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let digest = context.finish();
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(digest.as_ref().get(..ID_BYTES).unwrap_or_default()))
}
