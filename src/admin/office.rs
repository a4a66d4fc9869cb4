//! One request to the API or the console: found, not caused by another site, by somebody signed in, in the role it needs; done, and
//! put on record.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::{Semaphore, watch};

use super::caller::Caller;
use super::link::OneTimeLink;
use super::problem::Problem;
use super::readiness::RefusedReload;
use super::reply::AdminBody;
use super::role::{Role, Roles};
use super::routes::{Act, Found, find};
use super::trail::Trail;
use super::{api, console, guard, trail};
use crate::approval::Desk;
use crate::audit::{Recent, Slot};
use crate::net::body::{BodyError, read_body};
use crate::net::head::{self, HeadRefusal};
use crate::notice::Notices;
use crate::pipeline::{Gateway, World};
use crate::signin::SignIn;
use crate::telemetry::metrics::Form;
use crate::vocab::Deadline;
use crate::vocab::limits::{ADMIN_BODY_BYTES_MAX, ADMIN_REQUESTS_MAX, ADMIN_STRANGERS_MAX, ADMIN_STREAMS_MAX};
use crate::web::{PageAnswer, PageRequest, Site, Verdict};

/// Time for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What this listener does for people and their programs.
pub struct Office {
    pub(super) gateway: Arc<Gateway>,
    pub(super) recent: Arc<Recent>,
    /// Ourselves as browsers know us.
    pub(super) site: Site,
    /// Who may come in; replaced by a reload.
    pub(super) standing: ArcSwap<Standing>,
    /// Where approvals are decided.
    pub(super) desk: Desk,
    /// The way in without an identity provider.
    pub(super) link: Option<OneTimeLink>,
    pub(super) facts: ArcSwap<Facts>,
    /// Who tells approvers.
    pub(super) notices: Option<Notices>,
    /// Told after [`Self::standing`] was replaced, which a reload does last.
    pub(super) readmitted: watch::Sender<()>,
    pub(super) places: Semaphore,
    /// Places of those who send something before anybody knows them.
    strangers: Semaphore,
    pub(super) streams: Arc<Semaphore>,
}

/// Who may come in, by one config.
#[derive(Default)]
pub struct Standing {
    /// The identity provider, where there is one.
    pub sign_in: Option<Arc<SignIn>>,
    /// Who may do what.
    pub roles: Roles,
}

/// What only the composition root knows.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The policy files.
    pub policies: Vec<String>,
    /// The reload that was refused, while what is in force is older than the files.
    pub refused: Option<RefusedReload>,
}

/// What an answer is made from.
pub(super) struct Asked<'a> {
    pub(super) office: &'a Arc<Office>,
    pub(super) world: &'a Arc<World>,
    pub(super) request: &'a PageRequest,
    pub(super) caller: &'a Caller,
    /// The variable part of the path.
    pub(super) id: &'a str,
}

/// A whole answer, or one that goes on.
pub(super) enum Reply {
    Page(PageAnswer),
    Stream(PageAnswer, AdminBody),
}

impl From<PageAnswer> for Reply {
    fn from(answer: PageAnswer) -> Self {
        Self::Page(answer)
    }
}

impl Office {
    /// Opens it; nobody comes in before [`Self::admit`] said who may.
    pub fn new(gateway: Arc<Gateway>, site: Site, link: Option<OneTimeLink>) -> Self {
        Self {
            recent: gateway.audit.recent(),
            desk: gateway.approvals.clone(),
            gateway,
            site,
            standing: ArcSwap::default(),
            link,
            facts: ArcSwap::default(),
            notices: None,
            readmitted: watch::Sender::new(()),
            places: Semaphore::new(ADMIN_REQUESTS_MAX),
            strangers: Semaphore::new(ADMIN_STRANGERS_MAX),
            streams: Arc::new(Semaphore::new(ADMIN_STREAMS_MAX)),
        }
    }

    /// Shows the log of `notices`.
    #[must_use]
    pub fn telling(self, notices: Option<Notices>) -> Self {
        Self { notices, ..self }
    }

    /// Says who may come in from now on. Sessions of people whom it no longer names are of no use.
    pub fn admit(&self, standing: Standing) {
        self.standing.store(Arc::new(standing));
        self.readmitted.send_replace(());
    }

    /// Says what is in force from now on.
    pub fn know(&self, facts: Facts) {
        self.facts.store(Arc::new(facts));
    }

    /// Says that a reload was refused for so many problems.
    pub fn know_refused_reload(&self, problems: usize) {
        let facts = Facts::clone(&self.facts.load());
        let since_unix_ms = facts.refused.map_or_else(|| self.gateway.clock.unix_ms(), |refused| refused.since_unix_ms);
        self.know(Facts { refused: Some(RefusedReload { since_unix_ms, problems }), ..facts });
    }

    /// Answers a request whose head holds.
    pub(super) async fn answer(self: &Arc<Self>, request: Request<Incoming>, peer: Option<IpAddr>) -> Response<AdminBody> {
        let (parts, body) = request.into_parts();
        let is_api = !parts.uri.path().starts_with("/console");
        let unread = !body.is_end_stream();
        let Ok(_place) = self.places.try_acquire() else { return crowded(is_api, unread) };
        let found = find(&parts.method, parts.uri.path());
        // An action that cannot be recorded does not happen. Coming back from the provider is one, although it is a GET.
        let acts = parts.method == Method::POST || matches!(&found, Found::Here(to, _) if to.act == Act::Callback);
        let slot = acts.then(|| self.gateway.audit.reserve()).transpose();
        let Ok(slot) = slot else {
            return finished(is_api, &Problem::busy("Records cannot be written now. Try again shortly."), unread);
        };
        let mut body = Some(body);
        let mut trail = Trail::of(&found);
        let outcome = self.routed(&parts, &mut body, peer, found, &mut trail).await;
        let unread = unread && body.is_some();
        let reply = outcome.unwrap_or_else(|problem| Reply::Page(self.refusal(is_api, &parts, &problem)));
        let (answer, stream) = match reply {
            Reply::Page(answer) => (answer, None),
            Reply::Stream(answer, stream) => (answer, Some(stream)),
        };
        let slot = slot.or_else(|| self.slot_for(&answer));
        if let Some(slot) = slot {
            trail.record(slot, &answer);
        }
        respond(answer, stream, unread)
    }

    async fn routed(
        self: &Arc<Self>,
        parts: &Parts,
        body: &mut Option<Incoming>,
        peer: Option<IpAddr>,
        found: Found<'_>,
        trail: &mut Trail,
    ) -> Result<Reply, Problem> {
        guard::not_cross_site(&parts.method, &parts.headers, &self.site)?;
        let mut present = self.present(parts, trail).await?;
        let (endpoint, id) = match found {
            Found::Here(endpoint, id) => (endpoint, id.unwrap_or_default()),
            // Strangers do not learn what there is.
            _ if present.caller.is_none() => return Err(unauthenticated()),
            Found::OtherMethod(allow) => return Ok(other_method(&allow).into()),
            Found::Nothing => return Err(Problem::unknown()),
        };
        present.may(endpoint.role)?;
        let mut content = Bytes::new();
        if parts.method == Method::POST {
            content = self.content(body.take(), present.caller.is_some()).await?;
            // Whoever sends it takes their time: what counts is who they are, and what is in force, when all of it is here.
            present = self.present(parts, trail).await?;
            present.may(endpoint.role)?;
        }
        let request = PageRequest {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers.clone(),
            body: content,
            peer,
        };
        let Present { standing, world, caller } = present;
        if endpoint.role.is_none() {
            return console::entrance(self, &standing, endpoint.act, &request, caller.as_ref()).await.map(Reply::Page);
        }
        let caller = caller.ok_or_else(unauthenticated)?;
        guard::meant(&request, &caller, &self.site)?;
        let asked = Asked { office: self, world: &world, request: &request, caller: &caller, id };
        match endpoint.act {
            Act::Page(_) | Act::DecideForm | Act::WithdrawForm => console::answer(&asked, endpoint.act).await.map(Reply::Page),
            act => api::answer(&asked, endpoint, act).await,
        }
    }

    /// Who asks, by what is in force now.
    async fn present(&self, parts: &Parts, trail: &mut Trail) -> Result<Present, Problem> {
        let (standing, world) = (self.standing.load_full(), self.gateway.world.load_full());
        let caller = self.caller(&standing, &world, &parts.method, parts.uri.path(), &parts.headers).await?;
        if let Some(caller) = &caller {
            trail.principal = Some(caller.principal.clone());
        }
        Ok(Present { standing, world, caller })
    }

    /// A whole body. Strangers, who may send one where signing in happens, wait in few places: they cannot take all.
    async fn content(&self, body: Option<Incoming>, known: bool) -> Result<Bytes, Problem> {
        let place = (!known).then(|| self.strangers.try_acquire()).transpose();
        let _place = place.map_err(|_| Problem::busy("Too many people are signing in. Try again shortly."))?;
        read(body).await
    }

    /// The metrics, for whoever has a role.
    pub(super) async fn metrics(
        &self,
        request: Request<Incoming>,
        expose: &(dyn Fn(Form) -> Vec<u8> + Send + Sync),
    ) -> Response<AdminBody> {
        let (parts, body) = request.into_parts();
        let unread = !body.is_end_stream();
        let Ok(_place) = self.places.try_acquire() else { return crowded(true, unread) };
        let mut trail = Trail::doing("admin/metrics");
        let present = self.present(&parts, &mut trail).await;
        let Err(problem) = present.and_then(|present| present.may(Some(Role::Viewer))) else {
            return super::metrics(&parts.headers, expose);
        };
        let answer = problem.document();
        if let Some(slot) = self.slot_for(&answer) {
            trail.record(slot, &answer);
        }
        respond(answer, None, unread)
    }

    /// Puts on record that a request was refused by its head.
    pub(super) fn note_head(&self, refusal: &HeadRefusal) {
        trail::record_head(&self.gateway.audit, refusal);
    }

    /// A slot for what nobody reserved one for: a refusal. It is answered even if it cannot be recorded.
    fn slot_for(&self, answer: &PageAnswer) -> Option<Slot> {
        trail::is_refusal(answer.status).then(|| self.gateway.audit.reserve().ok()).flatten()
    }

    fn refusal(&self, is_api: bool, parts: &Parts, problem: &Problem) -> PageAnswer {
        if is_api {
            return problem.document();
        }
        match problem.status {
            StatusCode::UNAUTHORIZED => console::not_signed_in(self, parts, problem),
            _ => problem.page(),
        }
    }
}

/// Who asks, and by what that is judged.
struct Present {
    standing: Arc<Standing>,
    world: Arc<World>,
    caller: Option<Caller>,
}

impl Present {
    /// Whether they may do what needs `role`.
    fn may(&self, role: Option<Role>) -> Result<(), Problem> {
        match (role, &self.caller) {
            (Some(_), None) => Err(unauthenticated()),
            (Some(_), Some(caller)) if caller.role < role => {
                Err(forbidden().because(format!("{} has no role that may do this", caller.principal.sub)))
            }
            _ => Ok(()),
        }
    }
}

fn crowded(is_api: bool, unread: bool) -> Response<AdminBody> {
    finished(is_api, &Problem::busy("Too many requests are under way. Try again shortly."), unread)
}

fn finished(is_api: bool, problem: &Problem, unread: bool) -> Response<AdminBody> {
    respond(if is_api { problem.document() } else { problem.page() }, None, unread)
}

fn respond(answer: PageAnswer, stream: Option<AdminBody>, unread: bool) -> Response<AdminBody> {
    let mut response = Response::new(stream.unwrap_or_else(|| AdminBody::whole(answer.body)));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    if unread {
        head::close_after(response.headers_mut());
    }
    response
}

pub(super) fn unauthenticated() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "Sign in first.", Verdict::Unauthenticated)
}

fn forbidden() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "You are signed in, but no role of yours may do this.", Verdict::Unauthenticated)
}

fn other_method(allow: &str) -> PageAnswer {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "This address takes another method.", Verdict::BadRequest);
    let mut answer = problem.document();
    if let Ok(value) = HeaderValue::try_from(allow) {
        answer.headers.insert(header::ALLOW, value);
    }
    answer
}

async fn read(body: Option<Incoming>) -> Result<Bytes, Problem> {
    let Some(body) = body else { return Ok(Bytes::new()) };
    let read = read_body(body, ADMIN_BODY_BYTES_MAX, Deadline::after(BODY_TIMEOUT)).await;
    read.map_err(|error| match error {
        BodyError::TooLarge => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large.", Verdict::BadRequest),
        BodyError::Timeout => Problem::new(StatusCode::REQUEST_TIMEOUT, "The body came too slowly.", Verdict::BadRequest),
        BodyError::Broken => Problem::bad("The body broke off."),
    })
}
