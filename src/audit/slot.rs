//! Room in the queue, held from before anything can fail until the record is written.

use std::sync::Arc;

use parking_lot::Mutex;

use super::draft::{Draft, Kind, Status};
use super::note::OutcomeNote;
use super::queue::{Item, Queue};
use super::traced;
use crate::vocab::Reason;

/// Owns a request's draft. Dropping it sends exactly one record; there is no way to send none, or two.
pub struct Slot {
    /// Taken only by `drop`.
    draft: Option<Box<Draft>>,
    queue: Arc<Queue>,
}

impl Slot {
    /// Room must have been reserved in `queue`.
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { draft: Some(queue.draft()), queue }
    }

    /// The draft, to be filled in.
    pub fn draft(&mut self) -> &mut Draft {
        // Present until `drop`; an empty draft in its place is harmless, a panic on the way out would not be.
        let queue = &self.queue;
        self.draft.get_or_insert_with(|| queue.draft())
    }

    /// A handle that the handler, the response's body and detached tasks can share.
    pub fn into_handle(self) -> AuditHandle {
        AuditHandle(Arc::new(Mutex::new(self)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(mut draft) = self.draft.take() {
            draft.finish(std::thread::panicking());
            traced::end(&mut draft);
            self.queue.push(Item::Record(draft));
        }
    }
}

/// Makes `draft` the record of something that the audit did itself.
pub(super) fn note(draft: &mut Draft, method: &'static str, name: &str) {
    draft.kind = Kind::Admin;
    draft.set_method(method);
    draft.set_name(name);
    draft.outcome = Some(OutcomeNote::new(Status::Completed, Reason::Allowed));
}

/// Room for the record of something that may not come to happen. Dropping it gives the room back, and sends nothing.
pub struct Room {
    queue: Arc<Queue>,
    held: bool,
}

impl Room {
    /// Room must have been reserved in `queue`.
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, held: true }
    }

    /// It happened: from now on exactly one record is sent.
    pub fn into_slot(mut self) -> Slot {
        self.held = false;
        Slot::new(self.queue.clone())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.held {
            self.queue.release(1);
        }
    }
}

/// A share of a slot: the record is sent when the last share drops.
#[derive(Clone)]
pub struct AuditHandle(Arc<Mutex<Slot>>);

impl AuditHandle {
    /// Changes the draft. Short: the draft is locked meanwhile.
    pub fn with<T>(&self, change: impl FnOnce(&mut Draft) -> T) -> T {
        change(self.0.lock().draft())
    }
}
