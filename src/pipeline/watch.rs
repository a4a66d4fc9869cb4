//! A call under way as the rest of the pipeline sees it: only through the inspector that its permit obliges to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::ctx::Ctx;
use super::interview::Interview;
use super::polled::{Polled, Turn};
use super::refusal::Refusal;
use super::route::Target;
use super::task::Tasks;
use crate::inspect::{Inspected, Inspector, Members};
use crate::mcp::{LogLevel, Outgoing, RawId, RawJson, Reply};
use crate::policy::permit::Permit;
use crate::upstream::{Answer, Event, QuestionReply, Upstream};
use crate::vocab::limits::CALL_QUESTIONS_MAX;
use crate::vocab::{Deadline, Fault, PrincipalKey, RecordId, Revision};

/// An upstream's answer. Its events come inspected; dropped, it cancels the call and charges what came of it.
pub(super) struct Watched {
    line: Line,
    inspector: Inspector,
}

/// A call that nobody may do anything with until there is a permit for it again. What is heard of it is kept unseen.
pub(super) struct Resting(Line);

/// As [`Event`], inspected.
pub(super) enum Seen {
    Reply(Inspected<Reply>),
    Progress { members: Inspected<Members> },
    Log { level: LogLevel, params: Inspected<RawJson> },
    Question(Asked),
}

/// A question of an upstream.
pub(super) struct Asked {
    /// Its own id for it.
    pub(super) id: RawId,
    pub(super) method: String,
    pub(super) params: Option<Inspected<RawJson>>,
}

/// A call that may be made, and has not been yet.
pub(super) struct Calling {
    upstream: Arc<Upstream>,
    permit: Permit,
    who: PrincipalKey,
    outgoing: Box<Outgoing>,
    deadline: Deadline,
    polled: Option<Box<Polled>>,
    record: RecordId,
}

impl Calling {
    /// Makes the call.
    ///
    /// # Errors
    /// The upstream's fault.
    pub(super) async fn made(self) -> Result<Watched, Fault> {
        let Self { upstream, mut permit, who, outgoing, deadline, polled, record } = self;
        let inspector = inspector(&mut permit);
        let answer = upstream.call(permit, &who, &outgoing, deadline).await?;
        let source = Source { answer, polled };
        Ok(Watched { line: Line { source, early: VecDeque::new(), sending: None, record }, inspector })
    }
}

impl Watched {
    /// A call that is about to be made.
    ///
    /// # Errors
    /// As [`Ctx::principal`].
    pub(super) fn call(ctx: &Ctx, target: &Target, permit: Permit, outgoing: Box<Outgoing>) -> Result<Calling, Refusal> {
        let (who, upstream) = (ctx.principal()?.key(), target.view.upstream().clone());
        // The shortest of what the rules grant, what the gateway grants and, below, what the upstream is given.
        let deadline = permit.deadline().map_or(ctx.deadline, |most| ctx.deadline.capped(most));
        let record = ctx.id;
        ctx.spans(|spans| spans.call(&upstream.settings().name));
        let polled = match ctx.asked.tasks {
            Tasks::Awaited(form) => Some(Box::new(Polled::new(ctx, target, form, outgoing.session_capabilities, deadline)?)),
            _ => None,
        };
        Ok(Calling { upstream, permit, who, outgoing, deadline, polled, record })
    }

    /// As [`Answer::next`], while answers to questions are on their way. Safe to drop and call again.
    pub(super) async fn next(&mut self) -> Option<Result<Seen, Fault>> {
        let event = match self.line.next().await? {
            Ok(event) => event,
            Err(fault) => return Some(Err(fault)),
        };
        let inspector = &mut self.inspector;
        Some(Ok(match event {
            Event::Reply(reply) => Seen::Reply(inspector.reply(reply)),
            Event::Progress { members } => Seen::Progress { members: inspector.members(members) },
            Event::Log { level, params } => Seen::Log { level, params: inspector.params(params) },
            Event::Question { id, method, params } => {
                Seen::Question(Asked { id, method, params: params.map(|params| inspector.params(params)) })
            }
        }))
    }

    /// The revision that the upstream was spoken to in.
    pub(super) fn revision(&self) -> Revision {
        self.line.source.answer.revision
    }

    /// As [`Answer::answer`]; sent by [`Self::next`]. An upstream that does not take it still has its call: what it makes of that
    /// is its own business.
    pub(super) fn answer(&mut self, id: &RawId, reply: QuestionReply) {
        let sent = self.line.source.answer.answer(id, reply);
        self.line.sending.get_or_insert_default().push(sent);
    }

    /// As [`Answer::longest_question`].
    pub(super) fn longest_question(&mut self) -> Duration {
        match self.line.source.interview() {
            Some(interview) => interview.longest_question(),
            None => self.line.source.answer.longest_question(),
        }
    }

    /// Whether it is the task that is waited for which asks, rather than the call.
    pub(super) fn is_task(&self) -> bool {
        self.line.source.polled.as_ref().is_some_and(|polled| polled.is_waiting())
    }

    /// Whether the question `id` is one of the task that is waited for.
    pub(super) fn is_of_task(&mut self, id: &RawId) -> bool {
        self.line.source.interview().is_some_and(|interview| interview.has(id))
    }

    /// As [`Interview::answered`].
    ///
    /// # Errors
    /// The same.
    pub(super) fn task_answered(&mut self, id: &RawId, reply: QuestionReply) -> Result<bool, Refusal> {
        self.line.source.interview().map_or(Ok(false), |interview| interview.answered(id, reply))
    }

    /// Tells the task what was answered, under `permit`.
    pub(super) fn task_goes_on(&mut self, permit: Permit) {
        if let Some(polled) = &mut self.line.source.polled {
            polled.go_on(permit);
        }
    }

    /// Ends the call: records what was replaced, measures what a tool delivered.
    pub(super) fn over(self, ctx: &Ctx) {
        self.charge(ctx);
    }

    /// Leaves the call to itself. What it holds is given back, and what came of it is charged.
    pub(super) fn rest(self, ctx: &Ctx) -> Resting {
        let mut line = self.charge(ctx);
        line.source.holder().rest();
        Resting(line)
    }

    fn charge(self, ctx: &Ctx) -> Line {
        ctx.spans(|spans| spans.called(""));
        let Self { line, inspector } = self;
        let redacted = inspector.redacted();
        if redacted > 0 {
            ctx.note(|draft| draft.redacted = draft.redacted.saturating_add(redacted));
        }
        if let Some(tool) = &ctx.asked.tool {
            ctx.gateway.metrics.delivered(tool, inspector.used().tokens());
        }
        line
    }
}

impl Resting {
    /// Reads on, and returns once nothing can come of the call any more: its upstream broke it off. Questions and the answer are
    /// kept; what was said on the way is not, for nobody listens. Safe to drop and call again.
    pub(super) async fn over(&mut self) {
        let Self(line) = self;
        loop {
            // An answer is the last there is to hear, and too many questions are not listened to.
            if line.early.len() >= CALL_QUESTIONS_MAX || line.early.iter().any(|event| matches!(event, Event::Reply(_))) {
                return line.send().await;
            }
            match line.hear().await {
                Some(Ok(event @ (Event::Reply(_) | Event::Question { .. }))) => line.early.push_back(event),
                Some(Ok(Event::Progress { .. } | Event::Log { .. })) => {}
                Some(Err(_)) | None => return,
            }
        }
    }

    /// Goes on under `permit`. `again` are questions that stay open.
    ///
    /// # Errors
    /// A [`Fault`] when the permit is for another operation.
    pub(super) fn wake(self, ctx: &Ctx, mut permit: Permit, again: Vec<Event>) -> Result<Watched, Fault> {
        let Self(mut line) = self;
        let inspector = inspector(&mut permit);
        line.source.holder().renew(permit)?;
        line.record = ctx.id;
        again.into_iter().rev().for_each(|event| line.early.push_front(event));
        Ok(Watched { line, inspector })
    }
}

/// A call and what is on its way to it.
struct Line {
    source: Source,
    /// Heard while the call rested.
    early: VecDeque<Event>,
    /// Answers to questions. There where there was a question.
    sending: Option<FuturesUnordered<BoxFuture<'static, Result<(), Fault>>>>,
    record: RecordId,
}

impl Line {
    async fn next(&mut self) -> Option<Result<Event, Fault>> {
        match self.early.pop_front() {
            Some(event) => Some(Ok(event)),
            None => self.hear().await,
        }
    }

    async fn hear(&mut self) -> Option<Result<Event, Fault>> {
        let Self { source, sending: Some(sending), record, .. } = self else { return self.source.next().await };
        loop {
            tokio::select! {
                event = source.next() => return event,
                Some(sent) = sending.next() => note(*record, sent),
            }
        }
    }

    /// Sends what is on its way, and never returns.
    async fn send(&mut self) {
        if let Some(sending) = &mut self.sending {
            while let Some(sent) = sending.next().await {
                note(self.record, sent);
            }
        }
        std::future::pending().await
    }
}

/// Where the events of a call come from.
struct Source {
    answer: Answer,
    /// Where the call may come back as a task that the client knows nothing of.
    polled: Option<Box<Polled>>,
}

impl Source {
    /// The next event of the upstream's answer, or of what is waited for in its place. Safe to drop and call again.
    async fn next(&mut self) -> Option<Result<Event, Fault>> {
        loop {
            let Some(polled) = &mut self.polled else { return self.answer.next().await };
            let heard = if polled.is_waiting() {
                match polled.turn().await {
                    Ok(Turn::Still) => continue,
                    Ok(Turn::Progress(members)) => Ok(Event::Progress { members }),
                    Ok(Turn::Asks(question)) => Ok(question),
                    Ok(Turn::Over(reply)) => Ok(Event::Reply(reply)),
                    Ok(Turn::Listen(answer)) => {
                        polled.keep(std::mem::replace(&mut self.answer, *answer));
                        continue;
                    }
                    Err(fault) => Err(fault),
                }
            } else {
                match self.answer.next().await? {
                    Ok(Event::Reply(reply)) => match polled.take(reply) {
                        Ok(Some(reply)) => Ok(Event::Reply(reply)),
                        Ok(None) => continue,
                        Err(fault) => Err(fault),
                    },
                    Ok(event) => {
                        if matches!(event, Event::Progress { .. }) {
                            polled.progressed();
                        }
                        Ok(event)
                    }
                    Err(fault) => Err(fault),
                }
            };
            return Some(heard);
        }
    }

    fn interview(&mut self) -> Option<&mut Interview> {
        self.polled.as_mut().and_then(|polled| polled.interview())
    }

    /// Who holds the permit of the call.
    fn holder(&mut self) -> &mut Answer {
        self.polled.as_mut().and_then(|polled| polled.made()).unwrap_or(&mut self.answer)
    }
}

fn note(record: RecordId, sent: Result<(), Fault>) {
    if let Err(fault) = sent {
        tracing::warn!(%record, detail = %fault.detail, "the upstream did not take an answer to its question");
    }
}

/// The one place where an inspector is made.
fn inspector(permit: &mut Permit) -> Inspector {
    Inspector::of(permit)
}
