//! One principal's view of one upstream: its lists, read once at a time, last known when the upstream is slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
use crate::vocab::limits::{LIST_FIRST_MS_MAX, LIST_READ_MS_MAX, LIST_REREADS_MAX};
use crate::vocab::{Deadline, Fault, FaultKind};

/// How recent a list must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Read again, whatever the upstream said, and nothing stands in for it: for a check of what the upstream says now.
    Confirmed,
    /// Read again unless the upstream itself said how long it holds: for a client that asks for the list.
    Now,
    /// A known list will do while it is young; an older one is used and read again behind the caller's back. One that the
    /// upstream called out of date, or that is too old, is read again first.
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

/// Called when a view takes another amount of memory than before.
pub(super) type Grown = Box<dyn Fn(&Arc<View>) + Send + Sync>;

type Read = Shared<BoxFuture<'static, Result<Arc<Listing>, Fault>>>;

#[derive(Default)]
struct Slot {
    current: ArcSwapOption<Kept>,
    /// Counts the upstream's own words that the list changed.
    generation: AtomicU64,
    reading: Mutex<Option<Read>>,
}

/// A list, and the generation in which it was begun to be read: in a later one it is out of date.
struct Kept {
    listing: Arc<Listing>,
    generation: u64,
}

impl Slot {
    /// The last known list, and whether the upstream has not called it out of date since.
    fn current(&self) -> Option<(Arc<Listing>, bool)> {
        let kept = self.current.load();
        let kept = kept.as_ref()?;
        Some((kept.listing.clone(), kept.generation == self.generation.load(Ordering::Acquire)))
    }

    fn bytes(&self) -> usize {
        self.current.load().as_ref().map_or(0, |kept| kept.listing.bytes())
    }
}

/// See the module.
pub struct View {
    upstream: Arc<Upstream>,
    caps: ClientCaps,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    grown: Grown,
    tools: Slot,
    prompts: Slot,
    resources: Slot,
    templates: Slot,
}

impl View {
    pub(super) fn new(
        upstream: Arc<Upstream>,
        caps: ClientCaps,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
        grown: Grown,
    ) -> Self {
        let (tools, prompts, resources, templates) = Default::default();
        Self { upstream, caps, metrics, tasks, grown, tools, prompts, resources, templates }
    }

    /// The upstream this is a view of.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// False once a reload replaced the upstream.
    pub fn is_of(&self, upstream: &Arc<Upstream>) -> bool {
        Arc::ptr_eq(&self.upstream, upstream)
    }

    /// What is known of `part`, without asking anybody.
    pub fn known(&self, part: Part) -> Option<Arc<Listing>> {
        self.slot(part).current().map(|(listing, _)| listing)
    }

    /// What is known of `part`, if it was read lately and the upstream did not say since that it changed.
    pub fn young(&self, part: Part) -> Option<Arc<Listing>> {
        self.slot(part).current().filter(|(listing, valid)| *valid && listing.is_young()).map(|(listing, _)| listing)
    }

    /// About how many bytes of memory its lists take.
    pub(super) fn bytes(&self) -> usize {
        [&self.tools, &self.prompts, &self.resources, &self.templates].iter().map(|slot| slot.bytes()).sum()
    }

    /// The list `part`, as recent as asked.
    ///
    /// # Errors
    /// The upstream's fault when nothing is known of the list, or what is known will not do; [`FaultKind::Unauthorized`] when it would
    /// have to be read and `access` does not reach so far.
    pub async fn list(
        self: &Arc<Self>,
        part: Part,
        access: &Access,
        wanted: Freshness,
        deadline: Deadline,
    ) -> Result<Seen, Fault> {
        let known = self.slot(part).current().filter(|(_, valid)| *valid).map(|(listing, _)| listing);
        let serves = |listing: &Listing| match wanted {
            Freshness::Confirmed => false,
            Freshness::Now => listing.is_fresh(),
            Freshness::Known => listing.is_fresh() || !listing.is_old(),
        };
        if let Some(listing) = known.as_ref().filter(|listing| serves(listing)) {
            if !listing.is_young() {
                // Without the right to read, what is known is all there is.
                let _ = self.read(part, access);
            }
            return Ok(Seen { listing: listing.clone(), stale: false });
        }
        let read = self.read(part, access)?;
        let patience = if known.is_some() { LIST_READ_MS_MAX } else { LIST_FIRST_MS_MAX };
        let until = deadline.capped(Duration::from_millis(patience));
        let read = tokio::time::timeout_at(until.instant().into(), read).await;
        let read = read.unwrap_or_else(|_| Err(Fault::upstream(FaultKind::Timeout, "a list did not come in time")));
        self.metrics.set_list_stale(&self.upstream.settings().name, read.is_err());
        let fault = match read {
            Ok(listing) => return Ok(Seen { listing, stale: false }),
            Err(fault) => fault,
        };
        match self.stand_in(part, &fault).filter(|_| wanted != Freshness::Confirmed) {
            Some(listing) => {
                tracing::warn!(upstream = %self.upstream.settings().name, list = %part.method(), error = %fault.detail, "the last known list is served");
                Ok(Seen { listing, stale: true })
            }
            None => Err(fault),
        }
    }

    /// The last known list, for an upstream that cannot be asked. Not where the upstream said that it changed, where it is too
    /// old, or where `fault` says that whoever asks has no right to it any more.
    fn stand_in(&self, part: Part, fault: &Fault) -> Option<Arc<Listing>> {
        if matches!(fault.kind, FaultKind::Unauthorized | FaultKind::Unlinked) {
            return None;
        }
        let (listing, valid) = self.slot(part).current()?;
        (valid && listing.may_stand_in()).then_some(listing)
    }

    /// Makes the next reader read `part` again, and whoever reads it now once more.
    pub(super) fn expire(&self, part: Part) {
        self.slot(part).generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Joins the read under way, or starts one. It goes on when nobody waits any more.
    ///
    /// # Errors
    /// [`FaultKind::Unauthorized`]: whoever may not read causes no traffic, and does not learn how long it takes others.
    fn read(self: &Arc<Self>, part: Part, access: &Access) -> Result<Read, Fault> {
        drop(fetch::permit(&self.upstream, access)?);
        let mut reading = self.slot(part).reading.lock();
        if let Some(read) = reading.as_ref().filter(|read| read.peek().is_none()) {
            return Ok(read.clone());
        }
        let (view, access) = (self.clone(), access.clone());
        let task = self.tasks.spawn(async move { view.reread(part, &access).await });
        let read = task.map(|done| done.unwrap_or_else(|_| Err(Fault::internal(FaultKind::Internal, "a list reader stopped"))));
        let read = read.boxed().shared();
        *reading = Some(read.clone());
        Ok(read)
    }

    /// Reads `part`, and again if it changed meanwhile: whoever joined after the change waits for what came after it.
    async fn reread(self: &Arc<Self>, part: Part, access: &Access) -> Result<Arc<Listing>, Fault> {
        let slot = self.slot(part);
        let deadline = Deadline::after(Duration::from_millis(LIST_FIRST_MS_MAX));
        let mut rereads = 0;
        loop {
            let generation = slot.generation.load(Ordering::Acquire);
            let listing = Arc::new(fetch::whole(&self.upstream, self.caps, access, part, deadline).await?);
            if let Some((known, _)) = slot.current() {
                listing.inherit(&known);
            }
            slot.current.store(Some(Arc::new(Kept { listing: listing.clone(), generation })));
            (self.grown)(self);
            if rereads == LIST_REREADS_MAX || generation == slot.generation.load(Ordering::Acquire) {
                return Ok(listing);
            }
            rereads += 1;
        }
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
