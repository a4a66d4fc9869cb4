//! Places that many share, bounded in all and for each: nobody's share of them is all of them.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

use crate::telemetry::metrics::Held;

/// Places taken, in all and by each. Remembers nobody who has none.
pub(super) struct Shares<K: Eq + Hash> {
    all_max: usize,
    all: AtomicUsize,
    each: DashMap<K, usize>,
}

/// There is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooMany {
    /// Whoever asks has their share.
    OfOne,
    /// All are taken.
    OfAll,
}

/// One place; dropped, it is free.
pub(super) struct Place<K: Eq + Hash> {
    shares: Arc<Shares<K>>,
    who: K,
    _gauge: Held,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// `all_max` places.
    pub(super) fn new(all_max: usize) -> Arc<Self> {
        Arc::new(Self { all_max, all: AtomicUsize::new(0), each: DashMap::new() })
    }

    /// Another place of `who`, whose share is `each_max`, counted by `gauge` too.
    ///
    /// # Errors
    /// [`TooMany`]. Whoever has their share takes nothing from others by asking for more.
    pub(super) fn enter(self: &Arc<Self>, who: K, each_max: usize, gauge: Held) -> Result<Place<K>, TooMany> {
        let mut own = self.each.entry(who.clone()).or_default();
        if *own >= each_max {
            return Err(TooMany::OfOne);
        }
        *own += 1;
        drop(own);
        // Gives back what was taken, if it was too much.
        let place = Place { shares: self.clone(), who, _gauge: gauge };
        if self.all.fetch_add(1, Ordering::Relaxed) < self.all_max { Ok(place) } else { Err(TooMany::OfAll) }
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        self.shares.all.fetch_sub(1, Ordering::Relaxed);
        if let Some(mut own) = self.shares.each.get_mut(&self.who) {
            *own = own.saturating_sub(1);
        }
        self.shares.each.remove_if(&self.who, |_, own| *own == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn each_has_a_share_and_whoever_has_none_is_forgotten() {
        let (shares, metrics) = (Shares::new(100), Metrics::new());
        let enter = |who: &'static str| shares.enter(who, 3, metrics.hold_stream());
        let mut places: Vec<_> = (0..3).map(|_| enter("alice").ok().unwrap()).collect();
        assert_eq!(enter("alice").err(), Some(TooMany::OfOne));
        let bobs = enter("bob").ok().unwrap();
        places.pop();
        places.push(enter("alice").ok().unwrap());
        assert_eq!(enter("alice").err(), Some(TooMany::OfOne));
        drop((places, bobs));
        assert_eq!((shares.all.load(Ordering::Relaxed), shares.each.len()), (0, 0));
    }

    #[test]
    fn all_together_have_a_bound_too() {
        let (shares, metrics) = (Shares::new(50), Metrics::new());
        let enter = |who: usize| shares.enter(who, 3, metrics.hold_stream());
        let mut places: Vec<_> = (0..50).map(|who| enter(who).ok().unwrap()).collect();
        assert_eq!(enter(50).err(), Some(TooMany::OfAll));
        assert_eq!(shares.each.len(), 50);
        places.pop();
        assert!(enter(50).is_ok());
    }
}
