//! Public name -> upstream, its own name, class and definition.
//!
//! The only upstream traffic here is reading a list, for which every page needs a permit of its own: whoever may do nothing at
//! an upstream causes no traffic to it, and learns nothing of it, not even through its delay.

use std::sync::Arc;
use std::time::Duration;

use super::ctx::Ctx;
use super::link;
use super::question;
use super::refusal::Refusal;
use crate::catalog::{Access, Entry, Freshness, Listing, Part, View, is_name};
use crate::mcp::dialect::Operation;
use crate::mcp::error::ProtocolError;
use crate::mcp::{Method, Reference, names};
use crate::policy::{self, Hints, Kind as AskedKind};
use crate::vocab::limits::PUBLIC_NAME_BYTES_MAX;
use crate::vocab::{Class, Denial, Fault, Reason};

/// What an operation is aimed at.
pub(super) struct Target {
    /// The principal's view of the upstream.
    pub view: Arc<View>,
    /// Tool, prompt or resource.
    pub kind: Kind,
    /// The upstream's own name or URI.
    pub name: String,
    /// `upstream__name`, as policies and records say it.
    pub full: Arc<str>,
    /// What the operator says it is.
    pub class: Class,
    /// Its definition, for a tool that the upstream lists.
    pub entry: Option<Arc<Entry>>,
    /// Why the upstream's list could not be read; only matters once policy allowed the call.
    pub unread: Option<Fault>,
}

/// The kinds of target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tool,
    Prompt,
    Resource,
}

/// A list is asked for again when a name is not on it, but not more often than this.
const RELIST_GAP: Duration = Duration::from_millis(500);

/// Finds the target of `operation`.
///
/// # Errors
/// A denial that reads like an unknown name when there is none or policy hides all of the upstream;
/// a protocol error for a URI that could be read in two ways.
pub(super) async fn resolve(ctx: &Ctx, operation: &Operation) -> Result<Target, Refusal> {
    let (kind, public) = subject(operation)?;
    // Until it leads somewhere, the record has the name as it was asked for.
    ctx.note(|draft| match kind {
        Kind::Resource => draft.set_name(public),
        Kind::Tool | Kind::Prompt => draft.set_unknown_name(public),
    });
    let route = ctx.route()?;
    let unknown = || Denial::new(Reason::UnknownName);
    let only = route.upstreams.first().filter(|_| route.bare);
    let (upstream, rest) = match (kind, only) {
        (_, Some(only)) => (&**only, public),
        (Kind::Resource, None) => names::split_uri(public).ok_or_else(unknown)?,
        _ => names::split(public).ok_or_else(unknown)?,
    };
    if kind == Kind::Resource && operation.method != Method::Complete {
        let ambiguous = |_| ProtocolError::invalid_params("the resource URI is ambiguous").with_id(Some(&operation.id));
        names::check_uri(rest).map_err(ambiguous)?;
    }
    // No list shows such a one, and its upstream is not asked about it.
    if kind == Kind::Prompt && !is_name(Part::Prompts, rest) {
        return Err(unknown().into());
    }
    let upstream = route.upstreams.iter().find(|name| &***name == upstream).ok_or_else(unknown)?;
    let (source, caps) = (ctx.world.upstream(upstream)?, question::told(ctx, upstream));
    let view = ctx.memory.view(&ctx.gateway.catalog, source, ctx.principal()?, caps, ctx.started);
    let published = (!route.bare).then_some(public);
    let (entry, unread) = match kind {
        Kind::Tool => find(&view, Part::Tools, upstream, published, rest, ctx).await?,
        // Prompts are asked of the upstream itself; only a shortened name needs its list.
        Kind::Prompt if published.is_some_and(|public| public.len() == PUBLIC_NAME_BYTES_MAX) => {
            find(&view, Part::Prompts, upstream, published, rest, ctx).await?
        }
        _ => (None, None),
    };
    let name = entry.as_ref().map_or_else(|| rest.to_owned(), |entry| entry.name.to_string());
    let full = entry.as_ref().map_or_else(|| Arc::from(format!("{upstream}__{rest}")), |entry| entry.full.clone());
    let hints = entry.as_ref().map_or(Hints::default(), |entry| entry.hints);
    let class = if kind == Kind::Tool { ctx.world.policy.class_of(&full, hints) } else { Class::Read };
    Ok(Target { view, kind, name, full, class, entry, unread })
}

/// The tool `own` of `upstream`: the upstream's own name, as the gateway itself noted it.
///
/// # Errors
/// A denial for an upstream that this route does not have.
pub(super) async fn tool(ctx: &Ctx, upstream: &str, own: &str) -> Result<Target, Refusal> {
    let listed = ctx.route()?.upstreams.iter().find(|name| &***name == upstream);
    let upstream = listed.ok_or_else(|| Denial::new(Reason::UnknownName))?;
    let (source, caps) = (ctx.world.upstream(upstream)?, question::told(ctx, upstream));
    let view = ctx.memory.view(&ctx.gateway.catalog, source, ctx.principal()?, caps, ctx.started);
    let (entry, unread) = find(&view, Part::Tools, upstream, None, own, ctx).await?;
    let full = entry.as_ref().map_or_else(|| Arc::from(names::full_name(upstream, own)), |entry| entry.full.clone());
    let class = ctx.world.policy.class_of(&full, entry.as_ref().map_or(Hints::default(), |entry| entry.hints));
    Ok(Target { view, kind: Kind::Tool, name: own.to_owned(), full, class, entry, unread })
}

fn subject(operation: &Operation) -> Result<(Kind, &str), Refusal> {
    let params = &operation.params;
    let found = match operation.method {
        Method::ToolsCall => params.name.as_deref().map(|name| (Kind::Tool, name)),
        Method::PromptsGet => params.name.as_deref().map(|name| (Kind::Prompt, name)),
        Method::Complete => params.reference.as_ref().map(|reference| match reference {
            Reference::Prompt(name) => (Kind::Prompt, name.as_str()),
            Reference::Resource(uri) => (Kind::Resource, uri.as_str()),
        }),
        _ => params.uri.as_deref().map(|uri| (Kind::Resource, uri)),
    };
    let missing = || ProtocolError::invalid_params("a name or URI is missing").with_id(Some(&operation.id));
    Ok(found.ok_or_else(missing)?)
}

type Found = (Option<Arc<Entry>>, Option<Fault>);

async fn find(
    view: &Arc<View>,
    part: Part,
    upstream: &str,
    published: Option<&str>,
    own: &str,
    ctx: &Ctx,
) -> Result<Found, Refusal> {
    let pick = |listing: &Listing| match published {
        Some(public) => listing.published(upstream, public).cloned(),
        None => listing.named(own).cloned(),
    };
    // Nearly every call ends here: the list is known and the name is on it.
    if let Some(entry) = view.young(part).and_then(|listing| pick(&listing)) {
        return Ok((Some(entry), None));
    }
    // Without an account there is no list to read, and nothing leaves to find that out.
    if let Err(fault) = link::linked(ctx, view.upstream()).await {
        return Ok((None, Some(fault)));
    }
    let access = ctx.access()?;
    let full = names::full_name(upstream, own);
    Ok(Box::pin(ask(view, part, &access, &pick, &full, ctx)).await)
}

async fn ask(
    view: &Arc<View>,
    part: Part,
    access: &Access,
    pick: &(impl Fn(&Listing) -> Option<Arc<Entry>> + Sync),
    full: &str,
    ctx: &Ctx,
) -> Found {
    let visible = || {
        if access.observe.is_some() {
            return true;
        }
        let class = ctx.world.policy.class_of(full, Hints::default());
        let kind = match part {
            Part::Tools => AskedKind::Tool { name: full, class, arguments: None },
            _ => AskedKind::Prompt { name: full, arguments: None },
        };
        policy::visible(&ctx.world.policy, &access.principal, &kind, access.moment())
    };
    match view.list(part, access, Freshness::Known, ctx.deadline).await {
        Err(fault) => (None, Some(fault)),
        Ok(seen) => match pick(&seen.listing) {
            // Whoever could not see the name anyway does not cause a read, and sees no delay.
            None if seen.listing.age() > RELIST_GAP && visible() => {
                let again = view.list(part, access, Freshness::Now, ctx.deadline).await;
                (again.ok().and_then(|seen| pick(&seen.listing)), None)
            }
            found => (found, None),
        },
    }
}

impl Target {
    /// Whether `other` is the same thing at the very same upstream, rather than at one that took its place.
    pub(super) fn is_still(&self, other: &Self) -> bool {
        self.full == other.full && Arc::ptr_eq(self.view.upstream(), other.view.upstream())
    }

    /// The target as policy asks about it.
    pub(super) fn asked(&self) -> AskedKind<'_> {
        match self.kind {
            Kind::Tool => AskedKind::Tool { name: &self.full, class: self.class, arguments: None },
            Kind::Prompt => AskedKind::Prompt { name: &self.full, arguments: None },
            Kind::Resource => AskedKind::Resource { uri: &self.full },
        }
    }
}
