//! A small identity provider and a small authorization server of an upstream, which check what they are sent and remember it.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use url::Url;

use crate::keys::{self, b64, now_s};
use crate::peer::{Answer, Peer, Seen, modern};

/// An identity provider, and what it was asked.
pub(crate) struct Idp {
    /// Seconds that the ID token of a sign-in lives; those that are renewed live ten minutes.
    pub(crate) life_s: u64,
    /// Whether it gives refresh tokens.
    pub(crate) refreshes: bool,
    /// Every token request.
    pub(crate) asked: Vec<HashMap<String, String>>,
    codes: HashMap<String, (String, String)>,
    refresh: HashMap<String, String>,
    /// ID tokens that it made, and whose they are.
    made: HashMap<String, String>,
}

/// Signs in whoever sits in front of the browser, at once.
pub(crate) async fn provider() -> (Peer, Arc<Mutex<Idp>>) {
    let (codes, refresh, made) = Default::default();
    let idp = Arc::new(Mutex::new(Idp { life_s: 60, refreshes: false, asked: Vec::new(), codes, refresh, made }));
    let state = idp.clone();
    let peer = Peer::start(move |seen| state.lock().answer(seen)).await;
    (peer, idp)
}

impl Idp {
    fn answer(&mut self, seen: &Seen) -> Answer {
        let own = format!("http://{}", seen.header("host").unwrap());
        let (path, query) = (path(seen), params(seen));
        match (seen.verb.as_str(), path.as_str()) {
            ("GET", "/.well-known/openid-configuration") => ok(&json!({
                "issuer": own, "authorization_endpoint": format!("{own}/authorize"), "token_endpoint": format!("{own}/token"),
                "jwks_uri": format!("{own}/jwks"),
            })),
            ("GET", "/jwks") => Answer::Json(200, "", keys::jwks()),
            ("GET", "/authorize") => {
                let code = format!("idp-{}", self.codes.len());
                self.codes.insert(code.clone(), (seen.header("x-person").unwrap().to_owned(), query["nonce"].clone()));
                redirect(&query["redirect_uri"], &[("code", &code), ("state", &query["state"])])
            }
            ("POST", "/token") => match self.token(&form(seen), &own) {
                Some(tokens) => ok(&tokens),
                None => Answer::Json(400, "", json!({"error": "invalid_grant", "error_description": "text-canary"}).to_string()),
            },
            _ => Answer::Json(404, "", "{}".to_owned()),
        }
    }

    fn token(&mut self, form: &HashMap<String, String>, own: &str) -> Option<Value> {
        self.asked.push(form.clone());
        let (sub, nonce, life_s) = match form["grant_type"].as_str() {
            "authorization_code" => {
                let (sub, nonce) = self.codes.remove(&form["code"])?;
                (sub, Some(nonce), self.life_s)
            }
            "refresh_token" => (self.refresh.remove(&form["refresh_token"])?, None, 600),
            _ => {
                // An ID-JAG, for an ID token of its own.
                let sub = self.made.get(&form["subject_token"])?;
                let jag = format!("jag-canary.{sub}.{}", self.asked.len());
                let kind = "urn:ietf:params:oauth:token-type:id-jag";
                return Some(json!({"access_token": jag, "token_type": "N_A", "issued_token_type": kind, "expires_in": 300}));
            }
        };
        let mut claims = json!({
            "iss": own, "sub": sub, "aud": "gw", "iat": now_s(), "exp": now_s() + life_s, "name": sub, "jti": self.asked.len(),
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        let id_token = keys::ED.token(&json!({"alg": "EdDSA", "kid": "ed"}), &claims);
        self.made.insert(id_token.clone(), sub.clone());
        let mut answer = json!({"access_token": "idp-access", "token_type": "Bearer", "id_token": id_token});
        if self.refreshes {
            let refresh = format!("refresh-canary-idp-{}", self.asked.len());
            answer["refresh_token"] = refresh.clone().into();
            self.refresh.insert(refresh, sub);
        }
        Some(answer)
    }
}

/// The authorization server of an upstream.
pub(crate) struct Issuer {
    pub(crate) peer: Peer,
    pub(crate) state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(crate) struct State {
    /// Members of the metadata that are other than usual.
    pub(crate) metadata: Value,
    /// Seconds that the first access token of a grant lives; 0 is an hour.
    pub(crate) life_s: u64,
    /// What authorization responses say instead of the usual parameters.
    pub(crate) respond: Option<Vec<(&'static str, Option<String>)>>,
    /// Every authorization request.
    pub(crate) authorized: Vec<HashMap<String, String>>,
    /// Every token request.
    pub(crate) tokens: Vec<HashMap<String, String>>,
    pub(crate) refreshes: usize,
    pub(crate) registered: Vec<Value>,
    /// Clients and their secrets; every registration makes another.
    pub(crate) clients: HashMap<String, String>,
    pub(crate) revoked: Vec<String>,
    /// Access tokens that hold, and the scopes they have.
    pub(crate) holds: HashMap<String, String>,
    /// Refresh tokens: the client, the person and the scope they are of.
    refresh: HashMap<String, (String, String, String)>,
    codes: HashMap<String, (String, HashMap<String, String>)>,
    made: usize,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let behave = state.clone();
        let peer = Peer::start(move |seen| behave.lock().answer(seen)).await;
        Self { peer, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.peer.addr)
    }
}

impl State {
    pub(crate) fn forget_refresh_tokens(&mut self) {
        self.refresh.clear();
    }

    fn answer(&mut self, seen: &Seen) -> Answer {
        let own = format!("http://{}", seen.header("host").unwrap());
        match (seen.verb.as_str(), path(seen).as_str()) {
            ("GET", "/.well-known/oauth-authorization-server") => {
                let mut metadata = json!({
                    "issuer": own, "authorization_endpoint": format!("{own}/authorize"), "token_endpoint": format!("{own}/token"),
                    "registration_endpoint": format!("{own}/register"), "revocation_endpoint": format!("{own}/revoke"),
                    "code_challenge_methods_supported": ["S256"], "authorization_response_iss_parameter_supported": true,
                    "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                });
                for (name, value) in self.metadata.as_object().into_iter().flatten() {
                    metadata[name] = value.clone();
                }
                ok(&metadata)
            }
            ("POST", "/register") => {
                self.registered.push(seen.json());
                let n = self.registered.len();
                let (id, secret) = (format!("registered-{n}"), format!("registered-secret-canary-{n}"));
                let body = json!({"client_id": id, "client_secret": secret, "token_endpoint_auth_method": "client_secret_basic"});
                self.clients.insert(id, secret);
                Answer::Json(201, "", body.to_string())
            }
            ("GET", "/authorize") => self.authorize(seen, &own),
            ("POST", "/token") => {
                let form = form(seen);
                self.tokens.push(form.clone());
                match self.token(seen, &form) {
                    Ok(answer) => ok(&answer),
                    Err(error) => Answer::Json(400, "", json!({"error": error, "error_description": "text-canary"}).to_string()),
                }
            }
            ("POST", "/revoke") => {
                let token = form(seen)["token"].clone();
                self.refresh.remove(&token);
                self.revoked.push(token);
                ok(&json!({}))
            }
            _ => Answer::Json(404, "", "{}".to_owned()),
        }
    }

    fn authorize(&mut self, seen: &Seen, own: &str) -> Answer {
        let asked = params(seen);
        self.authorized.push(asked.clone());
        self.made += 1;
        let code = format!("code-{}", self.made);
        self.codes.insert(code.clone(), (seen.header("x-person").unwrap().to_owned(), asked.clone()));
        let mut answer = vec![("code", Some(code)), ("state", Some(asked["state"].clone())), ("iss", Some(own.to_owned()))];
        for (name, value) in self.respond.iter().flatten() {
            answer.retain(|(n, _)| n != name);
            answer.push((*name, value.clone()));
        }
        let answer: Vec<(&str, &str)> = answer.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
        redirect(&asked["redirect_uri"], &answer)
    }

    /// The client that proves itself by HTTP Basic.
    fn client(&self, seen: &Seen) -> Option<String> {
        let basic = seen.header("authorization")?.strip_prefix("Basic ")?;
        let pair = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(basic).ok()?).ok()?;
        let (id, secret) = pair.split_once(':')?;
        (self.clients.get(id)? == secret).then(|| id.to_owned())
    }

    fn token(&mut self, seen: &Seen, form: &HashMap<String, String>) -> Result<Value, &'static str> {
        let client = self.client(seen).ok_or("invalid_client")?;
        let (person, scope, life_s) = match form["grant_type"].as_str() {
            "authorization_code" => {
                let (person, asked) = self.codes.remove(&form["code"]).ok_or("invalid_grant")?;
                let challenge = b64(digest(&SHA256, form["code_verifier"].as_bytes()));
                if asked["code_challenge"] != challenge || asked["redirect_uri"] != form["redirect_uri"] {
                    return Err("invalid_grant");
                }
                if asked["client_id"] != client {
                    return Err("invalid_grant");
                }
                if asked.get("resource") != form.get("resource") {
                    return Err("invalid_target");
                }
                (person, asked.get("scope").cloned().unwrap_or_default(), self.life_s)
            }
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
                let person = form["assertion"].strip_prefix("jag-canary.").and_then(|rest| rest.split('.').next());
                (person.ok_or("invalid_grant")?.to_owned(), "basic".to_owned(), self.life_s)
            }
            _ => {
                self.refreshes += 1;
                let (of, person, scope) = self.refresh.remove(&form["refresh_token"]).ok_or("invalid_grant")?;
                if of != client {
                    return Err("invalid_grant");
                }
                (person, scope, 0)
            }
        };
        self.made += 1;
        let (access, refresh) = (format!("access-canary-{person}-{}", self.made), format!("refresh-canary-{}", self.made));
        self.holds.insert(access.clone(), scope.clone());
        self.refresh.insert(refresh.clone(), (client, person, scope));
        let life_s = if life_s == 0 { 3_600 } else { life_s };
        Ok(json!({"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": life_s}))
    }
}

/// An upstream that wants tokens of `issuer`, and for its tool `write` the scope `more`.
pub(crate) fn guarded(state: &Arc<Mutex<State>>, issuer: &str) -> impl Fn(&Seen) -> Answer + Send + Sync + 'static {
    let (state, issuer) = (state.clone(), issuer.to_owned());
    move |seen| {
        let own = format!("http://{}", seen.header("host").unwrap());
        if path(seen) == "/.well-known/oauth-protected-resource/mcp" {
            return ok(&json!({"resource": format!("{own}/mcp"), "authorization_servers": [issuer]}));
        }
        let token = seen.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let Some(scope) = state.lock().holds.get(token).cloned() else { return challenge("scope=\"basic\"", 401) };
        if seen.body.contains("\"name\":\"write\"") && !scope.split(' ').any(|scope| scope == "more") {
            return challenge("error=\"insufficient_scope\", scope=\"more\"", 403);
        }
        modern(seen)
    }
}

fn challenge(says: &str, status: u16) -> Answer {
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nwww-authenticate: Bearer {says}, x=\"challenge-canary\"\r\n\r\n");
    Answer::Raw(head.into_bytes())
}

pub(crate) fn path(seen: &Seen) -> String {
    seen.target.split('?').next().unwrap().to_owned()
}

fn params(seen: &Seen) -> HashMap<String, String> {
    let url = Url::parse(&format!("http://x{}", seen.target)).unwrap();
    url.query_pairs().into_owned().collect()
}

fn form(seen: &Seen) -> HashMap<String, String> {
    url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect()
}

fn redirect(to: &str, params: &[(&str, &str)]) -> Answer {
    let mut url = Url::parse(to).unwrap();
    url.query_pairs_mut().extend_pairs(params);
    let head = format!("HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    Answer::Raw(head.into_bytes())
}

fn ok(body: &Value) -> Answer {
    Answer::Json(200, "", body.to_string())
}
