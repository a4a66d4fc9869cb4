//! A person's token for an upstream: as it is known, replaced once when it is refused.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use secrecy::{ExposeSecret as _, SecretString};

use super::flight::Flight;
use super::link::Grant;
use super::renew::{Wanted, lasts, unlinked};
use super::{Desk, Link, Whose};
use crate::oauth::{Challenge, Tokens as Granted};
use crate::upstream::Refused;
use crate::vault::{Tokens, VaultError};
use crate::vocab::{Deadline, Fault, FaultKind, PrincipalKey};

/// A token to show.
#[derive(Clone, Debug)]
pub struct Usable {
    /// The token.
    pub secret: SecretString,
    /// Another number for another link: a session with the upstream is never used across two.
    pub account: u64,
    /// What it is for, so that it is shown to nobody else whatever the config says by now.
    pub(super) grant: Arc<Grant>,
}

/// A token that was good when it was last looked at.
pub(super) struct Fresh {
    pub(super) token: Usable,
    pub(super) expires_at_s: Option<u64>,
    /// The epoch of before it was looked at: see [`Desk::unlearn`].
    pub(super) epoch: u64,
}

/// What a refusal of the upstream leaves open until the call is over.
#[derive(Clone, Copy)]
pub(super) enum Doubt {
    /// It refused a token, and this is the one that was got instead.
    Renewed([u8; 32]),
    /// It wants scopes that the person was not asked for yet.
    Scopes,
}

impl Desk {
    /// The token of `who` for the upstream of `link`, renewed if it is about to end: once, however many ask.
    ///
    /// # Errors
    /// [`FaultKind::Unlinked`] without a usable account; [`FaultKind::Credential`] when the authorization server has to be asked and
    /// does not answer.
    pub async fn token(self: &Arc<Self>, link: &Arc<Link>, who: &PrincipalKey, deadline: Deadline) -> Result<Usable, Fault> {
        let whose = (who.clone(), link.upstream.clone());
        let now_s = self.clock.unix_s();
        let good = |fresh: &Arc<Fresh>| {
            lasts(fresh.expires_at_s, now_s) && fresh.epoch == self.epoch() && link.covers(&fresh.token.grant)
        };
        let token = match self.fresh.get(&whose).filter(good) {
            Some(fresh) => fresh.token.clone(),
            None => landed(self.flight(&whose, link, Wanted::Usable), deadline).await?,
        };
        // A refresh that another config began may have been waited for.
        if !link.covers(&token.grant) {
            return Err(unlinked("the account is linked for another endpoint, server or client"));
        }
        match self.refused.get(&whose) {
            Some(refused) if refused == mark(&token.secret) => Err(unlinked("the upstream refuses the token")),
            _ => Ok(token),
        }
    }

    /// Whether `who` can be served by the upstream of `link`.
    ///
    /// # Errors
    /// As [`Self::token`].
    pub async fn serves(self: &Arc<Self>, link: &Arc<Link>, who: &PrincipalKey, deadline: Deadline) -> Result<(), Fault> {
        if link.by_sign_in { self.stands(who).await } else { self.token(link, who, deadline).await.map(|_| ()) }
    }

    /// The upstream refused `token` (401). True if [`Self::token`] now gives another one, or says that the person has to link anew;
    /// false if it cannot be told now, or the token may be good.
    pub(super) async fn unauthorized(
        self: &Arc<Self>,
        link: &Arc<Link>,
        who: &PrincipalKey,
        token: &SecretString,
        refusal: &Refused,
    ) -> bool {
        let whose = (who.clone(), link.upstream.clone());
        self.remember(&whose, refusal.challenge.as_ref());
        // True if it is given up.
        let given_up = |desk: &Self| {
            if !refusal.in_session {
                desk.refused.insert(whose.clone(), mark(token));
            }
            !refusal.in_session
        };
        // It had been got in place of another that was refused, a moment ago.
        if matches!(self.doubts.get(&whose), Some(Doubt::Renewed(new)) if new == mark(token)) {
            return given_up(self);
        }
        // A refresh under way that others began for another reason may give the same token again: then one more is begun.
        for _ in 0..2 {
            self.fresh.invalidate(&whose);
            let flight = self.flight(&whose, link, Wanted::Other(token.clone()));
            match landed(flight, Deadline::after(RENEW_TIME)).await {
                Ok(other) if mark(&other.secret) != mark(token) => {
                    self.doubts.insert(whose, Doubt::Renewed(mark(&other.secret)));
                    return true;
                }
                Ok(_) => {}
                Err(fault) if fault.kind == FaultKind::Unlinked => break,
                Err(_) => return false,
            }
        }
        given_up(self)
    }

    /// The upstream wants `challenge`'s scopes too (403 `insufficient_scope`). The account stays good for what it is good for.
    pub(super) async fn insufficient(&self, link: &Link, who: &PrincipalKey, challenge: &Challenge) -> Result<(), VaultError> {
        let scopes = challenge.scopes();
        let whose = (who.clone(), link.upstream.clone());
        self.remember(&whose, Some(challenge));
        for _ in 0..super::renew::SWAPS_TRIED_MAX {
            let Some(held) = self.vault.tokens(who, &link.upstream).await? else { return Ok(()) };
            // Whoever was asked for all of it already cannot give more: asking again would never end.
            if scopes.iter().all(|scope| held.account.asked.contains(scope)) {
                tracing::info!(upstream = %link.upstream, "the upstream wants scopes that were asked for already");
                return Ok(());
            }
            let mut account = held.account.clone();
            let missing: Vec<String> = scopes.iter().filter(|scope| !account.wanted.contains(*scope)).cloned().collect();
            account.wanted.extend(missing);
            account.wanted.truncate(crate::oauth::LIST_ENTRIES_MAX);
            if account.wanted == held.account.wanted || self.vault.replace(&held, &account).await? {
                self.doubts.insert(whose, Doubt::Scopes);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether linking anew could help `who`, whose call the upstream has just refused.
    pub fn could_help(&self, link: &Link, who: &PrincipalKey) -> bool {
        let whose = (who.clone(), link.upstream.clone());
        match self.doubts.remove(&whose) {
            Some(Doubt::Scopes) => true,
            Some(Doubt::Renewed(token)) => {
                self.refused.insert(whose, token);
                true
            }
            None => false,
        }
    }

    fn remember(&self, whose: &Whose, challenge: Option<&Challenge>) {
        if let Some(challenge) = challenge {
            self.challenges.insert(whose.clone(), Arc::new(challenge.clone()));
        }
    }
}

/// What is kept of an answer. A server that gives no new refresh token means the old one (RFC 6749 section 6).
pub(super) fn kept(granted: Granted, asked: &[String], before: Option<&SecretString>) -> Tokens {
    Tokens {
        access: granted.access,
        refresh: granted.refresh.or_else(|| before.cloned()),
        expires_at_s: granted.expires_at_s,
        scopes: granted.scopes.unwrap_or_else(|| asked.to_vec()),
    }
}

pub(super) async fn landed(flight: Flight, deadline: Deadline) -> Result<Usable, Fault> {
    let late = |_| Fault::upstream(FaultKind::Credential, "the token could not be renewed in time");
    tokio::time::timeout_at(deadline.instant().into(), flight).await.map_err(late)?
}

/// Stands for a token without being one.
pub(super) fn mark(token: &SecretString) -> [u8; 32] {
    let digest = digest(&SHA256, token.expose_secret().as_bytes());
    <[u8; 32]>::try_from(digest.as_ref()).unwrap_or_default()
}

/// How long a refused token may take to be renewed.
const RENEW_TIME: std::time::Duration = std::time::Duration::from_secs(10);
