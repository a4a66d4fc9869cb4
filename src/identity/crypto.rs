//! The crypto provider, random bytes and the one hash.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac};
use smallvec::SmallVec;

/// Randomness failed, or an implementation other than aws-lc-rs was installed first.
#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system")]
    Random,
    /// A key could not be made or read.
    #[error("key: {0}")]
    Key(String),
}

/// Makes aws-lc-rs the crypto of the process, for TLS and for JWT. To be called first in `main`; calling again does nothing.
///
/// Both libraries would otherwise choose by compiled features, and panic where that is ambiguous.
pub fn install_crypto() {
    // An error only says that a provider is already installed, which is what a second call finds.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

/// SHA-256 of `parts`, each preceded by its length so that no two lists of parts collide.
pub(super) fn sha256_of(parts: &[&[u8]]) -> [u8; 32] {
    sha256(&joined(parts))
}

/// The parts in one piece, each preceded by its length. What reads one piece needs no context on the heap.
fn joined(parts: &[&[u8]]) -> SmallVec<[u8; JOINED_BYTES]> {
    let mut whole = SmallVec::new();
    for part in parts {
        whole.extend_from_slice(&(part.len() as u64).to_be_bytes());
        whole.extend_from_slice(part);
    }
    whole
}

/// Most tokens are shorter; longer ones take a heap allocation.
const JOINED_BYTES: usize = 1024;

/// Names secrets in tables of this process: 128 bits that nobody outside can foresee, and so cannot make collide. Costs a fraction of
/// SHA-256 where the processor has no instructions for that, and no more where it has.
///
/// The tag of AES-256-GCM-SIV (RFC 8452) over nothing but additional data, under a key of this process. One nonce for all is sound there:
/// equal inputs have equal tags, which is what is wanted, and nothing else shows.
pub(super) struct Fingerprints(LessSafeKey);

impl Fingerprints {
    pub(super) fn random() -> Result<Self, CryptoError> {
        let key = UnboundKey::new(&AES_256_GCM_SIV, &random::<32>()?).map_err(|error| CryptoError::Key(error.to_string()))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// That of `parts`, of which no two lists have the same; `None` should the cipher fail.
    pub(super) fn of(&self, parts: &[&[u8]]) -> Option<[u8; 16]> {
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(&*joined(parts)), &mut []).ok()?;
        tag.as_ref().try_into().ok()
    }
}

/// Plain SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    array(&digest::digest(&digest::SHA256, bytes))
}

fn array(digest: &digest::Digest) -> [u8; 32] {
    let mut out = [0; 32];
    out.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    out
}

/// A secret key of this process that marks what it made (HMAC-SHA-256).
pub(super) struct Mac(hmac::Key);

impl Mac {
    pub(super) fn random() -> Result<Self, CryptoError> {
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?)))
    }

    pub(super) fn tag(&self, message: &[u8]) -> [u8; 32] {
        let mut out = [0; 32];
        out.iter_mut().zip(hmac::sign(&self.0, message).as_ref()).for_each(|(to, from)| *to = *from);
        out
    }

    /// Whether `tag` is the one of `message`; takes as long for any.
    pub(super) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.0, message, tag).is_ok()
    }
}

/// `N` bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> Result<[u8; N], CryptoError> {
    let mut out = [0; N];
    aws_lc_rs::rand::fill(&mut out).map_err(|_| CryptoError::Random)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_those_of_the_parts_in_this_process_alone() {
        let (ours, others) = (Fingerprints::random().unwrap(), Fingerprints::random().unwrap());
        let long = vec![b'a'; 2 * JOINED_BYTES];
        let lists: [&[&[u8]]; 7] = [&[], &[b""], &[b"ab", b"c"], &[b"a", b"bc"], &[b"abc"], &[&long], &[&long[1..]]];
        for (at, list) in lists.iter().enumerate() {
            let name = ours.of(list).unwrap();
            assert_eq!(ours.of(list), Some(name));
            assert_ne!(others.of(list), Some(name));
            for other in &lists[..at] {
                assert_ne!(ours.of(other), Some(name), "{other:?} {list:?}");
            }
        }
    }
}
