//! The real program with everything on that writes, and everything that it wrote.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::authserver::Idp;
use crate::gate::{Files, Gate, soon};
use crate::keys::{self, ED};
use crate::peer::{Answer, Peer};
use crate::wire::{Req, Resp};

/// A gateway whose every word is kept.
pub(super) struct Place {
    pub(super) gate: Gate,
    pub(super) idp: Idp,
    /// What records and what telemetry go to.
    pub(super) sink: Peer,
    pub(super) collector: Peer,
    /// Of alice.
    pub(super) token: String,
    /// Of alice, on `/mcp`.
    pub(super) session: String,
    asked: AtomicUsize,
}

pub(super) const IDENTITY_PROVIDER: &str = "identity provider";

const RULES: &str = r#"
  - id: gated
    effect: allow
    principals: ["group:eng"]
    tools: ["up__delete"]
    classes: [destructive]
    require: { approval: { from: ["group:sre"] } }
  - { id: shown, effect: allow, principals: ["group:eng"], tools: ["up__mirror"], require: { audit: [/note] } }
"#;

/// A process that says what it was given, on both of its outputs.
pub(super) const TALKER: &str =
    r#"for word in "$@"; do printf '%s\n' "$word" >&2; printf '%s\n' "$word"; done; env >&2; cat > /dev/null"#;

fn ok() -> Answer {
    Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n".to_vec())
}

impl Place {
    /// With the log in `format`, and `change` applied to its files.
    pub(super) async fn start(format: &str, change: impl FnOnce(&mut Files)) -> Self {
        let (idp, sink, collector) = (Idp::start().await, Peer::start(|_| ok()).await, Peer::start(|_| ok()).await);
        let issuer = idp.issuer();
        let tee = |dir: &Path| {
            let script = format!("exec \"$@\" > >(exec tee -p {})", dir.join("stdout").display());
            ["bash", "-c", &script, "bash"].map(str::to_owned).to_vec()
        };
        let gate = Gate::wrapped(tee, |files| {
            let roles = r#"roles: { viewer: ["group:staff"], approver: ["group:sre"], operator: ["sub:root"] }"#;
            let admin = format!(
                "admin: {{ listen: \"127.0.0.1:0\", oidc: {{ issuer: \"{issuer}\", client_id: gw, client_secret: s }}, {roles} }}\n"
            );
            files.config = files
                .config
                .replace("admin: { listen: \"127.0.0.1:0\" }\n", &admin)
                .replace("https://idp.example.com", &issuer)
                .replace("tls: self_signed", "tls: none")
                .replace("depth: 64,", "depth: 64, body: 16KiB, call_timeout: 1s,")
                .replace(" call_timeout: 10s", "");
            files.config.push_str(&format!(
                r#"
audit:
  sinks: [{{ file: audit }}, {{ stdout: {{}} }}, {{ http: {{ url: "http://{}/in", secret: 0123456789abcdef }} }}]
  checkpoints: {{ every: 100ms }}
  record_arguments: [/shown]
telemetry:
  log: trace
  log_format: {format}
  otlp: {{ endpoint: "http://{}/", metrics_every: 1s }}
  trace_sample: 1
  trust_trace_context: all
authserver:
  upstream: {{ issuer: "{issuer}", client_id: gw, client_secret: s }}
  clients: [{{ client_id: web, redirect_uris: ["https://web.example/cb"] }}]
"#,
                sink.addr, collector.addr
            ));
            files.policy = files.policy.replace("groups:\n", "groups:\n  sre: { claim: groups, any_of: [sre] }\n") + RULES;
            change(files);
        })
        .await;
        let mut place =
            Self { gate, idp, sink, collector, token: String::new(), session: String::new(), asked: AtomicUsize::new(0) };
        place.token = place.token_of("alice", &["eng"]);
        place.session = place.gate.session("/mcp", &place.token, "2025-11-25").await;
        place
    }

    pub(super) fn claims(&self, sub: &str, groups: &[&str]) -> Value {
        let audience = json!([format!("http://{}/mcp", self.gate.authority()), format!("http://{}", self.gate.admin.addr)]);
        let mut claims = keys::claims(&audience, sub, groups);
        claims["iss"] = json!(self.idp.issuer());
        claims
    }

    pub(super) fn token_of(&self, sub: &str, groups: &[&str]) -> String {
        ED.token(&keys::header(), &self.claims(sub, groups))
    }

    /// A token of somebody who has asked for nothing yet.
    pub(super) fn eager(&self, _: &str) -> String {
        self.token_of(&format!("eager-{}", self.asked.fetch_add(1, Ordering::Relaxed)), &["eng"])
    }

    pub(super) fn admin(&self, method: &str, target: &str) -> Req {
        Req::new(method, target).add("Host", &self.gate.admin.addr.to_string())
    }

    /// As somebody who may do everything there.
    pub(super) fn operator(&self, method: &str, target: &str) -> Req {
        let token = self.token_of("root", &["staff", "sre"]);
        self.admin(method, target).add("Authorization", &format!("Bearer {token}"))
    }

    /// What operators see, and what the command line says of the log.
    async fn shown(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = Vec::new();
        for target in [
            "/metrics",
            "/readyz",
            "/api/v1/audit",
            "/api/v1/events?limit=200",
            "/api/v1/approvals?limit=200",
            "/api/v1/upstreams",
            "/api/v1/tools",
            "/api/v1/policy",
            "/api/v1/notices",
        ] {
            let got: Resp = self.gate.admin.send(&self.operator("GET", target)).await;
            all.push((target.to_owned(), got.whole().into_bytes()));
        }
        let log = self.gate.dir.path().join("data/audit").display().to_string();
        for words in [
            ["show", "--limit", "100000", "--log", &log],
            ["stats", "--top", "1000", &log, "--json"],
            ["stats", "--by", "name,principal", &log, "--top=100"],
        ] {
            let ran =
                tokio::process::Command::new(env!("CARGO_BIN_EXE_portcullis")).arg("audit").args(words).output().await.unwrap();
            all.push((format!("audit {}", words[0]), [ran.stdout, ran.stderr].concat()));
        }
        all
    }

    /// Ends the program; everything that it has said anywhere, by place.
    pub(super) async fn end(&mut self) -> Vec<(String, Vec<u8>)> {
        let mut all = self.shown().await;
        assert_eq!(self.gate.terminate().await, Some(0));
        for (place, peer) in [("sink", &self.sink), ("collector", &self.collector), (IDENTITY_PROVIDER, &self.idp.peer)] {
            all.extend(peer.seen().iter().map(|seen| (place.to_owned(), seen.whole().into_bytes())));
        }
        all.push(("log".to_owned(), self.gate.log().into_bytes()));
        let stdout = self.gate.dir.path().join("stdout");
        let whole = || fs::read_to_string(&stdout).unwrap().lines().count() > self.gate.records().len();
        soon("tee wrote it", whole).await;
        all.push(("stdout".to_owned(), fs::read(&stdout).unwrap()));
        files(&self.gate.dir.path().join("data"), &mut all);
        all
    }
}

/// Every file below `dir`.
fn files(dir: &Path, all: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, all);
        } else {
            all.push((path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()));
        }
    }
}
