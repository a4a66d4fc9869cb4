//! What the gateway says of itself: `initialize`, `server/discover`, and the requests it answers alone.

use futures_util::future::join_all;
use http::{HeaderName, HeaderValue};
use std::time::Duration;

use super::ctx::Ctx;
use super::question;
use super::refusal::Refusal;
use super::reply::{Answered, lower, nothing};
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::dialect::{self, Operation, ServerCapabilities};
use crate::mcp::era;
use crate::mcp::error::{self, ProtocolError};
use crate::mcp::{LogLevel, Message, Method, Outgoing, Reply};
use crate::vocab::limits::LIST_FIRST_MS_MAX;
use crate::vocab::{Fault, FaultKind, Reason, Revision};

/// Opens a legacy session: a revision both sides know, and a sealed id.
///
/// # Errors
/// A fault when nothing can be sealed.
pub(super) async fn initialize(ctx: &mut Ctx, message: &Message) -> Result<Answered, Refusal> {
    let wanted = message.params.protocol_version.as_deref();
    let wanted =
        wanted.ok_or_else(|| ProtocolError::invalid_params("protocolVersion is missing").with_id(message.id.as_ref()))?;
    let floor = ctx.route()?.floor;
    // Over HTTP+SSE there is one revision to agree on, whatever is wanted.
    let agreed = if ctx.asked.line.is_some() { Revision::V2024_11_05 } else { era::negotiate(wanted, floor) };
    ctx.asked.revision = Some(agreed);
    if let Some(declared) = &message.params.capabilities {
        let wrong = |_| ProtocolError::malformed_params("a client capability is not an object").with_id(message.id.as_ref());
        ctx.asked.caps = ClientCaps::parse(declared).map_err(wrong)?.and(dialect::of(agreed).questions);
    }
    let capabilities = capabilities(ctx).await?;
    if let Some(line) = &ctx.asked.line {
        line.begin(ctx.asked.caps);
        ctx.completed();
        return Ok(lower(ctx, &Reply::Result(dialect::initialize_result(agreed, &capabilities, &ctx.gateway.server, None))));
    }
    let gateway = ctx.gateway.clone();
    let (principal, route) = (ctx.principal()?.key(), ctx.route()?.path.clone());
    let most = ctx.world.bounds.sessions_per_principal;
    let agreed = (agreed, ctx.asked.caps);
    let session = gateway.sessions.open(&gateway.sealer, &principal, &route, agreed, gateway.clock.unix_s(), most);
    let (session, ended) = session.map_err(|_| Fault::internal(FaultKind::Internal, "a session could not be sealed"))?;
    ended.into_iter().for_each(|session| gateway.forget(session));
    let session =
        HeaderValue::try_from(session).map_err(|_| Fault::internal(FaultKind::Internal, "a session id is no header"))?;
    let reply = Reply::Result(dialect::initialize_result(agreed.0, &capabilities, &gateway.server, None));
    ctx.completed();
    Ok(lower(ctx, &reply).with(HeaderName::from_static("mcp-session-id"), session))
}

/// Whether the gateway answers a method for itself.
pub(super) fn is_local(method: Method) -> bool {
    matches!(method, Method::Ping | Method::Discover | Method::SetLevel)
}

/// Answers the requests that no upstream sees as such.
///
/// # Errors
/// A protocol error for a log level that is none.
pub(super) async fn local(ctx: &mut Ctx, operation: &Operation) -> Result<Answered, Refusal> {
    let reply = match operation.method {
        Method::Discover => {
            let supported = error::supported_versions(ctx.route()?.floor);
            Reply::Result(dialect::discover_result(&supported, &capabilities(ctx).await?, &ctx.gateway.server))
        }
        Method::SetLevel => {
            set_level(ctx, operation).await?;
            nothing()
        }
        _ => nothing(),
    };
    ctx.completed();
    Ok(lower(ctx, &reply))
}

/// The level holds for this session here, and is passed to every upstream that logs.
async fn set_level(ctx: &Ctx, operation: &Operation) -> Result<(), Refusal> {
    let level = operation.params.level.as_deref().and_then(LogLevel::parse);
    let unknown = || ProtocolError::invalid_params("level is not one of the eight syslog levels").with_id(ctx.asked.id.as_ref());
    let level = level.ok_or_else(unknown)?;
    if let Some(session) = ctx.asked.session {
        ctx.gateway.sessions.set_level(session, level);
    }
    let route = ctx.route()?.clone();
    let calls = route.upstreams.iter().map(|upstream| async move {
        let (Ok(access), Ok(principal)) = (ctx.access(), ctx.principal()) else { return };
        let caps = question::told(ctx, upstream);
        let (Ok(upstream), Ok(permit)) = (ctx.world.upstream(upstream), access.permit(upstream)) else { return };
        // A session that everybody shares logs for everybody: nobody sets its level.
        if upstream.settings().shared {
            return;
        }
        let who = principal.key();
        let facts = upstream.ready(&who, caps, &permit, ctx.deadline).await;
        if !facts.is_ok_and(|facts| facts.capabilities.logging && facts.revision <= Revision::NEWEST_WITH_SESSIONS) {
            return;
        }
        let mut outgoing = Outgoing::new(Method::SetLevel);
        outgoing.level = Some(level);
        outgoing.session_capabilities = caps;
        if let Ok(mut answer) = upstream.call(permit, &who, &outgoing, ctx.deadline).await {
            while let Some(Ok(event)) = answer.next().await {
                if matches!(event, crate::upstream::Event::Reply(_)) {
                    break;
                }
            }
        }
    });
    join_all(calls).await;
    Ok(())
}

/// What the upstreams of the route offer this principal, together. One that cannot be asked in time is taken to offer lists,
/// so that nothing stays hidden when it comes back. Where people have to approve calls the gateway makes tasks of its own.
async fn capabilities(ctx: &Ctx) -> Result<ServerCapabilities, Refusal> {
    let route = ctx.route()?.clone();
    let access = ctx.access()?;
    let who = ctx.principal()?.key();
    let deadline = ctx.deadline.capped(Duration::from_millis(LIST_FIRST_MS_MAX));
    let facts = join_all(route.upstreams.iter().map(|name| {
        let (access, who) = (&access, &who);
        async move {
            let upstream = ctx.world.upstream(name).ok()?;
            let permit = access.permit(name).ok()?;
            let ready = upstream.ready(who, question::told(ctx, name), &permit, deadline);
            let ready = tokio::time::timeout_at(deadline.instant().into(), ready).await;
            Some(ready.ok().and_then(Result::ok).map(|facts| facts.capabilities))
        }
    }));
    // Tools are always offered: an empty list is an answer, a missing capability is a puzzle.
    let mut all = ServerCapabilities { tools: true, ..Default::default() };
    for offered in facts.await.into_iter().flatten() {
        let offered = offered.unwrap_or(ServerCapabilities { tools: true, prompts: true, resources: true, ..Default::default() });
        all = all.union(offered);
    }
    let observed = ctx.world.observe.is_some_and(|observe| observe.passes(Reason::ApprovalRequired));
    let (policy, principal, moment) = (&ctx.world.policy, ctx.principal()?, ctx.moment_of_record());
    all.tasks |= !observed && route.upstreams.iter().any(|upstream| policy.asks_people(principal, upstream, moment));
    Ok(all)
}
