//! An upstream over HTTP that answers each call with what the call carried, on streams, slowly and out of order, asks
//! persons where a tool does, and keeps a record of the calls that were taken back.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The longest that a call waits for no reason, in milliseconds: answers overtake each other.
const DELAY_MS_MAX: u64 = 7;

/// See the module.
#[derive(Clone)]
pub(crate) struct Echo {
    pub(crate) addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    sessions: bool,
    next: AtomicU64,
    /// Questions that wait for their answer, by session and id.
    asked: Mutex<HashMap<(String, String), oneshot::Sender<Value>>>,
    /// Nonces of calls of `hang` that began, and of those that were taken back.
    begun: Mutex<Vec<String>>,
    taken_back: Mutex<Vec<String>>,
    /// Requests of calls that hang, by session and id.
    hanging: Mutex<HashMap<(String, String), String>>,
    release: Notify,
}

impl Echo {
    /// With `sessions` it speaks 2025-11-25, otherwise 2026-07-28, and nothing else.
    pub(crate) async fn start(sessions: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            sessions,
            next: AtomicU64::new(0),
            asked: Mutex::default(),
            begun: Mutex::default(),
            taken_back: Mutex::default(),
            hanging: Mutex::default(),
            release: Notify::new(),
        });
        let of = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let shared = of.clone();
                let service = service_fn(move |request| {
                    let shared = shared.clone();
                    async move { Ok::<_, Infallible>(serve(shared, request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { addr, shared }
    }

    /// Calls of `hang` that began.
    pub(crate) fn begun(&self) -> Vec<String> {
        self.shared.begun.lock().clone()
    }

    /// Calls of `hang` that the gateway took back, by notification or by ending their stream.
    pub(crate) fn taken_back(&self) -> Vec<String> {
        self.shared.taken_back.lock().clone()
    }

    /// Lets every call of `hang` that began go on to its answer.
    pub(crate) fn release(&self) {
        self.shared.release.notify_waiters();
    }
}

fn whole(status: u16, headers: &[(&str, &str)], body: String) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Full::new(Bytes::from(body)).boxed_unsync()).unwrap()
}

fn json(message: &Value) -> Response<Body> {
    whole(200, &[("content-type", "application/json")], message.to_string())
}

/// The messages that are sent on `events`, as they come.
fn streamed(events: mpsc::UnboundedReceiver<Value>) -> Response<Body> {
    let frames = stream::unfold(events, async |mut events| {
        let message = events.recv().await?;
        Some((Ok(Frame::data(Bytes::from(format!("data: {message}\n\n")))), events))
    });
    Response::builder().header("content-type", "text/event-stream").body(StreamBody::new(frames).boxed_unsync()).unwrap()
}

fn result(id: &Value, mut result: Value, shared: &Shared) -> Value {
    if !shared.sessions && result.get("resultType").is_none() {
        result["resultType"] = "complete".into();
    }
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

fn text(id: &Value, text: &str, shared: &Shared) -> Value {
    result(id, json!({"content": [{"type": "text", "text": text}]}), shared)
}

async fn serve(shared: Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    if request.method() != Method::POST {
        return whole(405, &[], String::new());
    }
    let session = request.headers().get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let Ok(message) = serde_json::from_slice::<Value>(&body) else { return whole(400, &[], String::new()) };
    let (id, method) = (&message["id"], message["method"].as_str().unwrap_or_default());
    let method = if shared.sessions && session.is_none() && method != "initialize" { "none" } else { method };
    let session = session.unwrap_or_default();
    match method {
        "initialize" if shared.sessions => {
            let session = format!("s-{}", shared.next.fetch_add(1, Ordering::SeqCst));
            let told = json!({
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "echo", "version": "1"}
            });
            let answer = result(id, told, &shared).to_string();
            whole(200, &[("content-type", "application/json"), ("mcp-session-id", &session)], answer)
        }
        "server/discover" if !shared.sessions => {
            let told = json!({
                "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 60000, "cacheScope": "private"
            });
            json(&result(id, told, &shared))
        }
        "tools/list" => {
            let tools = ["echo", "ask", "hang"].map(|name| json!({"name": name, "inputSchema": {"type": "object"}}));
            json(&result(id, json!({"tools": tools, "ttlMs": 60000, "cacheScope": "private"}), &shared))
        }
        "tools/call" => called(shared, session, message),
        "" => {
            // The answer to a question.
            let waiting = shared.asked.lock().remove(&(session, id.to_string()));
            let known = waiting.is_some_and(|waiting| waiting.send(message["result"].clone()).is_ok());
            whole(if known { 202 } else { 400 }, &[], String::new())
        }
        "notifications/cancelled" => {
            let call = shared.hanging.lock().remove(&(session, message["params"]["requestId"].to_string()));
            shared.taken_back.lock().extend(call);
            whole(202, &[], String::new())
        }
        method if method.starts_with("notifications/") => whole(202, &[], String::new()),
        _ => {
            let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "Method not found"}});
            whole(404, &[("content-type", "application/json")], error.to_string())
        }
    }
}

/// A call: its stream is answered at once, what it says comes later.
fn called(shared: Arc<Shared>, session: String, message: Value) -> Response<Body> {
    let (events, stream) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (id, params) = (&message["id"], &message["params"]);
        let nonce = params["arguments"]["nonce"].as_str().unwrap_or_default().to_owned();
        let delay = nonce.bytes().fold(id.as_u64().unwrap_or(0), |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
        let token = &params["_meta"]["progressToken"];
        if !token.is_null() {
            let progress = json!({"progressToken": token, "progress": 1, "message": nonce});
            let _ = events.send(json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress}));
        }
        tokio::time::sleep(Duration::from_millis(delay % DELAY_MS_MAX)).await;
        let answer = match params["name"].as_str() {
            Some("ask") if shared.sessions => {
                let answer = ask(&shared, &session, &nonce, &events).await;
                text(id, &format!("{nonce} {answer}"), &shared)
            }
            Some("ask") => match params["inputResponses"]["q"]["content"]["name"].as_str() {
                Some(answer) => text(id, &format!("{} {answer}", params["requestState"].as_str().unwrap_or("?")), &shared),
                None => {
                    let question = json!({"q": {"method": "elicitation/create", "params": form(&nonce)}});
                    let wanted = json!({"resultType": "input_required", "inputRequests": question, "requestState": nonce});
                    result(id, wanted, &shared)
                }
            },
            Some("hang") => {
                shared.begun.lock().push(nonce.clone());
                shared.hanging.lock().insert((session.clone(), id.to_string()), nonce.clone());
                tokio::select! {
                    () = shared.release.notified() => {}
                    () = events.closed() => {
                        // The end of the stream is how the newest revision takes a call back; in sessions it means nothing.
                        if !shared.sessions {
                            shared.taken_back.lock().push(nonce);
                        }
                        return;
                    }
                }
                text(id, &nonce, &shared)
            }
            _ => text(id, &nonce, &shared),
        };
        let _ = events.send(answer);
    });
    streamed(stream)
}

fn form(nonce: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]});
    json!({"mode": "form", "message": nonce, "requestedSchema": schema})
}

/// Asks on the stream of a call; what was answered.
async fn ask(shared: &Shared, session: &str, nonce: &str, events: &mpsc::UnboundedSender<Value>) -> String {
    let (answered, answer) = oneshot::channel();
    // The ids of the questions of all sessions are alike, as the calls of all principals are.
    let id = {
        let mut asked = shared.asked.lock();
        let id = (0_u32..).find(|id| !asked.contains_key(&(session.to_owned(), id.to_string()))).unwrap();
        asked.insert((session.to_owned(), id.to_string()), answered);
        id
    };
    let _ = events.send(json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": form(nonce)}));
    let answer = answer.await.unwrap_or_default();
    answer["content"]["name"].as_str().unwrap_or("nothing").to_owned()
}
