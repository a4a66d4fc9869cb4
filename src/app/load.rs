//! From files to what requests are judged by. All or nothing, and nothing is contacted.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::authserver;
use super::credentials::{KEY_SET_PATH, Outside};
use super::identity::identity_settings;
use super::linking;
use super::policies::Around;
use super::watch::fingerprint;
use crate::config::{self, Config, TraceTrust};
use crate::connect::CLIENT_PATH;
use crate::identity::{Authenticator, METADATA_PREFIX, metadata_path, resource_metadata};
use crate::net::DialPolicy;
use crate::net::head::HeadRules;
use crate::pipeline::{Approvals, Bounds, CONFIRM_PATH, Route, Subjects, World};
use crate::policy::permit::ObserveOnly;
use crate::policy::{self, Facts, PolicySet};
use crate::telemetry::trace::Trust;
use crate::upstream::{self, UpstreamLimits, UpstreamSettings, Upstreams};
use crate::vocab::limits::CONFIG_FILE_BYTES_MAX;
use crate::vocab::{Clock, Problem, Proof, Resource};
use bytes::Bytes;
use serde_json::json;

/// A config and its compiled policy, both without a mistake.
pub struct Loaded {
    /// The config.
    pub config: Config,
    /// The policy.
    pub policy: Arc<PolicySet>,
    /// Fingerprint of the watched files, of before any of what is in here was read.
    pub(super) seen: u64,
}

/// Reads and checks the config at `path` and every policy file it names.
///
/// # Errors
/// Every problem of all files at once.
pub fn load(path: &Path) -> Result<Loaded, Vec<Problem>> {
    // Which files to watch is known once the config was read. It is read again, so that no change of any file is missed.
    let seen = fingerprint(&config::load(path)?.watched);
    let config = config::load(path)?;
    let policy = Arc::new(Texts::of(&config).with(policy::compile)?);
    Ok(Loaded { config, policy, seen })
}

/// The config at `path` and its policy, for judging calls without making any: see [`config::load_to_judge`].
///
/// # Errors
/// Every problem of all files at once.
pub fn load_to_judge(path: &Path) -> Result<(Config, Arc<PolicySet>), Vec<Problem>> {
    let config = config::load_to_judge(path)?;
    let policy = Texts::of(&config).with(policy::compile)?;
    Ok((config, Arc::new(policy)))
}

/// The policy files of a config, and what the config says that they depend on.
pub(super) struct Texts {
    files: Vec<(String, String)>,
    around: Around,
    problems: Vec<Problem>,
}

impl Texts {
    pub(super) fn of(config: &Config) -> Self {
        Self::read(&config.policies, Around::of(config))
    }

    pub(super) fn read(policies: &[PathBuf], around: Around) -> Self {
        let mut problems = Vec::new();
        let mut files = Vec::new();
        for file in policies {
            match read(file) {
                Ok(text) => files.push((file.display().to_string(), text)),
                Err(why) => problems.push(unreadable(file, &why)),
            }
        }
        Self { files, around, problems }
    }

    /// What `compile` makes of them, or every problem.
    pub(super) fn with<T>(
        self,
        compile: impl FnOnce(&[(String, String)], &Facts<'_>) -> Result<T, Vec<Problem>>,
    ) -> Result<T, Vec<Problem>> {
        let Self { files, around, mut problems } = self;
        match compile(&files, &around.facts()) {
            Ok(compiled) if problems.is_empty() => Ok(compiled),
            Ok(_) => Err(problems),
            Err(more) => {
                problems.extend(more);
                Err(problems)
            }
        }
    }
}

pub(super) fn read(file: &Path) -> Result<String, String> {
    let size = fs::metadata(file).map_err(|error| error.to_string())?.len();
    if size > CONFIG_FILE_BYTES_MAX {
        return Err(format!("larger than {CONFIG_FILE_BYTES_MAX} bytes"));
    }
    fs::read_to_string(file).map_err(|error| error.to_string())
}

pub(super) fn unreadable(file: &Path, why: &str) -> Problem {
    Problem {
        file: file.display().to_string(),
        line: 0,
        column: 0,
        path: String::new(),
        value: String::new(),
        message: format!("cannot be read: {why}"),
        hint: "policies names files, or directories of *.yaml files".to_owned(),
    }
}

/// Settings of the config that the pipeline judges by. `origin` is `scheme://host:port` as clients see it.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn world(
    loaded: &Loaded,
    origin: &str,
    clock: &Clock,
    outside: &Outside,
    upstreams: Arc<Upstreams>,
    before: Option<&World>,
) -> Result<World, String> {
    let config = &loaded.config;
    let identity = identity_settings(config, authserver::own(config, origin, outside.lasting.as_ref()))?;
    let identity = Authenticator::new(identity, clock.clone(), outside.fetch.clone()).map_err(|e| e.to_string())?;
    // Keys that are already known are kept, so that a reload cannot fail for an issuer that happens to be away.
    let identity = match before {
        Some(before) => identity.with_keys_of(&before.identity),
        None => identity,
    };
    let routes = routes(config, origin);
    let mut metadata = metadata(&routes, &identity, origin);
    let asserting = outside.asserting_key(config, origin)?;
    metadata.extend(asserting.iter().map(|key| (KEY_SET_PATH.into(), json!({ "keys": [key] }).to_string().into())));
    let authserver = authserver::server(config, origin, &routes, outside, asserting, identity.revocations(), clock)?;
    let authserver = authserver::knowing(authserver, before);
    let links = Arc::new(linking::links(config, origin));
    let head = head_rules(config, origin)?;
    if let Some(desk) = outside.desk.as_ref().filter(|_| !links.is_empty()) {
        metadata.insert(CLIENT_PATH.into(), desk.client_document(origin));
    }
    Ok(World {
        policy: loaded.policy.clone(),
        identity: Arc::new(identity),
        metadata,
        authserver,
        upstreams,
        routes: routes.into_iter().map(|route| (Box::from(&*route.path), Arc::new(route))).collect(),
        pages_head: if config.authserver.is_some() { head.clone().with_own_origin(origin)? } else { head.clone() },
        head,
        bounds: Bounds {
            body_bytes: config.limits.body_bytes,
            depth: config.limits.depth,
            body_timeout: BODY_TIMEOUT,
            call_timeout: config.limits.call_timeout,
            in_flight: config.limits.in_flight,
            sessions_per_principal: config.limits.sessions_per_principal,
            streams_per_principal: config.limits.streams_per_principal,
        },
        approvals: Approvals {
            open_max: config.approvals.pending_per_principal,
            wait: config.approvals.wait,
            console: outside.console.as_ref().map(|console| format!("{console}/console/approvals")),
            confirm: config.authserver.as_ref().map(|_| format!("{origin}{}", CONFIRM_PATH.trim_end_matches('/'))),
        },
        subjects: Subjects::new(),
        links,
        observe: config.observe_only.then(ObserveOnly::assertion),
        trust: match config.telemetry.trust_trace_context {
            TraceTrust::None => Trust::None,
            TraceTrust::Authenticated => Trust::Authenticated,
            TraceTrust::All => Trust::All,
        },
        record_arguments: config.audit.record_arguments.clone(),
    })
}

/// Time for a request body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// A route as a protected resource. `origin` is `scheme://host:port` as clients see it.
pub(super) fn resource(route: &config::Route, origin: &str) -> Resource {
    Resource {
        url: format!("{origin}{}", route.path),
        metadata_url: format!("{origin}{}", metadata_path(&route.path)),
        scopes: route.scopes.clone(),
        proof: route.proof,
    }
}

fn routes(config: &Config, origin: &str) -> Vec<Route> {
    let route = |route: &config::Route| Route {
        path: Arc::from(route.path.as_str()),
        resource: resource(route, origin),
        upstreams: route.upstreams.iter().map(|name| Arc::from(name.as_str())).collect(),
        bare: route.bare,
        floor: route.min_version,
    };
    config.routes.iter().map(route).collect()
}

/// One document per route; the root document only where it cannot mislead, which is with a single route. Our own authorization server,
/// at `origin`, binds no tokens: it is not named where bound ones are needed.
fn metadata(routes: &[Route], identity: &Authenticator, origin: &str) -> HashMap<Box<str>, Bytes> {
    let document = |route: &Route| {
        let mut issuers: Vec<&str> = identity.issuers();
        issuers.retain(|issuer| route.resource.proof == Proof::None || *issuer != origin);
        resource_metadata(&route.resource, &issuers)
    };
    let mut documents: HashMap<Box<str>, Bytes> = HashMap::new();
    for route in routes {
        documents.insert(metadata_path(&route.path).into(), document(route));
    }
    if let [only] = routes {
        documents.insert(METADATA_PREFIX.into(), document(only));
    }
    documents
}

fn head_rules(config: &Config, origin: &str) -> Result<HeadRules, String> {
    let mut hosts = config.allowed_hosts.clone();
    if hosts.is_empty() {
        let host = origin.split_once("://").map_or(origin, |(_, host)| host);
        hosts.push(without_port(host).to_owned());
    }
    let rules = HeadRules::new(&hosts, &config.allowed_origins)?;
    Ok(if config.listen.ip().is_loopback() { rules.with_loopback() } else { rules })
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// The upstreams of the config, as the registry takes them.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn upstreams(config: &Config, origin: &str, outside: &Outside) -> Result<Vec<UpstreamSettings>, String> {
    let settings = |upstream| upstream_settings(config, upstream, outside.credential(upstream, origin)?);
    config.upstreams.iter().map(settings).collect()
}

pub(super) fn upstream_settings(
    config: &Config,
    upstream: &config::Upstream,
    credential: upstream::Credential,
) -> Result<UpstreamSettings, String> {
    let transport = match &upstream.transport {
        config::Transport::Http { url, dialect, .. } => upstream::Transport::Http { url: url.clone(), dialect: *dialect },
        config::Transport::Stdio { command, args, env, cwd } => upstream::Transport::Stdio {
            command: command.to_string_lossy().into_owned(),
            args: args.clone(),
            env: env.clone(),
            cwd: cwd.clone(),
        },
    };
    let limits = &config.limits;
    Ok(UpstreamSettings {
        name: Arc::from(upstream.name.as_str()),
        dial: DialPolicy { allow_private: upstream.allow_private_addresses, allow_loopback: names_loopback(upstream) },
        transport,
        credential,
        timeout: upstream.timeout,
        shared: upstream.shared,
        limits: UpstreamLimits {
            response_bytes: limits.response_bytes,
            depth: limits.depth,
            sessions_max: limits.upstream_sessions,
            processes_max: limits.processes,
            stream_idle: limits.stream_idle,
            work_dir: work_dir(config),
        },
    })
}

/// Where child processes run that have no directory of their own.
pub(super) fn work_dir(config: &Config) -> PathBuf {
    config.data_dir.join("work")
}

/// A loopback address written in the config is its own consent.
fn names_loopback(upstream: &config::Upstream) -> bool {
    match &upstream.transport {
        config::Transport::Http { url, .. } => crate::net::Origin::of(url).is_some_and(|origin| origin.names_loopback()),
        config::Transport::Stdio { .. } => false,
    }
}
