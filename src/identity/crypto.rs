//! The crypto provider, random bytes and the one hash.

use aws_lc_rs::{digest, hmac};

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
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    array(&context.finish())
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
