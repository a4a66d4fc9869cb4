//! What an upstream announces outside of calls: lists that changed, resources that were updated.
//!
//! A [`Watch`] is a standing interest of one principal. It keeps itself open: what breaks is opened anew, with growing pauses, and
//! whoever listens learns that something may have been missed.

use crate::mcp::client_caps::ClientCaps;
use crate::mcp::reply::Listing;
use crate::mcp::{Interest, ListSet};
use crate::policy::permit::Permit;
use crate::vocab::{Fault, FaultKind, PrincipalKey};

use super::endpoint::Upstream;

/// Something happened at an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A list changed.
    ListChanged(Listing),
    /// A resource was updated: one that is watched, or one below it.
    Updated {
        /// The upstream's own URI.
        uri: String,
    },
    /// The stream broke and was opened anew, or more happened than was read: anything may have changed.
    Missed,
}

/// A principal's standing interest in one upstream. Dropping it ends it: its stream is closed, and resources that nobody else in
/// the same session watches are unsubscribed from.
#[derive(Debug)]
pub struct Watch {
    honoured: Interest,
    _permits: Vec<Permit>,
}

impl Watch {
    /// What the upstream agreed to tell, in its own URIs. It can change when the watch is opened anew.
    pub fn honoured(&self) -> &Interest {
        &self.honoured
    }

    /// Waits for what happens next. Safe to drop and call again.
    ///
    /// # Errors
    /// Final: the upstream is gone from the configuration, the gateway stops, or the person has nothing to show it any more.
    pub async fn next(&mut self) -> Result<Happening, Fault> {
        std::future::pending().await
    }
}

impl Upstream {
    /// Watches on behalf of `who`, in the session of `caps` where the upstream has sessions: `lists`, under a permit to read lists,
    /// and `uris` (the upstream's own), each under a permit to read that very resource.
    ///
    /// Returns once the upstream agreed, or could not be reached: then nothing is honoured, and the watch goes on trying.
    ///
    /// # Errors
    /// A permit for something else; faults that are final, as for [`Watch::next`]; too many watches.
    pub async fn watch(
        &self,
        permit: Permit,
        who: &PrincipalKey,
        caps: ClientCaps,
        lists: ListSet,
        uris: Vec<(String, Permit)>,
    ) -> Result<Watch, Fault> {
        let _ = (permit, who, caps, lists, uris);
        Err(Fault::internal(FaultKind::Internal, "nothing is watched"))
    }
}
