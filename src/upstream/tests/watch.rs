//! What upstreams announce, and what they do wrong while they do.

use super::live::{Live, Said, live, message, verb};
use super::*;
use crate::mcp::ListSet;
use crate::mcp::reply::Listing;

pub(super) fn resource_permit(uri: &str) -> Permit {
    let full = format!("u__{uri}");
    let asked = policy::Asked { kind: policy::Kind::Resource { uri: &full }, known: true, now_unix_ms: 1, route: "/mcp" };
    policy::decide(&RULES, &Principal::anonymous(), &asked).permit(Evidence::default()).unwrap()
}

pub(super) async fn watch(upstream: &Upstream, sub: &str, uris: &[&str]) -> Result<Watch, Fault> {
    let uris = uris.iter().map(|uri| ((*uri).to_owned(), resource_permit(uri))).collect();
    upstream.watch(list_permit(), &who(sub), ClientCaps::NONE, ListSet::ALL, uris, Vec::new()).await
}

/// What happens next, within 30 s.
pub(super) async fn next(watch: &mut Watch) -> Result<Happening, Fault> {
    tokio::time::timeout(Duration::from_secs(30), watch.next()).await.expect("something happens")
}

pub(super) fn updated(uri: &str) -> Happening {
    Happening::Updated { uri: uri.to_owned() }
}

pub(super) const TOOLS: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

fn update_of(uri: &str) -> String {
    message(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"{uri}"}}}}"#))
}

/// A server of 2025-11-25 with a session per `initialize`; `get` answers the wish for a stream.
async fn legacy(get: impl Fn(&Asked, &Live) -> Said + Send + Sync + 'static) -> Arc<Live> {
    forgetful("404 Not Found", "null", get).await
}

/// As [`legacy`]; once its stream was asked for again it refuses what is said in a session with `status`, under `id`.
async fn forgetful(
    status: &'static str,
    id: &'static str,
    get: impl Fn(&Asked, &Live) -> Said + Send + Sync + 'static,
) -> Arc<Live> {
    live(move |asked, server| match (verb(asked).as_str(), asked.method()) {
        ("GET", _) => get(asked, server),
        (_, "server/discover") => Said::Once(respond("400 Bad Request", "", "")),
        (_, "initialize") => {
            let headers = format!("content-type: application/json\r\nmcp-session-id: s-{}\r\n", server.asked("initialize").len());
            let capabilities = r#"{"tools":{},"resources":{"subscribe":true}}"#;
            let body = format!(r#""protocolVersion":"2025-11-25","capabilities":{capabilities}"#);
            Said::Once(respond("200 OK", &headers, &result(asked, &body)))
        }
        (_, "resources/subscribe") if asked.body.contains("no:such") => {
            let error = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32002,"message":"no"}}}}"#, asked.id());
            Said::Once(json(&error))
        }
        (_, "resources/subscribe") if asked.body.contains("not:found") => {
            let error = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32002,"message":"no"}}}}"#, asked.id());
            Said::Once(respond("404 Not Found", "content-type: application/json\r\n", &error))
        }
        (_, "resources/subscribe" | "resources/unsubscribe") => Said::Once(json(&result(asked, ""))),
        (_, "ping") if server.asked("GET").len() > 1 => {
            let gone = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32001,"message":"Session not found"}}}}"#);
            Said::Once(respond(status, "content-type: application/json\r\n", &gone))
        }
        (_, "ping") => Said::Once(json(&result(asked, ""))),
        (_, "tools/call") => Said::Once(events(&[TOOLS.to_owned(), result(asked, "")], true)),
        _ => Said::Once(respond("202 Accepted", "", "")),
    })
    .await
}

pub(super) fn at(server: &Live) -> UpstreamSettings {
    settings(Transport::Http { url: server.url.clone(), dialect: None })
}

#[tokio::test]
async fn a_session_announces_on_its_stream() {
    let server = legacy(|_, _| Said::Open("get", vec![": hello\n\n".to_owned()])).await;
    let (_registry, upstream, hooked) = registry(at(&server));
    // The session lives, whatever is refused in it.
    let mut watch = watch(&upstream, "a", &["a:b", "no:such", "not:found"]).await.unwrap();
    assert_eq!(watch.honoured().uris, ["a:b"]);
    assert_eq!(watch.honoured().lists, ListSet { tools: true, resources: true, prompts: false });
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#;
    for text in [
        message(log),
        message(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#),
        message(r#"{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{}}"#),
        message(&TOOLS.replace("tools", "prompts")),
        update_of("x:y"),
        update_of("a:bc"),
        update_of("a:b/c"),
        message(TOOLS),
    ] {
        assert_eq!(server.write("get", &text), 1);
    }
    assert_eq!(next(&mut watch).await.unwrap(), updated("a:b/c"));
    assert_eq!(next(&mut watch).await.unwrap(), Happening::ListChanged(Listing::Tools));
    let answered =
        |body: &str| server.asked("").iter().any(|a| a.body.starts_with(body) && a.header("mcp-session-id") == Some("s-0"));
    assert!(within_2s(|| answered(r#"{"jsonrpc":"2.0","id":"p","result":{}}"#)).await);
    assert!(within_2s(|| answered(r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601"#)).await);
    assert_eq!(*hooked.lock(), [r#"u Some("a") Prompts"#, r#"u Some("a") Tools"#]);
    let get = server.asked("GET").remove(0);
    assert_eq!((get.header("mcp-session-id"), get.header("mcp-protocol-version")), (Some("s-0"), Some("2025-11-25")));
    assert_eq!((get.header("accept"), get.header("last-event-id")), (Some("text/event-stream"), None));
    drop(watch);
    assert!(within_2s(|| server.open("get") == 0).await);
}

#[tokio::test]
async fn a_session_has_one_stream_and_one_subscription_however_many_watch() {
    let server = legacy(|_, _| Said::Open("get", Vec::new())).await;
    let (_registry, upstream, _) = registry(at(&server));
    let (mut one, mut two) =
        (watch(&upstream, "a", &["a:b"]).await.unwrap(), watch(&upstream, "a", &["a:b", "c:d"]).await.unwrap());
    let mut other = watch(&upstream, "b", &["a:b"]).await.unwrap();
    assert_eq!((server.asked("GET").len(), server.asked("resources/subscribe").len()), (2, 3));
    server.write("get", &update_of("c:d"));
    server.write("get", &update_of("a:b"));
    assert_eq!(next(&mut one).await.unwrap(), updated("a:b"));
    assert_eq!(next(&mut two).await.unwrap(), updated("c:d"));
    assert_eq!(next(&mut other).await.unwrap(), updated("a:b"));
    drop(one);
    drop(other);
    assert!(within_2s(|| server.asked("resources/unsubscribe").len() == 1).await);
    drop(two);
    assert!(within_2s(|| server.asked("resources/unsubscribe").len() == 3).await);
    let in_session: Vec<_> =
        server.asked("resources/unsubscribe").iter().map(|a| a.header("mcp-session-id").unwrap().to_owned()).collect();
    assert_eq!(in_session, ["s-1", "s-0", "s-0"]);
    // Whoever comes later subscribes again.
    watch(&upstream, "a", &["a:b"]).await.unwrap();
    assert_eq!(server.asked("resources/subscribe").len(), 4);
}

#[tokio::test]
async fn without_a_stream_calls_tell_what_changed() {
    for status in ["405 Method Not Allowed", "404 Not Found", "400 Bad Request", "501 Not Implemented", "200 OK"] {
        let server = legacy(move |_, _| Said::Once(respond(status, "", ""))).await;
        let (_registry, upstream, _) = registry(at(&server));
        let mut watch = watch(&upstream, "a", &[]).await.unwrap();
        call(&upstream, "b", "t").await.unwrap();
        call(&upstream, "a", "t").await.unwrap();
        assert_eq!(next(&mut watch).await.unwrap(), Happening::ListChanged(Listing::Tools));
        assert!(
            tokio::time::timeout(Duration::from_millis(50), watch.next()).await.is_err(),
            "what happens in another session is not told"
        );
        assert_eq!((server.asked("GET").len(), server.asked("initialize").len()), (1, 2), "{status}");
    }
}

#[tokio::test]
async fn a_broken_stream_is_resumed_or_something_was_missed() {
    let server = legacy(|_, server| match server.asked("GET").len() {
        0 => Said::Open("first", vec![format!("id: e-1\nretry: 0\n{}", message(TOOLS))]),
        1 => Said::Open("second", vec!["id:\ndata:\n\n".to_owned(), message(TOOLS)]),
        _ => Said::Open("third", Vec::new()),
    })
    .await;
    let (_registry, upstream, hooked) = registry(at(&server));
    let mut watch = watch(&upstream, "a", &[]).await.unwrap();
    let tools = || Happening::ListChanged(Listing::Tools);
    assert_eq!(next(&mut watch).await.unwrap(), tools());
    server.end("first");
    assert_eq!(next(&mut watch).await.unwrap(), tools());
    assert_eq!(server.asked("GET")[1].header("last-event-id"), Some("e-1"));
    hooked.lock().clear();
    server.end("second");
    assert_eq!(next(&mut watch).await.unwrap(), Happening::Missed);
    assert_eq!(server.asked("GET")[2].header("last-event-id"), None);
    assert_eq!(hooked.lock().len(), 3, "what is kept of the lists is read again");
}

#[tokio::test]
async fn a_session_that_is_gone_is_replaced_and_subscribed_again() {
    for (status, id) in [
        ("404 Not Found", "null"),
        ("404 Not Found", "\"server-error\""),
        ("400 Bad Request", "null"),
        ("400 Bad Request", "\"server-error\""),
    ] {
        let server = forgetful(status, id, move |asked, _| match asked.header("mcp-session-id") {
            Some("s-0") if asked.header("last-event-id").is_some() => Said::Once(respond(status, "", "")),
            Some("s-0") => Said::Open("old", vec!["id: 1\ndata:\n\n".to_owned()]),
            _ => Said::Open("new", Vec::new()),
        })
        .await;
        let (_registry, upstream, _) = registry(at(&server));
        let mut watch = watch(&upstream, "a", &["a:b"]).await.unwrap();
        server.end("old");
        assert_eq!(next(&mut watch).await.unwrap(), Happening::Missed, "{status} {id}");
        assert_eq!(watch.honoured().uris, ["a:b"]);
        server.write("new", &update_of("a:b"));
        assert_eq!(next(&mut watch).await.unwrap(), updated("a:b"));
        let sessions: Vec<_> =
            server.asked("resources/subscribe").iter().map(|a| a.header("mcp-session-id").unwrap().to_owned()).collect();
        assert_eq!(sessions, ["s-0", "s-1"]);
        // One that said 400 may hold it still.
        let ended = usize::from(status.starts_with("400"));
        assert!(within_2s(|| server.asked("DELETE").len() == ended).await, "{status} {id}");
    }
}

#[tokio::test]
async fn who_lags_behind_is_told() {
    let server = legacy(|_, _| Said::Open("get", Vec::new())).await;
    let (_registry, upstream, hooked) = registry(at(&server));
    let mut watch = watch(&upstream, "a", &["a:b"]).await.unwrap();
    let most = crate::vocab::limits::WATCH_QUEUE_MAX;
    for n in 0..most + 8 {
        server.write("get", &update_of(&format!("a:b/{n}")));
    }
    server.write("get", &message(TOOLS));
    assert!(within_2s(|| hooked.lock().len() == 1).await, "all of it was read");
    assert_eq!(next(&mut watch).await.unwrap(), Happening::Missed);
    assert!(matches!(next(&mut watch).await.unwrap(), Happening::Updated { .. }));
}
