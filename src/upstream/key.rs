//! Whose session or process it is.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use crate::mcp::RawJson;
use crate::vocab::PrincipalKey;
use crate::vocab::limits::CAPABILITIES_KEY_BYTES_MAX;

/// A session belongs to a principal and a set of client capabilities, because both were fixed when it was opened (the upstream
/// and its credential are fixed by whose table the key is in). `None` is everybody, for a shared upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionKey(Option<(PrincipalKey, Capabilities)>);

/// A copy, never a slice of the request that brought it: keys outlive requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Capabilities {
    Text(Arc<str>),
    Digest([u8; 32]),
}

impl SessionKey {
    pub(super) fn of(shared: bool, who: &PrincipalKey, capabilities: &RawJson) -> Self {
        if shared {
            return Self(None);
        }
        let text = capabilities.as_str();
        let capabilities = if text.len() <= CAPABILITIES_KEY_BYTES_MAX {
            Capabilities::Text(Arc::from(text))
        } else {
            let mut sum = [0; 32];
            sum.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
            Capabilities::Digest(sum)
        };
        Self(Some((who.clone(), capabilities)))
    }

    /// The principal, unless it is everybody's.
    pub(super) fn principal(&self) -> Option<&PrincipalKey> {
        self.0.as_ref().map(|(who, _)| who)
    }

    /// True for everybody's.
    pub(super) fn is_shared(&self) -> bool {
        self.0.is_none()
    }
}
