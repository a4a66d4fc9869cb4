//! Upstreams of every kind of misbehaviour, on loopback.
#![expect(clippy::disallowed_methods, reason = "tests")]

mod asked_apart;
mod asking;
mod credentials;
mod hostile;
mod http;
mod listen;
mod live;
mod resume;
mod sessions;
mod sse;
mod stdio;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::*;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::{Method, Outgoing, RawJson, Reply};
use crate::net::{DialPolicy, tls};
use crate::policy::permit::{Evidence, Permit};
use crate::policy::{self, PolicySet};
use crate::vocab::{Class, Deadline, Fault, Principal, PrincipalKey, Revision};

const POLICY: &str = r#"
version: 1
tools: [{ match: ["*"], class: read }]
rules: [{ id: all, effect: allow, principals: [any], tools: ["*"], resources: ["*"] }]
"#;

static RULES: std::sync::LazyLock<PolicySet> = std::sync::LazyLock::new(|| {
    let facts = policy::Facts { upstreams: &["u".to_owned()], issuers: &[] };
    policy::compile(&[("p.yaml".to_owned(), POLICY.to_owned())], &facts).unwrap()
});

fn permit(name: &str) -> Permit {
    let full = format!("u__{name}");
    let kind = policy::Kind::Tool { name: &full, class: Class::Read, arguments: None };
    let asked = policy::Asked { kind, known: true, now_unix_ms: 1, route: "/mcp" };
    policy::decide(&RULES, &Principal::anonymous(), &asked).permit(Evidence::default()).unwrap()
}

fn list_permit() -> Permit {
    policy::decide_list(&RULES, &Principal::anonymous(), "u", policy::Moment { now_unix_ms: 1, route: "/mcp" })
        .permit(Evidence::default())
        .unwrap()
}

fn who(sub: &str) -> PrincipalKey {
    PrincipalKey { iss: Arc::from("test"), sub: Arc::from(sub) }
}

fn tool(name: &str) -> Outgoing {
    Outgoing { name: Some(name.to_owned()), wants_progress: true, ..Outgoing::new(Method::ToolsCall) }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

fn settings(transport: Transport) -> UpstreamSettings {
    UpstreamSettings {
        name: Arc::from("u"),
        transport,
        credential: Credential::None,
        dial: DialPolicy { allow_private: false, allow_loopback: true },
        timeout: Duration::from_secs(5),
        shared: false,
        limits: UpstreamLimits {
            response_bytes: 256 * 1024,
            depth: 32,
            sessions_max: 8,
            processes_max: 4,
            stream_idle: Duration::from_secs(5),
            work_dir: std::env::temp_dir().join("portcullis-test-processes"),
        },
    }
}

type Seen = Arc<Mutex<Vec<String>>>;

fn registry(settings: UpstreamSettings) -> (Arc<Registry>, Arc<Upstream>, Seen) {
    let lists = Seen::default();
    let hook = Arc::clone(&lists);
    let hook: ListHook = Arc::new(move |name, who, listing| {
        hook.lock().push(format!("{name} {:?} {listing:?}", who.map(|w| w.sub.to_string())));
    });
    let registry = Registry::new(tls::client_config(None).unwrap(), hook);
    registry.apply(&[settings]).unwrap();
    let upstream = registry.get("u").unwrap();
    (registry, upstream, lists)
}

/// The reply's members as text, or `error CODE`; what came before it counts as `events`.
async fn finish(answer: &mut Answer) -> Result<String, Fault> {
    loop {
        match answer.next().await.expect("a reply or a fault ends an answer")? {
            Event::Reply(Reply::Result(body)) => {
                let members: Vec<String> = body.members.iter().map(|(k, v)| format!("{}:{}", k.as_str(), v.as_str())).collect();
                assert!(answer.next().await.is_none());
                return Ok(members.join(","));
            }
            Event::Reply(Reply::Error(error)) => return Ok(format!("error {}", error.code)),
            _ => {}
        }
    }
}

async fn call(upstream: &Upstream, sub: &str, name: &str) -> Result<String, Fault> {
    let mut answer = upstream.call(permit(name), &who(sub), &tool(name), soon()).await?;
    finish(&mut answer).await
}

/// One request as a server sees it.
#[derive(Clone, Debug)]
struct Asked {
    head: String,
    body: String,
    /// Which connection it came on, from 0.
    connection: usize,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().filter_map(|l| l.split_once(": ")).find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }

    fn id(&self) -> String {
        let from = self.body.split_once("\"id\":").map_or("0", |(_, rest)| rest);
        from.chars().take_while(char::is_ascii_digit).collect()
    }

    fn method(&self) -> &str {
        self.body.split_once("\"method\":\"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or("")
    }
}

/// A server whose answers are written byte for byte by `answer`; `None` closes the connection, an empty one leaves it silent.
struct Peer {
    url: Url,
    seen: Arc<Mutex<Vec<Asked>>>,
    /// Connections that ended on the client's side.
    closed: Arc<Mutex<Vec<usize>>>,
}

async fn peer(answer: impl Fn(&Asked) -> Option<Vec<u8>> + Send + Sync + 'static) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/mcp", listener.local_addr().unwrap())).unwrap();
    let peer = Peer { url, seen: Arc::default(), closed: Arc::default() };
    let (seen, closed, answer) = (Arc::clone(&peer.seen), Arc::clone(&peer.closed), Arc::new(answer));
    tokio::spawn(async move {
        let mut connection = 0;
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, closed, answer) = (Arc::clone(&seen), Arc::clone(&closed), Arc::clone(&answer));
            tokio::spawn(async move {
                serve(stream, connection, &seen, &*answer).await;
                closed.lock().push(connection);
            });
            connection += 1;
        }
    });
    peer
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    seen: &Mutex<Vec<Asked>>,
    answer: &(dyn Fn(&Asked) -> Option<Vec<u8>> + Send + Sync),
) {
    let mut buffer = BytesMut::new();
    loop {
        let Some(asked) = read_request(&mut stream, &mut buffer, connection).await else { return };
        seen.lock().push(asked.clone());
        let Some(bytes) = answer(&asked) else { return };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut BytesMut, connection: usize) -> Option<Asked> {
    loop {
        let text = String::from_utf8_lossy(buffer).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let mut asked = Asked { head: head.to_owned(), body: String::new(), connection };
            let length: usize = asked.header("content-length").map_or(0, |v| v.parse().unwrap());
            if rest.len() >= length {
                asked.body = rest.get(..length).unwrap().to_owned();
                let _ = buffer.split_to(head.len() + 4 + length);
                return Some(asked);
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn respond(status: &str, headers: &str, body: &str) -> Option<Vec<u8>> {
    Some(format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

fn json(body: &str) -> Option<Vec<u8>> {
    respond("200 OK", "content-type: application/json\r\n", body)
}

fn result(asked: &Asked, members: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{{members}}}}}"#, asked.id())
}

/// Chunked events, the stream ended if `end`.
fn events(events: &[String], end: bool) -> Option<Vec<u8>> {
    let mut out =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for event in events {
        let event = format!("event: message\r\ndata: {event}\r\n\r\n");
        out.push_str(&format!("{:x}\r\n{event}\r\n", event.len()));
    }
    if end {
        out.push_str("0\r\n\r\n");
    }
    Some(out.into_bytes())
}

const DISCOVERED: &str = r#""resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}"#;

/// A stateless server that answers everything but discovery with `answer`.
async fn modern(answer: impl Fn(&Asked) -> Option<Vec<u8>> + Send + Sync + 'static) -> Peer {
    peer(move |asked| match asked.method() {
        "server/discover" => json(&result(asked, DISCOVERED)),
        _ => answer(asked),
    })
    .await
}

fn over(peer: &Peer) -> UpstreamSettings {
    settings(Transport::Http { url: peer.url.clone(), dialect: None })
}

/// Waits until `done`, for 2 s at most.
async fn within_2s(mut done: impl FnMut() -> bool) -> bool {
    for _ in 0..200 {
        if done() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    done()
}
