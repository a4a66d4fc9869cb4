//! A person's token for an upstream: as it is kept, renewed before it ends, renewed once when it is refused.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use futures_util::FutureExt as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::flight::Flight;
use super::{Desk, Link, Whose};
use crate::oauth::{At, Challenge, OAuthError, OAuthErrorKind, Tokens as Granted};
use crate::vault::{Account, Held, Tokens, VaultError};
use crate::vocab::{Deadline, Fault, FaultKind, PrincipalKey};

/// A token to show.
#[derive(Clone, Debug)]
pub struct Usable {
    /// The token.
    pub secret: SecretString,
    /// Another number for another link: a session with the upstream is never used across two.
    pub account: u64,
}

/// A token that was good when it was last looked at.
pub(super) struct Fresh {
    token: Usable,
    expires_at_s: Option<u64>,
}

/// What a refusal of the upstream leaves open until the call is over.
#[derive(Clone, Copy)]
pub(super) enum Doubt {
    /// It refused a token, and this is the one that was got instead.
    Renewed([u8; 32]),
    /// It wants scopes that the person was not asked for yet.
    Scopes,
}

/// Why a token is wanted.
#[derive(Clone)]
enum Wanted {
    /// To use it.
    Usable,
    /// Because this one was refused.
    Other(SecretString),
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
        let known = self.fresh.get(&whose).filter(|fresh| lasts(fresh.expires_at_s, now_s));
        let token = match known {
            Some(fresh) => fresh.token.clone(),
            None => landed(self.flight(&whose, link, Wanted::Usable), deadline).await?,
        };
        match self.refused.get(&whose) {
            Some(refused) if refused == mark(&token.secret) => Err(unlinked("the upstream refuses the token")),
            _ => Ok(token),
        }
    }

    /// The upstream refused `token` (401). True if [`Self::token`] now gives another one, or says that the person has to link anew;
    /// false if it cannot be told now.
    pub(super) async fn unauthorized(
        self: &Arc<Self>,
        link: &Arc<Link>,
        who: &PrincipalKey,
        token: &SecretString,
        challenge: Option<&Challenge>,
    ) -> bool {
        let whose = (who.clone(), link.upstream.clone());
        self.remember(&whose, challenge);
        let given_up = |desk: &Self| desk.refused.insert(whose.clone(), mark(token));
        // It had been got in place of another that was refused, a moment ago.
        if matches!(self.doubts.get(&whose), Some(Doubt::Renewed(new)) if new == mark(token)) {
            given_up(self);
            return true;
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
        given_up(self);
        true
    }

    /// The upstream wants `challenge`'s scopes too (403 `insufficient_scope`). The account stays good for what it is good for.
    pub(super) async fn insufficient(&self, link: &Link, who: &PrincipalKey, challenge: &Challenge) -> Result<(), VaultError> {
        let scopes = challenge.scopes();
        let whose = (who.clone(), link.upstream.clone());
        self.remember(&whose, Some(challenge));
        for _ in 0..SWAPS_TRIED_MAX {
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

    fn flight(self: &Arc<Self>, whose: &Whose, link: &Arc<Link>, wanted: Wanted) -> Flight {
        self.flights.join(whose, || {
            let (desk, link, whose) = (self.clone(), link.clone(), whose.clone());
            let work = async move { desk.renewed(&link, &whose, wanted).await };
            let task = self.tasks.spawn_on(work, &self.handle);
            let task = task.map(|done| done.unwrap_or_else(|_| Err(Fault::internal(FaultKind::Internal, "a refresh stopped"))));
            task.boxed().shared()
        })
    }

    async fn renewed(&self, link: &Link, whose: &Whose, wanted: Wanted) -> Result<Usable, Fault> {
        for _ in 0..SWAPS_TRIED_MAX {
            let held = self.vault.tokens(&whose.0, &whose.1).await.map_err(internal)?;
            let held = held.filter(|held| link.covers(held)).ok_or_else(|| unlinked("no account is linked"))?;
            let tokens = &held.account.tokens;
            let now_s = self.clock.unix_s();
            let serves = match &wanted {
                Wanted::Usable => lasts(tokens.expires_at_s, now_s),
                // Somebody else was faster: theirs is the other one.
                Wanted::Other(refused) => mark(refused) != mark(&tokens.access),
            };
            if serves {
                return Ok(self.learn(whose, &held.account));
            }
            let alive = matches!(wanted, Wanted::Usable) && tokens.expires_at_s.is_none_or(|end| end > now_s);
            let Some(refresh) = tokens.refresh.clone() else {
                // It is used to its end.
                return if alive { Ok(usable(&held.account)) } else { Err(unlinked("the token is over and cannot be renewed")) };
            };
            match self.refreshed(link, &held, &refresh).await {
                Ok(account) => {
                    self.metrics.link("refreshed");
                    if self.vault.replace(&held, &account).await.map_err(internal)? {
                        return Ok(self.learn(whose, &account));
                    }
                    // Unlinked meanwhile, or linked anew: what was just made belongs to nobody.
                    let mut orphan = held;
                    orphan.account = account;
                    self.revoke(Some(link), &orphan).await;
                }
                Err(error) if matches!(error.kind, OAuthErrorKind::InvalidGrant | OAuthErrorKind::InvalidClient) => {
                    self.metrics.link("refresh_refused");
                    tracing::info!(upstream = %link.upstream, why = %error, "an account has to be linked anew");
                    if error.kind == OAuthErrorKind::InvalidClient {
                        self.forget_registration(link, &held.key.issuer).await;
                    }
                    if self.vault.drop_seen(&held).await.map_err(internal)? {
                        return Err(unlinked("the refresh token is of no use any more"));
                    }
                }
                // It is used to its end.
                Err(error) if alive => {
                    tracing::warn!(upstream = %link.upstream, why = %error, "a token could not be renewed yet");
                    return Ok(usable(&held.account));
                }
                Err(error) => {
                    self.metrics.link("refresh_failed");
                    return Err(Fault::upstream(FaultKind::Credential, format!("the token could not be renewed: {error}")));
                }
            }
        }
        Err(Fault::internal(FaultKind::Internal, "an account changes too fast"))
    }

    async fn refreshed(&self, link: &Link, held: &Held, refresh: &SecretString) -> Result<Account, OAuthError> {
        let server = self.server(link, &held.key.issuer).await?;
        let registration = self.registration_of(link, &server, &held.key.client_id).await?;
        let at = At { server: &server, registration: &registration, consent: &link.consent };
        let granted = self.client.refresh(at, refresh, &[], &held.account.resource).await?;
        let mut account = held.account.clone();
        account.tokens = kept(granted, &account.tokens.scopes, Some(refresh));
        Ok(account)
    }

    fn learn(&self, whose: &Whose, account: &Account) -> Usable {
        let token = usable(account);
        self.fresh.insert(whose.clone(), Arc::new(Fresh { token: token.clone(), expires_at_s: account.tokens.expires_at_s }));
        token
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

fn usable(account: &Account) -> Usable {
    Usable { secret: account.tokens.access.clone(), account: account.serial }
}

async fn landed(flight: Flight, deadline: Deadline) -> Result<Usable, Fault> {
    let late = |_| Fault::upstream(FaultKind::Credential, "the token could not be renewed in time");
    tokio::time::timeout_at(deadline.instant().into(), flight).await.map_err(late)?
}

fn lasts(expires_at_s: Option<u64>, now_s: u64) -> bool {
    expires_at_s.is_none_or(|end| end > now_s.saturating_add(RENEW_AHEAD_S))
}

/// Stands for a token without being one.
fn mark(token: &SecretString) -> [u8; 32] {
    let digest = digest(&SHA256, token.expose_secret().as_bytes());
    <[u8; 32]>::try_from(digest.as_ref()).unwrap_or_default()
}

fn unlinked(why: &str) -> Fault {
    Fault::upstream(FaultKind::Unlinked, why)
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
fn internal(error: VaultError) -> Fault {
    Fault::internal(FaultKind::Internal, format!("the vault: {error}"))
}

/// A token that ends sooner than this is renewed first.
const RENEW_AHEAD_S: u64 = 30;
/// How often an account that changes under our hands is read again.
const SWAPS_TRIED_MAX: usize = 4;
/// How long a refused token may take to be renewed.
const RENEW_TIME: std::time::Duration = std::time::Duration::from_secs(10);
