//! Connections to one upstream: bounded, reused last in first out.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use parking_lot::Mutex;
use rustls::ClientConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lane::Lane;
use crate::net::workers::here;
use crate::net::{DialPolicy, Origin, connect};
use crate::vocab::limits::{
    UPSTREAM_CONNECT_MS_MAX, UPSTREAM_CONNECTIONS_MAX, UPSTREAM_IDLE_CONNECTIONS_MAX, UPSTREAM_IDLE_MS_MAX,
    UPSTREAM_TAIL_BYTES_MAX, UPSTREAM_TAIL_MS_MAX,
};
use crate::vocab::{Deadline, Fault, FaultKind};

pub(super) struct Pool {
    origin: Origin,
    dial: DialPolicy,
    tls: Arc<ClientConfig>,
    idle: Mutex<Vec<Idle>>,
    /// One permit per connection in use. Together with the bound of the list this bounds all of them.
    in_use: Arc<Semaphore>,
}

/// A connection that waits, perhaps with the end of a stream whose answer was already read.
struct Idle {
    lane: Lane,
    /// The worker whose reactor watches the connection.
    home: usize,
    tail: Option<Incoming>,
    tail_bytes_left: usize,
    since: Instant,
}

/// A connection in use. Dropping it closes it.
pub(super) struct Held {
    pub(super) lane: Lane,
    home: usize,
    /// It carried an exchange before.
    pub(super) reused: bool,
    _place: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(origin: Origin, dial: DialPolicy, tls: Arc<ClientConfig>) -> Self {
        let in_use = Arc::new(Semaphore::new(UPSTREAM_CONNECTIONS_MAX));
        Self { origin, dial, tls, idle: Mutex::new(Vec::new()), in_use }
    }

    /// Connections to the same place, counted apart.
    pub(super) fn apart(&self) -> Self {
        Self::new(self.origin.clone(), self.dial, Arc::clone(&self.tls))
    }

    /// A usable connection, an idle one if `fresh` is not asked for.
    pub(super) async fn take(&self, fresh: bool, deadline: Deadline) -> Result<Held, Fault> {
        let place = match Arc::clone(&self.in_use).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => Box::pin(self.wait(deadline)).await?,
        };
        if !fresh && let Some((lane, home)) = self.reuse().await {
            return Ok(Held { lane, home, reused: true, _place: place });
        }
        let deadline = deadline.capped(Duration::from_millis(UPSTREAM_CONNECT_MS_MAX));
        let lane = Box::pin(self.connect(deadline)).await?;
        Ok(Held { lane, home: here(), reused: false, _place: place })
    }

    /// Gives a connection back. `tail` is a body whose end was not seen yet.
    pub(super) fn put(&self, held: Held, tail: Option<Incoming>) {
        let Held { lane, home, _place: place, .. } = held;
        let idle = Idle { lane, home, tail, tail_bytes_left: UPSTREAM_TAIL_BYTES_MAX, since: Instant::now() };
        let mut list = self.idle.lock();
        let oldest = (list.len() >= UPSTREAM_IDLE_CONNECTIONS_MAX).then(|| list.remove(0));
        list.push(idle);
        drop(list);
        drop(oldest);
        // Last, so that a connection is always counted by its permit or by the list.
        drop(place);
    }

    /// Closes what was idle too long.
    pub(super) fn sweep(&self) {
        let longest = Duration::from_millis(UPSTREAM_IDLE_MS_MAX);
        let stale: Vec<Idle> = self.idle.lock().extract_if(.., |idle| idle.since.elapsed() >= longest).collect();
        drop(stale);
    }

    /// Closes every idle connection.
    pub(super) fn clear(&self) {
        let all = std::mem::take(&mut *self.idle.lock());
        drop(all);
    }

    async fn wait(&self, deadline: Deadline) -> Result<OwnedSemaphorePermit, Fault> {
        let wait = tokio::time::timeout_at(deadline.instant().into(), Arc::clone(&self.in_use).acquire_owned());
        match wait.await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => {
                Err(Fault::internal(FaultKind::Exhausted, "every connection allowed to this upstream is in use"))
            }
        }
    }

    async fn reuse(&self) -> Option<(Lane, usize)> {
        let mut unfinished = Vec::new();
        let mut found = None;
        while unfinished.len() < UNFINISHED_MAX {
            let Some(mut idle) = self.pop() else { break };
            let age = idle.since.elapsed();
            if age >= LONG_IDLE {
                // Lets the runtime look at its sockets, so that a close that has arrived is seen.
                tokio::task::yield_now().await;
            }
            match idle.look(age) {
                Condition::Ready => {
                    found = Some((idle.lane, idle.home));
                    break;
                }
                Condition::Unfinished => unfinished.push(idle),
                Condition::Dead => {}
            }
        }
        if !unfinished.is_empty() {
            self.idle.lock().append(&mut unfinished);
        }
        found
    }

    /// The connection used last on this worker. One of another would wake that worker for every byte.
    fn pop(&self) -> Option<Idle> {
        let (mut list, here) = (self.idle.lock(), here());
        let at = list.iter().rposition(|idle| idle.home == here)?;
        Some(list.remove(at))
    }

    async fn connect(&self, deadline: Deadline) -> Result<Lane, Fault> {
        // A connect that takes too long is unreachable, not a timeout: certainly nothing was started.
        let unreachable = |error: &dyn std::fmt::Display| Fault::upstream(FaultKind::Unreachable, error.to_string());
        let stream = connect(&self.origin, self.dial, &self.tls, deadline).await.map_err(|e| unreachable(&e))?;
        Lane::open(stream).await.map_err(|e| unreachable(&e))
    }
}

enum Condition {
    Ready,
    Unfinished,
    Dead,
}

impl Idle {
    /// Nobody is to be woken for it: whoever takes it polls it again, and else it is looked at the next time.
    fn look(&mut self, age: Duration) -> Condition {
        let cx = &mut Context::from_waker(Waker::noop());
        if age >= Duration::from_millis(UPSTREAM_IDLE_MS_MAX) {
            return Condition::Dead;
        }
        while let Some(tail) = &mut self.tail {
            match self.lane.poll_chunk(tail, cx) {
                Poll::Ready(None) => self.tail = None,
                Poll::Ready(Some(Ok(bytes))) if bytes.len() <= self.tail_bytes_left => self.tail_bytes_left -= bytes.len(),
                Poll::Pending if age < Duration::from_millis(UPSTREAM_TAIL_MS_MAX) => {
                    return Condition::Unfinished;
                }
                _ => return Condition::Dead,
            }
        }
        // Sees a close, and bytes nobody asked for, which end the connection too.
        self.lane.drive(cx);
        if self.lane.is_ready() { Condition::Ready } else { Condition::Dead }
    }
}

/// Connections looked at and left alone, because the stream on them has not ended, before a new one is made.
const UNFINISHED_MAX: usize = 4;
/// After this long an idle connection is looked at more carefully.
const LONG_IDLE: Duration = Duration::from_millis(50);
