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

/// What policies depend on, as far as it is written, of a config that may have mistakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// The policy files, all that are named.
    pub policies: Vec<PathBuf>,
    /// The issuers of tokens that are named, if each is.
    pub issuers: Option<Vec<String>>,
    /// Tokens of development are taken too.
    pub dev: bool,
}

/// `report` holds what could not be read. None if some policy is not to be found: what the others say depends on it.
pub(super) fn rest(raw: &Raw, file: &Path, report: &Report) -> Option<Rest> {
    // What is wrong with them is reported by the check of the whole.
    let mut aside = Report::new(file);
    let mut cx = Cx { dir: file.parent()?.to_owned(), watched: Vec::new(), upstreams_unset: false, report: &mut aside };
    let policies = policies::check(raw.policies.clone(), &mut cx);
    let identity = raw.identity.as_ref();
    let issuers = identity.and_then(|identity| identity.issuers.as_ref());
    let named = issuers.map_or(Some(Vec::new()), |issuers| issuers.iter().map(|issuer| issuer.issuer.clone()).collect());
    // The section may stand there under a name that is none, and so may what is in it.
    let unread = report.any_below("identity") || identity.is_none() && report.any();
    let issuers = named.filter(|_| !unread);
    let dev = identity.and_then(|identity| identity.dev.as_ref()).and_then(|dev| dev.enabled).unwrap_or(false);
    let whole = !aside.any() && !report.any_below("policies");
    whole.then_some(Rest { policies, issuers, dev })
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
