//! Approvals of calls: looked up before anything is taken, used up before anything is written, told to whoever asks.
//!
//! Nothing here waits or runs a call by itself: a call that is not approved ends, or is asked about ([`super::consult`]), and whatever
//! is tried later is decided anew.

use std::sync::Arc;

use super::authorize::overruled;
use super::ctx::Ctx;
use super::forward::Leaving;
use super::refusal::Refusal;
use super::reply::{Answered, lower};
use super::rescue::refuse_saying;
use super::route::{Kind, Target};
use super::sequel::Known;
use crate::approval::{AskError, Bound, Case, Gate, Request, Shown, Standing, Void};
use crate::audit::Status;
use crate::catalog::{Freshness, Part};
use crate::inspect::{self, Masked};
use crate::mcp::dialect::Operation;
use crate::mcp::{RawJson, canonical, codes};
use crate::policy::Decision;
use crate::policy::permit::Grant;
use crate::vocab::{Denial, Fault, FaultKind, Reason};

/// A call that may not leave for want of an approval.
#[derive(Debug)]
pub(super) struct Unapproved {
    /// Why, which rule, and which request, as the client is told.
    pub denial: Denial,
    /// The request, where one was made or found.
    pub request: Option<Arc<Request>>,
    /// One plain sentence that says what would help.
    words: String,
}

/// An approval that was found, to be used up by the call that it was given for.
pub(super) struct Approved {
    request: Arc<Request>,
    case: Case,
    /// The round, where the call is under way and goes on.
    sequel: Option<u128>,
}

/// Finds the approval that `decision` wants, or asks for it. `call` is what may be asked about, a call, a prompt or a resource, and what
/// would leave. Nothing is used up. `None` where none is wanted, and where policy is only observed.
///
/// # Errors
/// What the client is told; a fault when nothing could be asked.
pub(super) async fn look_up(
    ctx: &mut Ctx,
    decision: &Decision,
    target: &Target,
    call: Option<(&Operation, &Leaving)>,
) -> Result<Option<Approved>, Refusal> {
    let Some(first) = decision.approvals().first() else { return Ok(None) };
    let denial = || Denial { rule: Some(first.rule.clone()), ..Denial::new(Reason::ApprovalRequired) };
    if ctx.world.observe.is_some_and(|observe| observe.passes(Reason::ApprovalRequired)) {
        overruled(ctx, denial())?;
        return Ok(None);
    }
    let Some((operation, leaving)) = call.filter(|(operation, _)| operation.method.asks_back()) else {
        return Err(unapproved(ctx, denial(), None, NOT_ASKED.to_owned()));
    };
    let case = case(ctx, decision, target, operation, leaving)?;
    let (sequel, now_s) = (ctx.sequel.take(), ctx.gateway.clock.unix_s());
    let known = sequel.and_then(|number| ctx.gateway.sequels.look_up(number, &case, &ctx.gateway.approvals, now_s));
    let (request, note, sequel) = match known {
        Some(Known::GoesOn(request, note)) => (request, note, sequel),
        // Whoever lost a race for the round asks for nothing by it.
        Some(Known::Taken) => return Err(unapproved(ctx, denial(), None, OVER.to_owned())),
        None => match standing(ctx, &case, denial()).await? {
            Standing::Approved(request) => {
                let note = Box::new(request.note_of(&case));
                (request, note, None)
            }
            standing => return Err(refused(ctx, denial(), &standing, &case)),
        },
    };
    still_defined(ctx, target, denial).await?;
    ctx.note(|draft| draft.approval = Some(note));
    Ok(Some(Approved { request, case, sequel }))
}

/// Where the request for `case` stands, which is made if there is none. Whoever was held until one was decided meets that one and asks
/// for no other: nobody is there who would repeat the call.
async fn standing(ctx: &Ctx, case: &Case, denial: Denial) -> Result<Standing, Refusal> {
    let desk = &ctx.gateway.approvals;
    let standing = match &ctx.asked.held {
        Some(id) => {
            let standing = desk.standing(id, &case.bound.digest()).await;
            return standing.ok_or_else(|| unapproved(ctx, denial, None, OVER.to_owned()));
        }
        None => desk.ask(case.clone()).await,
    };
    match standing {
        Ok(standing) => Ok(standing),
        Err(AskError::TooMany | AskError::Full) => Err(unapproved(ctx, denial, None, TOO_MANY.to_owned())),
        Err(error) => Err(failed(&error).into()),
    }
}

/// Uses the approval up: on disk, and nobody else's, when this returns. A round of a call under way takes over what that call used.
///
/// # Errors
/// As [`look_up`], when another call was faster.
pub(super) async fn spend(ctx: &mut Ctx, Approved { request, case, sequel }: Approved) -> Result<Grant, Refusal> {
    let (desk, now_s) = (&ctx.gateway.approvals, ctx.gateway.clock.unix_s());
    let rule = request.bound.gates.first().map(|gate| Arc::from(&*gate.rule));
    let denial = Denial { rule, ..Denial::new(Reason::ApprovalRequired) };
    let spent = match sequel {
        None => desk.claim(&request.id, &case).await,
        Some(number) => match ctx.gateway.sequels.take(number, &case, desk, now_s) {
            Some(spent) => Ok(spent),
            // Another went on as this round, or it was revoked meanwhile.
            None => return Err(unapproved(ctx, denial, None, OVER.to_owned())),
        },
    };
    match spent {
        Ok(spent) => {
            ctx.note(|draft| draft.approval = Some(Box::new(spent.note())));
            let (grant, spent) = spent.grant();
            ctx.spent = Some(spent);
            Ok(grant)
        }
        // Used, taken back or expired since it was looked up: this call is asked for by itself.
        Err(Void::State(_) | Void::OtherCall) => {
            let standing = standing(ctx, &case, denial.clone()).await?;
            Err(refused(ctx, denial, &standing, &case))
        }
        Err(Void::Change(error)) => Err(failed(&error).into()),
    }
}

/// A tool may have become another since its list was read. It is read again before an approval of it is used, so that what people saw is
/// what the upstream says now.
async fn still_defined(ctx: &Ctx, target: &Target, denial: impl Fn() -> Denial) -> Result<(), Refusal> {
    let Some(entry) = target.entry.as_ref().filter(|_| target.kind == Kind::Tool) else { return Ok(()) };
    let seen = Box::pin(target.view.list(Part::Tools, &ctx.access()?, Freshness::Confirmed, ctx.deadline)).await?;
    match seen.listing.named(&target.name) {
        Some(now) if now.definition == entry.definition => Ok(()),
        _ => Err(unapproved(ctx, denial(), None, REDEFINED.to_owned())),
    }
}

/// The call ends for want of an approval, as its request stands.
fn refused(ctx: &Ctx, denial: Denial, standing: &Standing, case: &Case) -> Refusal {
    let request = standing.request();
    let (reason, words) = match standing {
        Standing::Pending(_) | Standing::Approved(_) => (Reason::ApprovalRequired, pending(request)),
        Standing::Denied(_) => (Reason::ApprovalDenied, DENIED.to_owned()),
        Standing::Expired(_) => (Reason::ApprovalExpired, EXPIRED.to_owned()),
    };
    let denial = Denial { reason, approval_id: Some(Arc::from(request.id.as_str())), ..denial };
    ctx.note(|draft| draft.approval = Some(Box::new(request.note_of(case))));
    unapproved(ctx, denial, Some(request.clone()), words)
}

/// Records that the decision comes to a refusal. Nothing passes: where policy is only observed nobody gets here.
fn unapproved(ctx: &Ctx, denial: Denial, request: Option<Arc<Request>>, words: String) -> Refusal {
    let denial = overruled(ctx, denial.clone()).err().unwrap_or(denial);
    Refusal::Unapproved(Box::new(Unapproved { denial, request, words }))
}

fn failed(error: &dyn std::error::Error) -> Fault {
    Fault::internal(FaultKind::Internal, format!("approvals: {error}"))
}

/// The answer in words, for a client that cannot be told in another way.
pub(super) fn in_words(ctx: &Ctx, Unapproved { denial, words, .. }: &Unapproved) -> Answered {
    ctx.ended(Status::Denied, denial.reason);
    lower(ctx, &refuse_saying(ctx, denial, codes::POLICY_REFUSED, words))
}

fn case(ctx: &Ctx, decision: &Decision, target: &Target, operation: &Operation, leaving: &Leaving) -> Result<Case, Refusal> {
    let principal = ctx.principal()?.clone();
    let arguments = operation.params.arguments.as_ref().filter(|_| target.kind != Kind::Resource);
    let mut gates: Vec<Gate> = decision.approvals().iter().map(|approval| Gate::of(approval)).collect();
    gates.sort_by(|a, b| a.rule.cmp(&b.rule));
    let actor = |(iss, sub): (Option<&str>, &str)| iss.map_or_else(|| sub.into(), |iss| format!("{iss}#{sub}").into());
    let bound = Bound {
        iss: (&*principal.iss).into(),
        sub: (&*principal.sub).into(),
        client: principal.client_id.as_deref().map(Into::into),
        actors: principal.actors().map(actor).collect(),
        method: operation.method.as_str().into(),
        route: (&*ctx.route()?.path).into(),
        upstream: (&*target.view.upstream().settings().name).into(),
        server: target.view.upstream().settings().server(),
        name: (&*target.full).into(),
        definition: target.entry.as_ref().map(|entry| (&*entry.definition).into()).unwrap_or_default(),
        arguments: canonical::digest(arguments),
        class: decision.class(),
        policy: (&**decision.policy_digest()).into(),
        gates,
    };
    // The shortest of all, which policy put into each.
    let expires = decision.approvals().iter().map(|approval| approval.expires).min().unwrap_or_default();
    let (record, open_max) = (ctx.id.to_string(), ctx.world.approvals.open_max);
    let start = bound.digest();
    let mut case =
        Case { start, bound, arguments: arguments.cloned(), principal, shown: Shown::default(), expires, record, open_max };
    if !answering(&mut case, target, operation, leaving) {
        case.shown = shown(arguments);
    }
    Ok(case)
}

/// Whether the call leaves with answers to its server's questions, or with a state of the server's. Then people judge all of it, unless it
/// goes on with an approved call. Arguments are an object, so that no call without answers has the digest of this list.
fn answering(case: &mut Case, target: &Target, operation: &Operation, leaving: &Leaving) -> bool {
    let (answers, state) = match leaving {
        Leaving::Call(outgoing) => (outgoing.input_responses.clone(), outgoing.request_state.clone()),
        Leaving::Answers(number) => (operation.params.input_responses.clone(), Some(number.to_string())),
    };
    if answers.is_none() && state.is_none() {
        return false;
    }
    let null = || RawJson::of_static("null");
    let arguments = operation.params.arguments.clone().filter(|_| target.kind != Kind::Resource).unwrap_or_else(null);
    let (answers, state) = (answers.unwrap_or_else(null), state.map_or_else(null, |state| RawJson::of_text(&state)));
    let list = format!("[{},{},{}]", arguments.as_str(), answers.as_str(), state.as_str());
    let list = RawJson::of_ours(list.into_bytes());
    case.bound.arguments = canonical::digest(Some(&list));
    // No lease is for answers that nobody saw.
    case.arguments = Some(list);
    let members = [("arguments", arguments), ("answers", answers), ("state of the server", state)];
    case.shown = shown(Some(&RawJson::object(&members.map(|(key, value)| (key.to_owned(), value)))));
    true
}

fn shown(arguments: Option<&RawJson>) -> Shown {
    let Some(Masked { raw, count, unverified }) = arguments.map(inspect::masked) else { return Shown::default() };
    Shown { masked: count, unverified, ..Shown::of(&raw) }
}

/// Who has to say yes, in the words of the policy.
pub(super) fn from_whom(request: &Request) -> String {
    let gate = |gate: &Gate| {
        let from = gate.from.iter().map(|word| if word == "caller" { "you" } else { word }).collect::<Vec<_>>().join(" or ");
        if gate.quorum > 1 { format!("{} of {from}", gate.quorum) } else { from }
    };
    request.bound.gates.iter().map(gate).collect::<Vec<_>>().join(" and ")
}

fn pending(request: &Request) -> String {
    let (from, id) = (from_whom(request), &request.id);
    let until = std::time::UNIX_EPOCH + std::time::Duration::from_secs(request.expires_unix_s);
    let until = humantime::format_rfc3339_seconds(until);
    format!(
        "Approval pending: this call waits for a yes from {from}. Repeat the same call, unchanged, once it is approved; until then it does nothing (request {id}, until {until})."
    )
}

const NOT_ASKED: &str = "This needs a person's approval, which cannot be asked for here: only for tools that are called, prompts that are got, and resources that are read.";
const TOO_MANY: &str = "This call needs a person's approval, and too many of your calls wait for one already: wait until they are decided, or withdraw some.";
const OVER: &str = "What this call waited for was used by another call, or taken back: repeat the call to ask anew.";
const REDEFINED: &str =
    "The tool changed after it was approved, so it was not called: repeat the call to ask for approval of the tool as it is now.";
const DENIED: &str = "An approver refused this call. Do not repeat it as it is, unless you are told to: that asks again.";
const EXPIRED: &str = "The approval of this call was not given, or not used, in time. Repeat the call to ask again.";
