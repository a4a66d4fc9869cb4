//! The door for people and probes: alive, ready, metrics.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::Service;

use crate::net::head::{self, HeadRules};

/// What the admin listener can say. Clones are cheap.
#[derive(Clone)]
pub struct AdminState {
    /// True while requests should be sent here. Why not is in the log, never in an answer.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The metrics in the Prometheus text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// True on a loopback listener, where metrics are open; elsewhere they need a sign-in.
    pub metrics_open: bool,
    /// Hosts and origins that are answered, the local address of each connection aside.
    pub rules: HeadRules,
}

impl fmt::Debug for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminState").field("metrics_open", &self.metrics_open).finish_non_exhaustive()
    }
}

/// The service of one connection of the admin listener; `local` is the address that the peer connected to.
pub fn service(state: &AdminState, local: std::net::SocketAddr) -> AdminService {
    let rules = state.rules.for_local(local.ip());
    AdminService { state: AdminState { rules, ..state.clone() } }
}

/// Answers the requests of one connection.
#[derive(Clone, Debug)]
pub struct AdminService {
    state: AdminState,
}

impl Service<Request<Incoming>> for AdminService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        ready(Ok(answer(&self.state, &request)))
    }
}

fn answer<B>(state: &AdminState, request: &Request<B>) -> Response<Full<Bytes>> {
    if let Err(refusal) = head::check(request.version(), request.method(), request.uri(), request.headers(), &state.rules) {
        tracing::debug!(detail = refusal.detail, "admin request refused");
        return refused(text(refusal.status, refusal.detail));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        "/healthz" | "/readyz" | "/metrics" if !reads => {
            let mut response = refused(text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
        "/healthz" => text(StatusCode::OK, "ok"),
        "/readyz" if (state.ready)() => text(StatusCode::OK, "ready"),
        "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        "/metrics" if state.metrics_open => {
            let mut response = text(StatusCode::OK, (state.metrics)());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROMETHEUS_TEXT));
            response
        }
        "/metrics" => refused(text(StatusCode::NOT_IMPLEMENTED, "not built yet: metrics with sign-in")),
        path if path.starts_with("/api/") => refused(text(StatusCode::NOT_IMPLEMENTED, "not built yet: /api/")),
        path if path == "/console" || path.starts_with("/console/") => {
            refused(text(StatusCode::NOT_IMPLEMENTED, "not built yet: /console/"))
        }
        _ => refused(text(StatusCode::NOT_FOUND, "not found")),
    }
}

/// The request's body was not read, so that an HTTP/1.1 connection cannot go on.
fn refused(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    head::close_after(response.headers_mut());
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

#[cfg(test)]
mod tests;
