//! The checked config: what the program works with. Made by [`super::load`] only, so that it cannot be wrong.

mod audit;
mod channel;
mod credential;
mod sink;
mod telemetry;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

pub use self::audit::{Audit, AuditCheckpoints, AuditRetain, AuditRotate, CheckpointExport, CheckpointWebhook, Durability};
pub use self::channel::{Channel, MailTls, Smtp, Way, Webhook, WebhookFormat};
pub use self::credential::{
    ClientProof, Credential, JagSubject, PerUser, ResourceSent, SubjectTokenType, TokenAsked, TokenServer,
};
pub use self::sink::{AuditSink, HttpSink, KafkaSasl, KafkaSink, KafkaTls, OtlpSink, SinkFormat, SinkWay, SyslogSink};
pub use self::telemetry::{LogFormat, Otlp, OtlpProtocol, Telemetry, TraceTrust};
use super::AuthUpstream;
use super::checked_identity::Identity;
use crate::vocab::{Proof, Revision};

/// A checked config. Paths are absolute or start from the directory of the config file; secrets do not print.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The config file itself.
    pub file: PathBuf,
    /// Address agents connect to; port 0 takes any free one.
    pub listen: SocketAddr,
    /// What clients see; absent: derived from the bound address.
    pub public_url: Option<PublicUrl>,
    /// Directory for everything the gateway writes.
    pub data_dir: PathBuf,
    /// How the agents' listener is encrypted.
    pub tls: Tls,
    /// Web origins that may call, as `scheme://host[:port]` in the form browsers send.
    pub allowed_origins: Vec<String>,
    /// Host names or `host:port` clients may use, lower case; empty: derived from `public_url` and `listen`.
    pub allowed_hosts: Vec<String>,
    /// Bounds.
    pub limits: Limits,
    /// How calls wait for approval.
    pub approvals: Approvals,
    /// Who may call.
    pub identity: Identity,
    /// Paths served; unique, at least one.
    pub routes: Vec<Route>,
    /// MCP servers; names unique, at least one.
    pub upstreams: Vec<Upstream>,
    /// Policy files, sorted, at least one.
    pub policies: Vec<PathBuf>,
    /// Policy refusals are recorded and let through.
    pub observe_only: bool,
    /// Files of keys that encrypt what people link, newest first, at least one. A single one may be absent: then it is made.
    pub vault_keys: Vec<PathBuf>,
    /// The authorization server, unless it is off.
    pub authserver: Option<super::authserver::AuthServer>,
    /// What is recorded.
    pub audit: Audit,
    /// Logs.
    pub telemetry: Telemetry,
    /// The operators' listener, unless it is off.
    pub admin: Option<Admin>,
    /// Everything whose change means a reload: the config, policy files and their directories, referenced files,
    /// certificates, keys, key sets. Sorted.
    pub watched: Vec<PathBuf>,
}

/// Whether TLS is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is a URL scheme")]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// The scheme as in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The origin clients see: scheme, host and port, no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Scheme.
    pub scheme: Scheme,
    /// Lower-case host name in ASCII, IPv4 address, or IPv6 address in brackets.
    pub host: String,
    /// Port, unless it is the scheme's own.
    pub port: Option<u16>,
}

impl PublicUrl {
    /// `scheme://host[:port]`, as a browser would put it into `Origin` (RFC 6454 section 6.2).
    pub fn origin(&self) -> String {
        let (scheme, host) = (self.scheme.as_str(), &self.host);
        self.port.map_or_else(|| format!("{scheme}://{host}"), |port| format!("{scheme}://{host}:{port}"))
    }
}

/// Encryption of the agents' listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Certificate and key from PEM files, read again when they change.
    Files {
        /// Certificate chain.
        cert: PathBuf,
        /// Private key; not readable by group or others.
        key: PathBuf,
        /// CAs that client certificates must come from; absent: none asked for.
        client_ca: Option<PathBuf>,
        /// A client may come without a certificate; one that it shows must be of `client_ca` all the same.
        client_optional: bool,
    },
    /// A CA and certificate made under `data_dir`; loopback only.
    SelfSigned,
    /// Plain HTTP.
    None,
}

/// How calls wait for approval.
#[derive(Clone, Debug)]
pub struct Approvals {
    /// Requests of one principal that may be open.
    pub pending_per_principal: usize,
    /// How long a call is held whose client is told of progress.
    pub wait: Duration,
    /// Where approvers are told; names unique.
    pub channels: Vec<Channel>,
}

/// Bounds on what clients and upstreams may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Request body, bytes.
    pub body_bytes: usize,
    /// Answer of an upstream, bytes.
    pub response_bytes: usize,
    /// Nesting of JSON.
    pub depth: usize,
    /// Time for the header of a request.
    pub header_timeout: Duration,
    /// Time for a call, end to end.
    pub call_timeout: Duration,
    /// Silence on a stream before it is closed.
    pub stream_idle: Duration,
    /// Open connections.
    pub connections: usize,
    /// Requests being served.
    pub in_flight: usize,
    /// Legacy sessions of one principal.
    pub sessions_per_principal: usize,
    /// Streams that tell one principal what happens.
    pub streams_per_principal: usize,
    /// Sessions with upstreams.
    pub upstream_sessions: usize,
    /// Child processes.
    pub processes: usize,
}

/// A path served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Exact path.
    pub path: String,
    /// Upstream names, at least one, all known, no two the same.
    pub upstreams: Vec<String>,
    /// Names and URIs go through untouched; there is a single upstream.
    pub bare: bool,
    /// Oldest revision served.
    pub min_version: Revision,
    /// Scopes any request needs.
    pub scopes: Vec<String>,
    /// How a client must show that its credential is its own.
    pub proof: Proof,
}

/// An MCP server.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Unique name, `[a-z][a-z0-9-]{0,31}`.
    pub name: String,
    /// How it is reached.
    pub transport: Transport,
    /// What it is shown.
    pub credential: Credential,
    /// It may be at a private address.
    pub allow_private_addresses: bool,
    /// Time for a call to it.
    pub timeout: Duration,
    /// One session or process serves all principals.
    pub shared: bool,
}

/// How an upstream is reached.
#[derive(Clone)]
pub enum Transport {
    /// Streamable HTTP.
    Http {
        /// Its endpoint. The query may hold a secret.
        url: Url,
        /// The revision it speaks; absent: found out. 2024-11-05 stands for HTTP+SSE, over which later ones may be agreed on.
        dialect: Option<Revision>,
        /// The operator accepts plain HTTP to more than loopback.
        plaintext_ok: bool,
    },
    /// A child process.
    Stdio {
        /// An absolute path, or a bare name to look up in PATH.
        command: PathBuf,
        /// Arguments. May hold secrets.
        args: Vec<String>,
        /// The whole environment given, by name.
        env: Vec<(String, SecretString)>,
        /// Working directory; absent: an empty one under `data_dir`.
        cwd: Option<PathBuf>,
    },
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { url, dialect, plaintext_ok } => {
                let mut shown = url.clone();
                shown.set_query(None);
                let mut out = f.debug_struct("Http");
                out.field("url", &shown.as_str()).field("dialect", dialect).field("plaintext_ok", plaintext_ok).finish()
            }
            Self::Stdio { command, args, env, cwd } => {
                let names: Vec<&str> = env.iter().map(|(name, _)| name.as_str()).collect();
                let mut out = f.debug_struct("Stdio");
                out.field("command", command).field("args", &args.len()).field("env", &names).field("cwd", cwd).finish()
            }
        }
    }
}

/// The operators' listener.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Its address; never the agents' port.
    pub listen: SocketAddr,
    /// Host names operators may use beside the loopback ones and that of `public_url`, lower case.
    pub allowed_hosts: Vec<String>,
    /// What people type; the bound address if there is none.
    pub public_url: Option<PublicUrl>,
    /// How it is encrypted.
    pub tls: Tls,
    /// Where people sign in. Without, on loopback only, a link is printed at the start.
    pub oidc: Option<AuthUpstream>,
    /// Who may do what.
    pub roles: AdminRoles,
}

/// Who may do what at the operators' listener. Whoever is in a later list may do what earlier ones may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminRoles {
    /// Look.
    pub viewer: Vec<RoleMember>,
    /// Decide about approvals.
    pub approver: Vec<RoleMember>,
    /// Everything.
    pub operator: Vec<RoleMember>,
}

/// Whom an entry of a role means. Always as one issuer vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleMember {
    /// Whoever has this value among the groups claim.
    Group {
        /// The issuer.
        iss: String,
        /// The value of the claim.
        name: String,
    },
    /// One subject.
    Sub {
        /// The issuer.
        iss: String,
        /// The subject.
        sub: String,
    },
}
