//! One line: who reads it, and where messages go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{StatusCode, Uri};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::stream::LineStream;
use crate::mcp::Lowered;
use crate::upstream::http::Http;
use crate::upstream::http::post::{Door, Replay, Sending};
use crate::upstream::http::shown::Whom;
use crate::upstream::pipe::{Pipe, Talk, dispatch};
use crate::upstream::table::Kept;
use crate::upstream::wire;
use crate::vocab::limits::LINE_CALLS_MAX;
use crate::vocab::{Deadline, Fault, FaultKind, PrincipalKey, Revision};

/// A session over HTTP+SSE. It lives as long as its stream.
pub(in crate::upstream::http) struct Line {
    talk: Talk,
    /// Weak, because the upstream keeps its lines.
    http: Weak<Http>,
    me: Weak<Self>,
    door: Door,
    who: PrincipalKey,
    account: Option<u64>,
    /// Cancelled to end it.
    stop: CancellationToken,
    /// Cancelled once it has ended.
    gone: CancellationToken,
    /// The server said that it does not know the session.
    unknown: AtomicBool,
    /// One for each message that nobody waits for: a server that takes none of them must not use up those of others.
    errands: Arc<Semaphore>,
}

impl Kept for Line {
    fn is_busy(self: &Arc<Self>) -> bool {
        self.talk.is_busy()
    }

    fn is_gone(&self) -> bool {
        self.stop.is_cancelled() || self.gone.is_cancelled()
    }
}

impl Line {
    /// Takes over a stream that said where messages go. A task of the registry reads it until it ends.
    pub(super) fn serve(
        http: &Arc<Http>,
        stream: LineStream,
        endpoint: Uri,
        owner: Option<PrincipalKey>,
        whom: Whom<'_>,
    ) -> Arc<Self> {
        let line = Arc::new_cyclic(|me| Self {
            talk: Talk::new(&http.shared, &http.settings.name, owner, Revision::NEWEST_WITH_SESSIONS, http.response_bytes()),
            http: Arc::downgrade(http),
            me: Weak::clone(me),
            door: http.door.at(endpoint),
            who: whom.who.clone(),
            account: whom.account,
            stop: http.shared.stop.child_token(),
            gone: CancellationToken::new(),
            unknown: AtomicBool::new(false),
            errands: Arc::new(Semaphore::new(LINE_CALLS_MAX)),
        });
        let reader = Arc::clone(&line);
        let depth_max = http.depth();
        let reading = async move {
            let outcome = tokio::select! {
                () = reader.stop.cancelled() => Ok(()),
                outcome = reader.read(stream, depth_max) => outcome,
            };
            reader.end(outcome.err());
        };
        http.shared.tasks.spawn_on(reading, &http.shared.handle);
        line
    }

    async fn read(&self, mut stream: LineStream, depth_max: usize) -> Result<(), Fault> {
        while let Some(text) = stream.message().await? {
            for message in wire::parse(&text, self.talk.revision(), depth_max)? {
                dispatch(self, message, text.len());
            }
        }
        Ok(())
    }

    fn end(&self, fault: Option<Fault>) {
        self.gone.cancel();
        match fault {
            Some(fault) => {
                tracing::debug!(upstream = &*self.talk.upstream, detail = fault.detail, "a session over HTTP+SSE broke");
                self.talk.calls.abandon_as(fault.kind);
            }
            None => self.talk.calls.abandon(),
        }
        self.talk.feed.end();
    }

    /// Ends it.
    pub(in crate::upstream::http) fn stop(&self) {
        self.stop.cancel();
    }

    /// True if the server does not know the session any more.
    pub(super) fn is_unknown(&self) -> bool {
        self.unknown.load(Ordering::Acquire)
    }

    async fn post(&self, message: Lowered) -> Result<(), Fault> {
        let http = self.http.upgrade().ok_or_else(|| self.lost())?;
        let whom = Whom { who: &self.who, account: self.account };
        let deadline = Deadline::after(http.settings.timeout);
        let sending = Sending::Post { message, replay: Replay::Never };
        let answered = http.send_through(&self.door, whom, sending, None, deadline).await?;
        let status = answered.status;
        answered.exchange.finish();
        if status.is_success() {
            return Ok(());
        }
        if status == StatusCode::NOT_FOUND {
            self.unknown.store(true, Ordering::Release);
            self.stop();
        }
        Err(Fault::upstream(FaultKind::Failed, format!("answered a message with {}", status.as_u16())))
    }
}

impl Pipe for Line {
    fn talk(&self) -> &Talk {
        &self.talk
    }

    fn send(&self, message: Lowered) -> BoxFuture<'_, Result<(), Fault>> {
        self.post(message).boxed()
    }

    fn send_if_room(&self, message: Lowered) {
        let (Some(me), Ok(place)) = (self.me.upgrade(), Arc::clone(&self.errands).try_acquire_owned()) else {
            return self.talk.shared.count_dropped();
        };
        self.talk.shared.errand(async move {
            let _place = place;
            let _ = me.post(message).await;
        });
    }

    fn has_ended(&self) -> bool {
        self.gone.is_cancelled()
    }

    fn lost(&self) -> Fault {
        Fault::upstream(FaultKind::Unreachable, "its stream has ended")
    }
}
