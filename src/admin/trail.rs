//! What goes on record of a request at this listener: who, what, about which thing, and how it ended.

use std::sync::Arc;

use http::StatusCode;

use super::routes::Found;
use crate::audit::{Audit, Kind, OutcomeNote, Slot, Status};
use crate::net::head::HeadRefusal;
use crate::pipeline::page_outcome;
use crate::vocab::Principal;
use crate::web::{Note, PageAnswer, Verdict};

/// What is done where no endpoint says so.
const SOMETHING: &str = "admin/request";

/// What is known of a request while it is dealt with: it is put on record whether the request is refused or not.
pub(super) struct Trail {
    /// What it would do.
    action: &'static str,
    /// About what.
    target: Option<String>,
    /// Who asks, once they are known.
    pub(super) principal: Option<Arc<Principal>>,
    /// It is about signing in, or leads nowhere.
    signing: bool,
}

impl Trail {
    /// Of a request that leads to `found`.
    pub(super) fn of(found: &Found<'_>) -> Self {
        let Found::Here(endpoint, id) = found else { return Self { signing: true, ..Self::doing(SOMETHING) } };
        let own = endpoint.act.action();
        // Which of the things to look at is said by its path; what signs in or out is about nothing else.
        let path = own.is_none().then_some(endpoint.path);
        let target = id.or(path).map(str::to_owned);
        Self { target, signing: endpoint.role.is_none(), ..Self::doing(own.unwrap_or(SOMETHING)) }
    }

    /// Of a request that does `action`.
    pub(super) fn doing(action: &'static str) -> Self {
        Self { action, target: None, principal: None, signing: false }
    }

    /// Puts `answer` on record in `slot`.
    pub(super) fn record(self, mut slot: Slot, answer: &PageAnswer) {
        let Note { action, target, principal, verdict, private } = (*answer.note).clone();
        let refused = is_refusal(answer.status) && verdict == Verdict::Unauthenticated;
        let action = action.unwrap_or(self.action);
        if let Some(why) = private {
            tracing::info!(record = %slot.draft().id(), action, why, "refused at the operators' listener");
        }
        let draft = slot.draft();
        draft.kind = if self.signing || refused { Kind::Auth } else { Kind::Admin };
        draft.set_method(action);
        draft.principal = principal.or(self.principal);
        draft.http = Some(answer.status.as_u16());
        draft.outcome = Some(page_outcome(verdict));
        draft.bytes_out = answer.body.len() as u64;
        if let Some(target) = target.or(self.target) {
            draft.set_name(target);
        }
    }
}

/// Reading is not put on record where it was allowed.
pub(super) fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// Puts on record that a head was refused, where that says that the request may not be: a host or an origin that is not ours.
pub(super) fn record_head(audit: &Audit, refusal: &HeadRefusal) {
    if !is_refusal(refusal.status) {
        return;
    }
    let Ok(mut slot) = audit.reserve() else { return };
    let draft = slot.draft();
    draft.kind = Kind::Auth;
    draft.set_method(SOMETHING);
    draft.http = Some(refusal.status.as_u16());
    draft.outcome = Some(OutcomeNote::new(Status::Refused, refusal.reason));
}
