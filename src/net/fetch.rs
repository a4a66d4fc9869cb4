//! Fetches one small document: GET, no redirects, no cookies, no decompression, everything bounded.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, HOST, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::time::timeout_at;
use url::Url;

use super::dial::{DialError, DialPolicy};
use super::stream::{Origin, Stream, connect};
use crate::vocab::Deadline;
use crate::vocab::limits::{HEADER_BYTES_MAX, HEADER_COUNT_MAX};

/// Time for a whole exchange, connecting included.
pub const FETCH_MS_MAX: u64 = 5_000;

/// Why there is no document. The text is for the operator's log.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Not https, and not http to a loopback address.
    #[error("only https is fetched, or http on loopback")]
    Scheme,
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The peer broke HTTP, or the connection.
    #[error("the exchange failed: {0}")]
    Exchange(#[from] hyper::Error),
    /// A redirect, which is never followed.
    #[error("redirected ({0}), and redirects are not followed")]
    Redirect(StatusCode),
    /// Another status than 200.
    #[error("answered {0}")]
    Status(StatusCode),
    /// A `Content-Encoding` that was not asked for.
    #[error("the answer is compressed")]
    Encoded,
    /// The document exceeds the cap.
    #[error("the answer is over {0} bytes")]
    TooLarge(usize),
    /// Not done in time.
    #[error("no answer in time")]
    Timeout,
}

/// A document, and for how long its server calls it fresh.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The body.
    pub body: Bytes,
    /// `max-age` of `Cache-Control` in seconds, 0 for `no-store` and `no-cache`; `None` if the server says nothing.
    pub max_age_s: Option<u64>,
}

/// A GET-only client. One connection per document: documents are few and far between.
#[derive(Clone, Debug)]
pub struct Fetch {
    tls: Arc<ClientConfig>,
    time_max: Duration,
}

impl Fetch {
    /// A client that trusts what `tls` trusts and gives an exchange [`FETCH_MS_MAX`].
    pub fn new(tls: Arc<ClientConfig>) -> Self {
        Self { tls, time_max: Duration::from_millis(FETCH_MS_MAX) }
    }

    /// The same client with another time limit for a whole exchange.
    pub fn with_time_max(self, time_max: Duration) -> Self {
        Self { time_max, ..self }
    }

    /// Fetches `url`, at most `bytes_max` bytes of it, from an address that `policy` permits.
    ///
    /// # Errors
    /// [`FetchError`]; anything but a complete 200 is one.
    pub async fn get(&self, url: &Url, policy: DialPolicy, bytes_max: usize) -> Result<Fetched, FetchError> {
        let origin = Origin::of(url).ok_or(FetchError::Scheme)?;
        if !origin.https && !origin.names_loopback() {
            return Err(FetchError::Scheme);
        }
        let deadline = Deadline::after(self.time_max);
        let stream = connect(&origin, policy, &self.tls, deadline).await?;
        let exchange = Box::pin(exchange(stream, url, &origin, bytes_max));
        timeout_at(deadline.instant().into(), exchange).await.map_err(|_| FetchError::Timeout)?
    }
}

async fn exchange(stream: Stream, url: &Url, origin: &Origin, bytes_max: usize) -> Result<Fetched, FetchError> {
    let (mut sender, mut connection) = http1::Builder::new()
        .max_headers(HEADER_COUNT_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await?;
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = path.parse().map_err(|_| FetchError::Scheme)?;
    let host = origin.authority().parse().map_err(|_| FetchError::Scheme)?;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(ACCEPT, http::HeaderValue::from_static("application/json"));
    request.headers_mut().insert(USER_AGENT, http::HeaderValue::from_static("portcullis"));
    let work = async move {
        let response = sender.send_request(request).await?;
        read(response, bytes_max).await
    };
    tokio::pin!(work);
    // The connection is driven here, beside its only request, so that it ends with it.
    tokio::select! {
        biased;
        done = &mut work => return done,
        ended = &mut connection => ended?,
    }
    work.await
}

async fn read(response: Response<Incoming>, bytes_max: usize) -> Result<Fetched, FetchError> {
    let status = response.status();
    if status.is_redirection() {
        return Err(FetchError::Redirect(status));
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status(status));
    }
    if response.headers().get(CONTENT_ENCODING).is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(FetchError::Encoded);
    }
    let max_age_s = max_age(response.headers());
    let mut body = response.into_body();
    let announced = body.size_hint().lower();
    if announced > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(FetchError::TooLarge(bytes_max));
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if whole.len().saturating_add(data.len()) > bytes_max {
            return Err(FetchError::TooLarge(bytes_max));
        }
        whole.extend_from_slice(&data);
    }
    Ok(Fetched { body: whole.freeze(), max_age_s })
}

/// The freshness that `Cache-Control` grants (RFC 9111 section 5.2.2). Of several values the shortest counts.
fn max_age(headers: &HeaderMap) -> Option<u64> {
    let values = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|v| v.to_str().ok());
    let directives = values.flat_map(|v| v.split(',')).map(str::trim);
    directives
        .filter_map(|directive| {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => Some(0),
                "max-age" => value.trim_matches('"').parse().ok(),
                _ => None,
            }
        })
        .min()
}
