//! Approvals: people say yes or no to one call, and a yes is used for that very call, once.
//!
//! Layer 4. A [`Case`] is what a call is bound to and what people see of it; [`Desk::ask`] finds or makes the [`Request`] for it.
//! People vote ([`Desk::vote`]) under the policy in force; a request whose policy is not in force any more is void. An approved request
//! is used by one conditional update of its row in the store ([`Desk::claim`]), which is on disk before the call leaves: of many who
//! race, one gets [`Spent`], which makes the only [`crate::policy::permit::Grant`]. A call that fails after that is not run again. An
//! approver can say yes to some similar calls instead ([`Lease`]): each use of it is such an update too.
//!
//! The row in the store is the truth for every change. A bounded index in memory serves reads.

mod ask;
mod bound;
mod change;
mod claim;
mod index;
mod lease;
mod leases;
mod request;
mod row;
mod shown;
mod typed;
mod vote;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use ask::{AskError, Case, Standing};
pub use bound::{Bound, Gate};
pub use change::{Change, ChangeError};
pub use claim::{Spent, Void};
pub use lease::{Lease, LeaseError, Terms};
pub use request::{Request, RequestId, State, Vote};
pub use shown::Shown;
pub use typed::{Typed, typed};
pub use vote::{VoteError, Voter};

use crate::audit::Audit;
use crate::store::{Space, Store, StoreError};
use crate::vocab::limits::{APPROVAL_CHANGES_MAX, APPROVAL_LOOK_MS, APPROVALS_KEPT_MAX};
use crate::vocab::{Clock, Deadline, Digest, PrincipalKey};
use index::Index;

/// Where approvals are asked for, given and used. Clones share everything.
#[derive(Clone)]
pub struct Desk(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    audit: Arc<Audit>,
    index: Mutex<Index>,
    changes: broadcast::Sender<Change>,
    /// Whoever asks for the same call waits for its turn, so that one request is made; and whoever makes or uses the same lease. Nobody
    /// waits for a turn in a turn.
    turns: [tokio::sync::Mutex<()>; TURNS],
    /// Changes under way: what the store was told is known here and on record also when whoever waited for it goes away.
    tasks: TaskTracker,
}

const TURNS: usize = 64;

/// Which requests [`Desk::list`] gives; what is absent does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<State>,
    /// Asked by this person.
    pub requester: Option<PrincipalKey>,
    /// Asked by a person of this subject, whoever vouches for them.
    pub sub: Option<String>,
    /// For the operation of this full name.
    pub name: Option<String>,
}

impl Desk {
    /// Opens the desk over what `store` holds. What expired meanwhile is so at the first look.
    ///
    /// # Errors
    /// [`StoreError`]. A row that cannot be read is left out, and said in the log.
    pub async fn open(store: Store, clock: Clock, audit: Arc<Audit>) -> Result<Self, StoreError> {
        let most = u32::try_from(APPROVALS_KEPT_MAX).unwrap_or(u32::MAX);
        let mut index = Index::default();
        for (key, row) in store.list(Space::Approval, &[], most).await? {
            match row::read(&row) {
                Some(request) if request.id.as_str().as_bytes() == key => drop(index.put(Arc::new(request))),
                _ => tracing::warn!("a request for approval in the store cannot be read; it approves nothing"),
            }
        }
        let (changes, _) = broadcast::channel(APPROVAL_CHANGES_MAX);
        let turns = std::array::from_fn(|_| tokio::sync::Mutex::new(()));
        Ok(Self(Arc::new(Inner { store, clock, audit, index: Mutex::new(index), changes, turns, tasks: TaskTracker::new() })))
    }

    async fn turn(&self, of: &Digest) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let at = of.0.first().map_or(0, |byte| usize::from(*byte) % TURNS);
        match self.0.turns.get(at) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }

    /// Notes what expires, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let work = async {
            loop {
                tokio::time::sleep(Duration::from_millis(APPROVAL_LOOK_MS)).await;
                while self.expire().await {}
            }
        };
        stop.run_until_cancelled(work).await;
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Does `work` to its end, also when whoever waits for it goes away.
    async fn whole<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, StoreError> {
        self.0.tasks.spawn(work).await.map_err(|_| StoreError::Failed("a change of an approval was not made whole".to_owned()))
    }

    /// Up to `limit` requests, newest first, after the one called `after`, as they stand now. Takes as long as `limit` says where the
    /// filter leaves nothing out; else all that are kept may be looked at.
    pub fn list(&self, filter: &Filter, after: Option<&RequestId>, limit: usize) -> Vec<Arc<Request>> {
        let now_s = self.0.clock.unix_s();
        self.0.index.lock().list(filter, after, limit, now_s)
    }

    /// The request called `id`, as it stands now.
    pub fn get(&self, id: &RequestId) -> Option<Arc<Request>> {
        let found = self.0.index.lock().get(id)?;
        Some(request::as_of(&found, self.0.clock.unix_s()))
    }

    /// The arguments as people are shown them. Read from the store: they may be large.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn shown(&self, id: &RequestId) -> Result<Option<Shown>, StoreError> {
        let kept = self.0.store.get(Space::ApprovalShown, id.as_str().as_bytes()).await?;
        Ok(kept.and_then(|kept| Shown::read(&kept)))
    }

    /// How many requests are in each state now, in the order of [`State::ALL`].
    pub fn counts(&self) -> [(State, usize); State::ALL.len()] {
        self.0.index.lock().counts(self.0.clock.unix_s())
    }

    /// Tells of every change from now on. Whoever lags behind is told so, and lists anew.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.changes.subscribe()
    }

    /// Waits until the request is no longer pending, or `deadline`. What is not known here is over.
    pub async fn settled(&self, id: &RequestId, deadline: Deadline) -> State {
        let mut changes = self.changes();
        loop {
            let Some(request) = self.get(id) else { return State::Expired };
            if request.state != State::Pending || deadline.remaining().is_zero() {
                return request.state;
            }
            let left = Duration::from_secs(request.expires_unix_s.saturating_sub(self.0.clock.unix_s()).max(1));
            let until = deadline.capped(left.min(LOOK_AT_LEAST)).instant();
            let told = async { while changes.recv().await.is_ok_and(|change| change.id != *id) {} };
            // Told, lagging behind, or late: it is looked up anew.
            let _ = tokio::time::timeout_at(until.into(), told).await;
        }
    }
}

/// The longest time between two looks of whoever waits: a clock may be set.
const LOOK_AT_LEAST: Duration = Duration::from_secs(1);
