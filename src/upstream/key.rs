//! Whose session or process it is.

use crate::mcp::client_caps::ClientCaps;
use crate::vocab::PrincipalKey;

/// A session belongs to a principal and a set of client capabilities, because both were fixed when it was opened (the upstream
/// and its credential are fixed by whose table the key is in). `None` is everybody, for a shared upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionKey(Option<(PrincipalKey, ClientCaps)>);

impl SessionKey {
    pub(super) fn of(shared: bool, who: &PrincipalKey, capabilities: ClientCaps) -> Self {
        Self((!shared).then(|| (who.clone(), capabilities)))
    }

    /// The principal, unless it is everybody's.
    pub(super) fn principal(&self) -> Option<&PrincipalKey> {
        self.0.as_ref().map(|(who, _)| who)
    }

    /// What the upstream is told that the client can be asked: nothing where the client may be anybody.
    pub(super) fn capabilities(&self) -> ClientCaps {
        self.0.as_ref().map_or(ClientCaps::NONE, |(_, capabilities)| *capabilities)
    }
}
