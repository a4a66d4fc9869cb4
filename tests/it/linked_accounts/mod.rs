//! People linking accounts of their own at upstreams: through the socket, with an identity provider and an authorization server.

mod attacks;
pub(crate) mod browser;
mod identities;
mod linking;
mod offboarding;
pub(crate) mod servers;
mod tokens;

use browser::{Browser, Screen};
use serde_json::{Value, json};
use servers::{Idp, Issuer, guarded, provider};

use crate::gate::{Gate, soon};
use crate::keys;
use crate::peer::Peer;
use crate::wire::Resp;

const CONFIG: &str = r#"
version: 1
listen: 127.0.0.1:0
data_dir: data
tls: self_signed
telemetry: { log: debug }
identity:
  revocations: revoked.yaml
  issuers: [{ issuer: "IDP", jwks: "file:jwks.json", algorithms: [EdDSA] }]
  api_keys: [{ id: machine, name: ci, hash: "sha256:HASH", groups: [eng] }]
authserver: { upstream: { issuer: "IDP", client_id: gw, algorithms: [EdDSA] } }
routes:
  - { path: /mcp, upstreams: [github, plain] }
  - { path: /bare, upstreams: [github], names: bare }
upstreams:
  - { name: github, http: { url: "http://UP/mcp" }, credential: { per_user: { issuer: "ISSUER" } } }
  - { name: plain, http: { url: "http://OLD/mcp" } }
policies: [policy.yaml]
admin: { listen: "127.0.0.1:0" }
"#;

const POLICY: &str = r#"
version: 1
groups: { eng: { claim: groups, any_of: [eng] }, visitors: { claim: groups, any_of: [visitors] } }
tools: [{ match: ["*__echo"], class: read }, { match: ["*__write"], class: write }]
rules:
  - id: eng
    effect: allow
    principals: ["group:eng"]
    tools: ["*"]
    classes: [read, write]
    prompts: ["*"]
    resources: ["*"]
    require: { limit: [{ calls: 1000, per: 1h, by: [principal] }] }
  - { id: visitors, effect: allow, principals: ["group:visitors"], tools: ["plain__*"] }
  - { id: never, effect: deny, tools: ["github__hidden"] }
"#;

/// The key `pck_machine_...` of the config.
const MACHINE: &str = "pck_machine_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct World {
    gate: Gate,
    idp: Peer,
    provider: std::sync::Arc<parking_lot::Mutex<Idp>>,
    issuer: Issuer,
}

impl World {
    /// As the real program, whose log [`Self::apart`] looks at too.
    async fn start() -> Self {
        Self::run(true, CONFIG).await
    }

    /// In process, so that it reloads when it is told to.
    async fn here() -> Self {
        Self::run(false, CONFIG).await
    }

    async fn run(program: bool, config: &str) -> Self {
        let ((idp, provider), issuer) = (provider().await, Issuer::start().await);
        let hash: String = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, MACHINE.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let (idp_url, issuer_url) = (format!("http://{}", idp.addr), issuer.url());
        let change = |files: &mut crate::gate::Files| {
            let urls: Vec<&str> =
                files.config.split("url: \"http://").skip(1).map(|rest| rest.split('/').next().unwrap()).collect();
            let config = config.replace("//UP/", &format!("//{}/", urls[0])).replace("//OLD/", &format!("//{}/", urls[1]));
            let config = config.replace("IDP", &idp_url).replace("HASH", &hash);
            files.config = config.replace("ISSUER", &issuer_url);
            files.policy = POLICY.to_owned();
            files.more = vec![("revoked.yaml".into(), "[]".into())];
        };
        let gate = if program { Gate::program(change).await } else { Gate::with(change).await };
        gate.up.behave(guarded(&issuer.state, &issuer.url()));
        Self { gate, idp, provider, issuer }
    }

    fn token(&self, sub: &str, groups: &[&str]) -> String {
        let mut claims = keys::claims(&json!([self.gate.url("/mcp"), self.gate.url("/bare")]), sub, groups);
        claims["iss"] = format!("http://{}", self.idp.addr).into();
        keys::ED.token(&keys::header(), &claims)
    }

    fn alice(&self) -> String {
        self.token("alice", &["eng"])
    }

    /// A call of a 2026-07-28 client that can be sent to a URL; `more` are members of `params`, each with a comma.
    async fn call(&self, token: &str, tool: &str, more: &str) -> Resp {
        let params = format!(r#""name":"{tool}","arguments":{{}},{more}"#);
        let request = self.gate.modern("/mcp", token, "tools/call", &params).add("Mcp-Name", tool);
        let caps = "\"io.modelcontextprotocol/clientCapabilities\":{";
        self.gate.reach.send(&request.edit(caps, &format!("{caps}\"elicitation\":{{\"url\":{{}}}}"))).await
    }

    /// Waits until a call of `token` ends as `kind` says.
    async fn until(&self, token: &str, kind: &str) {
        let tried = async {
            while self.call(token, "github__echo", "").await.json()["result"]["resultType"] != kind {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(crate::wire::SOON, tried).await.unwrap_or_else(|_| panic!("never {kind}"));
    }

    /// The page that a call of `token` is led to.
    async fn link(&self, token: &str) -> String {
        question(&self.call(token, "github__echo", "").await)["url"].as_str().unwrap().to_owned()
    }

    /// Links an account for `sub` in a browser of theirs.
    async fn linked(&self, sub: &str) -> Browser<'_> {
        let mut browser = Browser::of(&self.gate, sub);
        let url = self.link(&self.token(sub, &["eng"])).await;
        let page = browser.open(&url).await;
        let done = browser.press(&page, "plan", "approve").await;
        assert_eq!(title(&done), "Account linked", "{}", done.resp.whole());
        browser
    }

    /// Tokens that reached the upstream.
    fn shown(&self) -> Vec<String> {
        let bearer = |seen: &crate::peer::Seen| seen.header("authorization").map(str::to_owned);
        self.gate.up.calls().iter().filter_map(bearer).collect()
    }

    /// Nothing secret in any answer, record, metric or log; nothing of a client upstream.
    async fn apart(&self, answers: &[&Resp]) {
        let answers: String = answers.iter().map(|answer| answer.whole()).collect();
        let metrics = self.gate.admin("/metrics").await.text();
        let log = match &self.gate.run {
            crate::gate::Run::Process(_) => self.gate.log(),
            crate::gate::Run::Here(_) => String::new(),
        };
        let places = [("answers", &answers), ("records", &self.gate.audit_text()), ("metrics", &metrics), ("log", &log)];
        for (place, text) in places {
            for canary in [
                "access-canary",
                "refresh-canary",
                "secret-canary",
                "challenge-canary",
                "text-canary",
                "idp-access",
                "jag-canary",
                "eyJ",
            ] {
                assert!(!text.contains(canary), "{canary} in the {place}");
            }
        }
        let outward: String = self.gate.up.seen().iter().chain(&self.issuer.peer.seen()).map(crate::peer::Seen::whole).collect();
        for part in self.alice().split('.').take(2) {
            assert!(!outward.contains(part), "a client's token went out");
        }
        assert!(!self.gate.old.seen().iter().any(|seen| seen.whole().contains("access-canary")));
    }
}

fn title(screen: &Screen) -> String {
    let text = screen.resp.text();
    text.split("<title>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default().to_owned()
}

/// The one question of the gateway's own, which must be all that is asked.
fn question(resp: &Resp) -> Value {
    let result = &resp.json()["result"];
    assert_eq!(result["resultType"], "input_required", "{}", resp.whole());
    let asked = result["inputRequests"].as_object().unwrap();
    assert_eq!(asked.len(), 1);
    let request = &asked["dev.portcullis/link"];
    assert_eq!((&request["method"], &request["params"]["mode"]), (&json!("elicitation/create"), &json!("url")));
    request["params"].clone()
}
