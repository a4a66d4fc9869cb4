//! Every variant is a good token with one change, and none of them gets in: the status, the challenge and the silence of the
//! upstreams are the same for all.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use serde_json::{Value, json};

use crate::gate::Gate;
use crate::keys::{self, EC, ED, RSA, STRANGER, Signer, b64, claims, hs256, now_s};
use crate::wire::Req;

/// A change, the bytes of the `Authorization` header, and the error that answers it; none where the header is no text.
struct Row {
    what: String,
    authorization: Vec<u8>,
    error: &'static str,
}

/// What makes the good tokens of one key.
struct Good<'a> {
    signer: &'a Signer,
    header: Value,
    claims: Value,
}

impl Good<'_> {
    fn token(&self) -> String {
        self.signer.token(&self.header, &self.claims)
    }

    fn claim(&self, name: &str, value: Value) -> String {
        self.signer.token(&self.header, &changed(&self.claims, name, value))
    }

    fn head(&self, name: &str, value: Value) -> String {
        self.signer.token(&changed(&self.header, name, value), &self.claims)
    }

    /// Signed as it stands, whatever that is.
    fn text(&self, header: &str, claims: &str) -> String {
        self.signer.token_of(header, claims)
    }
}

/// `good` with one member changed; null takes it out.
fn changed(good: &Value, member: &str, value: Value) -> Value {
    let mut changed = good.clone();
    if value.is_null() {
        changed.as_object_mut().unwrap().remove(member);
    } else {
        changed[member] = value;
    }
    changed
}

fn good(url: &str) -> [Good<'static>; 3] {
    let claims = claims(&url.into(), "alice", &["eng"]);
    let with = |signer, alg: &str, kid: &str| Good {
        signer,
        header: json!({"alg": alg, "typ": "at+jwt", "kid": kid}),
        claims: claims.clone(),
    };
    [with(&*ED, "EdDSA", "ed"), with(&*EC, "ES256", "ec"), with(&*RSA, "RS256", "rsa")]
}

/// Rows of tokens that are presented as they should be.
fn tokens(rows: &mut Vec<Row>, kind: &str, tokens: impl IntoIterator<Item = (String, String)>) {
    rows.extend(tokens.into_iter().map(|(what, token)| Row {
        what: format!("{kind}: {what}"),
        authorization: format!("Bearer {token}").into_bytes(),
        // Padding ends a token; within one it is no token at all.
        error: if token.trim_end_matches('=').contains('=') { "invalid_request" } else { "invalid_token" },
    }));
}

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

fn changed_claims(good: &Good<'_>, url: &str) -> Vec<(String, String)> {
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

fn changed_headers(good: &Good<'_>, alg: &str) -> Vec<(String, String)> {
    let mut all: Vec<(&str, Value)> = Vec::new();
    for other in [
        "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "ES256K",
        "ES384", "ES512", "EdDSA", "eddsa", "Ed448", "A256GCM", "dir", "RSA-OAEP",
    ] {
        if other != alg {
            all.push(("alg", json!(other)));
        }
    }
    all.extend([json!(null), json!(7), json!([alg]), json!({"alg": alg}), json!(format!("{alg} "))].map(|alg| ("alg", alg)));
    all.extend(
        [
            json!("id+jwt"),
            json!("dpop+jwt"),
            json!("logout+jwt"),
            json!("secevent+jwt"),
            json!("JWE"),
            json!(""),
            json!(7),
            json!(["JWT"]),
            json!("at+jwt "),
        ]
        .map(|typ| ("typ", typ)),
    );
    for kid in [
        "rsa",
        "ec",
        "ed",
        "ED",
        "ed ",
        "../../../dev/null",
        "/dev/null",
        "' OR '1'='1",
        "ed\u{0}",
        "http://evil.example/k",
        "|id",
        "*",
    ] {
        if good.header["kid"] != kid {
            all.push(("kid", json!(kid)));
        }
    }
    all.extend([json!(7), json!([]), json!(""), json!({"k": "ed"}), json!("k".repeat(300))].map(|kid| ("kid", kid)));
    for (name, value) in [
        ("jwk", STRANGER.jwk("ed")),
        ("jwk", ED.jwk("ed")),
        ("jku", json!("https://evil.example/jwks")),
        ("jku", json!("file:jwks.json")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MIIB"])),
        ("x5c", json!([])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!("exp")),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
    ] {
        all.push((name, value));
    }
    all.into_iter().map(|(name, value)| (format!("{alg} {name}={value}"), good.head(name, value))).collect()
}

/// The same token, written otherwise or cut up.
fn encodings(good: &Good<'_>) -> Vec<(String, String)> {
    let token = good.token();
    let parts: Vec<&str> = token.split('.').collect();
    let [head, body, signature] = parts[..] else { unreachable!() };
    let (head_text, body_text) = (good.header.to_string(), good.claims.to_string());
    let signed = |header: &[u8], claims: &[u8]| {
        let signed = format!("{}.{}", b64(header), b64(claims));
        format!("{signed}.{}", b64(good.signer.sign(signed.as_bytes())))
    };
    let signed_as_is = |signed: String| format!("{signed}.{}", b64(good.signer.sign(signed.as_bytes())));
    let twice = |text: &str, more: &str| text.replacen('{', &format!("{{{more},"), 1);
    // A character past the last whole byte changes nothing that a lenient decoder would see.
    let loose = |part: &str| {
        let (rest, last) = part.split_at(part.len() - 1);
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let at = alphabet.iter().position(|c| *c == last.as_bytes()[0]).unwrap();
        format!("{rest}{}", char::from(alphabet[at ^ 1]))
    };
    let raw = good.signer.sign(format!("{head}.{body}").as_bytes());
    let mut rows: Vec<(&str, String)> = vec![
        ("padded header", signed_as_is(format!("{head}=.{body}"))),
        ("padded claims", signed_as_is(format!("{head}.{body}="))),
        ("padded signature", format!("{token}=")),
        ("doubly padded signature", format!("{token}==")),
        ("standard alphabet, padded", format!("{head}.{body}.{}", STANDARD.encode([0xfb, 0xff].repeat(32)))),
        ("url-safe padded signature", format!("{head}.{body}.{}", URL_SAFE.encode(&raw))),
        ("hex signature", format!("{head}.{body}.{}", raw.iter().map(|b| format!("{b:02x}")).collect::<String>())),
        ("loose last character of the signature", format!("{head}.{body}.{}", loose(signature))),
        ("no signature", format!("{head}.{body}.")),
        ("two parts", format!("{head}.{body}")),
        ("one part", head.to_owned()),
        ("four parts", format!("{token}.{signature}")),
        ("five parts (JWE)", format!("{head}.{body}.{signature}.{body}.{signature}")),
        ("an empty part before", format!(".{token}")),
        ("an empty part after", format!("{token}.")),
        ("empty header", format!(".{body}.{signature}")),
        ("empty claims", format!("{head}..{signature}")),
        ("swapped parts", format!("{body}.{head}.{signature}")),
        ("cut signature", token[..token.len() - 2].to_owned()),
        ("longer signature", format!("{token}AA")),
        ("signature twice", format!("{token}{signature}")),
        ("zero signature", format!("{head}.{body}.{}", b64(vec![0; raw.len()]))),
        ("flipped signature", format!("{head}.{body}.{}", b64(raw.iter().map(|b| !b).collect::<Vec<_>>()))),
        ("another's signature", format!("{head}.{body}.{}", b64(STRANGER.sign(format!("{head}.{body}").as_bytes())))),
        ("other claims", format!("{head}.{}.{signature}", b64(changed(&good.claims, "sub", json!("root")).to_string()))),
        ("other header", format!("{}.{body}.{signature}", b64(changed(&good.header, "typ", json!("JWT")).to_string()))),
        ("claims named twice", good.text(&head_text, &twice(&body_text, r#""sub":"root""#))),
        ("claims named twice by escape", good.text(&head_text, &twice(&body_text, r#""s\u0075b":"root""#))),
        ("a claim named twice inside", good.text(&head_text, &twice(&body_text, r#""x":{"y":1,"y":2}"#))),
        ("header named twice", good.text(&twice(&head_text, r#""alg":"none""#), &body_text)),
        ("kid named twice", good.text(&twice(&head_text, r#""kid":"x""#), &body_text)),
        ("byte order mark before the header", signed(&[b"\xef\xbb\xbf", head_text.as_bytes()].concat(), body_text.as_bytes())),
        ("byte order mark before the claims", signed(head_text.as_bytes(), &[b"\xef\xbb\xbf", body_text.as_bytes()].concat())),
        ("not UTF-8 in a claim", signed(head_text.as_bytes(), &[b"{\"x\":\"\xff\",", &body_text.as_bytes()[1..]].concat())),
        ("overlong UTF-8", signed(head_text.as_bytes(), &[b"{\"x\":\"\xc0\xaf\",", &body_text.as_bytes()[1..]].concat())),
        ("UTF-16 claims", signed(head_text.as_bytes(), &body_text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>())),
        ("a lone surrogate", good.text(&head_text, &twice(&body_text, r#""x":"\ud800""#))),
        ("text after the claims", good.text(&head_text, &format!("{body_text}{{}}"))),
        ("a NUL after the claims", good.text(&head_text, &format!("{body_text}\u{0}"))),
        ("a comma too many", good.text(&head_text, &body_text.replacen('}', ",}", 1))),
        ("a comment", good.text(&head_text, &body_text.replacen('{', "{/**/", 1))),
        ("single quotes", good.text(&head_text, &body_text.replace('"', "'"))),
        ("NaN", good.text(&head_text, &twice(&body_text, "\"x\":NaN"))),
        ("an array of claims", good.text(&head_text, &format!("[{body_text}]"))),
        ("claims as text", good.text(&head_text, &json!(body_text).to_string())),
        ("no claims", good.text(&head_text, "")),
        ("empty claims object", good.text(&head_text, "{}")),
        ("null claims", good.text(&head_text, "null")),
        ("a header that is an array", good.text(&format!("[{head_text}]"), &body_text)),
        ("an empty header object", good.text("{}", &body_text)),
        ("a nested token", good.text(&head_text, &token)),
        ("a nested token as text", good.text(&head_text, &json!(token).to_string())),
        ("nested, cty", good.text(&changed(&good.header, "cty", json!("JWT")).to_string(), &token)),
        (
            "deeply nested claims",
            good.text(&head_text, &twice(&body_text, &format!("\"x\":{}{}", "[".repeat(500), "]".repeat(500)))),
        ),
        ("not base64", format!("{head}.!!.{signature}").replace('!', "~")),
        ("encoded twice", b64(&token)),
        ("garbage", "x".into()),
        ("dots", "...".into()),
        ("an API key of nobody", format!("pck_abcde_{}", "a".repeat(43))),
        ("an API key without a secret", "pck_abcde_".into()),
        ("an upper-case API key", format!("PCK_abcde_{}", "a".repeat(43))),
    ];
    if STANDARD_NO_PAD.encode(&raw) != b64(&raw) {
        rows.push(("signature in the standard alphabet", format!("{head}.{body}.{}", STANDARD_NO_PAD.encode(&raw))));
    }
    rows.into_iter().map(|(what, token)| (what.to_owned(), token)).collect()
}

/// Signatures that a sloppy verifier takes.
fn forgeries(all: &[Good<'_>; 3]) -> Vec<(String, String)> {
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

/// Marks of tokens of other kinds, which only count where the type says nothing.
fn kinds(good: &Good<'_>) -> Vec<(String, String)> {
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

/// Ways to present a good token that are none.
fn presentations(token: &str) -> Vec<Row> {
    let row = |authorization: &[u8], error| Row {
        what: format!("header {:?}", String::from_utf8_lossy(authorization).replace(token, "TOKEN")),
        authorization: authorization.to_vec(),
        error,
    };
    let mut rows: Vec<Row> = [
        format!("Bearer  {token}"),
        format!("Bearer\t{token}"),
        format!("Bearer,{token}"),
        format!("Bearer:{token}"),
        format!("Bearer={token}"),
        format!("Bearer{token}"),
        format!("Bearer {token},"),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer {token} {token}"),
        format!("Bearer {token};x=1"),
        format!("Bearer \"{token}\""),
        format!("Bearer <{token}>"),
        format!("Bearer ={token}"),
        format!("Bearer %65{token}"),
        format!("Bearer {}", token.replacen('.', "\u{2e}\u{200b}", 1)),
        "Bearer".to_owned(),
        "Bearer =".to_owned(),
        token.to_owned(),
        format!("Bearer {}", "a".repeat(17_000)),
    ]
    .iter()
    .map(|text| {
        row(text.as_bytes(), if text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) { "invalid_request" } else { "" })
    })
    .collect();
    rows.push(row(&[b"Bearer ", token.as_bytes(), b"\xff"].concat(), ""));
    for scheme in ["Basic", "Token", "JWT", "MAC", "Negotiate", "Bearer1", "Bearers", "B\u{e9}arer"] {
        let error = if scheme.is_ascii() { "invalid_token" } else { "" };
        rows.push(row(format!("{scheme} {token}").as_bytes(), error));
    }
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

fn table(url: &str) -> Vec<Row> {
    let all = good(url);
    let [ed, ec, rsa] = &all;
    let mut rows = Vec::new();
    tokens(&mut rows, "claims", changed_claims(ed, url));
    tokens(
        &mut rows,
        "header",
        [(ed, "EdDSA"), (ec, "ES256"), (rsa, "RS256")].into_iter().flat_map(|(g, alg)| changed_headers(g, alg)),
    );
    tokens(&mut rows, "encoding", encodings(ed));
    tokens(&mut rows, "forgery", forgeries(&all));
    tokens(&mut rows, "kind", kinds(ed));
    rows.extend(presentations(&ed.token()));
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_variant_of_a_good_token_gets_in() {
    let gate = Gate::start().await;
    let url = gate.url("/mcp");
    let call = gate.call("/mcp", "TOKEN", "up__echo", "{}").without("Authorization");
    let send = async |authorization: &[u8]| {
        let text = String::from_utf8_lossy(&call.bytes()).into_owned();
        let (first, rest) = text.split_once("\r\n").unwrap();
        let bytes = [first.as_bytes(), b"\r\nAuthorization: ", authorization, b"\r\n", rest.as_bytes()].concat();
        gate.reach.raw(&bytes).await
    };
    // Unchanged, each of them passes.
    for good in good(&url) {
        let answer = send(format!("Bearer {}", good.token()).as_bytes()).await;
        assert_eq!(answer.status, 200, "{}: {}", good.header, answer.whole());
    }
    let passed = gate.up.calls().len();
    let before = gate.seen();
    assert_eq!(passed, 3);
    let rows = table(&url);
    assert!(rows.len() >= 200, "{}", rows.len());
    let metadata = gate.url("/.well-known/oauth-protected-resource/mcp");
    let mut wrong = Vec::new();
    for Row { what, authorization, error } in &rows {
        let answer = send(authorization).await;
        let status = if *error == "invalid_token" { 401 } else { 400 };
        let challenge = format!("Bearer error=\"{error}\", resource_metadata=\"{metadata}\"");
        let expected = Some(challenge.as_str()).filter(|_| !error.is_empty());
        if (answer.status, answer.header("www-authenticate"), answer.ended) != (status, expected, true) {
            wrong.push(format!("{what}: {}", answer.whole()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert_eq!(gate.seen(), before, "an upstream heard of a refused request");
    let records = gate.settled(rows.len() + 3).await;
    let refused = records.iter().filter(|r| r["kind"] == "auth" && r["outcome"]["reason"] == "unauthenticated").count();
    assert_eq!(refused, rows.iter().filter(|row| !row.error.is_empty()).count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_token_in_the_wrong_place_is_no_token() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let good = gate.call("/mcp", &token, "up__echo", "{}");
    let bare = good.clone().without("Authorization");
    let target = |target: String| Req { target, ..bare.clone() };
    let header = |name: &str, value: String| bare.clone().add(name, &value);
    let rows: Vec<(&str, Req, u16)> = vec![
        ("query access_token", target(format!("/mcp?access_token={token}")), 400),
        ("query token", target(format!("/mcp?token={token}")), 400),
        ("query authorization", target(format!("/mcp?authorization=Bearer%20{token}")), 400),
        ("matrix parameter", target(format!("/mcp;access_token={token}")), 404),
        ("path", target(format!("/mcp/{token}")), 404),
        ("cookie", header("Cookie", format!("access_token={token}")), 401),
        ("cookie authorization", header("Cookie", format!("Authorization=Bearer {token}")), 401),
        ("proxy", header("Proxy-Authorization", format!("Bearer {token}")), 401),
        ("forwarded", header("X-Forwarded-Access-Token", token.clone()), 401),
        ("x-authorization", header("X-Authorization", format!("Bearer {token}")), 401),
        ("x-api-key", header("X-Api-Key", token.clone()), 401),
        ("websocket", header("Sec-WebSocket-Protocol", format!("bearer, {token}")), 401),
        ("session id", header("Mcp-Session-Id", token.clone()), 401),
        ("assertion", header("DPoP", token.clone()), 401),
        (
            "form body",
            bare.clone().set("Content-Type", "application/x-www-form-urlencoded").body(format!("access_token={token}")),
            415,
        ),
        ("member of the message", bare.clone().edit(r#""id":7"#, &format!(r#""access_token":"{token}","id":7"#)), 401),
        ("two headers", good.clone().add("Authorization", &format!("Bearer {token}")), 400),
        ("a bad one before", bare.clone().add("Authorization", "Bearer x").add("Authorization", &format!("Bearer {token}")), 400),
        ("a bad one after", good.clone().add("Authorization", "Bearer x"), 400),
        ("an empty one after", good.clone().add("Authorization", ""), 400),
    ];
    for (what, request, status) in &rows {
        let answer = gate.reach.send(request).await;
        assert_eq!((answer.status, gate.seen()), (*status, (0, 0)), "{what}: {}", answer.whole());
    }
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let answer = gate.reach.send(&bare.clone().add("authorization", &format!("{scheme} {token}"))).await;
        assert_eq!(answer.status, 200, "{scheme}: {}", answer.whole());
    }
}
