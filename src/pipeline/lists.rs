//! Lists: asked of every upstream of the route at once, filtered by the same decision as calls, merged in stable order.

use std::sync::Arc;

use futures_util::future::join_all;

use super::ctx::Ctx;
use super::question;
use super::refusal::Refusal;
use super::reply::{Answered, lower};
use crate::audit::Kind;
use crate::catalog::{Entry, Freshness, Listing, Part};
use crate::mcp::dialect::Operation;
use crate::mcp::error::ProtocolError;
use crate::mcp::{Reply, list};
use crate::policy::{self, Kind as AskedKind};
use crate::seal::{Binding, Purpose};
use crate::vocab::Fault;
use crate::vocab::limits::{CURSOR_S_MAX, LIST_PAGE_ITEMS_MAX};

/// Answers one of the four lists.
///
/// # Errors
/// -32602 for a cursor that is not ours; a fault when no upstream could be asked and nothing is known.
pub(super) async fn answer(ctx: &mut Ctx, operation: &Operation, part: Part) -> Result<Answered, Refusal> {
    ctx.about(Kind::List);
    let skip = match &operation.params.cursor {
        Some(cursor) => open_cursor(ctx, part, cursor)?,
        None => 0,
    };
    let shown = merged(ctx, part).await?;
    let bare = ctx.route()?.bare;
    let page = shown.iter().skip(skip).take(LIST_PAGE_ITEMS_MAX);
    let items = page.map(|entry| if bare { &entry.raw } else { &entry.published });
    let end = skip.saturating_add(LIST_PAGE_ITEMS_MAX);
    let next = if end < shown.len() { Some(seal_cursor(ctx, part, end)?) } else { None };
    let body = list::list_body(operation.method, items, next.as_deref());
    ctx.completed();
    Ok(lower(ctx, &Reply::Result(body)))
}

async fn merged(ctx: &Ctx, part: Part) -> Result<Vec<Arc<Entry>>, Refusal> {
    let route = ctx.route()?.clone();
    let listings = join_all(route.upstreams.iter().map(|upstream| one(ctx, upstream, part))).await;
    let mut shown = Vec::new();
    let (mut answered, mut fault) = (0_usize, None);
    for listing in listings {
        match listing? {
            Ok(Some(listing)) => {
                answered += 1;
                shown.extend(listing.entries().iter().filter(|entry| visible(ctx, part, entry)).cloned());
            }
            Ok(None) => answered += 1,
            Err(failed) => {
                tracing::warn!(record = %ctx.id, list = %part.method(), detail = %failed.detail, "an upstream is missing from a list");
                fault = Some(failed);
            }
        }
    }
    match fault {
        Some(fault) if answered == 0 => Err(fault.into()),
        _ => Ok(shown),
    }
}

/// The list of one upstream; `None` where policy leaves nothing to see or the upstream has no such list.
async fn one(ctx: &Ctx, upstream: &str, part: Part) -> Result<Result<Option<Arc<Listing>>, Fault>, Refusal> {
    let access = ctx.access()?;
    if access.permit(upstream).is_err() {
        return Ok(Ok(None));
    }
    let view = ctx.gateway.catalog.view(ctx.world.upstream(upstream)?, &ctx.principal()?.key(), question::told(ctx, upstream));
    Ok(view.list(part, &access, Freshness::Now, ctx.deadline).await.map(|seen| Some(seen.listing)))
}

/// The same question a call asks, without arguments.
fn visible(ctx: &Ctx, part: Part, entry: &Entry) -> bool {
    let kind = match part {
        Part::Tools => {
            let class = ctx.world.policy.class_of(&entry.full, entry.hints);
            AskedKind::Tool { name: &entry.full, class, arguments: None }
        }
        Part::Prompts => AskedKind::Prompt { name: &entry.full, arguments: None },
        Part::Resources => AskedKind::Resource { uri: &entry.full },
        Part::Templates => {
            return ctx.principal().is_ok_and(|who| policy::visible_template(&ctx.world.policy, who, &entry.full));
        }
    };
    ctx.principal().is_ok_and(|principal| policy::visible(&ctx.world.policy, principal, &kind))
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
