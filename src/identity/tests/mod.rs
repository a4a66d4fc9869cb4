//! An issuer made of real keys, and the promises it is used to test.

#![expect(clippy::disallowed_methods, clippy::string_slice, reason = "tests")]

mod certificates;
mod challenge;
mod dev;
mod dpop;
mod introspection;
mod keys;
mod outage;
mod recall;
mod roster;
mod rotation;
mod token;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderMap;
use jsonwebtoken::Algorithm;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::net::{Fetch, client_config};
use crate::vocab::{Clock, Principal, Proof, Resource};

const ISSUER: &str = "https://idp.example.com";
const URL: &str = "https://gateway.example.com/mcp";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

enum Signer {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair, &'static str),
    Ed(Ed25519KeyPair),
}

static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::Rsa(RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap()));
static P256: LazyLock<Signer> =
    LazyLock::new(|| Signer::Ec(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(), "P-256"));
static P384: LazyLock<Signer> =
    LazyLock::new(|| Signer::Ec(EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(), "P-384"));
static ED: LazyLock<Signer> = LazyLock::new(ed);

fn ed() -> Signer {
    Signer::Ed(Ed25519KeyPair::generate().unwrap())
}

impl Signer {
    fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa(key) => {
                let padding: &'static dyn signature::RsaEncoding = match alg {
                    "PS256" => &signature::RSA_PSS_SHA256,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut out = vec![0; key.public_modulus_len()];
                key.sign(padding, &SystemRandom::new(), message, &mut out).unwrap();
                out
            }
            Self::Ec(key, _) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    fn jwk(&self, kid: &str) -> Value {
        let mut jwk = match self {
            Self::Rsa(key) => {
                let parts = signature::RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
                json!({"kty": "RSA", "n": b64(parts.n), "e": b64(parts.e)})
            }
            Self::Ec(key, crv) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": crv, "x": b64(x), "y": b64(y)})
            }
            Self::Ed(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key().as_ref())}),
        };
        jwk["kid"] = kid.into();
        jwk
    }

    /// A token with exactly these header and claims texts.
    fn token_of(&self, alg: &str, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        let signature = b64(self.sign(alg, signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

fn document(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}

fn all_keys() -> String {
    document(&[RSA.jwk("rsa"), P256.jwk("p256"), P384.jwk("p384"), ED.jwk("ed")])
}

fn clock_s() -> u64 {
    Clock::system().unix_s()
}

fn good_header() -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "ed"})
}

fn good_claims() -> Value {
    json!({"iss": ISSUER, "sub": "alice", "aud": URL, "exp": clock_s() + 600, "groups": ["eng"], "scope": "a b"})
}

/// A good token of the Ed25519 key under `kid`.
fn token_by(signer: &Signer, kid: &str) -> String {
    let mut header = good_header();
    header["kid"] = kid.into();
    signer.token_of("EdDSA", &header.to_string(), &good_claims().to_string())
}

fn issuer(jwks: JwksSource) -> IssuerSettings {
    let algorithms = vec![Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
    IssuerSettings { algorithms, ..IssuerSettings::new(ISSUER.to_owned(), jwks) }
}

fn fetch() -> Fetch {
    static TLS: LazyLock<Arc<rustls::ClientConfig>> = LazyLock::new(|| client_config(None).unwrap());
    Fetch::new(TLS.clone()).with_time_max(std::time::Duration::from_secs(3))
}

fn authenticator(issuer: IssuerSettings, clock: &Clock) -> Authenticator {
    let settings = Settings { issuers: vec![issuer], ..Settings::default() };
    Authenticator::new(settings, clock.clone(), fetch()).unwrap()
}

/// An authenticator that knows all keys of the test issuer.
fn knowing(clock: &Clock) -> Authenticator {
    authenticator(issuer(JwksSource::Static(Bytes::from(all_keys()))), clock)
}

fn resource(scopes: &[&str]) -> Resource {
    Resource {
        url: URL.to_owned(),
        metadata_url: "https://gateway.example.com/.well-known/oauth-protected-resource/mcp".to_owned(),
        scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
        proof: Proof::None,
    }
}

/// A POST with `headers` for `resource`, over a connection without a client certificate.
fn post<'a>(headers: &'a HeaderMap, resource: &'a Resource) -> Asked<'a> {
    Asked { headers, resource, method: &http::Method::POST, peer_certificate: None, recall: None }
}

fn bearing(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    headers
}

async fn ask(authenticator: &Authenticator, token: &str) -> Result<Arc<Principal>, Refusal> {
    authenticator.authenticate(post(&bearing(token), &resource(&[]))).await
}

/// A JWKS endpoint on loopback whose whole answer can be replaced.
struct Endpoint {
    url: url::Url,
    answer: Arc<Mutex<String>>,
    hits: Arc<AtomicUsize>,
    /// The last request.
    seen: Arc<Mutex<String>>,
}

impl Endpoint {
    async fn start(body: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap()).parse().unwrap();
        let endpoint = Self { url, answer: Arc::default(), hits: Arc::default(), seen: Arc::default() };
        endpoint.serve(body);
        let (answer, hits, last) = (endpoint.answer.clone(), endpoint.hits.clone(), endpoint.seen.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                hits.fetch_add(1, Ordering::SeqCst);
                let mut seen = [0; 2048];
                let mut text = String::new();
                // A form comes in a packet of its own.
                while !text.contains("\r\n\r\n") || (text.starts_with("POST") && text.ends_with("\r\n\r\n")) {
                    match stream.read(&mut seen).await {
                        Ok(n) if n > 0 => text.push_str(&String::from_utf8_lossy(&seen[..n])),
                        _ => break,
                    }
                }
                *last.lock() = text;
                let answer = answer.lock().clone();
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        endpoint
    }

    fn serve(&self, body: &str) {
        self.answer_with(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    }

    fn answer_with(&self, answer: &str) {
        *self.answer.lock() = answer.to_owned();
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    fn seen(&self) -> String {
        self.seen.lock().clone()
    }

    fn source(&self) -> JwksSource {
        JwksSource::Url(self.url.clone())
    }
}
