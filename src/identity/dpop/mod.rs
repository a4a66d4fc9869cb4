//! Proofs of possession (RFC 9449): every request is signed with the key that its token is bound to.

mod nonce;
mod proof;
mod replay;

use http::HeaderMap;
use subtle::ConstantTimeEq;

use super::authenticator::Asked;
use super::challenge::{ProofError, Refusal};
use super::crypto::CryptoError;
use nonce::{NONCE_S_MAX, Nonces};
use proof::Proof;
use replay::Replays;

pub(super) use proof::ALGORITHMS;

/// Age of a proof that is accepted, and how far it may be ahead, in seconds.
pub(super) const PROOF_S_MAX: u64 = 300;

/// What is remembered of proofs. Outlives a reload: what was used stays used.
pub(super) struct Dpop {
    nonces: Nonces,
    replays: Replays,
}

impl Dpop {
    /// # Errors
    /// [`CryptoError::Random`].
    pub(super) fn new() -> Result<Self, CryptoError> {
        Ok(Self { nonces: Nonces::new()?, replays: Replays::new()? })
    }

    /// Checks that the request proves possession of the key with thumbprint `key`, for `token`.
    ///
    /// # Errors
    /// [`Refusal::Proof`], with a nonce where one is wanted.
    pub(super) fn check(
        &self,
        asked: Asked<'_>,
        token: &str,
        key: &[u8; 32],
        nonce_optional: bool,
        now_s: u64,
    ) -> Result<(), Refusal> {
        let refuse = |error: ProofError, private: &'static str| {
            let nonce = (!nonce_optional || error == ProofError::UseNonce).then(|| self.nonces.make(now_s));
            Refusal::Proof { error, private, nonce }
        };
        let proof = the_proof(asked.headers).and_then(Proof::parse).map_err(|why| refuse(ProofError::Invalid, why))?;
        let checked = proof.check_for(asked.method, &asked.resource.url, token).and_then(|()| {
            let fresh = now_s.abs_diff(proof.issued_s) <= PROOF_S_MAX;
            if fresh { Ok(()) } else { Err("the proof is too old, or from the future") }
        });
        checked.map_err(|why| refuse(ProofError::Invalid, why))?;
        if !bool::from(proof.thumbprint.ct_eq(key)) {
            return Err(refuse(ProofError::Token, "the token is bound to another key"));
        }
        let made_s = match proof.nonce.as_deref() {
            None if nonce_optional => None,
            None => return Err(refuse(ProofError::UseNonce, "the proof has no nonce")),
            Some(nonce) => {
                let made_s = self.nonces.made_at(nonce, now_s);
                Some(made_s.ok_or_else(|| refuse(ProofError::UseNonce, "the nonce is not ours, or is used up"))?)
            }
        };
        if !proof.is_signed() {
            return Err(refuse(ProofError::Invalid, "the proof is not signed by its key"));
        }
        // After that no proof with these words passes any more, used or not.
        let ends_s = proof.issued_s.saturating_add(PROOF_S_MAX);
        let ends_s = made_s.map_or(ends_s, |made_s| ends_s.min(made_s.saturating_add(NONCE_S_MAX)));
        let first = self.replays.first(&proof.thumbprint, &proof.id, ends_s, now_s);
        first.map_err(|why| refuse(ProofError::Invalid, why))
    }

    /// Forgets what can no longer be replayed, a part at a time.
    pub(super) fn sweep(&self, now_s: u64) {
        self.replays.sweep(now_s);
    }
}

/// The one `DPoP` header.
fn the_proof(headers: &HeaderMap) -> Result<&str, &'static str> {
    let mut values = headers.get_all("dpop").into_iter();
    let value = values.next().ok_or("no DPoP header")?;
    if values.next().is_some() {
        return Err("several DPoP headers");
    }
    value.to_str().map_err(|_| "the DPoP header is not text")
}

#[cfg(test)]
pub(super) mod testing {
    pub(in super::super) use super::nonce::NONCE_S_MAX;
    pub(in super::super) use super::replay::Replays;
}
