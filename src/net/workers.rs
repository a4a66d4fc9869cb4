//! The threads that connections live on.
//!
//! Each thread has a runtime of its own. A request, the connection it came by and the connection it goes out on stay on one
//! thread, so that serving a call wakes no other thread and steals nobody's work. Background work lives elsewhere.

use std::cell::Cell;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A fixed set of threads with one runtime each. Dropping it ends them, and with them whatever still runs there.
pub struct Workers {
    workers: Box<[Worker]>,
    _end: DropGuard,
}

struct Worker {
    handle: Handle,
    open: Arc<AtomicUsize>,
}

/// A connection's place on one thread, counted until it drops.
pub struct Place {
    handle: Handle,
    open: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// The system has no thread or no descriptors left.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let end = CancellationToken::new();
        let guard = end.clone().drop_guard();
        let worker = |number: usize| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (handle, end) = (runtime.handle().clone(), end.clone());
            let thread = std::thread::Builder::new().name(format!("worker-{number}"));
            thread.spawn(move || {
                HERE.set(number);
                runtime.block_on(end.cancelled());
            })?;
            Ok(Worker { handle, open: Arc::default() })
        };
        // Zero is everywhere else.
        let workers = (1..=count.get()).map(worker).collect::<io::Result<_>>()?;
        Ok(Self { workers, _end: guard })
    }

    /// A place on the thread with the fewest connections.
    pub fn quietest(&self) -> Option<Place> {
        let worker = self.workers.iter().min_by_key(|worker| worker.open.load(Ordering::Relaxed))?;
        worker.open.fetch_add(1, Ordering::Relaxed);
        Some(Place { handle: worker.handle.clone(), open: worker.open.clone() })
    }
}

impl Place {
    /// The runtime of the thread.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The number of the worker that runs this, from 1; 0 on any other thread.
pub fn here() -> usize {
    HERE.get()
}

thread_local! {
    static HERE: Cell<usize> = const { Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_spread_over_threads_and_leave_room_when_they_end() {
        let workers = Workers::start(NonZeroUsize::new(3).unwrap()).unwrap();
        let where_is = |place: &Place| {
            let (tell, told) = std::sync::mpsc::channel();
            drop(place.handle().spawn(async move { tell.send(here()) }));
            told.recv().unwrap()
        };
        let mut places: Vec<Place> = (0..3).map(|_| workers.quietest().unwrap()).collect();
        let mut seen: Vec<usize> = places.iter().map(where_is).collect();
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3]);
        assert_eq!(here(), 0);
        let left = where_is(&places.remove(1));
        assert_eq!(where_is(&workers.quietest().unwrap()), left);
    }

    #[test]
    fn dropping_the_set_ends_what_runs_there() {
        let workers = Workers::start(NonZeroUsize::MIN).unwrap();
        let held = Arc::new(());
        let also = held.clone();
        let task = workers.quietest().unwrap().handle().spawn(async move {
            std::future::pending::<()>().await;
            drop(also);
        });
        drop(workers);
        let ended = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(task);
        assert!(ended.unwrap_err().is_cancelled());
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
