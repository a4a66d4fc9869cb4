//! A webhook: signed, sent once an attempt, and taken as delivered by a 2xx alone.

use aws_lc_rs::hmac;
use http::{HeaderName, HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};

use super::channel::Trouble;
use super::facts::Facts;
use super::format::body;
use super::limits::NOTICE_ANSWER_BYTES_MAX;
use crate::config::Webhook;
use crate::net::{DialPolicy, Fetch, Origin, Payload};

/// The signature of a body.
const SIGNATURE: HeaderName = HeaderName::from_static("portcullis-signature");
/// The id of a delivery: the same at every attempt.
const DELIVERY: HeaderName = HeaderName::from_static("portcullis-delivery");
/// The word of the event.
const EVENT: HeaderName = HeaderName::from_static("portcullis-event");

/// Sends `facts` at `now_s`, in seconds since the Unix epoch.
pub(super) async fn send(fetch: &Fetch, webhook: &Webhook, facts: &Facts, now_s: u64) -> Result<(), Trouble> {
    let body = body(&webhook.format, facts);
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| Trouble::new("a header cannot be written"));
    let mut headers = vec![(DELIVERY, value(&facts.id)?), (EVENT, value(facts.event.as_str())?)];
    if let Some(secret) = &webhook.secret {
        headers.push((SIGNATURE, value(&signature(secret, now_s, body.as_bytes()))?));
    }
    // A loopback address written in the config is its own consent.
    let allow_loopback = Origin::of(&webhook.url).is_some_and(|origin| origin.names_loopback());
    let policy = DialPolicy { allow_private: webhook.allow_private_addresses, allow_loopback };
    let sent = fetch.send(&webhook.url, policy, &headers, Payload::Json(&body), NOTICE_ANSWER_BYTES_MAX).await;
    let got = sent.map_err(|error| Trouble::new(error.to_string()))?;
    if got.status.is_success() {
        return Ok(());
    }
    let asks_for_time = matches!(got.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let after_s = got.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Err(Trouble { words: format!("answered {}", got.status.as_u16()), after_s: after_s.filter(|_| asks_for_time) })
}

/// `t=UNIX,v1=HEX`, HEX being HMAC-SHA256 under the secret of the time, a dot and the body.
pub fn signature(secret: &SecretString, now_s: u64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(now_s.to_string().as_bytes());
    context.update(b".");
    context.update(body);
    let tag: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={now_s},v1={tag}")
}
