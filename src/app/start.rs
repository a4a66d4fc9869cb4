//! Starting: what is opened in which order. [`super::running`] closes it in the reverse one.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admin::{self, Front};
use super::authserver;
use super::checkpoints::Exports;
use super::credentials::Outside;
use super::hook::Hook;
use super::linking;
use super::load::{self, Loaded};
use super::offboard;
use super::reload::Reloader;
use super::running::Running;
use super::telemetry;
use crate::approval;
use crate::audit::Audit;
use crate::catalog::Catalog;
use crate::config::{Config, Tls};
use crate::export::Sinks;
use crate::limit::{Limiter, Monotonic};
use crate::mcp::dialect::ServerInfo;
use crate::net::drain::Drain;
use crate::net::{Fetch, Workers, client_config};
use crate::pipeline::{Arrivals, Gateway, Memory, ReplyBody, Sessions, Streams};
use crate::seal::Sealer;
use crate::server::tls::{TlsFiles, self_signed};
use crate::server::{self, DoorSettings, TlsHandle};
use crate::store::{Store, StoreError};
use crate::telemetry::export::Tracer;
use crate::telemetry::metrics::Metrics;
use crate::upstream::Registry;
use crate::vocab::limits::DRAIN_MS_MAX;
use crate::vocab::{Clock, Problem};

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The config or a policy is wrong.
    #[error("the configuration is wrong")]
    Config(Vec<Problem>),
    /// The system refused something.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Anything else, as a sentence for the operator.
    #[error("{0}")]
    Other(String),
}

impl StartError {
    /// The mistakes in config or policies, if that was it.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Config(problems) => problems,
            _ => &[],
        }
    }

    /// Whether the operator can mend it: files, addresses, permissions.
    pub fn is_input(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Io(_) | Self::Other(_))
    }
}

/// Opens everything and serves in the background.
///
/// # Errors
/// [`StartError`]; nothing is left running.
pub async fn start(loaded: Loaded) -> Result<Running, StartError> {
    crate::identity::install_crypto();
    let config = &loaded.config;
    std::fs::create_dir_all(&config.data_dir)?;
    let clock = Clock::system();
    let tls_client = client_config(None).map_err(|error| StartError::Other(error.to_string()))?;
    let listener = listen("listen", config.listen)?;
    let bound = listener.local_addr()?;
    let bound_origin = bound_origin(config, bound);
    let tls = tls(config, &clock)?;

    let admin = admin::bind(config, &clock)?;
    let admin_url = admin.as_ref().map(admin::Bound::url);
    let console = admin.as_ref().map(|admin| admin.origin.clone());

    let drain = Drain::new(Duration::from_millis(DRAIN_MS_MAX));
    let state = state(config, &clock, Fetch::new(tls_client.clone()), console.clone()).await?;
    let sending = telemetry::connect(config, &state.metrics).map_err(StartError::Other)?;
    let state = State { tracer: sending.as_ref().map(telemetry::Sending::tracer), ..state };
    let (outside, store) = (state.outside.clone(), state.store.clone());
    let (gateway, registry) = gateway(&loaded, &bound_origin, tls_client, &clock, &drain, state)?;
    let sinks = Sinks::start(&config.audit.sinks, &gateway.audit, &outside.fetch, &gateway.metrics, &clock)?;
    let workers = Arc::new(Workers::start(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))?);
    let door = door(config, &workers);
    let ca = matches!(config.tls, Tls::SelfSigned).then(|| config.data_dir.join("tls/ca.pem"));
    remember_address(config, bound)?;

    let scheme = if tls.is_some() { "https" } else { "http" };
    let doors = TaskTracker::new();
    drop(doors.spawn(serve_agents(gateway.clone(), listener, tls.clone(), door, drain.clone())));
    let notices = console.map(|console| admin::notices(&gateway, &store, &outside, console));
    let mut front = None;
    if let Some(bound) = admin {
        let opened = Arc::new(Front::open(config, &bound, &gateway, store, outside.fetch.clone(), notices.clone())?);
        let state = opened.state(config, &gateway, &registry).map_err(StartError::Other)?;
        drop(doors.spawn(opened.clone().serve(bound, state, drain.clone())));
        front = Some(opened);
    }
    let console_link = front.as_ref().and_then(|front| front.link.clone());
    let exports = Exports::start(&gateway, config, &outside.fetch);
    let (background, stopping) = (TaskTracker::new(), CancellationToken::new());
    if let Some(lasting) = &outside.lasting {
        drop(background.spawn(authserver::rotate(lasting.signer.clone(), stopping.clone())));
    }
    drop(background.spawn(gateway.approvals.clone().run(stopping.clone())));
    drop(notices.clone().map(|notices| background.spawn(notices.run(stopping.clone()))));
    let observing = telemetry::start(sending, &gateway, &registry);
    drop(background.spawn(offboard::run(gateway.clone(), stopping.clone())));
    let reloader =
        Arc::new(Reloader::new(loaded, gateway.clone(), registry.clone(), tls, bound_origin, outside, front, stopping.clone()));
    drop(background.spawn(reloader.clone().run()));
    Ok(Running {
        mcp: format!("{scheme}://{bound}"),
        admin: admin_url,
        console_link,
        ca,
        gateway,
        notices,
        exports,
        sinks,
        registry,
        reloader,
        stopping,
        doors,
        background,
        workers,
        observing,
    })
}

fn door(config: &Config, workers: &Arc<Workers>) -> DoorSettings {
    DoorSettings {
        header_timeout: config.limits.header_timeout,
        connections: config.limits.connections,
        per_ip: config.limits.connections,
        idle_timeout: CONNECTION_IDLE,
        workers: Some(workers.clone()),
        ..DoorSettings::default()
    }
}

/// Binds the address of that key of the config.
pub(super) fn listen(key: &str, address: SocketAddr) -> Result<tokio::net::TcpListener, StartError> {
    server::listen(address).map_err(|error| StartError::Other(format!("{key}: {address} cannot be taken: {error}")))
}

/// The pipeline and what it stands on, in the order in which failing is cheapest.
fn gateway(
    loaded: &Loaded,
    bound_origin: &str,
    tls: Arc<rustls::ClientConfig>,
    clock: &Clock,
    drain: &Drain,
    state: State,
) -> Result<(Arc<Gateway>, Arc<Registry>), StartError> {
    let config = &loaded.config;
    let State { audit, metrics, sealer, outside, approvals, tracer, store: _ } = state;
    clear_work_dir(config);
    let tasks = TaskTracker::new();
    let hook = Arc::new(Hook::default());
    let registry = Registry::new(tls, hook.listener());
    let origin = origin(config, bound_origin);
    let upstreams = load::upstreams(config, &origin, &outside).map_err(StartError::Other)?;
    let prepared = registry.prepare(&upstreams).map_err(|error| StartError::Other(error.to_string()))?;
    let world = load::world(loaded, &origin, clock, &outside, prepared.upstreams(), None);
    let world = world.map_err(StartError::Other)?;
    prepared.commit();
    outside.offer(&world);
    let catalog = Arc::new(Catalog::new(metrics.clone(), tasks.clone()));
    hook.attach(&catalog);
    let gateway = Gateway {
        world: ArcSwap::from_pointee(world),
        revised: tokio::sync::watch::Sender::new(()),
        audit,
        limiter: Limiter::new(Monotonic::start()),
        catalog,
        sessions: Sessions::new(),
        sealer,
        desk: outside.desk.clone(),
        approvals,
        metrics,
        clock: clock.clone(),
        tasks,
        cut: CancellationToken::new(),
        drain: drain.clone(),
        server: ServerInfo::GATEWAY,
        cancels: Default::default(),
        questions: Default::default(),
        parked: Default::default(),
        deferred: Default::default(),
        holds: Default::default(),
        sequels: Default::default(),
        streams: Streams::new(),
        arrivals: Arrivals::new(config.limits.in_flight),
        in_flight: Default::default(),
        tracer,
    };
    Ok((Arc::new(gateway), registry))
}

/// What is kept in files, and what stands on it.
struct State {
    audit: Arc<Audit>,
    metrics: Arc<Metrics>,
    sealer: Arc<Sealer>,
    outside: Arc<Outside>,
    approvals: approval::Desk,
    tracer: Option<Arc<Tracer>>,
    store: Store,
}

/// The audit file is locked by whoever writes it, so that from then on nobody else uses this data directory.
async fn state(config: &Config, clock: &Clock, fetch: Fetch, console: Option<String>) -> Result<State, StartError> {
    let audit = Arc::new(super::audit::open(config, clock)?);
    let failed = |error: StoreError| StartError::Other(error.to_string());
    let store = Store::open(&config.data_dir.join("state.db"), clock.clone()).map_err(failed)?;
    let approvals = approval::Desk::open(store.clone(), clock.clone(), audit.clone()).await.map_err(failed)?;
    let lasting = authserver::open(config, &store, clock).await.map_err(StartError::Other)?;
    let metrics = Arc::new(Metrics::new());
    audit.observe(metrics.clone());
    let sealer = Arc::new(Sealer::open(&config.data_dir.join("keys/seal"))?);
    // People link accounts where they can sign in.
    let desk = lasting.as_ref().map(|lasting| linking::desk(config, &lasting.store, &sealer, &metrics, clock, &fetch));
    let desk = desk.transpose().map_err(StartError::Other)?;
    let outside = Outside::new(fetch, &config.data_dir, clock, lasting, desk);
    let outside = Arc::new(outside.with_console(console));
    Ok(State { audit, metrics, sealer, outside, approvals, tracer: None, store })
}

/// Directories of processes that a killed gateway left behind.
fn clear_work_dir(config: &Config) {
    match std::fs::remove_dir_all(load::work_dir(config)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => tracing::warn!(%error, "old working directories stay"),
        _ => {}
    }
}

/// Time a connection may rest between two requests.
const CONNECTION_IDLE: Duration = Duration::from_secs(120);

async fn serve_agents(
    gateway: Arc<Gateway>,
    listener: tokio::net::TcpListener,
    tls: Option<TlsHandle>,
    door: DoorSettings,
    drain: Drain,
) {
    let make = move |peer: server::Peer| {
        let (gateway, held) = (gateway.clone(), gateway.metrics.hold_connection());
        let memory = Arc::new(Memory::of(peer.addr.ip()));
        let certificate = peer.tls.and_then(|tls| tls.client_certificate);
        service_fn(move |mut request: Request<Incoming>| {
            // The gauge counts this connection for as long as its service lives.
            let _ = &held;
            if let Some(certificate) = &certificate {
                request.extensions_mut().insert(certificate.clone());
            }
            gateway.clone().handle(&memory, request).map(Ok::<Response<ReplyBody>, Infallible>)
        })
    };
    server::serve(listener, tls, door, make, drain).await;
}

/// What clients type: the config's `public_url`, or what was bound.
pub(super) fn origin(config: &Config, bound_origin: &str) -> String {
    config.public_url.as_ref().map_or_else(|| bound_origin.to_owned(), crate::config::PublicUrl::origin)
}

fn bound_origin(config: &Config, bound: SocketAddr) -> String {
    let scheme = if matches!(config.tls, Tls::None) { "http" } else { "https" };
    format!("{scheme}://{bound}")
}

fn tls(config: &Config, clock: &Clock) -> Result<Option<TlsHandle>, StartError> {
    let files = tls_files(config, clock)?;
    let handle = files.map(|files| TlsHandle::load(&files, clock)).transpose();
    handle.map_err(|error| StartError::Other(error.to_string()))
}

/// The files of the agents' listener; made when self-signed.
pub(super) fn tls_files(config: &Config, clock: &Clock) -> Result<Option<TlsFiles>, StartError> {
    tls_files_of(&config.tls, &config.data_dir, clock)
}

/// The files of a listener that is encrypted as `tls` says; made below `data_dir` when self-signed.
pub(super) fn tls_files_of(tls: &Tls, data_dir: &Path, clock: &Clock) -> Result<Option<TlsFiles>, StartError> {
    match tls {
        Tls::None => Ok(None),
        Tls::Files { cert, key, client_ca, client_optional } => {
            let (cert, key, client_ca) = (cert.clone(), key.clone(), client_ca.clone());
            Ok(Some(TlsFiles { cert, key, client_ca, client_optional: *client_optional }))
        }
        Tls::SelfSigned => self_signed(data_dir, clock).map(Some).map_err(|error| StartError::Other(error.to_string())),
    }
}

/// Lets `portcullis token` find the audience of a listener whose port the system chose.
fn remember_address(config: &Config, bound: SocketAddr) -> io::Result<()> {
    let dir = config.data_dir.join("run");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("mcp.addr"), bound.to_string())
}
