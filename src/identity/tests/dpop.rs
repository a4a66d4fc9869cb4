//! Proofs of possession: each row is a good request with one change.

use super::super::dpop::testing::{NONCE_S_MAX, Replays};
use super::*;

/// The thumbprint of a public key (RFC 7638), made here by hand.
fn thumbprint(jwk: &Value) -> String {
    let text = |name: &str| jwk[name].as_str().unwrap();
    let members = match text("kty") {
        "RSA" => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text("e"), text("n")),
        "EC" => format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, text("crv"), text("x"), text("y")),
        _ => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text("x")),
    };
    b64(digest(members.as_bytes()))
}

fn digest(bytes: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().to_vec()
}

fn public(signer: &Signer) -> Value {
    let mut jwk = signer.jwk("x");
    jwk.as_object_mut().unwrap().remove("kid");
    jwk
}

/// A token bound to the key with `jkt`.
fn bound(jkt: &str) -> String {
    let mut claims = good_claims();
    claims["cnf"] = json!({"jkt": jkt});
    ED.token_of("EdDSA", &good_header().to_string(), &claims.to_string())
}

struct Ask {
    scheme: &'static str,
    token: String,
    header: Value,
    claims: Value,
    alg: &'static str,
    proofs: usize,
    method: http::Method,
}

/// A good request: token and proof of the P-256 key.
fn good(clock: &Clock, nonce: Option<&str>) -> Ask {
    let token = bound(&thumbprint(&public(&P256)));
    let mut claims =
        json!({"jti": b64(rand()), "htm": "POST", "htu": URL, "iat": clock.unix_s(), "ath": b64(digest(token.as_bytes()))});
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": public(&P256)});
    Ask { scheme: "DPoP", token, header, claims, alg: "ES256", proofs: 1, method: http::Method::POST }
}

fn rand() -> [u8; 16] {
    let mut out = [0; 16];
    aws_lc_rs::rand::fill(&mut out).unwrap();
    out
}

impl Ask {
    fn headers(&self, signer: &Signer) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("{} {}", self.scheme, self.token).parse().unwrap());
        let proof = signer.token_of(self.alg, &self.header.to_string(), &self.claims.to_string());
        for _ in 0..self.proofs {
            headers.append("dpop", proof.parse().unwrap());
        }
        headers
    }

    async fn send(&self, to: &Authenticator) -> Result<Arc<Principal>, Refusal> {
        self.send_by(&P256, to).await
    }

    async fn send_by(&self, signer: &Signer, to: &Authenticator) -> Result<Arc<Principal>, Refusal> {
        let resource = resource(&[]);
        to.authenticate(Asked { method: &self.method, ..post(&self.headers(signer), &resource) }).await
    }
}

fn optional(clock: &Clock) -> Authenticator {
    with_dpop(clock, DpopUse::Accept, true)
}

fn with_dpop(clock: &Clock, dpop: DpopUse, nonce_optional: bool) -> Authenticator {
    let issuer = IssuerSettings { dpop, ..issuer(JwksSource::Static(Bytes::from(all_keys()))) };
    let settings = Settings { issuers: vec![issuer], nonce_optional, ..Settings::default() };
    Authenticator::new(settings, clock.clone(), fetch()).unwrap()
}

fn error_of(got: &Result<Arc<Principal>, Refusal>) -> Option<ProofError> {
    if let Err(Refusal::Proof { error, .. }) = got { Some(*error) } else { None }
}

#[tokio::test]
async fn every_key_can_prove_and_no_other_key_can() {
    let clock = Clock::system();
    let authenticator = optional(&clock);
    for (signer, alg) in [(&*P256, "ES256"), (&*P384, "ES384"), (&*ED, "EdDSA"), (&*RSA, "PS256"), (&*RSA, "RS256")] {
        let token = bound(&thumbprint(&public(signer)));
        let mut ask = good(&clock, None);
        ask.alg = alg;
        ask.header = json!({"typ": "dpop+jwt", "alg": alg, "jwk": public(signer)});
        ask.claims["ath"] = b64(digest(token.as_bytes())).into();
        ask.token = token;
        let principal = ask.send_by(signer, &authenticator).await.unwrap_or_else(|e| panic!("{alg}: {e:?}"));
        assert_eq!(&*principal.sub, "alice");
        ask.claims["jti"] = format!("another {alg}").into();
        let forged = ask.send_by(if alg == "ES256" { &P256B } else { signer }, &authenticator).await;
        assert_eq!(error_of(&forged), (alg == "ES256").then_some(ProofError::Invalid), "{alg}");
    }
}

static P256B: LazyLock<Signer> =
    LazyLock::new(|| Signer::Ec(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(), "P-256"));

#[tokio::test]
async fn a_proof_is_for_one_request() {
    use ProofError::{Invalid, Token};
    let clock = Clock::system();
    let authenticator = optional(&clock);
    let now = clock.unix_s();
    type Change = Box<dyn Fn(&mut Ask)>;
    let claim = |name: &'static str, to: Value| -> Change {
        Box::new(move |ask: &mut Ask| {
            if to.is_null() {
                ask.claims.as_object_mut().unwrap().remove(name);
            } else {
                ask.claims[name] = to.clone();
            }
        })
    };
    let head = |name: &'static str, to: Value| -> Change {
        Box::new(move |ask: &mut Ask| {
            if to.is_null() {
                ask.header.as_object_mut().unwrap().remove(name);
            } else {
                ask.header[name] = to.clone();
            }
        })
    };
    let private = {
        let mut jwk = public(&P256);
        jwk["d"] = "AAAA".into();
        jwk
    };
    let rows: Vec<(&str, Change, Option<ProofError>)> = vec![
        ("unchanged", Box::new(|_| {}), None),
        ("query and fragment", claim("htu", json!(format!("{URL}?a=b#c"))), None),
        ("default port", claim("htu", json!("https://gateway.example.com:443/mcp")), None),
        ("upper-case host", claim("htu", json!("HTTPS://GATEWAY.example.com/mcp")), None),
        ("a little old", claim("iat", json!(now - 299)), None),
        ("a key id", head("kid", json!("k")), None),
        ("old", claim("iat", json!(now - 302)), Some(Invalid)),
        ("from the future", claim("iat", json!(now + 303)), Some(Invalid)),
        ("no time", claim("iat", Value::Null), Some(Invalid)),
        ("time as text", claim("iat", json!(now.to_string())), Some(Invalid)),
        ("no id", claim("jti", Value::Null), Some(Invalid)),
        ("empty id", claim("jti", json!("")), Some(Invalid)),
        ("long id", claim("jti", json!("x".repeat(257))), Some(Invalid)),
        ("another method", claim("htm", json!("GET")), Some(Invalid)),
        ("lower-case method", claim("htm", json!("post")), Some(Invalid)),
        ("no method", claim("htm", Value::Null), Some(Invalid)),
        ("another route", claim("htu", json!(format!("{URL}/x"))), Some(Invalid)),
        ("a slash more", claim("htu", json!(format!("{URL}/"))), Some(Invalid)),
        ("another host", claim("htu", json!("https://gateway.example.org/mcp")), Some(Invalid)),
        ("http", claim("htu", json!("http://gateway.example.com/mcp")), Some(Invalid)),
        ("a user", claim("htu", json!("https://x@gateway.example.com/mcp")), Some(Invalid)),
        ("only the path", claim("htu", json!("/mcp")), Some(Invalid)),
        ("no URL", claim("htu", Value::Null), Some(Invalid)),
        ("no token hash", claim("ath", Value::Null), Some(Invalid)),
        ("another token's hash", claim("ath", json!(b64([7; 32]))), Some(Invalid)),
        ("hash as hex", claim("ath", json!("00")), Some(Invalid)),
        ("nonce that is no text", claim("nonce", json!(7)), Some(Invalid)),
        ("type", head("typ", json!("JWT")), Some(Invalid)),
        ("no type", head("typ", Value::Null), Some(Invalid)),
        ("another's alg", head("alg", json!("ES384")), Some(Invalid)),
        ("alg none", head("alg", json!("none")), Some(Invalid)),
        ("alg HS256", head("alg", json!("HS256")), Some(Invalid)),
        ("private key", head("jwk", private), Some(Invalid)),
        ("symmetric key", head("jwk", json!({"kty": "oct", "k": "AAAA"})), Some(Invalid)),
        ("no key", head("jwk", Value::Null), Some(Invalid)),
        ("a key elsewhere", head("jku", json!("https://evil.example")), Some(Invalid)),
        ("crit", head("crit", json!(["exp"])), Some(Invalid)),
        ("certificate", head("x5c", json!(["MII"])), Some(Invalid)),
        ("another's key", head("jwk", public(&P256B)), Some(Token)),
        ("no proof", Box::new(|ask: &mut Ask| ask.proofs = 0), Some(Invalid)),
        ("two proofs", Box::new(|ask: &mut Ask| ask.proofs = 2), Some(Invalid)),
        ("sent otherwise", Box::new(|ask: &mut Ask| ask.method = http::Method::DELETE), Some(Invalid)),
        ("as bearer", Box::new(|ask: &mut Ask| ask.scheme = "Bearer"), Some(Token)),
        ("unbound token", Box::new(|ask: &mut Ask| ask.token = token_by(&ED, "ed")), Some(Token)),
        ("another's token", Box::new(|ask: &mut Ask| ask.token = bound(&b64([9; 32]))), Some(Invalid)),
    ];
    for (what, change, wanted) in rows {
        let mut ask = good(&clock, None);
        change(&mut ask);
        let got = ask.send(&authenticator).await;
        assert_eq!(error_of(&got), wanted, "{what}: {got:?}");
        assert_eq!(got.is_ok(), wanted.is_none(), "{what}: {got:?}");
    }
}

#[tokio::test]
async fn a_proof_is_used_once_and_for_as_long_as_it_lives() {
    let clock = Clock::system();
    let authenticator = optional(&clock);
    let ask = good(&clock, None);
    ask.send(&authenticator).await.unwrap();
    for advance_ms in [0, 1_000, 200_000, 99_000] {
        clock.advance_ms(advance_ms);
        assert_eq!(error_of(&ask.send(&authenticator).await), Some(ProofError::Invalid), "after {advance_ms}");
    }
    let reloaded = optional(&clock).with_keys_of(&authenticator);
    let again = good(&clock, None);
    again.send(&authenticator).await.unwrap();
    assert_eq!(error_of(&again.send(&reloaded).await), Some(ProofError::Invalid), "a reload forgot");
    // The same id under another key is another proof.
    let mut refused = good(&clock, None);
    refused.claims["htm"] = "GET".into();
    refused.send(&authenticator).await.unwrap_err();
    refused.claims["htm"] = "POST".into();
    refused.send(&authenticator).await.unwrap();
}

#[tokio::test]
async fn nonces_are_ours_and_fresh() {
    let clock = Clock::system();
    let authenticator = with_dpop(&clock, DpopUse::Accept, false);
    let ask = async |nonce: Option<&str>| good(&clock, nonce).send(&authenticator).await;
    let Err(Refusal::Proof { error: ProofError::UseNonce, nonce: Some(nonce), .. }) = ask(None).await else { panic!() };
    ask(Some(&nonce)).await.unwrap();
    ask(Some(&nonce)).await.unwrap();
    let Err(Refusal::Proof { nonce: Some(foreign), .. }) =
        good(&clock, None).send(&with_dpop(&clock, DpopUse::Accept, false)).await
    else {
        panic!()
    };
    let flipped = format!("{}{}", if nonce.starts_with('A') { "B" } else { "A" }, &nonce[1..]);
    for wrong in ["", "x", foreign.as_str(), flipped.as_str(), &format!("{nonce}A"), &format!("{nonce}=")] {
        assert_eq!(error_of(&ask(Some(wrong)).await), Some(ProofError::UseNonce), "{wrong}");
    }
    clock.advance_ms(i64::try_from(NONCE_S_MAX).unwrap() * 1_000 - 2_000);
    ask(Some(&nonce)).await.unwrap();
    clock.advance_ms(2_000);
    assert_eq!(error_of(&ask(Some(&nonce)).await), Some(ProofError::UseNonce), "too old");
    // A nonce that is given counts even where none is needed.
    let got = good(&clock, Some("x")).send(&optional(&clock)).await;
    assert_eq!(error_of(&got), Some(ProofError::UseNonce));
}

#[tokio::test]
async fn what_an_issuer_may_do_with_bound_tokens() {
    let clock = Clock::system();
    let plain = token_by(&ED, "ed");
    let required = with_dpop(&clock, DpopUse::Require, true);
    good(&clock, None).send(&required).await.unwrap();
    assert_eq!(error_of(&ask(&required, &plain).await), Some(ProofError::Token));
    let off = with_dpop(&clock, DpopUse::Off, true);
    ask(&off, &plain).await.unwrap();
    good(&clock, None).send(&off).await.unwrap_err();
    ask(&off, &bound(&thumbprint(&public(&P256)))).await.unwrap_err();
    let route = Resource { proof: Proof::Dpop, ..resource(&["a"]) };
    let accept = optional(&clock);
    let got = accept.authenticate(post(&bearing(&plain), &route)).await;
    assert_eq!(error_of(&got), Some(ProofError::Token));
    let (_, challenge) = got.unwrap_err().response_parts(&route);
    let url = "https://gateway.example.com/.well-known/oauth-protected-resource/mcp";
    let wanted =
        format!("DPoP error=\"invalid_token\", algs=\"ES256 EdDSA ES384 PS256 RS256\", resource_metadata=\"{url}\", scope=\"a\"");
    assert_eq!(challenge.unwrap(), wanted);
    accept.authenticate(post(&good(&clock, None).headers(&P256), &route)).await.unwrap();
    for proof in [Proof::Mtls, Proof::Any] {
        let route = Resource { proof, ..resource(&[]) };
        let got = accept.authenticate(post(&bearing(&plain), &route)).await;
        assert!(matches!(got, Err(Refusal::Invalid { .. })), "{proof:?}");
        let got = accept.authenticate(post(&good(&clock, None).headers(&P256), &route)).await;
        assert_eq!(got.is_ok(), proof == Proof::Any, "{proof:?}");
    }
}

#[tokio::test]
async fn confirmations_that_are_not_understood_are_refused() {
    let authenticator = optional(&Clock::system());
    for confirmation in [
        json!({}),
        json!("jkt"),
        json!(null),
        json!({"jkt": 7}),
        json!({"jkt": "short"}),
        json!({"kid": "k"}),
        json!({"jwk": public(&P256)}),
        json!({"x5t#S256": "zz"}),
    ] {
        let mut claims = good_claims();
        claims["cnf"] = confirmation.clone();
        let token = ED.token_of("EdDSA", &good_header().to_string(), &claims.to_string());
        let got = ask(&authenticator, &token).await;
        let private = "the token is bound in a way that is not understood";
        assert_eq!(got.unwrap_err(), Refusal::Invalid { private }, "{confirmation}");
    }
}

#[tokio::test]
async fn tokens_bound_to_a_certificate_need_that_one() {
    let authenticator = optional(&Clock::system());
    let certificate = |byte: u8| crate::vocab::PeerCertificate { der: Arc::from([byte]), sha256: [byte; 32] };
    let (right, wrong) = (certificate(1), certificate(2));
    let mut claims = good_claims();
    claims["cnf"] = json!({"x5t#S256": b64([1; 32])});
    let headers = bearing(&ED.token_of("EdDSA", &good_header().to_string(), &claims.to_string()));
    for proof in [Proof::None, Proof::Mtls, Proof::Any] {
        let resource = Resource { proof, ..resource(&[]) };
        for (shown, passes) in [(None, false), (Some(&wrong), false), (Some(&right), true)] {
            let got = authenticator.authenticate(Asked { peer_certificate: shown, ..post(&headers, &resource) }).await;
            assert_eq!(got.is_ok(), passes, "{proof:?} {got:?}");
        }
    }
}

#[test]
fn a_full_memory_refuses_until_there_is_room() {
    let replays = Replays::of(1, 3).unwrap();
    let key = [7; 32];
    for id in ["a", "b", "c"] {
        replays.first(&key, id, 100, 50).unwrap();
        assert_eq!(replays.first(&key, id, 100, 50), Err("the proof was used before"));
    }
    assert_eq!(replays.first(&key, "d", 100, 50), Err("too many proofs at once"));
    assert_eq!(replays.first(&key, "d", 100, 51), Err("too many proofs at once"));
    assert_eq!(replays.first(&key, "a", 100, 100), Err("the proof was used before"), "through its last second");
    replays.first(&key, "d", 200, 101).unwrap();
    replays.first(&[8; 32], "d", 200, 101).unwrap();
    assert_eq!(replays.first(&key, "d", 200, 101), Err("the proof was used before"));
}
