//! What it costs to find out who is asking: a token that was not seen before, and one that was.
//!
//! `cargo bench --bench identity` prints the median and the 99th percentile of each, in microseconds. The keys are known.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a bench prints, and stops at the first surprise"
)]

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, Method};
use portcullis::identity::{Asked, Authenticator, IssuerSettings, JwksSource, Settings};
use portcullis::net::{Fetch, client_config};
use portcullis::vocab::{Clock, Proof, Resource};
use serde_json::{Value, json};

const ISSUER: &str = "https://idp.example.com";
const URL: &str = "https://gateway.example.com/mcp";
/// Tokens of each kind.
const TOKENS: usize = 4_000;

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// An algorithm, its public key, and what signs.
fn signers() -> Vec<(&'static str, Value, Sign)> {
    let rsa = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let parts = signature::RsaPublicKeyComponents::<Vec<u8>>::from(rsa.public_key());
    let rsa_jwk = json!({"kty": "RSA", "n": b64(parts.n), "e": b64(parts.e), "kid": "RS256"});
    let ec = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (x, y) = ec.public_key().as_ref()[1..].split_at(32);
    let ec_jwk = json!({"kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y), "kid": "ES256"});
    let ed = Ed25519KeyPair::generate().unwrap();
    let ed_jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": b64(ed.public_key().as_ref()), "kid": "EdDSA"});
    vec![
        ("ES256", ec_jwk, Box::new(move |message| ec.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())),
        ("EdDSA", ed_jwk, Box::new(move |message| ed.sign(message).as_ref().to_vec())),
        (
            "RS256",
            rsa_jwk,
            Box::new(move |message| {
                let mut out = vec![0; rsa.public_modulus_len()];
                rsa.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut out).unwrap();
                out
            }),
        ),
    ]
}

fn bearing(alg: &str, sign: &Sign, id: usize) -> HeaderMap {
    let now_s = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let header = json!({"alg": alg, "typ": "at+jwt", "kid": alg});
    let claims = json!({
        "iss": ISSUER, "sub": "alice@example.com", "aud": URL, "exp": now_s + 3_600, "iat": now_s, "jti": format!("{alg}-{id}"),
        "client_id": "https://client.example.com/metadata.json", "groups": ["eng", "sre", "platform"], "scope": "mcp:read mcp:write",
    });
    let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let token = format!("{signed}.{}", b64(sign(signed.as_bytes())));
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    headers
}

fn main() {
    let signers = signers();
    let jwks = json!({"keys": signers.iter().map(|(_, jwk, _)| jwk.clone()).collect::<Vec<_>>()});
    let issuer = IssuerSettings::new(ISSUER.to_owned(), JwksSource::Static(jwks.to_string().into()));
    let settings = Settings { issuers: vec![issuer], ..Settings::default() };
    let authenticator = Authenticator::new(settings, Clock::system(), Fetch::new(client_config(None).unwrap())).unwrap();
    let metadata_url = "https://gateway.example.com/.well-known/oauth-protected-resource/mcp".to_owned();
    let resource = Resource { url: URL.to_owned(), metadata_url, scopes: vec!["mcp:read".to_owned()], proof: Proof::None };
    let measure = |headers: &HeaderMap| {
        let asked = Asked { headers, resource: &resource, method: &Method::POST, peer_certificate: None, recall: None };
        let started = Instant::now();
        let found = authenticator.authenticate_now(black_box(asked));
        let took = started.elapsed();
        assert!(found.unwrap().is_ok());
        took
    };
    println!("{:<8}{:<10}{:>12}{:>12}", "alg", "token", "median us", "p99 us");
    for (alg, _, sign) in &signers {
        let tokens: Vec<HeaderMap> = (0..TOKENS).map(|id| bearing(alg, sign, id)).collect();
        print(alg, "fresh", tokens.iter().map(measure).collect());
        print(alg, "repeated", (0..TOKENS * 10).map(|n| measure(&tokens[n % 8])).collect());
    }
}

fn print(alg: &str, what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1e6;
    println!("{alg:<8}{what:<10}{:>12.2}{:>12.2}", at(50), at(99));
}
