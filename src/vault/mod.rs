//! What people linked: their own tokens at upstreams, encrypted, one account per person and upstream.
//!
//! Layer 3, over the store. An entry belongs to a person (issuer and subject), an upstream, the authorization server that issued
//! the tokens, and the client they were issued to. All of it is authenticated with the entry: moved to another key it does not
//! open. Whoever can read the store learns upstreams and authorization servers, no person and no token.

mod entry;
mod ring;

use std::sync::Arc;

pub use entry::{Account, Tokens};
pub use ring::{KeyBytes, Ring, Unopened};

use crate::store::{Space, Store, StoreError};
use crate::vocab::PrincipalKey;
use entry::{Owner, Parts};

/// Whose tokens, where, by whom and for which client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VaultKey {
    /// The person.
    pub principal: PrincipalKey,
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// The authorization server that issued the tokens.
    pub issuer: Arc<str>,
    /// The client they were issued to: us, as that authorization server knows us.
    pub client_id: Arc<str>,
}

/// An entry as it was read, and what [`Vault::replace`] needs to know that it still is the same.
#[derive(Clone, Debug)]
pub struct Held {
    /// Where it belongs.
    pub key: VaultKey,
    /// What it holds.
    pub account: Account,
    seen: Arc<[u8]>,
}

/// Why the vault did not do it. Callers fail closed.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The store did not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing can be encrypted, or the entry has a form this program does not write.
    #[error("{0}")]
    Entry(&'static str),
}

/// The vault.
#[derive(Clone, Debug)]
pub struct Vault {
    store: Store,
    ring: Arc<Ring>,
}

impl Vault {
    /// A vault in `store` under the keys of `ring`.
    pub fn new(store: Store, ring: Ring) -> Self {
        Self { store, ring: Arc::new(ring) }
    }

    /// Keeps `account` for `key`. It becomes the only account of that person at that upstream.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn link(&self, key: &VaultKey, account: &Account) -> Result<(), VaultError> {
        let value = self.encrypted(key, account)?;
        self.store.put(Space::Vault, &entry::store_key(key), &value, None).await?;
        // Written first: a failure in between leaves one account too many, never none.
        for other in self.at(&key.principal, &key.upstream).await? {
            if other.key != *key {
                self.unlink(&other.key).await?;
            }
        }
        Ok(())
    }

    /// The account of `principal` at `upstream`: of several (of a link that broke off half-way) the one linked last. An entry under an
    /// older key of the ring is encrypted anew on the way.
    ///
    /// # Errors
    /// [`VaultError`]; an entry that does not open is none, and is logged.
    pub async fn tokens(&self, principal: &PrincipalKey, upstream: &str) -> Result<Option<Held>, VaultError> {
        let held = self.at(principal, upstream).await?;
        Ok(held.into_iter().max_by_key(|held| held.account.linked_at_s))
    }

    /// Replaces what `held` was read as by `account`, if nobody else changed it since.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn replace(&self, held: &Held, account: &Account) -> Result<bool, VaultError> {
        let value = self.encrypted(&held.key, account)?;
        let key = entry::store_key(&held.key);
        Ok(self.store.swap(Space::Vault, &key, Some(&held.seen), Some(&value), None).await?)
    }

    /// Drops what `held` was read as, if nobody else changed it since.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn drop_seen(&self, held: &Held) -> Result<bool, VaultError> {
        let key = entry::store_key(&held.key);
        Ok(self.store.swap(Space::Vault, &key, Some(&held.seen), None, None).await?)
    }

    /// Drops the entry of `key`, whatever it holds by now, and tells what it was: its tokens are to be revoked.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn unlink(&self, key: &VaultKey) -> Result<Option<Held>, VaultError> {
        let stored = self.store.take(Space::Vault, &entry::store_key(key)).await?;
        Ok(stored
            .and_then(|value| self.opened(&key.principal, &key.upstream, &entry::store_key(key), &value))
            .map(|(held, _)| held))
    }

    /// Drops everything of `principal`, and tells what it was.
    ///
    /// # Errors
    /// [`VaultError`]; what was dropped until then stays dropped.
    pub async fn unlink_all(&self, principal: &PrincipalKey) -> Result<Vec<Held>, VaultError> {
        let mut gone = Vec::new();
        loop {
            let page = self.store.list(Space::Vault, &entry::owner_prefix(principal), PAGE_ENTRIES).await?;
            if page.is_empty() {
                return Ok(gone);
            }
            for (key, _) in page {
                // Taken, not removed: a refresh that ran meanwhile left newer tokens, and those are the ones to revoke. What does
                // not open goes as well.
                let Some(value) = self.store.take(Space::Vault, &key).await? else { continue };
                let upstream = entry::upstream_of(&key).unwrap_or_default().to_owned();
                gone.extend(self.opened(principal, &upstream, &key, &value).map(|(held, _)| held));
            }
        }
    }

    /// Every account of `principal`, by upstream; at most [`ACCOUNTS_SHOWN_MAX`].
    ///
    /// # Errors
    /// [`VaultError`]; an entry that does not open is left out, and is logged.
    pub async fn list(&self, principal: &PrincipalKey) -> Result<Vec<Held>, VaultError> {
        let stored = self.store.list(Space::Vault, &entry::owner_prefix(principal), ACCOUNTS_SHOWN_MAX).await?;
        let open = |(key, value): (Vec<u8>, Vec<u8>)| {
            let upstream = entry::upstream_of(&key)?.to_owned();
            self.opened(principal, &upstream, &key, &value).map(|(held, _)| held)
        };
        Ok(stored.into_iter().filter_map(open).collect())
    }

    /// Encrypts `plain` for something that belongs to the gateway itself, named by `context` and `name`.
    ///
    /// # Errors
    /// [`VaultError::Entry`] without randomness.
    pub fn close_own(&self, context: &str, name: &str, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.ring.close(&entry::own_aad(context, name), plain).map_err(|_| VaultError::Entry("nothing can be encrypted"))
    }

    /// Opens what [`Self::close_own`] made for the same context and name.
    ///
    /// # Errors
    /// [`Unopened`], whatever the cause.
    pub fn open_own(&self, context: &str, name: &str, closed: &[u8]) -> Result<KeptBytes, Unopened> {
        self.ring.open_bytes(&entry::own_aad(context, name), closed).map(|plain| plain.bytes)
    }

    async fn at(&self, principal: &PrincipalKey, upstream: &str) -> Result<Vec<Held>, VaultError> {
        let stored = self.store.list(Space::Vault, &entry::upstream_prefix(principal, upstream), PAGE_ENTRIES).await?;
        let mut all = Vec::new();
        for (key, value) in stored {
            let Some((mut held, old_key)) = self.opened(principal, upstream, &key, &value) else { continue };
            if old_key {
                let again = self.encrypted(&held.key, &held.account)?;
                // Somebody else was faster: then it is theirs that counts, and this one is used once more.
                if self.store.swap(Space::Vault, &key, Some(&value), Some(&again), None).await? {
                    held.seen = again.into();
                }
            }
            all.push(held);
        }
        Ok(all)
    }

    fn encrypted(&self, key: &VaultKey, account: &Account) -> Result<Vec<u8>, VaultError> {
        let plain = account.to_bytes().ok_or(VaultError::Entry("an account cannot be written"))?;
        let closed = self.ring.close(&entry::aad(key), &plain).map_err(|_| VaultError::Entry("nothing can be encrypted"))?;
        entry::join(&key.issuer, &key.client_id, &closed).ok_or(VaultError::Entry("an issuer or client id is too long"))
    }

    /// The entry at `stored_at`, and whether it was under an older key. `None` for what does not belong there or does not open.
    fn opened(&self, principal: &PrincipalKey, upstream: &str, stored_at: &[u8], value: &[u8]) -> Option<(Held, bool)> {
        let opened = self.open(principal, upstream, stored_at, value);
        if opened.is_none() {
            tracing::warn!(%upstream, "an entry of the vault does not open: its key is gone, or it was tampered with");
        }
        opened
    }

    fn open(&self, principal: &PrincipalKey, upstream: &str, stored_at: &[u8], value: &[u8]) -> Option<(Held, bool)> {
        let Parts { issuer, client_id, closed } = entry::split(value)?;
        let owner = Owner { principal, upstream };
        let key = owner.key(issuer, client_id);
        if entry::store_key(&key) != stored_at {
            return None;
        }
        let plain = self.ring.open_bytes(&entry::aad(&key), closed).ok()?;
        let account = Account::of_bytes(&plain.bytes)?;
        Some((Held { key, account, seen: value.into() }, plain.old_key))
    }
}

/// Bytes that are wiped when they are dropped.
pub type KeptBytes = secrecy::zeroize::Zeroizing<Vec<u8>>;

/// Accounts of one person that are shown.
pub const ACCOUNTS_SHOWN_MAX: u32 = 256;
/// Entries read at once.
const PAGE_ENTRIES: u32 = 64;

#[cfg(test)]
mod tests;
