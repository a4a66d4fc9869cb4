//! Everywhere that an upstream can put a secret.

use serde_json::json;

use super::client::May;
use crate::peer::{Answer, Seen};

/// What the upstream does with a call.
type Does = fn(&Seen, &str) -> Answer;

fn raw(head: &str, body: &str) -> Answer {
    Answer::Raw(format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

/// In a header, where no line can end.
fn header(secret: &str) -> String {
    secret.replace('\n', "\\n")
}

fn result(seen: &Seen, mut result: serde_json::Value) -> Answer {
    result["resultType"] = "complete".into();
    Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result}).to_string())
}

fn error(seen: &Seen, code: i64, message: &str, data: &serde_json::Value) -> Answer {
    let error = json!({"code": code, "message": message, "data": data});
    Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": error}).to_string())
}

fn good(seen: &Seen, more: &str) -> Answer {
    let content = json!([{"type": "text", "text": "did"}]);
    let body =
        json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": {"content": content, "resultType": "complete"}}).to_string();
    raw(&format!("200 OK\r\ncontent-type: application/json\r\n{more}"), &body)
}

fn page(head: &str, secret: &str) -> Answer {
    raw(&format!("{head}\r\ncontent-type: application/json"), &json!({"error": secret, "error_description": secret}).to_string())
}

/// What is in an answer is for whoever asked; no error and no header is.
pub(super) const PATHS: &[(&str, May, Does)] = &[
    ("result text", May::Return, |seen, s| result(seen, json!({"content": [{"type": "text", "text": s}]}))),
    ("structured result", May::Return, |seen, s| result(seen, json!({"content": [], "structuredContent": {s: [s]}}))),
    ("a tool's error", May::Return, |seen, s| result(seen, json!({"content": [{"type": "text", "text": s}], "isError": true}))),
    ("_meta of a result", May::Return, |seen, s| result(seen, json!({"content": [], "_meta": {"com.example/x": s}}))),
    ("error message", May::Vanish, |seen, s| error(seen, -32603, s, &json!(null))),
    ("error data", May::Vanish, |seen, s| error(seen, -32000, "no", &json!({"x": s, s: 1}))),
    ("error of a resource", May::Vanish, |seen, s| error(seen, -32602, s, &json!({"uri": s}))),
    ("error about a URL", May::Vanish, |seen, s| {
        error(seen, -32042, s, &json!({"elicitations": [{"url": s, "message": s, "mode": s}]}))
    }),
    ("error 500", May::Vanish, |_, s| page("500 Oops", s)),
    ("error 401", May::Vanish, |_, s| {
        page(&format!("401 No\r\nwww-authenticate: Bearer error=\"{}\", scope=\"{0}\"", header(s)), s)
    }),
    ("error 403", May::Vanish, |_, s| {
        page(&format!("403 No\r\nwww-authenticate: Bearer error=\"insufficient_scope\", scope=\"{}\"", header(s)), s)
    }),
    ("error 404", May::Vanish, |_, s| page("404 Gone", s)),
    ("error 429", May::Vanish, |_, s| page(&format!("429 Slow\r\nretry-after: {}", header(s)), s)),
    ("redirect", May::Vanish, |_, s| page(&format!("302 Found\r\nlocation: http://127.0.0.1:1/?{}", header(s)), s)),
    ("reason phrase", May::Vanish, |_, s| page(&format!("500 {}", header(s)), s)),
    ("set-cookie", May::Vanish, |seen, s| good(seen, &format!("set-cookie: sid={}; HttpOnly", header(s)))),
    ("another header", May::Vanish, |seen, s| good(seen, &format!("x-secret: {0}\r\nserver: {0}", header(s)))),
    ("session id", May::Vanish, |seen, s| good(seen, &format!("mcp-session-id: {}", header(s)))),
    ("content type", May::Vanish, |_, s| raw(&format!("200 OK\r\ncontent-type: {}", header(s)), s)),
    ("no JSON", May::Vanish, |_, s| raw("200 OK\r\ncontent-type: application/json", s)),
    ("no message", May::Vanish, |_, s| raw("200 OK\r\ncontent-type: application/json", &json!({"jsonrpc": s, s: s}).to_string())),
    ("no HTTP", May::Vanish, |_, s| Answer::Raw(format!("{s}\r\n\r\n").into_bytes())),
    ("a broken header", May::Vanish, |_, s| Answer::Raw(format!("HTTP/1.1 200 OK\r\n{s}\r\n\r\n").into_bytes())),
    ("events that are none", May::Vanish, |_, s| {
        raw("200 OK\r\ncontent-type: text/event-stream", &format!("event: {0}\nid: {0}\ndata: {0}\n\n", header(s)))
    }),
    ("a message of another request", May::Vanish, |_, s| {
        let message = json!({"jsonrpc": "2.0", "id": s, "result": {"x": s}});
        raw("200 OK\r\ncontent-type: text/event-stream", &format!("data: {message}\n\n"))
    }),
    ("a notification of no revision", May::Vanish, |_, s| {
        let message = json!({"jsonrpc": "2.0", "method": s, "params": {s: s}});
        raw("200 OK\r\ncontent-type: text/event-stream", &format!("data: {message}\n\n"))
    }),
    ("a question of no kind", May::Vanish, |seen, s| {
        let result = json!({"resultType": "input_required", "inputRequests": {"a": {"method": s, "params": {"message": s}}}, "requestState": s});
        Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result}).to_string())
    }),
];
