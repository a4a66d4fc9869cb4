//! Sessions and processes by owner: opened once however many ask, bounded, the one longest unused goes first.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::key::SessionKey;
use crate::vocab::{Fault, FaultKind};

/// Something kept per owner.
pub(super) trait Kept {
    /// In use: must not be evicted.
    fn is_busy(self: &Arc<Self>) -> bool;
    /// Of no more use: must be opened anew.
    fn is_gone(&self) -> bool;
}

type Cell<T> = Arc<OnceCell<Arc<T>>>;

struct Slot<T> {
    cell: Cell<T>,
    used: Instant,
}

impl<T: Kept> Slot<T> {
    /// True if nobody uses it and nobody is opening it.
    fn is_idle(&self) -> bool {
        self.cell.get().map_or(Arc::strong_count(&self.cell) == 1, |kept| !kept.is_busy())
    }
}

/// The table of one upstream.
pub(super) struct Table<T> {
    slots: Mutex<HashMap<SessionKey, Slot<T>>>,
    entries_max: usize,
}

impl<T: Kept> Table<T> {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { slots: Mutex::new(HashMap::new()), entries_max }
    }

    /// What belongs to `key`, opened by `open` if there is none. Concurrent callers share one opening. `evicted` gets what had to
    /// make room.
    pub(super) async fn get(
        &self,
        key: &SessionKey,
        evicted: impl FnOnce(Arc<T>),
        open: impl Future<Output = Result<Arc<T>, Fault>>,
    ) -> Result<Arc<T>, Fault> {
        let (cell, out) = self.cell(key)?;
        if let Some(out) = out {
            evicted(out);
        }
        if let Some(kept) = cell.get() {
            return Ok(Arc::clone(kept));
        }
        let opened = cell.get_or_try_init(|| open).await.map(Arc::clone);
        if opened.is_err() {
            self.discard(key, &cell);
        }
        opened
    }

    /// What belongs to `key`, if there is something to be used. Used by that.
    pub(super) fn find(&self, key: &SessionKey) -> Option<Arc<T>> {
        let mut slots = self.slots.lock();
        let slot = slots.get_mut(key)?;
        let found = slot.cell.get().filter(|kept| !kept.is_gone()).map(Arc::clone)?;
        slot.used = Instant::now();
        Some(found)
    }

    fn cell(&self, key: &SessionKey) -> Result<(Cell<T>, Option<Arc<T>>), Fault> {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get_mut(key) {
            slot.used = Instant::now();
            if slot.cell.get().is_some_and(|kept| kept.is_gone()) {
                slot.cell = Arc::default();
            }
            return Ok((Arc::clone(&slot.cell), None));
        }
        let out = if slots.len() < self.entries_max { None } else { Self::evict(&mut slots)? };
        let cell = Cell::<T>::default();
        slots.insert(key.clone(), Slot { cell: Arc::clone(&cell), used: Instant::now() });
        Ok((cell, out))
    }

    fn evict(slots: &mut HashMap<SessionKey, Slot<T>>) -> Result<Option<Arc<T>>, Fault> {
        let oldest = slots.iter().filter(|(_, slot)| slot.is_idle()).min_by_key(|(_, slot)| slot.used);
        let key = oldest.map(|(key, _)| key.clone());
        let key = key.ok_or_else(|| Fault::internal(FaultKind::Exhausted, "every upstream session allowed is in use"))?;
        Ok(slots.remove(&key).and_then(|slot| slot.cell.get().cloned()))
    }

    /// Removes the slot that failed to open, unless somebody else is opening it by now.
    fn discard(&self, key: &SessionKey, cell: &Cell<T>) {
        let mut slots = self.slots.lock();
        let ours = slots.get(key).is_some_and(|slot| Arc::ptr_eq(&slot.cell, cell) && slot.cell.get().is_none());
        // The table holds one handle and the caller another; more means that others wait for this very cell.
        if ours && Arc::strong_count(cell) <= 2 {
            slots.remove(key);
        }
    }

    /// Takes out what was not used for `idle`, or is gone.
    pub(super) fn sweep(&self, idle: Duration) -> Vec<Arc<T>> {
        let mut slots = self.slots.lock();
        let stale = |slot: &mut Slot<T>| slot.is_idle() && slot.used.elapsed() >= idle;
        slots.extract_if(|_, slot| stale(slot)).filter_map(|(_, slot)| slot.cell.get().cloned()).collect()
    }

    /// Takes out the idle entry longest unused.
    pub(super) fn take_oldest(&self) -> Option<Arc<T>> {
        Self::evict(&mut self.slots.lock()).ok().flatten()
    }

    /// When the idle entry longest unused was used.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let slots = self.slots.lock();
        slots.values().filter(|slot| slot.cell.initialized() && slot.is_idle()).map(|slot| slot.used).min()
    }

    /// Marks `key` as used now.
    pub(super) fn touch(&self, key: &SessionKey) {
        if let Some(slot) = self.slots.lock().get_mut(key) {
            slot.used = Instant::now();
        }
    }

    /// Takes out everything.
    pub(super) fn drain(&self) -> Vec<Arc<T>> {
        self.slots.lock().drain().filter_map(|(_, slot)| slot.cell.get().cloned()).collect()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.slots.lock().len()
    }

    /// True if anything kept is in use.
    pub(super) fn any_busy(&self) -> bool {
        self.slots.lock().values().any(|slot| !slot.is_idle())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::client_caps::ClientCaps;
    use crate::vocab::PrincipalKey;

    #[derive(Debug, Default)]
    struct Thing {
        gone: std::sync::atomic::AtomicBool,
    }

    impl Kept for Thing {
        fn is_busy(self: &Arc<Self>) -> bool {
            Arc::strong_count(self) > 1
        }

        fn is_gone(&self) -> bool {
            self.gone.load(std::sync::atomic::Ordering::Relaxed)
        }
    }

    fn key(sub: &str) -> SessionKey {
        let who = PrincipalKey { iss: Arc::from("i"), sub: Arc::from(sub) };
        SessionKey::of(false, &who, 0, ClientCaps::NONE)
    }

    async fn get(table: &Table<Thing>, sub: &str) -> Result<(Arc<Thing>, bool), Fault> {
        let mut evicted = false;
        let thing = table.get(&key(sub), |_| evicted = true, async { Ok(Arc::default()) }).await?;
        Ok((thing, evicted))
    }

    #[tokio::test]
    async fn what_is_used_stays_and_what_is_gone_is_replaced() {
        let table = Table::new(2);
        let (a, _) = get(&table, "a").await.unwrap();
        let (b, _) = get(&table, "b").await.unwrap();
        assert!(Arc::ptr_eq(&a, &get(&table, "a").await.unwrap().0));
        assert_eq!(get(&table, "c").await.unwrap_err().kind, FaultKind::Exhausted);
        assert!(table.sweep(Duration::ZERO).is_empty());
        drop(b);
        assert!(get(&table, "c").await.unwrap().1);
        a.gone.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(!Arc::ptr_eq(&a, &get(&table, "a").await.unwrap().0));
        assert!(table.sweep(Duration::from_secs(60)).is_empty());
        assert_eq!(table.sweep(Duration::ZERO).len(), 2);
        assert!(table.drain().is_empty());
    }

    #[tokio::test]
    async fn a_failed_opening_leaves_nothing() {
        let table = Table::<Thing>::new(1);
        let fail = async { Err(Fault::upstream(FaultKind::Failed, "")) };
        assert!(table.get(&key("a"), |_| {}, fail).await.is_err());
        assert!(table.slots.lock().is_empty());
        get(&table, "b").await.unwrap();
    }
}
