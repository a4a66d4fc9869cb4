//! A private key of ours, to sign assertions with.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, KeyAlgorithm, OctetKeyPairParameters, OctetKeyPairType,
    PublicKeyUse, ThumbprintHash,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value;

use crate::private_file;
use crate::vocab::limits::SECRET_FILE_BYTES_MAX;

/// Why a key is not usable. Says nothing of what is in it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a PEM private key of a kind that is used here.
    #[error("not a private key in PEM: RSA, EC (P-256 or P-384) or Ed25519")]
    Unusable,
    /// The file could not be read or made.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A private key, and the public half as others may know it. Must not be made before the crypto provider is installed.
pub struct SigningKey {
    algorithm: Algorithm,
    key: EncodingKey,
    jwk: Jwk,
}

impl SigningKey {
    /// A key from PEM text. What it signs with follows from its kind: RS256, ES256, ES384 or EdDSA.
    ///
    /// # Errors
    /// [`KeyError::Unusable`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let pem = pem.as_bytes();
        let ec = || EncodingKey::from_ec_pem(pem).ok();
        let kinds = [
            (Algorithm::ES256, ec()),
            (Algorithm::ES384, ec()),
            (Algorithm::EdDSA, EncodingKey::from_ed_pem(pem).ok()),
            (Algorithm::RS256, EncodingKey::from_rsa_pem(pem).ok()),
        ];
        let kinds = kinds.into_iter().filter_map(|(algorithm, key)| Some((algorithm, key?)));
        kinds.into_iter().find_map(|(algorithm, key)| Self::tried(algorithm, key, pem)).ok_or(KeyError::Unusable)
    }

    /// The key, if it really signs with `algorithm`.
    fn tried(algorithm: Algorithm, key: EncodingKey, pem: &[u8]) -> Option<Self> {
        encode(&Header::new(algorithm), &Value::Null, &key).ok()?;
        let mut jwk = match algorithm {
            Algorithm::EdDSA => ed25519(pem)?,
            _ => Jwk::from_encoding_key(&key, algorithm).ok()?,
        };
        jwk.common.key_id = Some(jwk.thumbprint(ThumbprintHash::SHA256).ok()?);
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Some(Self { algorithm, key, jwk })
    }

    /// The same key under the `kid` that somebody else gave it.
    #[must_use]
    pub fn called(mut self, kid: String) -> Self {
        self.jwk.common.key_id = Some(kid);
        self
    }

    /// The ES256 key in the file at `path`, which is made the first time: directory mode 0700, file mode 0600, written whole or
    /// not at all. Of several processes that do so at once, all end with the same key.
    ///
    /// # Errors
    /// [`KeyError`], also when others may read the file.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyError> {
        if !path.try_exists()? {
            create(path)?;
        }
        let about = fs::metadata(path)?;
        if about.permissions().mode() & 0o077 != 0 {
            return Err(io::Error::other("the key file is readable by others: chmod 600 it").into());
        }
        if about.len() > SECRET_FILE_BYTES_MAX {
            return Err(KeyError::Unusable);
        }
        Self::from_pem(&fs::read_to_string(path)?)
    }

    /// The public half (RFC 7517), with `kid`, `alg` and `use`.
    pub fn public_jwk(&self) -> Value {
        serde_json::to_value(&self.jwk).unwrap_or_default()
    }

    /// The `alg` it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// A signed JWT of `claims`, with `typ` if given.
    ///
    /// # Errors
    /// [`KeyError::Unusable`] if signing fails.
    pub fn sign(&self, typ: Option<&str>, claims: &impl Serialize) -> Result<SecretString, KeyError> {
        let mut header = Header::new(self.algorithm);
        header.kid.clone_from(&self.jwk.common.key_id);
        header.typ = Some(typ.unwrap_or("JWT").to_owned());
        encode(&header, claims, &self.key).map(SecretString::from).map_err(|_| KeyError::Unusable)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.jwk.common.key_id)
            .finish_non_exhaustive()
    }
}

/// The public half of an Ed25519 key, whether its file holds that half too or not (RFC 8410 section 7).
fn ed25519(pem: &[u8]) -> Option<Jwk> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem).ok()?;
    let pair = Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()?;
    let common = CommonParameters { key_algorithm: Some(KeyAlgorithm::EdDSA), ..CommonParameters::default() };
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let pair = OctetKeyPairParameters { key_type: OctetKeyPairType::OctetKeyPair, curve: EllipticCurve::Ed25519, x };
    Some(Jwk { common, algorithm: AlgorithmParameters::OctetKeyPair(pair) })
}

fn create(path: &Path) -> Result<(), KeyError> {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|_| KeyError::Unusable)?;
    let pem = SecretString::from(pair.serialize_pem());
    // Of two starting processes one key wins, and both use it.
    private_file::create(path, pem.expose_secret().as_bytes())?;
    Ok(())
}
