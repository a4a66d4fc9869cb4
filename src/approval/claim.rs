//! Using an approval: once, by whoever changes its row first.

use std::sync::Arc;

use super::Desk;
use super::change::{ChangeError, Note};
use super::request::{Request, RequestId, State};
use crate::audit::ApprovalNote;
use crate::policy::permit::Grant;
use crate::vocab::{Digest, Principal};

/// An approval that was used up, for the call that it was given for. Made by [`Desk::claim`] only; not `Clone`, so that the call has
/// one course: a round of it, then perhaps the next.
///
/// ```compile_fail
/// fn twice(spent: portcullis::approval::Spent) -> portcullis::approval::Spent {
///     spent.clone()
/// }
/// ```
#[must_use]
#[derive(Debug)]
pub struct Spent {
    request: Arc<Request>,
}

impl Spent {
    /// What the records of the call say of it.
    pub fn note(&self) -> ApprovalNote {
        self.request.note()
    }

    /// The request that was approved.
    pub fn request(&self) -> &Arc<Request> {
        &self.request
    }

    /// The evidence that the decision of one round of the call wants, and what a next round needs: not another start of the call, but
    /// its server's going on with what it asked.
    pub fn grant(self) -> (Grant, Self) {
        let bound = &self.request.bound;
        (Grant::assertion(&bound.name, Arc::from(&*bound.policy)), self)
    }
}

/// Why it cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Void {
    /// It is not approved: another was faster, its time is over, it was taken back.
    #[error("the request is {}", .0.as_str())]
    State(State),
    /// It was given for another call.
    #[error("approved for another call")]
    OtherCall,
    /// The store or the audit did not do it.
    #[error(transparent)]
    Change(ChangeError),
}

impl From<ChangeError> for Void {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Over(state) => Self::State(state),
            other => Self::Change(other),
        }
    }
}

impl Desk {
    /// Uses up the approval `id` for the call of the digest `call`, on behalf of `who`: on disk when this returns. Of many who try, one
    /// gets it.
    ///
    /// # Errors
    /// [`Void`]: the call must not leave.
    pub async fn claim(&self, id: &RequestId, call: &Digest, who: &Arc<Principal>) -> Result<Spent, Void> {
        let room = self.0.audit.room().map_err(|_| ChangeError::Audit)?;
        let now_ms = self.0.clock.unix_ms();
        let note = Note { room, what: "approval/use", who: Some(who.clone()), reason: String::new() };
        let used = self.change(id, Some(note), |request: &mut Request, _| {
            if request.digest != *call || request.requester() != who.key() {
                return Err(Void::OtherCall);
            }
            if request.state != State::Approved || !request.is_met() {
                return Err(Void::State(request.state));
            }
            (request.state, request.ended_unix_ms) = (State::Used, Some(now_ms));
            Ok(())
        });
        Ok(Spent { request: used.await? })
    }
}
