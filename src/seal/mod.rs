//! Sealed state: what a client carries for us, unreadable and unforgeable.
//!
//! AES-256-GCM-SIV (RFC 8452) under a key of our own. A seal is bound to a purpose, a principal and a route, and it expires:
//! opened by anyone else, anywhere else, for anything else or too late, it is as good as garbage, and looks the same.

use std::io;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::vocab::PrincipalKey;

mod keyfile;

pub use keyfile::load_or_create;

/// What a seal is for. Seals of one purpose never open as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A legacy session id.
    Session,
    /// A cursor of a merged list.
    Cursor,
    /// `requestState` of an upstream.
    RequestState,
    /// `requestState` of an upstream whose call people approved.
    ApprovedRound,
    /// `requestState` of ours, naming a call that waits for an answer.
    Parked,
    /// `requestState` of ours, while a person visits a page that an upstream wants visited.
    Visit,
    /// `requestState` of ours, while a person links an account.
    LinkState,
    /// `requestState` of ours, while people decide on an approval.
    ApprovalState,
    /// What leads a person to the page that links an account.
    Ticket,
    /// `taskId` of a task of an upstream.
    Task,
}

impl Purpose {
    fn tag(self) -> u8 {
        match self {
            Self::Session => 1,
            Self::Cursor => 2,
            Self::RequestState => 3,
            Self::LinkState => 4,
            Self::Ticket => 5,
            Self::Parked => 6,
            Self::Visit => 7,
            Self::Task => 8,
            Self::ApprovalState => 9,
            Self::ApprovedRound => 10,
        }
    }
}

/// To whom and where a seal belongs.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// What it is for.
    pub purpose: Purpose,
    /// Who carries it.
    pub principal: &'a PrincipalKey,
    /// The route's path.
    pub route: &'a str,
    /// What else must be the same when it is opened, such as the method; may be empty.
    pub context: &'a [u8],
}

/// It does not open. There is no further detail on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid seal")]
pub struct Unsealed;

/// The sealing key.
pub struct Sealer {
    key: LessSafeKey,
}

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + NONCE_LEN;
const EXPIRY_BYTES: usize = 8;

impl Sealer {
    /// Uses the key file at `path`, made (mode 0600) when absent.
    ///
    /// # Errors
    /// When the file cannot be read or made, has a wrong size, or is readable by others.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::with_key(&load_or_create(path)?)
    }

    /// Uses `key`.
    ///
    /// # Errors
    /// Never for 32 bytes; the signature leaves room for providers that refuse.
    pub fn with_key(key: &[u8; 32]) -> io::Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM_SIV, key).map_err(|_| io::Error::other("unusable sealing key"))?;
        Ok(Self { key: LessSafeKey::new(key) })
    }

    /// Seals `payload` until `expires_s` (seconds since the Unix epoch). The text is URL-safe base64.
    ///
    /// # Errors
    /// [`Unsealed`] when the system has no randomness.
    pub fn seal(&self, binding: Binding<'_>, payload: &[u8], expires_s: u64) -> Result<String, Unsealed> {
        let mut nonce = [0_u8; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| Unsealed)?;
        let mut sealed = expires_s.to_be_bytes().to_vec();
        sealed.extend_from_slice(payload);
        let aad = Aad::from(associated(binding));
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce_used, aad, &mut sealed).map_err(|_| Unsealed)?;
        let mut out = Vec::with_capacity(HEAD_BYTES + sealed.len());
        out.push(VERSION);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(URL_SAFE_NO_PAD.encode(out))
    }

    /// Opens `text`, which must have been sealed for the same binding and not have expired at `now_s`.
    ///
    /// # Errors
    /// [`Unsealed`], whatever the cause.
    pub fn open_text(&self, binding: Binding<'_>, text: &str, now_s: u64) -> Result<Vec<u8>, Unsealed> {
        self.open_with_expiry(binding, text, now_s).map(|(payload, _)| payload)
    }

    /// As [`Self::open_text`], with the time until which it opens, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// [`Unsealed`], whatever the cause.
    pub fn open_with_expiry(&self, binding: Binding<'_>, text: &str, now_s: u64) -> Result<(Vec<u8>, u64), Unsealed> {
        let mut bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Unsealed)?;
        let (head, sealed) = bytes.split_at_mut_checked(HEAD_BYTES).ok_or(Unsealed)?;
        let nonce = match head {
            [VERSION, nonce @ ..] => Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unsealed)?,
            _ => return Err(Unsealed),
        };
        let aad = Aad::from(associated(binding));
        let opened = self.key.open_in_place(nonce, aad, sealed).map_err(|_| Unsealed)?;
        let (expiry, payload) = opened.split_first_chunk::<EXPIRY_BYTES>().ok_or(Unsealed)?;
        let expires_s = u64::from_be_bytes(*expiry);
        if expires_s <= now_s {
            return Err(Unsealed);
        }
        Ok((payload.to_vec(), expires_s))
    }
}

/// Length-prefixed, so that no two bindings read the same.
fn associated(binding: Binding<'_>) -> Vec<u8> {
    let parts = [binding.principal.iss.as_bytes(), binding.principal.sub.as_bytes(), binding.route.as_bytes(), binding.context];
    let mut out = Vec::with_capacity(2 + parts.iter().map(|part| size_of::<u64>() + part.len()).sum::<usize>());
    out.extend_from_slice(&[VERSION, binding.purpose.tag()]);
    for part in parts {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests;
