//! Grants of a trusted identity provider (Identity Assertion Authorization Grant, redeemed by RFC 7523): enterprise-managed
//! authorization. The provider decided which client may reach which route for whom; nobody is asked here.

use http::StatusCode;
use serde_json::{Map, Value};

use super::AuthServer;
use super::client::{Auth, Client};
use super::error::{Code, Refused, unheard};
use super::mint::Wanted;
use super::settings::Settings;
use crate::identity::{StatementKeys, Vouching, unverified_claims};
use crate::net::Fetch;
use crate::signin::Person;
use crate::vocab::Clock;
use crate::web::{PageAnswer, Params};

/// The type of these grants.
const TYPE: &str = "oauth-id-jag+jwt";
/// Longest life of a grant, in seconds.
const LIFE_S_MAX: u64 = 3_600;
/// Length of a subject.
const SUB_BYTES_MAX: usize = 255;
/// Claims that tokens pass on, beside those that the operator named.
const PASSED_ON: [&str; 3] = ["groups", "email", "email_verified"];
/// Claims that are for us, whoever named them: what tokens say of these is decided here.
const FOR_US: [&str; 5] = ["scope", "client_id", "resource", "auth_time", "idp"];

/// A provider whose grants are accepted.
pub(super) struct TrustedIssuer {
    issuer: String,
    keys: StatementKeys,
    vouching: Vouching,
}

impl TrustedIssuer {
    /// Takes over the keys that the same one among `old` got.
    pub(super) fn with_keys_of(&mut self, old: &[Self]) {
        if let Some(same) = old.iter().find(|old| old.issuer == self.issuer) {
            self.keys.with_keys_of(&same.keys);
        }
    }
}

/// The providers of the settings.
pub(super) fn trusted(settings: &Settings, clock: &Clock, fetch: &Fetch) -> Result<Vec<TrustedIssuer>, String> {
    let one = |issuer: &crate::identity::IssuerSettings| {
        let keys = StatementKeys::of_issuer(issuer, clock.clone(), fetch.clone());
        let keys = keys.map_err(|why| format!("id_jag issuer {:?}: jwks: {why}", issuer.issuer))?;
        let vouching = Vouching::of_issuer(issuer).map_err(|why| format!("id_jag issuer {:?}: {why}", issuer.issuer))?;
        Ok(TrustedIssuer { issuer: issuer.issuer.clone(), keys, vouching })
    };
    settings.id_jag.iter().map(one).collect()
}

fn invalid(private: &'static str) -> Refused {
    Refused::new(Code::InvalidGrant, "the assertion does not hold here").because(private)
}

impl AuthServer {
    pub(super) async fn by_id_jag(&self, client: &Client, params: &Params) -> Result<PageAnswer, Refused> {
        if matches!(client.auth, Auth::None) {
            return Err(Refused::new(Code::UnauthorizedClient, "this grant needs a client that authenticates"));
        }
        let assertion = params.get("assertion").ok_or(Refused::new(Code::InvalidRequest, "send the assertion"))?;
        let (trusted, claims) = self.jag(client, assertion).await?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        // The grant's word counts; the request may repeat it.
        let resource = match (claims.get("resource"), params.get("resource")) {
            (Some(Value::String(granted)), asked) if asked.is_none_or(|asked| asked == granted) => self.resource(Some(granted)),
            (None, asked) => self.resource(asked),
            _ => return Err(invalid("for another resource")),
        };
        let resource = resource.map_err(|refused| invalid(refused.words))?;
        let scopes = match text("scope") {
            // Scopes that mean nothing here are left out: what remains is less, never more.
            Some(granted) => {
                let known = granted.split(' ').filter(|scope| self.settings.scopes.contains_key(*scope)).map(str::to_owned);
                super::scope::narrowed(params.get("scope"), &known.collect::<Vec<_>>())?
            }
            None if params.get("scope").is_some() => return Err(Refused::new(Code::InvalidScope, "the grant names no scope")),
            None => Vec::new(),
        };
        let person = person(&claims, &trusted.vouching).ok_or(invalid("no usable subject"))?;
        let wanted = Wanted { client_id: &client.id, resource: &resource.url, scopes: &scopes, person: Some(&person) };
        let minted = self.mint(&wanted)?;
        let body = self.granted(&minted, &scopes, None);
        Ok(PageAnswer::json(StatusCode::OK, &body).by(person.principal(Some(&client.id))))
    }

    /// The claims of `assertion`, which a trusted provider may make and made for us and for `client`, and which was not used before.
    async fn jag(&self, client: &Client, assertion: &str) -> Result<(&TrustedIssuer, Map<String, Value>), Refused> {
        let claimed = unverified_claims(assertion).ok_or(invalid("not a JWT"))?;
        let iss = claimed.get("iss").and_then(Value::as_str).unwrap_or_default();
        let trusted =
            self.trusted.iter().find(|trusted| trusted.issuer == iss).ok_or(invalid("an issuer that is not trusted"))?;
        let claims = trusted.keys.claims(assertion, &[TYPE]).await.map_err(|error| unheard(error, invalid))?;
        // One audience, as a text or as a list of one.
        let audience = match claims.get("aud") {
            Some(Value::Array(all)) if all.len() == 1 => all.first().and_then(Value::as_str),
            other => other.and_then(Value::as_str),
        };
        if audience != Some(&self.settings.issuer) {
            return Err(invalid("another audience"));
        }
        if !claims.contains_key("iat") {
            return Err(invalid("no time of issue"));
        }
        let claims = trusted.vouching.heard(claims, &self.settings.issuer, self.clock.unix_s()).map_err(invalid)?;
        if claims.get("client_id").and_then(Value::as_str) != Some(&client.id) {
            return Err(invalid("of another client"));
        }
        let ends_s = self.in_time(&claims, LIFE_S_MAX, trusted.vouching.leeway_s()).map_err(invalid)?;
        self.once("id-jag", &trusted.issuer, &claims, ends_s, invalid).await?;
        Ok((trusted, claims))
    }
}

fn person(claims: &Map<String, Value>, vouching: &Vouching) -> Option<Person> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let sub = text("sub").filter(|sub| (1..=SUB_BYTES_MAX).contains(&sub.len()) && !sub.chars().any(char::is_control))?;
    let mut kept = Map::new();
    for name in PASSED_ON.into_iter().chain(vouching.names().filter(|name| !FOR_US.contains(name))) {
        if let Some(value) = claims.get(name) {
            kept.insert(name.to_owned(), value.clone());
        }
    }
    let signed_in_s = crate::identity::seconds(claims, "auth_time").or_else(|| crate::identity::seconds(claims, "iat"))?;
    Some(Person { iss: text("iss")?.to_owned(), sub: sub.to_owned(), name: None, claims: kept, signed_in_s })
}
