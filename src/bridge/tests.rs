//! Lines in, lines out, against a scripted gateway.

use std::sync::Arc;

use bytes::Bytes;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::lines::Lines;
use super::{Settings, run};

/// One request that the gateway got: head in lower case, and body.
struct Got {
    head: String,
    body: String,
}

/// A gateway that answers each connection's requests with what `script` says; an empty answer closes the connection.
async fn gateway(script: impl Fn(&Got) -> String + Send + Sync + 'static) -> (u16, Arc<parking_lot::Mutex<Vec<Got>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let (log, script) = (seen.clone(), Arc::new(script));
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.clone().spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (log, script) = (log.clone(), script.clone());
            tasks.spawn(async move {
                let mut buffer = Vec::new();
                loop {
                    let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") else {
                        if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                            return;
                        }
                        continue;
                    };
                    let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
                    let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
                    while buffer.len() < end + 4 + length {
                        stream.read_buf(&mut buffer).await.unwrap();
                    }
                    let body = String::from_utf8(buffer[end + 4..end + 4 + length].to_vec()).unwrap();
                    buffer.drain(..end + 4 + length);
                    let got = Got { head, body };
                    let answer = script(&got);
                    log.lock().push(got);
                    if answer.is_empty() || stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                    if answer.contains("event-stream") {
                        return;
                    }
                }
            });
        }
    });
    (port, seen)
}

fn json_answer(status: &str, extra: &str, body: &Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 {status}\r\n{extra}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn events(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{text}")
}

const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";

struct Client {
    input: DuplexStream,
    output: BufReader<DuplexStream>,
    _stop: tokio_util::sync::DropGuard,
    carried: tokio::task::JoinHandle<()>,
}

fn client(port: u16) -> Client {
    let (input, theirs) = duplex(1 << 16);
    let (out, output) = duplex(1 << 16);
    let stop = CancellationToken::new();
    let settings = Settings {
        url: format!("http://127.0.0.1:{port}/mcp").parse().unwrap(),
        token: Some(SecretString::from("t0ken")),
        client_id: None,
        tls: crate::net::client_config(None).unwrap(),
        allow_private_addresses: false,
        state_file: None,
        tell: Arc::new(|_| {}),
    };
    let tasks = tokio_util::task::TaskTracker::new();
    let carried = run(settings, theirs, out, stop.clone());
    let carried = tasks.spawn(async move { carried.await.unwrap() });
    Client { input, output: BufReader::new(output), _stop: stop.drop_guard(), carried }
}

impl Client {
    async fn say(&mut self, message: Value) {
        self.input.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap()
    }

    async fn ask(&mut self, message: Value) -> Value {
        self.say(message).await;
        self.hear().await
    }
}

fn modern(id: u32, method: &str, params: Value) -> Value {
    let mut params = params;
    params["_meta"] =
        json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

#[tokio::test]
async fn a_modern_message_leaves_with_the_headers_its_body_wants() {
    let (port, seen) = gateway(|got| {
        let id: Value = serde_json::from_str::<Value>(&got.body).unwrap()["id"].clone();
        if got.body.contains("tools/list") {
            let schema = json!({"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}});
            return json_answer("200 OK", "", &json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", "tools": [{"name": "a", "inputSchema": schema}]}}));
        }
        if !got.head.contains("mcp-param-region: eu") {
            return json_answer("400 Bad Request", "", &json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32020, "message": "x"}}));
        }
        json_answer("200 OK", "", &json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", "content": []}}))
    })
    .await;
    let mut client = client(port);
    let answer = client.ask(modern(7, "tools/call", json!({"name": "a", "arguments": {"region": "eu"}}))).await;
    assert_eq!((&answer["id"], &answer["result"]["content"]), (&json!(7), &json!([])));
    let seen = seen.lock();
    assert_eq!(seen.len(), 3, "refused, listed, repeated");
    for header in ["mcp-protocol-version: 2026-07-28", "mcp-method: tools/call", "mcp-name: a", "authorization: bearer t0ken"] {
        assert!(seen[2].head.contains(header), "{header}: {}", seen[2].head);
    }
    assert!(!seen[2].head.contains("mcp-session-id"));
}

#[tokio::test]
async fn a_session_is_kept_and_opened_again_when_it_is_forgotten() {
    let (port, seen) = gateway(|got| {
        if got.head.starts_with("get ") {
            return "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n".to_owned();
        }
        let id = serde_json::from_str::<Value>(&got.body).unwrap()["id"].clone();
        if got.body.contains("\"initialize\"") {
            static OPENED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);
            let number = OPENED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let result =
                json!({"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "g", "version": "1"}});
            return json_answer(
                "200 OK",
                &format!("mcp-session-id: s{number}\r\n"),
                &json!({"jsonrpc": "2.0", "id": id, "result": result}),
            );
        }
        if got.body.contains("notifications/") {
            return ACCEPTED.to_owned();
        }
        if got.head.contains("mcp-session-id: s1") && got.body.contains("second") {
            return json_answer("404 Not Found", "", &json!({"jsonrpc": "2.0", "error": {"code": -32001, "message": "gone"}}));
        }
        json_answer(
            "200 OK",
            "",
            &json!({"jsonrpc": "2.0", "id": id, "result": {"session": got.head.contains("mcp-session-id: s2")}}),
        )
    })
    .await;
    let mut client = client(port);
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
    let opened = client.ask(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})).await;
    assert_eq!(opened["result"]["protocolVersion"], "2025-06-18");
    client.say(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    let call = |id: u32, name: &str| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": name}});
    assert_eq!(client.ask(call(1, "first")).await["result"]["session"], false);
    assert_eq!(client.ask(call(2, "second")).await["result"]["session"], true, "a new session, without the client noticing");
    let heads: Vec<bool> = seen.lock().iter().map(|got| got.head.contains("mcp-protocol-version: 2025-06-18")).collect();
    assert!(!heads[0] && heads[1..].iter().filter(|has| **has).count() >= 4, "{heads:?}");
}

#[tokio::test]
async fn a_broken_stream_is_resumed_and_an_answer_comes_in_any_case() {
    let (port, _) = gateway(|got| {
        if got.head.starts_with("get ") {
            if !got.head.contains("last-event-id: x.1") {
                return "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n".to_owned();
            }
            return events("id: x.2\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"ok\":true}}\n\n");
        }
        let message: Value = serde_json::from_str(&got.body).unwrap();
        match message["method"].as_str().unwrap() {
            "initialize" => {
                let result = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "g", "version": "1"}});
                json_answer("200 OK", "mcp-session-id: s\r\n", &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))
            }
            "tools/call" => events(
                "id: x.1\nretry: 10\ndata:\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":1}}\n\n",
            ),
            "tools/list" => String::new(),
            _ => "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_owned(),
        }
    })
    .await;
    let mut client = client(port);
    client.ask(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}})).await;
    client.say(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x"}})).await;
    assert_eq!(client.hear().await["method"], "notifications/progress");
    assert_eq!(client.hear().await["result"]["ok"], true);
    for (id, method) in [(2, "tools/list"), (3, "prompts/list")] {
        let answer = client.ask(json!({"jsonrpc": "2.0", "id": id, "method": method})).await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(id), &json!(-32603)), "{answer}");
    }
    let answer = client.ask(json!({"jsonrpc": "2.0", "id": 4})).await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(4), &json!(-32600)), "{answer}");
}

#[tokio::test]
async fn a_refused_token_is_told_and_cancelling_closes_the_stream() {
    let (port, seen) = gateway(|got| {
        if got.body.contains("refused") {
            return "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer error=\"invalid_token\"\r\ncontent-length: 0\r\n\r\n"
                .to_owned();
        }
        if got.body.contains("slow") {
            std::thread::park_timeout(std::time::Duration::from_millis(1));
            return "HTTP/1.1 200 OK\r\ncontent-type: text/plain-stream\r\ncontent-length: 10\r\n\r\n".to_owned();
        }
        json_answer("200 OK", "", &json!({"jsonrpc": "2.0", "id": 9, "result": {"resultType": "complete"}}))
    })
    .await;
    let mut client = client(port);
    let answer = client.ask(modern(1, "tools/call", json!({"name": "refused"}))).await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("PORTCULLIS_TOKEN"), "{answer}");
    client.say(modern(5, "tools/call", json!({"name": "slow"}))).await;
    while seen.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    client.say(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}})).await;
    // Nothing is answered to what was cancelled, and the notification does not leave.
    let answer = client.ask(modern(9, "server/discover", json!({}))).await;
    assert_eq!(answer["id"], 9);
    assert!(seen.lock().iter().all(|got| !got.body.contains("notifications/cancelled")));
}

#[tokio::test]
async fn whoever_does_not_read_does_not_keep_it_from_stopping() {
    let (port, _) = gateway(|_| String::new()).await;
    let mut client = client(port);
    // Each is refused with a line, until neither the pipe nor the queue takes another.
    let refused = b"{}\n".repeat(64 * 1024);
    let stuck = tokio::time::timeout(std::time::Duration::from_millis(500), client.input.write_all(&refused)).await;
    assert!(stuck.is_err(), "the bridge waits for its reader");
    let Client { _stop: stop, carried, output, .. } = client;
    drop(stop);
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(10), carried).await;
    stopped.expect("it stops").unwrap();
    drop(output);
}

#[tokio::test]
async fn lines_are_bounded_and_may_come_in_pieces() {
    let (mut write, read) = duplex(8);
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(async move {
        write.write_all(b"\r\n  {\"a\":\n{\"b\":1}\r\n{\"cut\"").await.unwrap();
    });
    let mut lines = Lines::new(read);
    assert_eq!(lines.next().await.unwrap(), Some(Bytes::from_static(b"{\"a\":")));
    assert_eq!(lines.next().await.unwrap(), Some(Bytes::from_static(b"{\"b\":1}")));
    assert_eq!(lines.next().await.unwrap(), None);
    let endless = tokio::io::repeat(b'x');
    assert!(Lines::new(endless).next().await.is_err());
}
