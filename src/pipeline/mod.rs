//! A request's life, in order. This file is the order; each stage has a file of its own.

mod admit;
mod approve;
mod arriving;
mod authorize;
mod batch;
mod body;
mod cancel;
mod carry;
mod completion;
mod confirm;
mod consult;
mod ctx;
mod decode;
mod deferred;
mod errand;
mod event_id;
mod expected;
mod followed;
mod forward;
mod handshake;
mod hold;
mod interview;
mod journal;
mod leg;
mod line;
mod link;
mod listen;
mod lists;
mod memory;
mod merged;
mod ongoing;
mod operate;
mod outlet;
mod pages;
mod parked;
mod polled;
mod push;
mod question;
mod refusal;
mod reply;
mod rescue;
mod results;
mod resumable;
mod rounds;
mod route;
mod sequel;
mod session;
mod shares;
mod standing;
mod stream;
mod streams;
mod subscribed;
mod task;
mod task_id;
mod traced;
mod visit;
mod waiting;
mod watch;
mod world;

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use arriving::Arrivals;
pub use body::ReplyBody;
pub(crate) use confirm::PAGES_PATH as CONFIRM_PATH;
pub use hold::Holds;
pub use memory::Memory;
pub use pages::page_outcome;
pub use parked::ParkedCalls;
pub use sequel::Sequels;
pub use session::Sessions;
pub use streams::Streams;
pub use waiting::Deferred;
pub use world::{Approvals, Bounds, Route, Subjects, World};

use crate::approval;
use crate::audit::{Audit, AuditHandle};
use crate::catalog::Catalog;
use crate::connect::Desk;
use crate::identity;
use crate::limit::Limiter;
use crate::mcp::dialect::ServerInfo;
use crate::mcp::headers::McpHeaders;
use crate::net::drain::Drain;
use crate::seal::Sealer;
use crate::telemetry::current::Traced;
use crate::telemetry::export::Tracer;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::spans::Stage;
use crate::vocab::{Clock, Fault, FaultKind, PeerCertificate, Principal, Resource};
use admit::{Admitted, admit};
use cancel::{Cancels, InFlight};
use carry::Questions;
use ctx::Ctx;
use decode::Asking;
use refusal::Refusal;
use reply::Answered;
use rescue::rescue;

/// Everything that outlives a request, shared by all connections.
pub struct Gateway {
    /// Config, policy and keys in force.
    pub world: ArcSwap<World>,
    /// Told after [`Self::world`] was replaced.
    pub revised: tokio::sync::watch::Sender<()>,
    /// Where records go.
    pub audit: Arc<Audit>,
    /// Rate and concurrency limits.
    pub limiter: Limiter,
    /// What upstreams offer.
    pub catalog: Arc<Catalog>,
    /// Legacy sessions.
    pub sessions: Sessions,
    /// Seals what clients carry.
    pub sealer: Arc<Sealer>,
    /// Accounts that people link at upstreams; there where an upstream wants one.
    pub desk: Option<Arc<Desk>>,
    /// Where calls are approved.
    pub approvals: approval::Desk,
    /// Where traces go, if anywhere.
    pub tracer: Option<Arc<Tracer>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Wall-clock time.
    pub clock: Clock,
    /// Work that outlives its connection.
    pub tasks: TaskTracker,
    /// Ends the calls among [`Self::tasks`] that a stop can wait for no longer.
    pub cut: CancellationToken,
    /// Set while stopping.
    pub drain: Drain,
    /// The gateway's own name and version.
    pub server: ServerInfo,
    /// Legacy calls under way.
    pub cancels: Cancels,
    /// Questions of upstreams that wait for a client.
    pub questions: Questions,
    /// Calls that wait for a client's answers to such questions.
    pub parked: ParkedCalls,
    /// Calls that wait for approval as tasks.
    pub deferred: Deferred,
    /// Calls that are held until they are approved.
    pub holds: Holds,
    /// Approved calls whose servers asked something back.
    pub sequels: Sequels,
    /// Streams to clients, and what they need to know of each other.
    pub streams: Streams,
    /// Requests that are waited for before they are under way.
    pub arrivals: Arrivals,
    /// Requests under way.
    pub in_flight: Arc<AtomicUsize>,
}

impl Gateway {
    /// Handles one request of the connection that `memory` belongs to. Never fails: every exit is an answer and a record.
    ///
    /// The recorder is armed before anything can fail, and before the future is first polled: a client that is gone by then
    /// still has its record. Without room for a record there is no request.
    pub fn handle(self: Arc<Self>, memory: &Arc<Memory>, request: Request<Incoming>) -> BoxFuture<'static, Response<ReplyBody>> {
        let armed = self.audit.reserve().map(|slot| {
            let audit = slot.into_handle();
            // Boxed: it goes by value from stage to stage, and each would hold it twice.
            let ctx = Box::new(Ctx::start(self.clone(), memory.clone(), audit.clone(), request.headers()));
            (audit, ctx)
        });
        // Boxed here: hyper keeps room for an answer's future for as long as a connection lasts, and moves it several times.
        let trace_id = armed.as_ref().ok().map(|(_, ctx)| ctx.trace.trace_id);
        let handling = async move {
            let Ok((audit, ctx)) = armed else { return self.shed() };
            let (parts, body) = request.into_parts();
            // A listed origin may read the answer, whatever it is; nobody else may.
            let listed = |origin: &&HeaderValue| origin.to_str().is_ok_and(|origin| ctx.world.head.lists_origin(origin));
            let origin = parts.headers.get(header::ORIGIN).filter(listed).cloned();
            // A panic is one request's end, not the process's.
            let response = match AssertUnwindSafe(line(ctx, parts, body)).catch_unwind().await {
                Ok(response) => response,
                Err(_) => self.panicked(&audit),
            };
            allow_origin(response, origin)
        };
        Box::pin(Traced::new(handling, trace_id))
    }

    /// 503 before anything was read: there is no room for the record.
    fn shed(&self) -> Response<ReplyBody> {
        self.metrics.shed("audit_queue_full");
        let mut response = Response::new(ReplyBody::whole(bytes::Bytes::new(), None));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        reply::dress(response.headers_mut(), None);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }

    fn panicked(self: Arc<Self>, audit: &AuditHandle) -> Response<ReplyBody> {
        tracing::error!("a request handler panicked");
        let ctx = Ctx::after(self, audit.clone());
        let fault = Fault::internal(FaultKind::Internal, "panic");
        rescue(&ctx, fault.into()).closing().respond(&ctx)
    }
}

/// The line. Whatever a stage refuses, `rescue` answers.
async fn line(mut ctx: Box<Ctx>, parts: Parts, body: Incoming) -> Response<ReplyBody> {
    match front(&mut ctx, &parts, body).await {
        Ok(Front::Answered(answered)) => answered.respond(&ctx),
        Ok(Front::Asking(asking, headers, in_flight)) => work(ctx, asking, &headers, in_flight).await,
        Ok(Front::Listening) => Box::pin(push::open(*ctx, &parts.headers)).await,
        Err(refusal) => {
            // Whoever was not let in is not trusted.
            ctx.trust_header();
            rescue(&ctx, refusal).respond(&ctx)
        }
    }
}

enum Front<'a> {
    Answered(Answered),
    /// The session and its stream are looked for; that takes no place among the requests under way.
    Listening,
    Asking(Asking, McpHeaders<'a>, InFlight),
}

/// Everything that is decided before it is known what is asked.
async fn front<'a>(ctx: &mut Ctx, parts: &'a Parts, body: Incoming) -> Result<Front<'a>, Refusal> {
    // Host, origin, path, method, media type: cheap, and before anything is believed.
    let admitted = admit(ctx, parts)?;
    if let Admitted::Page(server) = &admitted {
        InFlight::look(ctx)?;
        return Ok(Front::Answered(Box::pin(pages::answer(ctx, server, parts, body)).await?));
    }
    let (Admitted::Message(route) | Admitted::Stream(route) | Admitted::End(route)) = &admitted else {
        let Admitted::Answered(answered) = admitted else { return Err(unreachable_state()) };
        ctx.completed();
        return Ok(Front::Answered(answered));
    };
    ctx.route = Some(route.clone());
    ctx.note(|draft| draft.route = Some(route.path.clone()));
    // Work is turned away when too much is under way. While stopping it is not: the door closes connections one by one.
    InFlight::look(ctx)?;
    // Every request is authenticated, sessions are not authentication.
    ctx.mark(Stage::Authenticate);
    let principal = authenticate(ctx, parts, route).await?;
    if standing::has_ended(&ctx.world, &principal) {
        return Err(identity::Refusal::Invalid { private: "the token was revoked" }.into());
    }
    ctx.known(&principal);
    ctx.principal = Some(principal);
    ctx.trust_header();
    match admitted {
        Admitted::End(_) => return Ok(Front::Answered(operate::end_session(ctx, &parts.headers)?)),
        Admitted::Stream(_) => return Ok(Front::Listening),
        _ => {}
    }
    // Only now is the body read, within bounds, once, strictly. A place is taken once all of it is here.
    ctx.mark(Stage::Decode);
    let message = arriving::message(ctx, body).await?;
    let in_flight = InFlight::enter(ctx)?;
    let (asking, headers) = decode::read(ctx, parts, &message)?;
    Ok(Front::Asking(asking, headers, in_flight))
}

/// Who asks. What it takes to find out, keys of an issuer or its answer, is waited for apart from what is under way.
async fn authenticate(ctx: &Ctx, parts: &Parts, route: &Route) -> Result<Arc<Principal>, Refusal> {
    let verifying = pin!(ctx.world.identity.authenticate(asked(parts, &route.resource, &ctx.memory)));
    Ok(arriving::credential(ctx, verifying).await??)
}

/// What identity is shown of a request.
fn asked<'a>(parts: &'a Parts, resource: &'a Resource, memory: &'a Memory) -> identity::Asked<'a> {
    let peer_certificate = parts.extensions.get::<PeerCertificate>();
    identity::Asked { headers: &parts.headers, resource, method: &parts.method, peer_certificate, recall: Some(&memory.recall) }
}

/// Does what is asked. A legacy client's call goes on when its connection ends; a newer client's ends with it.
async fn work(ctx: Box<Ctx>, asking: Asking, headers: &McpHeaders<'_>, in_flight: InFlight) -> Response<ReplyBody> {
    if let Some(line) = ctx.asked.line.clone() {
        return Box::pin(line::take(ctx, asking, in_flight, line)).await;
    }
    match asking {
        Asking::Operation(operation) if ctx.asked.session.is_none() => {
            // Boxed, so that what waits for a body is small.
            Box::pin(operate::operate(ctx, operation, headers, in_flight)).await
        }
        asking => cancel::detached(ctx.gateway.clone(), operate::legacy(ctx, asking, in_flight)).await,
    }
}

fn unreachable_state() -> Refusal {
    Refusal::Failed(Fault::internal(FaultKind::Internal, "an admitted request of no kind"))
}

fn allow_origin(mut response: Response<ReplyBody>, origin: Option<HeaderValue>) -> Response<ReplyBody> {
    if let Some(origin) = origin {
        admit::cors(response.headers_mut(), origin);
    }
    response
}

/// Header of a session id.
pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
