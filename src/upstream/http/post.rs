//! One request over HTTP, and what its answer is at first sight.
//!
//! The header is built here from nothing: no header of a client can be in it. No redirect is followed, no cookie kept, no
//! compression asked for or accepted.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use rustls::ClientConfig;
use secrecy::ExposeSecret;
use url::Url;

use super::exchange::Exchange;
use super::lane::SendFailure;
use super::pool::{Held, Pool};
use crate::mcp::Lowered;
use crate::net::{DialPolicy, Origin};
use crate::upstream::settings::Credential;
use crate::vocab::limits::UPSTREAM_SESSION_ID_BYTES_MAX;
use crate::vocab::{Deadline, Fault, FaultKind};

/// Where requests go and what they carry, the same for all of them.
pub(super) struct Door {
    pub(super) pool: Arc<Pool>,
    uri: Uri,
    host: HeaderValue,
    credential: Option<(HeaderName, HeaderValue)>,
    bytes_max: usize,
}

/// An answer whose body is still to be read.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) content: Content,
    /// `Mcp-Session-Id`, if it is one.
    pub(super) session: Option<HeaderValue>,
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

/// `Mcp-Session-Id`.
pub(super) static SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

impl Door {
    /// # Errors
    /// What makes the URL or the credential unusable.
    pub(super) fn new(
        url: &Url,
        dial: DialPolicy,
        credential: &Credential,
        tls: Arc<ClientConfig>,
        bytes_max: usize,
    ) -> Result<Self, &'static str> {
        let origin = Origin::of(url).ok_or("the URL is not http or https")?;
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let uri = path.parse().map_err(|_| "the URL has no usable path")?;
        let host = HeaderValue::try_from(origin.authority()).map_err(|_| "the URL has no usable host")?;
        let credential = header_of(credential)?;
        Ok(Self { pool: Arc::new(Pool::new(origin, dial, tls)), uri, host, credential, bytes_max })
    }

    /// Sends a message and waits for the head of the answer.
    pub(super) async fn post(
        &self,
        message: Lowered,
        session: Option<&HeaderValue>,
        replay: Replay,
        deadline: Deadline,
    ) -> Result<Answered, Fault> {
        let Lowered { body, headers } = message;
        let body = Bytes::from(body);
        // A second copy is only needed where the request may go out twice.
        let again = (replay == Replay::Harmless).then(|| (body.clone(), headers.clone()));
        let request = self.request(Method::POST, body, headers, session);
        let held = self.pool.take(false, deadline).await?;
        let reused = held.reused;
        let request = match self.send(held, request).await {
            Ok(answered) => return answered,
            Err(SendFailure::Unsent(request)) => *request,
            Err(SendFailure::Broken(detail)) => match again.filter(|_| reused) {
                Some((body, headers)) => self.request(Method::POST, body, headers, session),
                None => return Err(Fault::upstream(FaultKind::Unreachable, detail)),
            },
        };
        Box::pin(self.send_fresh(request, deadline)).await
    }

    /// Says that a session is over. What comes back is of no interest.
    pub(super) async fn delete(&self, headers: Vec<(HeaderName, HeaderValue)>, session: &HeaderValue, deadline: Deadline) {
        let request = self.request(Method::DELETE, Bytes::new(), headers, Some(session));
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
        let exchange = Exchange::new(held, body, Arc::clone(&self.pool), self.bytes_max)?;
        Ok(Answered { status: head.status, content, session, exchange })
    }

    fn request(
        &self,
        method: Method,
        body: Bytes,
        headers: Vec<(HeaderName, HeaderValue)>,
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
        if let Some((name, value)) = &self.credential {
            map.insert(name, value.clone());
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = map;
        request
    }
}

fn header_of(credential: &Credential) -> Result<Option<(HeaderName, HeaderValue)>, &'static str> {
    let (name, value) = match credential {
        Credential::None => return Ok(None),
        Credential::Bearer(token) => (AUTHORIZATION, HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))),
        Credential::Header { name, value } => (name.clone(), HeaderValue::try_from(value.expose_secret())),
    };
    let ours = [HOST, CONTENT_TYPE, ACCEPT, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, UPGRADE, TE, TRAILER, EXPECT];
    if ours.contains(&name) || name.as_str().starts_with("mcp-") {
        return Err("the credential's header is one the protocol itself uses");
    }
    let mut value = value.map_err(|_| "the credential cannot stand in a header")?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
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
