//! Refresh tokens: each serves once and brings the next. All that came of one sign-in are a family, which ends as a whole: with its
//! time, by revocation, or when one that was used is brought again (RFC 9700 section 4.14.2).

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::client::Client;
use super::code::Granted;
use super::error::{Code, Refused};
use super::mint::{Ended, Wanted};
use super::scope::narrowed;
use super::{AuthServer, encode};
use crate::signin::Person;
use crate::store::{Space, StoreError};
use crate::web::{PageAnswer, Params, digest, digest_text, fresh_secret};

/// Access tokens of one family that are remembered, to be ended with it.
const ACCESS_MAX: usize = 64;

/// How often the end of a family is tried that changes meanwhile.
const ENDINGS_MAX: usize = 8;

/// A family; in the store under its name.
#[derive(Clone, Serialize, Deserialize)]
struct Family {
    client_id: String,
    person: Person,
    resource: String,
    scopes: Vec<String>,
    /// SHA-256 of the one token that may be used next.
    current: String,
    /// When all of it ends.
    ends_s: u64,
    /// Access tokens that still hold.
    access: Vec<Ended>,
}

fn invalid(private: &'static str) -> Refused {
    Refused::new(Code::InvalidGrant, "the refresh token is not valid").because(private)
}

impl AuthServer {
    /// Founds the family `name` for what a code granted, and gives its first token.
    pub(super) async fn found_family(
        &self,
        name: &str,
        client: &Client,
        granted: &Granted,
        access: &Ended,
    ) -> Result<String, Refused> {
        let token = fresh_secret()?;
        let family = Family {
            client_id: client.id.clone(),
            person: granted.person.clone(),
            resource: granted.resource.clone(),
            scopes: granted.scopes.clone(),
            current: digest_text(&token),
            ends_s: granted.person.signed_in_s.max(self.clock.unix_s()).saturating_add(self.settings.refresh_token.as_secs()),
            access: vec![access.clone()],
        };
        self.store().put(Space::RefreshFamily, name.as_bytes(), &encode(&family)?, Some(family.ends_s)).await?;
        self.store().put(Space::RefreshToken, &digest(&token), name.as_bytes(), Some(family.ends_s)).await?;
        Ok(token)
    }

    pub(super) async fn by_refresh_token(&self, client: &Client, params: &Params) -> Result<PageAnswer, Refused> {
        let token = params.get("refresh_token").ok_or(Refused::new(Code::InvalidRequest, "send the refresh_token"))?;
        let (name, value, family) = self.family_of(token).await?.ok_or(invalid("unknown, over or revoked"))?;
        if family.client_id != client.id {
            // Somebody else holds it: nothing of the family is safe.
            self.end_family(&name).await?;
            return Err(invalid("of another client: the family is revoked"));
        }
        if family.current != digest_text(token) {
            self.end_family(&name).await?;
            return Err(invalid("used before: the family is revoked"));
        }
        if self.sign_in.is_revoked(&family.person, Some(&client.id)) {
            self.end_family(&name).await?;
            return Err(invalid("of somebody who was revoked: so is the family"));
        }
        if params.get("resource").is_some_and(|resource| resource != family.resource) {
            return Err(Refused::new(Code::InvalidTarget, "the refresh token is for another resource"));
        }
        // A route that is gone has no tokens any more, and neither has a person of a provider that was replaced.
        self.resource(Some(&family.resource))?;
        if family.person.iss != self.sign_in.issuer() {
            self.end_family(&name).await?;
            return Err(invalid("of another identity provider"));
        }
        let scopes = narrowed(params.get("scope"), &family.scopes)?;
        let (client_id, resource) = (client.id.as_str(), family.resource.as_str());
        let minted = self.mint(&Wanted { client_id, resource, scopes: &scopes, person: Some(&family.person) })?;
        let next = self.rotate(&name, &value, &family, &minted.ended).await?;
        let body = self.granted(&minted, &scopes, Some(&next));
        Ok(PageAnswer::json(StatusCode::OK, &body).by(family.person.principal(Some(&client.id))))
    }

    /// Puts the next token in the place of the current one. Of two who try at once, one succeeds and the other ends the family.
    async fn rotate(&self, name: &str, value: &[u8], family: &Family, access: &Ended) -> Result<String, Refused> {
        let (token, now_s) = (fresh_secret()?, self.clock.unix_s());
        let mut next = Family { current: digest_text(&token), ..family.clone() };
        next.access.retain(|access| access.ends_s > now_s);
        next.access.push(access.clone());
        if next.access.len() > ACCESS_MAX {
            return Err(Refused::new(Code::SlowDown, "too many tokens of one sign-in hold at once"));
        }
        // The way from the token to its family first: what it leads to is only worth something once the family knows it.
        self.store().put(Space::RefreshToken, &digest(&token), name.as_bytes(), Some(family.ends_s)).await?;
        let swapped = self
            .store()
            .swap(Space::RefreshFamily, name.as_bytes(), Some(value), Some(&encode(&next)?), Some(family.ends_s))
            .await?;
        if !swapped {
            self.end_family(name).await?;
            return Err(invalid("used at the same time: the family is revoked"));
        }
        Ok(token)
    }

    async fn family_of(&self, token: &str) -> Result<Option<(String, Vec<u8>, Family)>, StoreError> {
        let Some(name) = self.store().get(Space::RefreshToken, &digest(token)).await? else { return Ok(None) };
        let Some(value) = self.store().get(Space::RefreshFamily, &name).await? else { return Ok(None) };
        let (Ok(name), Ok(family)) = (String::from_utf8(name), serde_json::from_slice(&value)) else { return Ok(None) };
        Ok(Some((name, value, family)))
    }

    /// Ends the family and every access token of it that still holds.
    ///
    /// # Errors
    /// [`StoreError`]. What could not be put down then stays with the family, which brings no tokens any more, for whoever tries
    /// again; nobody is told that all is ended before it is.
    pub(super) async fn end_family(&self, name: &str) -> Result<(), StoreError> {
        for _ in 0..ENDINGS_MAX {
            let Some(value) = self.store().get(Space::RefreshFamily, name.as_bytes()).await? else { return Ok(()) };
            let Ok(family) = serde_json::from_slice::<Family>(&value) else {
                return self.store().remove(Space::RefreshFamily, name.as_bytes()).await;
            };
            let access: Vec<(&str, u64)> = family.access.iter().map(|access| (access.jti.as_str(), access.ends_s)).collect();
            let ended = self.lasting.ended.add(&access).await;
            let ends_s = family.ends_s;
            let left = match ended {
                Ok(()) => None,
                Err(_) => Some(encode(&Family { current: String::new(), ..family })?),
            };
            let swapped =
                self.store().swap(Space::RefreshFamily, name.as_bytes(), Some(&value), left.as_deref(), Some(ends_s)).await?;
            // Otherwise somebody got tokens of it meanwhile, which have to end as well.
            if swapped {
                return ended;
            }
        }
        Err(StoreError::Busy)
    }

    /// Ends the family of `token`, if it is one of `client`; false if `token` is no refresh token of anybody.
    pub(super) async fn end_family_of(&self, token: &str, client: &Client) -> Result<bool, StoreError> {
        let Some((name, _, family)) = self.family_of(token).await? else { return Ok(false) };
        if family.client_id == client.id {
            self.end_family(&name).await?;
        }
        Ok(true)
    }
}
