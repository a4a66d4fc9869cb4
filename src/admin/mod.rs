//! The door for people and probes: alive, ready, metrics; the API of operators and approvers, and their console.
//!
//! Layer 8. [`service`] answers the probes itself; everything else is the business of the [`Office`]: every address is in one table
//! (`routes.rs`), and nothing is answered to strangers but how to sign in. `look/` gathers what people and programs look at, `api/`
//! writes it as JSON, `console/` as pages.

mod api;
mod caller;
mod console;
mod guard;
mod link;
mod look;
mod office;
mod problem;
mod readiness;
mod reply;
mod role;
mod routes;
mod trail;

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::Service;

pub use caller::ENTRANCE;
pub use link::{LINK_ISSUER, LINK_SUBJECT, OneTimeLink};
pub use office::{Facts, Office, Standing};
pub use readiness::RefusedReload;
pub use reply::AdminBody;
pub use role::{Member, Role, Roles};
pub use routes::{Endpoint, LINK_PATH, endpoints};

use crate::net::head::{self, HeadRules};
use crate::telemetry::metrics::Form;

/// What the admin listener can say. Clones are cheap.
#[derive(Clone)]
pub struct AdminState {
    /// True while requests should be sent here. Why not is in the log, never in an answer to strangers.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The metrics, in the form that is asked for.
    pub metrics: Arc<dyn Fn(Form) -> Vec<u8> + Send + Sync>,
    /// True on a loopback listener that nothing leads to from elsewhere, where metrics are open; elsewhere they need a role.
    pub metrics_open: bool,
    /// Hosts and origins that are answered, the local address of each connection aside.
    pub rules: HeadRules,
    /// What is there for people and their programs.
    pub office: Option<Arc<Office>>,
}

impl fmt::Debug for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminState").field("metrics_open", &self.metrics_open).finish_non_exhaustive()
    }
}

/// The service of one connection of the admin listener, from `peer` to our own address `local`.
pub fn service(state: &AdminState, peer: SocketAddr, local: SocketAddr) -> AdminService {
    let rules = state.rules.for_local(local.ip());
    AdminService { state: Arc::new(AdminState { rules, ..state.clone() }), peer: peer.ip() }
}

/// Answers the requests of one connection.
#[derive(Clone, Debug)]
pub struct AdminService {
    state: Arc<AdminState>,
    peer: IpAddr,
}

impl Service<Request<Incoming>> for AdminService {
    type Response = Response<AdminBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (state, peer) = (self.state.clone(), self.peer);
        Box::pin(async move {
            Ok(match probe(&state, &request) {
                Probed::Answer(response) => response,
                Probed::Ready(ready) => match &state.office {
                    Some(office) => readiness::answer(ready, &office.unusual(&request).await),
                    None => readiness::answer(ready, &[]),
                },
                Probed::Metrics => match &state.office {
                    Some(office) => office.metrics(request, &*state.metrics).await,
                    None => refused(text(StatusCode::NOT_FOUND, "not found")),
                },
                Probed::Further => match &state.office {
                    Some(office) => office.answer(request, Some(peer)).await,
                    None => refused(text(StatusCode::NOT_FOUND, "not found")),
                },
            })
        })
    }
}

/// What the head and path of a request come to.
enum Probed {
    Answer(Response<AdminBody>),
    /// Whether requests should be sent here; more of it for whoever may look.
    Ready(bool),
    /// Metrics, for whoever may see them.
    Metrics,
    /// The console or the API.
    Further,
}

fn probe<B>(state: &AdminState, request: &Request<B>) -> Probed {
    if let Err(refusal) = head::check(request.version(), request.method(), request.uri(), request.headers(), &state.rules) {
        tracing::debug!(detail = refusal.detail, "admin request refused");
        if let Some(office) = &state.office {
            office.note_head(&refusal);
        }
        let is_api = request.uri().path().starts_with("/api/");
        let mut response =
            if is_api { problem::Problem::of_head(&refusal).response() } else { text(refusal.status, refusal.detail) };
        if refusal.status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        }
        return Probed::Answer(refused(response));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    Probed::Answer(match request.uri().path() {
        "/healthz" | "/readyz" | "/metrics" if !reads => {
            let mut response = refused(text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
        "/healthz" => text(StatusCode::OK, "ok"),
        "/readyz" => return Probed::Ready((state.ready)()),
        "/metrics" if state.metrics_open => metrics(request.headers(), &*state.metrics),
        "/metrics" => return Probed::Metrics,
        path if path.starts_with("/api/") || path == "/console" || path.starts_with("/console/") => return Probed::Further,
        _ => refused(text(StatusCode::NOT_FOUND, "not found")),
    })
}

/// The metrics in the form that the request prefers.
fn metrics(headers: &HeaderMap, expose: &(dyn Fn(Form) -> Vec<u8> + Send + Sync)) -> Response<AdminBody> {
    let accept: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let form = Form::of(&accept.join(","));
    let mut response = text(StatusCode::OK, expose(form));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}

/// The request's body was not read, so that an HTTP/1.1 connection cannot go on.
fn refused(mut response: Response<AdminBody>) -> Response<AdminBody> {
    head::close_after(response.headers_mut());
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<AdminBody> {
    let mut response = Response::new(AdminBody::whole(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
