//! What the upstreams offer: tools, prompts and resources, as each principal sees them.
//!
//! A view belongs to one principal at one upstream, because an upstream may show different things to different people.
//! Lists are read whole, checked, and kept as the bytes that came; only names are rewritten. A list that cannot be read
//! again in time is served as last known, marked stale.

mod entry;
mod fetch;
mod listing;
mod view;

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio_util::task::TaskTracker;

pub use entry::Entry;
pub use listing::{Listing, Part};
pub use view::{Freshness, View};

use crate::mcp::client_caps::ClientCaps;
use crate::policy::{PolicySet, permit::Permit};
use crate::telemetry::metrics::Metrics;
use crate::upstream::Upstream;
use crate::vocab::limits::{VIEW_IDLE_S_MAX, VIEWS_MAX};
use crate::vocab::{Denial, Principal, PrincipalKey};

/// All views. Live state: it outlives reloads of config and policy.
pub struct Catalog {
    views: Cache<ViewKey, Arc<View>>,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
}

/// A shared upstream has one view for everybody. Upstreams with sessions may offer a client more that can be asked more.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ViewKey {
    upstream: Arc<str>,
    who: Option<(PrincipalKey, ClientCaps)>,
}

/// The right to read lists: who asks, under which policy. A permit is decided anew for every page.
#[derive(Clone)]
pub struct Access {
    /// The policy in force.
    pub policy: Arc<PolicySet>,
    /// The principal on whose behalf the list is read.
    pub principal: Arc<Principal>,
}

impl Access {
    /// A permit to read the lists of `upstream`.
    ///
    /// # Errors
    /// A denial when no rule could allow this principal anything there.
    pub fn permit(&self, upstream: &str) -> Result<Permit, Denial> {
        let decision = crate::policy::decide_list(&self.policy, &self.principal, upstream);
        let reason = decision.reason();
        decision.permit(crate::policy::permit::Evidence::default()).map_err(|_| Denial::new(reason))
    }
}

impl Catalog {
    /// An empty catalog. Background reads run on `tasks`.
    pub fn new(metrics: Arc<Metrics>, tasks: TaskTracker) -> Self {
        let views = Cache::builder().max_capacity(VIEWS_MAX).time_to_idle(Duration::from_secs(VIEW_IDLE_S_MAX)).build();
        Self { views, metrics, tasks }
    }

    /// The view of `who` at `upstream`, which was told `caps` of the client if it has sessions.
    pub fn view(&self, upstream: &Arc<Upstream>, who: &PrincipalKey, caps: ClientCaps) -> Arc<View> {
        let shared = upstream.settings().shared;
        let key = ViewKey { upstream: upstream.settings().name.clone(), who: (!shared).then(|| (who.clone(), caps)) };
        if let Some(view) = self.views.get(&key).filter(|view| view.is_of(upstream)) {
            return view;
        }
        let view = Arc::new(View::new(upstream.clone(), caps, self.metrics.clone(), self.tasks.clone()));
        self.views.insert(key, view.clone());
        view
    }

    /// An upstream said that a list changed: the next reader reads it again.
    pub fn changed(&self, upstream: &str, who: Option<&PrincipalKey>, part: Part) {
        for (key, view) in &self.views {
            let same_party = who.is_none() || key.who.is_none() || key.who.as_ref().map(|(who, _)| who) == who;
            if &*key.upstream == upstream && same_party {
                view.expire(part);
            }
        }
    }
}
