//! The embedded issuer for development: a key of its own under the data directory, tokens on request, no sign-in.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jsonwebtoken::Algorithm;
use secrecy::SecretString;
use serde_json::json;

use super::crypto::{CryptoError, random, sha256};
use super::issuer_settings::{IssuerSettings, JwksSource};
pub use crate::vocab::DEV_ISSUER;

/// Size of a key file.
const KEY_FILE_BYTES_MAX: u64 = 16 * 1024;

/// Why the development issuer is not available.
#[derive(Debug, thiserror::Error)]
pub enum DevIssuerError {
    /// The key file could not be made or read.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The key file can be read by others than its owner.
    #[error("{0}: the private key is readable by others: chmod 600")]
    Exposed(PathBuf),
    /// The key could not be made or understood.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// What a development token shall say.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The subject.
    pub sub: String,
    /// The `groups` claim.
    pub groups: Vec<String>,
    /// Scopes.
    pub scopes: Vec<String>,
    /// The OAuth client.
    pub client_id: Option<String>,
    /// The URL of the route the token is for.
    pub audience: String,
    /// How long it holds, in whole seconds.
    pub expires: Duration,
}

/// The development issuer, with its private key.
pub struct DevIssuer {
    key: Ed25519KeyPair,
    kid: String,
}

impl DevIssuer {
    /// Opens the issuer whose key is `data_dir/dev-issuer/key.pem`, making it the first time. Of several processes that do so
    /// at once, all end with the same key.
    ///
    /// # Errors
    /// [`DevIssuerError`].
    pub fn open_or_create(data_dir: &Path) -> Result<Self, DevIssuerError> {
        let dir = data_dir.join("dev-issuer");
        let path = dir.join("key.pem");
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| DevIssuerError::Io { path, source }
        };
        if !path.try_exists().map_err(failed(&path))? {
            create_dir(&dir).map_err(failed(&dir))?;
            create_key(&dir, &path, &new_key_pem()?).map_err(failed(&path))?;
        }
        let about = fs::metadata(&path).map_err(failed(&path))?;
        if is_exposed(&about) {
            return Err(DevIssuerError::Exposed(path));
        }
        if about.len() > KEY_FILE_BYTES_MAX {
            return Err(CryptoError::Key("the key file is too large".to_owned()).into());
        }
        Self::from_pem(&fs::read_to_string(&path).map_err(failed(&path))?)
    }

    fn from_pem(pem: &str) -> Result<Self, DevIssuerError> {
        let wrong = |why: String| DevIssuerError::from(CryptoError::Key(why));
        let pair = rcgen::KeyPair::from_pem(pem).map_err(|e| wrong(e.to_string()))?;
        let key = Ed25519KeyPair::from_pkcs8(&pair.serialize_der()).map_err(|e| wrong(e.to_string()))?;
        let kid = URL_SAFE_NO_PAD.encode(sha256(key.public_key().as_ref()));
        Ok(Self { key, kid })
    }

    /// How the authenticator knows this issuer.
    pub fn settings(&self) -> IssuerSettings {
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key().as_ref());
        let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.kid, "use": "sig", "alg": "EdDSA"}]});
        let jwks = JwksSource::Static(Bytes::from(jwks.to_string()));
        IssuerSettings { algorithms: vec![Algorithm::EdDSA], ..IssuerSettings::new(DEV_ISSUER.to_owned(), jwks) }
    }

    /// An access token (RFC 9068) as of `now_s`, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// [`CryptoError::Random`].
    pub fn mint(&self, request: &TokenRequest, now_s: u64) -> Result<SecretString, CryptoError> {
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.kid});
        let mut claims = json!({
            "iss": DEV_ISSUER,
            "sub": request.sub,
            "aud": request.audience,
            "iat": now_s,
            "exp": now_s.saturating_add(request.expires.as_secs()),
            "jti": URL_SAFE_NO_PAD.encode(random::<16>()?),
            "groups": request.groups,
            "scope": request.scopes.join(" "),
        });
        if let (Some(members), Some(client_id)) = (claims.as_object_mut(), &request.client_id) {
            members.insert("client_id".to_owned(), client_id.as_str().into());
        }
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        Ok(SecretString::from(format!("{signed}.{signature}")))
    }
}

fn new_key_pem() -> Result<SecretString, CryptoError> {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(|e| CryptoError::Key(e.to_string()))?;
    Ok(SecretString::from(pair.serialize_pem()))
}

fn create_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Writes the key under a name of its own and links it into place: `path` appears whole or not at all, and the first one stays.
fn create_key(dir: &Path, path: &Path, pem: &SecretString) -> io::Result<()> {
    let unique = random::<8>().map_err(io::Error::other)?;
    let draft = dir.join(format!("key.{}.tmp", URL_SAFE_NO_PAD.encode(unique)));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    let written =
        file.write_all(secrecy::ExposeSecret::expose_secret(pem).as_bytes()).and_then(|()| file.sync_all()).and_then(|()| {
            match fs::hard_link(&draft, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                linked => linked,
            }
        });
    fs::remove_file(&draft)?;
    written
}

#[cfg(unix)]
fn is_exposed(about: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(about) & 0o077 != 0
}

#[cfg(not(unix))]
fn is_exposed(_: &fs::Metadata) -> bool {
    false
}
