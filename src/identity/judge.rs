//! Claims, wherever they came from, against what is known of their issuer (RFC 7519 section 4, RFC 9068 section 4).
//!
//! A token and an introspection answer are judged by the same rules.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::claims::lookup;
use super::issuer_settings::{IssuerSettings, TokenType};
use super::settings::globs;
use crate::policy::Glob;

/// Length of a subject.
const SUB_BYTES_MAX: usize = 256;

/// One issuer's settings, compiled.
pub(super) struct Rules {
    pub(super) settings: IssuerSettings,
    subjects: Vec<Glob>,
}

/// When a verified token holds, in seconds since the Unix epoch, leeway included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    pub(super) not_before_s: u64,
    /// The first second at which it no longer holds.
    pub(super) ends_s: u64,
}

impl Validity {
    pub(super) fn check(self, now_s: u64) -> Result<(), &'static str> {
        if now_s >= self.ends_s {
            return Err("the token has expired");
        }
        if now_s < self.not_before_s {
            return Err("the token is not valid yet");
        }
        Ok(())
    }
}

impl Rules {
    /// # Errors
    /// A glob that is none.
    pub(super) fn new(settings: IssuerSettings) -> Result<Self, String> {
        Ok(Self { subjects: globs(&settings.subjects)?, settings })
    }

    /// Checks everything but signature and time: that these are the claims of an access token of this issuer for one of the
    /// audiences. `typed`: the token says that it is an access token.
    ///
    /// # Errors
    /// What is wrong with them, for the log.
    pub(super) fn judge(&self, claims: &Map<String, Value>, typed: bool, resource_url: &str) -> Result<Validity, &'static str> {
        let settings = &self.settings;
        if claims.get("iss").and_then(Value::as_str) != Some(settings.issuer.as_str()) {
            return Err("another issuer");
        }
        match (typed, settings.token_type) {
            (true, _) => {}
            (false, TokenType::AccessToken) => return Err("the type does not say access token"),
            (false, TokenType::Any) if is_other_token(claims) => return Err("not an access token"),
            (false, TokenType::Any) => {}
        }
        let sub = claims.get("sub").and_then(Value::as_str).ok_or("no subject")?;
        if !is_subject(sub) {
            return Err("the subject is empty, too long, or holds control characters");
        }
        self.audience(claims, resource_url)?;
        if !self.subjects.is_empty() && !self.subjects.iter().any(|glob| glob.matches(sub)) {
            return Err("a subject that the issuer may not vouch for here");
        }
        if !has_claims(claims, &settings.required_claims) {
            return Err("a claim that is required is missing or different");
        }
        self.validity(claims)
    }

    fn audience(&self, claims: &Map<String, Value>, resource_url: &str) -> Result<(), &'static str> {
        let accepted = &self.settings.audience;
        let expected = |aud: &str| if accepted.is_empty() { aud == resource_url } else { accepted.iter().any(|a| a == aud) };
        let meant_for_us = match claims.get("aud") {
            Some(Value::String(aud)) => expected(aud),
            Some(Value::Array(all)) if all.iter().all(Value::is_string) => all.iter().filter_map(Value::as_str).any(expected),
            Some(_) => return Err("the audience is not a string or an array of strings"),
            None => return Err("no audience"),
        };
        if meant_for_us { Ok(()) } else { Err("another audience") }
    }

    fn validity(&self, claims: &Map<String, Value>) -> Result<Validity, &'static str> {
        let skew_s = self.settings.clock_skew_s;
        let mut expires_s = time(claims, "exp")?.ok_or("no expiry")?;
        let issued_s = time(claims, "iat")?;
        if let Some(age_s_max) = self.settings.token_age_s_max {
            let issued_s = issued_s.ok_or("no time of issue, and the age of tokens is limited")?;
            expires_s = expires_s.min(issued_s.saturating_add(age_s_max));
        }
        // A token from the future was made by a clock, or a program, that nobody should rely on.
        let not_before_s = time(claims, "nbf")?.unwrap_or(0).max(issued_s.unwrap_or(0)).saturating_sub(skew_s);
        Ok(Validity { not_before_s, ends_s: expires_s.saturating_add(skew_s) })
    }
}

/// Whether `claims` say each of `required` (a dotted path -> texts of which one suffices).
pub fn has_claims(claims: &Map<String, Value>, required: &BTreeMap<String, Vec<String>>) -> bool {
    required.iter().all(|(path, wanted)| lookup(claims, path).is_some_and(|value| says(value, wanted)))
}

/// Whether `value` is one of `wanted`: a string, an array with such a string, or a boolean or whole number written the same.
fn says(value: &Value, wanted: &[String]) -> bool {
    match value {
        Value::String(text) => wanted.contains(text),
        Value::Array(items) => items.iter().any(|item| item.as_str().is_some_and(|text| wanted.iter().any(|w| w == text))),
        Value::Bool(_) | Value::Number(_) => wanted.contains(&value.to_string()),
        Value::Null | Value::Object(_) => false,
    }
}

/// Marks of id, refresh and logout tokens, which some issuers sign with the same key and type.
pub(super) fn is_other_token(claims: &Map<String, Value>) -> bool {
    let has = |name: &str| claims.contains_key(name);
    let says = |name: &str, words: &[&str]| {
        claims.get(name).and_then(Value::as_str).is_some_and(|v| words.iter().any(|w| v.eq_ignore_ascii_case(w)))
    };
    ["at_hash", "c_hash", "s_hash", "events"].iter().any(|name| has(name))
        || (has("nonce") && !has("scope") && !has("scp"))
        || says("token_use", &["id", "refresh"])
        || says("typ", &["ID", "Refresh", "Offline", "Logout"])
}

/// Whether `sub` can be a subject.
pub(super) fn is_subject(sub: &str) -> bool {
    !sub.is_empty() && sub.len() <= SUB_BYTES_MAX && !sub.chars().any(char::is_control)
}

/// A NumericDate (RFC 7519 section 2) in whole seconds.
///
/// # Errors
/// A claim that is no such date.
pub(super) fn time(claims: &Map<String, Value>, claim: &str) -> Result<Option<u64>, &'static str> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    if let Some(seconds) = value.as_u64() {
        return Ok(Some(seconds));
    }
    /// Beyond this a double no longer tells seconds apart.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match value.as_f64() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        Some(seconds) if (0.0..EXACT_MAX).contains(&seconds) => Ok(Some(seconds as u64)),
        _ => Err("a time is not a number of seconds"),
    }
}
