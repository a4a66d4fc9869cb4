//! Signatures that are none.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Good;
use crate::keys::{self, EC, ED, RSA, STRANGER, b64, changed, hs256};

/// Signatures that a sloppy verifier takes.
pub(super) fn forgeries(all: &[Good<'_>; 3]) -> Vec<(String, String)> {
    let [ed, ec, rsa] = all;
    let mut rows = Vec::new();
    let secrets: Vec<(&str, Vec<u8>)> = vec![
        ("modulus text", RSA.jwk("k")["n"].as_str().unwrap().as_bytes().to_vec()),
        ("jwk text", RSA.jwk("rsa").to_string().into_bytes()),
        ("key set text", keys::jwks().into_bytes()),
        ("EC x text", EC.jwk("k")["x"].as_str().unwrap().as_bytes().to_vec()),
        ("Ed25519 x text", ED.jwk("k")["x"].as_str().unwrap().as_bytes().to_vec()),
        ("DER", RSA.public_der()),
        ("PEM", pem(&RSA.public_der())),
        ("nothing", Vec::new()),
        ("one NUL", vec![0]),
    ];
    for (name, secret) in &secrets {
        for (alg, kid) in [("HS256", "rsa"), ("HS256", "ed"), ("RS256", "rsa"), ("EdDSA", "ed")] {
            let header = json!({"alg": alg, "typ": "at+jwt", "kid": kid});
            rows.push((format!("HMAC with {name}, {alg} {kid}"), hs256(secret, &header, &ed.claims)));
        }
    }
    let token = ec.token();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let raw = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).unwrap();
    let (r, s) = raw.split_at(32);
    let order = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    for (name, bytes) in [
        ("r=s=0", vec![0; 64]),
        ("r=0", [&[0; 32], s].concat()),
        ("s=0", [r, &[0; 32]].concat()),
        ("r=s=order", [&order[..], &order].concat()),
        ("r=order", [&order[..], s].concat()),
        ("s=order", [r, &order].concat()),
        ("r and s swapped", [s, r].concat()),
        ("DER", der(r, s)),
        ("one byte short", raw[..63].to_vec()),
        ("one byte long", [&raw[..], &[0]].concat()),
        ("all ones", vec![0xff; 64]),
    ] {
        rows.push((format!("ES256 {name}"), format!("{signed}.{}", b64(bytes))));
    }
    for good in all {
        let none =
            |alg: &str| format!("{}.{}", b64(changed(&good.header, "alg", json!(alg)).to_string()), b64(good.claims.to_string()));
        for alg in ["none", "NONE", "nOnE"] {
            rows.push((format!("alg {alg}, no signature"), format!("{}.", none(alg))));
            rows.push((
                format!("alg {alg}, the old signature"),
                format!("{}.{}", none(alg), good.token().rsplit('.').next().unwrap()),
            ));
        }
    }
    rows.push(("a stranger's key".into(), STRANGER.token(&ed.header, &ed.claims)));
    rows.push(("a stranger's key, no id".into(), STRANGER.token(&changed(&ed.header, "kid", Value::Null), &ed.claims)));
    rows.push(("a stranger's key, new id".into(), STRANGER.token(&changed(&ed.header, "kid", json!("new")), &ed.claims)));
    rows.push(("RS256 by another key".into(), ED.token(&rsa.header, &rsa.claims)));
    rows
}

fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |n: &[u8]| {
        let n: Vec<u8> = n.iter().copied().skip_while(|b| *b == 0).collect();
        let n = if n.first().is_some_and(|b| *b >= 0x80) { [&[0], &n[..]].concat() } else { n };
        [&[2, u8::try_from(n.len()).unwrap()], &n[..]].concat()
    };
    let body = [integer(r), integer(s)].concat();
    [&[0x30, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}

fn pem(der: &[u8]) -> Vec<u8> {
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der)).into_bytes()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
