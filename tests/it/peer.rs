//! A recording upstream: it notes every byte that reaches it, and answers as told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) verb: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The JSON-RPC method.
    pub(crate) fn rpc(&self) -> String {
        self.json()["method"].as_str().unwrap_or_default().to_owned()
    }

    /// True if it does something on a caller's behalf: neither a list nor a handshake.
    fn is_call(&self) -> bool {
        matches!(self.rpc().as_str(), "tools/call" | "prompts/get" | "resources/read" | "completion/complete")
    }

    /// Everything of it as one text.
    pub(crate) fn whole(&self) -> String {
        format!("{} {} {:?} {}", self.verb, self.target, self.headers, self.body)
    }
}

/// What the upstream does with a request.
pub(crate) enum Answer {
    /// A JSON document, with more header lines.
    Json(u16, &'static str, String),
    /// Exactly these bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// The head of an event stream, then this event again and again.
    Endless(String),
    /// The head of an event stream, then this event, then nothing.
    Opened(String),
    /// The head of an event stream, then what is sent here, until nobody sends any more; an array is as many events at once.
    Events(UnboundedReceiver<Value>),
    /// The head of an event stream, then each text as it is sent, until nobody sends any more or the gateway closes.
    Fed(tokio::sync::mpsc::UnboundedReceiver<String>),
    /// A JSON answer that is this many bytes longer than it should be.
    Huge(usize),
    /// Nothing, ever.
    Hang,
    /// Waits to be told, then answers.
    Once(Arc<Notify>, Box<Answer>),
}

type Behave = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

/// See the module. Clones are one.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    behave: Arc<Mutex<Behave>>,
}

impl Peer {
    pub(crate) async fn start(behave: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let behave: Behave = Arc::new(behave);
        let peer = Self { addr, seen: Arc::default(), connections: Arc::default(), behave: Arc::new(Mutex::new(behave)) };
        let (seen, connections, behave) = (peer.seen.clone(), peer.connections.clone(), peer.behave.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(connection(stream, seen.clone(), behave.clone()));
            }
        });
        peer
    }

    /// Answers from now on as `behave` says.
    pub(crate) fn behave(&self, behave: impl Fn(&Seen) -> Answer + Send + Sync + 'static) {
        *self.behave.lock() = Arc::new(behave);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// What it did for callers.
    pub(crate) fn calls(&self) -> Vec<Seen> {
        self.seen.lock().iter().filter(|seen| seen.is_call()).cloned().collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn connection(mut stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>, behave: Arc<Mutex<Behave>>) {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await {
        seen.lock().push(request.clone());
        let behave = behave.lock().clone();
        if !answer(&mut stream, behave(&request)).await {
            return;
        }
    }
}

/// True if the connection goes on.
async fn answer(stream: &mut TcpStream, mut answer: Answer) -> bool {
    loop {
        match answer {
            Answer::Once(told, then) => {
                told.notified().await;
                answer = *then;
            }
            Answer::Json(status, more, body) => {
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{more}\r\n",
                    body.len()
                );
                return stream.write_all(format!("{head}{body}").as_bytes()).await.is_ok();
            }
            Answer::Raw(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                return false;
            }
            Answer::Endless(event) => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await;
                let events = event.repeat(64);
                while stream.write_all(events.as_bytes()).await.is_ok() {}
                return false;
            }
            Answer::Opened(event) => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
                let _ = stream.write_all(format!("{head}{event}").as_bytes()).await;
                let _ = stream.read(&mut [0; 1]).await;
                return false;
            }
            Answer::Events(mut events) => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await;
                let mut gone = [0; 1];
                loop {
                    tokio::select! {
                        event = events.recv() => match event {
                            Some(event) => drop(stream.write_all(lines_of(&event).as_bytes()).await),
                            None => return false,
                        },
                        _ = stream.read(&mut gone) => return false,
                    }
                }
            }
            Answer::Fed(mut texts) => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await;
                let mut byte = [0; 1];
                loop {
                    tokio::select! {
                        text = texts.recv() => match text {
                            Some(text) if stream.write_all(text.as_bytes()).await.is_ok() => {}
                            _ => break,
                        },
                        _ = stream.read(&mut byte) => break,
                    }
                }
                let _ = stream.shutdown().await;
                return false;
            }
            Answer::Huge(bytes) => {
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{{\"jsonrpc\":\"2.0\",\"x\":\"",
                    bytes + 22
                );
                let _ = stream.write_all(head.as_bytes()).await;
                let piece = vec![b'a'; 64 * 1024];
                let mut left = bytes;
                while left > 0 && stream.write_all(&piece[..left.min(piece.len())]).await.is_ok() {
                    left -= left.min(piece.len());
                }
                return false;
            }
            Answer::Hang => {
                // Until the gateway gives up, which closes the connection.
                let _ = stream.read(&mut [0; 1]).await;
                return false;
            }
        }
    }
}

/// An event, or those of an array, to be written at once.
fn lines_of(event: &Value) -> String {
    let events = event.as_array().map_or(std::slice::from_ref(event), Vec::as_slice);
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let end = loop {
        if let Some(at) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut line = lines.next()?.split(' ');
    let (verb, target) = (line.next()?.to_owned(), line.next()?.to_owned());
    let headers: Vec<(String, String)> =
        lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())).collect();
    let length = headers.iter().find(|(n, _)| n == "content-length").and_then(|(_, v)| v.parse().ok()).unwrap_or(0);
    while buffer.len() < end + 4 + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8_lossy(&buffer[end + 4..end + 4 + length]).into_owned();
    buffer.drain(..end + 4 + length);
    Some(Seen { verb, target, headers, body })
}

/// A good answer to any request of an upstream without sessions.
pub(crate) fn modern(seen: &Seen) -> Answer {
    modern_with(seen, &tools())
}

/// As [`modern`], with these tools.
pub(crate) fn modern_with(seen: &Seen, tools: &Value) -> Answer {
    let request = seen.json();
    let mut result = match seen.rpc().as_str() {
        "server/discover" => json!({
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}, "prompts": {}, "resources": {}, "completions": {}, "logging": {}},
            "ttlMs": 0, "cacheScope": "private"
        }),
        method => result(method, &request, tools),
    };
    if result.is_null() {
        let error = json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "Method not found"}});
        return Answer::Json(404, "", error.to_string());
    }
    result["resultType"] = "complete".into();
    reply(&request, &result)
}

/// A good answer to any request of an upstream with sessions (2025-11-25).
pub(crate) fn legacy(seen: &Seen) -> Answer {
    let request = seen.json();
    let method = seen.rpc();
    if method == "initialize" {
        let result = json!({
            "protocolVersion": request["params"]["protocolVersion"], "serverInfo": {"name": "old", "version": "1"},
            "capabilities": {"tools": {}, "prompts": {}, "resources": {}, "completions": {}}
        });
        let body = json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string();
        return Answer::Json(200, "mcp-session-id: upstream-session-canary\r\n", body);
    }
    if seen.header("mcp-session-id").is_none() {
        return Answer::Json(400, "", String::new());
    }
    if request.get("id").is_none() {
        return Answer::Json(202, "", String::new());
    }
    reply(&request, &result(&method, &request, &tools()))
}

fn reply(request: &Value, result: &Value) -> Answer {
    Answer::Json(200, "", json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string())
}

fn result(method: &str, request: &Value, tools: &Value) -> Value {
    let params = &request["params"];
    let text = |text: String| json!([{"type": "text", "text": text}]);
    match method {
        "tools/list" => json!({"tools": tools}),
        "tools/call" => json!({"content": text(format!("did {}", params["name"]))}),
        "prompts/list" => json!({"prompts": [{"name": "greet"}, {"name": "secret"}]}),
        "prompts/get" => json!({"messages": [{"role": "user", "content": {"type": "text", "text": "hello"}}]}),
        "resources/list" => json!({"resources": [
            {"uri": "file:///srv/public/a.txt", "name": "a"}, {"uri": "file:///etc/shadow", "name": "shadow"}]}),
        "resources/templates/list" => json!({"resourceTemplates": []}),
        "resources/read" => json!({"contents": [{"uri": params["uri"], "text": "contents"}]}),
        "completion/complete" => json!({"completion": {"values": ["x"]}}),
        "ping" => json!({}),
        _ => Value::Null,
    }
}

/// The tools of both upstreams.
pub(crate) fn tools() -> Value {
    let open = json!({"type": "object"});
    let tool = |name: &str| json!({"name": name, "inputSchema": open});
    let mirrored = json!({"type": "object", "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "deep": {"type": "object", "properties": {"flag": {"type": "boolean", "x-mcp-header": "Flag"}}}
    }});
    json!([
        tool("echo"),
        tool("limited"),
        tool("write"),
        tool("delete"),
        tool("hidden"),
        tool("two__parts"),
        tool(&"n".repeat(60)),
        tool(&"n".repeat(61)),
        tool(&"l".repeat(100)),
        {"name": "mirror", "inputSchema": mirrored},
        {"name": "raised", "inputSchema": open, "annotations": {"readOnlyHint": false, "destructiveHint": true}}
    ])
}
