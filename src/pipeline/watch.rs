//! A call under way as the rest of the pipeline sees it: only through the inspector that its permit obliges to.

use futures_util::future::BoxFuture;

use super::ctx::Ctx;
use crate::inspect::{Inspected, Inspector, Members};
use crate::mcp::{LogLevel, Outgoing, RawId, RawJson, Reply};
use crate::policy::permit::Permit;
use crate::upstream::{Answer, Event, QuestionReply, Upstream};
use crate::vocab::{Fault, PrincipalKey};

/// An upstream's answer. Its events come inspected; dropped, it cancels the call and charges what came of it.
pub(super) struct Watched {
    answer: Answer,
    inspector: Inspector,
}

/// As [`Event`], inspected.
pub(super) enum Seen {
    Reply(Inspected<Reply>),
    Progress { members: Inspected<Members> },
    Log { level: LogLevel, params: Inspected<RawJson> },
    Question { id: RawId, method: String, params: Option<Inspected<RawJson>> },
}

impl Watched {
    /// Makes the call.
    ///
    /// # Errors
    /// The upstream's fault.
    pub(super) async fn call(
        ctx: &Ctx,
        upstream: &Upstream,
        mut permit: Permit,
        who: &PrincipalKey,
        outgoing: Outgoing,
    ) -> Result<Self, Fault> {
        let inspector = Inspector::of(&mut permit);
        // The shortest of what the rules grant, what the gateway grants and, below, what the upstream is given.
        let deadline = permit.deadline().map_or(ctx.deadline, |most| ctx.deadline.capped(most));
        Ok(Self { answer: upstream.call(permit, who, outgoing, deadline).await?, inspector })
    }

    /// As [`Answer::next`].
    pub(super) async fn next(&mut self) -> Option<Result<Seen, Fault>> {
        let event = match self.answer.next().await? {
            Ok(event) => event,
            Err(fault) => return Some(Err(fault)),
        };
        let inspector = &mut self.inspector;
        Some(Ok(match event {
            Event::Reply(reply) => Seen::Reply(inspector.reply(reply)),
            Event::Progress { members } => Seen::Progress { members: inspector.members(members) },
            Event::Log { level, params } => Seen::Log { level, params: inspector.params(params) },
            Event::Question { id, method, params } => {
                Seen::Question { id, method, params: params.map(|params| inspector.params(params)) }
            }
        }))
    }

    /// As [`Answer::answer`].
    pub(super) fn answer(&self, id: &RawId, reply: QuestionReply) -> BoxFuture<'static, Result<(), Fault>> {
        self.answer.answer(id, reply)
    }

    /// Ends the call: records what was replaced, measures what a tool delivered.
    pub(super) fn over(self, ctx: &Ctx) {
        let redacted = self.inspector.redacted();
        if redacted > 0 {
            ctx.note(|draft| draft.redacted = redacted);
        }
        if let Some(tool) = &ctx.asked.tool {
            ctx.gateway.metrics.delivered(tool, self.inspector.used().tokens());
        }
    }
}
