//! Whose session or process it is.

use crate::mcp::client_caps::ClientCaps;
use crate::vocab::PrincipalKey;

/// A session belongs to a principal, the account its credential opens and a set of client capabilities, because all were fixed when it
/// was opened (the upstream and the kind of credential are fixed by whose table the key is in). `None` is everybody, for a shared
/// upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionKey(Option<(PrincipalKey, u64, ClientCaps)>);

impl SessionKey {
    pub(super) fn of(shared: bool, who: &PrincipalKey, account: u64, capabilities: ClientCaps) -> Self {
        Self((!shared).then(|| (who.clone(), account, capabilities)))
    }

    /// The principal, unless it is everybody's.
    pub(super) fn principal(&self) -> Option<&PrincipalKey> {
        self.0.as_ref().map(|(who, _, _)| who)
    }

    /// What the upstream is told that the client can be asked: nothing where the client may be anybody.
    pub(super) fn capabilities(&self) -> ClientCaps {
        self.0.as_ref().map_or(ClientCaps::NONE, |(_, _, capabilities)| *capabilities)
    }
}
