//! What a token claims, changed.

use serde_json::{Value, json};

use super::Good;
use crate::keys::{self, ED, changed, now_s};

fn audiences(url: &str) -> Vec<Value> {
    let host = url.trim_end_matches("/mcp");
    let near = [
        host.to_owned(),
        format!("{host}/"),
        format!("{url}/"),
        format!("{url}//"),
        format!("{url}?"),
        format!("{url}#"),
        format!("{url}%20"),
        format!(" {url}"),
        format!("{url} "),
        format!("{url}\u{0}"),
        format!("{url}/../mcp"),
        format!("{host}/MCP"),
        format!("{host}/%6dcp"),
        format!("{host}/bare"),
        url.to_uppercase(),
        url.replace("https", "http"),
        url.replace("127.0.0.1", "localhost"),
        url.replace("127.0.0.1", "127.1"),
        url.replace("127.0.0.1", "user@127.0.0.1"),
        url[..url.len() - 1].to_owned(),
        format!("{url}x"),
        format!("{url} {url}"),
        format!("{url},{url}"),
        "*".into(),
        String::new(),
        keys::ISSUER.into(),
    ];
    let single = near.iter().map(|aud| json!(aud));
    let several = near.iter().take(8).map(|aud| json!([aud, "https://other.example"]));
    let shapes = [
        json!(null),
        json!(true),
        json!(7),
        json!([]),
        json!([url, 7]),
        json!([url, null]),
        json!([[url]]),
        json!({"0": url}),
        json!({"$eq": url}),
    ];
    single.chain(several).chain(shapes).collect()
}

pub(super) fn changed_claims(good: &Good<'_>, url: &str) -> Vec<(String, String)> {
    let now = now_s();
    let mut all: Vec<(&str, Value)> = audiences(url).into_iter().map(|aud| ("aud", aud)).collect();
    for iss in [
        "https://idp.example.com/",
        "https://idp.example.com//",
        "https://idp.example.com:443",
        "https://idp.example.com.",
        "https://idp.example.com.evil.example",
        "https://evil.example/https://idp.example.com",
        "https://evil@idp.example.com",
        "https://IDP.example.com",
        "HTTPS://idp.example.com",
        "http://idp.example.com",
        "https://idp.example.com ",
        "https://idp.example.com\u{0}",
        "https://idp.ex\u{430}mple.com",
        "idp.example.com",
        "portcullis:keys",
        "portcullis:anonymous",
        "portcullis:mtls",
        "https://dev.portcullis.invalid",
        "",
    ] {
        all.push(("iss", json!(iss)));
    }
    all.extend([json!(null), json!(7), json!([keys::ISSUER]), json!({"": keys::ISSUER})].map(|iss| ("iss", iss)));
    all.extend(
        [
            json!(null),
            json!(now - 31),
            json!(now - 86_400),
            json!(0),
            json!(-1),
            json!(-1.5),
            json!(1e300),
            json!(9_007_199_254_740_993.0),
            json!((now + 600).to_string()),
            json!(""),
            json!(true),
            json!([now + 600]),
            json!({"s": now + 600}),
        ]
        .map(|exp| ("exp", exp)),
    );
    all.extend(
        [json!(now + 300), json!(u64::MAX), json!("0"), json!("now"), json!(-5), json!(true), json!([0])].map(|nbf| ("nbf", nbf)),
    );
    all.extend(
        [json!(now + 300), json!(u64::MAX), json!(now.to_string()), json!(-5), json!({}), json!(false)].map(|iat| ("iat", iat)),
    );
    all.extend(
        [
            json!(null),
            json!(""),
            json!(7),
            json!(true),
            json!(["alice"]),
            json!({"sub": "alice"}),
            json!("a\u{0}b"),
            json!("a\nb"),
            json!("a\u{7f}b"),
            json!("a".repeat(257)),
        ]
        .map(|sub| ("sub", sub)),
    );
    all.extend(
        [json!({"a": 1}), json!(7), json!([7]), json!("a\"b"), json!("a\\b"), json!(["a b"]), json!(vec!["s"; 300])]
            .map(|s| ("scope", s)),
    );
    all.extend([json!(7), json!(""), json!(["c"]), json!("c".repeat(3_000))].map(|id| ("client_id", id)));
    all.extend([json!("x"), json!({}), json!({"sub": 7}), json!([])].map(|act| ("act", act)));
    all.extend(
        [json!("x"), json!({}), json!({"jkt": "x"}), json!({"kid": "ed"}), json!({"jwk": ED.jwk("ed")})].map(|cnf| ("cnf", cnf)),
    );
    all.into_iter().map(|(name, value)| (format!("{name}={value}"), good.claim(name, value))).collect()
}

/// Marks of tokens of other kinds, which only count where the type says nothing.
pub(super) fn kinds(good: &Good<'_>) -> Vec<(String, String)> {
    let plain = changed(&good.header, "typ", json!("JWT"));
    let marks = [
        ("at_hash", json!("x")),
        ("c_hash", json!("x")),
        ("s_hash", json!("x")),
        ("events", json!({})),
        ("token_use", json!("id")),
        ("token_use", json!("refresh")),
        ("typ", json!("ID")),
        ("typ", json!("Refresh")),
        ("typ", json!("Offline")),
        ("typ", json!("Logout")),
    ];
    let mut rows: Vec<(String, String)> = marks
        .into_iter()
        .map(|(name, value)| (format!("{name}={value}"), good.signer.token(&plain, &changed(&good.claims, name, value))))
        .collect();
    let nonce = changed(&changed(&good.claims, "nonce", json!("n")), "scope", Value::Null);
    rows.push(("nonce without scope".into(), good.signer.token(&plain, &nonce)));
    rows
}
