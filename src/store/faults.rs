//! Operations that fail when they are told to, for tests of whoever depends on the store.

use parking_lot::Mutex;

use super::StoreError;

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is done.
    Undone,
    /// It is done, and said to have failed: whoever asked cannot know.
    Unsaid,
}

/// How many operations still succeed, and how the one after them fails.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Option<(u64, Fault)>>);

impl Faults {
    pub(super) fn set(&self, good: u64, fault: Fault) {
        *self.0.lock() = Some((good, fault));
    }

    /// True until it has failed.
    pub(super) fn is_set(&self) -> bool {
        self.0.lock().is_some()
    }

    /// What becomes of the next operation.
    pub(super) fn next(&self) -> Option<Fault> {
        let mut set = self.0.lock();
        match set.as_mut() {
            Some((0, fault)) => {
                let fault = *fault;
                *set = None;
                Some(fault)
            }
            Some((good, _)) => {
                *good -= 1;
                None
            }
            None => None,
        }
    }

    pub(super) fn error() -> StoreError {
        StoreError::Failed("told to fail".to_owned())
    }
}
