//! The good cases over HTTP, and what becomes of connections.

use std::num::NonZeroUsize;

use super::*;
use crate::net::Workers;

#[tokio::test]
async fn a_call_goes_out_clean_and_comes_back_whole() {
    let peer = modern(|asked| json(&result(asked, r#""content":[],"x":1"#))).await;
    let mut settings = over(&peer);
    settings.credential = Credential::Bearer("s3cret".to_owned().into());
    assert!(!format!("{settings:?}").contains("s3cret"));
    let (_registry, upstream, _) = registry(settings);
    let facts = upstream.ready(&who("a"), ClientCaps::NONE, &list_permit(), soon()).await.unwrap();
    assert_eq!((facts.revision, facts.capabilities.tools), (Revision::V2026_07_28, true));
    assert_eq!(call(&upstream, "a", "t").await.unwrap(), r#""content":[],"x":1"#);
    let seen = peer.seen.lock().clone();
    assert_eq!(seen.iter().map(Asked::method).collect::<Vec<_>>(), ["server/discover", "tools/call"]);
    let asked = &seen[1];
    assert!(asked.head.starts_with("POST /mcp HTTP/1.1\r\n"));
    let mut names: Vec<String> = asked.head.lines().skip(1).map(|l| l.split_once(':').unwrap().0.to_ascii_lowercase()).collect();
    names.sort();
    let allowed = [
        "accept",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        "user-agent",
    ];
    assert_eq!(names, allowed);
    assert_eq!(asked.header("authorization"), Some("Bearer s3cret"));
    assert_eq!(asked.header("accept"), Some("application/json, text/event-stream"));
    assert_eq!(asked.header("mcp-name"), Some("t"));
}

#[tokio::test]
async fn events_come_in_order_and_only_our_own() {
    let peer = modern(|asked| {
        let id = asked.id();
        let progress = |token: &str, n: u32| {
            format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{n}}}}}"#
            )
        };
        events(
            &[
                progress("999", 1),
                progress(&id, 2),
                r#"{"jsonrpc":"2.0","id":999,"result":{"stolen":true}}"#.to_owned(),
                r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"hi"}}"#.to_owned(),
                r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#.to_owned(),
                r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#.to_owned(),
                result(asked, r#""ok":1"#),
                result(asked, r#""ok":2"#),
            ],
            true,
        )
    })
    .await;
    let (registry, upstream, lists) = registry(over(&peer));
    let mut answer = upstream.call(permit("t"), &who("a"), &tool("t"), soon()).await.unwrap();
    let mut got = Vec::new();
    while let Some(event) = answer.next().await {
        got.push(match event.unwrap() {
            Event::Progress { members } => format!("progress {}", members[0].1.as_str()),
            Event::Log { params, .. } => format!("log {}", params.as_str()),
            Event::Reply(Reply::Result(body)) => format!("reply {}", body.members[0].1.as_str()),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(got, ["progress 2", r#"log {"level":"info","data":"hi"}"#, "reply 1"]);
    assert_eq!(*lists.lock(), ["u None Tools"]);
    assert_eq!(registry.dropped_messages(), 2);
    assert!(answer.bytes_in() > 100);
}

#[tokio::test]
async fn connections_are_reused_after_documents_and_streams() {
    let peer = modern(|asked| match asked.body.contains("stream") {
        true => events(&[result(asked, "")], true),
        false => json(&result(asked, "")),
    })
    .await;
    let (_registry, upstream, _) = registry(over(&peer));
    for name in ["a", "stream", "b", "stream", "c"] {
        call(&upstream, "a", name).await.unwrap();
    }
    let connections: Vec<usize> = peer.seen.lock().iter().map(|a| a.connection).collect();
    assert_eq!(connections, [0; 6]);
}

/// A connection of another worker would wake that one for every byte.
#[tokio::test]
async fn each_worker_keeps_connections_of_its_own() {
    let peer = modern(|asked| json(&result(asked, ""))).await;
    let (_registry, upstream, _) = registry(over(&peer));
    let workers = Workers::start(NonZeroUsize::new(2).unwrap()).unwrap();
    let places = [workers.quietest().unwrap(), workers.quietest().unwrap()];
    for place in places.iter().cycle().take(6) {
        let upstream = upstream.clone();
        place.handle().spawn(async move { call(&upstream, "a", "t").await.map(drop) }).await.unwrap().unwrap();
    }
    let calls = peer.seen.lock().iter().filter(|a| a.body.contains("tools/call")).map(|a| a.connection).collect::<Vec<_>>();
    let [one, other, ..] = calls[..] else { panic!("{calls:?}") };
    assert_ne!(one, other);
    assert_eq!(calls, [one, other, one, other, one, other]);
}

#[tokio::test]
async fn a_large_answer_in_many_pieces_arrives_whole() {
    let text = "x".repeat(200_000);
    let want = format!(r#""text":"{text}""#);
    let sent = want.clone();
    let peer = modern(move |asked| json(&result(asked, &sent))).await;
    let (_registry, upstream, _) = registry(over(&peer));
    for _ in 0..3 {
        assert_eq!(call(&upstream, "a", "t").await.unwrap(), want);
    }
    assert!(peer.seen.lock().iter().all(|asked| asked.connection == 0));
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced() {
    // Says nothing about closing and closes after each answer.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let (closed, mut was_closed) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let asked = read_request(&mut stream, &mut BytesMut::new(), 0).await.unwrap();
            let body = if asked.method() == "server/discover" { DISCOVERED } else { "" };
            stream.write_all(&json(&result(&asked, body)).unwrap()).await.unwrap();
            drop(stream);
            closed.send(()).await.unwrap();
        }
    });
    let (_registry, upstream, _) = registry(settings(Transport::Http { url, dialect: None }));
    upstream.ready(&who("a"), ClientCaps::NONE, &list_permit(), soon()).await.unwrap();
    was_closed.recv().await.unwrap();
    for _ in 0..5 {
        // Long enough for the close to have arrived, and for the connection to count as long idle.
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(call(&upstream, "a", "t").await.unwrap(), "");
        was_closed.recv().await.unwrap();
    }
}

#[tokio::test]
async fn a_call_that_may_have_started_is_never_sent_twice() {
    // Reads the call on a reused connection, then closes without a word.
    let peer = modern(|_| None).await;
    let (_registry, upstream, _) = registry(over(&peer));
    upstream.ready(&who("a"), ClientCaps::NONE, &list_permit(), soon()).await.unwrap();
    let fault = call(&upstream, "a", "t").await.unwrap_err();
    assert_eq!(fault.kind, crate::vocab::FaultKind::Unreachable);
    assert_eq!(peer.seen.lock().iter().filter(|a| a.method() == "tools/call").count(), 1);
    // A list may: once more, over a fresh connection.
    let peer = modern(|_| None).await;
    let (_registry, upstream, _) = registry(over(&peer));
    upstream.ready(&who("a"), ClientCaps::NONE, &list_permit(), soon()).await.unwrap();
    let listed = upstream.call(list_permit(), &who("a"), &Outgoing::new(Method::ToolsList), soon()).await;
    assert!(listed.is_err());
    assert_eq!(peer.seen.lock().iter().filter(|a| a.method() == "tools/list").map(|a| a.connection).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn dropping_an_answer_closes_the_stream() {
    let peer = modern(|asked| {
        let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#;
        if asked.body.contains("silent") { Some(Vec::new()) } else { events(&[log.to_owned()], false) }
    })
    .await;
    let (_registry, upstream, _) = registry(over(&peer));
    let mut answer = upstream.call(permit("t"), &who("a"), &tool("t"), soon()).await.unwrap();
    assert!(matches!(answer.next().await, Some(Ok(Event::Log { .. }))));
    assert!(peer.closed.lock().is_empty());
    drop(answer);
    assert!(within_2s(|| !peer.closed.lock().is_empty()).await);
    // And before there is an answer: the future of the call is dropped.
    let waiting = tokio::time::timeout(Duration::from_millis(100), call(&upstream, "a", "silent")).await;
    assert!(waiting.is_err());
    assert!(within_2s(|| peer.closed.lock().len() == 2).await);
    let methods: Vec<String> = peer.seen.lock().iter().map(|a| a.method().to_owned()).collect();
    assert!(!methods.contains(&"notifications/cancelled".to_owned()), "{methods:?}");
}

#[tokio::test]
async fn a_permit_buys_one_operation_of_one_upstream() {
    let peer = modern(|asked| json(&result(asked, ""))).await;
    let mut settings = over(&peer);
    let (registry, upstream, _) = registry(settings.clone());
    let refused = [
        upstream.call(permit("other"), &who("a"), &tool("t"), soon()).await,
        upstream.call(list_permit(), &who("a"), &tool("t"), soon()).await,
        upstream.call(permit("t"), &who("a"), &Outgoing::new(Method::ToolsList), soon()).await,
    ];
    settings.name = Arc::from("v");
    registry.apply(&[settings]).unwrap();
    let other = registry.get("v").unwrap();
    for outcome in refused.into_iter().chain([other.call(permit("t"), &who("a"), &tool("t"), soon()).await]) {
        assert_eq!(outcome.unwrap_err().kind, crate::vocab::FaultKind::Internal);
    }
    assert!(peer.seen.lock().is_empty());
}

#[tokio::test]
async fn many_callers_cause_one_discovery_and_get_their_own_answers() {
    let peer = modern(|asked| {
        let name = asked.body.split_once("\"name\":\"").unwrap().1.split('"').next().unwrap().to_owned();
        json(&result(asked, &format!(r#""name":"{name}""#)))
    })
    .await;
    let (_registry, upstream, _) = registry(over(&peer));
    let calls = (0..200).map(|n| {
        let upstream = Arc::clone(&upstream);
        async move {
            let (sub, name) = (format!("s{n}"), format!("t{n}"));
            assert_eq!(call(&upstream, &sub, &name).await.unwrap(), format!(r#""name":"{name}""#));
        }
    });
    futures_util::future::join_all(calls).await;
    assert_eq!(peer.seen.lock().iter().filter(|a| a.method() == "server/discover").count(), 1);
}

#[tokio::test]
async fn an_unchanged_upstream_keeps_its_connections_over_a_reload() {
    let peer = modern(|asked| json(&result(asked, ""))).await;
    let mut settings = over(&peer);
    let (registry, upstream, _) = registry(settings.clone());
    call(&upstream, "a", "t").await.unwrap();
    registry.apply(std::slice::from_ref(&settings)).unwrap();
    assert!(Arc::ptr_eq(&upstream, &registry.get("u").unwrap()));
    settings.credential = Credential::Bearer("new".to_owned().into());
    registry.apply(std::slice::from_ref(&settings)).unwrap();
    let new = registry.get("u").unwrap();
    assert!(!Arc::ptr_eq(&upstream, &new));
    call(&new, "a", "t").await.unwrap();
    assert_eq!(peer.seen.lock().last().unwrap().header("authorization"), Some("Bearer new"));
    settings.credential = Credential::Bearer("bad\nvalue".to_owned().into());
    let refused = registry.apply(std::slice::from_ref(&settings)).unwrap_err();
    assert!(!refused.to_string().contains("bad"));
    for name in ["host", "mcp-session-id", "transfer-encoding"] {
        settings.credential = Credential::Header { name: name.parse().unwrap(), value: "x".to_owned().into() };
        assert!(registry.apply(std::slice::from_ref(&settings)).is_err(), "{name}");
    }
    assert!(Arc::ptr_eq(&new, &registry.get("u").unwrap()));
    assert_eq!(registry.health(), [(Arc::from("u"), true)]);
    registry.shutdown(soon()).await;
    assert!(registry.get("u").is_none());
}
