//! The head of a request: host, origin, path, method, media types. The body is not touched.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::confirm;
use super::ctx::Ctx;
use super::line;
use super::refusal::Refusal;
use super::reply::Answered;
use super::world::{Route, World};
use crate::authserver::{AuthServer, METADATA_PATH};
use crate::connect::{CALLBACK_PATH, CLIENT_PATH, PAGES_PATH};
use crate::mcp::headers;
use crate::net::head::{self, HeadRefusal};
use crate::vocab::{Reason, Revision};

/// What the head asks for.
pub(super) enum Admitted {
    /// A message on a route.
    Message(Arc<Route>),
    /// The stream of a legacy session on a route.
    Stream(Arc<Route>),
    /// The end of a legacy session on a route.
    End(Arc<Route>),
    /// A page of the authorization server, or one where people link accounts.
    Page(Arc<AuthServer>),
    /// Answered by the head alone.
    Answered(Answered),
}

/// Judges the head.
///
/// # Errors
/// 400, 403 and 431 by the head rules; 404 for a path that is no route; 405 and 415.
pub(super) fn admit(ctx: &Ctx, parts: &Parts) -> Result<Admitted, Refusal> {
    let path = parts.uri.path();
    let ours = |path: &str| path.starts_with(PAGES_PATH) || path.starts_with(confirm::PAGES_PATH);
    let pages = |server: &&Arc<AuthServer>| (server.serves(path) && path != CLIENT_PATH) || ours(path);
    let page = ctx.world.authserver.as_ref().filter(pages);
    let no_method = |why| Refusal::Method(allowed(&ctx.world, page, path), Reason::BadRequest, why);
    // Our own origin is that of our pages' forms: nothing there calls tools or reads documents.
    let rules = if page.is_some() && path != METADATA_PATH { &ctx.world.pages_head } else { &ctx.world.head };
    head::check(parts.version, &parts.method, &parts.uri, &parts.headers, rules).map_err(|refusal| match refusal.status {
        StatusCode::METHOD_NOT_ALLOWED => no_method(refusal.detail),
        _ => HeadRefusal { mcp: refusal.mcp && !headers::is_legacy(&parts.headers), ..refusal }.into(),
    })?;
    let preflight = || preflight(&parts.headers).ok_or_else(|| no_method("not a preflight"));
    if let Some(server) = page {
        return if parts.method == Method::OPTIONS { preflight() } else { Ok(Admitted::Page(server.clone())) };
    }
    if let Some(document) = ctx.world.metadata.get(path) {
        return match parts.method {
            Method::GET | Method::HEAD => Ok(Admitted::Answered(Answered::document(document.clone()))),
            Method::OPTIONS => preflight(),
            _ => Err(no_method("this document is only read")),
        };
    }
    let not_found = || Refusal::Http(StatusCode::NOT_FOUND, Reason::NotFound, "there is nothing at this path");
    let route = ctx.world.routes.get(path).ok_or_else(not_found)?;
    match parts.method {
        Method::POST => message(parts, route),
        Method::GET | Method::DELETE if has_sessions(route) => {
            without_query(parts)?;
            without_content(&parts.headers)?;
            let asked = if parts.method == Method::GET { Admitted::Stream } else { Admitted::End };
            Ok(asked(route.clone()))
        }
        Method::OPTIONS => preflight(),
        _ => Err(no_method("send messages by POST")),
    }
}

/// The methods that a path takes. At a path where nothing is these are the ones that are taken anywhere.
fn allowed(world: &World, page: Option<&Arc<AuthServer>>, path: &str) -> &'static str {
    match (page, world.routes.get(path)) {
        (Some(_), _) if path == CALLBACK_PATH => "GET",
        (Some(server), _) => server.methods(path).unwrap_or("GET, POST"),
        (None, _) if world.metadata.contains_key(path) => "GET, HEAD",
        (None, Some(route)) if !has_sessions(route) => "POST",
        _ => "GET, POST, DELETE",
    }
}

fn message(parts: &Parts, route: &Arc<Route>) -> Result<Admitted, Refusal> {
    let line = route.floor < Revision::OLDEST_STREAMABLE && parts.uri.query().and_then(line::named).is_some();
    if !line {
        without_query(parts)?;
    }
    if !is_json(&parts.headers) {
        return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json, in UTF-8, without content coding"));
    }
    Ok(Admitted::Message(route.clone()))
}

fn has_sessions(route: &Route) -> bool {
    route.floor <= Revision::NEWEST_WITH_SESSIONS
}

fn without_query(parts: &Parts) -> Result<(), Refusal> {
    match parts.uri.query() {
        Some(_) => Err(refused(StatusCode::BAD_REQUEST, "a route takes no query")),
        None => Ok(()),
    }
}

/// Nobody reads the content of a GET or DELETE; two readers could differ about what it is.
fn without_content(headers: &HeaderMap) -> Result<(), Refusal> {
    let long = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if long || headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(refused(StatusCode::BAD_REQUEST, "a GET or DELETE has no content"));
    }
    Ok(())
}

/// `application/json`, with no charset but UTF-8, and no content coding.
fn is_json(headers: &HeaderMap) -> bool {
    let coded = headers.get(header::CONTENT_ENCODING).is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity"));
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
    let plain = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => value.trim_matches('"').eq_ignore_ascii_case("utf-8"),
        _ => true,
    });
    media && plain && !coded
}

/// Only an origin that the operator listed gets this far; anything else was refused by the head rules.
fn preflight(headers: &HeaderMap) -> Option<Admitted> {
    let asks = headers.contains_key(header::ORIGIN) && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    asks.then(|| Admitted::Answered(Answered::preflight(headers)))
}

fn refused(status: StatusCode, why: &'static str) -> Refusal {
    Refusal::Http(status, Reason::BadRequest, why)
}

/// What a browser at a listed origin may see of an answer.
pub(super) fn cors(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("WWW-Authenticate, DPoP-Nonce, Mcp-Session-Id, MCP-Protocol-Version, Retry-After"),
    );
}
