//! What came of calls that waited for approval as tasks, kept for a while for who asked. Bounded in bytes, for each principal and for all.
//!
//! What comes last is kept: it was just made, and is not made again. Where there is no room the oldest of the same principal goes; where
//! all together have too much, the oldest of whoever has most.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use super::waiting::ENTRY_BYTES;
use crate::vocab::PrincipalKey;
use crate::vocab::limits::{DEFERRED_RESULT_BYTES_MAX, DEFERRED_RESULT_BYTES_PER_PRINCIPAL_MAX, DEFERRED_RESULT_S};

/// See the module.
#[derive(Default)]
pub(super) struct Results(Mutex<Table>);

#[derive(Default)]
struct Table {
    kept: HashMap<u128, Kept>,
    of: HashMap<PrincipalKey, Share>,
    /// By the number in the order of coming.
    order: BTreeMap<u64, u128>,
    bytes: usize,
    next: u64,
}

struct Kept {
    who: PrincipalKey,
    nth: u64,
    until: Instant,
    response: Bytes,
}

/// What one principal has.
#[derive(Default)]
struct Share {
    order: BTreeMap<u64, u128>,
    bytes: usize,
}

impl Results {
    /// Keeps the JSON-RPC `response` to the call `id` of `who`, in place of another; one that is larger than a principal's share is
    /// replaced by an error that says so.
    pub(super) fn keep(&self, who: &PrincipalKey, id: u128, response: Bytes) {
        self.keep_at(Instant::now(), who, id, response);
    }

    /// The response to the call `id`, while it is kept.
    pub(super) fn get(&self, id: u128) -> Option<Bytes> {
        self.get_at(Instant::now(), id)
    }

    fn keep_at(&self, now: Instant, who: &PrincipalKey, id: u128, response: Bytes) {
        let fits = bytes(&response) <= DEFERRED_RESULT_BYTES_PER_PRINCIPAL_MAX;
        let response = if fits { response } else { Bytes::from_static(TOO_LARGE) };
        let more = bytes(&response);
        let mut table = self.0.lock();
        table.remove(id);
        table.forget(now);
        while table.of.get(who).is_some_and(|share| share.bytes.saturating_add(more) > DEFERRED_RESULT_BYTES_PER_PRINCIPAL_MAX) {
            table.remove_oldest_of(&who.clone());
        }
        while table.bytes.saturating_add(more) > DEFERRED_RESULT_BYTES_MAX {
            let Some(most) = table.of.iter().max_by_key(|(_, share)| share.bytes).map(|(who, _)| who.clone()) else { break };
            table.remove_oldest_of(&most);
        }
        let nth = table.next;
        table.next += 1;
        table.bytes += more;
        table.order.insert(nth, id);
        let share = table.of.entry(who.clone()).or_default();
        share.bytes += more;
        share.order.insert(nth, id);
        let until = now + Duration::from_secs(DEFERRED_RESULT_S);
        table.kept.insert(id, Kept { who: who.clone(), nth, until, response });
    }

    fn get_at(&self, now: Instant, id: u128) -> Option<Bytes> {
        let mut table = self.0.lock();
        table.forget(now);
        table.kept.get(&id).map(|kept| kept.response.clone())
    }
}

impl Table {
    /// Lets go of what is kept for long enough: the first of all that are in order.
    fn forget(&mut self, now: Instant) {
        while let Some(id) = self.order.values().next().copied() {
            if self.kept.get(&id).is_some_and(|kept| kept.until > now) {
                return;
            }
            self.remove(id);
        }
    }

    fn remove_oldest_of(&mut self, who: &PrincipalKey) {
        let oldest = self.of.get(who).and_then(|share| share.order.values().next().copied());
        match oldest {
            Some(id) => self.remove(id),
            None => drop(self.of.remove(who)),
        }
    }

    fn remove(&mut self, id: u128) {
        let Some(Kept { who, nth, response, .. }) = self.kept.remove(&id) else { return };
        let less = bytes(&response);
        self.order.remove(&nth);
        self.bytes = self.bytes.saturating_sub(less);
        if let Some(share) = self.of.get_mut(&who) {
            share.order.remove(&nth);
            share.bytes = share.bytes.saturating_sub(less);
            if share.order.is_empty() {
                self.of.remove(&who);
            }
        }
    }
}

/// What keeping `response` takes.
fn bytes(response: &Bytes) -> usize {
    response.len().saturating_add(ENTRY_BYTES)
}

const TOO_LARGE: &[u8] = br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"What came of this call is larger than what is kept for a client to read later. The call was made, and will not be made again."}}"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn who(sub: &str) -> PrincipalKey {
        PrincipalKey { iss: "i".into(), sub: sub.into() }
    }

    fn large() -> Bytes {
        Bytes::from(vec![b'x'; DEFERRED_RESULT_BYTES_PER_PRINCIPAL_MAX / 4 - ENTRY_BYTES])
    }

    #[test]
    fn what_comes_last_is_kept_and_one_principal_takes_no_more_than_its_share() {
        let results = Results::default();
        results.keep(&who("b"), 1_000, Bytes::from_static(b"{}"));
        for id in 0..100 {
            results.keep(&who("a"), id, large());
            assert!(results.get(id).is_some(), "{id}");
            assert_eq!((0..=id).filter(|id| results.get(*id).is_some()).count(), 4.min(usize::try_from(id).unwrap() + 1));
        }
        assert!(results.get(1_000).is_some(), "others keep what they have");
        assert!(results.0.lock().bytes <= DEFERRED_RESULT_BYTES_PER_PRINCIPAL_MAX + 2 * ENTRY_BYTES);
    }

    #[test]
    fn all_together_are_bounded_at_the_cost_of_whoever_has_most() {
        let results = Results::default();
        results.keep(&who("small"), 1_000, Bytes::from_static(b"{}"));
        for id in 0..40 {
            results.keep(&who(&(id / 4).to_string()), id, large());
            assert!(results.get(id).is_some(), "{id}");
            assert!(results.0.lock().bytes <= DEFERRED_RESULT_BYTES_MAX);
        }
        assert!(results.get(1_000).is_some());
    }

    #[test]
    fn one_that_is_too_large_is_told_so_and_takes_nobody_s_room() {
        let results = Results::default();
        results.keep(&who("a"), 1, Bytes::from_static(b"{}"));
        results.keep(&who("a"), 2, Bytes::from(vec![b'x'; DEFERRED_RESULT_BYTES_PER_PRINCIPAL_MAX]));
        assert_eq!(
            (results.get(1).unwrap(), results.get(2).unwrap()),
            (Bytes::from_static(b"{}"), Bytes::from_static(TOO_LARGE))
        );
    }

    #[test]
    fn time_and_another_result_of_the_same_call_leave_nothing_behind() {
        let (results, now) = (Results::default(), Instant::now());
        let at = |s: u64| now + Duration::from_secs(s);
        results.keep_at(at(0), &who("a"), 1, large());
        results.keep_at(at(5), &who("b"), 1, Bytes::from_static(b"[]"));
        results.keep_at(at(6), &who("b"), 2, large());
        assert_eq!(results.get_at(at(DEFERRED_RESULT_S + 4), 1), Some(Bytes::from_static(b"[]")));
        assert_eq!(results.get_at(at(DEFERRED_RESULT_S + 5), 1), None);
        assert!(results.get_at(at(DEFERRED_RESULT_S + 5), 2).is_some());
        assert_eq!(results.get_at(at(DEFERRED_RESULT_S + 6), 2), None);
        let table = results.0.lock();
        assert!(table.kept.is_empty() && table.of.is_empty() && table.order.is_empty() && table.bytes == 0);
    }
}
