//! An answer that comes as server-sent events.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::timeout_at;

use super::Http;
use super::askable::Askable;
use super::exchange::Exchange;
use super::hear::{Heard, Hearing};
use super::housekeeping::reply_among;
use super::resume::Resume;
use super::session::Session;
use crate::mcp::sse::SseDecoder;
use crate::mcp::{Incoming, RawId, Reply};
use crate::upstream::answer::{Event, QuestionReply};
use crate::upstream::inbox::{Inbox, Meaning};
use crate::upstream::wire;
use crate::vocab::limits::SSE_EVENT_BYTES_MAX;
use crate::vocab::{Deadline, Fault, FaultKind, PrincipalKey, Revision};

/// The stream of one request. Dropped, it closes the connection; [`Cancel`] says more to upstreams to which that says nothing.
pub(in crate::upstream) struct HttpStream {
    http: Arc<Http>,
    cancel: Option<Cancel>,
    owner: Option<PrincipalKey>,
    flow: Flow,
    decoder: SseDecoder,
    queue: VecDeque<Incoming>,
    inbox: Inbox,
    revision: Revision,
    /// Bytes of what was read before it was resumed.
    bytes_before: usize,
    bytes_read: usize,
    resume: Resume,
    /// It is of a request that sets a log level.
    pub(super) sets_level: bool,
}

/// Where the messages come from.
pub(super) enum Flow {
    /// The answer has not begun. Never shared, but a call is looked at from where it could be.
    ToCome(Mutex<Hearing>),
    /// Events are read.
    Stream(Exchange),
    /// It ended, and may be resumed.
    Ended,
}

/// What is left to do of a request in a session: dropped, it cancels the request, unless that was answered.
pub(super) struct Cancel {
    http: Arc<Http>,
    pub(super) session: Arc<Session>,
    id: Option<u64>,
    /// What is asked on the stream of the session comes by this.
    pub(super) askable: Option<Arc<Askable>>,
}

impl Cancel {
    pub(super) fn new(http: &Arc<Http>, session: &Arc<Session>, id: u64, askable: Option<Arc<Askable>>) -> Self {
        Self { http: Arc::clone(http), session: Arc::clone(session), id: Some(id), askable }
    }

    /// There is nothing left to cancel.
    pub(super) fn disarm(&mut self) {
        self.id = None;
        if let Some(askable) = self.askable.take() {
            askable.over();
        }
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.http.cancel(Arc::clone(&self.session), id);
        }
    }
}

impl HttpStream {
    pub(super) fn new(
        http: &Arc<Http>,
        cancel: Option<Cancel>,
        owner: Option<PrincipalKey>,
        flow: Flow,
        inbox: Inbox,
        revision: Revision,
    ) -> Self {
        Self {
            http: Arc::clone(http),
            cancel,
            owner,
            flow,
            decoder: SseDecoder::new(http.response_bytes().min(SSE_EVENT_BYTES_MAX)),
            queue: VecDeque::new(),
            inbox,
            revision,
            bytes_before: 0,
            bytes_read: 0,
            resume: Resume::default(),
            sets_level: false,
        }
    }

    /// What came on the stream of the session before the answer began.
    pub(super) fn begin_with(&mut self, asked: Option<Incoming>) {
        self.queue.extend(asked);
    }

    pub(in crate::upstream) fn bytes_read(&self) -> usize {
        self.bytes_read
    }

    /// Sends an answer to a question; `None` once the call is over.
    pub(in crate::upstream) fn answer(
        &self,
        id: &RawId,
        reply: QuestionReply,
        deadline: Deadline,
    ) -> Option<BoxFuture<'static, Result<(), Fault>>> {
        let session = Arc::clone(&self.cancel.as_ref()?.session);
        Some(Arc::clone(&self.http).pass_on(session, id.clone(), reply, deadline).boxed())
    }

    /// The next event; the reply is the last. While somebody is asked (`asking`) the stream may be silent.
    pub(in crate::upstream) async fn next(&mut self, deadline: Deadline, asking: bool) -> Result<Event, Fault> {
        loop {
            while let Some(message) = self.queue.pop_front() {
                if let Some(event) = self.meaning(message)? {
                    return Ok(event);
                }
            }
            match self.decoder.next_event() {
                Some(event) => {
                    self.resume.note(&event);
                    if event.is_message() {
                        self.queue.extend(wire::parse(&event.data, self.revision, self.http.depth())?);
                    }
                }
                None => self.read_or_be_asked(deadline, asking).await?,
            }
        }
    }

    async fn read_or_be_asked(&mut self, deadline: Deadline, asking: bool) -> Result<(), Fault> {
        let askable = self.cancel.as_ref().and_then(|cancel| cancel.askable.clone());
        let Some(askable) = askable else { return self.read(deadline, asking).await };
        tokio::select! {
            biased;
            read = self.read(deadline, asking) => return read,
            message = askable.next() => self.queue.push_back(message?),
        }
        Ok(())
    }

    async fn read(&mut self, deadline: Deadline, asking: bool) -> Result<(), Fault> {
        let late = || Fault::upstream(FaultKind::Timeout, "the stream fell silent or took too long");
        // A timer is only looked at while there is nothing to read, so a flood would never meet it.
        if deadline.remaining().is_zero() {
            return Err(late());
        }
        let exchange = match &mut self.flow {
            Flow::Stream(exchange) => exchange,
            Flow::ToCome(hearing) => {
                let heard = timeout_at(deadline.instant().into(), hearing.get_mut()).await.map_err(|_| late())??;
                return self.came(heard);
            }
            Flow::Ended => return timeout_at(deadline.instant().into(), self.go_on()).await.map_err(|_| late())?,
        };
        let until = if asking { deadline } else { deadline.capped(self.http.settings.limits.stream_idle) };
        let chunk = timeout_at(until.instant().into(), exchange.chunk()).await.map_err(|_| late())?;
        self.bytes_read = self.bytes_before.saturating_add(exchange.bytes_read());
        match chunk {
            Ok(Some(chunk)) => self.decoder.push(&chunk).map_err(|e| Fault::upstream(FaultKind::TooLarge, e.to_string())),
            Ok(None) => {
                self.end();
                self.or_unanswered(self.inbox.unanswered())
            }
            Err(fault) if fault.kind == FaultKind::Unreachable => {
                self.flow = Flow::Ended;
                self.or_unanswered(fault)
            }
            Err(fault) => Err(fault),
        }
    }

    /// It is known what the answer is.
    fn came(&mut self, heard: Heard) -> Result<(), Fault> {
        self.flow = Flow::Ended;
        match heard {
            Heard::Stream(exchange) => self.flow = Flow::Stream(exchange),
            Heard::Messages { messages, status, bytes } => {
                self.bytes_read = bytes;
                if status.is_success() {
                    // What is over already cannot wait for an answer.
                    self.queue.extend(messages);
                    self.refuse_queued();
                } else {
                    let reply = reply_among(messages, self.inbox.id(), status)?;
                    self.queue.push_back(Incoming::Response { id: RawId::number(self.inbox.id()), reply });
                }
            }
            Heard::Refused(status) => {
                self.finish();
                return Err(Fault::upstream(FaultKind::Failed, format!("answered {}", status.as_u16())));
            }
        }
        Ok(())
    }

    /// Refuses what was asked and not read.
    fn refuse_queued(&mut self) {
        let Some(Cancel { session, .. }) = &self.cancel else { return };
        self.queue.retain(|message| match message {
            Incoming::Request { id, method, .. } => {
                self.http.reply_to(session, id, method);
                false
            }
            _ => true,
        });
    }

    /// The stream ended before the reply: a fault, unless it can be resumed.
    fn or_unanswered(&self, fault: Fault) -> Result<(), Fault> {
        if self.cancel.is_some() && self.resume.is_possible() { Ok(()) } else { Err(fault) }
    }

    /// Resumes the stream. Safe to drop and call again.
    async fn go_on(&mut self) -> Result<(), Fault> {
        let Some(cancel) = &self.cancel else { return Err(self.inbox.unanswered()) };
        let Some(exchange) = self.resume.next(&self.http, &cancel.session).await? else {
            return Err(self.inbox.unanswered());
        };
        let bytes_max = self.http.response_bytes();
        // What came is resumed behind the last whole event.
        self.decoder = SseDecoder::new(bytes_max.min(SSE_EVENT_BYTES_MAX));
        self.bytes_before = self.bytes_read;
        self.flow = Flow::Stream(exchange.limited_to(bytes_max.saturating_sub(self.bytes_before)));
        Ok(())
    }

    fn meaning(&mut self, message: Incoming) -> Result<Option<Event>, Fault> {
        let name = self.http.name();
        match self.inbox.sort(message, name, self.owner.as_ref(), &self.http.shared)? {
            Meaning::Event(event) => {
                if let Event::Reply(reply) = &event {
                    if self.sets_level && matches!(reply, Reply::Result(_)) {
                        self.http.takes_levels.store(true, Ordering::Relaxed);
                    }
                    self.finish();
                }
                Ok(Some(event))
            }
            Meaning::Question { id, method } => {
                // Without a session the upstream may not ask, and there would be nowhere to answer.
                match &self.cancel {
                    Some(cancel) => self.http.reply_to(&cancel.session, &id, &method),
                    None => self.http.shared.count_dropped(),
                }
                Ok(None)
            }
            Meaning::News(news) => {
                self.http.announce(self.cancel.as_ref().map(|cancel| &cancel.session), news);
                Ok(None)
            }
            Meaning::Nothing => Ok(None),
        }
    }

    fn finish(&mut self) {
        if let Some(cancel) = &mut self.cancel {
            cancel.disarm();
        }
        self.end();
    }

    fn end(&mut self) {
        if let Flow::Stream(exchange) = std::mem::replace(&mut self.flow, Flow::Ended) {
            exchange.finish();
        }
    }
}

impl Drop for HttpStream {
    fn drop(&mut self) {
        self.refuse_queued();
    }
}

impl fmt::Debug for HttpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpStream").field("upstream", &self.http.name()).finish_non_exhaustive()
    }
}
