//! One request over HTTP, and what its answer is at first sight.
//!
//! The header is built here from nothing: no header of a client can be in it. No redirect is followed, no cookie kept, no
//! compression asked for or accepted.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use rustls::ClientConfig;
use url::Url;

use super::exchange::Exchange;
use super::lane::SendFailure;
use super::pool::{Held, Pool};
use crate::mcp::Lowered;
use crate::net::{DialPolicy, Origin};
use crate::oauth::Challenge;
use crate::upstream::credential::{Refused, Shown};
use crate::vocab::limits::UPSTREAM_SESSION_ID_BYTES_MAX;
use crate::vocab::{Deadline, Fault, FaultKind};

/// Where requests go and what they carry, the same for all of them.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) pool: Arc<Pool>,
    uri: Uri,
    host: HeaderValue,
    bytes_max: usize,
}

/// An answer whose body is still to be read.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) content: Content,
    /// `Mcp-Session-Id`, if it is one.
    pub(super) session: Option<HeaderValue>,
    /// Set for 401 and 403: what the upstream wants to see.
    pub(super) refused: Option<Box<Refused>>,
    pub(super) exchange: Exchange,
}

/// What the body is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Json,
    Stream,
    Other,
}

/// May a request be sent again when the connection it went out on breaks before an answer?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replay {
    /// It changes nothing: on a connection that was idle before, once.
    Harmless,
    /// It may have started something: only if not a byte of it was written.
    Never,
}

/// What is sent.
#[derive(Clone)]
pub(super) enum Sending {
    /// A message.
    Post { message: Lowered, replay: Replay },
    /// The wish for a stream, or for the rest of one: what came after the event `last_event`.
    Get { headers: Vec<(HeaderName, HeaderValue)>, last_event: Option<HeaderValue>, why: GetFor },
}

/// What a stream is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GetFor {
    /// The answers to calls.
    Calls,
    /// What a server may say beside them. Many have no such stream, and refuse it in ways that say nothing of a credential.
    News,
}

/// `Mcp-Session-Id`.
pub(super) static SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// `Last-Event-ID` (HTML Living Standard, 9.2.4).
static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

impl Door {
    /// # Errors
    /// What makes the URL unusable.
    pub(super) fn new(url: &Url, dial: DialPolicy, tls: Arc<ClientConfig>, bytes_max: usize) -> Result<Self, &'static str> {
        let origin = Origin::of(url).ok_or("the URL is not http or https")?;
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let uri = path.parse().map_err(|_| "the URL has no usable path")?;
        let host = HeaderValue::try_from(origin.authority()).map_err(|_| "the URL has no usable host")?;
        Ok(Self { pool: Arc::new(Pool::new(origin, dial, tls)), uri, host, bytes_max })
    }

    /// The same with other connections.
    pub(super) fn apart(&self) -> Self {
        Self { pool: Arc::new(self.pool.apart()), ..self.clone() }
    }

    /// The same server at another path.
    pub(super) fn at(&self, uri: Uri) -> Self {
        Self { uri, ..self.clone() }
    }

    /// Sends something and waits for the head of the answer.
    pub(super) async fn send_out(
        &self,
        sending: Sending,
        shown: &Shown,
        session: Option<&HeaderValue>,
        deadline: Deadline,
    ) -> Result<Answered, Fault> {
        match sending {
            Sending::Post { message, replay } => self.post(message, shown, session, replay, deadline).await,
            Sending::Get { headers, last_event, .. } => {
                let mut request = self.request(Method::GET, Bytes::new(), headers, shown, session);
                request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
                if let Some(id) = last_event {
                    request.headers_mut().insert(&LAST_EVENT_ID, id);
                }
                // Boxed: next to messages it is rare.
                Box::pin(self.send_fresh(request, deadline)).await
            }
        }
    }

    async fn post(
        &self,
        message: Lowered,
        shown: &Shown,
        session: Option<&HeaderValue>,
        replay: Replay,
        deadline: Deadline,
    ) -> Result<Answered, Fault> {
        let Lowered { body, headers } = message;
        let body = Bytes::from(body);
        // A second copy is only needed where the request may go out twice.
        let again = (replay == Replay::Harmless).then(|| (body.clone(), headers.clone()));
        let request = self.request(Method::POST, body, headers, shown, session);
        let held = self.pool.take(false, deadline).await?;
        let reused = held.reused;
        let request = match self.send(held, request).await {
            Ok(answered) => return answered,
            Err(SendFailure::Unsent(request)) => *request,
            Err(SendFailure::Broken(detail)) => match again.filter(|_| reused) {
                Some((body, headers)) => self.request(Method::POST, body, headers, shown, session),
                None => return Err(Fault::upstream(FaultKind::Unreachable, detail)),
            },
        };
        Box::pin(self.send_fresh(request, deadline)).await
    }

    /// Says that a session is over. What comes back is of no interest.
    pub(super) async fn delete(
        &self,
        headers: Vec<(HeaderName, HeaderValue)>,
        shown: &Shown,
        session: &HeaderValue,
        deadline: Deadline,
    ) {
        let request = self.request(Method::DELETE, Bytes::new(), headers, shown, Some(session));
        let Ok(held) = self.pool.take(false, deadline).await else { return };
        let answered = match self.send(held, request).await {
            Err(SendFailure::Unsent(request)) => self.send_fresh(*request, deadline).await,
            Ok(answered) => answered,
            Err(SendFailure::Broken(_)) => return,
        };
        if let Ok(answered) = answered {
            answered.exchange.finish();
        }
    }

    async fn send_fresh(&self, request: Request<Full<Bytes>>, deadline: Deadline) -> Result<Answered, Fault> {
        let held = self.pool.take(true, deadline).await?;
        match self.send(held, request).await {
            Ok(answered) => answered,
            Err(SendFailure::Broken(detail)) => Err(Fault::upstream(FaultKind::Unreachable, detail)),
            Err(SendFailure::Unsent(_)) => Err(Fault::upstream(FaultKind::Unreachable, "closes connections at once")),
        }
    }

    async fn send(&self, mut held: Held, request: Request<Full<Bytes>>) -> Result<Result<Answered, Fault>, SendFailure> {
        let response = held.lane.send(request).await?;
        Ok(self.answered(held, response))
    }

    fn answered(&self, held: Held, response: Response<Incoming>) -> Result<Answered, Fault> {
        let (head, body) = response.into_parts();
        if head.headers.get(CONTENT_ENCODING).is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Fault::upstream(FaultKind::Malformed, "the answer is compressed, which was not asked for"));
        }
        let content = content_of(&head.headers);
        let session = session_of(&head.headers)?;
        let is_refusal = matches!(head.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let refused = is_refusal
            .then(|| Box::new(Refused { status: head.status, challenge: Challenge::bearer(&head.headers), in_session: false }));
        let exchange = Exchange::new(held, body, Arc::clone(&self.pool), self.bytes_max)?;
        Ok(Answered { status: head.status, content, session, refused, exchange })
    }

    fn request(
        &self,
        method: Method,
        body: Bytes,
        headers: Vec<(HeaderName, HeaderValue)>,
        shown: &Shown,
        session: Option<&HeaderValue>,
    ) -> Request<Full<Bytes>> {
        let mut map = HeaderMap::with_capacity(headers.len() + 8);
        map.insert(HOST, self.host.clone());
        map.insert(USER_AGENT, HeaderValue::from_static("portcullis"));
        map.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if method == Method::POST {
            map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in headers {
            // Whatever a dialect writes, only the protocol's own headers leave.
            if name.as_str().starts_with("mcp-") {
                map.insert(name, value);
            }
        }
        if let Some(session) = session {
            map.insert(&SESSION_ID, session.clone());
        }
        // Last: nothing above can stand in its place.
        if let Some((name, value)) = &shown.header {
            map.insert(name, value.clone());
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = map;
        request
    }
}

fn content_of(headers: &HeaderMap) -> Content {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Content::Other };
    let essence = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(b"application/json") {
        Content::Json
    } else if essence.eq_ignore_ascii_case(b"text/event-stream") {
        Content::Stream
    } else {
        Content::Other
    }
}

/// The session id an upstream gave: visible ASCII, bounded, given once (2025-11-25, transports).
fn session_of(headers: &HeaderMap) -> Result<Option<HeaderValue>, Fault> {
    let mut values = headers.get_all(&SESSION_ID).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let bytes = value.as_bytes();
    let visible = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic);
    if !visible || bytes.len() > UPSTREAM_SESSION_ID_BYTES_MAX || values.next().is_some() {
        return Err(Fault::upstream(FaultKind::Malformed, "gives a session id that is none"));
    }
    // Copied: a slice would keep the whole head alive as long as the session.
    let mut value = HeaderValue::from_bytes(bytes).map_err(|_| Fault::internal(FaultKind::Internal, "session id"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}
