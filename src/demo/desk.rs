//! The API of the console, as somebody who decides about approvals uses it from a program.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use url::Url;

use super::DemoError;
use super::client::{EXCHANGE_S_MAX, authority, over};

/// The console of one gateway, on loopback without TLS.
pub(super) struct Desk {
    url: Url,
    origin: String,
}

impl Desk {
    /// The console at `origin`.
    pub(super) fn new(origin: &str) -> Result<Self, DemoError> {
        let url = Url::parse(origin).map_err(|error| DemoError::fault(origin, error))?;
        Ok(Self { url, origin: origin.to_owned() })
    }

    /// What a token for it is issued for.
    pub(super) fn audience(&self) -> &str {
        &self.origin
    }

    /// Says yes to the request `id`; how it stands then.
    pub(super) async fn approve(&self, token: &SecretString, id: &str, reason: &str) -> Result<String, DemoError> {
        let path = path(id);
        let request = self.build(token, &path, &json!({ "reason": reason })).map_err(|error| DemoError::fault(&path, error))?;
        let exchange = async {
            let address = self.url.socket_addrs(|| None).map_err(|error| error.to_string())?;
            let stream = TcpStream::connect(address.as_slice()).await.map_err(|error| error.to_string())?;
            over(stream, request).await
        };
        let limit = Duration::from_secs(EXCHANGE_S_MAX);
        let answer = tokio::time::timeout(limit, Box::pin(exchange)).await.unwrap_or_else(|late| Err(late.to_string()));
        let answer = answer.map_err(|why| DemoError::unexpected(&path, "an answer", why))?;
        let body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        match body.get("state").and_then(Value::as_str) {
            Some(state) if answer.status == StatusCode::OK => Ok(state.to_owned()),
            _ => Err(DemoError::unexpected(&path, "200 and a state", format!("{} {}", answer.status, answer.text))),
        }
    }

    fn build(&self, token: &SecretString, path: &str, body: &Value) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))?;
        bearer.set_sensitive(true);
        Request::post(path)
            .header(HOST, authority(&self.url))
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, bearer)
            .body(Full::new(Bytes::from(body.to_string())))
    }
}

/// Where the request `id` is approved.
pub(super) fn path(id: &str) -> String {
    format!("/api/v1/approvals/{id}/approve")
}
