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

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio_util::task::TaskTracker;

pub use entry::{Entry, is_name};
pub use listing::{Listing, Part};
pub use view::{Freshness, View};

use crate::mcp::client_caps::ClientCaps;
use crate::policy::permit::{ObserveOnly, Permit};
use crate::policy::{Moment, PolicySet, Subject, decide_list_for};
use crate::telemetry::metrics::Metrics;
use crate::upstream::Upstream;
use crate::vocab::limits::{CATALOG_BYTES_MAX, VIEW_IDLE_S_MAX, VIEWS_MAX};
use crate::vocab::{Denial, Principal, PrincipalKey};

/// All views. Live state: it outlives reloads of config and policy.
pub struct Catalog {
    views: Arc<Views>,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
}

/// The views least lately used go first when their lists take too much memory.
type Views = Cache<ViewKey, Arc<View>>;

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
    /// Which rules are about the principal.
    pub subject: Arc<Subject>,
    /// Present where policy is only observed: then lists are read whatever the rules say.
    pub observe: Option<ObserveOnly>,
    /// The path of the route by which it asks.
    pub route: Arc<str>,
    /// When the request that reads the list came, in Unix milliseconds: rules may speak at some hours only.
    pub now_unix_ms: i64,
}

impl Access {
    /// A permit to read the lists of `upstream`.
    ///
    /// # Errors
    /// A denial when no rule could allow this principal anything there.
    pub fn permit(&self, upstream: &str) -> Result<Permit, Denial> {
        let decision = decide_list_for(&self.policy, &self.subject, &self.principal, upstream, self.moment());
        let reason = decision.reason();
        if let Some(observe) = self.observe {
            return decision.permit_lists_observed(observe).map_err(|_| Denial::new(reason));
        }
        decision.permit(crate::policy::permit::Evidence::default()).map_err(|_| Denial::new(reason))
    }
}

impl Access {
    /// When and where the request asks.
    pub fn moment(&self) -> Moment<'_> {
        Moment { now_unix_ms: self.now_unix_ms, route: &self.route }
    }
}

impl Catalog {
    /// An empty catalog. Background reads run on `tasks`.
    pub fn new(metrics: Arc<Metrics>, tasks: TaskTracker) -> Self {
        let views = Cache::builder()
            .max_capacity(CATALOG_BYTES_MAX)
            .weigher(|_, view: &Arc<View>| weight(view.bytes()))
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(Duration::from_secs(VIEW_IDLE_S_MAX))
            .build();
        Self { views: Arc::new(views), metrics, tasks }
    }

    /// The view of `who` at `upstream`, which was told `caps` of the client if it has sessions.
    pub fn view(&self, upstream: &Arc<Upstream>, who: &PrincipalKey, caps: ClientCaps) -> Arc<View> {
        let shared = upstream.settings().shared;
        let key = ViewKey { upstream: upstream.settings().name.clone(), who: (!shared).then(|| (who.clone(), caps)) };
        if let Some(view) = self.views.get(&key).filter(|view| view.is_of(upstream)) {
            return view;
        }
        let made = || {
            let grown = grown(&self.views, key.clone());
            Arc::new(View::new(upstream.clone(), caps, self.metrics.clone(), self.tasks.clone(), grown))
        };
        // Of those who are the first at one time one makes it: each of their own would be read, and hear of no change but one.
        let entry = self.views.entry_by_ref(&key).and_upsert_with(|entry| {
            let known = entry.map(moka::Entry::into_value).filter(|view| view.is_of(upstream));
            known.unwrap_or_else(made)
        });
        entry.into_value()
    }

    /// Every tool that somebody is known to be offered, in the order of the names, at most `tools_max`; each definition once. For
    /// operators: no one principal needs to see all of it.
    pub fn tools(&self, tools_max: usize) -> Vec<Arc<Entry>> {
        let mut tools = std::collections::BTreeMap::new();
        for (_, view) in &*self.views {
            let Some(listing) = view.known(Part::Tools) else { continue };
            for entry in listing.entries() {
                if tools.len() < tools_max {
                    tools.entry((entry.full.clone(), entry.definition.clone())).or_insert_with(|| entry.clone());
                }
            }
        }
        tools.into_values().collect()
    }

    /// The tool of the full name `name`, as somebody is known to be offered it: of several definitions the first, as in
    /// [`Self::tools`].
    pub fn tool(&self, name: &str) -> Option<Arc<Entry>> {
        let listings = self.views.iter().filter_map(|(_, view)| view.known(Part::Tools));
        let of_name = |listing: Arc<Listing>| listing.entries().iter().filter(|entry| *entry.full == *name).cloned().collect();
        let found: Vec<Arc<Entry>> = listings.flat_map::<Vec<_>, _>(of_name).collect();
        found.into_iter().min_by(|one, other| one.definition.cmp(&other.definition))
    }

    /// An upstream said that a list changed: the next reader reads it again.
    pub fn changed(&self, upstream: &str, who: Option<&PrincipalKey>, part: Part) {
        for (key, view) in &*self.views {
            let same_party = who.is_none() || key.who.is_none() || key.who.as_ref().map(|(who, _)| who) == who;
            if &*key.upstream == upstream && same_party {
                view.expire(part);
            }
        }
    }
}

/// What a view with lists of so many bytes counts. None counts less than its share, which bounds the number of views.
fn weight(bytes: usize) -> u32 {
    let least = u32::try_from(CATALOG_BYTES_MAX / VIEWS_MAX).unwrap_or(u32::MAX);
    u32::try_from(bytes).unwrap_or(u32::MAX).max(least)
}

/// Weighs the view of `key` again, unless it was dropped meanwhile. Holds on to nothing.
fn grown(views: &Arc<Views>, key: ViewKey) -> view::Grown {
    let views = Arc::downgrade(views);
    Box::new(move |view| {
        let Some(views) = views.upgrade() else { return };
        if views.get(&key).is_some_and(|kept| Arc::ptr_eq(&kept, view)) {
            views.insert(key.clone(), view.clone());
            // Reading a list is rare, and the bound is to hold now rather than when the cache finds time.
            views.run_pending_tasks();
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::net::{DialPolicy, tls};
    use crate::upstream::{Credential, Registry, Transport, UpstreamLimits, UpstreamSettings};

    /// An upstream that nobody calls.
    fn idle() -> Arc<Upstream> {
        let settings = UpstreamSettings {
            name: Arc::from("u"),
            transport: Transport::Http { url: "http://127.0.0.1:1/mcp".parse().unwrap(), dialect: None },
            credential: Credential::None,
            dial: DialPolicy { allow_private: false, allow_loopback: true },
            timeout: Duration::from_secs(1),
            shared: false,
            limits: UpstreamLimits {
                response_bytes: 1_024,
                depth: 8,
                sessions_max: 1,
                processes_max: 1,
                stream_idle: Duration::from_secs(1),
                work_dir: std::env::temp_dir(),
            },
        };
        let registry = Registry::new(tls::client_config(None).unwrap(), Arc::new(|_, _, _| {}));
        registry.apply(&[settings]).unwrap();
        registry.get("u").unwrap()
    }

    #[tokio::test]
    async fn all_who_are_the_first_to_ask_have_one_view() {
        const THREADS: usize = 4;
        const ROUNDS: usize = 2_000;
        let upstream = idle();
        let catalog = Catalog::new(Arc::new(Metrics::new()), TaskTracker::new());
        let together = Barrier::new(THREADS);
        let ask = || -> Vec<Arc<View>> {
            let one = |round: usize| {
                let who = PrincipalKey { iss: Arc::from("test"), sub: round.to_string().into() };
                together.wait();
                catalog.view(&upstream, &who, ClientCaps::NONE)
            };
            (0..ROUNDS).map(one).collect()
        };
        let views: Vec<Vec<Arc<View>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (first, others) = views.split_first().unwrap();
        let apart = |round: &usize| others.iter().any(|other| !Arc::ptr_eq(&other[*round], &first[*round]));
        assert_eq!((0..ROUNDS).filter(apart).count(), 0, "of {ROUNDS}");
    }

    #[test]
    fn views_are_bounded_in_number_and_in_bytes() {
        assert!(u64::from(weight(0)) * VIEWS_MAX <= CATALOG_BYTES_MAX);
        assert!(u64::from(weight(0)) * (VIEWS_MAX + VIEWS_MAX / 10) > CATALOG_BYTES_MAX);
        let most = usize::try_from(CATALOG_BYTES_MAX).unwrap_or(usize::MAX);
        assert_eq!(weight(most), u32::try_from(CATALOG_BYTES_MAX).unwrap_or(0));
        assert_eq!(weight(usize::MAX), u32::MAX);
    }
}
