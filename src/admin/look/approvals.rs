//! Requests for approval as somebody sees them.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use super::lease::LeaseView;
use super::time;
use crate::admin::caller::Caller;
use crate::approval::{Desk, Request, Shown, VoteError};
use crate::policy::PolicySet;

/// A request for approval.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Approval")]
pub(in crate::admin) struct View {
    /// Its id.
    pub(in crate::admin) id: String,
    /// Where it stands.
    #[schemars(extend("enum" = ["pending", "approved", "denied", "expired", "withdrawn", "used"]))]
    pub(in crate::admin) state: &'static str,
    /// It was asked for under another policy than the one in force: nobody can decide on it any more.
    pub(in crate::admin) void: bool,
    /// Who asks.
    pub(in crate::admin) requester: PersonView,
    /// The OAuth client that acts for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::admin) client: Option<String>,
    /// Who else acts for them, the one that acts now first.
    pub(in crate::admin) actors: Vec<String>,
    /// The JSON-RPC method.
    pub(in crate::admin) method: String,
    /// The route.
    pub(in crate::admin) route: String,
    /// The upstream.
    pub(in crate::admin) upstream: String,
    /// The full name of the tool.
    pub(in crate::admin) name: String,
    /// Its class.
    #[schemars(extend("enum" = ["read", "write", "destructive"]))]
    pub(in crate::admin) class: &'static str,
    /// Digest of its definition.
    pub(in crate::admin) definition: String,
    /// Digest of the arguments: what is executed has this one.
    pub(in crate::admin) arguments_digest: String,
    /// Digest of the policy that asks for the approval.
    pub(in crate::admin) policy: String,
    /// Digest of all of this: what an approval is bound to.
    pub(in crate::admin) digest: String,
    /// What has to be met, each by itself.
    pub(in crate::admin) gates: Vec<GateView>,
    /// What people said.
    pub(in crate::admin) votes: Vec<VoteView>,
    /// When it was asked for.
    #[schemars(extend("format" = "date-time"))]
    pub(in crate::admin) asked_at: String,
    /// When it can no longer be decided nor used; the end of a lease.
    #[schemars(extend("format" = "date-time"))]
    pub(in crate::admin) expires_at: String,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub(in crate::admin) ended_at: Option<String>,
    /// Id of the record of the call that asked first.
    pub(in crate::admin) record: String,
    /// The beginning of the arguments.
    pub(in crate::admin) excerpt: String,
    /// Whether whoever looks may decide.
    pub(in crate::admin) may_decide: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::admin) why_not: Option<Cow<'static, str>>,
    /// The terms on which people say yes to similar calls too, where they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::admin) lease: Option<LeaseView>,
    /// The longest lease that it can be made, in minutes; 0 where it can be made none.
    pub(in crate::admin) lease_minutes_max: u64,
    /// The arguments, where one request is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::admin) arguments: Option<ArgumentsView>,
}

/// A person.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Person")]
pub(in crate::admin) struct PersonView {
    /// Issuer.
    pub(in crate::admin) iss: String,
    /// Subject.
    pub(in crate::admin) sub: String,
    /// A name that the issuer vouches for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::admin) name: Option<String>,
}

impl PersonView {
    /// What to call them.
    pub(in crate::admin) fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.sub)
    }
}

/// What one rule demands.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Gate")]
pub(in crate::admin) struct GateView {
    /// The rule.
    pub(in crate::admin) rule: String,
    /// Who approves, in the words of the policy.
    pub(in crate::admin) from: Vec<String>,
    /// How many must say yes.
    pub(in crate::admin) quorum: u8,
    /// How many did.
    pub(in crate::admin) yes: usize,
    /// Whether whoever asks may be one of them.
    pub(in crate::admin) requester: bool,
}

/// What somebody said.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Vote")]
pub(in crate::admin) struct VoteView {
    /// Who.
    pub(in crate::admin) by: PersonView,
    /// Yes or no.
    pub(in crate::admin) yes: bool,
    /// The rules it counts for.
    pub(in crate::admin) rules: Vec<String>,
    /// Why, in their words.
    pub(in crate::admin) reason: String,
    /// When.
    #[schemars(extend("format" = "date-time"))]
    pub(in crate::admin) at: String,
}

/// Arguments as people are shown them.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Arguments")]
pub(in crate::admin) struct ArgumentsView {
    /// The text: one value a line, whatever hides or deceives as an escape, secrets masked.
    pub(in crate::admin) text: String,
    /// Bytes that are left out.
    pub(in crate::admin) left_out_bytes: u64,
    /// Secrets that are masked. The digest covers what they are.
    pub(in crate::admin) masked: u64,
    /// Those of them of which nobody can say what they hide: no known format tells them, or they are longer than 256 characters.
    pub(in crate::admin) unverified: u64,
}

impl From<Shown> for ArgumentsView {
    fn from(Shown { text, left_out_bytes, masked, unverified }: Shown) -> Self {
        Self { text, left_out_bytes, masked, unverified }
    }
}

/// `request` as `caller` sees it.
pub(in crate::admin) fn view(desk: &Desk, request: &Request, caller: &Caller, policy: &PolicySet) -> View {
    let bound = &request.bound;
    let verdict = match caller.role {
        Some(role) if role >= crate::admin::role::Role::Approver => desk.may_decide(request, &caller.principal, policy).err(),
        _ => Some(VoteError::NotAnApprover),
    };
    let rule = |at: &usize| bound.gates.get(*at).map(|gate| gate.rule.to_string());
    let person = |iss: &str, sub: &str, name: Option<&str>| PersonView {
        iss: iss.to_owned(),
        sub: sub.to_owned(),
        name: name.map(str::to_owned),
    };
    let gates = bound.gates.iter().enumerate().map(|(at, gate)| GateView {
        rule: gate.rule.to_string(),
        from: gate.from.clone(),
        quorum: gate.quorum,
        yes: request.met(at).0,
        requester: gate.requester,
    });
    let votes = request.votes.iter().map(|vote| VoteView {
        by: person(&vote.iss, &vote.sub, Some(&vote.name)),
        yes: vote.yes,
        rules: vote.gates.iter().filter_map(rule).collect(),
        reason: vote.reason.to_string(),
        at: time(vote.at_unix_ms),
    });
    View {
        id: request.id.to_string(),
        state: request.state.as_str(),
        void: request.is_void(policy.digest()),
        requester: person(&bound.iss, &bound.sub, request.requester_name.as_deref()),
        client: bound.client.as_deref().map(str::to_owned),
        actors: bound.actors.iter().map(ToString::to_string).collect(),
        method: bound.method.to_string(),
        route: bound.route.to_string(),
        upstream: bound.upstream.to_string(),
        name: bound.name.to_string(),
        class: bound.class.as_str(),
        definition: bound.definition.to_string(),
        arguments_digest: bound.arguments.to_string(),
        policy: bound.policy.to_string(),
        digest: request.digest.to_string(),
        gates: gates.collect(),
        votes: votes.collect(),
        asked_at: time(request.asked_unix_ms),
        expires_at: time(request.expires_unix_s.saturating_mul(1_000)),
        ended_at: request.ended_unix_ms.map(time),
        record: request.record.to_string(),
        excerpt: request.excerpt.to_string(),
        may_decide: verdict.is_none(),
        why_not: verdict.as_ref().map(why_not),
        lease: request.lease.as_ref().map(|lease| LeaseView::of(lease, request.lease_in_force().is_some())),
        lease_minutes_max: request.lease_minutes_max(),
        arguments: None,
    }
}

/// Why somebody cannot decide, in a sentence.
pub(in crate::admin) fn why_not(error: &VoteError) -> Cow<'static, str> {
    use crate::approval::ChangeError::{Audit, NotFound, Over, Store};
    Cow::Borrowed(match error {
        VoteError::Change(NotFound) => "There is no such request, or it is not yours.",
        VoteError::Change(Over(_)) => "The request is decided or over.",
        VoteError::Change(Audit) => "Records cannot be written now. Try again shortly.",
        VoteError::Change(Store(_)) => "It cannot be kept now. Try again shortly.",
        VoteError::Void => "The policy has changed since. The call has to be made again.",
        VoteError::Requester => "Whoever asks for the call cannot approve it.",
        VoteError::NotAnApprover => "The rule does not name you as an approver.",
        VoteError::Voted => "You have decided already.",
        VoteError::Lease(error) => return Cow::Owned(format!("This cannot be a lease: {error}.")),
    })
}
