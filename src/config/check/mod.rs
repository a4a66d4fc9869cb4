//! From the raw file to the checked config: every rule of the format, all mistakes reported.
//!
//! Each check returns what the program needs, or `None` after it reported why not.

mod address;
mod admin;
pub(super) mod audit;
mod authserver;
mod channels;
mod credential;
mod door;
mod files;
mod identity;
mod issuer;
mod kafka;
mod operation;
mod per_user;
pub(super) mod policies;
mod roster;
mod routes;
mod settings;
mod sinks;
mod telemetry;
mod upstreams;

use std::path::{Path, PathBuf};

use super::checked::{Config, Tls};
use super::checked_identity::Identity;
use super::raw::Raw;
use super::report::{Report, resolve};

/// Checks everything and builds the config. `referenced` are the files that `${file:}` named; with `upstreams_unset` files that
/// upstreams are shown need not be there.
pub(super) fn check(
    raw: Raw,
    file: &Path,
    referenced: Vec<PathBuf>,
    upstreams_unset: bool,
    report: &mut Report,
) -> Option<Config> {
    let mut cx = Cx { dir: file.parent()?.to_owned(), watched: referenced, upstreams_unset, report };
    cx.watched.push(file.to_owned());
    match raw.version {
        Some(1) => {}
        Some(_) => cx.report.problem("version", "is not a version this build reads", "write `version: 1`"),
        None => cx.report.missing("version", "write `version: 1`"),
    }
    let door = door::check(&raw, &mut cx);
    let data_dir = match raw.data_dir.as_deref() {
        Some("") => cx.refuse("data_dir", "is empty", "leave it out for ../data"),
        given => Some(resolve(&cx.dir, given.unwrap_or("../data"))),
    };
    let limits = settings::limits(raw.limits.unwrap_or_default(), &mut cx);
    let approvals = settings::approvals(raw.approvals.unwrap_or_default(), &mut cx);
    let mutual = matches!(&door.tls, Some(Tls::Files { client_ca: Some(_), .. }));
    let others = raw.authserver.as_ref().map(authserver::vouching).unwrap_or_default();
    let identity = identity::check(raw.identity.unwrap_or_default(), &others, door.reach, mutual, &mut cx);
    let issuers = identity.as_ref().map(Identity::issuer_names).unwrap_or_default();
    let authserver = authserver::check(raw.authserver, door.public_url.as_ref(), &mut cx);
    let (upstreams, names) = upstreams::check(raw.upstreams, &issuers, &mut cx);
    if let Some(None) = authserver {
        upstreams::unlinkable(&upstreams, &mut cx);
    }
    if let Some(Some(authserver)) = &authserver {
        upstreams::signed_in(&upstreams, &authserver.upstream, &mut cx);
    }
    let routes = routes::check(raw.routes, &names, &mut cx);
    routes::proofs(&routes, mutual, matches!(authserver, Some(Some(_))), identity.as_ref(), &mut cx);
    let policies = policies::check(raw.policies, &mut cx);
    operation::state(raw.state, &mut cx);
    let keys = raw.keys.unwrap_or_default();
    let vault_keys = operation::vault_keys(keys.vault, data_dir.as_deref(), &mut cx);
    let audit = audit::check(raw.audit.unwrap_or_default(), keys.checkpoint.as_deref(), data_dir.as_deref(), &mut cx);
    let telemetry = telemetry::check(raw.telemetry.unwrap_or_default(), &mut cx);
    let admin = admin::check(raw.admin, door.listen, &issuers, &mut cx);
    channels::reachable(approvals.as_ref(), admin.as_ref(), &mut cx);
    (!cx.report.any()).then_some(())?;
    let mut watched = cx.watched;
    watched.sort();
    watched.dedup();
    Some(Config {
        file: file.to_owned(),
        listen: door.listen?,
        public_url: door.public_url,
        data_dir: data_dir?,
        tls: door.tls?,
        allowed_origins: door.allowed_origins,
        allowed_hosts: door.allowed_hosts,
        limits: limits?,
        approvals: approvals?,
        identity: identity?,
        routes,
        upstreams,
        policies,
        observe_only: raw.danger_observe_only.unwrap_or(false),
        vault_keys: vault_keys?,
        authserver: authserver?,
        audit: audit?,
        telemetry: telemetry?,
        admin: admin?,
        watched,
    })
}

/// What every check needs.
struct Cx<'r> {
    /// The directory that relative paths start from.
    dir: PathBuf,
    /// Files whose change means a reload.
    watched: Vec<PathBuf>,
    /// Nobody is going to contact an upstream.
    upstreams_unset: bool,
    report: &'r mut Report,
}

impl Cx<'_> {
    /// Reports a mistake and gives the nothing that a failed check returns.
    fn refuse<T>(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) -> Option<T> {
        self.report.problem(path, message, hint);
        None
    }

    /// As [`Cx::refuse`], for a required key that is absent.
    fn missing<T>(&mut self, path: &str, hint: &str) -> Option<T> {
        self.report.missing(path, hint);
        None
    }
}
