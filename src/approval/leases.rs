//! Leases at the desk: given, found, listed and revoked. Using one is [`Desk::claim`].

use std::sync::Arc;

use super::Desk;
use super::ask::Case;
use super::change::{ChangeError, Note};
use super::lease::{Lease, LeaseError, Terms};
use super::request::{Request, RequestId, State, as_of};
use super::vote::{Said, VoteError, Voter};
use crate::policy::PolicySet;
use crate::vocab::{Digest, Principal};

impl Desk {
    /// As [`Self::vote`], with a yes to all calls on these terms. Everybody who says yes says it to the same terms.
    ///
    /// # Errors
    /// [`VoteError`]; nothing was changed.
    pub async fn approve_on(
        &self,
        id: &RequestId,
        voter: &Voter,
        policy: &PolicySet,
        terms: &Terms,
        reason: &str,
    ) -> Result<Arc<Request>, VoteError> {
        let request = self.get(id).ok_or(ChangeError::NotFound)?;
        // Who may not decide learns nothing about terms.
        self.may_decide(&request, &voter.principal, policy)?;
        let shown = self.shown(id).await.map_err(ChangeError::Store)?.unwrap_or_default();
        let lease = Lease::of(&request, &shown, terms)?;
        // Until this one is known, no other is made that differs in arguments only.
        let scope = request.bound.scope();
        let _turn = self.turn(&scope).await;
        if self.leased(&scope).is_some() {
            return Err(LeaseError::Taken.into());
        }
        self.decide(id, voter, policy, (Said::YesTo(&lease), false), reason).await
    }

    /// Ends the lease `id`. Whether `by` may is for who asks to know.
    ///
    /// # Errors
    /// [`ChangeError`]; there is no lease of this id that is in force.
    pub async fn revoke(&self, id: &RequestId, by: &Arc<Principal>) -> Result<Arc<Request>, ChangeError> {
        let now_ms = self.0.clock.unix_ms();
        let room = self.0.audit.room().map_err(|_| ChangeError::Audit)?;
        let note = Note::of(room, "approval/withdraw", Some(by));
        let revoked = self.change(id, Some(note), |request, _| {
            if request.lease_in_force().is_none() {
                return Err(ChangeError::Over(request.state));
            }
            (request.state, request.ended_unix_ms) = (State::Withdrawn, Some(now_ms));
            Ok(())
        });
        revoked.await
    }

    /// Up to `limit` leases that are in force, those that were asked for last first, after the one called `after`.
    pub fn leases(&self, after: Option<&RequestId>, limit: usize) -> Vec<Arc<Request>> {
        let now_s = self.0.clock.unix_s();
        let mut all = self.0.index.lock().leases();
        all.retain(|request| as_of(request, now_s).lease_in_force().is_some());
        let place = |request: &Request| (request.asked_unix_ms, request.id.clone());
        all.sort_by_key(|request| std::cmp::Reverse(place(request)));
        let before = after.map(|id| self.get(id).map(|request| place(&request)));
        let fits = |request: &Arc<Request>| match &before {
            None => true,
            Some(before) => before.as_ref().is_some_and(|before| place(request) < *before),
        };
        all.into_iter().filter(fits).take(limit).collect()
    }

    /// The lease in force for calls that are the same but for their arguments.
    fn leased(&self, scope: &Digest) -> Option<Arc<Request>> {
        let lease = as_of(&self.0.index.lock().of_scope(scope)?, self.0.clock.unix_s());
        lease.lease_in_force().is_some().then_some(lease)
    }

    /// The lease under which the call of `case` can be made. `own` is the request of this very call, if there is one: a no to it stands
    /// above any lease.
    pub(super) fn lease_for(&self, case: &Case, call: &Digest, own: Option<&Request>) -> Option<Arc<Request>> {
        let lease = self.leased(&case.bound.scope())?;
        (!own.is_some_and(Request::sets_apart) && lease.is_for(case, call)).then_some(lease)
    }
}
