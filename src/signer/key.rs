//! One private key and its file: `SECONDS-RANDOM.pem`, the time at which it was made first.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{SignerError, SigningAlgorithm};
use crate::private_file;

/// Size of a key file.
const KEY_FILE_BYTES_MAX: u64 = 16 * 1024;
/// Keys of one directory; more are a sign that it is not ours.
const KEYS_MAX: usize = 64;

pub(super) struct Key {
    pub(super) made_s: u64,
    pub(super) kid: String,
    pub(super) algorithm: SigningAlgorithm,
    name: String,
    pair: Pair,
}

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

pub(super) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The keys of the directory, newest first.
pub(super) fn read_all(dir: &Path) -> Result<Vec<Arc<Key>>, SignerError> {
    let wrong = |error: std::io::Error| SignerError(format!("{}: {error}", dir.display()));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(wrong)?;
    let mut keys = Vec::new();
    for entry in fs::read_dir(dir).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.extension().is_some_and(|e| e == "pem") {
            keys.push(Arc::new(read(&path)?));
        }
        if keys.len() > KEYS_MAX {
            return Err(SignerError(format!("{}: more than {KEYS_MAX} keys", dir.display())));
        }
    }
    keys.sort_by(|a, b| b.made_s.cmp(&a.made_s).then_with(|| b.name.cmp(&a.name)));
    Ok(keys)
}

fn read(path: &Path) -> Result<Key, SignerError> {
    let wrong = |why: String| SignerError(format!("{}: {why}", path.display()));
    let about = fs::metadata(path).map_err(|e| wrong(e.to_string()))?;
    if about.permissions().mode() & 0o077 != 0 {
        return Err(wrong("the private key is readable by others: chmod 600 it".to_owned()));
    }
    if about.len() > KEY_FILE_BYTES_MAX {
        return Err(wrong("too large for a key".to_owned()));
    }
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let made_s = name.split('-').next().and_then(|seconds| seconds.parse().ok());
    let made_s = made_s.ok_or_else(|| wrong("its name does not start with the time it was made".to_owned()))?;
    let pem = fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    from_pem(&pem, made_s, name).map_err(wrong)
}

/// Makes a key and its file, whole or not at all.
pub(super) fn make(dir: &Path, algorithm: SigningAlgorithm, made_s: u64) -> Result<Key, SignerError> {
    let wrong = |why: String| SignerError(format!("{}: {why}", dir.display()));
    let kind = match algorithm {
        SigningAlgorithm::Es256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        SigningAlgorithm::EdDsa => &rcgen::PKCS_ED25519,
    };
    let pem = secrecy::SecretString::from(rcgen::KeyPair::generate_for(kind).map_err(|e| wrong(e.to_string()))?.serialize_pem());
    let mut unique = [0; 6];
    rand::fill(&mut unique).map_err(|_| wrong("no randomness".to_owned()))?;
    let name = format!("{made_s}-{}", encoded(&unique));
    let text = secrecy::ExposeSecret::expose_secret(&pem);
    let key = from_pem(text, made_s, name.clone()).map_err(wrong)?;
    let made = private_file::create(&path_of(dir, &name), text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    if made { Ok(key) } else { Err(wrong("there is a key of that name".to_owned())) }
}

/// Deletes the file of a key that nothing depends on; one that stays is looked at again at the next start.
pub(super) fn forget(dir: &Path, key: &Key) {
    if let Err(error) = fs::remove_file(path_of(dir, &key.name)) {
        tracing::warn!(%error, kid = key.kid, "the file of an old signing key stays");
    }
}

fn path_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.pem"))
}

fn from_pem(pem: &str, made_s: u64, name: String) -> Result<Key, String> {
    let pair = rcgen::KeyPair::from_pem(pem).map_err(|e| e.to_string())?;
    let der = pair.serialize_der();
    let (algorithm, pair) = if pair.is_compatible(&rcgen::PKCS_ED25519) {
        (SigningAlgorithm::EdDsa, Ed25519KeyPair::from_pkcs8(&der).map(Pair::EdDsa))
    } else {
        (SigningAlgorithm::Es256, EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).map(Pair::Es256))
    };
    let pair = pair.map_err(|_| "not a P-256 or Ed25519 key".to_owned())?;
    let public = match &pair {
        Pair::Es256(pair) => pair.public_key().as_ref(),
        Pair::EdDsa(pair) => pair.public_key().as_ref(),
    };
    let kid = encoded(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, public).as_ref());
    Ok(Key { made_s, kid, algorithm, name, pair })
}

impl Key {
    pub(super) fn sign(&self, text: &[u8]) -> Result<Vec<u8>, SignerError> {
        match &self.pair {
            Pair::Es256(pair) => {
                let made = pair.sign(&SystemRandom::new(), text);
                made.map(|s| s.as_ref().to_vec()).map_err(|_| SignerError("the key does not sign".to_owned()))
            }
            Pair::EdDsa(pair) => Ok(pair.sign(text).as_ref().to_vec()),
        }
    }

    /// The public half as a JWK.
    pub(super) fn public(&self) -> Value {
        let (kid, alg) = (&self.kid, self.algorithm.as_str());
        match &self.pair {
            Pair::EdDsa(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(pair.public_key().as_ref()), "kid": kid, "use": "sig", "alg": alg})
            }
            Pair::Es256(pair) => {
                // An uncompressed point: a marker, then both coordinates.
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
                json!({"kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y), "kid": kid, "use": "sig", "alg": alg})
            }
        }
    }
}
