//! Access tokens (RFC 9068): short, for one resource.

use serde_json::{Map, Value, json};

use super::AuthServer;
use super::error::{Code, Refused};
use crate::signin::Person;
use crate::vocab::limits::TOKEN_BYTES_MAX;
use crate::web::fresh_secret;

/// What an access token shall say.
pub(super) struct Wanted<'a> {
    /// The client that will hold it.
    pub(super) client_id: &'a str,
    /// The resource it is for.
    pub(super) resource: &'a str,
    /// What it grants.
    pub(super) scopes: &'a [String],
    /// The person it stands for; without, the client itself.
    pub(super) person: Option<&'a Person>,
}

/// A token, and what is remembered of it.
pub(super) struct Minted {
    pub(super) token: String,
    pub(super) ended: Ended,
}

/// How a token is ended before its time.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Ended {
    pub(super) jti: String,
    pub(super) ends_s: u64,
}

impl AuthServer {
    /// Makes and signs a token. The person's own identity is in the claim `idp`, so that they are the same principal by every door.
    pub(super) fn mint(&self, wanted: &Wanted<'_>) -> Result<Minted, Refused> {
        let failed = |why: String| Refused::new(Code::ServerError, "no token can be made now").because(why);
        self.still_granted(wanted)?;
        let now_s = self.clock.unix_s();
        let ends_s = now_s.saturating_add(self.settings.access_token.as_secs());
        let jti = fresh_secret()?;
        let mut claims = Map::new();
        let mut add = |name: &str, value: Value| {
            claims.insert(name.to_owned(), value);
        };
        // First, so that nothing that is said of a person takes the place of what the token says of itself.
        for (name, value) in wanted.person.into_iter().flat_map(|person| &person.claims) {
            add(name, value.clone());
        }
        add("iss", json!(self.settings.issuer));
        add("sub", json!(wanted.person.map_or(wanted.client_id, |person| &person.sub)));
        add("aud", json!(wanted.resource));
        add("exp", json!(ends_s));
        add("iat", json!(now_s));
        add("jti", json!(jti));
        add("client_id", json!(wanted.client_id));
        if !wanted.scopes.is_empty() {
            add("scope", json!(wanted.scopes.join(" ")));
        }
        if let Some(person) = wanted.person {
            add("auth_time", json!(person.signed_in_s));
            add("idp", json!({"iss": person.iss, "sub": person.sub}));
        }
        let token = self.lasting.signer.sign("at+jwt", &claims).map_err(|e| failed(e.to_string()))?;
        // Left out, groups could loosen a rule that denies: there is no token rather than a shorter one.
        if token.len() > TOKEN_BYTES_MAX {
            return Err(failed("the token would be longer than any that is accepted: too many groups".to_owned()));
        }
        Ok(Minted { token, ended: Ended { jti, ends_s } })
    }

    /// There is no token for anybody whom the authenticator would turn away with it, whatever the grant.
    fn still_granted(&self, wanted: &Wanted<'_>) -> Result<(), Refused> {
        let refused = match wanted.person {
            Some(person) if self.sign_in.is_revoked(person, Some(wanted.client_id)) => Code::InvalidGrant,
            None if self.sign_in.is_client_revoked(wanted.client_id) => Code::UnauthorizedClient,
            _ => return Ok(()),
        };
        Err(Refused::new(refused, "there is no access any more").because("revoked"))
    }

    /// The answer of the token endpoint (OAuth 2.1 section 3.2.3).
    pub(super) fn granted(&self, minted: &Minted, scopes: &[String], refresh_token: Option<&str>) -> Value {
        let mut body = json!({
            "access_token": minted.token,
            "token_type": "Bearer",
            "expires_in": self.settings.access_token.as_secs(),
            "scope": scopes.join(" "),
        });
        if let (Some(members), Some(refresh)) = (body.as_object_mut(), refresh_token) {
            members.insert("refresh_token".to_owned(), refresh.into());
        }
        body
    }
}
