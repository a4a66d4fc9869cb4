//! What every upstream of one registry shares: owned tasks, the end, the hook for changed lists.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::mcp::reply::Listing;
use crate::vocab::PrincipalKey;
use crate::vocab::limits::{UPSTREAM_ERRAND_MS_MAX, UPSTREAM_ERRANDS_MAX};

/// Called when an upstream says that a list of it changed: upstream, the principal it said so to (`None`: everybody), which list.
/// It is called from inside calls and must neither block nor panic. A hostile upstream can cause it with every message it sends.
pub type ListHook = Arc<dyn Fn(&str, Option<&PrincipalKey>, Listing) + Send + Sync>;

pub(super) struct Shared {
    pub(super) tasks: TaskTracker,
    /// Kept so that a drop outside of any task can still send its cancellation.
    pub(super) handle: Handle,
    /// Cancelled when the registry shuts down.
    pub(super) stop: CancellationToken,
    pub(super) hook: ListHook,
    /// Processes alive, all upstreams together.
    pub(super) processes: AtomicUsize,
    /// Every stdio upstream, so that one can make room for another.
    pub(super) homes: Mutex<Vec<std::sync::Weak<super::stdio::Stdio>>>,
    errands: Arc<Semaphore>,
    dropped: AtomicU64,
}

impl Shared {
    pub(super) fn new(hook: ListHook) -> Self {
        Self {
            tasks: TaskTracker::new(),
            handle: Handle::current(),
            stop: CancellationToken::new(),
            hook,
            processes: AtomicUsize::new(0),
            homes: Mutex::new(Vec::new()),
            errands: Arc::new(Semaphore::new(UPSTREAM_ERRANDS_MAX)),
            dropped: AtomicU64::new(0),
        }
    }

    /// Runs something nobody waits for (a cancellation, a farewell), bounded in number and time. Too many are not run at all.
    pub(super) fn errand(&self, errand: impl Future<Output = ()> + Send + 'static) {
        let Ok(place) = Arc::clone(&self.errands).try_acquire_owned() else {
            tracing::debug!("too many messages of our own under way to upstreams; one was not sent");
            return;
        };
        self.tasks.spawn_on(
            async move {
                let _place = place;
                let _ = timeout(Duration::from_millis(UPSTREAM_ERRAND_MS_MAX), errand).await;
            },
            &self.handle,
        );
    }

    /// Counts a message that belongs to no call.
    pub(super) fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Messages of upstreams that belonged to no call.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
