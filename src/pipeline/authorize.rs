//! The decision, and what it takes to act on it.

use std::sync::Arc;
use std::time::Duration;

use super::ctx::Ctx;
use super::refusal::Refusal;
use super::route::{Kind, Target};
use crate::audit::DecisionNote;
use crate::limit::Subject;
use crate::mcp::RawJson;
use crate::policy::permit::{Evidence, Permit};
use crate::policy::{Asked, Decision, Effect, Kind as AskedKind, Moment, decide_for};
use crate::vocab::limits::AUDIT_INTENT_MS_MAX;
use crate::vocab::{Class, Denial, Fault, FaultKind, Reason};

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
    let subject = world.subjects.of(&world.policy, principal);
    let Moment { now_unix_ms, route } = ctx.moment();
    let decision = decide_for(&world.policy, &subject, principal, &Asked { kind, known, now_unix_ms, route });
    let allowed = decision.effect() == Effect::Allow;
    let tool = target.entry.as_ref().filter(|_| target.kind == Kind::Tool).map(|entry| entry.full.clone());
    ctx.gateway.metrics.decided(allowed, decision.reason(), tool.as_ref(), Some(target.class));
    ctx.asked.tool = tool;
    ctx.note(|draft| {
        draft.upstream = Some(target.view.upstream().settings().name.clone());
        draft.set_name(target.full.clone());
        draft.class = Some(target.class);
        draft.definition = target.entry.as_ref().map(|entry| entry.definition.clone());
        if let Some(arguments) = arguments {
            draft.set_arguments(arguments.as_bytes());
        }
        draft.decision = Some(DecisionNote {
            allowed,
            observed: false,
            reason: decision.reason(),
            rules: decision.rules().to_vec(),
            obligations: decision.obligations(),
            policy: ctx.world.policy.digest().clone(),
        });
    });
    record_fields(ctx, arguments);
    if allowed {
        return Ok(decision);
    }
    let rule = decision.rules().first().filter(|_| decision.reason() == Reason::RuleDenied).cloned();
    Err(Refusal::Denied(Denial { rule, scopes: decision.scopes_missing().to_vec(), ..Denial::new(decision.reason()) }))
}

/// Values that the operator chose to see in clear.
fn record_fields(ctx: &Ctx, arguments: Option<&RawJson>) {
    let Some(arguments) = arguments.filter(|_| !ctx.world.record_arguments.is_empty()) else { return };
    for pointer in &ctx.world.record_arguments {
        if let Some(value) = crate::mcp::pointer::at(arguments, pointer) {
            ctx.note(|draft| draft.add_field(pointer, value.as_str()));
        }
    }
}

/// Meets every obligation: limits first, then the intent, so that a refused call takes nothing and leaves no intent.
///
/// # Errors
/// A denial by a limit; a fault when the intent could not be recorded.
pub(super) async fn discharge(ctx: &mut Ctx, decision: Decision, target: &Target) -> Result<Permit, Refusal> {
    let mut evidence = Evidence::default();
    let upstream = target.view.upstream().settings().name.clone();
    if !decision.limits().is_empty() {
        let principal = ctx.principal()?.clone();
        let route = ctx.route()?.path.clone();
        let subject =
            Subject { principal: &principal, tool: &target.full, class: target.class, upstream: &upstream, route: &route };
        let lease = ctx.gateway.limiter.take(decision.limits(), &subject).inspect_err(|denial| overruled(ctx, denial))?;
        evidence.lease = Some(lease);
    }
    if target.class > Class::Read {
        let deadline = ctx.deadline.capped(Duration::from_millis(AUDIT_INTENT_MS_MAX));
        evidence.receipt = Some(Box::pin(ctx.gateway.audit.intent_for(&ctx.audit, deadline)).await?);
    }
    let missing = |_| Fault::internal(FaultKind::Internal, "an obligation was not met");
    Ok(decision.permit(evidence).map_err(missing)?)
}

/// The record's decision is the final one: an allow whose limit is used up is a deny by that limit.
fn overruled(ctx: &Ctx, denial: &Denial) {
    ctx.note(|draft| {
        if let Some(decision) = &mut draft.decision {
            decision.allowed = false;
            decision.reason = denial.reason;
            decision.rules = denial.rule.iter().cloned().collect::<Vec<Arc<str>>>();
        }
    });
    ctx.gateway.metrics.decided(false, denial.reason, ctx.asked.tool.as_ref(), None);
}
