//! ID tokens of people who signed in, kept encrypted for those that take nothing else (ID-JAG): shown to the provider that made them,
//! and to nobody else.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::provider::{self, Redeemed};
use super::{Person, SignIn, id_token};
use crate::identity::seconds;
use crate::vault::{Account, Held, Tokens, Vault, VaultKey};
use crate::vocab::PrincipalKey;

/// What they are kept under in the place of an upstream; none can have this name.
pub const KEPT_AS: &str = "@signin";

/// Where they are kept, and how long.
#[derive(Clone, Debug)]
pub struct Keep {
    /// The vault.
    pub vault: Vault,
    /// Whether anything needs them. Where nothing does, none is kept, and those of before still end.
    pub wanted: bool,
    /// How long after a sign-in they are renewed at most: then the person signs in again.
    pub life: Duration,
}

/// Why a kept ID token was not renewed. Private text.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The provider says that it is over: the person signs in again.
    #[error("the provider takes the refresh token no more")]
    Over,
    /// It cannot be known now.
    #[error("{0}")]
    Failed(String),
}

impl SignIn {
    /// Whether `held` is an ID token of this provider, for this client, of a sign-in that still counts.
    pub fn vouches_for(&self, held: &Held) -> bool {
        let life_s = self.keep.as_ref().map_or(0, |keep| keep.life.as_secs());
        let ends_s = held.account.linked_at_s.saturating_add(life_s);
        *held.key.issuer == *self.idp.issuer && *held.key.client_id == *self.idp.client_id && self.clock.unix_s() < ends_s
    }

    /// Another ID token of `who` for a refresh token, and its successor if there is one.
    ///
    /// # Errors
    /// [`RenewError`].
    pub async fn renewed(&self, who: &PrincipalKey, refresh: &SecretString) -> Result<Tokens, RenewError> {
        let failed = |why: String| RenewError::Failed(why);
        let provider = self.provider().await.map_err(|error| failed(error.to_string()))?;
        let redeemed = provider::refresh(&self.idp, &self.fetch, &provider, refresh).await;
        let redeemed = redeemed.map_err(|error| if error.over { RenewError::Over } else { RenewError::Failed(error.why) })?;
        let wrong = |why: &str| failed(format!("the renewed ID token: {why}"));
        let claims = self.keys.claims(redeemed.id_token.expose_secret(), &["", "JWT"]).await;
        let claims = claims.map_err(|error| wrong(&error.to_string()))?;
        if id_token::subject(&claims, &self.idp, self.clock.unix_s()).map_err(wrong)? != *who.sub {
            return Err(wrong("another subject"));
        }
        let refresh = redeemed.refresh.or_else(|| Some(refresh.clone()));
        Ok(Tokens { access: redeemed.id_token, refresh, expires_at_s: seconds(&claims, "exp"), scopes: Vec::new() })
    }

    /// Keeps what came of a sign-in, if anything needs it.
    pub(super) async fn keep_tokens(&self, person: &Person, redeemed: Redeemed) -> Result<(), String> {
        let Some(keep) = self.keep.as_ref().filter(|keep| keep.wanted) else { return Ok(()) };
        let mut serial = [0_u8; 8];
        aws_lc_rs::rand::fill(&mut serial).map_err(|_| "no randomness".to_owned())?;
        let Redeemed { id_token, refresh, expires_at_s, .. } = redeemed;
        let account = Account {
            tokens: Tokens { access: id_token, refresh, expires_at_s, scopes: Vec::new() },
            resource: self.idp.issuer.as_str().into(),
            serial: u64::from_be_bytes(serial),
            linked_at_s: person.signed_in_s,
            asked: Vec::new(),
            wanted: Vec::new(),
        };
        keep.vault.link(&self.kept_at(&person.key()), &account).await.map_err(|error| error.to_string())
    }

    /// Drops what is kept of `who`, who signed out.
    pub(super) async fn drop_tokens(&self, who: &PrincipalKey) -> Result<(), String> {
        let Some(keep) = &self.keep else { return Ok(()) };
        keep.vault.unlink(&self.kept_at(who)).await.map(|_| ()).map_err(|error| error.to_string())
    }

    fn kept_at(&self, who: &PrincipalKey) -> VaultKey {
        let (issuer, client_id) = (self.idp.issuer.as_str().into(), self.idp.client_id.as_str().into());
        VaultKey { principal: who.clone(), upstream: KEPT_AS.into(), issuer, client_id }
    }
}
