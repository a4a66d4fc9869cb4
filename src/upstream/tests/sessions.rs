//! Upstreams that want a handshake.

use super::*;
use crate::vocab::FaultKind;

/// A server of 2025-11-25 that mints a session per `initialize` and answers calls with the session they came in.
async fn legacy(answer: impl Fn(&Asked) -> Option<Vec<u8>> + Send + Sync + 'static) -> Peer {
    let minted = std::sync::atomic::AtomicU32::new(0);
    peer(move |asked| match asked.method() {
        "server/discover" => respond("400 Bad Request", "content-type: application/json\r\n", NO_SESSION),
        "initialize" => {
            let n = minted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let headers = format!("content-type: application/json\r\nmcp-session-id: secret-{n}\r\n");
            let body = result(asked, r#""protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{}"#);
            respond("200 OK", &headers, &body)
        }
        _ if asked.head.starts_with("DELETE") => respond("200 OK", "", ""),
        "" => respond("202 Accepted", "", ""),
        method if method.starts_with("notifications/") => respond("202 Accepted", "", ""),
        _ => answer(asked),
    })
    .await
}

const NO_SESSION: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: no session"}}"#;

fn in_session(asked: &Asked) -> Option<Vec<u8>> {
    json(&result(asked, &format!(r#""session":"{}""#, asked.header("mcp-session-id").unwrap_or("none"))))
}

#[tokio::test]
async fn sessions_are_opened_properly_and_kept_apart() {
    let peer = legacy(in_session).await;
    let (_registry, upstream, _) = registry(over(&peer));
    for _ in 0..2 {
        for (sub, session) in [("a", "secret-0"), ("b", "secret-1")] {
            assert_eq!(call(&upstream, sub, "t").await.unwrap(), format!(r#""session":"{session}""#));
        }
    }
    let mut out = tool("t");
    out.session_capabilities = ClientCaps { roots: true, ..ClientCaps::NONE };
    let mut answer = upstream.call(permit("t"), &who("a"), &out, soon()).await.unwrap();
    assert_eq!(answer.revision, Revision::V2025_06_18);
    assert_eq!(finish(&mut answer).await.unwrap(), r#""session":"secret-2""#);
    let seen = peer.seen.lock().clone();
    let first: Vec<_> = seen.iter().take(4).map(Asked::method).collect();
    assert_eq!(first, ["server/discover", "initialize", "notifications/initialized", "tools/call"]);
    assert!(seen[1].body.contains(r#""protocolVersion":"2025-11-25""#));
    assert_eq!(seen[1].header("mcp-session-id"), None);
    assert_eq!(
        (seen[2].header("mcp-session-id"), seen[2].header("mcp-protocol-version")),
        (Some("secret-0"), Some("2025-06-18"))
    );
    assert!(seen.last().unwrap().head.contains("secret-2"));
    assert!(seen.iter().any(|a| a.method() == "initialize" && a.body.contains(r#""capabilities":{"roots":{}}"#)));
    assert_eq!(seen.iter().filter(|a| a.method() == "server/discover").count(), 1);
}

#[tokio::test]
async fn a_shared_upstream_has_one_session_without_capabilities() {
    let peer = legacy(in_session).await;
    let mut settings = over(&peer);
    settings.shared = true;
    let (_registry, upstream, _) = registry(settings);
    for sub in ["a", "b"] {
        let mut out = tool("t");
        out.session_capabilities = ClientCaps { roots: true, ..ClientCaps::NONE };
        let mut answer = upstream.call(permit("t"), &who(sub), &out, soon()).await.unwrap();
        assert_eq!(finish(&mut answer).await.unwrap(), r#""session":"secret-0""#);
    }
    assert!(peer.seen.lock().iter().all(|a| a.method() != "initialize" || a.body.contains(r#""capabilities":{}"#)));
}

#[tokio::test]
async fn concurrent_first_calls_open_one_session() {
    let peer = legacy(in_session).await;
    let (_registry, upstream, _) = registry(over(&peer));
    let got = futures_util::future::join_all((0..20).map(|_| call(&upstream, "a", "t"))).await;
    assert!(got.iter().all(|r| r.as_deref().unwrap() == r#""session":"secret-0""#));
    assert_eq!(peer.seen.lock().iter().filter(|a| a.method() == "initialize").count(), 1);
}

#[tokio::test]
async fn a_session_the_upstream_forgot_is_replaced_once() {
    let peer = legacy(|asked| match asked.header("mcp-session-id") {
        Some("secret-0") => respond("404 Not Found", "content-type: application/json\r\n", NO_SESSION),
        // It knows the session, and says 404 of what was called.
        _ if asked.body.contains("never") => respond("404 Not Found", "", ""),
        _ => in_session(asked),
    })
    .await;
    let (_registry, upstream, _) = registry(over(&peer));
    assert_eq!(call(&upstream, "a", "t").await.unwrap(), r#""session":"secret-1""#);
    assert_eq!(call(&upstream, "a", "never").await.unwrap_err().kind, FaultKind::Failed);
    assert_eq!(peer.seen.lock().iter().filter(|a| a.body.contains("never")).count(), 1);
}

#[tokio::test]
async fn too_many_sessions_evict_the_oldest_and_say_farewell() {
    let peer = legacy(in_session).await;
    let mut settings = over(&peer);
    settings.limits.sessions_max = 2;
    let (registry, upstream, _) = registry(settings);
    for sub in ["a", "b", "a", "c"] {
        call(&upstream, sub, "t").await.unwrap();
    }
    let deleted = || -> Vec<String> {
        let seen = peer.seen.lock();
        let deletes = seen.iter().filter(|a| a.head.starts_with("DELETE"));
        deletes.map(|a| a.header("mcp-session-id").unwrap().to_owned()).collect()
    };
    assert!(within_2s(|| deleted() == ["secret-1"]).await, "{:?}", deleted());
    registry.shutdown(soon()).await;
    let mut all = deleted();
    all.sort();
    assert_eq!(all, ["secret-0", "secret-1", "secret-2"]);
}

#[tokio::test]
async fn dropping_a_call_cancels_it_in_its_session() {
    let peer = legacy(|asked| {
        let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#;
        match asked.body.contains("silent") {
            true => Some(Vec::new()),
            false => events(&[log.to_owned()], false),
        }
    })
    .await;
    let (_registry, upstream, _) = registry(over(&peer));
    let mut answer = upstream.call(permit("t"), &who("a"), &tool("t"), soon()).await.unwrap();
    assert!(matches!(answer.next().await, Some(Ok(Event::Log { .. }))));
    drop(answer);
    let waiting = tokio::time::timeout(Duration::from_millis(100), call(&upstream, "a", "silent")).await;
    assert!(waiting.is_err());
    let cancelled =
        || -> Vec<Asked> { peer.seen.lock().iter().filter(|a| a.method() == "notifications/cancelled").cloned().collect() };
    assert!(within_2s(|| cancelled().len() == 2).await);
    let ids: Vec<String> = peer.seen.lock().iter().filter(|a| a.method() == "tools/call").map(Asked::id).collect();
    for id in ids {
        let found = cancelled().into_iter().find(|a| a.body.contains(&format!("\"requestId\":{id}"))).unwrap();
        assert_eq!(found.header("mcp-session-id"), Some("secret-0"));
    }
}

#[tokio::test]
async fn questions_of_an_upstream_are_answered_so_that_it_never_hangs() {
    let peer = legacy(|asked| {
        let ping = r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#.to_owned();
        let ask = r#"{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{}}"#.to_owned();
        events(&[ping, ask, result(asked, "")], true)
    })
    .await;
    let (_registry, upstream, _) = registry(over(&peer));
    call(&upstream, "a", "t").await.unwrap();
    let answers = || -> Vec<Asked> { peer.seen.lock().iter().filter(|a| a.method().is_empty()).cloned().collect() };
    assert!(within_2s(|| answers().len() == 2).await);
    assert!(answers().iter().any(|a| a.body == r#"{"jsonrpc":"2.0","id":"p","result":{}}"#));
    assert!(answers().iter().any(|a| a.body.starts_with(r#"{"jsonrpc":"2.0","id":5,"error":{"code":-32601"#)));
    assert!(answers().iter().all(|a| a.header("mcp-session-id") == Some("secret-0")));
}

#[tokio::test]
async fn only_a_refusal_is_evidence_of_the_era() {
    for (status, kind) in [
        ("401 Unauthorized", FaultKind::Unauthorized),
        ("403 Forbidden", FaultKind::Unauthorized),
        ("500 Internal Server Error", FaultKind::Failed),
        ("503 Service Unavailable", FaultKind::Failed),
        ("429 Too Many Requests", FaultKind::Failed),
    ] {
        let peer = peer(move |_| respond(status, "", "")).await;
        let (_registry, upstream, _) = registry(over(&peer));
        assert_eq!(call(&upstream, "a", "t").await.unwrap_err().kind, kind, "{status}");
        assert!(peer.seen.lock().iter().all(|a| a.method() == "server/discover"), "{status}");
    }
    for (said, ready) in
        [("", true), (r#""x":1"#, true), (r#""supportedVersions":["2031-01-01"]"#, false), (r#""supportedVersions":1"#, false)]
    {
        let peer = peer(move |asked| match asked.method() {
            "server/discover" => json(&result(asked, said)),
            "initialize" => json(&result(asked, r#""protocolVersion":"2025-11-25","capabilities":{}"#)),
            "notifications/initialized" => respond("202 Accepted", "", ""),
            _ => in_session(asked),
        })
        .await;
        let (_registry, upstream, _) = registry(over(&peer));
        assert_eq!(call(&upstream, "a", "t").await.is_ok(), ready, "{said}");
    }
    let error =
        |asked: &Asked, code: i32| format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":{code},"message":"no"}}}}"#, asked.id());
    for (status, code) in [("404 Not Found", -32601), ("200 OK", -32601), ("200 OK", -32602), ("400 Bad Request", -32600)] {
        let peer = peer(move |asked| match asked.method() {
            "server/discover" => respond(status, "content-type: application/json\r\n", &error(asked, code)),
            "initialize" => json(&result(asked, r#""protocolVersion":"2025-11-25","capabilities":{}"#)),
            "notifications/initialized" => respond("202 Accepted", "", ""),
            _ => in_session(asked),
        })
        .await;
        let (_registry, upstream, _) = registry(over(&peer));
        assert_eq!(call(&upstream, "a", "t").await.unwrap(), r#""session":"none""#, "{status} {code}");
    }
}

/// Some answer whatever they do not know with an empty result.
#[tokio::test]
async fn a_result_without_versions_is_no_discovery() {
    for (told, works) in [("", true), (r#""supportedVersions":["1999-01-01"]"#, false)] {
        let peer = peer(move |asked| match asked.method() {
            "server/discover" => json(&result(asked, told)),
            "initialize" => json(&result(asked, r#""protocolVersion":"2025-11-25","capabilities":{}"#)),
            "notifications/initialized" => respond("202 Accepted", "", ""),
            _ => in_session(asked),
        })
        .await;
        let (_registry, upstream, _) = registry(over(&peer));
        assert_eq!(call(&upstream, "a", "t").await.is_ok(), works, "{told}");
    }
}

#[tokio::test]
async fn a_pinned_dialect_asks_nothing_and_is_kept_to() {
    let peer = legacy(in_session).await;
    let transport = |dialect| Transport::Http { url: peer.url.clone(), dialect: Some(dialect) };
    let (_r, upstream, _) = registry(settings(transport(Revision::V2025_06_18)));
    call(&upstream, "a", "t").await.unwrap();
    assert_eq!(peer.seen.lock()[0].method(), "initialize");
    let (_r, upstream, _) = registry(settings(transport(Revision::V2025_11_25)));
    assert_eq!(call(&upstream, "a", "t").await.unwrap_err().kind, FaultKind::Malformed);
    peer.seen.lock().clear();
    let (_r, upstream, _) = registry(settings(transport(Revision::V2026_07_28)));
    call(&upstream, "a", "t").await.unwrap();
    assert_eq!(peer.seen.lock().len(), 1);
}

fn may_ask(name: &str, session_capabilities: ClientCaps) -> Outgoing {
    Outgoing { session_capabilities, ..tool(name) }
}

#[tokio::test]
async fn a_question_that_may_be_asked_waits_for_its_answer() {
    let peer = legacy(|asked| {
        let ask = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"elicitation/create","params":{{"message":"m"}}}}"#);
        let never = r#"{"jsonrpc":"2.0","id":9,"method":"roots/list"}"#.to_owned();
        events(&[ask("5"), never, ask("\"five\""), result(asked, "")], true)
    })
    .await;
    let (_registry, upstream, _) = registry(over(&peer));
    let form = ClientCaps { elicitation_form: true, ..ClientCaps::NONE };
    let mut answer = upstream.call(permit("t"), &who("a"), &may_ask("t", form), soon()).await.unwrap();
    let mut asked = Vec::new();
    for _ in 0..2 {
        let Some(Ok(Event::Question { id, method, params })) = answer.next().await else { panic!() };
        assert_eq!((method.as_str(), params.unwrap().as_str()), ("elicitation/create", r#"{"message":"m"}"#));
        asked.push(id);
    }
    let result = RawJson::of_static(r#"{"action":"accept","content":{"n":1.0},"_meta":{"traceparent":"x"}}"#);
    answer.answer(&asked[0], QuestionReply::Result(result)).await.unwrap();
    let error = QuestionReply::Error { code: -1, message: "no \"thanks\"".to_owned() };
    answer.answer(&asked[1], error).await.unwrap();
    assert!(matches!(answer.next().await, Some(Ok(Event::Reply(Reply::Result(_))))));
    assert!(answer.answer(&asked[0], QuestionReply::Refused).await.is_err());
    let bodies = || -> Vec<String> {
        let seen = peer.seen.lock();
        let answers = seen.iter().filter(|a| a.head.starts_with("POST") && a.method().is_empty());
        answers
            .map(|a| {
                assert_eq!(
                    (a.header("mcp-session-id"), a.header("mcp-protocol-version")),
                    (Some("secret-0"), Some("2025-06-18"))
                );
                a.body.clone()
            })
            .collect()
    };
    assert!(within_2s(|| bodies().len() == 3).await);
    for body in [
        r#"{"jsonrpc":"2.0","id":5,"result":{"action":"accept","content":{"n":1.0}}}"#,
        r#"{"jsonrpc":"2.0","id":"five","error":{"code":-1,"message":"no \"thanks\""}}"#,
        r#"{"jsonrpc":"2.0","id":9,"error":{"code":-32601,"message":"Method not found"}}"#,
    ] {
        assert!(bodies().iter().any(|b| b == body), "{body} {:?}", bodies());
    }
    let opened = peer.seen.lock().iter().find(|a| a.method() == "initialize").unwrap().body.clone();
    assert!(opened.contains(r#""capabilities":{"elicitation":{"form":{}}}"#), "{opened}");
}

#[tokio::test]
async fn nobody_is_asked_outside_of_calls_or_in_a_shared_session() {
    let peer = legacy(|asked| {
        let ask = r#"{"jsonrpc":"2.0","id":5,"method":"roots/list"}"#.to_owned();
        events(&[ask, result(asked, r#""tools":[]"#)], true)
    })
    .await;
    for shared in [false, true] {
        peer.seen.lock().clear();
        let mut settings = over(&peer);
        settings.shared = shared;
        let (_registry, upstream, _) = registry(settings);
        let list = Outgoing { session_capabilities: ClientCaps::ALL, ..Outgoing::new(Method::ToolsList) };
        let mut answers = vec![upstream.call(list_permit(), &who("a"), &list, soon()).await.unwrap()];
        if shared {
            answers.push(upstream.call(permit("t"), &who("a"), &may_ask("t", ClientCaps::ALL), soon()).await.unwrap());
        }
        for answer in &mut answers {
            assert!(matches!(answer.next().await, Some(Ok(Event::Reply(_)))));
        }
        let refused = || peer.seen.lock().iter().filter(|a| a.body.contains(r#""id":5,"error":{"code":-32601"#)).count();
        assert!(within_2s(|| refused() == answers.len()).await, "{shared}");
    }
}

#[tokio::test]
async fn an_upstream_that_refuses_the_revision_gets_the_call_in_one_it_names() {
    for (supported, outcome) in
        [(r#"["2025-11-25"]"#, r#""ok":1"#), (r#"["2031-01-01"]"#, "error -32022"), ("[]", "error -32022")]
    {
        let peer = peer(move |asked| match (asked.method(), asked.header("mcp-session-id")) {
            ("server/discover", _) => json(&result(asked, DISCOVERED)),
            ("initialize", _) => {
                let headers = "content-type: application/json\r\nmcp-session-id: s\r\n";
                respond("200 OK", headers, &result(asked, r#""protocolVersion":"2025-11-25","capabilities":{}"#))
            }
            ("tools/call", Some("s")) => json(&result(asked, r#""ok":1"#)),
            ("tools/call", _) => {
                let data = format!(r#"{{"supported":{supported},"requested":"2026-07-28"}}"#);
                let body =
                    format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32022,"message":"no","data":{data}}}}}"#, asked.id());
                respond("400 Bad Request", "content-type: application/json\r\n", &body)
            }
            _ => respond("202 Accepted", "", ""),
        })
        .await;
        let (_registry, upstream, _) = registry(over(&peer));
        assert_eq!(call(&upstream, "a", "t").await.unwrap(), outcome, "{supported}");
        assert_eq!(call(&upstream, "a", "t").await.unwrap(), outcome, "{supported}");
        let refused =
            peer.seen.lock().iter().filter(|a| a.method() == "tools/call" && a.header("mcp-session-id").is_none()).count();
        assert_eq!(refused, if outcome.starts_with("error") { 2 } else { 1 }, "{supported}");
    }
}
