//! What one request is judged by: one immutable set of config, policy and keys, loaded once per request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;

use crate::authserver::AuthServer;
use crate::connect::Links;
use crate::identity::Authenticator;
use crate::net::head::HeadRules;
use crate::policy::permit::ObserveOnly;
use crate::policy::{PolicySet, Subject};
use crate::telemetry::trace::Trust;
use crate::upstream::{Upstream, Upstreams};
use crate::vocab::limits::{TOKEN_CACHE_ENTRIES_MAX, VIEW_IDLE_S_MAX};
use crate::vocab::{Denial, Principal, Reason, Resource, Revision};

/// Config and policy as one value. A reload replaces all of it or nothing.
pub struct World {
    /// The rules.
    pub policy: Arc<PolicySet>,
    /// Who vouches for callers.
    pub identity: Arc<Authenticator>,
    /// Routes by exact path.
    pub routes: HashMap<Box<str>, Arc<Route>>,
    /// Upstreams by name: those that these routes and rules are about.
    pub upstreams: Arc<Upstreams>,
    /// Protected-resource metadata documents by path (RFC 9728).
    pub metadata: HashMap<Box<str>, Bytes>,
    /// The authorization server, where there is one.
    pub authserver: Option<Arc<AuthServer>>,
    /// Hosts and origins that may speak to us.
    pub head: HeadRules,
    /// The same for our own pages, whose forms come from our own origin.
    pub pages_head: HeadRules,
    /// Settings that bound a request.
    pub bounds: Bounds,
    /// How calls wait for approval.
    pub approvals: Approvals,
    /// Which rules are about whom, worked out once per credential.
    pub subjects: Subjects,
    /// Upstreams at which people link accounts of their own.
    pub links: Arc<Links>,
    /// Present where policy is only observed.
    pub observe: Option<ObserveOnly>,
    /// Whose word is taken for it that a request belongs to a trace.
    pub trust: Trust,
    /// JSON pointers into `arguments` whose values records may hold in clear.
    pub record_arguments: Vec<String>,
}

impl World {
    /// The upstream called `name`.
    ///
    /// # Errors
    /// A denial when there is none.
    pub fn upstream(&self, name: &str) -> Result<&Arc<Upstream>, Denial> {
        self.upstreams.get(name).ok_or_else(|| Denial::new(Reason::UnknownName))
    }
}

/// Remembers which rules are about a principal. A principal is one shared value per verified credential, so its address names it;
/// each entry keeps its principal alive, so no address is reused while it is remembered.
pub struct Subjects(Cache<usize, (Arc<Principal>, Arc<Subject>)>);

impl Subjects {
    /// Remembers nobody.
    #[expect(clippy::new_without_default, reason = "a memory belongs to one policy set")]
    pub fn new() -> Self {
        let idle = Duration::from_secs(VIEW_IDLE_S_MAX);
        Self(Cache::builder().max_capacity(TOKEN_CACHE_ENTRIES_MAX).time_to_idle(idle).build())
    }

    pub(super) fn of(&self, policy: &PolicySet, principal: &Arc<Principal>) -> Arc<Subject> {
        let address = Arc::as_ptr(principal).addr();
        if let Some((_, subject)) = self.0.get(&address) {
            return subject;
        }
        let subject = Arc::new(policy.subject(principal));
        self.0.insert(address, (principal.clone(), subject.clone()));
        subject
    }
}

/// One route: a public name space over upstreams.
pub struct Route {
    /// Its exact path.
    pub path: Arc<str>,
    /// Itself as a protected resource.
    pub resource: Resource,
    /// Upstreams in the order of the config, which is the order of merged lists.
    pub upstreams: Vec<Arc<str>>,
    /// Names and URIs are the upstream's own (a single upstream).
    pub bare: bool,
    /// The oldest revision accepted.
    pub floor: Revision,
}

/// How calls wait for approval, from the config.
#[derive(Clone, Debug)]
pub struct Approvals {
    /// Requests of one person that may be open.
    pub open_max: usize,
    /// How long a call may be held until it is approved.
    pub wait: Duration,
    /// Where approvers find a request, which follows after a slash; absent without a console.
    pub console: Option<String>,
    /// Where who calls confirms, likewise; absent where nobody can sign in.
    pub confirm: Option<String>,
}

/// Bounds of one request, from the config.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of a request body.
    pub body_bytes: usize,
    /// Nesting of a message.
    pub depth: usize,
    /// Time for a body to arrive.
    pub body_timeout: Duration,
    /// Time for a whole call.
    pub call_timeout: Duration,
    /// Legacy sessions of one principal.
    pub sessions_per_principal: usize,
    /// Streams that tell one principal what happens.
    pub streams_per_principal: usize,
    /// Requests under way at once.
    pub in_flight: usize,
}
