//! The decision, and what it takes to act on it.

use std::sync::Arc;

use super::ctx::Ctx;
use super::forward::Leaving;
use super::refusal::Refusal;
use super::route::{Kind, Target};
use super::{Gateway, approve, standing};
use crate::audit::{DecisionNote, ShadowNote};
use crate::limit::Subject;
use crate::mcp::dialect::Operation;
use crate::mcp::{Method, RawJson};
use crate::policy::permit::{Evidence, Lease, MissingEvidence, ObserveOnly, Permit};
use crate::policy::{Asked, Decision, Effect, Hints, Kind as AskedKind, Moment, TaskStep, decide_for, decide_task_for};
use crate::vocab::{Class, Denial, Fault, FaultKind, Principal, Reason};

/// Decides and records.
///
/// # Errors
/// The denial.
pub(super) fn authorize(ctx: &mut Ctx, target: &Target, arguments: Option<&RawJson>) -> Result<Decision, Refusal> {
    let kind = match target.asked() {
        AskedKind::Tool { name, class, .. } => AskedKind::Tool { name, class, arguments },
        AskedKind::Prompt { name, .. } => AskedKind::Prompt { name, arguments },
        other => other,
    };
    // A list that could not be read hides nothing: policy decides first, then the fault is told.
    let known = target.kind != Kind::Tool || target.entry.is_some() || target.unread.is_some();
    let (world, principal) = (&ctx.world, ctx.principal()?);
    let subject = ctx.memory.subject(world, principal);
    let Moment { now_unix_ms, route } = ctx.moment_of_record();
    let decision = decide_for(&world.policy, &subject, principal, &Asked { kind, known, now_unix_ms, route });
    settle(ctx, target, arguments, decision)
}

/// As [`authorize`], for a step with a task that the tool `target` made.
///
/// # Errors
/// The denial.
pub(super) fn authorize_task(ctx: &mut Ctx, target: &Target, step: TaskStep) -> Result<Decision, Refusal> {
    let known = target.entry.is_some() || target.unread.is_some();
    let (world, principal) = (&ctx.world, ctx.principal()?);
    let subject = ctx.memory.subject(world, principal);
    let Moment { now_unix_ms, route } = ctx.moment_of_record();
    let asked = Asked { kind: target.asked(), known, now_unix_ms, route };
    let decision = decide_task_for(&world.policy, &subject, principal, &asked, step);
    settle(ctx, target, None, decision)
}

/// What a request about a task does with it.
pub(super) fn task_step(method: Method) -> TaskStep {
    match method {
        Method::TasksUpdate => TaskStep::Answer,
        Method::TasksCancel => TaskStep::Cancel,
        _ => TaskStep::Read,
    }
}

/// A permit for a step that the gateway takes by itself with a task of the tool `full`, by the rules in force now.
///
/// # Errors
/// A fault when the credential holds no longer, or policy says no.
pub(super) fn task_permit(
    gateway: &Gateway,
    principal: &Arc<Principal>,
    route: &str,
    (full, hints): (&str, Hints),
    step: TaskStep,
) -> Result<Permit, Fault> {
    let refused = |why: &str| Fault::internal(FaultKind::Unauthorized, format!("a task is not waited for any more: {why}"));
    let world = gateway.world.load_full();
    if standing::has_ended(&world, principal) {
        return Err(refused("the token was revoked"));
    }
    world.identity.standing(principal).map_err(refused)?;
    let class = world.policy.class_of(full, hints);
    let kind = AskedKind::Tool { name: full, class, arguments: None };
    let now_unix_ms = i64::try_from(gateway.clock.unix_ms()).unwrap_or(0);
    let subject = world.subjects.of(&world.policy, principal);
    let asked = Asked { kind, known: true, now_unix_ms, route };
    let decision = decide_task_for(&world.policy, &subject, principal, &asked, step);
    let reason = decision.reason();
    permit_for(decision, Evidence::default(), world.observe).map_err(|_| refused(reason.as_str()))
}

/// Records a decision, and says whether it passes.
fn settle(ctx: &mut Ctx, target: &Target, arguments: Option<&RawJson>, decision: Decision) -> Result<Decision, Refusal> {
    let allowed = decision.effect() == Effect::Allow;
    let passes = allowed || ctx.world.observe.is_some_and(|observe| observe.passes(decision.reason()));
    let tool = target.entry.as_ref().filter(|_| target.kind == Kind::Tool).and_then(|entry| entry.tool.clone());
    // What is owed first may still make it a refusal, and a decision is counted once.
    if !(allowed && owes(&decision)) {
        ctx.gateway.metrics.decided(allowed, decision.reason(), tool.as_deref(), Some(target.class));
    }
    ctx.asked.tool = tool;
    ctx.asked.upstream = Some(target.view.upstream().settings().name.clone());
    ctx.note(|draft| {
        draft.upstream = Some(target.view.upstream().settings().name.clone());
        match &target.entry {
            None if target.kind != Kind::Resource => draft.set_unknown_name(&target.full),
            _ => draft.set_name(target.full.clone()),
        }
        draft.class = Some(target.class);
        draft.definition = target.entry.as_ref().map(|entry| entry.definition.clone());
        if let Some(arguments) = arguments {
            draft.set_arguments(arguments.as_bytes());
        }
        draft.decision = Some(note(&decision, passes && !allowed));
    });
    record_fields(ctx, &decision, arguments);
    if passes {
        return Ok(decision);
    }
    let rule = decision.rules().first().filter(|_| decision.reason() == Reason::RuleDenied).cloned();
    Err(Refusal::Denied(Denial { rule, scopes: decision.scopes_missing().to_vec(), ..Denial::new(decision.reason()) }))
}

/// Whether people or limits have a say yet.
fn owes(decision: &Decision) -> bool {
    !decision.approvals().is_empty() || !decision.limits().is_empty()
}

/// Counts an allow of which everything that was owed is met, unless that came to a refusal.
pub(super) fn met(ctx: &Ctx, decision: &Decision) {
    let (allowed, class) = ctx.audit.with(|draft| (draft.decision.as_ref().is_some_and(|note| note.allowed), draft.class));
    if allowed && owes(decision) {
        ctx.gateway.metrics.decided(true, decision.reason(), ctx.asked.tool.as_deref(), class);
    }
}

fn note(decision: &Decision, observed: bool) -> DecisionNote {
    let shadow = decision.shadow().map(|shadow| {
        let (allowed, rules) = (shadow.effect() == Effect::Allow, shadow.rules.clone());
        Box::new(ShadowNote { allowed, reason: shadow.reason, rules })
    });
    DecisionNote {
        allowed: decision.effect() == Effect::Allow,
        observed,
        reason: decision.reason(),
        rules: decision.rules().to_vec(),
        obligations: decision.obligations(),
        policy: decision.policy_digest().clone(),
        shadow,
    }
}

/// Values that the operator chose to see in clear, in the config or in the rules that allow.
fn record_fields(ctx: &Ctx, decision: &Decision, arguments: Option<&RawJson>) {
    let (shown, always) = (decision.shown_arguments(), &ctx.world.record_arguments);
    let Some(arguments) = arguments.filter(|_| !shown.is_empty() || !always.is_empty()) else { return };
    for pointer in shown.iter().map(|pointer| &**pointer).chain(always.iter().map(String::as_str)) {
        if let Some(value) = crate::mcp::pointer::at(arguments, pointer) {
            ctx.note(|draft| draft.add_field(pointer, value.as_str()));
        }
    }
}

/// Meets every obligation: an approval is there, limits are taken, the approval is used up, then the intent: a refused call takes
/// nothing and leaves no intent, and one that is cut off behind any of them is not made. `call` is what people can approve, and what
/// would leave.
///
/// # Errors
/// What is told for want of an approval; a denial by a limit; a fault when the approval or the intent could not be put on disk.
pub(super) async fn discharge(
    ctx: &mut Ctx,
    decision: Decision,
    target: &Target,
    call: Option<(&Operation, &Leaving)>,
) -> Result<Permit, Refusal> {
    let mut evidence = Evidence::default();
    // Few calls need one: no other pays for the looking.
    let approved = match decision.approvals().is_empty() {
        true => None,
        false => Box::pin(approve::look_up(ctx, &decision, target, call)).await?,
    };
    if !decision.limits().is_empty() {
        match take(ctx, &decision, target)? {
            Ok(lease) => evidence.lease = Some(lease),
            Err(denial) => overruled(ctx, denial)?,
        }
    }
    if let Some(approved) = approved {
        evidence.grant = Some(Box::pin(approve::spend(ctx, approved)).await?);
    }
    met(ctx, &decision);
    if decision.class() > Class::Read || evidence.grant.is_some() || ctx.gateway.audit.reads_wait() {
        evidence.receipt = Some(Box::pin(ctx.gateway.audit.intent_for(&ctx.audit, ctx.deadline)).await?);
    }
    exchange(ctx, decision, evidence)
}

/// The decision and what it wants, for a permit.
fn exchange(ctx: &Ctx, decision: Decision, evidence: Evidence) -> Result<Permit, Refusal> {
    let missing = |_| Fault::internal(FaultKind::Internal, "an obligation was not met");
    Ok(permit_for(decision, evidence, ctx.world.observe).map_err(missing)?)
}

/// As [`Decision::permit`], also where policy is only observed.
fn permit_for(decision: Decision, evidence: Evidence, observe: Option<ObserveOnly>) -> Result<Permit, MissingEvidence> {
    match observe {
        Some(observe) => decision.permit_observed(evidence, observe),
        None => decision.permit(evidence),
    }
}

/// The right to be told about the resource `full` of `upstream` from now on: decided as a read of it, by the hour that it is now,
/// however long ago the request came that wants it.
///
/// # Errors
/// The denial. It is not that of the request: whoever asks for several resources is told about the others.
pub(super) fn hear(ctx: &Ctx, upstream: &str, full: &str) -> Result<Permit, Refusal> {
    unrecorded(ctx, ruling(ctx, full)?, upstream, full)
}

/// The right to read a task of the tool `target`, so that whoever listens can be told of it: decided as if the client read it now. As
/// with [`hear`] it is no decision of the request's.
///
/// # Errors
/// The denial.
pub(super) fn hear_task(ctx: &Ctx, target: &Target) -> Result<Permit, Refusal> {
    let (world, principal) = (&ctx.world, ctx.principal()?);
    let subject = world.subjects.of(&world.policy, principal);
    let Moment { now_unix_ms, route } = ctx.moment_now();
    let asked = Asked { kind: target.asked(), known: target.entry.is_some(), now_unix_ms, route };
    let decision = decide_task_for(&world.policy, &subject, principal, &asked, TaskStep::Read);
    unrecorded(ctx, decision, &target.view.upstream().settings().name, &target.full)
}

/// Meets what `decision` wants, for something that is read.
fn unrecorded(ctx: &Ctx, decision: Decision, upstream: &str, full: &str) -> Result<Permit, Refusal> {
    let passes = |reason| ctx.world.observe.is_some_and(|observe| observe.passes(reason));
    let allowed = decision.effect() == Effect::Allow;
    let mut refused = (!allowed).then(|| Denial::new(decision.reason()));
    let mut evidence = Evidence::default();
    if allowed && !decision.approvals().is_empty() {
        refused = Some(Denial::new(Reason::ApprovalRequired));
    } else if allowed && !decision.limits().is_empty() {
        let (principal, route) = (ctx.principal()?, &ctx.route()?.path);
        let subject = Subject { principal, tool: full, class: Class::Read, upstream, route };
        match ctx.gateway.limiter.take(decision.limits(), &subject) {
            Ok(lease) => evidence.lease = Some(lease),
            Err(denial) => refused = Some(denial),
        }
    }
    let reason = refused.as_ref().map_or(decision.reason(), |denial| denial.reason);
    ctx.gateway.metrics.decided(refused.is_none(), reason, None, Some(Class::Read));
    match refused.filter(|denial| !passes(denial.reason)) {
        Some(denial) => Err(denial.into()),
        None => exchange(ctx, decision, evidence),
    }
}

/// Whether the resource `full` may be spoken of now. Nothing leaves for it, so nothing is taken.
pub(super) fn hears(ctx: &Ctx, full: &str) -> bool {
    let passes = |reason| ctx.world.observe.is_some_and(|observe| observe.passes(reason));
    ruling(ctx, full).is_ok_and(|decision| match decision.effect() {
        Effect::Allow if decision.approvals().is_empty() => true,
        // As where it was asked for: nobody approved.
        Effect::Allow => passes(Reason::ApprovalRequired),
        Effect::Deny => passes(decision.reason()),
    })
}

fn ruling(ctx: &Ctx, full: &str) -> Result<Decision, Refusal> {
    let (world, principal) = (&ctx.world, ctx.principal()?);
    let subject = world.subjects.of(&world.policy, principal);
    let Moment { now_unix_ms, route } = ctx.moment_now();
    let kind = AskedKind::Resource { uri: full };
    Ok(decide_for(&world.policy, &subject, principal, &Asked { kind, known: true, now_unix_ms, route }))
}

/// Takes every limit of the decision, or says which one refuses.
fn take(ctx: &Ctx, decision: &Decision, target: &Target) -> Result<Result<Lease, Denial>, Refusal> {
    let upstream = &target.view.upstream().settings().name;
    let (principal, route) = (ctx.principal()?, &ctx.route()?.path);
    let subject = Subject { principal, tool: &target.full, class: target.class, upstream, route };
    Ok(ctx.gateway.limiter.take(decision.limits(), &subject))
}

/// The record's decision is the final one: an allow that cannot be discharged is a deny, and is counted as one. Of several that are only
/// observed the first is on record and counted.
///
/// # Errors
/// The denial, unless policy is only observed.
pub(super) fn overruled(ctx: &Ctx, denial: Denial) -> Result<(), Denial> {
    let observed = ctx.world.observe.is_some_and(|observe| observe.passes(denial.reason));
    let overruled = ctx.audit.with(|draft| {
        let decision = draft.decision.as_mut().filter(|decision| decision.allowed)?;
        decision.allowed = false;
        decision.observed = observed;
        decision.reason = denial.reason;
        decision.rules = denial.rule.iter().cloned().collect::<Vec<Arc<str>>>();
        Some(draft.class)
    });
    if let Some(class) = overruled {
        ctx.gateway.metrics.decided(false, denial.reason, ctx.asked.tool.as_deref(), class);
    }
    if observed { Ok(()) } else { Err(denial) }
}
