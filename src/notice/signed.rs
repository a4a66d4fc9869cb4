//! What stands beside a body that is sent as a webhook: what it is, which one it is, and who sent it.

use aws_lc_rs::hmac;
use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

/// The word of the event.
const EVENT: HeaderName = HeaderName::from_static("portcullis-event");
/// The id of a delivery: the same at every attempt.
const DELIVERY: HeaderName = HeaderName::from_static("portcullis-delivery");
/// The signature of a body.
const SIGNATURE: HeaderName = HeaderName::from_static("portcullis-signature");

/// The headers of `body`, which is about `event`; signed at `now_s`, in seconds since the Unix epoch, where there is a secret. `None` if
/// one of them cannot be written.
pub fn headers(
    event: &str,
    delivery: &str,
    secret: Option<&SecretString>,
    now_s: u64,
    body: &[u8],
) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let mut headers = vec![(DELIVERY, HeaderValue::from_str(delivery).ok()?), (EVENT, HeaderValue::from_str(event).ok()?)];
    if let Some(secret) = secret {
        headers.push((SIGNATURE, HeaderValue::from_str(&signature(secret, now_s, body)).ok()?));
    }
    Some(headers)
}

/// `t=UNIX,v1=HEX`, HEX being HMAC-SHA256 under the secret of the time, a dot and the body.
pub(super) fn signature(secret: &SecretString, now_s: u64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(now_s.to_string().as_bytes());
    context.update(b".");
    context.update(body);
    let tag: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={now_s},v1={tag}")
}
