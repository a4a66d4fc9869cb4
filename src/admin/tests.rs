use std::sync::atomic::{AtomicBool, Ordering};

use http::header::CONNECTION;
use http_body::Body;

use super::*;

fn state(ready: &Arc<AtomicBool>, metrics_open: bool) -> AdminState {
    let ready = ready.clone();
    AdminState {
        ready: Arc::new(move || ready.load(Ordering::Relaxed)),
        metrics: Arc::new(|_| b"portcullis_upstream_up{upstream=\"files\"} 1\n".to_vec()),
        metrics_open,
        rules: HeadRules::new(&[], &[]).unwrap().with_loopback(),
        office: None,
    }
}

/// Asks with a row of a table: `METHOD path`, Host, and further lines.
fn ask(state: &AdminState, line: &str, host: &str) -> Response<AdminBody> {
    let (method, path) = line.split_once(' ').unwrap();
    answer(state, &Request::builder().method(method).uri(path).header("host", host).body(()).unwrap())
}

/// What is answered without anybody being asked for.
fn answer(state: &AdminState, request: &Request<()>) -> Response<AdminBody> {
    match probe(state, request) {
        Probed::Answer(response) => response,
        Probed::Ready(ready) => readiness::answer(ready, &[]),
        Probed::Metrics => text(StatusCode::IM_A_TEAPOT, "metrics"),
        Probed::Further => text(StatusCode::IM_A_TEAPOT, "further"),
    }
}

#[test]
fn paths_and_methods() {
    let ready = Arc::new(AtomicBool::new(true));
    let state = state(&ready, true);
    for (line, expect) in [
        ("GET /healthz", 200),
        ("HEAD /healthz", 200),
        ("POST /healthz", 405),
        ("GET /readyz", 200),
        ("DELETE /readyz", 405),
        ("GET /metrics", 200),
        ("POST /metrics", 405),
        ("GET /metrics/", 404),
        ("GET /api/v1/approvals", 418),
        ("POST /api/v1/approvals", 418),
        ("GET /console", 418),
        ("GET /console/", 418),
        ("GET /consolex", 404),
        ("GET /", 404),
        ("GET /mcp", 404),
        ("GET //healthz", 400),
        ("GET /x/../healthz", 400),
        ("TRACE /healthz", 405),
        ("TRACE /api/v1/audit", 405),
        ("GET /api//v1", 400),
    ] {
        let response = ask(&state, line, "localhost:9443");
        assert_eq!(response.status().as_u16(), expect, "{line}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{line}");
        assert_eq!(response.headers().contains_key(ALLOW), expect == 405, "{line}");
        assert_eq!(response.headers().contains_key(CONNECTION), expect >= 400 && expect != 418, "{line}");
    }
}

#[test]
fn readiness_is_a_bare_status() {
    let ready = Arc::new(AtomicBool::new(false));
    let state = state(&ready, true);
    let response = ask(&state, "GET /readyz", "localhost");
    assert_eq!((response.status().as_u16(), response.body().size_hint().exact()), (503, Some(9)));
    assert_eq!(ask(&state, "GET /healthz", "localhost").status(), 200, "alive although not ready");
    ready.store(true, Ordering::Relaxed);
    assert_eq!(ask(&state, "GET /readyz", "localhost").status(), 200);
}

#[test]
fn metrics_are_closed_away_from_loopback() {
    let ready = Arc::new(AtomicBool::new(true));
    assert_eq!(ask(&state(&ready, false), "GET /metrics", "localhost").status(), 418);
}

#[test]
fn hosts_and_origins() {
    let ready = Arc::new(AtomicBool::new(true));
    let service = service(&state(&ready, true), "192.0.2.9:1".parse().unwrap(), "192.0.2.5:9443".parse().unwrap());
    for (host, expect) in [
        ("localhost:9443", 200),
        ("127.0.0.1", 200),
        ("[::1]:9443", 200),
        ("192.0.2.5:9443", 200),
        ("192.0.2.6:9443", 403),
        ("evil.example", 403),
        ("user@localhost", 400),
    ] {
        assert_eq!(ask(&service.state, "GET /healthz", host).status().as_u16(), expect, "{host}");
    }
    let request = Request::get("/metrics").header("host", "localhost").header("origin", "https://evil.example");
    assert_eq!(answer(&service.state, &request.body(()).unwrap()).status(), 403);
}
