//! Whether a credential that was verified still holds: for answers that outlast the moment they were asked for.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::authenticator::Authenticator;
use super::issuer_settings::CLOCK_SKEW_S_DEFAULT;
use super::revocations::Revocations;
use crate::vocab::Principal;
use crate::vocab::principal::{CERTIFICATE_ISSUER, KEY_ISSUER};

impl Authenticator {
    /// What is revoked, for whoever keeps something in the name of people.
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// How long `principal`, authenticated by this or an earlier configuration, still holds as far as is known now: `None`
    /// where its credential does not end by itself.
    ///
    /// # Errors
    /// Why it no longer holds, for the log: it expired, was revoked, or this configuration would not accept it.
    pub fn standing(&self, principal: &Principal) -> Result<Option<Duration>, &'static str> {
        if principal.anonymous {
            return if self.anonymous.is_some() { Ok(None) } else { Err("requests without a credential are no longer served") };
        }
        if self.revocations.hit(principal) {
            return Err("the credential is revoked");
        }
        let (known, skew_s) = match &*principal.iss {
            KEY_ISSUER => (principal.key_id.as_deref().is_some_and(|id| self.api_keys.knows(id, &principal.sub)), 0),
            CERTIFICATE_ISSUER => (self.certificates.is_some(), 0),
            _ => {
                let by = principal.claims.get("iss").and_then(Value::as_str);
                let issuer = self.verifier.issuers.iter().find(|issuer| by == Some(issuer.rules.settings.issuer.as_str()));
                (issuer.is_some(), issuer.map_or(CLOCK_SKEW_S_DEFAULT, |issuer| issuer.rules.settings.clock_skew_s))
            }
        };
        if !known {
            return Err("the credential's issuer or key is no longer configured");
        }
        let Some(expires_s) = principal.expires_at_s else { return Ok(None) };
        let ends_ms = expires_s.saturating_add(skew_s).saturating_mul(1_000);
        match ends_ms.saturating_sub(self.now_ms()) {
            0 => Err("the credential has expired"),
            left_ms => Ok(Some(Duration::from_millis(left_ms))),
        }
    }
}
