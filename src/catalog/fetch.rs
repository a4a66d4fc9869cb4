//! Reading a list of an upstream, page by page, within bounds.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Access;
use super::entry::Entry;
use super::listing::{Listing, Part};
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::{Outgoing, Reply, ResultBody, ServerCapabilities, codes, list};
use crate::policy::permit::Permit;
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
    let (mut bytes, mut received) = (0_usize, 0_usize);
    let said = said(upstream, caps, access, part, deadline).await?;
    if said == Said::Lacks {
        return Ok(Listing::absent(false));
    }
    for _ in 0..LIST_PAGES_MAX {
        let Some((body, came)) = page(upstream, caps, access, part, cursor, deadline).await? else {
            return Ok(Listing::absent(said == Said::Has));
        };
        received = received.saturating_add(came);
        fresh_for = fresh_for.min(Duration::from_millis(body.ttl_ms.unwrap_or(0)));
        let page = list::items(part.method(), &body).map_err(|_| Fault::upstream(FaultKind::Malformed, "a list is malformed"))?;
        if page.unnamed > 0 {
            let (upstream, items) = (&upstream.settings().name, page.unnamed);
            tracing::warn!(upstream = %upstream, list = %part.method(), items, "items without a usable name are not shown");
        }
        for item in &page.items {
            bytes = bytes.saturating_add(item.raw.as_bytes().len());
            if entries.len() >= LIST_ITEMS_MAX || bytes > LIST_BYTES_MAX {
                tracing::warn!(upstream = %upstream.settings().name, list = %part.method(), "a list is too long: the rest is dropped");
                return Ok(Listing::new(entries, fresh_for, received));
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
        match next.filter(|next| received <= LIST_BYTES_MAX && cursors.insert(next.clone())) {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    Ok(Listing::new(entries, fresh_for, received))
}

/// The right to read one page.
pub(super) fn permit(upstream: &Upstream, access: &Access) -> Result<Permit, Fault> {
    let refused = |_| Fault::internal(FaultKind::Unauthorized, "no rule lets this principal read lists here");
    access.permit(&upstream.settings().name).map_err(refused)
}

/// What an upstream says of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Has,
    Lacks,
    /// Nothing of anything that it can do: it is asked.
    Nothing,
}

/// Whether the upstream says that it has the list.
async fn said(
    upstream: &Arc<Upstream>,
    caps: ClientCaps,
    access: &Access,
    part: Part,
    deadline: Deadline,
) -> Result<Said, Fault> {
    let permit = permit(upstream, access)?;
    let said = upstream.ready(&access.principal.key(), caps, &permit, deadline).await?.capabilities;
    let offered = match part {
        Part::Tools => said.tools,
        Part::Prompts => said.prompts,
        Part::Resources | Part::Templates => said.resources,
    };
    Ok(match offered {
        true => Said::Has,
        false if said == ServerCapabilities::default() => Said::Nothing,
        false => Said::Lacks,
    })
}

/// One page, and how many bytes it came in; `None` when the upstream does not know the method.
async fn page(
    upstream: &Arc<Upstream>,
    caps: ClientCaps,
    access: &Access,
    part: Part,
    cursor: Option<String>,
    deadline: Deadline,
) -> Result<Option<(ResultBody, usize)>, Fault> {
    let permit = permit(upstream, access)?;
    let mut outgoing = Outgoing::new(part.method());
    outgoing.cursor = cursor;
    outgoing.session_capabilities = caps;
    let mut answer = upstream.call(permit, &access.principal.key(), &outgoing, deadline).await?;
    while let Some(event) = answer.next().await {
        match event? {
            Event::Reply(Reply::Result(body)) => return Ok(Some((body, answer.bytes_in()))),
            Event::Reply(Reply::Error(error)) if error.code == codes::METHOD_NOT_FOUND => return Ok(None),
            Event::Reply(Reply::Error(error)) => {
                return Err(Fault::upstream(FaultKind::Failed, format!("a list was answered with error {}", error.code)));
            }
            _ => {}
        }
    }
    Err(Fault::upstream(FaultKind::Malformed, "a list was never answered"))
}
