//! Authorization codes: one use, one minute, bound to everything that was asked.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::client::Client;
use super::error::{Code as ErrorCode, Refused};
use super::mint::Ended;
use super::pending::Pending;
use super::{AuthServer, encode};
use crate::signin::Person;
use crate::store::{Space, StoreError};
use crate::web::{Params, digest, digest_text, fresh_secret};

/// Life of a code, in seconds.
const CODE_S_MAX: u64 = 60;
/// How long a used code is remembered, in seconds: whoever brings it again ends what was made of it.
const USED_S: u64 = 24 * 3_600;
/// Length of a verifier (RFC 7636 section 4.1).
const VERIFIER_BYTES: std::ops::RangeInclusive<usize> = 43..=128;

/// What the store knows of a code.
#[derive(Serialize, Deserialize)]
enum Kept {
    Fresh(Box<Granted>),
    Used { family: Option<String>, access: Ended },
}

/// What a code stands for.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Granted {
    pub(super) client_id: String,
    redirect_uri: String,
    challenge: String,
    pub(super) resource: String,
    pub(super) scopes: Vec<String>,
    pub(super) person: Person,
}

/// A code that held, and is not used yet.
pub(super) struct Held {
    pub(super) granted: Granted,
    key: [u8; 32],
    value: Vec<u8>,
}

fn invalid(private: &'static str) -> Refused {
    Refused::new(ErrorCode::InvalidGrant, "the code is not valid: it is over, was used, or is not for this request")
        .because(private)
}

impl AuthServer {
    /// A fresh code for what `pending` asks, on behalf of `person`.
    pub(super) async fn code(&self, pending: Pending, person: &Person) -> Result<String, Refused> {
        let code = fresh_secret()?;
        let granted = Granted {
            client_id: pending.client_id,
            redirect_uri: pending.redirect_uri,
            challenge: pending.challenge,
            resource: pending.resource,
            scopes: pending.scopes,
            person: person.clone(),
        };
        let ends_s = self.clock.unix_s().saturating_add(CODE_S_MAX);
        self.store().put(Space::Code, &digest(&code), &encode(&Kept::Fresh(Box::new(granted)))?, Some(ends_s)).await?;
        Ok(code)
    }

    /// What the code of `params` stands for, if `client` may redeem it with this request. A code that is tried with anything wrong
    /// is gone; one that is tried again ends the tokens that were made of it.
    pub(super) async fn held(&self, client: &Client, params: &Params) -> Result<Held, Refused> {
        let missing = |words| Refused::new(ErrorCode::InvalidRequest, words);
        let code = params.get("code").ok_or(missing("send the code"))?;
        let verifier = params.get("code_verifier").ok_or(missing("send the code_verifier"))?;
        let key = digest(code);
        let value = self.store().get(Space::Code, &key).await?.ok_or(invalid("unknown or over"))?;
        let granted = match serde_json::from_slice(&value).map_err(|_| invalid("unreadable"))? {
            Kept::Fresh(granted) => *granted,
            Kept::Used { family, access } => {
                self.end_all(family.as_deref(), &access).await?;
                return Err(invalid("used before: its tokens are revoked"));
            }
        };
        let wrong = if granted.client_id != client.id {
            Some("of another client")
        } else if !VERIFIER_BYTES.contains(&verifier.len()) || !same(&digest_text(verifier), &granted.challenge) {
            Some("the verifier is another")
        } else if params.get("redirect_uri").is_some_and(|uri| uri != granted.redirect_uri) {
            Some("for another redirect URI")
        } else if self.sign_in.is_revoked(&granted.person, Some(&client.id)) {
            Some("of somebody who was revoked")
        } else {
            None
        };
        if let Some(why) = wrong {
            self.store().remove(Space::Code, &key).await?;
            return Err(invalid(why));
        }
        if params.get("resource").is_some_and(|resource| resource != granted.resource) {
            self.store().remove(Space::Code, &key).await?;
            return Err(Refused::new(ErrorCode::InvalidTarget, "the code is for another resource"));
        }
        Ok(Held { granted, key, value })
    }

    /// Uses the code up, for the tokens named. Of two who try at once one succeeds, and what it got is ended by the other.
    pub(super) async fn use_up(&self, held: &Held, family: Option<&str>, access: &Ended) -> Result<(), Refused> {
        let used = encode(&Kept::Used { family: family.map(str::to_owned), access: access.clone() })?;
        let until_s = self.clock.unix_s().saturating_add(USED_S);
        if self.store().swap(Space::Code, &held.key, Some(&held.value), Some(&used), Some(until_s)).await? {
            return Ok(());
        }
        let now = self.store().get(Space::Code, &held.key).await?;
        if let Some(Kept::Used { family, access }) = now.and_then(|value| serde_json::from_slice(&value).ok()) {
            self.end_all(family.as_deref(), &access).await?;
        }
        Err(invalid("used at the same time: its tokens are revoked"))
    }

    async fn end_all(&self, family: Option<&str>, access: &Ended) -> Result<(), StoreError> {
        // Neither waits for the other to succeed.
        let family = match family {
            Some(family) => self.end_family(family).await,
            None => Ok(()),
        };
        family.and(self.lasting.ended.add(&[(&access.jti, access.ends_s)]).await)
    }
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
