//! Secrets that a browser or a client carries: 256 random bits as text. What is kept of them is their SHA-256.

use aws_lc_rs::{digest as hash, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The operating system gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no randomness from the operating system")]
pub struct NoRandomness;

/// 256 random bits, as 43 characters of URL-safe base64.
///
/// # Errors
/// [`NoRandomness`].
pub fn fresh_secret() -> Result<String, NoRandomness> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// SHA-256 of `secret`: enough to find it again, useless to whoever reads the store, as the secret cannot be guessed.
pub fn digest(secret: &str) -> [u8; 32] {
    let mut out = [0; 32];
    let digest = hash::digest(&hash::SHA256, secret.as_bytes());
    out.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    out
}

/// [`digest`] as URL-safe base64: also the `S256` of RFC 7636 section 4.2.
pub fn digest_text(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(secret))
}
