//! Recordings of real clients and servers, replayed: what they say must be understood and said again with the same meaning.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::{ServerInfo, lift_request, lower_log, lower_progress, lower_reply};
use crate::mcp::message::Shape;
use crate::mcp::{
    Body, Era, Incoming, McpHeaders, Message, Method, Notification, ProtocolError, Reply, decode, era, headers, incoming, keys,
};
use crate::vocab::Revision;

const FILES: [(&str, &str); 7] = [
    ("ts1-everything", include_str!("../../../tests/data/transcripts/ts1-everything.jsonl")),
    ("ts2-everything", include_str!("../../../tests/data/transcripts/ts2-everything.jsonl")),
    ("ts2-sdk-ts", include_str!("../../../tests/data/transcripts/ts2-sdk-ts.jsonl")),
    ("ts2-sdk-rs", include_str!("../../../tests/data/transcripts/ts2-sdk-rs.jsonl")),
    ("rmcp-sdk-rs", include_str!("../../../tests/data/transcripts/rmcp-sdk-rs.jsonl")),
    ("rmcp-everything", include_str!("../../../tests/data/transcripts/rmcp-everything.jsonl")),
    ("referee-tasks-sdk-rs", include_str!("../../../tests/data/transcripts/referee-tasks-sdk-rs.jsonl")),
];

#[derive(Default, Debug, PartialEq)]
struct Seen {
    requests: usize,
    refused: usize,
    results: usize,
    errors: usize,
    notifications: usize,
    server_requests: usize,
}

#[test]
fn every_recording_replays() {
    let mut seen = Seen::default();
    for (file, text) in FILES {
        for (line, exchange) in text.lines().enumerate() {
            let exchange: Value = serde_json::from_str(exchange).unwrap();
            replay(&format!("{file}:{}", line + 1), &exchange, &mut seen);
        }
    }
    assert!(
        seen.refused > 5
            && seen.refused < 20
            && seen.requests > 120
            && seen.results > 120
            && seen.notifications > 30
            && seen.server_requests > 5,
        "{seen:?}"
    );
}

fn replay(at: &str, exchange: &Value, seen: &mut Seen) {
    let mut map = HeaderMap::new();
    for (name, value) in exchange["request"]["headers"].as_object().unwrap() {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.insert(name, HeaderValue::from_str(value.as_str().unwrap()).unwrap());
    }
    let headers = McpHeaders::read(&map).unwrap();
    let body = &exchange["request"]["body"];
    let named = headers.version.and_then(Revision::parse);
    let mut revision = named.unwrap_or(Revision::V2025_11_25);
    let mut method = Method::Unknown;
    if body.is_object() {
        let Body::Single(message) = decode(&Bytes::from(body.to_string()), 64).unwrap() else { panic!("{at}") };
        seen.requests += usize::from(message.shape == Shape::Request);
        method = message.method;
        match judge(&headers, *message) {
            Ok(agreed) => revision = agreed,
            // What is refused here was refused there, for the same reason.
            Err(error) => {
                seen.refused += 1;
                assert_eq!(exchange["status"], error.status, "{at}: {error:?}");
                assert_eq!(exchange["replies"][0]["error"]["code"], error.code, "{at}: {error:?}");
            }
        }
    }
    for reply in exchange["replies"].as_array().unwrap() {
        check_reply(at, revision, method, reply, seen);
    }
}

fn judge(headers: &McpHeaders<'_>, message: Message) -> Result<Revision, ProtocolError> {
    let revision = match era::decide(headers, &message, Revision::V2025_03_26)? {
        Era::Modern => Revision::V2026_07_28,
        Era::Handshake => Revision::V2025_11_25,
        Era::Session { header } => header.unwrap(),
    };
    headers::agree(headers, &message, revision)?;
    if message.shape == Shape::Request {
        lift_request(revision, message)?;
    }
    Ok(revision)
}

fn check_reply(at: &str, revision: Revision, method: Method, sent: &Value, seen: &mut Seen) {
    let mut messages = incoming::parse(&Bytes::from(sent.to_string()), revision, 64).unwrap_or_else(|e| panic!("{at}: {e}"));
    assert_eq!(messages.len(), 1, "{at}");
    match messages.remove(0) {
        Incoming::Response { id, reply } => {
            let lowered = lower_reply(revision, method, &id, &reply, &ServerInfo::GATEWAY);
            let said: Value = serde_json::from_slice(&lowered.body).unwrap();
            match reply {
                Reply::Result(_) => {
                    seen.results += 1;
                    assert_eq!(comparable(revision, &said), comparable(revision, sent), "{at}");
                }
                Reply::Error(_) => {
                    seen.errors += 1;
                    let reserved = (-32099..=-32000).contains(&sent["error"]["code"].as_i64().unwrap());
                    assert!(reserved || said == *sent, "{at}: {said} {sent}");
                }
            }
        }
        Incoming::Notification(Notification::Progress { token, members }) => {
            seen.notifications += 1;
            let said: Value = serde_json::from_slice(&lower_progress(revision, &token, &members)).unwrap();
            assert_eq!(comparable(revision, &said), comparable(revision, sent), "{at}");
        }
        Incoming::Notification(Notification::Log { params, level }) => {
            seen.notifications += 1;
            assert_eq!(sent["params"]["level"], level.as_str(), "{at}");
            let said: Value = serde_json::from_slice(&lower_log(revision, &params)).unwrap();
            assert_eq!(comparable(revision, &said), comparable(revision, sent), "{at}");
        }
        Incoming::Notification(_) => seen.notifications += 1,
        Incoming::Request { method, .. } => {
            seen.server_requests += 1;
            assert_eq!(sent["method"], method, "{at}");
        }
        Incoming::Orphan(_) => {}
    }
}

/// Without what each hop writes for itself, and without what a revision with sessions does not know.
fn comparable(revision: Revision, message: &Value) -> Value {
    let mut message = message.clone();
    for holder in ["result", "params"] {
        let Some(Value::Object(members)) = message.get_mut(holder) else { continue };
        if revision <= Revision::NEWEST_WITH_SESSIONS {
            members.retain(|key, _| !["resultType", "ttlMs", "cacheScope"].contains(&key.as_str()));
        }
        if let Some(Value::Object(meta)) = members.get_mut("_meta") {
            meta.remove(keys::SERVER_INFO);
            if meta.is_empty() || holder == "params" {
                members.remove("_meta");
            }
        }
    }
    message
}
