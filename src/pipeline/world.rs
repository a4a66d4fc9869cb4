//! What one request is judged by: one immutable set of config, policy and keys, loaded once per request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::identity::Authenticator;
use crate::net::head::HeadRules;
use crate::policy::PolicySet;
use crate::vocab::{Resource, Revision};

/// Config and policy as one value. A reload replaces all of it or nothing.
pub struct World {
    /// The rules.
    pub policy: Arc<PolicySet>,
    /// Who vouches for callers.
    pub identity: Arc<Authenticator>,
    /// Routes by exact path.
    pub routes: HashMap<Box<str>, Arc<Route>>,
    /// Protected-resource metadata documents by path (RFC 9728).
    pub metadata: HashMap<Box<str>, Bytes>,
    /// Hosts and origins that may speak to us.
    pub head: HeadRules,
    /// Settings that bound a request.
    pub bounds: Bounds,
    /// JSON pointers into `arguments` whose values records may hold in clear.
    pub record_arguments: Vec<String>,
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
    /// Requests under way at once.
    pub in_flight: usize,
}
