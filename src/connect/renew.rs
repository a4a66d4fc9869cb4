//! A token that is about to end, or was refused, and its successor: made once, and put where it came from.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use super::flight::Flight;
use super::link::Grant;
use super::tokens::{Fresh, Usable, kept, mark};
use super::{Desk, Link, Whose};
use crate::oauth::{At, OAuthError, OAuthErrorKind};
use crate::vault::{Account, Held, Tokens, VaultError};
use crate::vocab::{Fault, FaultKind};

/// Why a token is wanted.
#[derive(Clone)]
pub(super) enum Wanted {
    /// To use it.
    Usable,
    /// Because this one was refused.
    Other(SecretString),
}

impl Desk {
    /// The refresh of `whose` that is under way, or a new one. It goes on to its end when nobody waits any more, and is then no longer
    /// under way.
    pub(super) fn flight(self: &Arc<Self>, whose: &Whose, link: &Arc<Link>, wanted: Wanted) -> Flight {
        self.under_way(whose, || {
            let (desk, link, whose) = (self.clone(), link.clone(), whose.clone());
            async move { desk.renewed(&link, &whose, wanted).await }.boxed()
        })
    }

    /// What is under way for `whose`, or the `work` that is begun now.
    pub(super) fn under_way(
        self: &Arc<Self>,
        whose: &Whose,
        work: impl FnOnce() -> BoxFuture<'static, Result<Usable, Fault>>,
    ) -> Flight {
        let (flight, begun) = self.flights.join(whose, || {
            let task = self.tasks.spawn_on(work(), &self.handle);
            let task = task.map(|done| done.unwrap_or_else(|_| Err(Fault::internal(FaultKind::Internal, "a refresh stopped"))));
            task.boxed().shared()
        });
        if begun {
            let (desk, whose, driven) = (self.clone(), whose.clone(), flight.clone());
            let drive = async move {
                let _ = driven.clone().await;
                desk.flights.landed(&whose, &driven);
            };
            drop(self.tasks.spawn_on(drive, &self.handle));
        }
        flight
    }

    async fn renewed(&self, link: &Link, whose: &Whose, wanted: Wanted) -> Result<Usable, Fault> {
        for _ in 0..SWAPS_TRIED_MAX {
            let epoch = self.epoch();
            let held = self.vault.tokens(&whose.0, &whose.1).await.map_err(internal)?;
            let held = held.filter(|held| link.covers(&Grant::of(held))).ok_or_else(|| unlinked("no account is linked"))?;
            let tokens = &held.account.tokens;
            let now_s = self.clock.unix_s();
            let serves = match &wanted {
                Wanted::Usable => lasts(tokens.expires_at_s, now_s),
                // Somebody else was faster: theirs is the other one.
                Wanted::Other(refused) => mark(refused) != mark(&tokens.access),
            };
            if serves {
                return Ok(self.learn(whose, &held, epoch));
            }
            let alive = matches!(wanted, Wanted::Usable) && tokens.expires_at_s.is_none_or(|end| end > now_s);
            let Some(refresh) = tokens.refresh.clone() else {
                // It is used to its end.
                return if alive { Ok(usable(&held)) } else { Err(unlinked("the token is over and cannot be renewed")) };
            };
            let made = self.refreshed(link, &held, &refresh).await;
            let over = match &made {
                Err(error) => self.is_over(link, &held, error).await,
                Ok(_) => false,
            };
            match made {
                Ok(tokens) => {
                    self.metrics.link("refreshed");
                    if let Some(held) = self.put_back(Some(link), whose, held, tokens).await? {
                        return Ok(self.learn(whose, &held, epoch));
                    }
                }
                Err(error) if over => {
                    self.metrics.link("refresh_refused");
                    tracing::info!(upstream = %link.upstream, why = %error, "an account has to be linked anew");
                    if self.vault.drop_seen(&held).await.map_err(internal)? {
                        return Err(unlinked("the refresh token is of no use any more"));
                    }
                }
                // It is used to its end.
                Err(error) if alive => {
                    tracing::warn!(upstream = %link.upstream, why = %error, "a token could not be renewed yet");
                    return Ok(usable(&held));
                }
                Err(error) => {
                    self.metrics.link("refresh_failed");
                    return Err(Fault::upstream(FaultKind::Credential, format!("the token could not be renewed: {error}")));
                }
            }
        }
        Err(Fault::internal(FaultKind::Internal, "an account changes too fast"))
    }

    /// Whether nothing but linking anew helps `held`, whose refresh failed with `error`. A client that is refused says something about
    /// the account only if the gateway registered it itself: then that registration is forgotten too, if it still is this one. What the
    /// operator wrote, or a document of ours that could not be read, is mended elsewhere, and the account goes on.
    async fn is_over(&self, link: &Link, held: &Held, error: &OAuthError) -> bool {
        match error.kind {
            OAuthErrorKind::InvalidGrant | OAuthErrorKind::Unregistered => true,
            OAuthErrorKind::InvalidClient if !link.is_registered_as(&held.key.client_id) => {
                self.forget_registration(link, &held.key.issuer, &held.key.client_id).await
            }
            _ => false,
        }
    }

    /// Puts `tokens` in the place of those of `held` that they were made from. `None` if those are no longer there: then what was
    /// made belongs to nobody, or somebody else was faster.
    pub(super) async fn put_back(
        &self,
        link: Option<&Link>,
        whose: &Whose,
        held: Held,
        tokens: Tokens,
    ) -> Result<Option<Held>, Fault> {
        let mut seen = held.clone();
        for _ in 0..SWAPS_TRIED_MAX {
            let account = Account { tokens: tokens.clone(), ..seen.account.clone() };
            if self.vault.replace(&seen, &account).await.map_err(internal)? {
                seen.account = account;
                return Ok(Some(seen));
            }
            match self.vault.tokens(&whose.0, &whose.1).await.map_err(internal)? {
                // The same grant with something noted beside it, or under another key of the ring.
                Some(now) if now.account.serial == held.account.serial => {
                    if !same(&now.account.tokens, &held.account.tokens) {
                        return Ok(None);
                    }
                    seen = now;
                }
                // Unlinked meanwhile, or linked anew.
                _ => {
                    let mut orphan = held;
                    orphan.account.tokens = tokens;
                    self.revoke(link, &orphan).await;
                    return Ok(None);
                }
            }
        }
        Err(Fault::internal(FaultKind::Internal, "an account changes too fast"))
    }

    async fn refreshed(&self, link: &Link, held: &Held, refresh: &SecretString) -> Result<Tokens, OAuthError> {
        let server = self.server(link, &held.key.issuer).await?;
        let registration = self.registration_of(link, &server, &held.key.client_id).await?;
        let at = At { server: &server, registration: &registration, consent: &link.consent };
        let resource = link.resource_sent(&held.account.resource);
        let granted = self.client.refresh(at, refresh, &[], resource).await?;
        Ok(kept(granted, &held.account.tokens.scopes, Some(refresh)))
    }

    /// Remembers the token of `held`, which was read in `epoch`.
    pub(super) fn learn(&self, whose: &Whose, held: &Held, epoch: u64) -> Usable {
        let token = usable(held);
        let fresh = Fresh { token: token.clone(), expires_at_s: held.account.tokens.expires_at_s, epoch };
        self.fresh.insert(whose.clone(), Arc::new(fresh));
        token
    }
}

pub(super) fn usable(held: &Held) -> Usable {
    let account = &held.account;
    Usable { secret: account.tokens.access.clone(), account: account.serial, grant: Arc::new(Grant::of(held)) }
}

fn same(a: &Tokens, b: &Tokens) -> bool {
    let equal = |a: &SecretString, b: &SecretString| bool::from(a.expose_secret().as_bytes().ct_eq(b.expose_secret().as_bytes()));
    let refresh = match (&a.refresh, &b.refresh) {
        (Some(a), Some(b)) => equal(a, b),
        (None, None) => true,
        _ => false,
    };
    refresh && equal(&a.access, &b.access)
}

pub(super) fn lasts(expires_at_s: Option<u64>, now_s: u64) -> bool {
    expires_at_s.is_none_or(|end| end > now_s.saturating_add(RENEW_AHEAD_S))
}

pub(super) fn unlinked(why: &str) -> Fault {
    Fault::upstream(FaultKind::Unlinked, why)
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
pub(super) fn internal(error: VaultError) -> Fault {
    Fault::internal(FaultKind::Internal, format!("the vault: {error}"))
}

/// A token that ends sooner than this is renewed first.
const RENEW_AHEAD_S: u64 = 30;
/// How often an account that changes under our hands is read again.
pub(super) const SWAPS_TRIED_MAX: usize = 4;
