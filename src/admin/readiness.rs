//! Whether requests should be sent here, for probes; and what is unusual, for whoever may look.

use http::{Request, Response, StatusCode};

use super::look::time;
use super::office::Office;
use super::reply::AdminBody;
use super::text;

/// A reload that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedReload {
    /// When the first of those since the last that was taken was refused, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// Problems of the last one.
    pub problems: usize,
}

impl Office {
    /// What is unusual here, a line each, for whoever has a role. Nothing for anybody else: a probe is answered whatever it shows.
    pub(super) async fn unusual<B>(&self, request: &Request<B>) -> Vec<String> {
        let Ok(_place) = self.places.try_acquire() else { return Vec::new() };
        let (standing, world) = (self.standing.load_full(), self.gateway.world.load_full());
        let caller = self.caller(&standing, &world, request.method(), request.uri().path(), request.headers()).await;
        if caller.ok().flatten().and_then(|caller| caller.role).is_none() {
            return Vec::new();
        }
        let refused = self.facts.load().refused.map(|RefusedReload { since_unix_ms, problems }| {
            let (since, s) = (time(since_unix_ms), if problems == 1 { "" } else { "s" });
            format!("reload: refused since {since}: {problems} problem{s}, an older configuration is in force")
        });
        let observed = world.observe.map(|_| "observe_only: what policy refuses passes, and is recorded as refused".to_owned());
        refused.into_iter().chain(observed).collect()
    }
}

/// The bare status, and below it a line for each of `unusual`.
pub(super) fn answer(ready: bool, unusual: &[String]) -> Response<AdminBody> {
    let (status, word) = if ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    let lines: Vec<&str> = std::iter::once(word).chain(unusual.iter().map(String::as_str)).collect();
    text(status, lines.join("\n"))
}
