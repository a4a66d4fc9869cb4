//! One message has one beginning and one end, for every reader: what could be read in two ways is refused, and the connection
//! ends with the refusal, so that nothing behind it is taken for a request.

use crate::gate::Gate;
use crate::wire::Req;

/// A second request hidden behind the first: if it is ever served, it is answered and recorded.
fn smuggled(gate: &Gate, token: &str) -> Vec<u8> {
    gate.call("/mcp", token, "up__write", "{}").bytes()
}

/// The request line and lines as given, the body whatever follows.
fn head(lines: &[String]) -> Vec<u8> {
    format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_read_in_two_ways_is_refused() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let good = gate.call("/mcp", &token, "up__echo", "{}");
    let length = good.body.len();
    let base: Vec<String> =
        String::from_utf8(good.bytes()).unwrap().split("\r\n").map(str::to_owned).take_while(|l| !l.is_empty()).collect();
    // The lines of a good request but its length.
    let lines = |more: &[&str]| {
        let mut lines: Vec<String> = base.iter().filter(|l| !l.starts_with("Content-Length")).cloned().collect();
        lines.extend(more.iter().map(|l| (*l).to_owned()));
        lines
    };
    let swapped = |from: &str, to: &str| {
        let mut all = lines(&[&format!("Content-Length: {length}")]);
        let line = all.iter_mut().find(|l| l.starts_with(from)).unwrap();
        *line = to.to_owned();
        all
    };
    let cl = format!("Content-Length: {length}");
    let chunked = format!("{length:x}\r\n{}\r\n0\r\n\r\n", String::from_utf8(good.body.clone()).unwrap());
    let host = gate.authority();
    let many: Vec<String> = (0..110).map(|i| format!("X-{i}: 1")).collect();
    let many: Vec<&str> = std::iter::once(cl.as_str()).chain(many.iter().map(String::as_str)).collect();
    let large = format!("X-Large: {}", "a".repeat(33 * 1024));
    let cases: Vec<(&str, Vec<String>, u16)> = vec![
        // RFC 9112, 6.1: the chunks count, and the connection ends after the answer.
        ("length and chunks", lines(&[&cl, "Transfer-Encoding: chunked"]), 200),
        ("chunks and length", lines(&["Transfer-Encoding: chunked", &cl]), 200),
        ("gzip, chunked", lines(&["Transfer-Encoding: gzip, chunked"]), 400),
        ("chunked, gzip", lines(&["Transfer-Encoding: chunked, gzip"]), 400),
        ("identity", lines(&["Transfer-Encoding: identity"]), 400),
        ("chunked twice", lines(&["Transfer-Encoding: chunked, chunked"]), 400),
        ("chunked in two lines", lines(&["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]), 400),
        ("empty then chunked", lines(&["Transfer-Encoding: ,chunked"]), 400),
        ("chunked with a parameter", lines(&["Transfer-Encoding: chunked;q=1"]), 400),
        ("vertical tab", lines(&["Transfer-Encoding: \x0bchunked"]), 400),
        ("quoted", lines(&["Transfer-Encoding: \"chunked\""]), 400),
        ("underscored coding", lines(&[&cl, "Transfer_Encoding: chunked"]), 400),
        ("underscored length", lines(&[&cl, "Content_Length: 3"]), 400),
        ("underscored anything", lines(&[&cl, "X_Custom: 3"]), 400),
        ("two lengths", lines(&[&cl, "Content-Length: 0"]), 400),
        ("a list of lengths", lines(&[&format!("Content-Length: {length}, {length}")]), 400),
        ("signed length", lines(&[&format!("Content-Length: +{length}")]), 400),
        ("negative length", lines(&["Content-Length: -1"]), 400),
        ("hex length", lines(&["Content-Length: 0x10"]), 400),
        ("empty length", lines(&["Content-Length: "]), 400),
        ("huge length", lines(&["Content-Length: 99999999999999999999"]), 400),
        ("space before colon", lines(&[&cl, "X-A : 1"]), 400),
        ("obsolete fold", lines(&[&cl, "X-A: 1\r\n folded"]), 400),
        ("no name", lines(&[&cl, ": 1"]), 400),
        ("bare CR", lines(&[&cl, "X-A: a\rX-B: b"]), 400),
        ("NUL in a value", lines(&[&cl, "X-A: a\0b"]), 400),
        ("upgrade", lines(&[&cl, "Connection: Upgrade", "Upgrade: websocket"]), 400),
        ("upgrade alone", lines(&[&cl, "Upgrade: h2c"]), 400),
        ("a header named by Connection", lines(&[&cl, "Connection: close, Authorization"]), 400),
        ("an expectation", lines(&[&cl, "Expect: 200-ok"]), 417),
        ("too many headers", lines(&many), 431),
        ("too large headers", lines(&[&cl, &large]), 431),
        ("HTTP/1.0", swapped("POST", "POST /mcp HTTP/1.0"), 400),
        ("no host", lines(&[&cl]).into_iter().filter(|l| !l.starts_with("Host")).collect(), 400),
        ("two hosts", lines(&[&cl, &format!("Host: {host}")]), 400),
        ("empty host", swapped("Host", "Host: "), 400),
        ("other absolute target", swapped("POST", "POST https://evil.example/mcp HTTP/1.1"), 400),
        ("CONNECT", swapped("POST", &format!("CONNECT {host} HTTP/1.1")), 405),
        ("TRACE", swapped("POST", "TRACE /mcp HTTP/1.1"), 405),
        ("dot segment", swapped("POST", "POST /x/../mcp HTTP/1.1"), 400),
        ("encoded path", swapped("POST", "POST /%6dcp HTTP/1.1"), 404),
        ("double slash", swapped("POST", "POST //mcp HTTP/1.1"), 400),
        ("trailing slash", swapped("POST", "POST /mcp/ HTTP/1.1"), 404),
        ("other case", swapped("POST", "POST /MCP HTTP/1.1"), 404),
        ("query", swapped("POST", "POST /mcp?x=1 HTTP/1.1"), 400),
        ("two media types", lines(&[&cl, "Content-Type: text/plain"]), 400),
        ("text", swapped("Content-Type", "Content-Type: text/plain"), 415),
        ("a form", swapped("Content-Type", "Content-Type: application/x-www-form-urlencoded"), 415),
        ("no media type", lines(&[&cl]).into_iter().filter(|l| !l.starts_with("Content-Type")).collect(), 415),
        ("another charset", swapped("Content-Type", "Content-Type: application/json; charset=utf-16"), 415),
        ("compressed", lines(&[&cl, "Content-Encoding: gzip"]), 415),
        ("GET", swapped("POST", "GET /mcp HTTP/1.1"), 400),
        ("DELETE", swapped("POST", "DELETE /mcp HTTP/1.1"), 400),
        ("PUT", swapped("POST", "PUT /mcp HTTP/1.1"), 405),
    ];
    let mut wrong = Vec::new();
    for (what, lines, status) in &cases {
        let chunks = lines.iter().any(|l| l.to_ascii_lowercase().starts_with("transfer-encoding"));
        let body = if chunks { chunked.clone().into_bytes() } else { good.body.clone() };
        let bytes = [head(lines), body, smuggled(&gate, &token)].concat();
        let writes = || gate.up.calls().iter().filter(|call| call.json()["params"]["name"] == "write").count();
        let (before, written) = (gate.seen(), writes());
        let answer = gate.reach.raw(&bytes).await;
        let right = answer.status == *status && answer.ended && (*status == 200 || gate.seen() == before);
        if !right || writes() != written {
            wrong.push(format!("{what}: {}, ended: {}", answer.whole(), answer.ended));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Below us the HTTP library reads these as one plain request (RFC 9110, 8.6; a fragment is dropped): nothing is hidden.
    for lenient in [lines(&[&cl, &cl]), swapped("POST", "POST /mcp#x HTTP/1.1")] {
        let answer = gate.reach.raw(&[head(&lenient), good.body.clone()].concat()).await;
        assert_eq!((answer.status, answer.closes()), (200, false), "{}", answer.whole());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_are_read_strictly() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let good = gate.call("/mcp", &token, "up__echo", "{}").add("Transfer-Encoding", "chunked");
    let body = String::from_utf8(good.body.clone()).unwrap();
    let size = format!("{:x}", body.len());
    let chunked = |text: String| good.clone().body(text).bytes();
    let ok = gate.reach.raw(&chunked(format!("{size}\r\n{body}\r\n0\r\n\r\n"))).await;
    assert_eq!((ok.status, gate.up.calls().len()), (200, 1), "{}", ok.whole());
    for (what, text) in [
        ("hex prefix", format!("0x{size}\r\n{body}\r\n0\r\n\r\n")),
        ("sign", format!("+{size}\r\n{body}\r\n0\r\n\r\n")),
        ("underscore", format!("{}_0\r\n{body}\r\n0\r\n\r\n", &size[..1])),
        ("overflow", format!("10000000000000000\r\n{body}\r\n0\r\n\r\n")),
        ("not hex", format!("zz\r\n{body}\r\n0\r\n\r\n")),
        ("chunk too short", format!("{size}\r\n{body}xx\r\n0\r\n\r\n")),
        ("no size", format!("\r\n{body}\r\n0\r\n\r\n")),
    ] {
        let answer = gate.reach.raw(&[chunked(text), smuggled(&gate, &token)].concat()).await;
        assert!(answer.status == 400 || answer.status == 0, "{what}: {}", answer.whole());
        assert!(answer.ended, "{what}: {}", answer.whole());
        assert_eq!(gate.up.calls().len(), 1, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_have_a_limit() {
    let gate = Gate::with(|files| files.config = files.config.replace("depth: 64", "depth: 64, body: 4KiB")).await;
    let token = gate.token("alice", &["eng"]);
    let large = gate.call("/mcp", &token, "up__echo", &format!("{{\"x\":\"{}\"}}", "a".repeat(5_000)));
    let size = format!("{:x}\r\n", large.body.len());
    let chunked = [size.as_bytes(), &large.body, b"\r\n0\r\n\r\n"].concat();
    let before = gate.seen();
    for request in
        [large.clone(), large.clone().add("Transfer-Encoding", "chunked").body(chunked), large.add("Content-Length", "999999999")]
    {
        let answer = gate.reach.send(&request).await;
        assert_eq!((answer.status, answer.ended), (413, true), "{}", answer.whole());
    }
    assert_eq!(gate.seen(), before);
}

/// A refusal of every stage that answers before the body is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unread_body_ends_the_connection() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let good = gate.call("/mcp", &token, "up__echo", "{}");
    let refused: [(Req, u16); 6] = [
        (good.clone().set("Host", "evil.example"), 403),
        (good.clone().add("Origin", "https://evil.example"), 403),
        (good.clone().without("Authorization"), 401),
        (good.clone().set("Authorization", "Bearer x"), 401),
        (gate.call("/scoped", &token, "echo", "{}"), 403),
        (gate.call("/nowhere", &token, "echo", "{}"), 404),
    ];
    for (request, status) in refused {
        let answer = gate.reach.raw(&[request.bytes(), smuggled(&gate, &token)].concat()).await;
        assert_eq!((answer.status, answer.ended), (status, true), "{}", answer.whole());
        assert_eq!(gate.seen(), (0, 0));
    }
    // A body that was read leaves the connection as it was, whatever became of the message.
    let mut conn = gate.reach.open().await;
    for (request, status) in [(good.clone().body("{"), 400), (good.clone(), 200), (good.set("Mcp-Name", "x"), 400)] {
        conn.write(&request.bytes()).await;
        let answer = conn.response().await;
        assert_eq!((answer.status, answer.closes()), (status, false), "{}", answer.whole());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_uses_another_method_is_told_which_are_taken() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let session = gate.session("/mcp", &token, "2025-11-25").await;
    let ask = |verb: &str, target: &str| Req::new(verb, target).add("Host", &gate.authority());
    let credential = format!("Bearer {token}");
    let stream = ask("GET", "/mcp").add("Authorization", &credential).add("Mcp-Session-Id", &session);
    let document = "/.well-known/oauth-protected-resource/mcp";
    for (request, allowed) in [
        (ask("PUT", "/mcp"), "GET, POST, DELETE"),
        (ask("OPTIONS", "/mcp"), "GET, POST, DELETE"),
        (ask("TRACE", "/mcp"), "GET, POST, DELETE"),
        (ask("CONNECT", &gate.authority()), "GET, POST, DELETE"),
        (ask("GET", "/new"), "POST"),
        (ask("DELETE", "/new"), "POST"),
        (ask("TRACE", "/new"), "POST"),
        (ask("POST", document), "GET, HEAD"),
        (ask("OPTIONS", document), "GET, HEAD"),
        (ask("TRACE", document), "GET, HEAD"),
        // There is no such stream, but there are the session's other requests.
        (stream.add("Accept", "text/event-stream").add("Last-Event-ID", "7"), "POST, DELETE"),
    ] {
        let answer = gate.reach.send(&request).await;
        let what = format!("{} {}: {}", request.verb, request.target, answer.whole());
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{what}");
    }
    let head = gate.reach.send_h2(&ask("HEAD", "/new").without("Host"), &gate.authority()).await;
    assert_eq!((head.status, head.header("allow")), (405, Some("POST")), "{}", head.whole());
}
