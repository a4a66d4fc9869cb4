//! Assertions (RFC 7523): whose they are, for whom, for how long, and that each serves once.

use serde_json::{Map, Value};

use super::client::{Auth, Client};
use super::error::{Code, Refused, unheard};
use super::{AuthServer, TOKEN};
use crate::identity::seconds;
use crate::store::Space;
use crate::web::digest;

/// Longest life of an assertion, in seconds.
const LIFE_S_MAX: u64 = 300;
/// Difference of clocks tolerated.
const LEEWAY_S: u64 = 30;
/// Length of a `jti`.
const JTI_BYTES_MAX: usize = 256;
/// Assertions remembered until they end.
const USED_MAX: u64 = 200_000;

impl AuthServer {
    /// Whether `assertion` shows that `client` sent it (RFC 7523 section 3).
    pub(super) async fn assertion_holds(&self, client: &Client, assertion: &str) -> Result<(), Refused> {
        let invalid = |why: &'static str| Refused::new(Code::InvalidClient, "the client assertion does not hold").because(why);
        let Auth::Keys(keys) = &client.auth else { return Err(invalid("the client has no keys")) };
        let claims = keys.claims(assertion, &["", "JWT", "client-authentication+jwt"]).await;
        let claims = claims.map_err(|error| unheard(error, invalid))?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(&client.id) || text("sub") != Some(&client.id) {
            return Err(invalid("issuer and subject are not the client"));
        }
        // One audience: a list could be meant for somebody else as well, who could then use it here.
        let audience = match claims.get("aud") {
            Some(Value::Array(all)) if all.len() == 1 => all.first().and_then(Value::as_str),
            other => other.and_then(Value::as_str),
        };
        if audience != Some(self.settings.issuer.as_str()) && audience != Some(&self.site.url(TOKEN)) {
            return Err(invalid("another audience"));
        }
        let ends_s = self.in_time(&claims, LIFE_S_MAX, LEEWAY_S).map_err(invalid)?;
        self.once("client", &client.id, &claims, ends_s, invalid).await
    }

    /// When what `claims` say ends, if it holds now and for `life_s` at most, by clocks that differ by up to `leeway_s`.
    pub(super) fn in_time(&self, claims: &Map<String, Value>, life_s: u64, leeway_s: u64) -> Result<u64, &'static str> {
        let now_s = self.clock.unix_s();
        let ends_s = seconds(claims, "exp").ok_or("no expiry")?;
        let late = now_s.saturating_add(leeway_s);
        if now_s >= ends_s.saturating_add(leeway_s) {
            return Err("expired");
        }
        if ends_s > late.saturating_add(life_s) {
            return Err("it holds for too long");
        }
        for name in ["iat", "nbf"] {
            if claims.contains_key(name) && seconds(claims, name).is_none_or(|at| at > late) {
                return Err("not valid yet");
            }
        }
        Ok(ends_s.saturating_add(leeway_s))
    }

    /// Remembers the `jti` of `claims` until `ends_s`; refuses the second time.
    pub(super) async fn once(
        &self,
        what: &str,
        issuer: &str,
        claims: &Map<String, Value>,
        ends_s: u64,
        refused: impl Fn(&'static str) -> Refused,
    ) -> Result<(), Refused> {
        let jti = claims.get("jti").and_then(Value::as_str).filter(|jti| (1..=JTI_BYTES_MAX).contains(&jti.len()));
        let jti = jti.ok_or_else(|| refused("no usable jti"))?;
        // Lengths first, so that no two of (kind, issuer, id) read the same.
        let key = digest(&format!("{what} {} {issuer} {jti}", issuer.len()));
        match self.store().add(Space::UsedAssertion, &key, b"", ends_s, USED_MAX).await? {
            true => Ok(()),
            false => Err(refused("it was used before, or too many are remembered")),
        }
    }
}
