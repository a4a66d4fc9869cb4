//! Embedded state: spaces of keyed blobs that expire. One SQLite file, one thread that owns it, a bounded queue before it.
//!
//! Layer 2. Knows bytes, keys and expiry; nothing of what they mean. Every answer is given after the change is on disk.

#[cfg(test)]
mod faults;
mod file;
mod work;

use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use tokio::sync::oneshot;

use crate::vocab::Clock;
use crate::vocab::limits::{STORE_KEY_BYTES_MAX, STORE_QUEUE_JOBS_MAX, STORE_VALUE_BYTES_MAX};
use work::{Job, Task, Worker};

/// What a blob is about. The numbers are in the file: they are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Space {
    /// Browser sessions, by the SHA-256 of their id.
    BrowserSession = 1,
    /// Sign-ins on their way through the identity provider, by the SHA-256 of their state.
    SignIn = 2,
    /// Authorization requests that wait for consent or sign-in.
    Authorization = 3,
    /// What a person allowed a client.
    Consent = 4,
    /// Authorization codes, by their SHA-256.
    Code = 5,
    /// Refresh tokens, by their SHA-256.
    RefreshToken = 6,
    /// Families of refresh tokens.
    RefreshFamily = 7,
    /// Clients that registered themselves.
    Client = 8,
    /// Access tokens that were revoked before their end, by `jti`.
    RevokedToken = 9,
    /// Assertions that were used, by issuer and `jti`.
    UsedAssertion = 10,
    /// Credentials of people at upstreams.
    Vault = 11,
    /// Links of accounts on their way through an upstream's authorization server.
    Linking = 12,
    /// Our own registrations at authorization servers of upstreams.
    Registration = 13,
    /// Requests for approval, by their id.
    Approval = 14,
    /// The arguments of those, as people are shown them, by the same id.
    ApprovalShown = 15,
    /// Notices to approvers, by the id of the delivery.
    Notice = 16,
    /// Sessions at the operators' listener, by the SHA-256 of their id.
    ConsoleSession = 20,
    /// Sign-ins there on their way through the identity provider, by the SHA-256 of their state.
    ConsoleSignIn = 21,
}

/// Why the store did not do it. Callers fail closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The queue is full, or the thread has ended.
    #[error("the store is busy")]
    Busy,
    /// A key or a value over its limit.
    #[error("a key or a value is over its limit")]
    TooLarge,
    /// The file cannot be read or written. The text is for the operator's log and holds no key or value.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// A handle; clones lead to the same file. The thread ends with the last of them, after what was queued.
#[derive(Clone, Debug)]
pub struct Store {
    jobs: SyncSender<Job>,
    #[cfg(test)]
    faults: std::sync::Arc<faults::Faults>,
}

impl Store {
    /// Opens the file at `path`, made (mode 0600, directory 0700) when absent, and starts its thread.
    ///
    /// # Errors
    /// [`StoreError::Failed`]: a file of another version, one that others can read, or one that is not ours.
    pub fn open(path: &Path, clock: Clock) -> Result<Self, StoreError> {
        let connection = file::open(path)?;
        let (jobs, queue) = sync_channel(STORE_QUEUE_JOBS_MAX);
        let mut worker = Worker::new(connection, clock).map_err(|error| file::failed(&error))?;
        let thread = std::thread::Builder::new().name("store".to_owned());
        thread.spawn(move || worker.run(&queue)).map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(Self {
            jobs,
            #[cfg(test)]
            faults: std::sync::Arc::default(),
        })
    }

    /// The value of `key`, unless it has expired.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.ask(space, key, Task::Get).await
    }

    /// Sets `key`, until `expires_unix_s` (the first second at which it is gone) or for good.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put(&self, space: Space, key: &[u8], value: &[u8], expires_unix_s: Option<u64>) -> Result<(), StoreError> {
        let value = bounded(value)?;
        self.ask(space, key, |answer| Task::Put { value, expires_unix_s, answer }).await
    }

    /// As [`Self::put`] for a key that is not there yet, if the space then holds at most `entries_max` entries. False if it does
    /// not: nothing was changed. For what somebody without a credential can cause. What was taken before its time counts until the
    /// space is full and counted anew, once a second at most.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add(
        &self,
        space: Space,
        key: &[u8],
        value: &[u8],
        expires_unix_s: u64,
        entries_max: u64,
    ) -> Result<bool, StoreError> {
        let value = bounded(value)?;
        self.ask(space, key, |answer| Task::Add { value, expires_unix_s, entries_max, answer }).await
    }

    /// Reads and deletes `key` in one statement: of several who take, one gets it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.ask(space, key, Task::Take).await
    }

    /// Replaces what `key` holds by `new` (`None` deletes) if it still is `expected` (`None`: not there, or expired). False if it
    /// is not: nothing was changed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn swap(
        &self,
        space: Space,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
        expires_unix_s: Option<u64>,
    ) -> Result<bool, StoreError> {
        let (expected, new) = (expected.map(bounded).transpose()?, new.map(bounded).transpose()?);
        self.ask(space, key, |answer| Task::Swap { expected, new, expires_unix_s, answer }).await
    }

    /// Up to `limit` entries whose keys start with `prefix`, in the order of their keys.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, space: Space, prefix: &[u8], limit: u32) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.ask(space, prefix, |answer| Task::List { after: None, limit, answer }).await
    }

    /// Up to `limit` entries of the space whose keys come after `after`, in the order of their keys: a page of all of them, which
    /// begins after the last key of the page before, the first one after the empty key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_after(&self, space: Space, after: &[u8], limit: u32) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let after = Some(after.to_vec());
        self.ask(space, &[], |answer| Task::List { after, limit, answer }).await
    }

    /// Deletes `key`, which need not be there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove(&self, space: Space, key: &[u8]) -> Result<(), StoreError> {
        self.take(space, key).await.map(|_| ())
    }

    async fn ask<T>(
        &self,
        space: Space,
        key: &[u8],
        task: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Task,
    ) -> Result<T, StoreError> {
        if key.len() > STORE_KEY_BYTES_MAX {
            return Err(StoreError::TooLarge);
        }
        #[cfg(test)]
        let fault = self.faults.next();
        #[cfg(test)]
        if fault == Some(faults::Fault::Undone) {
            return Err(faults::Faults::error());
        }
        let (answer, answered) = oneshot::channel();
        let job = Job { space, key: key.to_vec(), task: task(answer) };
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => StoreError::Busy,
        })?;
        let done = answered.await.map_err(|_| StoreError::Busy)?;
        #[cfg(test)]
        if fault == Some(faults::Fault::Unsaid) {
            return Err(faults::Faults::error());
        }
        done
    }
}

fn bounded(value: &[u8]) -> Result<Vec<u8>, StoreError> {
    if value.len() > STORE_VALUE_BYTES_MAX { Err(StoreError::TooLarge) } else { Ok(value.to_vec()) }
}

#[cfg(test)]
pub(crate) use faults::Fault;

#[cfg(test)]
impl Store {
    /// Has the operation after the next `good` fail, once.
    pub(crate) fn fails_after(&self, good: u64, fault: Fault) {
        self.faults.set(good, fault);
    }

    /// Whether there were too few operations for that.
    pub(crate) fn has_yet_to_fail(&self) -> bool {
        self.faults.is_set()
    }
}

#[cfg(test)]
mod tests;
