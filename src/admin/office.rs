//! One request to the API or the console: found, not caused by another site, by somebody signed in, in the role it needs; done, and
//! put on record.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use super::caller::Caller;
use super::link::OneTimeLink;
use super::problem::Problem;
use super::reply::AdminBody;
use super::role::Roles;
use super::routes::{Act, Endpoint, Found, find};
use super::{api, console, guard};
use crate::approval::Desk;
use crate::audit::{Kind, Recent, Slot};
use crate::net::body::{BodyError, read_body};
use crate::net::head;
use crate::notice::Notices;
use crate::pipeline::{Gateway, World, page_outcome};
use crate::signin::SignIn;
use crate::vocab::Deadline;
use crate::vocab::limits::{ADMIN_BODY_BYTES_MAX, ADMIN_REQUESTS_MAX, ADMIN_STREAMS_MAX};
use crate::web::{Note, PageAnswer, PageRequest, Site, Verdict};

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
    places: Semaphore,
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
    /// Whether the last reload was taken.
    pub reload_taken: bool,
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
            places: Semaphore::new(ADMIN_REQUESTS_MAX),
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
    }

    /// Says what is in force from now on.
    pub fn know(&self, facts: Facts) {
        self.facts.store(Arc::new(facts));
    }

    /// Says that a reload was refused.
    pub fn know_refused_reload(&self) {
        let facts = Facts::clone(&self.facts.load());
        self.know(Facts { reload_taken: false, ..facts });
    }

    /// Answers a request whose head holds.
    pub(super) async fn answer(self: &Arc<Self>, request: Request<Incoming>, peer: Option<IpAddr>) -> Response<AdminBody> {
        let (parts, body) = request.into_parts();
        let is_api = !parts.uri.path().starts_with("/console");
        let unread = !body.is_end_stream();
        let Ok(_place) = self.places.try_acquire() else {
            return finished(is_api, Problem::busy("Too many requests are under way. Try again shortly."), unread);
        };
        // An action that cannot be recorded does not happen.
        let slot = (parts.method == Method::POST).then(|| self.gateway.audit.reserve()).transpose();
        let Ok(slot) = slot else {
            return finished(is_api, Problem::busy("Records cannot be written now. Try again shortly."), unread);
        };
        let mut body = Some(body);
        let (found, outcome) = self.routed(&parts, &mut body, peer).await;
        let unread = unread && body.is_some();
        let reply = outcome.unwrap_or_else(|problem| Reply::Page(self.refusal(is_api, &parts, &problem)));
        let (answer, stream) = match reply {
            Reply::Page(answer) => (answer, None),
            Reply::Stream(answer, stream) => (answer, Some(stream)),
        };
        let slot = slot.or_else(|| (worth_a_record(found, &answer)).then(|| self.gateway.audit.reserve().ok()).flatten());
        if let Some(slot) = slot {
            self.record(slot, found, &answer);
        }
        let mut response = Response::new(stream.unwrap_or_else(|| AdminBody::whole(answer.body)));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        if unread {
            head::close_after(response.headers_mut());
        }
        response
    }

    async fn routed(
        self: &Arc<Self>,
        parts: &Parts,
        body: &mut Option<Incoming>,
        peer: Option<IpAddr>,
    ) -> (Option<&'static Endpoint>, Result<Reply, Problem>) {
        let path = parts.uri.path();
        let found = find(&parts.method, path);
        let endpoint = match &found {
            Found::Here(endpoint, _) => Some(*endpoint),
            _ => None,
        };
        let done = async {
            guard::not_cross_site(&parts.method, &parts.headers, &self.site)?;
            let standing = self.standing.load_full();
            let world = self.gateway.world.load_full();
            let caller = self.caller(&standing, &world, &parts.method, path, &parts.headers).await?;
            let (endpoint, id) = match found {
                Found::Here(endpoint, id) => (endpoint, id.unwrap_or_default()),
                // Strangers do not learn what there is.
                _ if caller.is_none() => return Err(unauthenticated()),
                Found::OtherMethod(allow) => return Ok(other_method(&allow).into()),
                Found::Nothing => return Err(Problem::unknown()),
            };
            let request = PageRequest {
                method: parts.method.clone(),
                path: path.to_owned(),
                query: parts.uri.query().map(str::to_owned),
                headers: parts.headers.clone(),
                body: if parts.method == Method::POST { read(body.take()).await? } else { bytes::Bytes::new() },
                peer,
            };
            let Some(role) = endpoint.role else {
                return console::entrance(self, &standing, endpoint.act, &request, caller.as_ref()).await.map(Reply::Page);
            };
            let caller = caller.ok_or_else(unauthenticated)?;
            if caller.role.is_none_or(|own| own < role) {
                let why = format!("{} has no role that may do this", caller.principal.sub);
                return Err(Problem { private: Some(why), ..forbidden() });
            }
            guard::meant(&request, &caller, &self.site)?;
            let asked = Asked { office: self, world: &world, request: &request, caller: &caller, id };
            let reply = match endpoint.act {
                Act::Page(_) | Act::DecideForm => console::answer(&asked, endpoint.act).await.map(Reply::Page),
                act => api::answer(&asked, endpoint, act).await,
            };
            reply.map(|reply| by(reply, &caller))
        };
        (endpoint, done.await)
    }

    /// The metrics, for whoever has a role.
    pub(super) async fn metrics(
        &self,
        request: Request<Incoming>,
        encode: &(dyn Fn() -> String + Send + Sync),
    ) -> Response<AdminBody> {
        let (parts, body) = request.into_parts();
        let (standing, world) = (self.standing.load_full(), self.gateway.world.load_full());
        let caller = self.caller(&standing, &world, &parts.method, parts.uri.path(), &parts.headers).await;
        match caller {
            Ok(Some(caller)) if caller.role.is_some() => super::metrics(encode()),
            Ok(Some(_)) => finished(true, forbidden(), !body.is_end_stream()),
            Ok(None) => finished(true, unauthenticated(), !body.is_end_stream()),
            Err(problem) => finished(true, problem, !body.is_end_stream()),
        }
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

    fn record(&self, mut slot: Slot, found: Option<&Endpoint>, answer: &PageAnswer) {
        let Note { action, target, principal, verdict, private } = (*answer.note).clone();
        let signing = found.is_none_or(|endpoint| endpoint.role.is_none());
        let refused =
            matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) && verdict == Verdict::Unauthenticated;
        let action = action.unwrap_or("admin/request");
        if let Some(why) = private {
            tracing::info!(record = %slot.draft().id(), action, why, "refused at the operators' listener");
        }
        let draft = slot.draft();
        draft.kind = if signing || refused { Kind::Auth } else { Kind::Admin };
        draft.set_method(action);
        draft.principal = principal;
        draft.http = Some(answer.status.as_u16());
        draft.outcome = Some(page_outcome(verdict));
        draft.bytes_out = answer.body.len() as u64;
        if let Some(target) = target {
            draft.set_name(target);
        }
    }
}

/// Reading is not put on record where it was allowed.
fn worth_a_record(found: Option<&Endpoint>, answer: &PageAnswer) -> bool {
    matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        || found.is_some_and(|endpoint| endpoint.act == Act::Callback)
}

fn by(reply: Reply, caller: &Caller) -> Reply {
    match reply {
        Reply::Page(answer) if answer.note.principal.is_none() => Reply::Page(answer.by(caller.principal.clone())),
        other => other,
    }
}

fn finished(is_api: bool, problem: Problem, unread: bool) -> Response<AdminBody> {
    let answer = if is_api { problem.document() } else { problem.page() };
    let mut response = Response::new(AdminBody::whole(answer.body));
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

async fn read(body: Option<Incoming>) -> Result<bytes::Bytes, Problem> {
    let Some(body) = body else { return Ok(bytes::Bytes::new()) };
    let read = read_body(body, ADMIN_BODY_BYTES_MAX, Deadline::after(BODY_TIMEOUT)).await;
    read.map_err(|error| match error {
        BodyError::TooLarge => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large.", Verdict::BadRequest),
        BodyError::Timeout => Problem::new(StatusCode::REQUEST_TIMEOUT, "The body came too slowly.", Verdict::BadRequest),
        BodyError::Broken => Problem::bad("The body broke off."),
    })
}
