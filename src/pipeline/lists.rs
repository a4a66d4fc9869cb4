//! Lists: asked of every upstream of the route at once, filtered by the same decision as calls, merged in stable order.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::ctx::Ctx;
use super::link;
use super::question;
use super::refusal::Refusal;
use super::reply::{Answered, lower};
use crate::audit::Kind;
use crate::catalog::{Entry, Freshness, Listing, Part};
use crate::mcp::dialect::Operation;
use crate::mcp::error::ProtocolError;
use crate::mcp::{Reply, list};
use crate::policy::{Kind as AskedKind, Moment, Subject, hostile_template, hostile_uri, visible_for, visible_template_for};
use crate::seal::{Binding, Purpose};
use crate::vocab::limits::{CURSOR_S_MAX, LIST_PAGE_ITEMS_MAX};
use crate::vocab::{Fault, FaultKind, Reason};

/// Answers one of the four lists.
///
/// # Errors
/// -32602 for a cursor that is not ours; -32601 for a list that no upstream has or says it has; a fault when no upstream could be
/// asked and nothing is known.
pub(super) async fn answer(ctx: &mut Ctx, operation: &Operation, part: Part) -> Result<Answered, Refusal> {
    ctx.about(Kind::List);
    let skip = match &operation.params.cursor {
        Some(cursor) => open_cursor(ctx, part, cursor)?,
        None => 0,
    };
    let Some((shown, fresh_for)) = merged(ctx, part).await? else {
        return Err(ProtocolError::method_not_found(operation.revision).with_id(Some(&operation.id)).into());
    };
    let bare = ctx.route()?.bare;
    let page = shown.iter().skip(skip).take(LIST_PAGE_ITEMS_MAX);
    let items = page.map(|entry| if bare { &entry.raw } else { &entry.published });
    let end = skip.saturating_add(LIST_PAGE_ITEMS_MAX);
    let next = if end < shown.len() { Some(seal_cursor(ctx, part, end)?) } else { None };
    let mut body = list::list_body(operation.method, items, next.as_deref());
    body.ttl_ms = u64::try_from(fresh_for.as_millis()).ok();
    ctx.completed();
    Ok(lower(ctx, &Reply::Result(body)))
}

/// What the caller may see, and how long the upstreams say that it holds: as long as the one that says least. It is the caller's
/// alone, whatever they say of it (2026-07-28, caching). `None` when it is known of each upstream that it has no such list and does
/// not say that it has: then the route does not say so either.
async fn merged(ctx: &Ctx, part: Part) -> Result<Option<(Vec<Arc<Entry>>, Duration)>, Refusal> {
    let route = ctx.route()?.clone();
    let listings = join_all(route.upstreams.iter().map(|upstream| one(ctx, upstream, part))).await;
    let mut shown = Vec::new();
    let (mut answered, mut fault, mut fresh_for) = (false, None, None);
    let mut holds = |for_time: Duration| fresh_for = Some(fresh_for.map_or(for_time, |so_far: Duration| so_far.min(for_time)));
    // One time for all entries: none is judged by another hour than the rest.
    let moment = ctx.moment_of_record();
    let subject = ctx.memory.subject(&ctx.world, ctx.principal()?);
    // Tools are always offered.
    let mut nowhere = part != Part::Tools;
    for listing in listings {
        let listed = listing?;
        nowhere &= matches!(&listed, Listed::Read(listing, Some(_)) if !listing.is_declared());
        match listed {
            Listed::Read(listing, fresh_left) => {
                holds(fresh_left.unwrap_or_default());
                answered |= listing.is_offered();
                shown.extend(listing.entries().iter().filter(|entry| visible(ctx, &subject, part, entry, moment)).cloned());
            }
            Listed::Hidden => {}
            // The others are listed without it, and the way to link is in its place.
            Listed::Unlinked(instead) => {
                holds(Duration::ZERO);
                answered = true;
                shown.extend(instead);
            }
            Listed::Failed(failed) => {
                holds(Duration::ZERO);
                tracing::warn!(record = %ctx.id, list = %part.method(), detail = %failed.detail, "an upstream is missing from a list");
                fault = Some(failed);
            }
        }
    }
    match fault {
        // Whoever has nothing to show does not stand in for the one that could not be asked.
        Some(fault) if !answered => {
            // That it may be listed is decided; it is asking that failed.
            ctx.decided(true, Reason::Allowed);
            Err(fault.into())
        }
        _ if nowhere => Ok(None),
        _ => Ok(Some((shown, fresh_for.unwrap_or_default()))),
    }
}

/// What came of asking one upstream.
enum Listed {
    /// Its list, and how long it holds; `None` for one that could not be read now.
    Read(Arc<Listing>, Option<Duration>),
    /// Policy leaves nothing to see.
    Hidden,
    /// The person has to link an account first; what is shown instead.
    Unlinked(Option<Arc<Entry>>),
    /// It could not be asked.
    Failed(Fault),
}

/// The list of one upstream.
async fn one(ctx: &Ctx, upstream: &str, part: Part) -> Result<Listed, Refusal> {
    let access = ctx.access()?;
    if access.permit(upstream).is_err() {
        return Ok(Listed::Hidden);
    }
    let unlinked = || Listed::Unlinked(link::tool_of(upstream).filter(|_| part == Part::Tools));
    let upstream = ctx.world.upstream(upstream)?;
    // What is known from the time when an account was linked is not shown either.
    match link::linked(ctx, upstream).await {
        Ok(()) => {}
        Err(fault) if fault.kind == FaultKind::Unlinked => return Ok(unlinked()),
        Err(fault) => return Ok(Listed::Failed(fault)),
    }
    let told = question::told(ctx, &upstream.settings().name);
    let view = ctx.gateway.catalog.view(upstream, &ctx.principal()?.key(), told);
    Ok(match view.list(part, &access, Freshness::Now, ctx.deadline).await {
        Ok(seen) if seen.stale => Listed::Read(seen.listing, None),
        Ok(seen) => {
            let fresh_left = seen.listing.fresh_left();
            Listed::Read(seen.listing, Some(fresh_left))
        }
        Err(fault) if fault.kind == FaultKind::Unlinked => unlinked(),
        Err(fault) => Listed::Failed(fault),
    })
}

/// The same question a call asks, without arguments.
fn visible(ctx: &Ctx, subject: &Subject, part: Part, entry: &Entry, moment: Moment<'_>) -> bool {
    let Ok(principal) = ctx.principal() else { return false };
    let policy = &ctx.world.policy;
    if is_hostile(part, &entry.full) || link::shadows(ctx, part, entry) {
        return false;
    }
    // What a call would pass is shown.
    if ctx.world.observe.is_some() {
        return true;
    }
    let kind = match part {
        Part::Tools => {
            let class = policy.class_of(&entry.full, entry.hints);
            AskedKind::Tool { name: &entry.full, class, arguments: None }
        }
        Part::Prompts => AskedKind::Prompt { name: &entry.full, arguments: None },
        Part::Resources => AskedKind::Resource { uri: &entry.full },
        Part::Templates => {
            return visible_template_for(policy, subject, principal, &entry.full, moment);
        }
    };
    visible_for(policy, subject, principal, &kind, moment)
}

/// What is refused before any rule is asked, and so by observed policies too.
fn is_hostile(part: Part, full: &str) -> bool {
    let own = full.split_once("__").map_or(full, |(_, own)| own);
    match part {
        Part::Tools | Part::Prompts => false,
        Part::Resources => hostile_uri(own),
        Part::Templates => hostile_template(own),
    }
}

fn open_cursor(ctx: &Ctx, part: Part, cursor: &str) -> Result<usize, Refusal> {
    let invalid =
        || ProtocolError::invalid_params("the cursor is not valid: start from the first page").with_id(ctx.asked.id.as_ref());
    let key = ctx.principal()?.key();
    let binding = binding(ctx, part, &key)?;
    let opened = ctx.gateway.sealer.open_text(binding, cursor, ctx.gateway.clock.unix_s()).map_err(|_| invalid())?;
    let bytes = <[u8; 8]>::try_from(opened.as_slice()).map_err(|_| invalid())?;
    Ok(usize::try_from(u64::from_be_bytes(bytes)).map_err(|_| invalid())?)
}

fn seal_cursor(ctx: &Ctx, part: Part, skip: usize) -> Result<String, Refusal> {
    let key = ctx.principal()?.key();
    let binding = binding(ctx, part, &key)?;
    let expires = ctx.gateway.clock.unix_s().saturating_add(CURSOR_S_MAX);
    let sealed = ctx.gateway.sealer.seal(binding, &(skip as u64).to_be_bytes(), expires);
    sealed.map_err(|_| Fault::internal(crate::vocab::FaultKind::Internal, "a cursor could not be sealed").into())
}

fn binding<'a>(ctx: &'a Ctx, part: Part, principal: &'a crate::vocab::PrincipalKey) -> Result<Binding<'a>, Refusal> {
    let context = part.method().as_str().as_bytes();
    Ok(Binding { purpose: Purpose::Cursor, principal, route: &ctx.route()?.path, context })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hostile_is_shown_to_nobody() {
        for (part, full, hostile) in [
            (Part::Resources, "files__file:///srv/../etc", true),
            (Part::Resources, "files__file:///srv/etc", false),
            (Part::Templates, "files__file:///a/../{x}", true),
            (Part::Templates, "files__file:///a/{x}", false),
            (Part::Tools, "files__..", false),
            (Part::Prompts, "files__..", false),
        ] {
            assert_eq!(is_hostile(part, full), hostile, "{full}");
        }
    }
}
