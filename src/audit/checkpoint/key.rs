//! The key of the checkpoints: Ed25519 (RFC 8032), PKCS#8 in PEM (RFC 5958, RFC 8410), and its public half beside it.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};

use super::{SIGNATURE_BYTES, Statement};
use crate::audit::chain::from_hex;
use crate::private_file;
use crate::vocab::limits::SECRET_FILE_BYTES_MAX;

/// What stands before the 32 bytes of an Ed25519 key in its `SubjectPublicKeyInfo` (RFC 8410 section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The short name of a key: the first 16 digits of the SHA-256 of its public half.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// From 16 digits.
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        from_hex(digits).map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// The public half: what verifying needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads a public key in PEM (`BEGIN PUBLIC KEY`).
    pub fn from_pem(pem: &[u8]) -> Option<Self> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).ok()?;
        der.as_ref().strip_prefix(&SPKI_PREFIX)?.try_into().ok().map(Self)
    }

    /// The key in PEM.
    pub fn pem(&self) -> String {
        let der = [&SPKI_PREFIX[..], &self.0].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    /// Its short name.
    pub fn id(&self) -> KeyId {
        let whole = digest(&SHA256, &self.0);
        KeyId(whole.as_ref().first_chunk().copied().unwrap_or_default())
    }

    pub(super) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(text, signature).is_ok()
    }
}

/// The key that signs.
pub struct CheckpointKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckpointKey({})", self.id())
    }
}

impl CheckpointKey {
    /// Reads the key at `path`, or makes it there, mode 0600. The public half is put beside it, with the extension `pub`, if that
    /// can be written; the one of another key that is there is kept as `NAME-KEYID.pub`.
    ///
    /// # Errors
    /// When the file cannot be read or made, is readable by others, or holds no Ed25519 key.
    pub fn open_or_make(path: &Path) -> io::Result<Self> {
        let key = match Self::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(io::Error::other)?;
                let pem = SecretString::from(pair.serialize_pem());
                // Of several processes that do so at once one wins, and all read its key.
                private_file::create(path, pem.expose_secret().as_bytes())?;
                Self::open(path)?
            }
            other => other?,
        };
        if let Err(error) = key.show(path) {
            tracing::warn!(%error, "the public half of the checkpoint key is not beside it");
        }
        Ok(key)
    }

    /// Reads the key at `path`.
    ///
    /// # Errors
    /// As [`Self::open_or_make`], or there is no file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()));
        let file = File::open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            return Err(wrong("the checkpoint key is accessible to others: chmod 600 it"));
        }
        let mut pem = SecretBox::new(Box::new(Vec::new()));
        let read = secrecy::ExposeSecretMut::expose_secret_mut(&mut pem);
        file.take(SECRET_FILE_BYTES_MAX + 1).read_to_end(read)?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose_secret());
        let pair = der.ok().and_then(|der| Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der()).ok());
        let pair = pair.ok_or_else(|| wrong("is not an Ed25519 private key in PEM (PKCS#8)"))?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| wrong("is not an Ed25519 key"))?;
        Ok(Self { pair, public: PublicKey(public) })
    }

    /// Signs what is stated.
    pub fn sign(&self, statement: &Statement) -> [u8; SIGNATURE_BYTES] {
        self.pair.sign(statement.text().as_bytes()).as_ref().try_into().unwrap_or([0; SIGNATURE_BYTES])
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The short name.
    pub fn id(&self) -> KeyId {
        self.public.id()
    }

    /// Puts the public half beside the key.
    fn show(&self, path: &Path) -> io::Result<()> {
        let shown = path.with_extension("pub");
        match fs::read(&shown).map(|pem| PublicKey::from_pem(&pem)) {
            Ok(Some(public)) if public == self.public => return Ok(()),
            Ok(Some(other)) => fs::rename(&shown, kept(path, other.id()))?,
            Ok(None) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something else is there")),
            Err(_) => {}
        }
        private_file::create(&shown, self.public.pem().as_bytes()).map(drop)
    }
}

/// Where the public half of a key that was here before goes: what it signed can still be verified.
fn kept(path: &Path, id: KeyId) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{id}.pub"));
    path.with_file_name(name)
}
