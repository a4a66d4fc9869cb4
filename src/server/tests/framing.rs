use super::*;

/// Requests that HTTP or the head rules refuse: the status, one answer only, and then the connection is closed.
#[tokio::test]
async fn refused_requests_get_one_answer_and_a_closed_connection() {
    let running = start(DoorSettings::default(), None, SOON);
    // A second request behind each: it must never be answered.
    let next = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let chunked = "4\r\nabcd\r\n0\r\n\r\n";
    let many = (0..120).map(|n| format!("x-{n}: v\r\n")).collect::<String>();
    let large = format!("x-large: {}\r\n", "v".repeat(40_000));
    for (head, body, expect) in [
        ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n", chunked, 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: identity, chunked\r\n", chunked, 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n", chunked, 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: ,chunked\r\n", chunked, 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunked, 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n", "", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n", chunked, 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: \u{b}chunked\r\n", chunked, 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n", chunked, 400),
        ("POST / HTTP/1.1\r\nTransfer_Encoding: chunked\r\n", chunked, 400),
        ("POST / HTTP/1.1\r\nContent_Length: 4\r\n", "abcd", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n", "abcd", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 4, 4\r\n", "abcd", 400),
        ("POST / HTTP/1.1\r\nContent-Length: +4\r\n", "abcd", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 0x4\r\n", "abcd", 400),
        ("POST / HTTP/1.1\r\nContent-Length: -1\r\n", "", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n", "", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 1000000\r\n", "abcd", 413),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", "0x4\r\nabcd\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", "+4\r\nabcd\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", "4_0\r\nabcd\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nabcd\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", "4\r\nabcdX\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.0\r\n", "", 400),
        ("POST / HTTP/1.0\r\nConnection: keep-alive\r\n", "", 400),
        ("POST //x HTTP/1.1\r\n", "", 400),
        ("POST /x/../y HTTP/1.1\r\n", "", 400),
        ("POST /%2e%2e/y HTTP/1.1\r\n", "", 400),
        ("POST http://evil.example/ HTTP/1.1\r\n", "", 400),
        ("POST http://u:p@localhost/ HTTP/1.1\r\n", "", 400),
        ("TRACE / HTTP/1.1\r\n", "", 405),
        ("POST / HTTP/1.1\r\nX-Y: a\r\n folded\r\n", "", 400),
        ("POST / HTTP/1.1\r\nX Y: a\r\n", "", 400),
        ("POST / HTTP/1.1\r\nX-Y: a\0b\r\n", "", 400),
        ("POST / HTTP/1.1\r\n: a\r\n", "", 400),
        ("POST / HTTP/1.1\r\nnocolon\r\n", "", 400),
        ("POST / HTTP/1.1\r\nConnection: authorization\r\n", "", 400),
        ("GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", "", 400),
        ("POST / HTTP/1.1\r\nExpect: 200-maybe\r\n", "", 417),
        ("POST / HTTP/1.1\r\nAuthorization: a\r\nAuthorization: a\r\n", "", 400),
        ("POST / HTTP/1.1\r\nMcp-Name: a\r\nMcp-Name: b\r\n", "", 400),
        ("POST / HTTP/1.1\r\nOrigin: https://evil.example\r\n", "", 403),
        ("POST / HTTP/1.1\r\nOrigin: null\r\n", "", 403),
        (&format!("POST / HTTP/1.1\r\n{many}"), "", 431),
        (&format!("POST / HTTP/1.1\r\n{large}"), "", 431),
        ("POST /refuse HTTP/1.1\r\nContent-Length: 4\r\n", "abcd", 401),
    ] {
        let answer = exchange(&running, format!("{head}Host: localhost\r\n\r\n{body}{next}").as_bytes()).await;
        let shown = head.get(..80).unwrap_or(head);
        assert_eq!(status(&answer), expect, "{shown:?} {body:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{shown:?}: {answer}");
    }
    for (host, expect) in
        [("", 400), ("Host:\r\n", 400), ("Host: localhost\r\nHost: localhost\r\n", 400), ("Host: evil.example\r\n", 403)]
    {
        let answer = exchange(&running, format!("GET / HTTP/1.1\r\n{host}\r\n{next}").as_bytes()).await;
        assert_eq!((status(&answer), answer.matches("HTTP/1.1 ").count()), (expect, 1), "{host:?}: {answer}");
    }
    finish(running).await;
}

/// Content-Length beside Transfer-Encoding is dropped by the HTTP parser, as RFC 9112 section 6.3 allows; then nothing may follow.
#[tokio::test]
async fn a_length_beside_chunks_ends_the_connection() {
    let running = start(DoorSettings::default(), None, SOON);
    let request = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = exchange(&running, request.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    finish(running).await;
}

#[tokio::test]
async fn a_body_is_read_whatever_pieces_it_comes_in() {
    let running = start(DoorSettings::default(), None, SOON);
    let mut stream = connect(&running).await;
    stream.set_nodelay(true).unwrap();
    for request in [
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nabcdef",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n4\r\ncdef\r\n0\r\n\r\n",
    ] {
        for byte in request.bytes() {
            stream.write_all(&[byte]).await.unwrap();
            // Lets the other side run, so that it sees them one by one.
            for _ in 0..16 {
                tokio::task::yield_now().await;
            }
        }
        let answer = one_answer(&mut stream).await;
        assert!(answer.ends_with("\r\n\r\nabcdef"), "{answer}");
    }
    drop(stream);
    finish(running).await;
}

#[tokio::test]
async fn good_requests_share_a_connection() {
    let running = start(DoorSettings::default(), None, SOON);
    let mut stream = connect(&running).await;
    for (request, expect) in [
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nabcd", "abcd"),
        ("POST / HTTP/1.1\r\nHost: 127.0.0.1:1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n", "abcd"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example.com\r\n\r\n", ""),
    ] {
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = one_answer(&mut stream).await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{expect}")), "{answer}");
    }
    assert_eq!(running.stats.accepted(), 1);
    drop(stream);
    finish(running).await;
}

/// A client that is refused while it sends its body must be able to send on, or it never gets to read why it was refused.
#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let running = start(DoorSettings::default(), None, SOON);
    let mut stream = connect(&running).await;
    let head = "POST /refuse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    soon("the answer begins", stream.read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 401");
    for _ in 0..5 {
        stream.write_all(&[b'x'; 10_000]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(rest(&mut stream).await.ends_with("who are you"));
    finish(running).await;
}
