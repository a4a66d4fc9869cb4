//! What the stages of one request share.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;

use super::Gateway;
use super::cancel::Registered;
use super::consult;
use super::line::Line;
use super::link::Resumed;
use super::memory::Memory;
use super::refusal::Refusal;
use super::resumable::Turning;
use super::session::Session;
use super::standing;
use super::task::Tasks;
use super::world::{Route, World};
use crate::approval::{RequestId, Spent};
use crate::audit::{AuditHandle, DecisionNote, Draft, Kind, OutcomeNote, Status};
use crate::catalog::Access;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::{Method, RawId};
use crate::policy::{Moment, Subject};
use crate::telemetry::metrics::Tool;
use crate::telemetry::trace::{self, Parent, TraceContext, Trust};
use crate::vocab::{Deadline, Denial, Fault, FaultKind, Principal, Reason, RecordId, Revision};

/// One message on its way. Made before anything can fail; its audit handle sends the record on every exit.
pub(super) struct Ctx {
    /// Everything that outlives a request.
    pub gateway: Arc<Gateway>,
    /// What the connection's last request found out.
    pub memory: Arc<Memory>,
    /// What this request is judged by, from its first byte to its last.
    pub world: Arc<World>,
    /// The record's id.
    pub id: RecordId,
    /// When it started.
    pub started: Instant,
    /// When its answer is no longer wanted.
    pub deadline: Deadline,
    /// The record being made.
    pub audit: AuditHandle,
    /// Its place in a trace.
    pub trace: TraceContext,
    /// The trace that the header names, until it is known whose word that is.
    pub(super) offered: Option<Parent>,
    /// Known once the path was recognised.
    pub route: Option<Arc<Route>>,
    /// Known once the credential was verified.
    pub principal: Option<Arc<Principal>>,
    /// Known once the message was read.
    pub asked: Asked,
    /// The client takes an event stream as an answer.
    pub streams: bool,
    /// How a legacy client cancels this call.
    pub cancel: Option<Registered>,
    /// The approval that the call used up, which its next round goes on by.
    pub(super) spent: Option<Spent>,
    /// The number of this round, where it goes on with a call that was approved.
    pub(super) sequel: Option<u128>,
    /// Told when the call leaves for its upstream, where somebody waits for that.
    pub(super) turning: Option<Arc<Turning>>,
}

/// What is known of the message; decides the shape of refusals.
#[derive(Clone, Default)]
pub(super) struct Asked {
    /// The JSON-RPC id to answer to.
    pub id: Option<RawId>,
    /// The method.
    pub method: Option<Method>,
    /// The revision spoken.
    pub revision: Option<Revision>,
    /// The legacy session.
    pub session: Option<Session>,
    /// The line of HTTP+SSE that the message came by.
    pub(super) line: Option<Line>,
    /// A tool that the catalog has, for metrics.
    pub tool: Option<Arc<Tool>>,
    /// What the client says that it can be asked: in the request (2026-07-28), or when its session was opened.
    pub(super) caps: ClientCaps,
    /// What of it the upstream of this operation may ask.
    pub(super) granted: ClientCaps,
    /// How often a person was sent to a page for this call before.
    pub(super) visits: u8,
    /// The URI of a resource, for errors that name it.
    pub uri: Option<String>,
    /// The upstream's tools were read anew because it missed headers.
    pub(super) relisted: bool,
    /// The upstream that the request leads to, once policy was asked about it.
    pub upstream: Option<Arc<str>>,
    /// What it has to do with tasks.
    pub(super) tasks: Tasks,
    /// What our own question came back with, in a retry.
    pub(super) resumed: Option<Resumed>,
    /// The same of our question about an approval.
    pub(super) consulted: Option<consult::Resumed>,
    /// The request for approval that it was held for until people decided, which it is once.
    pub(super) held: Option<RequestId>,
}

impl Ctx {
    /// Starts a request with the record `audit`.
    pub(super) fn start(gateway: Arc<Gateway>, memory: Arc<Memory>, audit: AuditHandle, headers: &HeaderMap) -> Self {
        let mut ctx = Self::with_trace(gateway, memory, audit, TraceContext::new());
        ctx.offered = trace::offered(headers);
        ctx.begin_trace();
        if ctx.world.trust == Trust::All {
            ctx.trust_header();
        }
        ctx
    }

    /// What is left of a request that was cancelled or panicked: its record, as far as it was made.
    pub(super) fn after(gateway: Arc<Gateway>, audit: AuditHandle) -> Self {
        Self::with_trace(gateway, Arc::default(), audit, TraceContext::new())
    }

    /// A request that is made later than it was asked for, on behalf of the same caller, with a record of its own.
    pub(super) fn later(
        gateway: Arc<Gateway>,
        audit: AuditHandle,
        trace: TraceContext,
        (route, principal): (Arc<Route>, Arc<Principal>),
        asked: Asked,
    ) -> Self {
        audit.with(|draft| {
            draft.key.clone_from(&principal.key_id);
            draft.principal = Some(principal.clone());
            draft.route = Some(route.path.clone());
        });
        let mut ctx = Self::with_trace(gateway, Arc::default(), audit, trace.child());
        ctx.begin_trace();
        Self { route: Some(route), principal: Some(principal), asked, ..ctx }
    }

    fn with_trace(gateway: Arc<Gateway>, memory: Arc<Memory>, audit: AuditHandle, trace: TraceContext) -> Self {
        let world = gateway.world.load_full();
        let (id, started) = audit.with(|draft| (draft.id(), draft.started()));
        let deadline = Deadline::of(started, world.bounds.call_timeout);
        Self {
            gateway,
            memory,
            world,
            id,
            started,
            deadline,
            audit,
            trace,
            offered: None,
            route: None,
            principal: None,
            asked: Asked::default(),
            streams: false,
            cancel: None,
            spent: None,
            sequel: None,
            turning: None,
        }
    }

    /// The same request with another record: one entry of a batch.
    pub(super) fn entry(&self, audit: AuditHandle) -> Self {
        // The first entry has the record of the whole, and with it its span.
        let (id, first) = audit.with(|draft| {
            draft.principal.clone_from(&self.principal);
            draft.route = self.route.as_ref().map(|route| route.path.clone());
            (draft.id(), draft.trace_id.is_some())
        });
        let mut ctx = Self {
            gateway: self.gateway.clone(),
            memory: self.memory.clone(),
            world: self.world.clone(),
            id,
            started: Instant::now(),
            deadline: self.deadline,
            audit,
            trace: if first { self.trace.clone() } else { self.trace.sibling() },
            offered: None,
            route: self.route.clone(),
            principal: self.principal.clone(),
            asked: Asked { session: self.asked.session, ..Asked::default() },
            // An entry's answer is one element of an array: nothing can be streamed.
            streams: false,
            cancel: None,
            spent: None,
            sequel: None,
            turning: None,
        };
        if !first {
            ctx.begin_trace();
        }
        ctx
    }

    /// The same request once more, for what is found out beside it until `deadline`.
    pub(super) fn beside(&self, deadline: Deadline) -> Self {
        Self {
            gateway: self.gateway.clone(),
            memory: self.memory.clone(),
            world: self.world.clone(),
            id: self.id,
            started: self.started,
            deadline,
            audit: self.audit.clone(),
            trace: self.trace.clone(),
            offered: None,
            route: self.route.clone(),
            principal: self.principal.clone(),
            asked: self.asked.clone(),
            streams: self.streams,
            cancel: None,
            spent: None,
            sequel: None,
            turning: None,
        }
    }

    /// Changes the record.
    pub(super) fn note(&self, change: impl FnOnce(&mut Draft)) {
        self.audit.with(change);
    }

    /// Records who is asking.
    pub(super) fn known(&self, principal: &Arc<Principal>) {
        self.note(|draft| {
            draft.key.clone_from(&principal.key_id);
            draft.principal = Some(principal.clone());
        });
    }

    /// Judges what follows by the rules in force now: a request of the gateway's own, on behalf of the same caller.
    ///
    /// # Errors
    /// A denial when the caller or the route is not welcome any more.
    pub(super) fn renew(&mut self) -> Result<(), Refusal> {
        let world = self.gateway.world.load_full();
        let principal = self.principal()?;
        if standing::has_ended(&world, principal) || world.identity.standing(principal).is_err() {
            return Err(Denial::new(Reason::Unauthenticated).into());
        }
        let route = world.routes.get(&*self.route()?.path).cloned();
        self.route = Some(route.ok_or_else(|| Denial::new(Reason::UnknownName))?);
        self.world = world;
        Ok(())
    }

    /// Records how it ended.
    pub(super) fn ended(&self, status: Status, reason: Reason) {
        self.note(|draft| draft.outcome = Some(OutcomeNote::new(status, reason)));
    }

    /// Records that it was done. What the gateway answers for itself needs no rule; that it may is the decision on record.
    pub(super) fn completed(&self) {
        self.ended(Status::Completed, Reason::Allowed);
        if self.principal.is_some() {
            self.decided(true, Reason::Allowed);
        }
    }

    /// Records a decision that no rule made, unless one is on record.
    pub(super) fn decided(&self, allowed: bool, reason: Reason) {
        let policy = self.world.policy.digest().clone();
        self.note(|draft| {
            let (rules, obligations) = Default::default();
            let note = || DecisionNote { allowed, observed: false, reason, rules, obligations, policy, shadow: None };
            draft.decision.get_or_insert_with(note);
        });
    }

    /// Records what the message is about.
    pub(super) fn about(&self, kind: Kind) {
        self.note(|draft| draft.kind = kind);
    }

    /// The route.
    ///
    /// # Errors
    /// Our own fault: a stage ran before the one that finds the route.
    pub(super) fn route(&self) -> Result<&Arc<Route>, Refusal> {
        self.route.as_ref().ok_or_else(|| out_of_order("no route"))
    }

    /// The principal.
    ///
    /// # Errors
    /// Our own fault: a stage ran before authentication.
    pub(super) fn principal(&self) -> Result<&Arc<Principal>, Refusal> {
        self.principal.as_ref().ok_or_else(|| out_of_order("no principal"))
    }

    /// The right to read lists on the principal's behalf.
    ///
    /// # Errors
    /// As [`Self::principal`].
    pub(super) fn access(&self) -> Result<Access, Refusal> {
        let subject = self.memory.subject(&self.world, self.principal()?);
        self.access_at(subject, self.moment_of_record())
    }

    /// As [`Self::access`], for what happens long after the request came: by the hour that it is now.
    ///
    /// # Errors
    /// As [`Self::principal`].
    pub(super) fn access_now(&self) -> Result<Access, Refusal> {
        let subject = self.world.subjects.of(&self.world.policy, self.principal()?);
        self.access_at(subject, self.moment_now())
    }

    fn access_at(&self, subject: Arc<Subject>, moment: Moment<'_>) -> Result<Access, Refusal> {
        let (route, principal) = (self.route()?.path.clone(), self.principal()?.clone());
        let (policy, observe) = (self.world.policy.clone(), self.world.observe);
        Ok(Access { policy, principal, subject, observe, route, now_unix_ms: moment.now_unix_ms })
    }

    /// Now, on the route by which the request came.
    pub(super) fn moment_now(&self) -> Moment<'_> {
        let now_unix_ms = i64::try_from(self.gateway.clock.unix_ms()).unwrap_or(0);
        Moment { now_unix_ms, ..self.moment_of_record() }
    }

    /// When and where the request asks, for conditions of rules. All of a request is judged at the time that is on record: whoever
    /// reads the record can tell what every decision saw. What was held while people decided is judged anew, as late as it is then.
    pub(super) fn moment_of_record(&self) -> Moment<'_> {
        let arrived = self.audit.with(|draft| draft.unix_ms());
        let unix_ms = if self.asked.held.is_some() { self.gateway.clock.unix_ms() } else { arrived };
        let route = self.route.as_ref().map_or("", |route| &*route.path);
        Moment { now_unix_ms: i64::try_from(unix_ms).unwrap_or(0), route }
    }
}

fn out_of_order(what: &str) -> Refusal {
    Refusal::Failed(Fault::internal(FaultKind::Internal, format!("stage out of order: {what}")))
}
