//! The keys that vault entries are encrypted with: the newest encrypts, every one decrypts.
//!
//! AES-256-GCM-SIV (RFC 8452) with random nonces. A key is named by a digest of itself, so that a file can be moved about in the
//! config without entries being lost, and two replicas agree without a word.

use std::fmt;
use std::io;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, rand};
use secrecy::zeroize::Zeroizing;

use crate::seal::load_or_create;

/// It does not open. There is no further detail on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a vault entry does not open")]
pub struct Unopened;

/// The bytes of a key.
pub type KeyBytes = Zeroizing<[u8; 32]>;

/// A set of keys, at least one.
pub struct Ring {
    newest: Key,
    older: Vec<Key>,
}

struct Key {
    id: KeyId,
    key: LessSafeKey,
}

type KeyId = [u8; KEY_ID_BYTES];

/// What was opened, and whether it was under an older key.
pub(super) struct Plain {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) old_key: bool,
}

impl Ring {
    /// `newest` encrypts; `older` only decrypt.
    ///
    /// # Errors
    /// When the provider refuses a key, which it never does for 32 bytes.
    pub fn new(newest: &KeyBytes, older: &[KeyBytes]) -> io::Result<Self> {
        let older = older.iter().map(Key::new).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { newest: Key::new(newest)?, older })
    }

    /// The keys in `files`, the first of which encrypts. A file that is absent is made, if it is the only one: a key that was named
    /// beside others and is missing is a mistake, and would lose entries.
    ///
    /// # Errors
    /// When a file is missing, unreadable, readable by others, or not 32 bytes long.
    pub fn open(files: &[impl AsRef<Path>]) -> io::Result<Self> {
        let only = files.len() == 1;
        let mut keys = Vec::with_capacity(files.len());
        for file in files {
            let file = file.as_ref();
            if !only && !file.try_exists()? {
                return Err(io::Error::new(io::ErrorKind::NotFound, format!("{}: no such key file", file.display())));
            }
            let key =
                load_or_create(file).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
            keys.push(Zeroizing::new(key));
        }
        let (newest, older) = keys.split_first().ok_or_else(|| io::Error::other("the vault has no key"))?;
        Self::new(newest, older)
    }

    /// Encrypts `plain` so that it opens with the same `aad` only.
    ///
    /// # Errors
    /// [`Unopened`] when the system has no randomness.
    pub(super) fn close(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, Unopened> {
        let mut nonce = [0_u8; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| Unopened)?;
        let Key { id, key } = &self.newest;
        let mut sealed = Vec::with_capacity(plain.len() + AES_256_GCM_SIV.tag_len());
        sealed.extend_from_slice(plain);
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce_used, Aad::from(whole(id, aad)), &mut sealed).map_err(|_| Unopened)?;
        let mut out = Vec::with_capacity(HEAD_BYTES + sealed.len());
        out.push(VERSION);
        out.extend_from_slice(id);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Decrypts what [`Self::close`] made.
    ///
    /// # Errors
    /// [`Unopened`], whatever the cause.
    pub(super) fn open_bytes(&self, aad: &[u8], closed: &[u8]) -> Result<Plain, Unopened> {
        let (head, sealed) = closed.split_at_checked(HEAD_BYTES).ok_or(Unopened)?;
        let [VERSION, head @ ..] = head else { return Err(Unopened) };
        let (id, nonce) = head.split_first_chunk::<KEY_ID_BYTES>().ok_or(Unopened)?;
        let old_key = self.newest.id != *id;
        let key = std::iter::once(&self.newest).chain(&self.older).find(|key| key.id == *id).ok_or(Unopened)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unopened)?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let length = key.key.open_in_place(nonce, Aad::from(whole(id, aad)), &mut bytes).map_err(|_| Unopened)?.len();
        bytes.truncate(length);
        Ok(Plain { bytes, old_key })
    }
}

impl Key {
    fn new(bytes: &KeyBytes) -> io::Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM_SIV, bytes.as_slice()).map_err(|_| io::Error::other("unusable vault key"))?;
        let mut named = digest::Context::new(&digest::SHA256);
        named.update(KEY_ID_LABEL);
        named.update(bytes.as_slice());
        let id = named.finish().as_ref().first_chunk::<KEY_ID_BYTES>().copied();
        let id = id.ok_or_else(|| io::Error::other("unusable vault key"))?;
        Ok(Self { id, key: LessSafeKey::new(key) })
    }
}

/// The head is part of what is authenticated.
fn whole(id: &KeyId, aad: &[u8]) -> Vec<u8> {
    [&[VERSION], id.as_slice(), aad].concat()
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("keys", &(self.older.len() + 1)).finish_non_exhaustive()
    }
}

const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 8;
const KEY_ID_LABEL: &[u8] = b"portcullis vault key id";
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_LEN;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> KeyBytes {
        Zeroizing::new([byte; 32])
    }

    #[test]
    fn the_newest_encrypts_and_all_decrypt() {
        let old = Ring::new(&key(1), &[]).unwrap();
        let closed = old.close(b"aad", b"secret").unwrap();
        let rotated = Ring::new(&key(2), &[key(3), key(1)]).unwrap();
        let plain = rotated.open_bytes(b"aad", &closed).unwrap();
        assert_eq!((plain.bytes.as_slice(), plain.old_key), (&b"secret"[..], true));
        let again = rotated.close(b"aad", &plain.bytes).unwrap();
        assert!(!rotated.open_bytes(b"aad", &again).unwrap().old_key);
        assert!(old.open_bytes(b"aad", &again).is_err(), "the old ring has not the new key");
        assert!(Ring::new(&key(2), &[]).unwrap().open_bytes(b"aad", &closed).is_err(), "a key that was taken away opens nothing");
    }

    #[test]
    fn every_changed_bit_and_every_other_binding_is_noticed() {
        let ring = Ring::new(&key(1), &[key(2)]).unwrap();
        let closed = ring.close(b"aad", b"secret").unwrap();
        assert!(!closed.windows(6).any(|window| window == b"secret"));
        assert_ne!(closed, ring.close(b"aad", b"secret").unwrap(), "nonces are fresh");
        for aad in [&b""[..], b"aad ", b"aa", b"AAD"] {
            assert!(ring.open_bytes(aad, &closed).is_err());
        }
        for at in 0..closed.len() {
            for bit in 0..8 {
                let mut forged = closed.clone();
                *forged.get_mut(at).unwrap() ^= 1 << bit;
                assert!(ring.open_bytes(b"aad", &forged).is_err(), "byte {at} bit {bit}");
            }
            assert!(ring.open_bytes(b"aad", closed.get(..at).unwrap()).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn one_key_file_is_made_and_a_missing_one_of_several_is_a_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("keys/vault"), dir.path().join("keys/older"));
        let closed = Ring::open(&[&first]).unwrap().close(b"", b"x").unwrap();
        assert!(Ring::open(&[&second, &first]).is_err());
        std::fs::rename(&first, &second).unwrap();
        Ring::open(&[&first]).unwrap();
        let both = Ring::open(&[&first, &second]).unwrap();
        assert!(both.open_bytes(b"", &closed).unwrap().old_key);
        assert!(Ring::open(&[] as &[&Path]).is_err());
    }
}
