//! Reading a list of an upstream, page by page, within bounds.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Access;
use super::entry::Entry;
use super::listing::{Listing, Part};
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::{Outgoing, Reply, ResultBody, list};
use crate::upstream::{Event, Upstream};
use crate::vocab::limits::{LIST_BYTES_MAX, LIST_FRESH_MS_MAX, LIST_ITEMS_MAX, LIST_PAGES_MAX};
use crate::vocab::{Deadline, Fault, FaultKind};

/// Reads the whole list. A cursor that repeats, or a bound that is hit, ends it with what was read so far.
///
/// # Errors
/// The upstream's fault, or [`FaultKind::Unauthorized`] when policy leaves nothing to read.
pub(super) async fn whole(
    upstream: &Arc<Upstream>,
    caps: ClientCaps,
    access: &Access,
    part: Part,
    deadline: Deadline,
) -> Result<Listing, Fault> {
    let mut entries: Vec<Arc<Entry>> = Vec::new();
    let mut fresh_for = Duration::from_millis(LIST_FRESH_MS_MAX);
    let mut cursors = HashSet::new();
    let mut cursor = None;
    let mut bytes = 0_usize;
    for _ in 0..LIST_PAGES_MAX {
        let body = page(upstream, caps, access, part, cursor, deadline).await?;
        fresh_for = fresh_for.min(Duration::from_millis(body.ttl_ms.unwrap_or(0)));
        let page = list::items(part.method(), &body).map_err(|_| Fault::upstream(FaultKind::Malformed, "a list is malformed"))?;
        for item in &page {
            bytes = bytes.saturating_add(item.raw.as_bytes().len());
            if entries.len() >= LIST_ITEMS_MAX || bytes > LIST_BYTES_MAX {
                tracing::warn!(upstream = %upstream.settings().name, list = %part.method(), "a list is too long: the rest is dropped");
                return Ok(Listing::new(entries, fresh_for));
            }
            match Entry::read(&upstream.settings().name, part, item) {
                Ok(entry) => entries.push(Arc::new(entry)),
                Err(unfit) => {
                    let name: String = item.key.chars().take(64).flat_map(char::escape_default).collect();
                    tracing::warn!(upstream = %upstream.settings().name, %name, "an item is not shown: {unfit}");
                }
            }
        }
        let next = list::next_cursor(&body).map_err(|_| Fault::upstream(FaultKind::Malformed, "a cursor is malformed"))?;
        // The empty string is a cursor like any other; one seen before would go round for ever.
        match next.filter(|next| cursors.insert(next.clone())) {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    Ok(Listing::new(entries, fresh_for))
}

async fn page(
    upstream: &Arc<Upstream>,
    caps: ClientCaps,
    access: &Access,
    part: Part,
    cursor: Option<String>,
    deadline: Deadline,
) -> Result<ResultBody, Fault> {
    let refused = |_| Fault::internal(FaultKind::Unauthorized, "no rule lets this principal read lists here");
    let permit = access.permit(&upstream.settings().name).map_err(refused)?;
    let mut outgoing = Outgoing::new(part.method());
    outgoing.cursor = cursor;
    outgoing.session_capabilities = caps;
    let mut answer = upstream.call(permit, &access.principal.key(), outgoing, deadline).await?;
    while let Some(event) = answer.next().await {
        match event? {
            Event::Reply(Reply::Result(body)) => return Ok(body),
            Event::Reply(Reply::Error(error)) => {
                return Err(Fault::upstream(FaultKind::Failed, format!("a list was answered with error {}", error.code)));
            }
            _ => {}
        }
    }
    Err(Fault::upstream(FaultKind::Malformed, "a list was never answered"))
}
