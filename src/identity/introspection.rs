//! Asks an issuer about a token (RFC 7662): answers kept for a while, one question at a time per token, few in all.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, StatusCode, header};
use moka::sync::Cache;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use tokio::sync::{Mutex, Semaphore};
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::issuer_settings::{IntrospectionSettings, IssuerSettings};
use super::strict_json;
use crate::net::{DialPolicy, Fetch, Origin, Payload};
use crate::vocab::Clock;
use crate::vocab::limits::{INTROSPECTION_BYTES_MAX, INTROSPECTION_WAIT_MS_MAX, INTROSPECTIONS_MAX, TOKEN_CACHE_ENTRIES_MAX};

/// How long a token is known to be none, in milliseconds: long enough to shield the issuer, short enough for one that is made
/// just now.
const NEGATIVE_MS: u64 = 5_000;
/// How long a failure stands for an answer, in milliseconds.
const FAILURE_MS: u64 = 1_000;
/// Tokens that nobody presents for so long are forgotten.
const IDLE: Duration = Duration::from_secs(3_600);

/// What an issuer says of a token.
#[derive(Clone)]
pub(super) enum Answer {
    /// It is active, and this is what it says; believed until then, in milliseconds since the Unix epoch.
    Active { claims: Arc<Map<String, Value>>, until_ms: u64 },
    /// It is no token of theirs, or no longer.
    Inactive,
    /// They did not say.
    Unavailable,
}

/// One issuer's endpoint.
pub(super) struct Introspection {
    issuer: String,
    url: Url,
    policy: DialPolicy,
    authorization: SecretString,
    cache_ms: u64,
    fetch: Fetch,
    clock: Clock,
    /// By digest of the token; the token itself is not kept.
    known: Cache<[u8; 32], Arc<Slot>>,
    places: Semaphore,
}

#[derive(Default)]
struct Slot {
    answer: ArcSwapOption<Known>,
    /// Held while asking.
    flight: Mutex<()>,
}

struct Known {
    answer: Answer,
    until_ms: u64,
}

impl Introspection {
    pub(super) fn new(issuer: &IssuerSettings, settings: &IntrospectionSettings, clock: Clock, fetch: Fetch) -> Self {
        // RFC 6749 section 2.3.1: both are form-encoded before they are joined.
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(&settings.client_id), encoded(settings.client_secret.expose_secret()));
        let allow_loopback = Origin::of(&settings.url).is_some_and(|origin| origin.names_loopback());
        Self {
            issuer: issuer.issuer.clone(),
            url: settings.url.clone(),
            policy: DialPolicy { allow_private: issuer.allow_private_addresses, allow_loopback },
            authorization: SecretString::from(format!("Basic {}", STANDARD.encode(pair))),
            cache_ms: settings.cache_ms,
            fetch,
            clock,
            known: Cache::builder().max_capacity(TOKEN_CACHE_ENTRIES_MAX).time_to_idle(IDLE).build(),
            places: Semaphore::new(INTROSPECTIONS_MAX),
        }
    }

    /// What is known of the token with `digest` without asking.
    pub(super) fn known(&self, digest: &[u8; 32]) -> Option<Answer> {
        self.known.get(digest)?.fresh(self.clock.unix_ms())
    }

    /// Asks about `token`, whose digest is `digest`, unless the answer is known. Those who ask at the same time wait for one
    /// answer, and find it where it is known from then on.
    pub(super) async fn ask(&self, token: &str, digest: [u8; 32]) {
        let slot = self.known.get_with(digest, Arc::default);
        let _one = slot.flight.lock().await;
        if slot.fresh(self.clock.unix_ms()).is_some() {
            return;
        }
        let wait = Duration::from_millis(INTROSPECTION_WAIT_MS_MAX);
        let Ok(Ok(_place)) = tokio::time::timeout(wait, self.places.acquire()).await else { return };
        let asked = self.post(token).await;
        let now_ms = self.clock.unix_ms();
        let (answer, for_ms) = match asked {
            Ok(Some(claims)) => {
                let until_ms = now_ms.saturating_add(self.cache_ms);
                (Answer::Active { claims: Arc::new(claims), until_ms }, self.cache_ms)
            }
            Ok(None) => (Answer::Inactive, NEGATIVE_MS.min(self.cache_ms)),
            Err(why) => {
                tracing::warn!(issuer = %self.issuer, %why, "a token could not be introspected");
                (Answer::Unavailable, FAILURE_MS)
            }
        };
        slot.answer.store(Some(Arc::new(Known { answer, until_ms: now_ms.saturating_add(for_ms) })));
    }

    /// The claims of an active token, nothing for another.
    async fn post(&self, token: &str) -> Result<Option<Map<String, Value>>, String> {
        let mut authorization = HeaderValue::try_from(self.authorization.expose_secret()).map_err(|_| "no credentials")?;
        authorization.set_sensitive(true);
        let headers: [(HeaderName, HeaderValue); 1] = [(header::AUTHORIZATION, authorization)];
        let form = Payload::Form(&[("token", token), ("token_type_hint", "access_token")]);
        let got = self.fetch.send(&self.url, self.policy, &headers, form, INTROSPECTION_BYTES_MAX).await;
        let got = got.map_err(|error| format!("{}: {error}", self.url))?;
        if got.status != StatusCode::OK {
            return Err(format!("{}: answered {}", self.url, got.status));
        }
        if got.media_type().as_deref() != Some("application/json") {
            return Err(format!("{}: the answer is not JSON", self.url));
        }
        let mut members = strict_json::object(&got.body).ok_or("the answer is not one strict JSON object")?;
        match members.remove("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Ok(None),
            _ => return Err("the answer does not say whether the token is active".to_owned()),
        }
        if members.get("token_type").and_then(Value::as_str).is_some_and(is_no_access_token) {
            return Ok(None);
        }
        // RFC 7662 leaves the issuer out at will: it is the one that was asked.
        members.entry("iss").or_insert_with(|| self.issuer.as_str().into());
        Ok(Some(members))
    }
}

impl Slot {
    fn fresh(&self, now_ms: u64) -> Option<Answer> {
        let known = self.answer.load_full()?;
        (now_ms < known.until_ms).then(|| known.answer.clone())
    }
}

/// An active refresh token is active, too.
fn is_no_access_token(token_type: &str) -> bool {
    !["bearer", "dpop", "access_token"].iter().any(|known| token_type.eq_ignore_ascii_case(known))
}
