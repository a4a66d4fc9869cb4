//! Which rules a message follows: those of 2026-07-28, a handshake, or a session.
//!
//! The order of the checks is the protocol's: a client tells from the first failing one what to mend.

use super::error::ProtocolError;
use super::headers::McpHeaders;
use super::message::{Message, Shape};
use super::method::Method;
use crate::vocab::Revision;

/// The rules a message follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// 2026-07-28: the message carries everything itself.
    Modern,
    /// `initialize` of 2025-11-25 or older.
    Handshake,
    /// A message inside a session, which must be named by `Mcp-Session-Id`.
    Session {
        /// What `MCP-Protocol-Version` says; must be the revision of the session. Absent means 2025-03-26 or before.
        header: Option<Revision>,
    },
}

/// Decides the era of one message on a route that serves revisions from `floor` on.
///
/// # Errors
/// - -32020 without the version header, or when it differs from the body;
/// - -32602 (400) when a required member of `_meta` is missing;
/// - -32022 for a revision that is not served, naming those that are (-32600 inside a session);
/// - -32601 (404) for methods that 2026-07-28 removed; -32600 for a response sent under 2026-07-28.
pub fn decide(headers: &McpHeaders<'_>, message: &Message, floor: Revision) -> Result<Era, ProtocolError> {
    let stated = headers.version.and_then(Revision::parse);
    let era = if message.params.meta.protocol_version.is_some() {
        modern(headers, message, floor)
    } else if message.method == Method::Initialize {
        handshake(message, floor)
    } else if stated.is_some_and(|r| r > Revision::NEWEST_WITH_SESSIONS) {
        modern(headers, message, floor)
    } else {
        session(headers, stated, floor)
    };
    era.map_err(|error| error.with_id(message.id.as_ref()))
}

/// Decides the era of an array of messages, which exists inside sessions of 2025-03-26 only and never holds a handshake.
/// Whether the session is of that revision is the caller's to check where no header says so.
///
/// # Errors
/// As [`decide`] for any of its messages, without an id; -32600 where there are no arrays.
pub fn decide_batch(headers: &McpHeaders<'_>, messages: &[Message], floor: Revision) -> Result<Era, ProtocolError> {
    for message in messages {
        match decide(headers, message, floor).map_err(|error| ProtocolError { id: None, ..error })? {
            Era::Session { header: None | Some(Revision::V2025_03_26) } => {}
            _ => return Err(ProtocolError::invalid_request("Batches do not exist here")),
        }
    }
    if floor > Revision::V2025_03_26 || messages.is_empty() {
        return Err(ProtocolError::invalid_request("Batches do not exist here"));
    }
    Ok(Era::Session { header: headers.version.and_then(Revision::parse) })
}

/// The revision a handshake settles on: the one asked for where it is served, else the newest that has sessions.
pub fn negotiate(requested: &str, floor: Revision) -> Revision {
    let served = |r: &Revision| (floor..=Revision::NEWEST_WITH_SESSIONS).contains(r);
    Revision::parse(requested).filter(served).unwrap_or(Revision::NEWEST_WITH_SESSIONS)
}

fn modern(headers: &McpHeaders<'_>, message: &Message, floor: Revision) -> Result<Era, ProtocolError> {
    let meta = &message.params.meta;
    let Some(header) = headers.version else {
        return Err(ProtocolError::header_mismatch("MCP-Protocol-Version is missing"));
    };
    if message.shape == Shape::Request {
        if meta.protocol_version.is_none() {
            return Err(ProtocolError::missing_meta("_meta lacks io.modelcontextprotocol/protocolVersion"));
        }
        if meta.client_capabilities.is_none() {
            return Err(ProtocolError::missing_meta("_meta lacks io.modelcontextprotocol/clientCapabilities"));
        }
    }
    let version = meta.protocol_version.as_deref().unwrap_or(header);
    if version != header {
        return Err(ProtocolError::header_mismatch("MCP-Protocol-Version does not match the body"));
    }
    if Revision::parse(version).is_none_or(|r| r <= Revision::NEWEST_WITH_SESSIONS) {
        return Err(ProtocolError::unsupported_version(version, floor));
    }
    if message.shape == Shape::Response {
        return Err(ProtocolError::invalid_request("Responses are not accepted"));
    }
    let removed = matches!(
        message.method,
        Method::Initialize | Method::Ping | Method::SetLevel | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe
    );
    if removed { Err(ProtocolError::method_not_found(Revision::V2026_07_28)) } else { Ok(Era::Modern) }
}

fn handshake(message: &Message, floor: Revision) -> Result<Era, ProtocolError> {
    if floor > Revision::NEWEST_WITH_SESSIONS {
        let requested = message.params.protocol_version.as_deref().unwrap_or_default();
        return Err(ProtocolError::unsupported_version(requested, floor));
    }
    Ok(Era::Handshake)
}

fn session(headers: &McpHeaders<'_>, stated: Option<Revision>, floor: Revision) -> Result<Era, ProtocolError> {
    let in_session = headers.session.is_some() && floor <= Revision::NEWEST_WITH_SESSIONS;
    match (headers.version, stated) {
        (None, _) if in_session => Ok(Era::Session { header: None }),
        // Without a session this cannot be a message of an older revision either: every session here has an id.
        (None, _) => Err(ProtocolError::header_mismatch("MCP-Protocol-Version is missing")),
        (Some(_), Some(revision)) if revision >= floor => Ok(Era::Session { header: Some(revision) }),
        (Some(version), _) if in_session => Err(ProtocolError::unsupported_session_version(version, floor)),
        (Some(version), _) => Err(ProtocolError::unsupported_version(version, floor)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::{Body, decode};
    use bytes::Bytes;

    const META: &str =
        r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}"#;

    fn check(version: Option<&str>, session: Option<&str>, floor: Revision, body: &str, expect: Result<Era, (u16, i64)>) {
        let Body::Single(message) = decode(&Bytes::copy_from_slice(body.as_bytes()), 16).unwrap() else { panic!() };
        let headers = McpHeaders { version, session, ..McpHeaders::default() };
        let got = decide(&headers, &message, floor);
        assert_eq!(got.as_ref().map_err(|e| (e.status, e.code)).copied(), expect, "{version:?} {session:?} {floor} {body}");
        if let Err(error) = got {
            assert_eq!(error.id, message.id);
            assert_eq!(error.data.is_some(), error.message == "Unsupported protocol version");
        }
    }

    fn request(method: &str, meta: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"_meta":{{{meta}}}}}}}"#)
    }

    #[test]
    fn follows_the_order_of_the_specification() {
        let low = Revision::V2025_03_26;
        let new = Some("2026-07-28");
        let call = request("tools/call", META);
        check(new, None, low, &call, Ok(Era::Modern));
        check(new, Some("ignored"), low, &call, Ok(Era::Modern));
        check(None, None, low, &call, Err((400, -32020)));
        check(None, Some("s"), low, &call, Err((400, -32020)));
        check(Some("2025-11-25"), Some("s"), low, &call, Err((400, -32020)));
        check(new, None, low, &request("tools/call", ""), Err((400, -32602)));
        check(
            new,
            None,
            low,
            &request("tools/call", r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#),
            Err((400, -32602)),
        );
        check(new, None, low, &request("tools/call", r#""io.modelcontextprotocol/clientCapabilities":{}"#), Err((400, -32602)));
        for version in ["2027-01-01", "2025-11-25", "", "DRAFT"] {
            let other = META.replace("2026-07-28", version);
            check(new, None, low, &request("tools/call", &other), Err((400, -32020)));
            check(Some(version), None, low, &request("tools/call", &other), Err((400, -32022)));
        }
        for method in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"] {
            check(new, None, low, &request(method, META), Err((404, -32601)));
        }
    }

    #[test]
    fn keeps_sessions_apart() {
        let (lowest, low) = (Revision::V2024_11_05, Revision::V2025_03_26);
        let ping = r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#;
        check(Some("2025-06-18"), Some("s"), low, ping, Ok(Era::Session { header: Some(Revision::V2025_06_18) }));
        check(Some("2025-06-18"), None, low, ping, Ok(Era::Session { header: Some(Revision::V2025_06_18) }));
        check(None, Some("s"), low, ping, Ok(Era::Session { header: None }));
        check(None, None, low, ping, Err((400, -32020)));
        check(Some("2024-11-05"), Some("s"), low, ping, Err((400, -32600)));
        check(Some("2024-11-05"), None, low, ping, Err((400, -32022)));
        check(Some("2025-03-26"), Some("s"), Revision::V2025_06_18, ping, Err((400, -32600)));
        check(Some("2024-11-05"), Some("s"), lowest, ping, Ok(Era::Session { header: Some(lowest) }));
        check(None, Some("s"), lowest, ping, Ok(Era::Session { header: None }));
        check(None, None, lowest, ping, Err((400, -32020)));
        check(Some("2025-11-25"), Some("s"), Revision::V2026_07_28, ping, Err((400, -32022)));
        check(None, Some("s"), Revision::V2026_07_28, ping, Err((400, -32020)));
    }

    #[test]
    fn takes_handshakes_unless_the_floor_forbids() {
        let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2026-07-28"}}"#;
        check(None, None, Revision::V2025_03_26, initialize, Ok(Era::Handshake));
        check(Some("2026-07-28"), None, Revision::V2025_11_25, initialize, Ok(Era::Handshake));
        check(None, None, Revision::V2026_07_28, initialize, Err((400, -32022)));
        assert_eq!(negotiate("2026-07-28", Revision::V2025_03_26), Revision::V2025_11_25);
        assert_eq!(negotiate("2025-03-26", Revision::V2025_03_26), Revision::V2025_03_26);
        assert_eq!(negotiate("2025-03-26", Revision::V2025_06_18), Revision::V2025_11_25);
        assert_eq!(negotiate("x", Revision::V2025_03_26), Revision::V2025_11_25);
        assert_eq!(negotiate("2024-11-05", Revision::V2025_03_26), Revision::V2025_11_25);
        assert_eq!(negotiate("2024-11-05", Revision::V2024_11_05), Revision::V2024_11_05);
    }

    #[test]
    fn batches_exist_in_one_revision() {
        let low = Revision::V2025_03_26;
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26"}}"#;
        let modern = request("tools/list", META);
        for (version, session, floor, body, expect) in [
            (None, Some("s"), low, ping, Ok(Era::Session { header: None })),
            (Some("2025-03-26"), Some("s"), low, ping, Ok(Era::Session { header: Some(low) })),
            (Some("2025-06-18"), Some("s"), low, ping, Err(-32600)),
            (Some("2024-11-05"), Some("s"), Revision::V2024_11_05, ping, Err(-32600)),
            (Some("2025-03-26"), Some("s"), Revision::V2024_11_05, ping, Ok(Era::Session { header: Some(low) })),
            (None, Some("s"), Revision::V2025_06_18, ping, Err(-32600)),
            (None, None, low, ping, Err(-32020)),
            (None, Some("s"), low, initialize, Err(-32600)),
            (Some("2026-07-28"), None, low, modern.as_str(), Err(-32600)),
        ] {
            let Body::Batch(messages) = decode(&Bytes::from(format!("[{ping},{body}]")), 16).unwrap() else { panic!() };
            let headers = McpHeaders { version, session, ..McpHeaders::default() };
            let got = decide_batch(&headers, &messages[1..], floor);
            assert_eq!(got.as_ref().map_err(|e| e.code).copied(), expect, "{version:?} {session:?} {floor} {body}");
            assert_eq!(got.err().and_then(|e| e.id), None);
        }
    }

    #[test]
    fn modern_clients_send_requests_and_notifications_only() {
        let low = Revision::V2025_03_26;
        let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
        check(Some("2026-07-28"), None, low, cancelled, Ok(Era::Modern));
        let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        check(Some("2026-07-28"), None, low, response, Err((400, -32600)));
        check(Some("2025-11-25"), Some("s"), low, response, Ok(Era::Session { header: Some(Revision::V2025_11_25) }));
    }
}
