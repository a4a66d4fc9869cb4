//! Deciding: who may, and what comes of it.

use std::sync::Arc;

use super::Desk;
use super::change::{ChangeError, Note, asked_by};
use super::lease::{Lease, LeaseError};
use super::request::{Request, RequestId, State, Vote};
use crate::policy::{Approval, PolicySet};
use crate::scrub;
use crate::vocab::Principal;
use crate::vocab::limits::{APPROVAL_NAME_CHARS_MAX, APPROVAL_REASON_CHARS_MAX};

/// Who decides.
#[derive(Clone, Debug)]
pub struct Voter {
    /// The person, as they signed in. Compared with who asked by (issuer, subject).
    pub principal: Arc<Principal>,
    /// The name they are shown by.
    pub name: String,
}

/// Why somebody cannot decide.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoteError {
    /// It cannot be changed at all.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// It was asked for under another policy than the one in force.
    #[error("the policy has changed since: the call has to be made again")]
    Void,
    /// They asked themselves, and the rule does not let them approve.
    #[error("whoever asks cannot approve")]
    Requester,
    /// No rule names them as an approver of this.
    #[error("not an approver of this")]
    NotAnApprover,
    /// They did already; a vote is not changed.
    #[error("decided already")]
    Voted,
    /// It cannot be a lease on these terms.
    #[error(transparent)]
    Lease(#[from] LeaseError),
}

/// What a voter says.
#[derive(Clone, Copy)]
pub(super) enum Said<'a> {
    No,
    /// To this very call.
    Yes,
    /// To this lease.
    YesTo(&'a Lease),
}

impl Said<'_> {
    fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }

    fn is_yes(self) -> bool {
        !matches!(self, Self::No)
    }

    /// Notes in `request` what the yes is to, which is one thing for all who say it.
    fn agree(self, request: &mut Request) -> Result<(), LeaseError> {
        let lease = match self {
            Self::No => return Ok(()),
            Self::Yes => None,
            Self::YesTo(lease) => Some(lease),
        };
        let same = match (&request.lease, lease) {
            (None, None) => true,
            (Some(one), Some(other)) => one.is_same(other),
            _ => false,
        };
        if !same && request.votes.iter().any(|vote| vote.yes) {
            return Err(LeaseError::Differs);
        }
        request.lease = lease.cloned();
        Ok(())
    }
}

impl Desk {
    /// Has `voter` say yes or no, for a `reason` that may be empty and is cut. One no ends it; with the last yes that a gate wants it is
    /// approved. The record of it is made either way.
    ///
    /// # Errors
    /// [`VoteError`]; nothing was changed.
    pub async fn vote(
        &self,
        id: &RequestId,
        voter: &Voter,
        policy: &PolicySet,
        yes: bool,
        reason: &str,
    ) -> Result<Arc<Request>, VoteError> {
        self.decide(id, voter, policy, (Said::of(yes), false), reason).await
    }

    /// As [`Self::vote`], of who asked and where rules say `from: [caller]` only: for an answer that comes by the very client that
    /// calls. It never counts for a group, whoever is in it.
    ///
    /// # Errors
    /// [`VoteError`]; nothing was changed.
    pub async fn confirm(&self, id: &RequestId, voter: &Voter, policy: &PolicySet, yes: bool) -> Result<Arc<Request>, VoteError> {
        self.decide(id, voter, policy, (Said::of(yes), true), "").await
    }

    pub(super) async fn decide(
        &self,
        id: &RequestId,
        voter: &Voter,
        policy: &PolicySet,
        (said, as_caller): (Said<'_>, bool),
        reason: &str,
    ) -> Result<Arc<Request>, VoteError> {
        let room = self.0.audit.room().map_err(|_| ChangeError::Audit)?;
        // It is kept, recorded and told to others.
        let reason: String = scrub::text(reason).chars().take(APPROVAL_REASON_CHARS_MAX).collect();
        let name: String = voter.name.chars().take(APPROVAL_NAME_CHARS_MAX).collect();
        let (person, yes) = (&*voter.principal, said.is_yes());
        let what = if yes { "approval/approve" } else { "approval/deny" };
        let note = Note { reason: reason.clone(), ..Note::of(room, what, Some(&voter.principal)) };
        let voted = self.change(id, Some(note), |request: &mut Request, _| {
            let gates = counts_in(request, person, policy, as_caller)?;
            said.agree(request)?;
            let at_unix_ms = self.0.clock.unix_ms();
            request.votes.push(Vote {
                iss: (&*person.iss).into(),
                sub: (&*person.sub).into(),
                name: name.as_str().into(),
                yes,
                gates,
                reason: reason.as_str().into(),
                at_unix_ms,
            });
            if !yes {
                (request.state, request.ended_unix_ms) = (State::Denied, Some(at_unix_ms));
            } else if request.is_met() {
                request.state = State::Approved;
                if let Some(lease) = &request.lease {
                    request.expires_unix_s = (at_unix_ms / 1_000).saturating_add(lease.minutes.saturating_mul(60));
                }
            }
            Ok::<(), VoteError>(())
        });
        let request = voted.await?;
        tracing::info!(approval = %id, yes, state = request.state.as_str(), "an approver decided");
        Ok(request)
    }

    /// Whether `person` could decide on `request` now, under `policy`. For pages; [`Self::vote`] looks again.
    ///
    /// # Errors
    /// Why not.
    pub fn may_decide(&self, request: &Request, person: &Principal, policy: &PolicySet) -> Result<(), VoteError> {
        let state = request.state_at(self.0.clock.unix_s());
        counts_in(&Request { state, ..request.clone() }, person, policy, false).map(|_| ())
    }
}

/// The gates in which `person` counts, which is at least one; with `as_caller` only as who asked.
fn counts_in(request: &Request, person: &Principal, policy: &PolicySet, as_caller: bool) -> Result<Vec<usize>, VoteError> {
    if request.state != State::Pending {
        return Err(ChangeError::Over(request.state).into());
    }
    if *request.bound.policy != **policy.digest() {
        return Err(VoteError::Void);
    }
    let requester = request.requester();
    let counts = |(_, gate): &(usize, &super::Gate)| {
        let approval = policy.approval(&gate.rule);
        // What the rules say together may be stricter than what this one says.
        approval.is_some_and(|approval| {
            let mut joined = Approval::clone(approval);
            joined.requester = gate.requester && !as_caller;
            joined.counts(person, &requester) && (!as_caller || asked_by(request, &person.key()))
        })
    };
    let gates: Vec<usize> = request.bound.gates.iter().enumerate().filter(counts).map(|(at, _)| at).collect();
    match gates.is_empty() {
        true if asked_by(request, &person.key()) => Err(VoteError::Requester),
        true => Err(VoteError::NotAnApprover),
        false if request.votes.iter().any(|vote| vote.is_by(&person.key())) => Err(VoteError::Voted),
        false => Ok(gates),
    }
}
