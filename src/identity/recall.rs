//! The token that a connection brought last: one that comes again need be neither hashed nor looked up.

use std::fmt;
use std::sync::{Arc, Weak};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};

use super::verify::Verified;
use crate::vocab::Resource;

/// A longer token is looked up each time: a connection keeps no more than this, in bytes.
const RECALLED_BYTES_MAX: usize = 2 * 1024;
/// After this the verifier is asked again, which knows how long it believes what it found, in milliseconds.
const RECALLED_MS_MAX: u64 = 1_000;

/// The memory of one connection. What it remembers of a token is the verifier's: that the token may be used now, and in this way, is
/// asked every time. A connection that several share remembers the last of their tokens, which nobody can find out by how long an
/// answer takes.
#[derive(Default)]
pub struct Recall(Mutex<Option<Last>>);

struct Last {
    /// Who verified it: after a reload that is another.
    by: Arc<()>,
    token: SecretString,
    resource_url: Box<str>,
    verified: Weak<Verified>,
    /// In milliseconds since the Unix epoch.
    at_ms: u64,
}

impl Recall {
    /// What the verifier that `by` stands for found of `token` a moment before `now_ms`, in milliseconds since the Unix epoch.
    pub(super) fn find(&self, by: &Arc<()>, token: &str, resource: &Resource, now_ms: u64) -> Option<Arc<Verified>> {
        let last = self.0.lock();
        let last = last.as_ref()?;
        let known = Arc::ptr_eq(&last.by, by)
            && now_ms.checked_sub(last.at_ms).is_some_and(|age_ms| age_ms < RECALLED_MS_MAX)
            && *last.resource_url == *resource.url
            && verify_slices_are_equal(last.token.expose_secret().as_bytes(), token.as_bytes()).is_ok();
        if known { last.verified.upgrade() } else { None }
    }

    /// Remembers what was found at `now_ms`, in milliseconds since the Unix epoch.
    pub(super) fn keep(&self, by: &Arc<()>, token: &str, resource: &Resource, verified: &Arc<Verified>, now_ms: u64) {
        if token.len() > RECALLED_BYTES_MAX {
            return;
        }
        let (by, verified) = (by.clone(), Arc::downgrade(verified));
        *self.0.lock() =
            Some(Last { by, token: token.into(), resource_url: resource.url.as_str().into(), verified, at_ms: now_ms });
    }

    /// Wipes what it remembers.
    pub fn forget(&self) {
        *self.0.lock() = None;
    }
}

impl fmt::Debug for Recall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recall")
    }
}
