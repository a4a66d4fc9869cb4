//! The trace of the request that this thread works on, for lines of the log.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

thread_local! {
    static CURRENT: Cell<Option<[u8; 16]>> = const { Cell::new(None) };
}

/// The trace id that goes with a line written now.
pub fn trace_id() -> Option<[u8; 16]> {
    CURRENT.get()
}

/// From now until the future that is being polled returns, lines belong to this trace.
pub fn enter(trace_id: [u8; 16]) {
    CURRENT.set(Some(trace_id));
}

pin_project! {
    /// A future that remembers its trace from poll to poll.
    pub struct Traced<F> {
        #[pin]
        work: F,
        trace_id: Option<[u8; 16]>,
    }
}

impl<F> Traced<F> {
    /// Lines that `work` writes belong to `trace_id`, or to what it [`enter`]s.
    pub fn new(work: F, trace_id: Option<[u8; 16]>) -> Self {
        Self { work, trace_id }
    }
}

impl<F: Future> Future for Traced<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _outer = within(*this.trace_id);
        let polled = this.work.poll(cx);
        *this.trace_id = CURRENT.get();
        polled
    }
}

/// Lines written until the value is dropped belong to `trace_id`.
pub fn within(trace_id: Option<[u8; 16]>) -> Within {
    Within(CURRENT.replace(trace_id))
}

/// Puts back what was before, also while a panic unwinds.
#[must_use]
pub struct Within(Option<[u8; 16]>);

impl Drop for Within {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_trace_is_its_futures_own() {
        let one = Traced::new(
            async {
                enter([2; 16]);
                tokio::task::yield_now().await;
                trace_id()
            },
            Some([1; 16]),
        );
        let other = Traced::new(
            async {
                tokio::task::yield_now().await;
                trace_id()
            },
            None,
        );
        assert_eq!(tokio::join!(one, other), (Some([2; 16]), None));
        assert_eq!(trace_id(), None);
    }
}
