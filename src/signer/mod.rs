//! Keys of our own that sign what others verify: made, kept, rotated and published here.
//!
//! Layer 2. JSON Web Signatures (RFC 7515) with ES256 or EdDSA; the public halves as a key set (RFC 7517). A key signs until the next
//! one is made, and stays in the set until nothing that it signed can still hold.

mod key;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::vocab::Clock;
use key::Key;

/// Signature algorithms that keys are made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// ECDSA with P-256 and SHA-256 (RFC 7518 section 3.4).
    #[default]
    Es256,
    /// Ed25519 (RFC 8037 section 3.1).
    EdDsa,
}

impl SigningAlgorithm {
    /// The `alg` value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Which keys, and for how long.
#[derive(Clone, Debug)]
pub struct SignerSettings {
    /// Directory of the private keys; made when absent (mode 0700).
    pub dir: PathBuf,
    /// What new keys are for.
    pub algorithm: SigningAlgorithm,
    /// A key signs for this long.
    pub rotate_every: Duration,
    /// The longest life of anything signed: so long a key stays in the set after it signed last.
    pub signed_for: Duration,
}

/// Why there is nothing to sign with. The text is for the operator.
#[derive(Debug, thiserror::Error)]
#[error("signing keys: {0}")]
pub struct SignerError(pub(crate) String);

/// The keys, newest first; and the published set.
pub struct Signer {
    settings: SignerSettings,
    clock: Clock,
    keys: ArcSwap<Vec<Arc<Key>>>,
    document: Arc<ArcSwap<Bytes>>,
    /// Held while keys change.
    changing: Mutex<()>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("dir", &self.settings.dir).finish_non_exhaustive()
    }
}

impl Signer {
    /// Opens the keys of the directory, and makes one where none is young enough.
    ///
    /// # Errors
    /// [`SignerError`]: a directory or key that cannot be read, made, or that others can read.
    pub fn open(settings: SignerSettings, clock: Clock) -> Result<Self, SignerError> {
        let keys = key::read_all(&settings.dir)?;
        let signer =
            Self { settings, clock, keys: ArcSwap::from_pointee(keys), document: Arc::default(), changing: Mutex::new(()) };
        signer.rotate()?;
        signer.publish();
        Ok(signer)
    }

    /// Makes the next key when it is due and forgets keys that nothing depends on; true if anything changed. Writes files.
    ///
    /// # Errors
    /// [`SignerError`]; the keys of before stay.
    pub fn rotate(&self) -> Result<bool, SignerError> {
        let _one = self.changing.lock();
        let now_s = self.clock.unix_s();
        let (every_s, over_s) =
            (self.settings.rotate_every.as_secs(), self.settings.signed_for.as_secs().saturating_add(MARGIN_S));
        let mut keys = Vec::clone(&self.keys.load());
        let before = keys.len();
        let young = |key: &Arc<Key>| key.algorithm == self.settings.algorithm && now_s < key.made_s.saturating_add(every_s);
        let made = !keys.first().is_some_and(young);
        if made {
            let newest_s = keys.first().map_or(0, |key| key.made_s.saturating_add(1));
            keys.insert(0, Arc::new(key::make(&self.settings.dir, self.settings.algorithm, now_s.max(newest_s))?));
        }
        // A key signed last when the next one was made.
        let mut next_s = u64::MAX;
        keys.retain(|key| {
            let needed = next_s == u64::MAX || now_s < next_s.saturating_add(over_s);
            next_s = key.made_s;
            if !needed {
                key::forget(&self.settings.dir, key);
            }
            needed
        });
        let changed = made || keys.len() != before;
        self.keys.store(Arc::new(keys));
        if changed {
            self.publish();
        }
        Ok(changed)
    }

    /// The published key set. The same cell for as long as the signer lives: whoever holds it sees every rotation.
    pub fn document(&self) -> Arc<ArcSwap<Bytes>> {
        self.document.clone()
    }

    /// The compact serialization of `claims`, of type `typ`, signed with the newest key.
    ///
    /// # Errors
    /// [`SignerError`] when the key cannot sign.
    pub fn sign(&self, typ: &str, claims: &Map<String, Value>) -> Result<String, SignerError> {
        let keys = self.keys.load();
        let key = keys.first().ok_or_else(|| SignerError("there is no key".to_owned()))?;
        let header = json!({"alg": key.algorithm.as_str(), "typ": typ, "kid": key.kid});
        let claims = serde_json::to_string(claims).map_err(|e| SignerError(e.to_string()))?;
        let signed = format!("{}.{}", key::encoded(header.to_string().as_bytes()), key::encoded(claims.as_bytes()));
        let signature = key.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", key::encoded(&signature)))
    }

    fn publish(&self) {
        self.document.store(Arc::new(document(&self.keys.load())));
    }
}

/// The key set of the private keys in `dir`, where there are any. Nothing is made.
///
/// # Errors
/// [`SignerError`]: a key that cannot be read, or that others can read.
pub fn published(dir: &Path) -> Result<Option<Bytes>, SignerError> {
    let keys = if dir.is_dir() { key::read_all(dir)? } else { Vec::new() };
    Ok((!keys.is_empty()).then(|| document(&keys)))
}

fn document(keys: &[Arc<Key>]) -> Bytes {
    let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
    Bytes::from(json!({ "keys": keys }).to_string())
}

/// Added to the life of what was signed: clocks differ, and verifiers tolerate it.
const MARGIN_S: u64 = 300;

#[cfg(test)]
mod tests;
