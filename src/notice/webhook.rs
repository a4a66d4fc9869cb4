//! A webhook: signed, sent once an attempt, and taken as delivered by a 2xx alone.

use super::channel::Trouble;
use super::facts::Facts;
use super::format::body;
use super::limits::NOTICE_ANSWER_BYTES_MAX;
use super::signed::headers;
use crate::config::Webhook;
use crate::net::{DialPolicy, Fetch, Payload};

/// Sends `facts` at `now_s`, in seconds since the Unix epoch.
pub(super) async fn send(fetch: &Fetch, webhook: &Webhook, facts: &Facts, now_s: u64) -> Result<(), Trouble> {
    let body = body(&webhook.format, facts);
    let headers = headers(facts.event.as_str(), &facts.id, webhook.secret.as_ref(), now_s, body.as_bytes());
    let headers = headers.ok_or_else(|| Trouble::new("a header cannot be written"))?;
    let policy = DialPolicy::written(&webhook.url, webhook.allow_private_addresses);
    let sent = fetch.send(&webhook.url, policy, &headers, Payload::Json(&body), NOTICE_ANSWER_BYTES_MAX).await;
    let got = sent.map_err(|error| Trouble::new(error.to_string()))?;
    if got.status.is_success() {
        return Ok(());
    }
    Err(Trouble { words: format!("answered {}", got.status.as_u16()), after_s: got.asks_for_s() })
}
