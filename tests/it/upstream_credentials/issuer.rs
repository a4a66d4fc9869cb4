//! A small authorization server: it checks its clients and what they present, mints tokens and remembers everything.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{DecodingKey, Validation, decode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::peer::{Answer, Peer, Seen};

pub(super) const SECRET: &str = "client secret%canary";
/// An ID token that some workload has; nobody here looks into it.
pub(super) const WORKLOAD: &str = "workload-token-canary";

/// See the module.
pub(super) struct Issuer {
    pub(super) peer: Peer,
    pub(super) state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(super) struct State {
    /// Every request for a token, by field.
    pub(super) asked: Vec<HashMap<String, String>>,
    pub(super) tokens: Vec<Token>,
    /// The gateway's keys, for assertions about people.
    pub(super) jwks: Option<JwkSet>,
    /// The gateway's key, where it is a client with one.
    pub(super) client_key: Option<Jwk>,
    /// Answers instead, if set.
    pub(super) instead: Option<(u16, String, String)>,
    assertions: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) sub: String,
    pub(super) scope: String,
    pub(super) holds: bool,
}

impl Issuer {
    pub(super) async fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let behave = state.clone();
        let peer = Peer::start(move |seen| behave.lock().answer(seen)).await;
        Self { peer, state }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.peer.addr)
    }

    pub(super) fn asked(&self) -> usize {
        self.state.lock().asked.len()
    }

    pub(super) fn revoke_all(&self) {
        self.state.lock().tokens.iter_mut().for_each(|token| token.holds = false);
    }
}

impl State {
    fn answer(&mut self, seen: &Seen) -> Answer {
        let own = format!("http://{}", seen.header("host").unwrap());
        match (seen.verb.as_str(), seen.target.as_str()) {
            ("GET", "/.well-known/oauth-authorization-server") => {
                let metadata = json!({
                    "issuer": own, "token_endpoint": format!("{own}/token"), "authorization_endpoint": format!("{own}/authorize"),
                    "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
                });
                Answer::Json(200, "", metadata.to_string())
            }
            ("POST", "/token") => match self.instead.clone() {
                Some((status, head, body)) => {
                    self.asked.push(HashMap::new());
                    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{head}\r\n", body.len());
                    Answer::Raw(format!("{head}{body}").into_bytes())
                }
                None => match self.token(seen, &own) {
                    Ok(answer) => Answer::Json(200, "cache-control: no-store\r\n", answer.to_string()),
                    Err(why) => {
                        let body = json!({"error": why, "error_description": "issuer-text-canary"});
                        Answer::Json(400, "", body.to_string())
                    }
                },
            },
            _ => Answer::Json(404, "", String::new()),
        }
    }

    fn token(&mut self, seen: &Seen, own: &str) -> Result<Value, &'static str> {
        let form: HashMap<String, String> = url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect();
        self.asked.push(form.clone());
        let field = |name: &str| form.get(name).map(String::as_str);
        self.authenticate(seen, &form, own)?;
        field("resource").ok_or("invalid_target")?;
        let scope = field("scope").unwrap_or_default().to_owned();
        if scope.contains("never") {
            return Err("invalid_scope");
        }
        let n = self.tokens.len();
        match field("grant_type").ok_or("invalid_request")? {
            "client_credentials" => Ok(self.mint(format!("issued-canary-{n}"), "gateway".to_owned(), scope, "Bearer")),
            "urn:ietf:params:oauth:grant-type:token-exchange" => {
                let shown = field("subject_token").ok_or("invalid_request")?;
                let (sub, kind) = if shown == WORKLOAD {
                    ("workload".to_owned(), "urn:ietf:params:oauth:token-type:id_token")
                } else {
                    let sub = self.assertion(shown, own)?["sub"].as_str().unwrap().to_owned();
                    (sub, "urn:ietf:params:oauth:token-type:jwt")
                };
                if let Some(actor) = field("actor_token") {
                    assert_eq!(self.assertion(actor, own)?["sub"], "portcullis");
                }
                assert_eq!(field("subject_token_type"), Some(kind));
                if field("requested_token_type") == Some("urn:ietf:params:oauth:token-type:id-jag") {
                    let mut answer = self.mint(format!("jag-canary-{n}"), sub, scope, "N_A");
                    answer["issued_token_type"] = "urn:ietf:params:oauth:token-type:id-jag".into();
                    return Ok(answer);
                }
                Ok(self.mint(format!("issued-canary-{n}"), sub, scope, "Bearer"))
            }
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
                let jag = field("assertion").ok_or("invalid_request")?;
                let jag = self.tokens.iter().find(|token| token.text == jag && jag.starts_with("jag-")).ok_or("invalid_grant")?;
                let sub = jag.sub.clone();
                Ok(self.mint(format!("issued-canary-{n}"), sub, scope, "bearer"))
            }
            _ => Err("unsupported_grant_type"),
        }
    }

    fn mint(&mut self, text: String, sub: String, scope: String, kind: &str) -> Value {
        self.tokens.push(Token { text: text.clone(), sub, scope, holds: true });
        json!({"access_token": text, "token_type": kind, "expires_in": 600})
    }

    fn authenticate(&mut self, seen: &Seen, form: &HashMap<String, String>, own: &str) -> Result<(), &'static str> {
        if let Some(assertion) = form.get("client_assertion") {
            let key = self.client_key.clone().ok_or("invalid_client")?;
            let claims = verified(assertion, &key, own).ok_or("invalid_client")?;
            assert_eq!((&claims["iss"], &claims["sub"]), (&json!("portcullis"), &json!("portcullis")));
            assert!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap() <= 60);
            assert!(!self.assertions.contains(assertion), "an assertion is used once");
            self.assertions.push(assertion.clone());
            return Ok(());
        }
        let basic = seen.header("authorization").and_then(|value| value.strip_prefix("Basic ")).ok_or("invalid_client")?;
        let pair = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(basic).unwrap()).unwrap();
        let good = pair == "portcullis:client+secret%25canary";
        if good { Ok(()) } else { Err("invalid_client") }
    }

    /// A JWT of the gateway, for us.
    fn assertion(&self, token: &str, own: &str) -> Result<Value, &'static str> {
        let keys = self.jwks.as_ref().ok_or("invalid_request")?;
        keys.keys.iter().find_map(|key| verified(token, key, own)).ok_or("invalid_request")
    }
}

fn verified(token: &str, key: &Jwk, audience: &str) -> Option<Value> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    // Servers look keys up by name.
    if header.kid != key.common.key_id {
        return None;
    }
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    decode::<Value>(token, &DecodingKey::from_jwk(key).ok()?, &validation).ok().map(|data| data.claims)
}
