//! Every variant is a good token with one change, and none of them gets in: the status, the challenge and the silence of the
//! upstreams are the same for all.

mod claims;
mod forgeries;
mod shapes;

use serde_json::{Value, json};

use crate::gate::Gate;
use crate::keys::{EC, ED, RSA, Signer, changed, claims};
use crate::wire::Req;
use claims::{changed_claims, kinds};
use forgeries::forgeries;
use shapes::{changed_headers, encodings};

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
        let echoed =
            answer.whole().contains(&*String::from_utf8_lossy(authorization.strip_prefix(b"Bearer ").unwrap_or(authorization)));
        let echoed = echoed && authorization.len() > 15;
        if echoed || (answer.status, answer.header("www-authenticate"), answer.ended) != (status, expected, true) {
            wrong.push(format!("{what}: {}", answer.whole()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert_eq!(gate.seen(), before, "an upstream heard of a refused request");
    let records = gate.settled(rows.len() + 3).await;
    let refused = |r: &&Value| r["kind"] == "auth" && r["outcome"]["reason"] == "unauthenticated" && r.get("decision").is_none();
    let refused = records.iter().filter(refused).count();
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
