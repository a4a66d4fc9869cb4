//! What sessions were sent as streams, kept for a while so that a client whose connection broke can have the rest
//! (2025-03-26 to 2025-11-25, transports, resumability).
//!
//! A stream belongs to the session and the principal that it was begun for, and is read by one connection at a time: the one
//! that came last. While nobody reads, the call goes on and what it says is kept. Everything is bounded; of a stream that
//! outgrew its bound the oldest events go first.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt as _};
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;

use super::Gateway;
use super::event_id::{EventId, StreamId};
use super::session::Session;
use crate::mcp::sse::KEEP_ALIVE;
use crate::vocab::limits::{
    JOURNAL_BYTES_MAX, JOURNAL_S_MAX, JOURNAL_STREAM_BYTES_MAX, JOURNAL_STREAM_EVENTS_MAX, JOURNAL_STREAMS_MAX,
    SESSION_STATES_MAX,
};
use crate::vocab::{PrincipalKey, Revision};

/// See the module.
pub(super) struct Journal {
    streams: Cache<StreamId, Arc<Kept>>,
    /// Streams of each session, oldest first.
    sessions: Cache<u128, Arc<Mutex<VecDeque<StreamId>>>>,
}

/// A stream that can be resumed.
struct Kept {
    id: StreamId,
    session: u128,
    owner: PrincipalKey,
    /// As in the state, for the bound of all streams.
    bytes: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    /// Where what is not kept yet comes from; `None` once it has ended.
    source: Option<BoxStream<'static, Bytes>>,
    /// Events from number `first` on, as they are sent.
    events: VecDeque<Bytes>,
    bytes: usize,
    first: u64,
    /// False once nobody can resume it any more.
    kept: bool,
    /// Who reads: whoever came before reads no more.
    turn: u64,
    waker: Option<Waker>,
}

impl State {
    /// The number of the next event.
    fn next(&self) -> u64 {
        self.first.saturating_add(self.events.len() as u64)
    }

    fn keep(&mut self, event: &Bytes) {
        self.events.push_back(event.clone());
        self.bytes = self.bytes.saturating_add(event.len());
        let over = |state: &Self| {
            !state.kept || state.bytes > JOURNAL_STREAM_BYTES_MAX || state.events.len() > JOURNAL_STREAM_EVENTS_MAX
        };
        while over(self) {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.len());
            self.first = self.first.saturating_add(1);
        }
    }

    fn forget(&mut self) {
        self.first = self.next();
        self.events = VecDeque::new();
        (self.kept, self.bytes) = (false, 0);
    }
}

/// What reading a stream brings.
enum Piece {
    /// It was kept before.
    Known(Bytes),
    /// It is new, and kept from now on.
    New(Bytes),
    /// A comment, which is not kept.
    Comment(Bytes),
}

impl Kept {
    fn poll(&self, turn: u64, at: &mut u64, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        let mut state = self.state.lock();
        if state.turn != turn {
            return Poll::Ready(None);
        }
        *at = (*at).max(state.first);
        let known = usize::try_from(at.saturating_sub(state.first)).ok().and_then(|ahead| state.events.get(ahead).cloned());
        if let Some(known) = known {
            *at = at.saturating_add(1);
            return Poll::Ready(Some(Piece::Known(known)));
        }
        let Some(source) = &mut state.source else { return Poll::Ready(None) };
        let polled = source.poll_next_unpin(cx);
        match polled {
            Poll::Pending => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Poll::Ready(Some(comment)) if comment.starts_with(b":") => Poll::Ready(Some(Piece::Comment(comment))),
            Poll::Ready(Some(event)) => {
                let id = EventId { stream: self.id, seq: state.next() };
                let event = Bytes::from(id.put_on(&event));
                state.keep(&event);
                *at = state.next();
                self.bytes.store(state.bytes, Ordering::Relaxed);
                Poll::Ready(Some(Piece::New(event)))
            }
            Poll::Ready(None) => {
                let ended = state.source.take();
                drop(state);
                drop(ended);
                Poll::Ready(None)
            }
        }
    }

    /// Reads from now on in place of whoever read before; the turn to read with. `None` if there is nothing to read.
    fn take_over(&self, wanted: impl FnOnce(&State) -> bool) -> Option<u64> {
        let mut state = self.state.lock();
        if !wanted(&state) {
            return None;
        }
        state.turn = state.turn.saturating_add(1);
        let (turn, waker) = (state.turn, state.waker.take());
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(turn)
    }

    /// The turn of whoever reads on from event `at`. `None` where nothing of it is left, nor to come.
    fn resumed(&self, at: u64) -> Option<u64> {
        self.take_over(|state| {
            let left = state.source.is_some() || at.max(state.first) < state.next();
            state.kept && at <= state.next() && left
        })
    }

    /// Nobody will read any more: what made the events ends too.
    fn abandon(&self, turn: u64) {
        let mut state = self.state.lock();
        let source = if state.turn == turn { state.source.take() } else { None };
        drop(state);
        drop(source);
    }
}

impl Journal {
    /// An empty journal.
    pub(super) fn new() -> Self {
        let idle = Duration::from_secs(JOURNAL_S_MAX);
        let weight =
            |_: &StreamId, kept: &Arc<Kept>| u32::try_from(kept.bytes.load(Ordering::Relaxed) + STREAM_BYTES).unwrap_or(u32::MAX);
        let gone = |_: Arc<StreamId>, kept: Arc<Kept>, cause: RemovalCause| {
            // Weighed anew, it is replaced by itself.
            if cause != RemovalCause::Replaced {
                kept.state.lock().forget();
            }
        };
        let streams = Cache::builder()
            .eviction_policy(EvictionPolicy::lru())
            .max_capacity(JOURNAL_BYTES_MAX)
            .weigher(weight)
            .time_to_idle(idle)
            .eviction_listener(gone)
            .build();
        let sessions =
            Cache::builder().eviction_policy(EvictionPolicy::lru()).max_capacity(SESSION_STATES_MAX).time_to_idle(idle);
        Self { streams, sessions: sessions.build() }
    }

    /// The body of a stream of `session` that `source` makes: events without ids, and comments. Read by nobody, it is read on.
    pub(super) fn begin(
        gateway: Arc<Gateway>,
        session: Session,
        owner: PrincipalKey,
        source: BoxStream<'static, Bytes>,
    ) -> BoxStream<'static, Bytes> {
        // Without randomness there is no name for it, and nothing to resume.
        let Some(id) = StreamId::mint(false) else { return source };
        let mut state =
            State { source: Some(source), events: VecDeque::new(), bytes: 0, first: 0, kept: true, turn: 0, waker: None };
        let mut greeting = None;
        if session.revision >= Revision::V2025_11_25 {
            state.keep(&EventId { stream: id, seq: 0 }.priming().into());
        } else {
            greeting = Some(Bytes::from_static(KEEP_ALIVE));
        }
        let (bytes, state) = (AtomicUsize::new(state.bytes), Mutex::new(state));
        let kept = Arc::new(Kept { id, session: session.id, owner, bytes, state });
        gateway.streams.journal.add(&kept);
        if gateway.has_forgotten(&kept.owner, session) {
            gateway.streams.journal.end(session.id);
        }
        Reader { gateway, kept, turn: 0, at: 0, greeting }.boxed()
    }

    fn add(&self, kept: &Arc<Kept>) {
        let own = self.sessions.get_with(kept.session, Arc::default);
        let mut own = own.lock();
        own.push_back(kept.id);
        let oldest = if own.len() > JOURNAL_STREAMS_MAX { own.pop_front() } else { None };
        drop(own);
        if let Some(oldest) = oldest {
            self.streams.invalidate(&oldest);
        }
        self.streams.insert(kept.id, kept.clone());
    }

    /// What comes after the event `last` of a stream of `session`, which is `owner`'s. `None` for a stream that is not theirs, or
    /// not kept any more, and for one of which nothing is left.
    pub(super) fn resume(
        gateway: &Arc<Gateway>,
        session: Session,
        owner: &PrincipalKey,
        last: EventId,
    ) -> Option<BoxStream<'static, Bytes>> {
        let kept = gateway.streams.journal.streams.get(&last.stream)?;
        if kept.session != session.id || kept.owner != *owner {
            return None;
        }
        let at = last.seq.saturating_add(1);
        let turn = kept.resumed(at)?;
        Some(Reader { gateway: gateway.clone(), kept, turn, at, greeting: Some(Bytes::from_static(KEEP_ALIVE)) }.boxed())
    }

    /// Forgets the streams of a session that has ended.
    pub(super) fn end(&self, session: u128) {
        let Some(own) = self.sessions.remove(&session) else { return };
        for id in own.lock().drain(..) {
            self.streams.invalidate(&id);
        }
    }

    fn kept_more(&self, kept: &Arc<Kept>) {
        // One that was dropped meanwhile stays dropped.
        if self.streams.contains_key(&kept.id) {
            self.streams.insert(kept.id, kept.clone());
        }
    }
}

/// What a stream counts beside its events.
const STREAM_BYTES: usize = 512;

/// The connection that reads a stream.
struct Reader {
    gateway: Arc<Gateway>,
    kept: Arc<Kept>,
    turn: u64,
    /// The number of the next event to read.
    at: u64,
    greeting: Option<Bytes>,
}

impl Reader {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Self { gateway, kept, turn, at, .. } = self;
        let Poll::Ready(piece) = kept.poll(*turn, at, cx) else { return Poll::Pending };
        Poll::Ready(piece.map(|piece| match piece {
            Piece::Known(bytes) => bytes,
            Piece::Comment(bytes) => {
                // It lives, however long nothing happens.
                gateway.streams.journal.streams.get(&kept.id);
                bytes
            }
            Piece::New(bytes) => {
                gateway.streams.journal.kept_more(kept);
                bytes
            }
        }))
    }
}

impl Stream for Reader {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.greeting.take() {
            Some(greeting) => Poll::Ready(Some(greeting)),
            None => self.poll_piece(cx),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // While a panic unwinds, what panicked may be the source.
        if std::thread::panicking() {
            return;
        }
        let Self { gateway, kept, turn, at, .. } = self;
        let Some(turn) = kept.take_over(|state| state.turn == *turn && state.source.is_some()) else { return };
        gateway.outlive(Drain { kept: kept.clone(), turn, at: *at, gateway: gateway.clone() });
    }
}

/// Reads a stream that has no connection, to its end or until it is resumed. Dropped before, it ends what makes the events.
struct Drain {
    gateway: Arc<Gateway>,
    kept: Arc<Kept>,
    turn: u64,
    at: u64,
}

impl Future for Drain {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { gateway, kept, turn, at } = &mut *self;
        loop {
            match kept.poll(*turn, at, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Ready(Some(Piece::New(_))) => gateway.streams.journal.kept_more(kept),
                Poll::Ready(Some(Piece::Comment(_))) => drop(gateway.streams.journal.streams.get(&kept.id)),
                Poll::Ready(Some(Piece::Known(_))) => {}
            }
        }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.kept.abandon(self.turn);
    }
}

#[cfg(test)]
mod tests;
