//! One principal's view of one upstream: its lists, read once at a time, last known when the upstream is slow.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use super::listing::{Listing, Part};
use super::{Access, fetch};
use crate::mcp::client_caps::ClientCaps;
use crate::telemetry::metrics::Metrics;
use crate::upstream::Upstream;
use crate::vocab::limits::{LIST_FIRST_MS_MAX, LIST_READ_MS_MAX};
use crate::vocab::{Deadline, Fault, FaultKind};

/// How recent a list must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Read again unless the upstream itself said how long it holds: for a client that asks for the list.
    Now,
    /// A known list will do while it is young; an older one is used and read again behind the caller's back.
    Known,
}

/// A list, and whether the upstream confirmed it just now.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The list.
    pub listing: Arc<Listing>,
    /// True when this is the last known list because the upstream did not answer in time.
    pub stale: bool,
}

type Read = Shared<BoxFuture<'static, Result<Arc<Listing>, Fault>>>;

#[derive(Default)]
struct Slot {
    current: ArcSwapOption<Listing>,
    reading: Mutex<Option<Read>>,
}

/// See the module.
pub struct View {
    upstream: Arc<Upstream>,
    caps: ClientCaps,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    tools: Slot,
    prompts: Slot,
    resources: Slot,
    templates: Slot,
}

impl View {
    pub(super) fn new(upstream: Arc<Upstream>, caps: ClientCaps, metrics: Arc<Metrics>, tasks: TaskTracker) -> Self {
        let (tools, prompts, resources, templates) = Default::default();
        Self { upstream, caps, metrics, tasks, tools, prompts, resources, templates }
    }

    /// The upstream this is a view of.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// False once a reload replaced the upstream.
    pub(super) fn is_of(&self, upstream: &Arc<Upstream>) -> bool {
        Arc::ptr_eq(&self.upstream, upstream)
    }

    /// What is known of `part`, without asking anybody.
    pub fn known(&self, part: Part) -> Option<Arc<Listing>> {
        self.slot(part).current.load_full()
    }

    /// The list `part`, as recent as asked.
    ///
    /// # Errors
    /// The upstream's fault when nothing is known of the list.
    pub async fn list(
        self: &Arc<Self>,
        part: Part,
        access: &Access,
        wanted: Freshness,
        deadline: Deadline,
    ) -> Result<Seen, Fault> {
        let known = self.known(part);
        if let Some(listing) = known.as_ref().filter(|listing| listing.is_fresh() || wanted == Freshness::Known) {
            if !listing.is_young() {
                drop(self.read(part, access));
            }
            return Ok(Seen { listing: listing.clone(), stale: false });
        }
        let patience = if known.is_some() { LIST_READ_MS_MAX } else { LIST_FIRST_MS_MAX };
        let until = deadline.capped(Duration::from_millis(patience));
        let read = tokio::time::timeout_at(until.instant().into(), self.read(part, access)).await;
        let read = read.unwrap_or_else(|_| Err(Fault::upstream(FaultKind::Timeout, "a list did not come in time")));
        self.metrics.set_list_stale(&self.upstream.settings().name, read.is_err());
        match (read, known) {
            (Ok(listing), _) => Ok(Seen { listing, stale: false }),
            (Err(fault), Some(listing)) => {
                tracing::warn!(upstream = %self.upstream.settings().name, list = %part.method(), error = %fault.detail, "the last known list is served");
                Ok(Seen { listing, stale: true })
            }
            (Err(fault), None) => Err(fault),
        }
    }

    /// Makes the next reader read `part` again.
    pub(super) fn expire(&self, part: Part) {
        let slot = self.slot(part);
        if let Some(listing) = slot.current.load_full() {
            slot.current.store(Some(Arc::new(listing.expired())));
        }
    }

    /// Joins the read under way, or starts one. It goes on when nobody waits any more.
    fn read(self: &Arc<Self>, part: Part, access: &Access) -> Read {
        let mut reading = self.slot(part).reading.lock();
        if let Some(read) = reading.as_ref().filter(|read| read.peek().is_none()) {
            return read.clone();
        }
        let (view, access) = (self.clone(), access.clone());
        let task = self.tasks.spawn(async move {
            let deadline = Deadline::after(Duration::from_millis(LIST_FIRST_MS_MAX));
            let listing = Arc::new(fetch::whole(&view.upstream, view.caps, &access, part, deadline).await?);
            view.slot(part).current.store(Some(listing.clone()));
            Ok(listing)
        });
        let read = task.map(|done| done.unwrap_or_else(|_| Err(Fault::internal(FaultKind::Internal, "a list reader stopped"))));
        let read = read.boxed().shared();
        *reading = Some(read.clone());
        read
    }

    fn slot(&self, part: Part) -> &Slot {
        match part {
            Part::Tools => &self.tools,
            Part::Prompts => &self.prompts,
            Part::Resources => &self.resources,
            Part::Templates => &self.templates,
        }
    }
}
