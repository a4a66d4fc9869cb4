//! Using an approval: once, by whoever changes its row first; or as often as a lease says, each time by such a change.

use std::sync::Arc;

use super::Desk;
use super::ask::Case;
use super::change::{ChangeError, Note};
use super::request::{Request, RequestId, State};
use crate::audit::ApprovalNote;
use crate::policy::permit::Grant;
use crate::vocab::Digest;

/// An approval that was used, for a call that it was given for. Made by [`Desk::claim`] only; not `Clone`, so that the call has
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
    /// [`Case::start`].
    start: Digest,
    /// [`super::Bound::digest`] of the call; under a lease it can be another than that of the request.
    call: Digest,
    arguments: Digest,
}

impl Spent {
    /// What the records of the call say of it.
    pub fn note(&self) -> ApprovalNote {
        self.request.note_for(self.arguments)
    }

    /// The request as it stands now at `desk`, and what the records of a further round say of it. `None` once it was taken back, a lease
    /// that was revoked, or is not known any more: then the call does not go on. Time, or the last use of a lease, does not break it off.
    pub fn now(&self, desk: &Desk) -> Option<(Arc<Request>, ApprovalNote)> {
        let request = desk.get(&self.request.id).filter(|request| request.state != State::Withdrawn)?;
        let note = request.note_for(self.arguments);
        Some((request, note))
    }

    /// The same, by the request as it stands now; `None` as with [`Self::now`].
    pub fn renewed(self, desk: &Desk) -> Option<Self> {
        let (request, _) = self.now(desk)?;
        Some(Self { request, ..self })
    }

    /// The digest of the call that was started by it, without answers.
    pub fn start(&self) -> &Digest {
        &self.start
    }

    /// The digest of all that left.
    pub fn call(&self) -> &Digest {
        &self.call
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
    /// Uses the approval `id` for the call of `case`: on disk when this returns. Of many who try, one gets it, or as many as a lease has
    /// uses left.
    ///
    /// # Errors
    /// [`Void`]: the call must not leave.
    pub async fn claim(&self, id: &RequestId, case: &Case) -> Result<Spent, Void> {
        let (call, who, arguments) = (case.bound.digest(), &case.principal, case.bound.arguments);
        // Those who use one lease at one time would only be in each other's way.
        let leased = self.get(id).filter(|request| request.lease.is_some());
        let _turn = match leased {
            Some(lease) => self.turn(&lease.bound.scope()).await,
            None => None,
        };
        let room = self.0.audit.room().map_err(|_| ChangeError::Audit)?;
        let now_ms = self.0.clock.unix_ms();
        let note = Note { arguments: Some(arguments), ..Note::of(room, "approval/use", Some(who)) };
        // Somebody may have said no to this very call since the lease was found for it.
        let set_apart = |request: &Request| request.lease.is_some() && self.own(&call).is_some_and(|own| own.sets_apart());
        let used = self.change(id, Some(note), |request: &mut Request, _| {
            if request.requester() != who.key() || !request.is_for(case, &call) || set_apart(request) {
                return Err(Void::OtherCall);
            }
            if request.state != State::Approved || !request.is_met() {
                return Err(Void::State(request.state));
            }
            if let Some(lease) = &mut request.lease {
                lease.used = lease.used.saturating_add(1);
                request.set_apart &= call != request.digest;
            }
            if request.lease.as_ref().is_none_or(|lease| lease.used >= lease.uses) {
                (request.state, request.ended_unix_ms) = (State::Used, Some(now_ms));
            }
            Ok(())
        });
        Ok(Spent { request: used.await?, start: case.start, call, arguments })
    }
}
