//! Leaves a dead upstream alone, so that calls to it fail at once and nobody waits in line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::vocab::limits::{BREAKER_FAILURES_MAX, BREAKER_PAUSE_MS_MAX};
use crate::vocab::{Fault, FaultKind};

/// Counts failures to connect and timeouts in a row; [`BREAKER_FAILURES_MAX`] of them open it. What an upstream *answers* never
/// counts, and neither does what failed while it answered something else: it is not dead, it is slow, or we are, or one of its tools
/// is. Open, it refuses for 1 s, then lets a single probe through; a failed probe doubles the pause. What is known without asking is no
/// answer.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Mirrors `State::failures` so that the healthy path takes no lock.
    failures: AtomicU32,
    /// Answers so far.
    answers: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    pause: Duration,
    open_until: Option<Instant>,
    probing: bool,
}

/// Leave to try once. Dropped without a verdict (the caller went away), it changes nothing.
#[derive(Debug)]
pub(super) struct Ticket {
    breaker: Arc<Breaker>,
    /// The answers that there were before.
    answers: u64,
    probe: bool,
}

impl Breaker {
    /// Asks for leave.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Ticket, Fault> {
        if self.failures.load(Ordering::Acquire) < BREAKER_FAILURES_MAX {
            return Ok(self.ticket(false));
        }
        let mut state = self.state.lock();
        match state.open_until {
            None => Ok(self.ticket(false)),
            Some(until) if until <= Instant::now() && !state.probing => {
                state.probing = true;
                Ok(self.ticket(true))
            }
            Some(_) => Err(left_alone()),
        }
    }

    /// As [`Self::enter`], for what asks nobody: a probe stays for those who ask.
    pub(super) fn pass(&self) -> Result<(), Fault> {
        if self.is_closed() {
            return Ok(());
        }
        let state = self.state.lock();
        match state.open_until {
            Some(until) if until > Instant::now() || state.probing => Err(left_alone()),
            _ => Ok(()),
        }
    }

    /// The upstream said something, whatever it is.
    pub(super) fn heard(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    fn ticket(self: &Arc<Self>, probe: bool) -> Ticket {
        Ticket { breaker: Arc::clone(self), answers: self.answers.load(Ordering::Relaxed), probe }
    }

    /// False while it is open.
    pub(super) fn is_closed(&self) -> bool {
        self.failures.load(Ordering::Acquire) < BREAKER_FAILURES_MAX
    }
}

fn left_alone() -> Fault {
    Fault::upstream(FaultKind::Unreachable, "failed too often lately; not tried again yet")
}

impl Ticket {
    /// Does `work`. It is an answer only if something was [heard](Breaker::heard) meanwhile: what was known before says nothing about
    /// now.
    pub(super) async fn spend<T>(self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let done = work.await;
        let heard = self.has_heard();
        match &done {
            Err(fault) if heard || matches!(fault.kind, FaultKind::Unreachable | FaultKind::Timeout) => self.settle(fault),
            Ok(_) if heard => self.succeeded(),
            _ => {}
        }
        done
    }

    /// As [`Self::spend`], where a failure does not count.
    pub(super) async fn note<T>(self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let done = work.await;
        if done.is_ok() && self.has_heard() {
            self.succeeded();
        }
        done
    }

    /// Whether the upstream said anything to anybody since: it lives, whoever asked, and if only to an older call.
    fn has_heard(&self) -> bool {
        self.answers != self.breaker.answers.load(Ordering::Relaxed)
    }

    /// The upstream answered, whatever it said.
    pub(super) fn succeeded(self) {
        self.breaker.answers.fetch_add(1, Ordering::Relaxed);
        if self.breaker.failures.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut state = self.breaker.state.lock();
        // Only the probe may close an open breaker: an answer to an older call says nothing about now.
        if state.open_until.is_none() || self.probe {
            *state = State::default();
            self.breaker.failures.store(0, Ordering::Release);
        }
    }

    /// The upstream could not be reached, or did not answer in time.
    pub(super) fn failed(self) {
        if !self.probe && self.has_heard() {
            return;
        }
        let mut state = self.breaker.state.lock();
        state.failures = state.failures.saturating_add(1);
        let reopen = self.probe || (state.open_until.is_none() && state.failures >= BREAKER_FAILURES_MAX);
        if reopen {
            let longest = Duration::from_millis(BREAKER_PAUSE_MS_MAX);
            state.pause = if state.pause.is_zero() { FIRST_PAUSE } else { (state.pause * 2).min(longest) };
            state.open_until = Some(Instant::now() + state.pause);
        }
        self.breaker.failures.store(state.failures, Ordering::Release);
    }

    /// Records `fault`, if it is of a kind that counts.
    pub(super) fn settle(self, fault: &Fault) {
        match fault.kind {
            FaultKind::Unreachable | FaultKind::Timeout => self.failed(),
            FaultKind::Exhausted
            | FaultKind::Credential
            | FaultKind::Unlinked
            | FaultKind::ShuttingDown
            | FaultKind::Internal
            | FaultKind::Audit => {}
            _ => self.succeeded(),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.state.lock().probing = false;
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn expire(breaker: &Breaker) {
        breaker.state.lock().open_until = Some(Instant::now());
    }

    fn opened() -> Arc<Breaker> {
        let breaker = Arc::new(Breaker::default());
        for _ in 0..BREAKER_FAILURES_MAX {
            assert!(breaker.is_closed());
            breaker.enter().unwrap().failed();
        }
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let breaker = Arc::new(Breaker::default());
        for _ in 0..BREAKER_FAILURES_MAX * 3 {
            breaker.enter().unwrap().failed();
            breaker.enter().unwrap().succeeded();
        }
        for kind in [FaultKind::Malformed, FaultKind::Failed, FaultKind::Unauthorized, FaultKind::TooLarge, FaultKind::Exhausted]
        {
            for _ in 0..=BREAKER_FAILURES_MAX {
                breaker.enter().unwrap().settle(&Fault::upstream(kind, ""));
            }
        }
        assert!(breaker.is_closed());
        let breaker = opened();
        assert!(!breaker.is_closed());
        assert_eq!(breaker.enter().unwrap_err().kind, FaultKind::Unreachable);
    }

    #[test]
    fn what_fails_while_something_else_is_answered_does_not_count() {
        let breaker = Arc::new(Breaker::default());
        let enter = || breaker.enter().unwrap();
        for _ in 0..3 {
            let slow: Vec<_> = (0..BREAKER_FAILURES_MAX * 2).map(|_| enter()).collect();
            enter().succeeded();
            slow.into_iter().for_each(Ticket::failed);
            assert!(breaker.is_closed());
        }
        let dead: Vec<_> = (0..BREAKER_FAILURES_MAX).map(|_| enter()).collect();
        dead.into_iter().for_each(Ticket::failed);
        assert!(!breaker.is_closed(), "nothing was answered since");
        // A probe is asked about now, whatever older calls are told meanwhile.
        expire(&breaker);
        let probe = enter();
        breaker.answers.fetch_add(1, Ordering::Relaxed);
        probe.failed();
        assert_eq!(breaker.state.lock().pause, FIRST_PAUSE * 2);
    }

    #[tokio::test]
    async fn what_was_known_is_no_answer() {
        let breaker = opened();
        assert!(breaker.pass().is_err());
        expire(&breaker);
        let probe = breaker.enter().unwrap();
        assert!(breaker.pass().is_err());
        probe.spend(std::future::ready(Ok(()))).await.unwrap();
        assert!(!breaker.is_closed() && breaker.pass().is_ok(), "nobody was asked");
        let known = Fault::upstream(FaultKind::Failed, "");
        assert!(breaker.enter().unwrap().spend(std::future::ready(Err::<(), _>(known.clone()))).await.is_err());
        assert!(!breaker.is_closed());
        // What was heard before is no answer to what is asked then.
        breaker.heard();
        breaker.enter().unwrap().spend(std::future::ready(Ok(()))).await.unwrap();
        assert!(!breaker.is_closed());
        let asked = async {
            breaker.heard();
            Err::<(), _>(known)
        };
        assert!(breaker.enter().unwrap().spend(asked).await.is_err());
        assert!(breaker.is_closed());
        // Closed, what is known leaves failures counted.
        for n in 0..BREAKER_FAILURES_MAX {
            breaker.enter().unwrap().spend(std::future::ready(Ok(()))).await.unwrap();
            assert!(breaker.is_closed(), "{n}");
            breaker.enter().unwrap().failed();
        }
        assert!(!breaker.is_closed());
    }

    #[test]
    fn half_open_lets_one_probe_through() {
        let breaker = opened();
        expire(&breaker);
        let probe = breaker.enter().unwrap();
        assert!(breaker.enter().is_err());
        drop(probe);
        let probe = breaker.enter().unwrap();
        probe.failed();
        assert!(breaker.enter().is_err());
        assert_eq!(breaker.state.lock().pause, FIRST_PAUSE * 2);
        expire(&breaker);
        breaker.enter().unwrap().succeeded();
        assert!(breaker.is_closed());
        breaker.enter().unwrap();
        breaker.enter().unwrap();
    }

    #[test]
    fn the_pause_is_bounded_and_late_answers_do_not_close() {
        let breaker = Arc::new(Breaker::default());
        let late = breaker.enter().unwrap();
        for _ in 0..BREAKER_FAILURES_MAX {
            breaker.enter().unwrap().failed();
        }
        late.succeeded();
        assert!(!breaker.is_closed());
        for _ in 0..20 {
            expire(&breaker);
            breaker.enter().unwrap().failed();
        }
        assert_eq!(breaker.state.lock().pause, Duration::from_millis(BREAKER_PAUSE_MS_MAX));
    }
}
