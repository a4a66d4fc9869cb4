//! Calls whose stream an upstream closes before it answered (2025-11-25: SSE polling).

use super::live::{Live, Said, live, message, verb};
use super::*;
use crate::vocab::FaultKind;

/// A server with sessions that answers calls as `called` says, and resumes as `get` does.
async fn polled(
    called: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static,
    get: impl Fn(&Asked, &Live) -> Said + Send + Sync + 'static,
) -> Arc<Live> {
    live(move |asked, server| match (verb(asked).as_str(), asked.method()) {
        ("GET", _) => get(asked, server),
        (_, "server/discover") => Said::Once(respond("400 Bad Request", "", "")),
        (_, "initialize") => {
            let headers = "content-type: application/json\r\nmcp-session-id: s\r\n";
            let body = result(asked, r#""protocolVersion":"2025-11-25","capabilities":{"tools":{}}"#);
            Said::Once(respond("200 OK", headers, &body))
        }
        (_, "tools/call") => Said::Once(Some(called(asked))),
        _ => Said::Once(respond("202 Accepted", "", "")),
    })
    .await
}

/// A stream that ends after `text`.
fn ended(text: &str) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    format!("{head}{:x}\r\n{text}\r\n0\r\n\r\n", text.len()).into_bytes()
}

const PRIMING: &str = "id: e-1\nretry: 100\ndata:\n\n";

fn at(server: &Live) -> UpstreamSettings {
    settings(Transport::Http { url: server.url.clone(), dialect: None })
}

/// The id of the call under way.
fn call_id(server: &Live) -> String {
    // The request is noted after it was answered, so at the first GET it is here.
    server.asked("tools/call").last().unwrap().id()
}

fn answer_to(server: &Live) -> String {
    message(&format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"ok":1}}}}"#, call_id(server)))
}

#[tokio::test]
async fn the_same_call_goes_on_where_its_stream_ended() {
    let server = polled(
        |_| ended(PRIMING),
        |asked, server| match asked.header("last-event-id") {
            Some("e-1") => Said::Once(Some(ended(
                "id: e-2\ndata:\n\nid: e-3\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\ndata: {\"jso",
            ))),
            Some("e-3") => Said::Open("rest", vec![answer_to(server)]),
            _ => Said::Once(None),
        },
    )
    .await;
    let (_registry, upstream, _) = registry(at(&server));
    assert_eq!(call(&upstream, "a", "t").await.unwrap(), r#""ok":1"#);
    assert_eq!(server.asked("tools/call").len(), 1);
    let asked = server.asked("GET");
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|a| a.header("mcp-session-id") == Some("s")));
    assert!(server.asked("notifications/cancelled").is_empty());
}

#[tokio::test]
async fn a_server_that_is_away_for_a_moment_is_asked_again() {
    let server = polled(
        |_| ended(PRIMING),
        |_, server| match server.asked("GET").len() {
            0 => Said::Once(None),
            1 => Said::Once(respond("503 Service Unavailable", "", "")),
            // Another stream of the session is not known to be over.
            2 => Said::Once(respond("409 Conflict", "", "")),
            _ => Said::Open("rest", vec![answer_to(server)]),
        },
    )
    .await;
    let (_registry, upstream, _) = registry(at(&server));
    assert_eq!(call(&upstream, "a", "t").await.unwrap(), r#""ok":1"#);
    assert_eq!(server.asked("GET").len(), 4);
}

#[tokio::test]
async fn who_cannot_resume_fails_the_call() {
    for status in ["405 Method Not Allowed", "404 Not Found", "400 Bad Request", "501 Not Implemented", "200 OK"] {
        let server = polled(|_| ended(PRIMING), move |_, _| Said::Once(respond(status, "", ""))).await;
        let (_registry, upstream, _) = registry(at(&server));
        assert_eq!(call(&upstream, "a", "t").await.unwrap_err().kind, FaultKind::Unreachable, "{status}");
        assert_eq!(server.asked("GET").len(), 1, "{status}");
    }
    // Without an id there is nothing to resume from.
    for text in ["data:\n\n", "id: a\ndata:\n\nid:\ndata:\n\n", "id: a"] {
        let server = polled(move |_| ended(text), |_, _| Said::Once(None)).await;
        let (_registry, upstream, _) = registry(at(&server));
        assert_eq!(call(&upstream, "a", "t").await.unwrap_err().kind, FaultKind::Unreachable, "{text}");
        assert!(server.asked("GET").is_empty(), "{text}");
    }
}

#[tokio::test]
async fn resuming_ends_with_the_deadline_and_cancels() {
    let server = polled(|_| ended(&PRIMING.replace("100", "0")), |_, _| Said::Once(Some(ended("id: e-2\ndata:\n\n")))).await;
    let mut settings = at(&server);
    settings.timeout = Duration::from_millis(700);
    let (_registry, upstream, _) = registry(settings);
    assert_eq!(call(&upstream, "a", "t").await.unwrap_err().kind, FaultKind::Timeout);
    assert!(server.asked("GET").len() <= 7, "a wait of zero is not believed");
    assert!(within_2s(|| server.asked("notifications/cancelled").len() == 1).await);
}

#[tokio::test]
async fn all_parts_together_are_bounded() {
    let part = format!("id: e-2\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"{}\"}}\n\n", "x".repeat(100 * 1024));
    let server = polled(|_| ended(PRIMING), move |_, _| Said::Once(Some(ended(&part)))).await;
    let (_registry, upstream, _) = registry(at(&server));
    assert_eq!(call(&upstream, "a", "t").await.unwrap_err().kind, FaultKind::TooLarge);
    assert_eq!(server.asked("GET").len(), 3);
}
