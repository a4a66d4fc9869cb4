//! Servers that do wrong. Each must end as the right fault, in time, and never as an answer.

use super::*;
use crate::vocab::FaultKind::{self, *};

async fn outcome(answer: impl Fn(&Asked) -> Option<Vec<u8>> + Send + Sync + 'static) -> Result<String, FaultKind> {
    let peer = modern(answer).await;
    let mut settings = over(&peer);
    settings.timeout = Duration::from_secs(2);
    settings.limits.stream_idle = Duration::from_millis(600);
    let (_registry, upstream, _) = registry(settings);
    upstream.ready(&who("a"), ClientCaps::NONE, &list_permit(), soon()).await.unwrap();
    let got = call(&upstream, "a", "t").await.map_err(|fault| fault.kind);
    let sent = peer.seen.lock().iter().filter(|a| a.method() == "tools/call").count();
    assert_eq!(sent, 1, "sent {sent} times");
    got
}

#[tokio::test]
async fn misbehaviour_is_a_fault() {
    type Bad = fn(&Asked) -> Option<Vec<u8>>;
    let table: &[(&str, FaultKind, Bad)] = &[
        ("silence", Timeout, |_| Some(Vec::new())),
        ("closes", Unreachable, |_| None),
        ("garbage", Unreachable, |_| Some(b"\x00\x01 not http\r\n\r\n".to_vec())),
        ("head never ends", Timeout, |_| Some(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n".to_vec())),
        ("head too large", Unreachable, |_| Some(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(100_000)).into_bytes())),
        ("stalls in body", Timeout, |_| {
            Some(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{".to_vec())
        }),
        ("continues for ever", Timeout, |_| Some(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(3))),
        ("switches protocols", Malformed, |_| {
            Some(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n".to_vec())
        }),
        ("announces 100 MiB", TooLarge, |_| {
            Some(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 104857600\r\n\r\n".to_vec())
        }),
        ("sends 100 MiB", TooLarge, |_| {
            let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000)).repeat(16);
            Some(
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{chunk}")
                    .into_bytes(),
            )
        }),
        ("endless events", TooLarge, |_| {
            let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#;
            events(&vec![log.to_owned(); 4000], false)
        }),
        ("endless event", TooLarge, |_| events(&["x".repeat(400_000)], false).map(|b| b[..300_000].to_vec())),
        ("silent stream", Timeout, |_| events(&[], false)),
        ("stream ends early", Unreachable, |_| events(&[], true)),
        ("stream for another", Malformed, |a| events(&[result(a, "").replace("\"id\":", "\"id\":7")], true)),
        ("for another", Malformed, |a| json(&result(a, "").replace("\"id\":", "\"id\":7"))),
        ("string id", Malformed, |a| {
            json(&result(a, "").replace(&format!("\"id\":{}", a.id()), &format!("\"id\":\"{}\"", a.id())))
        }),
        ("two documents", Malformed, |a| json(&format!("{}{}", result(a, ""), result(a, "")))),
        ("duplicate key", Malformed, |a| json(&result(a, r#""x":1,"x":2"#))),
        ("duplicate result", Malformed, |a| json(&result(a, "").replace("\"result\"", "\"result\":{},\"result\""))),
        ("a batch", Malformed, |a| json(&format!("[{}]", result(a, "")))),
        ("deep", Malformed, |a| json(&result(a, &format!("\"x\":{}{}", "[".repeat(100), "]".repeat(100))))),
        ("not JSON", Malformed, |_| json("<html>")),
        ("empty", Malformed, |_| json("")),
        ("neither", Malformed, |a| json(&format!(r#"{{"jsonrpc":"2.0","id":{}}}"#, a.id()))),
        ("html", Malformed, |a| respond("200 OK", "content-type: text/html\r\n", &result(a, ""))),
        ("untyped", Malformed, |a| respond("200 OK", "", &result(a, ""))),
        ("two types", Malformed, |a| {
            respond("200 OK", "content-type: application/json\r\ncontent-type: text/html\r\n", &result(a, ""))
        }),
        ("compressed", Malformed, |a| {
            respond("200 OK", "content-type: application/json\r\ncontent-encoding: gzip\r\n", &result(a, ""))
        }),
        ("accepted", Malformed, |_| respond("202 Accepted", "", "")),
        ("no content", Malformed, |_| Some(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())),
        ("created", Malformed, |a| respond("201 Created", "content-type: application/json\r\n", &result(a, ""))),
        ("redirect", Failed, |_| respond("302 Found", "location: http://169.254.169.254/\r\n", "")),
        ("redirect with method", Failed, |_| respond("307 Temporary Redirect", "location: /other\r\n", "")),
        ("401", Unauthorized, |a| respond("401 Unauthorized", "content-type: application/json\r\n", &result(a, ""))),
        ("403", Unauthorized, |_| respond("403 Forbidden", "", "")),
        ("418", Failed, |_| respond("418 I'm a teapot", "", "text")),
        ("404 html", Failed, |_| respond("404 Not Found", "content-type: text/html\r\n", "<p>")),
        ("500", Failed, |a| respond("500 Internal Server Error", "content-type: application/json\r\n", &result(a, ""))),
        ("bad session id", Malformed, |a| {
            respond("200 OK", "content-type: application/json\r\nmcp-session-id: a b\r\n", &result(a, ""))
        }),
    ];
    for some in table.chunks(8) {
        let all = some.iter().map(async |(what, want, answer)| (*what, *want, outcome(answer).await));
        for (what, want, got) in futures_util::future::join_all(all).await {
            assert_eq!(got, Err(want), "{what}");
        }
    }
}

#[tokio::test]
async fn what_the_upstream_says_went_wrong_is_a_reply() {
    let error = |a: &Asked, code: i64| format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":{code},"message":"no"}}}}"#, a.id());
    for (status, code) in
        [("200 OK", -32602), ("400 Bad Request", -32020), ("400 Bad Request", -32022), ("404 Not Found", -32601)]
    {
        let got = outcome(move |a| respond(status, "content-type: application/json\r\n", &error(a, code))).await;
        assert_eq!(got, Ok(format!("error {code}")));
    }
    let orphan = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"no"}}"#;
    let got = outcome(|_| respond("400 Bad Request", "content-type: application/json\r\n", orphan)).await;
    assert_eq!(got, Ok("error -32020".to_owned()));
    let got = outcome(|_| json(orphan)).await;
    assert_eq!(got, Err(Malformed));
}

#[tokio::test]
async fn a_slow_drip_ends_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream, &mut BytesMut::new(), 0).await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(b":\n\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut settings = settings(Transport::Http { url, dialect: Some(Revision::V2026_07_28) });
    settings.timeout = Duration::from_millis(400);
    let (_registry, upstream, _) = registry(settings);
    let fault = tokio::time::timeout(Duration::from_secs(5), call(&upstream, "a", "t")).await.unwrap().unwrap_err();
    assert_eq!(fault.kind, Timeout);
}

#[tokio::test]
async fn bytes_nobody_asked_for_are_nobodys_answer() {
    // A second response behind the first, with the id the next call will have.
    let peer = modern(|asked| {
        let next: u64 = asked.id().parse::<u64>().unwrap() + 1;
        let mut bytes = json(&result(asked, r#""real":1"#)).unwrap();
        let smuggled = result(asked, r#""smuggled":1"#).replace(&format!("\"id\":{}", asked.id()), &format!("\"id\":{next}"));
        bytes.extend(json(&smuggled).unwrap());
        Some(bytes)
    })
    .await;
    let (_registry, upstream, _) = registry(over(&peer));
    for sub in ["a", "b", "c"] {
        assert_eq!(call(&upstream, sub, "t").await.unwrap(), r#""real":1"#);
    }
}

#[tokio::test]
async fn a_dead_upstream_is_left_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let (registry, upstream, _) = registry(settings(Transport::Http { url, dialect: None }));
    for _ in 0..5 {
        assert!(upstream.is_up());
        assert_eq!(call(&upstream, "a", "t").await.unwrap_err().kind, Unreachable);
    }
    assert_eq!(registry.health(), [(Arc::from("u"), false)]);
    let fault = call(&upstream, "a", "t").await.unwrap_err();
    assert_eq!((fault.kind, fault.detail.contains("too often")), (Unreachable, true));
}

#[tokio::test]
async fn what_is_known_of_a_dead_upstream_is_no_sign_of_life() {
    let dead = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_dead = Arc::clone(&dead);
    let peer = modern(move |asked| match is_dead.load(std::sync::atomic::Ordering::Relaxed) {
        true => None,
        false => json(&result(asked, "")),
    })
    .await;
    let (_registry, upstream, _) = registry(over(&peer));
    call(&upstream, "a", "t").await.unwrap();
    let ready = async || upstream.ready(&who("a"), ClientCaps::NONE, &list_permit(), soon()).await;
    dead.store(true, std::sync::atomic::Ordering::Relaxed);
    for _ in 0..5 {
        assert!(upstream.is_up() && ready().await.is_ok());
        assert_eq!(call(&upstream, "a", "t").await.unwrap_err().kind, Unreachable);
    }
    assert!(!upstream.is_up() && ready().await.is_err());
    dead.store(false, std::sync::atomic::Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    // The probe stays for whoever asks.
    assert!(ready().await.is_ok() && !upstream.is_up());
    call(&upstream, "a", "t").await.unwrap();
    assert!(upstream.is_up());
}

#[tokio::test]
async fn addresses_without_consent_are_not_dialled() {
    let peer = modern(|asked| json(&result(asked, ""))).await;
    let mut settings = over(&peer);
    settings.dial = DialPolicy::default();
    let (_registry, upstream, _) = registry(settings);
    assert_eq!(call(&upstream, "a", "t").await.unwrap_err().kind, Unreachable);
    assert!(peer.seen.lock().is_empty());
}
