//! The authorization server through its door: a provider of the test's own, browsers with cookies, clients with PKCE.

mod attacks;
mod clients;
mod flow;
mod offboarding;
mod redirects;
mod rust_sdk;

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use url::Url;

use crate::cookies::Jar;
use crate::gate::{Files, Gate};
use crate::keys::{self, ED, b64, now_s};
use crate::peer::{Answer, Peer, Seen};
use crate::wire::{Req, Resp};

/// Where codes of the configured client go.
pub(crate) const CALLBACK: &str = "https://client.example/cb";
const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more-";

/// By code: what it was given out for.
type Codes = BTreeMap<String, (String, String, String)>;

/// The identity provider. People do not meet its pages: a test says who signs in.
pub(crate) struct Idp {
    pub(crate) peer: Peer,
    codes: Arc<Mutex<Codes>>,
    /// Changes the claims of the next ID tokens.
    pub(crate) claims: Arc<Mutex<Value>>,
    made: Mutex<u32>,
}

impl Idp {
    pub(crate) async fn start() -> Self {
        let peer = Peer::start(|_| Answer::Json(500, "", String::new())).await;
        let idp = Self { codes: Arc::default(), claims: Arc::new(Mutex::new(json!({}))), made: Mutex::new(0), peer };
        let (issuer, codes, claims) = (idp.issuer(), idp.codes.clone(), idp.claims.clone());
        idp.peer.behave(move |seen| answer(seen, &issuer, &codes, &claims));
        idp
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.peer.addr)
    }

    /// What the provider does when `user` signs in after a redirect to `location`: the path and query of our callback.
    pub(crate) fn sign_in(&self, location: &str, user: &str) -> String {
        let asked = Url::parse(location).unwrap();
        assert!(location.starts_with(&format!("{}/authorize?", self.issuer())), "{location}");
        let get = |name: &str| query(location, name).unwrap_or_else(|| panic!("{name} in {location}"));
        assert_eq!(
            (get("response_type"), get("client_id"), get("code_challenge_method")),
            ("code".into(), "gw".into(), "S256".into())
        );
        let code = {
            let mut made = self.made.lock();
            *made += 1;
            format!("idp-code-{made}")
        };
        self.codes.lock().insert(code.clone(), (get("nonce"), get("code_challenge"), user.to_owned()));
        let back = Url::parse(&get("redirect_uri")).unwrap();
        drop(asked);
        format!("{}?code={code}&state={}&iss={}", back.path(), get("state"), self.issuer())
    }
}

fn answer(
    seen: &Seen,
    issuer: &str,
    codes: &Mutex<BTreeMap<String, (String, String, String)>>,
    changed: &Mutex<Value>,
) -> Answer {
    let ok = |body: Value| Answer::Json(200, "", body.to_string());
    match seen.target.as_str() {
        "/.well-known/openid-configuration" => ok(json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"), "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"), "authorization_response_iss_parameter_supported": true,
        })),
        "/jwks" => ok(serde_json::from_str(&keys::jwks()).unwrap()),
        "/token" => {
            let form: BTreeMap<String, String> = url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect();
            let basic = base64::engine::general_purpose::STANDARD.encode("gw:gw-secret-canary");
            let (Some((nonce, challenge, user)), true) =
                (codes.lock().remove(&form["code"]), seen.header("authorization") == Some(&format!("Basic {basic}")))
            else {
                return Answer::Json(400, "", r#"{"error":"invalid_grant"}"#.to_owned());
            };
            if b64(sha256(&form["code_verifier"])) != challenge {
                return Answer::Json(400, "", r#"{"error":"invalid_grant"}"#.to_owned());
            }
            let mut claims = json!({
                "iss": issuer, "aud": "gw", "sub": user, "exp": now_s() + 300, "iat": now_s(), "nonce": nonce,
                "groups": ["eng"], "name": format!("User {user}"), "email": format!("{user}@example.com"),
            });
            for (name, value) in changed.lock().as_object().unwrap() {
                claims[name] = value.clone();
            }
            let token = ED.token(&json!({"alg": "EdDSA", "kid": "ed", "typ": "JWT"}), &claims);
            ok(json!({"access_token": "idp-access-canary", "token_type": "Bearer", "id_token": token}))
        }
        _ => Answer::Json(404, "", String::new()),
    }
}

pub(crate) fn sha256(text: &str) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref().to_vec()
}

/// The parameter `name` of a URL.
pub(crate) fn query(url: &str, name: &str) -> Option<String> {
    let query = url.split_once('?')?.1;
    url::form_urlencoded::parse(query.as_bytes()).find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// A gateway with an authorization server, and its provider.
pub(crate) struct Realm {
    pub(crate) gate: Gate,
    pub(crate) idp: Idp,
}

impl Realm {
    pub(crate) async fn start() -> Self {
        Self::with("", |_| {}).await
    }

    /// With more lines in the section, and other files.
    pub(crate) async fn with(more: &str, change: impl FnOnce(&mut Files)) -> Self {
        let idp = Idp::start().await;
        let hash: String = sha256("client-secret").iter().map(|b| format!("{b:02x}")).collect();
        let section = format!(
            r#"
authserver:
  upstream: {{ issuer: "{}", client_id: gw, client_secret: gw-secret-canary }}
  scopes: {{ "mcp:read": "Read with tools" }}
  clients:
    - {{ client_id: web, name: "Web <b>client</b>", redirect_uris: ["{CALLBACK}", "http://127.0.0.1/native"] }}
    - {{ client_id: other, name: Other, redirect_uris: ["https://other.example/cb"] }}
    - {{ client_id: keyed, jwks: "file:jwks.json", grants: [client_credentials, jwt_bearer] }}
    - {{ client_id: secretive, secret_hash: "sha256:{hash}", redirect_uris: ["https://secretive.example/cb"] }}
{more}"#,
            idp.issuer()
        );
        let gate = Gate::with(|files| {
            files.config.push_str(&section);
            change(files);
        })
        .await;
        Self { gate, idp }
    }

    pub(crate) fn origin(&self) -> String {
        self.gate.url("")
    }

    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser { realm: self, cookies: Jar::default() }
    }

    /// A good authorization request, with changes: an empty value leaves a parameter out.
    pub(crate) fn authorize(&self, changes: &[(&str, &str)]) -> String {
        let (challenge, resource) = (b64(sha256(VERIFIER)), self.gate.url("/mcp"));
        let mut pairs: Vec<(&str, &str)> = vec![
            ("response_type", "code"),
            ("client_id", "web"),
            ("redirect_uri", CALLBACK),
            ("state", "client-state"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", &resource),
            ("scope", "mcp:read"),
        ];
        for (name, value) in changes {
            pairs.retain(|(n, _)| n != name);
            if !value.is_empty() {
                pairs.push((name, value));
            }
        }
        format!("/oauth/authorize?{}", form(&pairs))
    }

    pub(crate) async fn post(&self, path: &str, pairs: &[(&str, &str)]) -> Resp {
        self.gate.reach.send(&self.form(path, pairs)).await
    }

    pub(crate) fn form(&self, path: &str, pairs: &[(&str, &str)]) -> Req {
        Req::new("POST", path)
            .add("Host", &self.gate.authority())
            .add("Content-Type", "application/x-www-form-urlencoded")
            .body(form(pairs))
    }

    /// A token request for `code`, with changes.
    pub(crate) async fn redeem(&self, code: &str, changes: &[(&str, &str)]) -> Resp {
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("client_id", "web"),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", CALLBACK),
        ];
        for (name, value) in changes {
            pairs.retain(|(n, _)| n != name);
            if !value.is_empty() {
                pairs.push((name, value));
            }
        }
        self.post("/oauth/token", &pairs).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Resp {
        self.post("/oauth/token", &[("grant_type", "refresh_token"), ("client_id", "web"), ("refresh_token", token)]).await
    }

    /// The status of a call with `token`.
    pub(crate) async fn call(&self, token: &str) -> u16 {
        let call = self.gate.call("/mcp", token, "up__echo", r#"{"path":"/srv/x"}"#);
        self.gate.reach.send(&call).await.status
    }

    /// Everything that `user` does for a code of the request `asked`: the answer that goes to the client.
    pub(crate) async fn code(&self, browser: &Browser<'_>, asked: &str, user: &str) -> String {
        let page = browser.get(asked).await;
        assert_eq!(page.status, 200, "{}", page.whole());
        let mut next = browser.decide(&page, "allow").await;
        if location(&next).starts_with(&self.idp.issuer()) {
            next = browser.get(&self.idp.sign_in(&location(&next), user)).await;
        }
        assert_eq!(next.status, 303, "{}", next.whole());
        location(&browser.get(location(&next).strip_prefix(&self.origin()).unwrap()).await)
    }

    /// Access and refresh token of `user` for the client `web`.
    pub(crate) async fn tokens(&self, browser: &Browser<'_>, user: &str) -> (String, String) {
        let answer = self.code(browser, &self.authorize(&[]), user).await;
        let got = self.redeem(&query(&answer, "code").unwrap(), &[]).await;
        assert_eq!(got.status, 200, "{}", got.whole());
        let text = |name: &str| got.json()[name].as_str().unwrap().to_owned();
        (text("access_token"), text("refresh_token"))
    }
}

/// A browser: it keeps cookies and says where forms come from.
pub(crate) struct Browser<'r> {
    realm: &'r Realm,
    pub(crate) cookies: Jar,
}

impl Browser<'_> {
    pub(crate) async fn get(&self, target: &str) -> Resp {
        self.send(Req::new("GET", target).add("Host", &self.realm.gate.authority())).await
    }

    /// Sends the form of a consent page.
    pub(crate) async fn decide(&self, page: &Resp, decision: &str) -> Resp {
        self.send(self.decision(page, decision)).await
    }

    pub(crate) fn decision(&self, page: &Resp, decision: &str) -> Req {
        let (request, csrf) = (field(page, "request"), field(page, "csrf"));
        self.realm
            .form("/oauth/authorize", &[("request", &request), ("csrf", &csrf), ("decision", decision)])
            .add("Origin", &self.realm.origin())
            .add("Sec-Fetch-Site", "same-origin")
    }

    pub(crate) async fn send(&self, request: Req) -> Resp {
        let got = self.realm.gate.reach.send(&self.cookies.onto(request)).await;
        self.cookies.keep(&got, |name| {
            assert!(name.starts_with("__Host-"), "{name}");
            &["Path=/", "Secure", "HttpOnly", "SameSite=Lax"]
        });
        got
    }
}

/// The value of a hidden field.
pub(crate) fn field(page: &Resp, name: &str) -> String {
    let text = page.text();
    let start = format!("name=\"{name}\" value=\"");
    let rest = text.split_once(&start).unwrap_or_else(|| panic!("{name} in {text}")).1;
    rest.split_once('"').unwrap().0.to_owned()
}

pub(crate) fn location(answer: &Resp) -> String {
    answer.header("location").unwrap_or_else(|| panic!("no location: {}", answer.whole())).to_owned()
}
