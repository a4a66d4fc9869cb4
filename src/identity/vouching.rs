//! What an issuer may say of people where it is not an access token that says it: in grants.

use serde_json::{Map, Value};

use super::claims;
use super::issuer_settings::IssuerSettings;
use super::judge::Rules;

/// The operator's rules for one issuer: of whom it may speak, what it must say, for how long it counts, and by which names.
pub struct Vouching(Rules);

impl Vouching {
    /// The rules of `settings`, except for those about access tokens: audience, type and scopes are for whoever asks.
    ///
    /// # Errors
    /// A glob that is none.
    pub fn of_issuer(settings: &IssuerSettings) -> Result<Self, String> {
        Rules::new(IssuerSettings { audience: Vec::new(), ..settings.clone() }).map(Self)
    }

    /// The `claims` of a statement for `audience`, whose signature holds, by the names that the operator gave them, if the issuer
    /// may say this at `now_s` (seconds since the Unix epoch).
    ///
    /// # Errors
    /// What is wrong with them, for the log.
    pub fn heard(&self, mut claims: Map<String, Value>, audience: &str, now_s: u64) -> Result<Map<String, Value>, &'static str> {
        self.0.judge(&claims, true, audience)?.check(now_s)?;
        claims::rename(&mut claims, &self.0.settings.claims)?;
        Ok(claims)
    }

    /// Difference of clocks tolerated, in seconds.
    pub fn leeway_s(&self) -> u64 {
        self.0.settings.clock_skew_s
    }

    /// Names that the operator gave to claims.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.settings.claims.keys().map(String::as_str)
    }
}
