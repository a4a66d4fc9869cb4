//! Requests to the gateway over HTTP/1.1, on connections that are used again.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::ClientConfig;
use tokio_util::task::TaskTracker;
use url::Url;

use super::BridgeError;
use super::lines::LINE_BYTES_MAX;
use crate::net::{DialPolicy, Origin, connect};
use crate::vocab::Deadline;

/// The gateway's address and the connections to it.
pub(super) struct Http {
    origin: Origin,
    uri: Uri,
    host: HeaderValue,
    policy: DialPolicy,
    tls: Arc<ClientConfig>,
    idle: Idle,
    tasks: TaskTracker,
}

type Idle = Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>;

/// An answer whose body is still to be read. Dropped early, its connection is closed.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Incoming,
    sender: SendRequest<Full<Bytes>>,
    idle: Idle,
}

impl Http {
    pub(super) fn new(url: &Url, tls: Arc<ClientConfig>, allow_private: bool, tasks: TaskTracker) -> Result<Self, BridgeError> {
        let wrong = |why| move || BridgeError::Url(why);
        let origin = Origin::of(url).ok_or_else(wrong("the URL is neither https nor http"))?;
        if !origin.https && !origin.names_loopback() {
            return Err(BridgeError::Url("plain http is for loopback only: a token would be readable on the way"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(BridgeError::Url("the URL is that of a route: no user name, query or fragment"));
        }
        let policy = DialPolicy { allow_private, allow_loopback: origin.names_loopback() };
        let uri = url.path().parse().map_err(|_| BridgeError::Url("the URL has no usable path"))?;
        let host = HeaderValue::try_from(origin.authority()).map_err(|_| BridgeError::Url("the URL has no usable host"))?;
        Ok(Self { origin, uri, host, policy, tls, idle: Idle::default(), tasks })
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// What to tell the client: no connection, or one that broke.
    pub(super) async fn send(
        &self,
        method: Method,
        body: Bytes,
        headers: Vec<(HeaderName, HeaderValue)>,
        bearer: Option<&HeaderValue>,
    ) -> Result<Answer, String> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        let map = request.headers_mut();
        map.insert(HOST, self.host.clone());
        map.insert(USER_AGENT, HeaderValue::from_static("portcullis-connect"));
        map.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        map.extend(headers);
        if let Some(bearer) = bearer {
            map.insert(AUTHORIZATION, bearer.clone());
        }
        let reused = self.take_idle();
        if let Some(mut sender) = reused {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(self.answer(sender, response)),
                Err(mut failure) => match failure.take_message() {
                    // Not a byte of it was written.
                    Some(unsent) => request = unsent,
                    None => return Err(format!("the connection to the gateway broke: {}", failure.into_error())),
                },
            }
        }
        let mut sender = self.open().await?;
        let sent = sender.send_request(request).await;
        let response = sent.map_err(|error| format!("the connection to the gateway broke: {error}"))?;
        Ok(self.answer(sender, response))
    }

    fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock();
        idle.retain(|sender| !sender.is_closed());
        let at = idle.iter().position(SendRequest::is_ready)?;
        Some(idle.swap_remove(at))
    }

    async fn open(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let deadline = Deadline::after(CONNECT_MS_MAX);
        let unreachable = |why: &dyn std::fmt::Display| format!("the gateway cannot be reached: {why}");
        let stream = connect(&self.origin, self.policy, &self.tls, deadline).await.map_err(|error| unreachable(&error))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
        self.tasks.spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    fn answer(&self, sender: SendRequest<Full<Bytes>>, response: http::Response<Incoming>) -> Answer {
        let (head, body) = response.into_parts();
        Answer { status: head.status, headers: head.headers, body, sender, idle: self.idle.clone() }
    }
}

impl Answer {
    /// Whether the body is an event stream.
    pub(super) fn is_stream(&self) -> bool {
        self.is("text/event-stream")
    }

    /// Whether the body is JSON.
    pub(super) fn is_json(&self) -> bool {
        self.is("application/json")
    }

    fn is(&self, media: &str) -> bool {
        let text = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media)
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// What to tell the client.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| format!("the gateway's answer broke off: {error}"))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// All of it.
    ///
    /// # Errors
    /// What to tell the client, also when it is over the limit.
    pub(super) async fn whole(mut self) -> Result<Bytes, String> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if whole.len() + chunk.len() > LINE_BYTES_MAX {
                return Err("the gateway's answer is over 16 MiB".to_owned());
            }
            whole.extend_from_slice(&chunk);
        }
        self.done();
        Ok(whole.freeze())
    }

    /// The body was read to its end: the connection can be used again.
    pub(super) fn done(self) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX && !self.sender.is_closed() {
            idle.push(self.sender);
        }
    }
}

/// Connections kept for the next request.
const IDLE_MAX: usize = 8;
/// Time for a connection and its handshake.
const CONNECT_MS_MAX: Duration = Duration::from_millis(10_000);
