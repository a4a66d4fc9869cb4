//! What one connection is doing, and when it has been doing it for too long.
//!
//! The wire and the bodies note what happens in a few atomics; one timer per connection looks at them. A request costs no timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::DoorSettings;
use crate::net::drain::Drain;

/// Notes of one connection. Times are milliseconds since its birth; 0 means never.
pub(super) struct Meter {
    born: Instant,
    /// Here, so that a request need not count itself among the users of something that all connections share.
    stop: Drain,
    /// Requests handed to the service whose answers are not complete.
    in_flight: AtomicU32,
    /// When the first byte of a request came that is not handed over yet.
    head_since_ms: AtomicU64,
    idle_since_ms: AtomicU64,
    write_blocked_since_ms: AtomicU64,
    lingering_since_ms: AtomicU64,
    generation: AtomicUsize,
    generation_since_ms: AtomicU64,
    /// Answers that wait for the peer, by the generation in which they began to wait.
    stalled: [AtomicU32; GENERATIONS],
}

/// What the timer should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look again after this many milliseconds.
    Fine(u64),
    /// Nothing is under way and the connection has been open long enough: end it in good order.
    End,
    /// We closed, and the peer had its time to read that: drop the connection.
    Over,
    /// The peer keeps us waiting: drop the connection.
    Cut(&'static str),
}

/// Deadlines in milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Deadlines {
    header_ms: u64,
    idle_ms: u64,
    write_ms: u64,
    age_ms: u64,
    /// An HTTP/2 connection reads frames that belong to no request, so that only its idle time is counted.
    multiplexed: bool,
}

impl Deadlines {
    pub(super) fn new(settings: &DoorSettings, multiplexed: bool) -> Self {
        Self {
            header_ms: ms(settings.header_timeout),
            idle_ms: ms(settings.idle_timeout),
            write_ms: ms(settings.write_timeout),
            age_ms: ms(settings.age_max),
            multiplexed,
        }
    }
}

impl Meter {
    pub(super) fn new(stop: Drain) -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            stop,
            in_flight: AtomicU32::new(0),
            head_since_ms: AtomicU64::new(0),
            idle_since_ms: AtomicU64::new(1),
            write_blocked_since_ms: AtomicU64::new(0),
            lingering_since_ms: AtomicU64::new(0),
            generation: AtomicUsize::new(0),
            generation_since_ms: AtomicU64::new(0),
            stalled: Default::default(),
        })
    }

    /// The handshake is over: now the first request is due.
    pub(super) fn await_first_request(&self) {
        let now = self.now_ms();
        self.idle_since_ms.store(now, Ordering::Relaxed);
        self.head_since_ms.store(now, Ordering::Relaxed);
    }

    /// Bytes came in.
    pub(super) fn received(&self) {
        if self.in_flight.load(Ordering::Relaxed) == 0 && self.head_since_ms.load(Ordering::Relaxed) == 0 {
            self.head_since_ms.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    /// The socket took nothing.
    pub(super) fn write_blocked(&self) {
        if self.write_blocked_since_ms.load(Ordering::Relaxed) == 0 {
            self.write_blocked_since_ms.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    /// The socket took bytes.
    pub(super) fn written(&self) {
        if self.write_blocked_since_ms.load(Ordering::Relaxed) != 0 {
            self.write_blocked_since_ms.store(0, Ordering::Relaxed);
        }
    }

    /// We have closed our side and wait for the peer's.
    pub(super) fn lingering(&self) {
        self.lingering_since_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// True from the moment that we closed our side.
    pub(super) fn lingers(&self) -> bool {
        self.lingering_since_ms.load(Ordering::Relaxed) != 0
    }

    pub(super) fn idle(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0
    }

    pub(super) fn now_ms(&self) -> u64 {
        ms(self.born.elapsed()).max(1)
    }

    /// Judges the connection at `now_ms`.
    pub(super) fn judge(&self, now_ms: u64, limits: &Deadlines) -> Verdict {
        let mut next = Next { now_ms, wait_ms: limits.write_ms };
        if next.passed(self.lingering_since_ms.load(Ordering::Relaxed), LINGER_MS_MAX) {
            return Verdict::Over;
        }
        if next.passed(self.write_blocked_since_ms.load(Ordering::Relaxed), limits.write_ms) {
            return Verdict::Cut("the peer takes no bytes");
        }
        if self.stalled_for_a_generation(now_ms, limits.write_ms) {
            return Verdict::Cut("the peer takes no answer");
        }
        if self.idle() {
            let head_ms = self.head_since_ms.load(Ordering::Relaxed);
            if !limits.multiplexed && next.passed(head_ms, limits.header_ms) {
                return Verdict::Cut("a request head did not arrive in time");
            }
            if next.passed(self.idle_since_ms.load(Ordering::Relaxed), limits.idle_ms) {
                return Verdict::End;
            }
        }
        if next.passed(1, limits.age_ms) {
            return Verdict::End;
        }
        Verdict::Fine(next.wait_ms.max(1))
    }

    /// Moves to the next generation when the write deadline has passed; true if an answer has waited for all of the last one.
    fn stalled_for_a_generation(&self, now_ms: u64, write_ms: u64) -> bool {
        if now_ms.saturating_sub(self.generation_since_ms.load(Ordering::Relaxed)) < write_ms {
            return false;
        }
        self.generation_since_ms.store(now_ms, Ordering::Relaxed);
        let ended = self.generation.fetch_add(1, Ordering::Relaxed);
        self.stalled(ended.wrapping_sub(1)).is_some_and(|count| count.load(Ordering::Relaxed) > 0)
    }

    fn stalled(&self, generation: usize) -> Option<&AtomicU32> {
        self.stalled.get(generation % GENERATIONS)
    }
}

/// One request under way: from its head to the end of its answer, or to the moment that either side gives up.
pub(super) struct InFlight {
    meter: Arc<Meter>,
    stalled_in: Option<usize>,
}

impl InFlight {
    pub(super) fn begin(meter: Arc<Meter>) -> Self {
        meter.in_flight.fetch_add(1, Ordering::Relaxed);
        meter.head_since_ms.store(0, Ordering::Relaxed);
        Self { meter, stalled_in: None }
    }

    /// True once the drain has begun.
    pub(super) fn stopping(&self) -> bool {
        self.meter.stop.begun()
    }

    /// From here on it is the peer that we wait for.
    pub(super) fn waits_for_peer(&mut self) {
        self.moves();
        let generation = self.meter.generation.load(Ordering::Relaxed);
        if let Some(count) = self.meter.stalled(generation) {
            count.fetch_add(1, Ordering::Relaxed);
            self.stalled_in = Some(generation);
        }
    }

    /// The peer took what was waiting.
    pub(super) fn moves(&mut self) {
        if let Some(count) = self.stalled_in.take().and_then(|g| self.meter.stalled(g)) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.moves();
        self.meter.idle_since_ms.store(self.meter.now_ms(), Ordering::Relaxed);
        self.meter.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The earliest moment at which anything can change.
struct Next {
    now_ms: u64,
    wait_ms: u64,
}

impl Next {
    /// True if what began at `since_ms` (0: it did not) has lasted `limit_ms`; otherwise notes when it will have.
    fn passed(&mut self, since_ms: u64, limit_ms: u64) -> bool {
        if since_ms == 0 {
            return false;
        }
        let left = limit_ms.saturating_sub(self.now_ms.saturating_sub(since_ms));
        self.wait_ms = self.wait_ms.min(left);
        left == 0
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Generations told apart: the current one, the last one, and room so that late notes do not meet early ones.
const GENERATIONS: usize = 4;
/// Time that a peer gets to read our last words and close, after we closed.
pub(super) const LINGER_MS_MAX: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Deadlines = Deadlines { header_ms: 100, idle_ms: 300, write_ms: 200, age_ms: 10_000, multiplexed: false };

    fn is_cut(v: Verdict) -> bool {
        matches!(v, Verdict::Cut(_))
    }

    #[test]
    fn a_head_has_its_deadline_and_quiet_has_another() {
        let meter = Meter::new(Drain::new(Duration::ZERO));
        assert_eq!(meter.judge(150, &LIMITS), Verdict::Fine(151));
        assert_eq!(meter.judge(301, &LIMITS), Verdict::End);
        meter.await_first_request();
        assert!(is_cut(meter.judge(110, &LIMITS)));
        assert!(!is_cut(meter.judge(110, &Deadlines { multiplexed: true, ..LIMITS })));
        let request = InFlight::begin(meter.clone());
        assert!(matches!(meter.judge(5_000, &LIMITS), Verdict::Fine(_)), "a request may take its time");
        drop(request);
        meter.received();
        assert!(is_cut(meter.judge(200, &LIMITS)), "the next head is late");
    }

    #[test]
    fn an_answer_nobody_takes_ends_the_connection_and_progress_does_not() {
        let meter = Meter::new(Drain::new(Duration::ZERO));
        let mut request = InFlight::begin(meter.clone());
        request.waits_for_peer();
        assert!(matches!(meter.judge(200, &LIMITS), Verdict::Fine(_)));
        assert!(is_cut(meter.judge(400, &LIMITS)), "waited for a whole generation");

        let meter = Meter::new(Drain::new(Duration::ZERO));
        let mut requests: Vec<_> = (0..3).map(|_| InFlight::begin(meter.clone())).collect();
        for tick in 1..20 {
            for request in &mut requests {
                request.moves();
                request.waits_for_peer();
            }
            assert!(matches!(meter.judge(tick * 200, &LIMITS), Verdict::Fine(_)), "tick {tick}");
        }
        drop(requests);
        assert!(meter.stalled.iter().all(|s| s.load(Ordering::Relaxed) == 0));
        assert!(meter.idle());
    }

    #[test]
    fn a_socket_that_takes_nothing_is_cut() {
        let meter = Meter::new(Drain::new(Duration::ZERO));
        let _request = InFlight::begin(meter.clone());
        meter.write_blocked();
        assert!(is_cut(meter.judge(250, &LIMITS)));
        meter.written();
        assert!(matches!(meter.judge(260, &LIMITS), Verdict::Fine(_)));
    }

    #[test]
    fn age_ends_a_connection_in_good_order() {
        let meter = Meter::new(Drain::new(Duration::ZERO));
        let _request = InFlight::begin(meter.clone());
        assert_eq!(meter.judge(10_001, &LIMITS), Verdict::End);
    }
}
