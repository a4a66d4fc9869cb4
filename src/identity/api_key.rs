//! API keys: `pck_<id>_<secret>`, the secret being 32 random bytes in base64url.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::challenge::Refusal;
use super::crypto::{CryptoError, random, sha256};
use super::directory::Directory;
use super::settings::KeySettings;
use crate::vocab::Principal;
use crate::vocab::principal::KEY_ISSUER;

/// What every key starts with; no JWT does, for it starts with an encoded `{`.
pub(super) const KEY_PREFIX: &str = "pck_";
/// 32 bytes in base64url without padding.
const SECRET_CHARS: usize = 43;
/// Length of a key id.
const ID_BYTES_MAX: usize = 64;
/// Length of an id we make; ids only tell keys apart.
const ID_CHARS: usize = 8;
/// Letters and digits; a power of two of them minus two, so that random bytes map evenly after dropping two values.
const ID_ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Whether `id` can be the id of a key: 1 to 64 letters, digits and hyphens.
pub(super) fn valid_id(id: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

struct Entry {
    sha256: [u8; 32],
    expires_unix_s: Option<u64>,
    principal: Arc<Principal>,
    /// The second it was last used; 0 for never.
    used_s: Arc<AtomicU64>,
}

/// The keys of the configuration.
pub(super) struct ApiKeys {
    by_id: HashMap<Box<str>, Entry>,
}

impl ApiKeys {
    /// # Errors
    /// A key with too many groups.
    pub(super) fn new(keys: &[KeySettings], directory: &Directory) -> Result<Self, String> {
        let entry = |key: &KeySettings| {
            let mut principal = principal_of(key);
            if !directory.is_empty() {
                directory.enrich(&mut principal).map_err(|why| format!("the API key {:?}: {why}", key.name))?;
            }
            let (principal, used_s) = (Arc::new(principal), Arc::default());
            let entry = Entry { sha256: key.sha256, expires_unix_s: key.expires_unix_s, principal, used_s };
            Ok((Box::from(key.id.as_str()), entry))
        };
        Ok(Self { by_id: keys.iter().map(entry).collect::<Result<_, String>>()? })
    }

    /// Counts uses on where `old` stopped.
    pub(super) fn with_uses_of(&mut self, old: &Self) {
        for (id, entry) in &mut self.by_id {
            if let Some(before) = old.by_id.get(id).filter(|before| before.sha256 == entry.sha256) {
                entry.used_s = before.used_s.clone();
            }
        }
    }

    /// Id and last use, in seconds since the Unix epoch, of every key that was used.
    pub(super) fn uses(&self) -> Vec<(Arc<str>, u64)> {
        let uses = self.by_id.iter().map(|(id, entry)| (Arc::from(&**id), entry.used_s.load(Ordering::Relaxed)));
        uses.filter(|(_, used_s)| *used_s > 0).collect()
    }

    /// Whether `id` is the id of a key of the subject `sub`.
    pub(super) fn knows(&self, id: &str, sub: &str) -> bool {
        self.by_id.get(id).is_some_and(|entry| &*entry.principal.sub == sub)
    }

    /// The principal of `token`, which starts with [`KEY_PREFIX`]. A known and an unknown id take the same steps.
    pub(super) fn verify(&self, token: &str, now_s: u64) -> Result<Arc<Principal>, Refusal> {
        const UNKNOWN: [u8; 32] = [0; 32];
        let refused = Refusal::Invalid { private: "not a valid API key" };
        let entry = id_of(token).and_then(|id| self.by_id.get(id));
        let same = sha256(token.as_bytes()).ct_eq(entry.map_or(&UNKNOWN, |e| &e.sha256));
        match entry {
            Some(entry) if bool::from(same) => match entry.expires_unix_s {
                Some(end) if now_s >= end => Err(Refusal::Invalid { private: "the API key has expired" }),
                _ => {
                    if entry.used_s.load(Ordering::Relaxed) != now_s {
                        entry.used_s.store(now_s, Ordering::Relaxed);
                    }
                    Ok(entry.principal.clone())
                }
            },
            _ => Err(refused),
        }
    }
}

fn id_of(token: &str) -> Option<&str> {
    let (id, secret) = token.strip_prefix(KEY_PREFIX)?.split_once('_')?;
    let base64url = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (valid_id(id) && secret.len() == SECRET_CHARS && secret.bytes().all(base64url)).then_some(id)
}

fn principal_of(key: &KeySettings) -> Principal {
    let mut claims = Map::new();
    claims.insert("groups".to_owned(), Value::from(key.groups.clone()));
    claims.insert("scope".to_owned(), Value::from(key.scopes.join(" ")));
    Principal {
        iss: Arc::from(KEY_ISSUER),
        sub: Arc::from(format!("key:{}", key.name)),
        client_id: None,
        scopes: key.scopes.iter().map(|s| Box::from(s.as_str())).collect(),
        claims,
        expires_at_s: key.expires_unix_s,
        key_id: Some(Arc::from(key.id.as_str())),
        anonymous: false,
    }
}

/// A new key: shown once, only its hash is kept.
#[derive(Debug)]
pub struct GeneratedKey {
    /// The whole key text.
    pub key: SecretString,
    /// Its public part.
    pub id: String,
    /// The name it was made for.
    pub name: String,
    /// SHA-256 of the key text, lower-case hexadecimal.
    pub hash_hex: String,
}

impl GeneratedKey {
    /// The line for `identity.api_keys` of the configuration.
    pub fn config_entry(&self) -> String {
        // A JSON string is a YAML double-quoted scalar.
        let name = Value::from(self.name.as_str());
        format!("- {{ id: {}, name: {name}, hash: \"sha256:{}\" }}", self.id, self.hash_hex)
    }
}

/// Makes an API key for `name`.
///
/// # Errors
/// [`CryptoError::Random`].
pub fn generate_api_key(name: &str) -> Result<GeneratedKey, CryptoError> {
    let id = random_id()?;
    let key = format!("{KEY_PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(random::<32>()?));
    let hash_hex = sha256(key.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
    Ok(GeneratedKey { key: SecretString::from(key), id, name: name.to_owned(), hash_hex })
}

/// Begins with a letter, so that YAML reads a string whatever follows.
fn random_id() -> Result<String, CryptoError> {
    let mut id = String::from("k");
    while id.len() < ID_CHARS {
        for byte in random::<16>()? {
            if let (Some(c), true) = (ID_ALPHABET.get(usize::from(byte & 63)), id.len() < ID_CHARS) {
                id.push(char::from(*c));
            }
        }
    }
    Ok(id)
}
