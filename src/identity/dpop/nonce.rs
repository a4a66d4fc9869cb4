//! Nonces that say when they were made, sealed by a key of this process: nothing is stored, and none outlives a restart.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::crypto::{CryptoError, Mac};

/// How long a nonce is accepted, in seconds. Short: used proofs are remembered for as long.
pub(in super::super) const NONCE_S_MAX: u64 = 120;
/// Bytes of a nonce: the time, then what seals it.
const NONCE_BYTES: usize = 8 + 32;

pub(super) struct Nonces {
    key: Mac,
}

impl Nonces {
    pub(super) fn new() -> Result<Self, CryptoError> {
        Ok(Self { key: Mac::random()? })
    }

    /// A nonce as of `now_s`.
    pub(super) fn make(&self, now_s: u64) -> String {
        let time = now_s.to_be_bytes();
        URL_SAFE_NO_PAD.encode([&time[..], &self.key.tag(&time)[..]].concat())
    }

    /// When `nonce` was made; `None` for one that is not ours or too old.
    pub(super) fn made_at(&self, nonce: &str, now_s: u64) -> Option<u64> {
        let bytes: [u8; NONCE_BYTES] = URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
        let (time, tag) = bytes.split_first_chunk::<8>()?;
        let made_s = u64::from_be_bytes(*time);
        let fresh = made_s <= now_s && now_s - made_s < NONCE_S_MAX;
        (self.key.verify(time, tag) && fresh).then_some(made_s)
    }
}
