//! The operators' listener: its address, its office, and who may come in by each config.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use url::Url;

use super::authserver::idp_settings;
use super::credentials::Outside;
use super::start::{StartError, listen, tls_files_of};
use crate::admin::{self, AdminState, Facts, LINK_PATH, Member, Office, OneTimeLink, Roles, Standing};
use crate::config::{self, Config, RoleMember, Tls};
use crate::net::drain::Drain;
use crate::net::head::HeadRules;
use crate::net::{Fetch, Origin};
use crate::notice::{Notices, Prepared};
use crate::pipeline::{Gateway, World};
use crate::server::tls::server_config;
use crate::server::{self, DoorSettings, TlsHandle};
use crate::signin::SignIn;
use crate::store::Store;
use crate::upstream::Registry;
use crate::vocab::Clock;
use crate::web::{PerAddress, Site};

/// Connections of the admin listener.
const ADMIN_CONNECTIONS_MAX: usize = 256;

/// The address is ours; nobody is served yet.
pub(super) struct Bound {
    listener: tokio::net::TcpListener,
    tls: Option<TlsHandle>,
    addr: SocketAddr,
    /// What people type.
    pub(super) origin: String,
}

/// Takes the address, if there is to be such a listener.
///
/// # Errors
/// [`StartError`].
pub(super) fn bind(config: &Config, clock: &Clock) -> Result<Option<Bound>, StartError> {
    let Some(admin) = &config.admin else { return Ok(None) };
    let listener = listen("admin.listen", admin.listen)?;
    let addr = listener.local_addr()?;
    let files = tls_files_of(&admin.tls, &config.data_dir, clock)?;
    let tls = files.map(|files| TlsHandle::load(&files, clock)).transpose();
    let tls = tls.map_err(|error| StartError::Other(format!("admin.tls: {error}")))?;
    Ok(Some(Bound { listener, tls, addr, origin: origin(admin, addr) }))
}

fn origin(admin: &config::Admin, addr: SocketAddr) -> String {
    let scheme = if admin.tls == Tls::None { "http" } else { "https" };
    admin.public_url.as_ref().map_or_else(|| format!("{scheme}://{addr}"), config::PublicUrl::origin)
}

impl Bound {
    /// `scheme://host:port` of what was bound.
    pub(super) fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.addr)
    }
}

/// What lasts from start to stop.
pub(super) struct Front {
    office: Arc<Office>,
    origin: String,
    store: Store,
    fetch: Fetch,
    clock: Clock,
    /// Outlives a reload, so that reloading does not refill it.
    pace: Arc<PerAddress>,
    /// The provider of the config in force: what is known of it is kept by a reload.
    sign_in: ArcSwapOption<SignIn>,
    tls: Option<TlsHandle>,
    /// The link of development, whole.
    pub(super) link: Option<String>,
    /// Who tells approvers.
    notices: Option<Notices>,
}

/// What another config makes of the listener; nothing is changed until it is put in place.
pub(super) struct Change {
    standing: Standing,
    tls: Option<Arc<rustls::ServerConfig>>,
    facts: Facts,
    channels: Vec<Prepared>,
}

impl Front {
    /// The office of `bound`, closed to everybody until somebody is admitted.
    ///
    /// # Errors
    /// [`StartError`].
    pub(super) fn open(
        config: &Config,
        bound: &Bound,
        gateway: &Arc<Gateway>,
        store: Store,
        fetch: Fetch,
        notices: Option<Notices>,
    ) -> Result<Self, StartError> {
        let (clock, origin) = (gateway.clock.clone(), bound.origin.clone());
        let by_link = config.admin.as_ref().is_some_and(|admin| admin.oidc.is_none());
        let made = by_link.then(|| OneTimeLink::new(clock.clone())).transpose();
        let (link, secret) = made.map_err(|error| StartError::Other(error.to_string()))?.unzip();
        let office = Arc::new(Office::new(gateway.clone(), Site::new(&origin), link).telling(notices.clone()));
        let link = secret.map(|secret| format!("{origin}{LINK_PATH}?key={secret}"));
        let (pace, tls) = (Arc::new(SignIn::pace()), bound.tls.clone());
        let front = Self { office, store, fetch, clock, pace, sign_in: ArcSwapOption::empty(), tls, link, origin, notices };
        let change = front.change(config, &gateway.world.load()).map_err(StartError::Other)?;
        front.put(change);
        Ok(front)
    }

    /// What `config` makes of it, judged by `world`.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(super) fn change(&self, config: &Config, world: &World) -> Result<Change, String> {
        let Some(admin) = &config.admin else { return Err("admin cannot be closed while running: restart".to_owned()) };
        let sign_in = admin.oidc.as_ref().map(|oidc| self.sign_in(oidc, world)).transpose()?;
        let files = tls_files_of(&admin.tls, &config.data_dir, &self.clock).map_err(|error| error.to_string())?;
        let tls = files.map(|files| server_config(&files, &self.clock)).transpose();
        let tls = tls.map_err(|error| format!("admin.tls: {error}"))?;
        let policies = config.policies.iter().map(|file| file.display().to_string()).collect();
        let facts = Facts { policies, refused: None };
        let channels = channels(config)?;
        Ok(Change { standing: Standing { sign_in, roles: roles(&admin.roles) }, tls, facts, channels })
    }

    fn sign_in(&self, oidc: &config::AuthUpstream, world: &World) -> Result<Arc<SignIn>, String> {
        let (site, pace) = (Site::new(&self.origin), self.pace.clone());
        let revocations = world.identity.revocations().clone();
        let sign_in =
            SignIn::new(idp_settings(oidc), site, self.store.clone(), self.clock.clone(), self.fetch.clone(), revocations, pace)?;
        let mut sign_in = sign_in.at(admin::ENTRANCE);
        if let Some(before) = self.sign_in.load_full() {
            sign_in.with_keys_of(&before);
        }
        Ok(Arc::new(sign_in))
    }

    /// Puts `change` in place.
    pub(super) fn put(&self, change: Change) {
        let Change { standing, tls, facts, channels } = change;
        if let Some(notices) = &self.notices {
            notices.set(&channels);
        }
        self.sign_in.store(standing.sign_in.clone());
        self.office.admit(standing);
        self.office.know(facts);
        if let (Some(handle), Some(tls)) = (&self.tls, tls) {
            handle.swap(tls);
        }
    }

    /// Notes that a reload was refused for so many problems: what is in force is older than the files.
    pub(super) fn refused(&self, problems: usize) {
        self.office.know_refused_reload(problems);
    }

    /// Serves until `drain`.
    pub(super) async fn serve(self: Arc<Self>, bound: Bound, state: AdminState, drain: Drain) {
        let make = move |peer: server::Peer| admin::service(&state, peer.addr, peer.local);
        let door = DoorSettings { connections: ADMIN_CONNECTIONS_MAX, ..DoorSettings::default() };
        server::serve(bound.listener, bound.tls, door, make, drain).await;
    }

    /// What its connections answer with.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(super) fn state(&self, config: &Config, gateway: &Arc<Gateway>, registry: &Arc<Registry>) -> Result<AdminState, String> {
        let Some(admin) = &config.admin else { return Err("there is no such listener".to_owned()) };
        let mut hosts = admin.allowed_hosts.clone();
        hosts.extend(admin.public_url.as_ref().map(|url| url.host.clone()));
        let loopback = admin.listen.ip().to_canonical().is_loopback();
        let rules = HeadRules::new(&hosts, &[])?.with_own_origin(&self.origin)?;
        let rules = if loopback { rules.with_loopback() } else { rules };
        // A name that is not this machine's is what others know it by: something in front of a loopback listener lets them in.
        let known_elsewhere = hosts.iter().any(|host| !names_loopback(host));
        let (ready, metered, registry) = (gateway.clone(), gateway.clone(), registry.clone());
        Ok(AdminState {
            ready: Arc::new(move || !ready.drain.begun() && ready.audit.healthy()),
            metrics: Arc::new(move |form| {
                gather(&metered, &registry);
                metered.metrics.expose(form)
            }),
            metrics_open: loopback && !known_elsewhere,
            rules,
            office: Some(self.office.clone()),
        })
    }
}

/// Approvers are told where there is a console to which they are led.
pub(super) fn notices(gateway: &Gateway, store: &Store, outside: &Outside, console: String) -> Notices {
    let (desk, metrics, clock) = (gateway.approvals.clone(), gateway.metrics.clone(), gateway.clock.clone());
    Notices::new(desk, store.clone(), clock, outside.fetch.clone(), metrics, console)
}

/// Where approvers are told, by `config`.
fn channels(config: &Config) -> Result<Vec<Prepared>, String> {
    let prepared = config
        .approvals
        .channels
        .iter()
        .map(|channel| Prepared::new(channel).map_err(|error| format!("approvals.channels: `{}`: {error}", channel.name)));
    prepared.collect()
}

/// Whether `host`, with a port or without, is this machine for whoever is on it.
fn names_loopback(host: &str) -> bool {
    let url = Url::parse(&format!("http://{host}/")).ok();
    url.and_then(|url| Origin::of(&url)).is_some_and(|origin| origin.names_loopback())
}

/// Brings the gauges up to date that are read when metrics are asked for.
pub(super) fn gather(gateway: &Gateway, registry: &Registry) {
    let audit = gateway.audit.state();
    let age_s = |unix_ms: u64| gateway.clock.unix_ms().saturating_sub(unix_ms) / 1000;
    gateway.metrics.audit.set(
        gateway.audit.queue_depth(),
        audit.unsynced,
        audit.checkpoint.map(|checkpoint| age_s(checkpoint.unix_ms)),
    );
    for sink in gateway.audit.exporters() {
        let waited_s = sink.waiting_unix_ms.map_or(0, age_s);
        let behind = audit.seq.saturating_sub(sink.seq);
        gateway.metrics.audit.set_sink(&sink.name, behind, waited_s, sink.trouble.is_some());
    }
    for (state, count) in gateway.approvals.counts() {
        gateway.metrics.set_approvals(state.as_str(), count);
    }
    let (upstreams, keys) = (registry.health(), gateway.world.load().identity.key_uses());
    for (name, up) in &upstreams {
        gateway.metrics.set_upstream_up(name, *up);
    }
    for (id, used_s) in &keys {
        gateway.metrics.set_key_used(id, *used_s);
    }
    // What a reload took away is neither down nor up.
    gateway.metrics.keep_upstreams(&upstreams.into_iter().map(|(name, _)| name).collect());
    gateway.metrics.keep_keys(&keys.into_iter().map(|(id, _)| id).collect());
}

fn roles(roles: &config::AdminRoles) -> Roles {
    let members = |list: &[RoleMember]| {
        let member = |member: &RoleMember| match member {
            RoleMember::Group { iss, name } => Member::Group(iss.as_str().into(), name.as_str().into()),
            RoleMember::Sub { iss, sub } => Member::Sub(iss.as_str().into(), sub.as_str().into()),
        };
        list.iter().map(member).collect()
    };
    Roles { viewer: members(&roles.viewer), approver: members(&roles.approver), operator: members(&roles.operator) }
}
