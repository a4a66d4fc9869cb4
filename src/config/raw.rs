//! The config file as it is written. Nothing here is checked; every field may be absent.
//!
//! The same structs give the JSON Schema. They have no `Debug`: what is in them may be secret.

pub(super) mod audit;
pub(super) mod authserver;
pub(super) mod channel;
mod credential;
pub(super) mod sink;
pub(super) mod telemetry;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use self::credential::{ClientCredentials, Credential, Header, IdJag, Mtls, PerUser, TokenExchange, TokenServer};
pub(super) use self::telemetry::Telemetry;
pub(super) use super::raw_identity::{ApiKey, Identity, Introspection, Issuer};
use super::shape::{Scalar, Texts, Unbuilt, WordOr};

/// Configuration of a Portcullis gateway. `${env:NAME}` and `${file:PATH}` are replaced in every string value.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Portcullis config", extend("required" = ["version", "tls", "routes", "upstreams", "policies"]))]
pub(super) struct Raw {
    /// Version of this format: 1.
    #[schemars(extend("const" = 1))]
    pub(super) version: Option<u64>,
    /// Address and port for agents. Default 127.0.0.1:8443.
    pub(super) listen: Option<String>,
    /// What clients see: scheme, host and port, no path. Default: from `listen`.
    pub(super) public_url: Option<String>,
    /// Where the gateway keeps what it writes. Default ../data.
    pub(super) data_dir: Option<String>,
    /// Certificate and key, `self_signed` (loopback only) or `none`.
    pub(super) tls: Option<WordOr<Tls>>,
    /// Lets `tls: none` listen on, and `public_url` name, more than loopback without TLS.
    pub(super) danger_plaintext: Option<bool>,
    /// Web origins that may call.
    pub(super) allowed_origins: Option<Vec<String>>,
    /// Host names clients may use. Default: the host of `public_url`, and loopback names when listening on loopback.
    pub(super) allowed_hosts: Option<Vec<String>>,
    /// Bounds on what clients and upstreams may use.
    pub(super) limits: Option<Limits>,
    /// Who may call.
    pub(super) identity: Option<Identity>,
    /// Paths served, and the upstreams behind each.
    pub(super) routes: Option<Vec<Route>>,
    /// MCP servers behind the gateway.
    pub(super) upstreams: Option<Vec<Upstream>>,
    /// Policy files, or directories of them.
    pub(super) policies: Option<Vec<String>>,
    /// Passes what policy refused, and records it. For a first rollout only.
    pub(super) danger_observe_only: Option<bool>,
    /// What is recorded, and how surely.
    pub(super) audit: Option<audit::Audit>,
    /// Where shared state is kept.
    pub(super) state: Option<State>,
    /// Logs, and where traces and metrics go.
    pub(super) telemetry: Option<Telemetry>,
    /// The listener for operators. `none` for no such listener.
    pub(super) admin: Option<WordOr<Admin>>,
    /// Keys of the gateway itself.
    pub(super) keys: Option<Keys>,
    /// The authorization server in front of the identity provider. Off without this section.
    pub(super) authserver: Option<authserver::AuthServer>,
    /// How calls that need a person's approval wait for it.
    pub(super) approvals: Option<Approvals>,
    #[schemars(skip)]
    pub(super) lock: Unbuilt,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Approvals {
    /// Requests of one principal that may wait, or be approved and not yet used. Default 20.
    pub(super) pending_per_principal: Option<u64>,
    /// How long a call is held for its approval where its client is told of progress. Default 45s; 0s for not at all.
    pub(super) wait: Option<String>,
    /// Where approvers are told. Each has a link to the console, where they sign in and decide.
    pub(super) channels: Option<Vec<channel::Channel>>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Keys {
    /// Files of 32 bytes that encrypt what people link, newest first: the first encrypts, all decrypt. Default: one file under
    /// `data_dir`, made when it is absent.
    pub(super) vault: Option<Texts>,
    #[schemars(skip)]
    pub(super) seal: Unbuilt,
    /// PEM file with the Ed25519 key that signs what is in the audit, readable by its owner only. It is best kept off the disk of the
    /// audit. Default: a file under `data_dir`, made when it is absent.
    pub(super) checkpoint: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["cert", "key"]))]
pub(super) struct Tls {
    /// PEM file with the certificate chain.
    pub(super) cert: Option<String>,
    /// PEM file with the private key, readable by its owner only.
    pub(super) key: Option<String>,
    /// PEM file with the CAs of client certificates.
    pub(super) client_ca: Option<String>,
    /// Whether every client must show a certificate. One that is shown must be of `client_ca` either way. Default required.
    #[schemars(extend("enum" = ["required", "optional"]))]
    pub(super) client_certificates: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    /// Request body. Default 4MiB.
    pub(super) body: Option<Scalar>,
    /// Answer of an upstream. Default 16MiB.
    pub(super) response: Option<Scalar>,
    /// Nesting of JSON. Default 64.
    pub(super) depth: Option<u64>,
    /// Time for the header of a request. Default 10s.
    pub(super) header_timeout: Option<String>,
    /// Time for a call. Default 60s.
    pub(super) call_timeout: Option<String>,
    /// Silence on a stream. Default 5m.
    pub(super) stream_idle: Option<String>,
    /// Connections. Default 10000.
    pub(super) connections: Option<u64>,
    /// Requests at once. Default 4096.
    pub(super) in_flight: Option<u64>,
    /// Sessions of one principal. Default 64.
    pub(super) sessions_per_principal: Option<u64>,
    /// Streams open that tell one principal what happens. Default 16.
    pub(super) streams_per_principal: Option<u64>,
    /// Sessions with upstreams. Default 1024.
    pub(super) upstream_sessions: Option<u64>,
    /// Child processes. Default 32.
    pub(super) processes: Option<u64>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["path", "upstreams"]))]
pub(super) struct Route {
    /// Exact path.
    #[schemars(regex(pattern = r"^/"))]
    pub(super) path: Option<String>,
    /// Names of the upstreams behind it.
    pub(super) upstreams: Option<Vec<String>>,
    /// `bare` leaves names and URIs untouched; needs a single upstream.
    #[schemars(extend("const" = "bare"))]
    pub(super) names: Option<String>,
    /// Oldest protocol revision served. Default 2025-03-26.
    #[schemars(with = "Option<crate::vocab::Revision>")]
    pub(super) min_version: Option<String>,
    /// Scopes needed for any request.
    pub(super) scopes: Option<Vec<String>>,
    /// Sender constraint that every credential must meet here. Default none.
    #[schemars(extend("enum" = ["none", "dpop", "mtls", "any"]))]
    pub(super) proof: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name"], "oneOf" = [{"required": ["http"]}, {"required": ["stdio"]}]))]
pub(super) struct Upstream {
    /// Its name, the prefix of its tools.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,31}$"))]
    pub(super) name: Option<String>,
    /// A server reached over Streamable HTTP.
    pub(super) http: Option<Http>,
    /// A server run as a child process.
    pub(super) stdio: Option<Stdio>,
    /// What the gateway shows the server. Default none.
    pub(super) credential: Option<WordOr<Credential>>,
    /// Lets the server be at a private address.
    pub(super) allow_private_addresses: Option<bool>,
    /// Time for a call. Default 30s.
    pub(super) timeout: Option<String>,
    /// One session or process for all principals.
    pub(super) shared: Option<bool>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["url"]))]
pub(super) struct Http {
    /// Its endpoint.
    pub(super) url: Option<String>,
    /// Protocol revision it speaks. Default auto.
    #[schemars(extend("enum" = ["auto", "2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"]))]
    pub(super) dialect: Option<String>,
    /// Lets it be reached without TLS at more than loopback.
    pub(super) danger_plaintext: Option<bool>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["command", "danger_unsandboxed"]))]
pub(super) struct Stdio {
    /// Program: a name looked up in PATH, or a path.
    pub(super) command: Option<String>,
    /// Its arguments.
    pub(super) args: Option<Vec<String>>,
    /// Its environment; nothing else is passed on.
    pub(super) env: Option<BTreeMap<String, String>>,
    /// Its working directory. Default: an empty one under `data_dir`.
    pub(super) cwd: Option<String>,
    /// Runs it with every right the gateway has.
    pub(super) danger_unsandboxed: Option<bool>,
    #[schemars(skip)]
    pub(super) sandbox: Unbuilt,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct State {
    /// File under `data_dir`. Default state.db.
    #[schemars(extend("const" = "state.db"))]
    pub(super) embedded: Option<String>,
    #[schemars(skip)]
    pub(super) redis: Unbuilt,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Admin {
    /// Address and port for operators. Default 127.0.0.1:9443. Away from loopback it needs `public_url`, `tls` and `oidc`.
    pub(super) listen: Option<String>,
    /// Host names operators may use, beside the loopback ones.
    pub(super) allowed_hosts: Option<Vec<String>>,
    /// What people type: scheme, host and port. Default: the bound address.
    pub(super) public_url: Option<String>,
    /// As `tls` of the agents' listener. Default none, which needs a loopback `listen`.
    pub(super) tls: Option<WordOr<Tls>>,
    /// The identity provider where operators and approvers sign in.
    pub(super) oidc: Option<authserver::AuthUpstream>,
    /// Who may do what.
    pub(super) roles: Option<Roles>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Roles {
    /// May look: group:NAME or sub:NAME, with ISSUER# before the name where several issuers are configured.
    pub(super) viewer: Option<Vec<String>>,
    /// May also decide about approvals.
    pub(super) approver: Option<Vec<String>>,
    /// May do everything.
    pub(super) operator: Option<Vec<String>>,
}
