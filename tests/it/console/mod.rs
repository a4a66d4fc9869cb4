//! The console and the admin API through their own door: people who sign in at a provider of the test's own, programs with tokens,
//! and everybody else.

mod access;
mod api;
mod decisions;
mod hostile;
mod leases;
mod link;
mod looking;
mod signing_in;
mod standing;
mod trail;

use serde_json::{Value, json};

use crate::authserver::{Idp, field, form, location};
use crate::cookies::Jar;
use crate::gate::{Files, Gate, soon};
use crate::keys::{self, ED};
use crate::wire::{Req, Resp, SOON};

/// Who may do what here.
const ROLES: &str = r#"roles: { viewer: ["group:staff"], approver: ["group:sre", "group:eng"], operator: ["sub:root"] }"#;

const GATED: &str = r#"
  - id: gated
    effect: allow
    principals: ["group:eng"]
    tools: ["up__delete"]
    classes: [destructive]
    require: { approval: { from: ["group:sre"], expires: 15m } }
  - id: two
    effect: allow
    principals: ["group:eng"]
    tools: ["up__mirror"]
    require: { approval: { from: ["group:sre"], quorum: 2 } }
"#;

/// A gateway with a console, and the provider where people sign in. Agents bring tokens of the same provider.
pub(crate) struct Desk {
    pub(crate) gate: Gate,
    pub(crate) idp: Idp,
}

impl Desk {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With `change` applied to its files.
    pub(crate) async fn with(change: impl FnOnce(&mut Files)) -> Self {
        Self::of_issuer(|files, _| change(files)).await
    }

    /// The same for a `change` that wants the issuer of the provider.
    pub(crate) async fn of_issuer(change: impl FnOnce(&mut Files, &str)) -> Self {
        let idp = Idp::start().await;
        let issuer = idp.issuer();
        let gate = Gate::with(|files| {
            let admin = format!(
                "admin:\n  listen: 127.0.0.1:0\n  oidc: {{ issuer: \"{issuer}\", client_id: gw, client_secret: gw-secret-canary }}\n  {ROLES}\n"
            );
            files.config = files.config.replace("admin: { listen: \"127.0.0.1:0\" }\n", &admin).replace("https://idp.example.com", &issuer);
            assert!(files.config.contains("oidc:"));
            files.policy = files.policy.replace("groups:\n", "groups:\n  sre: { claim: groups, any_of: [sre] }\n") + GATED;
            change(files, &issuer);
        })
        .await;
        Self { gate, idp }
    }

    /// `http://host:port` of the console.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.gate.admin.addr)
    }

    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser { desk: self, cookies: Jar::default() }
    }

    /// The browser of somebody who has signed in.
    pub(crate) async fn person(&self, user: &str, groups: &[&str]) -> Browser<'_> {
        let browser = self.browser();
        let welcome = browser.sign_in(user, groups, "/console/approvals").await;
        assert_eq!(welcome.status, 200, "{}", welcome.whole());
        browser
    }

    /// A token of the provider, for `audience`.
    pub(crate) fn token_for(&self, audience: &Value, sub: &str, groups: &[&str]) -> String {
        let mut claims = keys::claims(audience, sub, groups);
        claims["iss"] = json!(self.idp.issuer());
        ED.token(&keys::header(), &claims)
    }

    /// A token of a program for the admin API.
    pub(crate) fn api_token(&self, sub: &str, groups: &[&str]) -> String {
        self.token_for(&json!([self.origin()]), sub, groups)
    }

    /// Has the agent of `sub` call a tool; what it is told.
    pub(crate) async fn call(&self, sub: &str, tool: &str, arguments: &str) -> Value {
        let token = self.token_for(&json!([self.gate.url("/mcp")]), sub, &["eng"]);
        let got = self.gate.reach.send(&self.gate.call("/mcp", &token, tool, arguments)).await;
        got.json()["result"].clone()
    }

    /// As [`Self::call`], for a call that has to be approved: the id of the request.
    pub(crate) async fn ask(&self, sub: &str, tool: &str, arguments: &str) -> String {
        let told = self.call(sub, tool, arguments).await;
        let denial = &told["_meta"]["dev.portcullis/denial"];
        assert_eq!(denial["reason"], "approval_required", "{told}");
        denial["approval_id"].as_str().unwrap().to_owned()
    }

    /// Puts a config in force in which `from` is `to`, and waits until `done`.
    pub(crate) async fn reload(&self, file: &str, from: &str, to: &str, done: impl AsyncFn() -> bool) {
        let text = std::fs::read_to_string(self.gate.dir.path().join(file)).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        self.gate.reload(file, &text.replace(from, to));
        let waiting = async {
            while !done().await {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, waiting).await.expect("the reload");
    }

    /// The records, once there is one that is `wanted`.
    pub(crate) async fn recorded(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        soon("the record", || self.gate.records().iter().any(&wanted)).await;
        self.gate.records()
    }

    pub(crate) async fn send(&self, request: &Req) -> Resp {
        self.gate.admin.send(request).await
    }

    pub(crate) fn request(&self, method: &str, target: &str) -> Req {
        Req::new(method, target).add("Host", &self.gate.admin.addr.to_string())
    }

    pub(crate) async fn api(&self, token: &str, method: &str, target: &str, body: Option<&str>) -> Resp {
        let mut request = self.request(method, target).add("Authorization", &format!("Bearer {token}"));
        if let Some(body) = body {
            request = request.add("Content-Type", "application/json").body(body);
        }
        self.send(&request).await
    }
}

/// A browser: it keeps cookies and says where forms come from.
pub(crate) struct Browser<'d> {
    pub(crate) desk: &'d Desk,
    pub(crate) cookies: Jar,
}

impl Browser<'_> {
    pub(crate) async fn get(&self, target: &str) -> Resp {
        self.send(self.desk.request("GET", target)).await
    }

    /// Goes through the provider as `user`; what the way back answers.
    pub(crate) async fn sign_in(&self, user: &str, groups: &[&str], next: &str) -> Resp {
        *self.desk.idp.claims.lock() = json!({ "groups": groups });
        let away = self.get(&format!("/console/signin?{}", form(&[("next", next)]))).await;
        assert_eq!(away.status, 303, "{}", away.whole());
        self.get(&self.desk.idp.sign_in(&location(&away), user)).await
    }

    /// A form of ours, as a browser sends it.
    pub(crate) fn form(&self, target: &str, pairs: &[(&str, &str)]) -> Req {
        self.desk
            .request("POST", target)
            .add("Content-Type", "application/x-www-form-urlencoded")
            .add("Origin", &self.desk.origin())
            .add("Sec-Fetch-Site", "same-origin")
            .body(form(pairs))
    }

    /// Decides on the request `id` by the form of its page.
    pub(crate) async fn decide(&self, id: &str, decision: &str, reason: &str) -> Resp {
        let target = format!("/console/approvals/{id}");
        let page = self.get(&target).await;
        let csrf = field(&page, "csrf");
        if decision == "withdraw" {
            return self.send(self.form(&format!("{target}/withdraw"), &[("csrf", &csrf)])).await;
        }
        self.send(self.form(&target, &[("csrf", &csrf), ("decision", decision), ("reason", reason)])).await
    }

    /// The token of its session's forms.
    pub(crate) async fn csrf(&self) -> String {
        field(&self.get("/console/audit").await, "csrf")
    }

    pub(crate) async fn send(&self, request: Req) -> Resp {
        let got = self.desk.send(&self.cookies.onto(request)).await;
        self.cookies.keep(&got, |name| match name {
            "portcullis-console" => &["Path=/", "HttpOnly", "SameSite=Strict"],
            _ => &["Path=/", "HttpOnly", "SameSite=Lax"],
        });
        got
    }
}
