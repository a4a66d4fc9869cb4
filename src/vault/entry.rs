//! The form of an entry: under which key it is stored, what it is authenticated with, what it holds.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::VaultKey;
use crate::vocab::PrincipalKey;

/// What a person linked.
#[derive(Clone, Debug)]
pub struct Account {
    /// What is shown to the upstream.
    pub tokens: Tokens,
    /// The resource the tokens are for (RFC 8707). They are sent to no other.
    pub resource: Arc<str>,
    /// Another number with every link, so that what was begun with one account is not gone on with through another.
    pub serial: u64,
    /// When the person linked it, in seconds since the Unix epoch.
    pub linked_at_s: u64,
    /// Scopes that were asked for when it was linked.
    pub asked: Vec<String>,
    /// Scopes that an upstream asked for since (403 `insufficient_scope`): the next link asks for them as well.
    pub wanted: Vec<String>,
}

/// Tokens of one grant.
#[derive(Clone)]
pub struct Tokens {
    /// The access token.
    pub access: SecretString,
    /// The refresh token, if there is one.
    pub refresh: Option<SecretString>,
    /// When the access token ends, in seconds since the Unix epoch, where the authorization server said so.
    pub expires_at_s: Option<u64>,
    /// Granted scopes.
    pub scopes: Vec<String>,
}

/// Tokens do not print.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { access: _, refresh, expires_at_s, scopes } = self;
        let mut out = f.debug_struct("Tokens");
        out.field("refresh", &refresh.is_some()).field("expires_at_s", expires_at_s).field("scopes", scopes);
        out.finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Written<'a> {
    v: u8,
    #[serde(borrow)]
    access: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    refresh: Option<std::borrow::Cow<'a, str>>,
    expires_at_s: Option<u64>,
    scopes: Vec<String>,
    resource: String,
    serial: u64,
    linked_at_s: u64,
    asked: Vec<String>,
    wanted: Vec<String>,
}

const WRITTEN_VERSION: u8 = 1;

impl Account {
    pub(super) fn to_bytes(&self) -> Option<Zeroizing<Vec<u8>>> {
        let Tokens { access, refresh, expires_at_s, scopes } = &self.tokens;
        let written = Written {
            v: WRITTEN_VERSION,
            access: access.expose_secret().into(),
            refresh: refresh.as_ref().map(|token| token.expose_secret().into()),
            expires_at_s: *expires_at_s,
            scopes: scopes.clone(),
            resource: self.resource.to_string(),
            serial: self.serial,
            linked_at_s: self.linked_at_s,
            asked: self.asked.clone(),
            wanted: self.wanted.clone(),
        };
        serde_json::to_vec(&written).ok().map(Zeroizing::new)
    }

    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let written: Written<'_> =
            serde_json::from_slice(bytes).ok().filter(|written: &Written<'_>| written.v == WRITTEN_VERSION)?;
        let secret = |text: std::borrow::Cow<'_, str>| SecretString::from(text.into_owned());
        Some(Self {
            tokens: Tokens {
                access: secret(written.access),
                refresh: written.refresh.map(secret),
                expires_at_s: written.expires_at_s,
                scopes: written.scopes,
            },
            resource: written.resource.into(),
            serial: written.serial,
            linked_at_s: written.linked_at_s,
            asked: written.asked,
            wanted: written.wanted,
        })
    }
}

/// Person and upstream, the part of a key that the caller knows.
pub(super) struct Owner<'a> {
    pub(super) principal: &'a PrincipalKey,
    pub(super) upstream: &'a str,
}

impl Owner<'_> {
    pub(super) fn key(&self, issuer: &str, client_id: &str) -> VaultKey {
        VaultKey {
            principal: self.principal.clone(),
            upstream: self.upstream.into(),
            issuer: issuer.into(),
            client_id: client_id.into(),
        }
    }
}

/// `HEX(person).upstream.HEX(issuer, client)`: bounded whatever the parts are; all of one person and upstream lie side by side.
pub(super) fn store_key(key: &VaultKey) -> Vec<u8> {
    let mut out = upstream_prefix(&key.principal, &key.upstream);
    out.extend_from_slice(hex(&prefixed(&[key.issuer.as_bytes(), key.client_id.as_bytes()])).as_bytes());
    out
}

pub(super) fn upstream_prefix(principal: &PrincipalKey, upstream: &str) -> Vec<u8> {
    let mut out = owner_prefix(principal);
    out.extend_from_slice(upstream.as_bytes());
    out.push(b'.');
    out
}

pub(super) fn owner_prefix(principal: &PrincipalKey) -> Vec<u8> {
    let mut out = hex(&prefixed(&[principal.iss.as_bytes(), principal.sub.as_bytes()])).into_bytes();
    out.push(b'.');
    out
}

/// The upstream in a store key.
pub(super) fn upstream_of(store_key: &[u8]) -> Option<&str> {
    std::str::from_utf8(store_key).ok()?.split('.').nth(1)
}

/// What an entry is authenticated with: all of its key, in the clear of the reader, not a digest of it.
pub(super) fn aad(key: &VaultKey) -> Vec<u8> {
    let VaultKey { principal, upstream, issuer, client_id } = key;
    prefixed(&[
        LABEL,
        principal.iss.as_bytes(),
        principal.sub.as_bytes(),
        upstream.as_bytes(),
        issuer.as_bytes(),
        client_id.as_bytes(),
    ])
}

/// The same for what belongs to nobody but the gateway.
pub(super) fn own_aad(context: &str, name: &str) -> Vec<u8> {
    prefixed(&[OWN_LABEL, context.as_bytes(), name.as_bytes()])
}

/// What a stored value is made of.
pub(super) struct Parts<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) closed: &'a [u8],
}

/// Issuer and client id stand before what is encrypted, because it takes them to open it.
pub(super) fn join(issuer: &str, client_id: &str, closed: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(4 + issuer.len() + client_id.len() + closed.len());
    for part in [issuer, client_id] {
        out.extend_from_slice(&u16::try_from(part.len()).ok()?.to_be_bytes());
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(closed);
    Some(out)
}

pub(super) fn split(value: &[u8]) -> Option<Parts<'_>> {
    let (issuer, rest) = part(value)?;
    let (client_id, closed) = part(rest)?;
    Some(Parts { issuer, client_id, closed })
}

fn part(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// Length-prefixed, so that no two lists read the same.
fn prefixed(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(64);
    for byte in digest(&SHA256, bytes).as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

const LABEL: &[u8] = b"portcullis linked account";
const OWN_LABEL: &[u8] = b"portcullis own secret";
