//! People linking accounts of their own at upstreams: through the socket, with an identity provider and an authorization server.

mod attacks;
pub(crate) mod browser;
mod identities;
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

#[tokio::test]
async fn a_newer_client_is_asked_in_the_result_and_goes_on_with_the_retry() {
    let world = World::start().await;
    let token = world.alice();
    let asked = world.call(&token, "github__echo", "").await;
    let url = question(&asked)["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&world.gate.url("/connect/github?ticket=")), "{url}");
    assert!(!url.contains("alice") && !url.contains("eyJ"), "{url}");
    assert!(question(&asked)["message"].as_str().unwrap().contains("github"));
    assert!(world.gate.up.seen().is_empty(), "nothing left for somebody without an account");

    let mut browser = Browser::of(&world.gate, "alice");
    let page = browser.open(&url).await;
    assert_eq!((page.resp.status, title(&page).as_str()), (200, "Link an account"), "{}", page.resp.whole());
    for shown in ["github", "127.0.0.1", "basic", "alice"] {
        assert!(page.resp.text().contains(shown), "{shown}");
    }
    let csp = page.resp.header("content-security-policy").unwrap();
    assert!(
        csp.contains(&format!("form-action 'self' https: {};", world.issuer.url())) && csp.contains("frame-ancestors 'none'"),
        "{csp}"
    );
    assert!(world.issuer.state.lock().registered.is_empty(), "nothing is registered before somebody wants it");
    let done = browser.press(&page, "plan", "approve").await;
    assert_eq!((done.resp.status, title(&done).as_str()), (200, "Account linked"), "{}", done.resp.whole());

    let state = asked.json()["result"]["requestState"].as_str().unwrap().to_owned();
    let retry = format!(r#""inputResponses":{{"dev.portcullis/link":{{"action":"accept"}}}},"requestState":"{state}","#);
    let called = world.call(&token, "github__echo", &retry).await;
    assert_eq!(called.json()["result"]["content"][0]["text"], "did \"echo\"", "{}", called.whole());
    let calls = world.gate.up.calls();
    assert_eq!(calls.len(), 1);
    assert!(calls[0].header("authorization").unwrap().starts_with("Bearer access-canary-alice-"));
    assert!(!calls[0].body.contains("dev.portcullis") && calls[0].json()["params"].get("requestState").is_none());
    // What was asked of the authorization server.
    {
        let issuer = world.issuer.state.lock();
        let asked = &issuer.authorized[0];
        let resource = format!("http://{}/mcp", world.gate.up.addr);
        assert_eq!((asked["scope"].as_str(), asked["code_challenge_method"].as_str()), ("basic", "S256"));
        assert_eq!((&asked["resource"], &issuer.tokens[0]["resource"]), (&resource, &resource));
        assert_eq!(asked["redirect_uri"], world.gate.url("/connect/callback"));
        assert_eq!(issuer.registered.len(), 1);
    }
    // A state serves once, one call, one person.
    let again = world.call(&token, "github__echo", &retry).await;
    assert_eq!(again.code(), -32602, "{}", again.whole());
    world.apart(&[&asked, &page.resp, &done.resp, &called, &again]).await;
    let returned = |record: &Value| record["method"] == "connect/callback" && record["principal"]["sub"] == "alice";
    soon("the records", || world.gate.records().iter().any(returned)).await;
    let records = world.gate.records();
    let told = records.iter().find(|record| record["outcome"]["error_kind"] == "unlinked").unwrap();
    assert_eq!((&told["decision"]["effect"], &told["upstream"]), (&json!("allow"), &json!("github")));
    assert!(!records.iter().any(|record| record["kind"] == "intent"));
    for action in ["connect/start", "connect/callback"] {
        let record = records.iter().find(|record| record["method"] == action && record["principal"]["sub"] == "alice");
        let record = record.unwrap_or_else(|| panic!("{action}: {records:#?}"));
        assert_eq!((&record["kind"], &record["name"]), (&json!("auth"), &json!("github")));
    }
}

#[tokio::test]
async fn a_client_of_2025_is_told_by_an_error_and_any_other_in_words() {
    let world = World::start().await;
    let token = world.alice();
    let opened = world
        .gate
        .initialize("/mcp", &token, "2025-11-25")
        .edit("\"capabilities\":{}", "\"capabilities\":{\"elicitation\":{\"url\":{}}}");
    let opened = world.gate.reach.send(&opened).await;
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"github__echo","arguments":{}}}"#;
    let request = world.gate.legacy("/mcp", &token, "2025-11-25", &session, call);
    let told = world.gate.reach.send(&request).await;
    assert_eq!(told.code(), -32042, "{}", told.whole());
    let elicitation = &told.json()["error"]["data"]["elicitations"][0];
    assert_eq!(elicitation["mode"], "url");
    assert!(elicitation["elicitationId"].is_string() && elicitation["message"].is_string());

    // Another client of the same person can only be told in words.
    let session = world.gate.session("/mcp", &token, "2025-06-18").await;
    let plain = world.gate.legacy("/mcp", &token, "2025-06-18", &session, call);
    let words = world.gate.reach.send(&plain).await;
    let result = &words.json()["result"];
    assert_eq!(
        (&result["isError"], &result["_meta"]["dev.portcullis/denial"]["reason"]),
        (&json!(true), &json!("upstream_unavailable"))
    );
    let text = result["content"][0]["text"].as_str().unwrap();
    let page = world.gate.url("/connect/github");
    assert!(text.contains(&page) && !text.contains("ticket"), "{text}");
    assert!(world.gate.up.seen().is_empty());

    let mut browser = Browser::of(&world.gate, "alice");
    let screen = browser.open(&page).await;
    let done = browser.press(&screen, "plan", "approve").await;
    assert_eq!(title(&done), "Account linked", "{}", done.resp.whole());
    for request in [request, plain] {
        let called = world.gate.reach.send(&request).await;
        assert_eq!(called.json()["result"]["content"][0]["text"], "did \"echo\"", "{}", called.whole());
    }
    world.apart(&[&told, &words]).await;
}

#[tokio::test]
async fn lists_go_without_an_unlinked_upstream_and_show_the_way_to_link() {
    let world = World::start().await;
    let token = world.alice();
    let names = async |route: &str, token: &str| -> Vec<String> {
        let listed = world.gate.reach.send(&world.gate.modern(route, token, "tools/list", "")).await;
        let tools = listed.json()["result"]["tools"].as_array().unwrap_or_else(|| panic!("{}", listed.whole())).clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).filter(|name| !name.contains("nnn")).collect()
    };
    let listed = names("/mcp", &token).await;
    assert!(
        listed.contains(&"github__portcullis_connect".to_owned()) && listed.contains(&"plain__echo".to_owned()),
        "{listed:?}"
    );
    assert_eq!(listed.iter().filter(|name| name.starts_with("github__")).count(), 1);
    assert_eq!(names("/bare", &token).await, ["portcullis_connect"]);
    assert!(names("/mcp", &world.token("eve", &["visitors"])).await.iter().all(|name| name.starts_with("plain__")));
    let hidden = world.call(&world.token("eve", &["visitors"]), "github__portcullis_connect", "").await;
    assert_eq!(hidden.code(), -32602, "as an unknown name: {}", hidden.whole());
    for method in ["prompts/list", "resources/list"] {
        let listed = world.gate.reach.send(&world.gate.modern("/mcp", &token, method, "")).await;
        assert!(listed.json()["result"].is_object(), "{}", listed.whole());
    }
    assert!(world.gate.up.seen().is_empty());
    question(&world.call(&token, "github__portcullis_connect", "").await);
    // Policy decides before anybody is told anything.
    let denied = world.call(&token, "github__hidden", "").await;
    assert_eq!(denied.code(), -32602, "{}", denied.whole());

    world.linked("alice").await;
    let listed = names("/mcp", &token).await;
    assert!(listed.contains(&"github__echo".to_owned()) && !listed.iter().any(|name| name.contains("portcullis")), "{listed:?}");
    let said = world.call(&token, "github__portcullis_connect", "").await;
    assert_eq!(said.json()["result"]["content"][0]["text"], "Your account at github is linked.", "{}", said.whole());
}

#[tokio::test]
async fn whoever_says_no_is_told_and_not_asked_again() {
    let world = World::start().await;
    let token = world.alice();
    let asked = world.call(&token, "github__echo", "").await;
    let state = asked.json()["result"]["requestState"].as_str().unwrap().to_owned();
    let retry = format!(r#""inputResponses":{{"dev.portcullis/link":{{"action":"decline"}}}},"requestState":"{state}","#);
    let told = world.call(&token, "github__echo", &retry).await;
    assert_eq!(told.json()["result"]["isError"], true, "{}", told.whole());
    // On the page, too.
    let mut browser = Browser::of(&world.gate, "alice");
    let page = browser.open(question(&asked)["url"].as_str().unwrap()).await;
    let left = browser.press(&page, "plan", "deny").await;
    assert_eq!(title(&left), "Not linked", "{}", left.resp.whole());
    assert!(world.issuer.state.lock().authorized.is_empty());
    assert!(world.gate.up.calls().is_empty());
}

#[tokio::test]
async fn a_machine_is_shown_no_page() {
    let world = World::start().await;
    let told = world.call(MACHINE, "github__echo", "").await;
    let text = told.json()["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    assert!(text.contains("person") && !told.text().contains("/connect/"), "{}", told.whole());
}
