//! Subscriptions of 2026-07-28, and what upstreams do wrong with them.

use super::live::{Live, Said, live, message};
use super::watch::{TOOLS, at, next, resource_permit, updated, watch};
use super::*;
use crate::mcp::ListSet;
use crate::mcp::reply::Listing;
use crate::vocab::FaultKind;

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
