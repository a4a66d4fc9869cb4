//! Room for calls that wait for approval as tasks. Bounded for each principal and for all, in number and in bytes.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::results::Results;
use crate::approval::RequestId;
use crate::vocab::PrincipalKey;
use crate::vocab::limits::{DEFERRED_BYTES_MAX, DEFERRED_BYTES_PER_PRINCIPAL_MAX, DEFERRED_MAX, DEFERRED_PER_PRINCIPAL_MAX};

/// The calls that wait, and what came of those that were made. Both are bounded.
#[derive(Default)]
pub struct Deferred {
    waiting: Arc<Mutex<Waiting>>,
    pub(super) results: Results,
}

#[derive(Default)]
struct Waiting {
    calls: HashMap<u128, Call>,
    of: HashMap<PrincipalKey, Share>,
    bytes: usize,
}

/// What one principal has waiting.
#[derive(Default)]
struct Share {
    calls: usize,
    bytes: usize,
}

/// One call that waits, or is being made.
struct Call {
    request: RequestId,
    /// What is told while it waits; nothing more once it is made.
    message: Option<String>,
    cancel: CancellationToken,
}

/// The place of a call that waits. When it is given up, the call is over.
pub(super) struct Place {
    waiting: Arc<Mutex<Waiting>>,
    pub(super) who: PrincipalKey,
    pub(super) id: u128,
    bytes: usize,
    pub(super) cancel: CancellationToken,
}

impl Deferred {
    /// A place for the call that waits for `request` and takes so many bytes, if its principal and all together have room for it.
    pub(super) fn place(&self, who: &PrincipalKey, request: &RequestId, message: String, bytes: usize) -> Option<Place> {
        let mut waiting = self.waiting.lock();
        let bytes = bytes.saturating_add(ENTRY_BYTES);
        let (calls, own) = waiting.of.get(who).map_or((0, 0), |share| (share.calls, share.bytes));
        let fits = calls < DEFERRED_PER_PRINCIPAL_MAX
            && waiting.calls.len() < DEFERRED_MAX
            && own.saturating_add(bytes) <= DEFERRED_BYTES_PER_PRINCIPAL_MAX
            && waiting.bytes.saturating_add(bytes) <= DEFERRED_BYTES_MAX;
        if !fits {
            return None;
        }
        let (id, cancel) = (uuid::Uuid::new_v4().as_u128(), CancellationToken::new());
        let call = Call { request: request.clone(), message: Some(message), cancel: cancel.clone() };
        waiting.calls.insert(id, call);
        waiting.of.insert(who.clone(), Share { calls: calls + 1, bytes: own + bytes });
        waiting.bytes += bytes;
        Some(Place { waiting: self.waiting.clone(), who: who.clone(), id, bytes, cancel })
    }
}

impl Deferred {
    /// What is told of the call while it waits; `None` inside once it is being made.
    pub(super) fn message(&self, id: u128) -> Option<Option<String>> {
        self.waiting.lock().calls.get(&id).map(|call| call.message.clone())
    }

    /// How the call is cancelled, and what it waits for.
    pub(super) fn waits_for(&self, id: u128) -> Option<(CancellationToken, RequestId)> {
        self.waiting.lock().calls.get(&id).map(|call| (call.cancel.clone(), call.request.clone()))
    }
}

impl Place {
    /// The call is made now, and no longer waits.
    pub(super) fn is_made(&self) {
        if let Some(call) = self.waiting.lock().calls.get_mut(&self.id) {
            call.message = None;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock();
        waiting.calls.remove(&self.id);
        waiting.bytes = waiting.bytes.saturating_sub(self.bytes);
        if let Some(share) = waiting.of.get_mut(&self.who) {
            *share = Share { calls: share.calls.saturating_sub(1), bytes: share.bytes.saturating_sub(self.bytes) };
            if share.calls == 0 {
                waiting.of.remove(&self.who);
            }
        }
    }
}

/// What an entry takes beside what was sent for it.
pub(super) const ENTRY_BYTES: usize = 1024;
