//! The protocol's HTTP headers: read once, compared with the body, never trusted alone.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::error::ProtocolError;
use super::message::{Message, Shape};
use super::method::Method;
use crate::vocab::Revision;

/// `MCP-Protocol-Version`
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// `Mcp-Method`
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// `Mcp-Name`
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// `Mcp-Session-Id`
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// `Last-Event-ID`
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// What the names of mirrored parameters start with.
pub const PARAM_PREFIX: &str = "mcp-param-";

const SENTINEL_START: &str = "=?base64?";
const SENTINEL_END: &str = "?=";

/// The headers of one request that the protocol gives a meaning. Values are as sent, without surrounding space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct McpHeaders<'a> {
    /// `MCP-Protocol-Version`
    pub version: Option<&'a str>,
    /// `Mcp-Method`
    pub method: Option<&'a str>,
    /// `Mcp-Name`, not decoded.
    pub name: Option<&'a str>,
    /// `Mcp-Session-Id`
    pub session: Option<&'a str>,
    /// `Last-Event-ID`
    pub last_event_id: Option<&'a str>,
    /// `Mcp-Param-*`: the rest of the name in lower case, and the value, not decoded.
    pub params: Vec<(&'a str, &'a str)>,
    /// `Accept` takes `application/json`.
    pub accepts_json: bool,
    /// `Accept` takes `text/event-stream`.
    pub accepts_sse: bool,
}

impl<'a> McpHeaders<'a> {
    /// Reads them.
    ///
    /// # Errors
    /// 400 when one of them is repeated or holds anything but visible ASCII and spaces: -32020, or -32600 where the request
    /// names a revision that does not know -32020.
    pub fn read(map: &'a HeaderMap) -> Result<Self, ProtocolError> {
        let fail = |message| refuse(map, message);
        let mut read = Self::default();
        for (name, value) in map {
            let place = match name.as_str() {
                "mcp-protocol-version" => &mut read.version,
                "mcp-method" => &mut read.method,
                "mcp-name" => &mut read.name,
                "mcp-session-id" => &mut read.session,
                "last-event-id" => &mut read.last_event_id,
                other => {
                    if let Some(suffix) = other.strip_prefix(PARAM_PREFIX) {
                        if read.param(suffix).is_some() {
                            return Err(fail(REPEATED));
                        }
                        read.params.push((suffix, visible(value).map_err(fail)?));
                    }
                    continue;
                }
            };
            if place.replace(visible(value).map_err(fail)?).is_some() {
                return Err(fail(REPEATED));
            }
        }
        (read.accepts_json, read.accepts_sse) = accepted(map);
        Ok(read)
    }

    /// The value of `Mcp-Param-{suffix}`, not decoded. `suffix` is in lower case.
    pub fn param(&self, suffix: &str) -> Option<&'a str> {
        self.params.iter().find(|(s, _)| *s == suffix).map(|(_, v)| *v)
    }
}

/// Demands that the headers of a message say what its body says, wherever both speak. Mirrored parameters need the tool's
/// schema: see [`super::mirror`].
///
/// 2026-07-28 demands the headers (-32020). Older revisions do not define them: there they may be absent, but a wrong one
/// is refused too (-32600), so that nobody escapes the comparison by naming an older revision.
///
/// # Errors
/// As said, status 400, with the message's id.
pub fn agree(headers: &McpHeaders<'_>, message: &Message, revision: Revision) -> Result<(), ProtocolError> {
    let modern = revision > Revision::NEWEST_WITH_SESSIONS;
    let refuse = |text| {
        let error = if modern { ProtocolError::header_mismatch(text) } else { ProtocolError::invalid_request(text) };
        Err(error.with_id(message.id.as_ref()))
    };
    if message.shape == Shape::Response {
        return Ok(());
    }
    let required = modern && message.shape == Shape::Request;
    if modern && message.params.meta.protocol_version.as_deref().is_some_and(|v| headers.version != Some(v)) {
        return refuse("MCP-Protocol-Version does not match the body");
    }
    match headers.method {
        Some(method) if method != message.method_name => return refuse("Mcp-Method does not match the body"),
        None if required => return refuse("Mcp-Method is missing"),
        _ => {}
    }
    match (headers.name, mirrored_name(message)) {
        (None, None) => Ok(()),
        (None, Some(_)) if required => refuse("Mcp-Name is missing"),
        (None, Some(_)) => Ok(()),
        (Some(_), None) if has_name(message.method) => refuse("Mcp-Name does not match the body"),
        (Some(_), None) => Ok(()),
        (Some(sent), Some(name)) => match decode_value(sent) {
            Ok(decoded) if decoded == name => Ok(()),
            Ok(_) => refuse("Mcp-Name does not match the body"),
            Err(Undecodable) => refuse("Mcp-Name cannot be decoded"),
        },
    }
}

fn has_name(method: Method) -> bool {
    use Method::{PromptsGet, ResourcesRead, TasksCancel, TasksGet, TasksUpdate, ToolsCall};
    matches!(method, ToolsCall | PromptsGet | ResourcesRead | TasksGet | TasksUpdate | TasksCancel)
}

/// What `Mcp-Name` must say, where the method has one.
pub(crate) fn mirrored_name(message: &Message) -> Option<&str> {
    let params = &message.params;
    match message.method {
        Method::ToolsCall | Method::PromptsGet => params.name.as_deref(),
        Method::ResourcesRead => params.uri.as_deref(),
        Method::TasksGet | Method::TasksUpdate | Method::TasksCancel => params.task_id.as_deref(),
        _ => None,
    }
}

/// A value that announces base64 and is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecodable;

/// Decodes a value of `Mcp-Name` or `Mcp-Param-*`, once: what comes out may look encoded and is not.
///
/// # Errors
/// [`Undecodable`] for wrong base64 or what is not UTF-8.
pub fn decode_value(value: &str) -> Result<Cow<'_, str>, Undecodable> {
    match sentinel(value) {
        None => Ok(Cow::Borrowed(value)),
        Some(encoded) => {
            let bytes = STANDARD.decode(encoded).map_err(|_| Undecodable)?;
            String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Undecodable)
        }
    }
}

/// Encodes a value for `Mcp-Name` or `Mcp-Param-*`: as it is where a header can carry it, else as base64.
pub fn encode_value(value: &str) -> HeaderValue {
    let visible = value.bytes().all(|b| (0x20..=0x7e).contains(&b));
    let trimmed = !value.starts_with(' ') && !value.ends_with(' ');
    if visible
        && trimmed
        && sentinel(value).is_none()
        && let Ok(plain) = HeaderValue::from_str(value)
    {
        return plain;
    }
    let encoded = format!("{SENTINEL_START}{}{SENTINEL_END}", STANDARD.encode(value));
    HeaderValue::from_str(&encoded).unwrap_or(HeaderValue::from_static(""))
}

fn sentinel(value: &str) -> Option<&str> {
    value.strip_prefix(SENTINEL_START)?.strip_suffix(SENTINEL_END)
}

/// A value without the space around it: visible ASCII and spaces.
fn visible(value: &HeaderValue) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(value.as_bytes()).unwrap_or("\u{7f}").trim_matches([' ', '\t']);
    // Looks at every byte without branching, which lets the compiler look at many at once.
    if text.bytes().fold(true, |so_far, b| so_far & (0x20..=0x7e).contains(&b)) {
        Ok(text)
    } else {
        Err("A protocol header holds characters that are not allowed")
    }
}

const REPEATED: &str = "A protocol header is repeated";

/// Whether a request names only revisions that do not define -32020, which must not reach their clients.
pub fn is_legacy(map: &HeaderMap) -> bool {
    let legacy = |v: &HeaderValue| v.to_str().ok().and_then(Revision::parse).is_some_and(|r| r <= Revision::NEWEST_WITH_SESSIONS);
    let mut versions = map.get_all(PROTOCOL_VERSION).iter().peekable();
    versions.peek().is_some() && versions.all(legacy)
}

fn refuse(map: &HeaderMap, message: &'static str) -> ProtocolError {
    if is_legacy(map) { ProtocolError::invalid_request(message) } else { ProtocolError::header_mismatch(message) }
}

/// Whether `Accept` takes JSON and event streams (RFC 9110, 12.5.1: the most specific range decides; no header takes all).
fn accepted(map: &HeaderMap) -> (bool, bool) {
    match map.get(header::ACCEPT) {
        None => return (true, true),
        // What nearly every client sends needs no reading, as no other range can take back what is named in full.
        Some(value) if value == EVERYTHING_OF_OURS => return (true, true),
        Some(_) => {}
    }
    let mut json = (0, false);
    let mut sse = (0, false);
    let lines = map.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
    for element in lines.flat_map(|line| split_unquoted(line, ',')) {
        let mut parts = split_unquoted(element, ';');
        let range = parts.next().unwrap_or_default().trim();
        let wanted = !parts.any(is_zero_weight);
        for (best, kind, subtype) in [(&mut json, "application", "application/json"), (&mut sse, "text", "text/event-stream")] {
            let precision = match range.split_once('/') {
                _ if range.eq_ignore_ascii_case(subtype) => 3,
                Some((k, "*")) if k.eq_ignore_ascii_case(kind) => 2,
                Some(("*", "*")) => 1,
                _ => continue,
            };
            if precision > best.0 {
                *best = (precision, wanted);
            } else if precision == best.0 {
                best.1 |= wanted;
            }
        }
    }
    (json.1, sse.1)
}

/// Both media types, as the transport wants a client to say it.
const EVERYTHING_OF_OURS: &str = "application/json, text/event-stream";

fn is_zero_weight(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let zero = |v: &str| v.starts_with('0') && v.bytes().all(|b| matches!(b, b'0' | b'.'));
    name.trim().eq_ignore_ascii_case("q") && zero(value.trim())
}

/// Splits outside of quoted strings.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return !quoted && c == separator,
        }
        false
    })
}

#[cfg(test)]
mod tests;
