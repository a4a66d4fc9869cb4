//! Upstreams of 2024-11-05: one stream, and a URI for messages.

use super::live::{Live, Said, live, message, verb};
use super::*;
use crate::mcp::ListSet;
use crate::mcp::reply::Listing;
use crate::vocab::FaultKind;
use crate::vocab::limits::LINE_CALLS_MAX;

/// A server with HTTP+SSE and nothing else. Answers go to the stream, whoever asked; `call` says what comes for a call.
async fn old(endpoint: &'static str, call: impl Fn(&Asked) -> Vec<String> + Send + Sync + 'static) -> Arc<Live> {
    live(move |asked, server| {
        let target = asked.head.split(' ').nth(1).unwrap();
        if verb(asked) == "GET" {
            let hello = ": hello\n\nretry: 3000\n\nid: 1\nretry: 1\n\n".to_owned();
            return Said::Open("line", vec![hello, format!("event: endpoint\ndata: {endpoint}\n\n")]);
        }
        if target == "/mcp" {
            return Said::Once(respond("404 Not Found", "content-type: text/html\r\n", "Cannot POST /mcp"));
        }
        let answers = match asked.method() {
            "initialize" => vec![result(
                asked,
                r#""protocolVersion":"2024-11-05","capabilities":{"tools":{},"resources":{"subscribe":true}}"#,
            )],
            "resources/subscribe" => vec![result(asked, "")],
            "tools/call" => call(asked),
            _ => Vec::new(),
        };
        for answer in answers {
            server.write("line", &format!("event: message\n{}", message(&answer)));
        }
        Said::Once(respond("202 Accepted", "", "Accepted"))
    })
    .await
}

fn at(server: &Live, dialect: Option<Revision>) -> UpstreamSettings {
    settings(Transport::Http { url: server.url.clone(), dialect })
}

const SSE: Option<Revision> = Some(Revision::V2024_11_05);

#[tokio::test]
async fn is_spoken_to_over_its_stream() {
    let server = old("/messages?session=1", |asked| {
        let progress = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{},"progress":1}}}}"#,
            asked.id()
        );
        vec![progress, r#"{"jsonrpc":"2.0","id":77777,"result":{}}"#.to_owned(), result(asked, r#""ok":1"#)]
    })
    .await;
    let (_registry, upstream, _) = registry(at(&server, SSE));
    let mut answer = upstream.call(permit("t"), &who("a"), &tool("t"), soon()).await.unwrap();
    assert_eq!(answer.revision, Revision::V2024_11_05);
    assert!(matches!(answer.next().await, Some(Ok(Event::Progress { .. }))));
    assert_eq!(finish(&mut answer).await.unwrap(), r#""ok":1"#);
    let (one, two) = tokio::join!(call(&upstream, "a", "t"), call(&upstream, "a", "t"));
    assert_eq!((one.unwrap().as_str(), two.unwrap().as_str()), (r#""ok":1"#, r#""ok":1"#));
    let methods: Vec<_> = server.seen.lock().iter().map(|a| a.method().to_owned()).collect();
    assert_eq!(methods, ["", "initialize", "notifications/initialized", "tools/call", "tools/call", "tools/call"]);
    let posts = server.asked("tools/call");
    assert!(posts.iter().all(|a| a.head.starts_with("POST /messages?session=1 ") && a.header("mcp-session-id").is_none()));
    assert!(upstream.ready(&who("a"), ClientCaps::NONE, &list_permit(), soon()).await.unwrap().capabilities.tools);
}

#[tokio::test]
async fn is_found_out_when_nothing_newer_answers() {
    let server = old("messages", |asked| vec![result(asked, r#""ok":1"#)]).await;
    let (_registry, upstream, _) = registry(at(&server, None));
    assert_eq!(call(&upstream, "a", "t").await.unwrap(), r#""ok":1"#);
    assert_eq!(call(&upstream, "b", "t").await.unwrap(), r#""ok":1"#);
    assert_eq!(
        upstream.ready(&who("a"), ClientCaps::NONE, &list_permit(), soon()).await.unwrap().revision,
        Revision::V2024_11_05
    );
    let refused =
        server.seen.lock().iter().filter(|a| a.head.starts_with("POST /mcp ")).map(|a| a.method().to_owned()).collect::<Vec<_>>();
    assert_eq!(refused, ["server/discover", "initialize"], "asked once");
}

#[tokio::test]
async fn an_endpoint_elsewhere_gets_nothing() {
    for endpoint in ["http://127.0.0.1:1/m", "//localhost/m", "https://evil.example/m", "http://user@127.0.0.1/m", ""] {
        let server = old(endpoint, |_| Vec::new()).await;
        let (_registry, upstream, _) = registry(at(&server, SSE));
        let fault = call(&upstream, "a", "t").await.unwrap_err();
        // An empty reference is the URL of the stream itself, which takes no messages.
        let kind = if endpoint.is_empty() { FaultKind::Failed } else { FaultKind::Malformed };
        assert_eq!(fault.kind, kind, "{endpoint}");
        assert!(server.asked("tools/call").is_empty());
    }
}

#[tokio::test]
async fn a_stream_that_is_none_is_a_fault() {
    let huge = format!("data: {}", "x".repeat(300 * 1024));
    let cases: Vec<(&str, Vec<String>, FaultKind)> = vec![
        ("a message first", vec![message(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)], FaultKind::Malformed),
        ("nothing but times", vec!["retry: 1\n\n".repeat(1000)], FaultKind::Malformed),
        ("no event name", vec!["data: /m\n\n".to_owned()], FaultKind::Malformed),
        ("too large", vec![huge], FaultKind::TooLarge),
        ("too long a URI", vec![format!("event: endpoint\ndata: /{}\n\n", "x".repeat(9000))], FaultKind::Malformed),
    ];
    for (name, first, kind) in cases {
        let server = live(move |asked, _| match verb(asked).as_str() {
            "GET" => Said::Open("line", first.clone()),
            _ => Said::Once(None),
        })
        .await;
        let (_registry, upstream, _) = registry(at(&server, SSE));
        assert_eq!(call(&upstream, "a", "t").await.unwrap_err().kind, kind, "{name}");
        assert!(within_2s(|| server.open("line") == 0).await, "{name}");
    }
    let server = live(|_, _| Said::Once(respond("405 Method Not Allowed", "", ""))).await;
    for dialect in [SSE, None] {
        let (_registry, upstream, _) = registry(at(&server, dialect));
        assert_eq!(call(&upstream, "a", "t").await.unwrap_err().kind, FaultKind::Failed);
    }
}

#[tokio::test]
async fn the_end_of_the_stream_is_the_end_of_the_session() {
    let server = old("/m", |asked| if asked.body.contains("hang") { Vec::new() } else { vec![result(asked, r#""ok":1"#)] }).await;
    let (_registry, upstream, _) = registry(at(&server, SSE));
    let mut hanging = upstream.call(permit("hang"), &who("a"), &tool("hang"), soon()).await.unwrap();
    server.end("line");
    assert_eq!(finish(&mut hanging).await.unwrap_err().kind, FaultKind::Unreachable);
    assert_eq!(call(&upstream, "a", "t").await.unwrap(), r#""ok":1"#);
    assert_eq!(server.asked("initialize").len(), 2);
    let dropped = upstream.call(permit("hang"), &who("a"), &tool("hang"), soon()).await.unwrap();
    drop(dropped);
    assert!(within_2s(|| server.asked("notifications/cancelled").len() == 1).await);
}

#[tokio::test]
async fn garbage_ends_the_session_and_the_calls_in_it() {
    let server = old("/m", |asked| match asked.body.contains("junk") {
        true => vec!["garbage".to_owned()],
        false => vec![result(asked, r#""ok":1"#)],
    })
    .await;
    let (_registry, upstream, _) = registry(at(&server, SSE));
    assert_eq!(call(&upstream, "a", "junk").await.unwrap_err().kind, FaultKind::Malformed);
    assert_eq!(call(&upstream, "a", "t").await.unwrap(), r#""ok":1"#);
}

#[tokio::test]
async fn it_asks_during_a_call_and_is_watched_on_its_stream() {
    let ask = r#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#;
    let server = old("/m", move |_| vec![ask.to_owned()]).await;
    let (_registry, upstream, hooked) = registry(at(&server, SSE));
    let roots = ClientCaps { roots: true, ..ClientCaps::NONE };
    let out = Outgoing { session_capabilities: roots, ..tool("t") };
    let mut answer = upstream.call(permit("t"), &who("a"), &out, soon()).await.unwrap();
    let Some(Ok(Event::Question { id, .. })) = answer.next().await else { panic!() };
    answer.answer(&id, QuestionReply::Result(RawJson::of_static(r#"{"roots":[]}"#))).await.unwrap();
    assert!(server.asked("").iter().any(|a| a.body == r#"{"jsonrpc":"2.0","id":"q","result":{"roots":[]}}"#));
    drop(answer);
    let mut watch = upstream.watch(list_permit(), &who("a"), roots, ListSet::ALL, Vec::new(), Vec::new()).await.unwrap();
    server.write("line", &message(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#));
    assert_eq!(watch.next().await.unwrap(), Happening::ListChanged(Listing::Tools));
    assert_eq!(*hooked.lock(), [r#"u Some("a") Tools"#]);
    server.end("line");
    assert_eq!(watch.next().await.unwrap(), Happening::Missed);
    assert_eq!(server.asked("initialize").len(), 2);
}

/// A server that takes no message cannot make the gateway hold more than so many for it, and none of another session's.
#[tokio::test]
async fn what_nobody_waits_for_is_bounded_for_each_line() {
    const MORE: usize = 7;
    let server = live(|asked, server| {
        if verb(asked) == "GET" {
            let name = if server.open("one") == 0 { "one" } else { "two" };
            return Said::Open(name, vec![format!("event: endpoint\ndata: /{name}\n\n")]);
        }
        let (method, one) = (asked.method(), asked.head.starts_with("POST /one "));
        if method == "initialize" {
            let facts = result(asked, r#""protocolVersion":"2024-11-05","capabilities":{}"#);
            server.write(if one { "one" } else { "two" }, &message(&facts));
        }
        // Answers of the gateway have no method.
        if method.is_empty() && one { Said::Nothing } else { Said::Once(respond("202 Accepted", "", "")) }
    })
    .await;
    let (registry, upstream, _) = registry(at(&server, SSE));
    for sub in ["a", "b"] {
        upstream.ready(&who(sub), ClientCaps::NONE, &list_permit(), soon()).await.unwrap();
    }
    let ask = |id: usize| message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"roots/list"}}"#));
    let answered = |name: &str| server.asked("").iter().filter(|a| a.head.starts_with(&format!("POST /{name} "))).count();
    for id in 0..LINE_CALLS_MAX + MORE {
        server.write("one", &ask(id));
    }
    assert!(within_2s(|| answered("one") == LINE_CALLS_MAX).await, "{}", answered("one"));
    assert!(within_2s(|| registry.dropped_messages() == MORE as u64).await, "{}", registry.dropped_messages());
    server.write("two", &ask(1));
    assert!(within_2s(|| answered("two") == 1).await);
    assert_eq!(answered("one"), LINE_CALLS_MAX);
}
