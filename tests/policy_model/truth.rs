//! Three-valued truth, and the record of what was seen: a model that never meets a case proves nothing about it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// True, false, or not to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    True,
    False,
    Unknown,
}

use Truth::{False, True, Unknown};

impl From<bool> for Truth {
    fn from(truth: bool) -> Self {
        if truth { True } else { False }
    }
}

/// Three-valued AND.
pub(crate) fn all(parts: &[Truth]) -> Truth {
    if parts.contains(&False) {
        False
    } else if parts.contains(&Unknown) {
        Unknown
    } else {
        True
    }
}

/// Three-valued OR.
pub(crate) fn any(parts: &[Truth]) -> Truth {
    if parts.contains(&True) {
        True
    } else if parts.contains(&Unknown) {
        Unknown
    } else {
        False
    }
}

thread_local! {
    static SEEN: RefCell<BTreeMap<(&'static str, String), u64>> = const { RefCell::new(BTreeMap::new()) };
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Counts a case that was met.
pub(crate) fn seen(what: &'static str, value: &str) {
    if !SILENT.get() {
        SEEN.with_borrow_mut(|seen| *seen.entry((what, value.to_owned())).or_insert(0) += 1);
    }
}

/// Runs `f` without counting: searches and shrinking would hide what the pairs themselves never met.
pub(crate) fn silently<T>(f: impl FnOnce() -> T) -> T {
    let before = SILENT.replace(true);
    let out = f();
    SILENT.set(before);
    out
}

/// What was met so far, and how often.
pub(crate) fn all_seen() -> BTreeMap<(&'static str, String), u64> {
    SEEN.with_borrow(Clone::clone)
}
