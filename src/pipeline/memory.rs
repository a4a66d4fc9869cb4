//! What the last request of a connection found out, so that the next one need not find it out again.
//!
//! Only what follows from the values it is asked for with: whether a token may be used now, and in this way, time and what was ended are
//! looked at every time. A connection that several share remembers the last of them, and the others are as if there were no memory.

use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::session::Session;
use super::world::World;
use crate::catalog::{Catalog, View};
use crate::identity::Recall;
use crate::mcp::client_caps::ClientCaps;
use crate::policy::Subject;
use crate::upstream::Upstream;
use crate::vocab::Principal;

/// The memory of one connection. Locked for no longer than it takes to compare.
#[derive(Default)]
pub struct Memory {
    /// Where the connection comes from.
    pub(super) peer: Option<IpAddr>,
    /// The token that came last.
    pub(super) recall: Recall,
    subject: Mutex<Option<(Arc<Principal>, Arc<Subject>)>>,
    session: Mutex<Option<Opened>>,
    view: Mutex<Option<Seen>>,
}

/// A session id that opened.
struct Opened {
    principal: Arc<Principal>,
    route: Arc<str>,
    text: Box<str>,
    session: Session,
}

/// A view that was looked up. The catalog decides how long it lives: this does not keep it.
struct Seen {
    principal: Arc<Principal>,
    caps: ClientCaps,
    view: Weak<View>,
    at: Instant,
}

/// A view is looked up again after this, so that the catalog knows which are in use.
const VIEW_LOOK_EVERY: Duration = Duration::from_secs(1);

impl Memory {
    /// The memory of a connection from `peer`, which has had no request yet.
    pub fn of(peer: IpAddr) -> Self {
        Self { peer: Some(peer), ..Self::default() }
    }

    /// The view of `principal` at `upstream`, as [`Catalog::view`], for a request that began at `now`.
    pub(super) fn view(
        &self,
        catalog: &Catalog,
        upstream: &Arc<Upstream>,
        principal: &Arc<Principal>,
        caps: ClientCaps,
        now: Instant,
    ) -> Arc<View> {
        let mut last = self.view.lock();
        if let Some(seen) = last.as_ref()
            && Arc::ptr_eq(&seen.principal, principal)
            && seen.caps == caps
            && now.saturating_duration_since(seen.at) < VIEW_LOOK_EVERY
            && let Some(view) = seen.view.upgrade().filter(|view| view.is_of(upstream))
        {
            return view;
        }
        let view = catalog.view(upstream, &principal.key(), caps);
        *last = Some(Seen { principal: principal.clone(), caps, view: Arc::downgrade(&view), at: now });
        view
    }

    /// Which rules of `world` are about `principal`.
    pub(super) fn subject(&self, world: &World, principal: &Arc<Principal>) -> Arc<Subject> {
        let mut last = self.subject.lock();
        if let Some((who, subject)) = last.as_ref()
            && Arc::ptr_eq(who, principal)
            && subject.is_of(&world.policy)
        {
            return subject.clone();
        }
        let subject = world.subjects.of(&world.policy, principal);
        *last = Some((principal.clone(), subject.clone()));
        subject
    }

    /// What `text` said when it was opened for this very principal and route. It may be over since.
    pub(super) fn session(&self, principal: &Arc<Principal>, route: &Arc<str>, text: &str) -> Option<Session> {
        let last = self.session.lock();
        let known = |last: &&Opened| Arc::ptr_eq(&last.principal, principal) && last.route == *route && *last.text == *text;
        last.as_ref().filter(known).map(|last| last.session)
    }

    /// Keeps what `text` says.
    pub(super) fn keep_session(&self, principal: &Arc<Principal>, route: &Arc<str>, text: &str, session: Session) {
        let (principal, route, text) = (principal.clone(), route.clone(), text.into());
        *self.session.lock() = Some(Opened { principal, route, text, session });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::Revision;

    #[test]
    fn a_session_is_remembered_for_the_very_principal_route_and_text() {
        let memory = Memory::default();
        let (alice, again) = (Arc::new(Principal::anonymous()), Arc::new(Principal::anonymous()));
        let (route, other): (Arc<str>, Arc<str>) = ("/mcp".into(), "/other".into());
        let session = Session { id: 7, revision: Revision::V2025_06_18, caps: ClientCaps::NONE, expires_s: 9 };
        assert_eq!(memory.session(&alice, &route, "text"), None);
        memory.keep_session(&alice, &route, "text", session);
        assert_eq!(memory.session(&alice, &route, "text"), Some(session));
        assert_eq!(memory.session(&alice, &Arc::from("/mcp"), "text"), Some(session));
        for (principal, route, text) in [(&again, &route, "text"), (&alice, &other, "text"), (&alice, &route, "texts")] {
            assert_eq!(memory.session(principal, route, text), None, "{route} {text}");
        }
        memory.keep_session(&again, &route, "text", session);
        assert_eq!(memory.session(&alice, &route, "text"), None, "one is remembered");
    }
}
