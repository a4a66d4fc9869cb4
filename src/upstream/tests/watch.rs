//! What upstreams announce, and what they do wrong while they do.

use super::live::{Live, Said, live, message, verb};
use super::*;
use crate::mcp::ListSet;
use crate::mcp::reply::Listing;
use crate::vocab::FaultKind;

fn resource_permit(uri: &str) -> Permit {
    let full = format!("u__{uri}");
    let asked = policy::Asked { kind: policy::Kind::Resource { uri: &full }, known: true, now_unix_ms: 1, route: "/mcp" };
    policy::decide(&RULES, &Principal::anonymous(), &asked).permit(Evidence::default()).unwrap()
}

pub(super) async fn watch(upstream: &Upstream, sub: &str, uris: &[&str]) -> Result<Watch, Fault> {
    let uris = uris.iter().map(|uri| ((*uri).to_owned(), resource_permit(uri))).collect();
    upstream.watch(list_permit(), &who(sub), ClientCaps::NONE, ListSet::ALL, uris, Vec::new()).await
}

/// What happens next, within 5 s.
pub(super) async fn next(watch: &mut Watch) -> Result<Happening, Fault> {
    tokio::time::timeout(Duration::from_secs(30), watch.next()).await.expect("something happens")
}

pub(super) fn updated(uri: &str) -> Happening {
    Happening::Updated { uri: uri.to_owned() }
}

const TOOLS: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

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

fn at(server: &Live) -> UpstreamSettings {
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

/// A server without sessions; `listen` answers subscriptions.
async fn modern(listen: impl Fn(&Asked, &Live) -> Said + Send + Sync + 'static) -> Arc<Live> {
    live(move |asked, server| match asked.method() {
        "server/discover" => Said::Once(json(&result(asked, DISCOVERED))),
        "subscriptions/listen" => listen(asked, server),
        _ => Said::Once(None),
    })
    .await
}

fn tied(id: &str, method: &str, params: &str) -> String {
    let meta = format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}"#);
    message(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{{{params}{meta}}}}}"#))
}

fn acknowledged(asked: &Asked, filter: &str) -> String {
    tied(&asked.id(), "subscriptions/acknowledged", &format!(r#""notifications":{filter},"#))
}

#[tokio::test]
async fn a_subscription_hears_what_is_its_own() {
    let server = modern(|asked, _| {
        let filter = r#"{"toolsListChanged":true,"resourceSubscriptions":["a:b","evil:uri"]}"#;
        let id = asked.id();
        Said::Open(
            "listen",
            vec![
                ": comment\n\n".to_owned(),
                tied("99999", "tools/list_changed", ""),
                acknowledged(asked, filter),
                message(TOOLS),
                tied("99999", "tools/list_changed", ""),
                tied(&format!("\"{id}\""), "tools/list_changed", ""),
                tied(&id, "prompts/list_changed", ""),
                tied(&id, "resources/updated", r#""uri":"evil:uri","#),
                message(r#"{"jsonrpc":"2.0","id":5,"method":"roots/list"}"#),
                tied(&id, "resources/updated", r#""uri":"a:b","#),
                tied(&id, "tools/list_changed", ""),
            ],
        )
    })
    .await;
    let (_registry, upstream, _) = registry(at(&server));
    let mut watch = watch(&upstream, "a", &["a:b", "c:d"]).await.unwrap();
    assert_eq!(watch.honoured().uris, ["a:b"]);
    assert_eq!(watch.honoured().lists, ListSet { tools: true, ..ListSet::NONE });
    assert_eq!(next(&mut watch).await.unwrap(), updated("a:b"));
    assert_eq!(next(&mut watch).await.unwrap(), Happening::ListChanged(Listing::Tools));
    let asked = server.asked("subscriptions/listen").remove(0);
    assert!(asked.body.contains(r#""notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["a:b","c:d"]}"#), "{}", asked.body);
    assert!(asked.body.contains(r#""io.modelcontextprotocol/clientCapabilities":{}"#));
    assert_eq!((asked.header("mcp-method"), asked.header("mcp-name")), (Some("subscriptions/listen"), None));
    drop(watch);
    assert!(within_2s(|| server.open("listen") == 0).await);
}

#[tokio::test]
async fn a_subscription_that_breaks_is_made_anew() {
    let huge = format!("data: {}", "x".repeat(300 * 1024));
    let broken: Vec<fn(&Asked) -> String> = vec![
        |_| "data: garbage\n\n".to_owned(),
        |_| "data: [1]\n\n".to_owned(),
        |asked| message(&format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"resultType":"complete"}}}}"#, asked.id())),
        |asked| message(&format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32603,"message":"x"}}}}"#, asked.id())),
    ];
    for (at_fault, text) in broken.into_iter().map(Some).chain([None]).enumerate() {
        let huge = huge.clone();
        let server = modern(move |asked, server| {
            let first = acknowledged(asked, r#"{"toolsListChanged":true}"#);
            match server.asked("subscriptions/listen").len() {
                0 => Said::Open("broken", vec![first, text.map_or_else(|| huge.clone(), |text| text(asked))]),
                _ => Said::Open("whole", vec![first, tied(&asked.id(), "tools/list_changed", "")]),
            }
        })
        .await;
        let (_registry, upstream, _) = registry(at(&server));
        let mut watch = watch(&upstream, "a", &[]).await.unwrap();
        assert_eq!(next(&mut watch).await.unwrap(), Happening::Missed, "{at_fault}");
        assert_eq!(next(&mut watch).await.unwrap(), Happening::ListChanged(Listing::Tools), "{at_fault}");
        let ids: Vec<_> = server.asked("subscriptions/listen").iter().map(Asked::id).collect();
        assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
        assert_eq!(server.open("broken"), 0);
    }
}

#[tokio::test]
async fn an_upstream_without_subscriptions_tells_nothing_and_is_not_asked_again() {
    let unknown = |asked: &Asked| format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32601,"message":"no"}}}}"#, asked.id());
    let in_words =
        modern(move |asked, _| Said::Once(respond("404 Not Found", "content-type: application/json\r\n", &unknown(asked)))).await;
    let on_stream = modern(move |asked, _| Said::Once(events(&[unknown(asked)], true))).await;
    let silent = modern(|_, _| Said::Once(respond("405 Method Not Allowed", "", ""))).await;
    for server in [in_words, on_stream, silent] {
        let (registry, upstream, _) = registry(at(&server));
        let mut watch = watch(&upstream, "a", &["a:b"]).await.unwrap();
        assert!(watch.honoured().is_empty());
        assert!(tokio::time::timeout(Duration::from_millis(50), watch.next()).await.is_err());
        registry.apply(&[]).unwrap();
        assert_eq!(next(&mut watch).await.unwrap_err().kind, FaultKind::ShuttingDown);
        assert_eq!(server.asked("subscriptions/listen").len(), 1);
        assert!(registry.get("u").is_none());
    }
}

#[tokio::test]
async fn an_upstream_that_is_away_is_tried_again_and_calls_go_on() {
    let server = modern(|asked, server| match server.asked("subscriptions/listen").len() {
        0 => Said::Once(respond("503 Service Unavailable", "", "")),
        1 => Said::Once(None),
        _ => Said::Open("listen", vec![acknowledged(asked, r#"{"promptsListChanged":true}"#)]),
    })
    .await;
    let (_registry, upstream, _) = registry(at(&server));
    let mut watch = watch(&upstream, "a", &[]).await.unwrap();
    assert!(watch.honoured().is_empty());
    assert_eq!(next(&mut watch).await.unwrap(), Happening::Missed);
    assert!(watch.honoured().lists.prompts);
    assert!(upstream.is_up());
}

#[tokio::test]
async fn who_is_refused_learns_it_at_once_and_for_good() {
    let server = modern(|_, _| Said::Once(respond("401 Unauthorized", "", ""))).await;
    let (_registry, upstream, _) = registry(at(&server));
    assert_eq!(watch(&upstream, "a", &[]).await.unwrap_err().kind, FaultKind::Unauthorized);
}

#[tokio::test]
async fn a_watch_needs_a_permit_for_each_thing_it_names() {
    let server = modern(|_, _| Said::Once(None)).await;
    let (_registry, upstream, _) = registry(at(&server));
    let uri = || "a:b".to_owned();
    for (first, uris) in [
        (resource_permit("a:b"), vec![]),
        (permit("t"), vec![]),
        (list_permit(), vec![(uri(), list_permit())]),
        (list_permit(), vec![(uri(), resource_permit("a:bc"))]),
        (list_permit(), vec![(uri(), permit("a:b"))]),
    ] {
        let refused = upstream.watch(first, &who("a"), ClientCaps::NONE, ListSet::ALL, uris, Vec::new()).await;
        assert_eq!(refused.unwrap_err().kind, FaultKind::Internal);
    }
    let many = (0..=crate::vocab::limits::WATCH_URIS_MAX).map(|_| (uri(), resource_permit("a:b"))).collect();
    let refused = upstream.watch(list_permit(), &who("a"), ClientCaps::NONE, ListSet::ALL, many, Vec::new()).await;
    assert_eq!(refused.unwrap_err().kind, FaultKind::Exhausted);
    assert!(server.asked("subscriptions/listen").is_empty());
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
