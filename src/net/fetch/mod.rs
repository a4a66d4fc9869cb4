//! Exchanges of one small document: GET and POST, no redirects, no cookies, no decompression, everything bounded.

mod exchange;
mod freshness;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use rustls::ClientConfig;
use tokio::time::timeout_at;
use url::Url;
use url::form_urlencoded::Serializer;

use super::dial::{DialError, DialPolicy};
use super::stream::{Origin, connect};
use crate::vocab::Deadline;

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

/// What is sent.
#[derive(Clone, Copy)]
pub enum Payload<'a> {
    /// Nothing: a GET.
    None,
    /// A POST of name and value pairs (`application/x-www-form-urlencoded`).
    Form(&'a [(&'a str, &'a str)]),
    /// A POST of a JSON text.
    Json(&'a str),
    /// A POST of anything, with its media type.
    Typed(&'static str, &'a Bytes),
}

/// An answer, whatever its status; redirects are errors.
#[derive(Clone)]
pub struct Replied {
    /// The status, never 1xx or 3xx.
    pub status: StatusCode,
    /// The headers, bounded as every head is. What they hold may be secret.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
}

impl Replied {
    /// The media type without parameters, in lower case; `None` if it is absent, repeated or not text.
    pub fn media_type(&self) -> Option<String> {
        let mut values = self.headers.get_all(CONTENT_TYPE).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let essence = value.to_str().ok()?.split(';').next()?.trim();
        Some(essence.to_ascii_lowercase())
    }

    /// For how many seconds a 429 or 503 wants its sender to wait (RFC 9110 section 10.2.3); dates are not looked at.
    pub fn asks_for_s(&self) -> Option<u64> {
        let asks = matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        self.headers.get(RETRY_AFTER).filter(|_| asks)?.to_str().ok()?.parse().ok()
    }

    /// For how many seconds the answer is fresh, as in [`Fetched::max_age_s`].
    pub fn max_age_s(&self) -> Option<u64> {
        freshness::max_age(&self.headers)
    }
}

/// Bodies and headers of these exchanges hold tokens, so only the status is printed.
impl std::fmt::Debug for Replied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replied").field("status", &self.status).finish_non_exhaustive()
    }
}

/// A client. One connection per document: documents are few and far between.
#[derive(Clone, Debug)]
pub struct Fetch {
    tls: Arc<ClientConfig>,
    time_max: Duration,
}

impl Fetch {
    /// A client that trusts what `tls` trusts, shows the certificate `tls` has, if any, and gives an exchange [`FETCH_MS_MAX`].
    pub fn new(tls: Arc<ClientConfig>) -> Self {
        Self { tls, time_max: Duration::from_millis(FETCH_MS_MAX) }
    }

    /// The same client with another time limit for a whole exchange.
    pub fn with_time_max(self, time_max: Duration) -> Self {
        Self { time_max, ..self }
    }

    /// The same client with other TLS settings, such as a client certificate ([`super::tls::with_certificate`]).
    pub fn with_tls(self, tls: Arc<ClientConfig>) -> Self {
        Self { tls, ..self }
    }

    /// The TLS settings in use.
    pub fn tls(&self) -> &Arc<ClientConfig> {
        &self.tls
    }

    /// Fetches `url`, at most `bytes_max` bytes of it, from an address that `policy` permits.
    ///
    /// # Errors
    /// [`FetchError`]; anything but a complete 200 is one.
    pub async fn get(&self, url: &Url, policy: DialPolicy, bytes_max: usize) -> Result<Fetched, FetchError> {
        let got = self.send(url, policy, &[], Payload::None, bytes_max).await?;
        if got.status != StatusCode::OK {
            return Err(FetchError::Status(got.status));
        }
        Ok(Fetched { max_age_s: got.max_age_s(), body: got.body })
    }

    /// Sends `payload` to `url` at an address that `policy` permits, with `headers` beside the usual ones (which they may not
    /// replace but for `Accept`), and reads at most `bytes_max` bytes of the answer, whatever its status.
    ///
    /// The request is sent once. A redirect is an error: nothing that was sent here is sent anywhere else.
    ///
    /// # Errors
    /// [`FetchError`], never [`FetchError::Status`].
    pub async fn send(
        &self,
        url: &Url,
        policy: DialPolicy,
        headers: &[(HeaderName, HeaderValue)],
        payload: Payload<'_>,
        bytes_max: usize,
    ) -> Result<Replied, FetchError> {
        let origin = Origin::of(url).ok_or(FetchError::Scheme)?;
        if !origin.https && !origin.names_loopback() {
            return Err(FetchError::Scheme);
        }
        let mut map = HeaderMap::new();
        map.insert(ACCEPT, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            map.insert(name, value.clone());
        }
        let (method, body) = match payload {
            Payload::None => (Method::GET, Bytes::new()),
            Payload::Form(pairs) => {
                map.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
                (Method::POST, Serializer::new(String::new()).extend_pairs(pairs).finish().into())
            }
            Payload::Typed(media_type, body) => {
                map.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
                (Method::POST, body.clone())
            }
            Payload::Json(text) => {
                map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                (Method::POST, Bytes::copy_from_slice(text.as_bytes()))
            }
        };
        let request = exchange::request(method, url, &origin, map, body)?;
        let deadline = Deadline::after(self.time_max);
        let stream = connect(&origin, policy, &self.tls, deadline).await?;
        let exchange = Box::pin(exchange::run(stream, request, bytes_max));
        timeout_at(deadline.instant().into(), exchange).await.map_err(|_| FetchError::Timeout)?
    }
}
