//! Everywhere that a client can put a secret.

use serde_json::{Value, json};

use super::place::Place;
use crate::authserver::form;
use crate::gate::META;
use crate::keys::{self, ED};
use crate::wire::Req;

/// What may come of a secret that was sent by a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    /// Nobody sees it again.
    Vanish,
    /// It goes on to the upstream, as it was asked for.
    Reach,
    /// It goes to the upstream, or whoever sent it gets it back, because the protocol wants that.
    Return,
}

/// How a request with a secret is made.
pub(super) type Make = fn(&Place, &str) -> Req;

fn call(place: &Place, arguments: &Value) -> Req {
    place.gate.call("/mcp", &place.token, "up__echo", &arguments.to_string())
}

/// A call of a tool with something else in its params.
fn with(place: &Place, member: &str, value: &Value) -> Req {
    call(place, &json!({})).edit("\"params\":{", &format!("\"params\":{{\"{member}\":{value},"))
}

fn request(place: &Place, method: &str, params: &Value) -> Req {
    let params = params.to_string();
    let inner = params[1..params.len() - 1].to_owned();
    place.gate.modern("/mcp", &place.token, method, &if inner.is_empty() { inner } else { inner + "," })
}

fn named(place: &Place, method: &str, member: &str, value: &str) -> Req {
    request(place, method, &json!({member: value})).add("Mcp-Name", &header(value))
}

fn list(place: &Place) -> Req {
    request(place, "tools/list", &json!({}))
}

/// In a header, where no line can end.
fn header(secret: &str) -> String {
    secret.replace('\n', "\\n")
}

fn in_header(place: &Place, name: &str, secret: &str) -> Req {
    list(place).set(name, &header(secret))
}

fn encoded(secret: &str) -> String {
    url::form_urlencoded::byte_serialize(secret.as_bytes()).collect()
}

fn json_text(secret: &str) -> String {
    json!(secret).to_string()
}

fn legacy(place: &Place, body: &Value) -> Req {
    place.gate.legacy("/mcp", &place.token, "2025-11-25", &place.session, &body.to_string())
}

fn posted(place: &Place, path: &str, pairs: &[(&str, &str)]) -> Req {
    Req::new("POST", path)
        .add("Host", &place.gate.authority())
        .add("Content-Type", "application/x-www-form-urlencoded")
        .body(form(pairs))
}

fn got(place: &Place, target: &str) -> Req {
    Req::new("GET", target).add("Host", &place.gate.authority())
}

fn with_claim(place: &Place, name: &str, secret: &str) -> Req {
    let mut claims = place.claims("alice", &["eng"]);
    claims[name] = json!(secret);
    list(place).set("Authorization", &format!("Bearer {}", ED.token(&keys::header(), &claims)))
}

/// Paths of the head: nothing of it goes anywhere.
pub(super) const HEAD: &[(&str, May, Make)] = &[
    ("authorization: a bad token", May::Vanish, |p, s| in_header(p, "Authorization", &format!("Bearer {s}"))),
    ("authorization: another scheme", May::Vanish, |p, s| in_header(p, "Authorization", &format!("Basic {s}"))),
    ("authorization: no scheme", May::Vanish, |p, s| in_header(p, "Authorization", s)),
    ("authorization: DPoP", May::Vanish, |p, s| in_header(p, "Authorization", &format!("DPoP {s}")).add("DPoP", &header(s))),
    ("authorization twice", May::Vanish, |p, s| list(p).add("Authorization", &format!("Bearer {}", header(s)))),
    ("x-api-key", May::Vanish, |p, s| in_header(p, "X-Api-Key", s)),
    ("cookie", May::Vanish, |p, s| in_header(p, "Cookie", &format!("sid={s}"))),
    ("another header", May::Vanish, |p, s| in_header(p, "X-Forwarded-User", s)),
    ("user-agent", May::Vanish, |p, s| in_header(p, "User-Agent", s)),
    ("referer", May::Vanish, |p, s| in_header(p, "Referer", s)),
    ("origin", May::Vanish, |p, s| in_header(p, "Origin", s)),
    ("host", May::Vanish, |p, s| in_header(p, "Host", s)),
    ("content-type", May::Vanish, |p, s| in_header(p, "Content-Type", s)),
    ("accept", May::Vanish, |p, s| in_header(p, "Accept", s)),
    ("mcp-protocol-version", May::Vanish, |p, s| in_header(p, "MCP-Protocol-Version", s)),
    ("mcp-method", May::Vanish, |p, s| in_header(p, "Mcp-Method", s)),
    ("mcp-name", May::Vanish, |p, s| call(p, &json!({})).set("Mcp-Name", &header(s))),
    ("mcp-param", May::Vanish, |p, s| call(p, &json!({})).add("Mcp-Param-Region", &header(s))),
    ("mcp-session-id", May::Vanish, |p, s| {
        legacy(p, &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})).set("Mcp-Session-Id", &header(s))
    }),
    ("traceparent", May::Vanish, |p, s| in_header(p, "traceparent", s).add("tracestate", &header(s)).add("baggage", &header(s))),
    ("last-event-id", May::Vanish, |p, s| {
        let stream = Req { verb: "GET".into(), body: Vec::new(), ..legacy(p, &json!({})) };
        stream.set("Accept", "text/event-stream").set("Mcp-Session-Id", "none").add("Last-Event-ID", &header(s))
    }),
    ("path", May::Vanish, |p, s| Req { target: format!("/mcp/{}", encoded(s)), ..list(p) }),
    ("query", May::Vanish, |p, s| Req { target: format!("/mcp?token={}", encoded(s)), ..list(p) }),
    ("method of HTTP", May::Vanish, |p, s| Req { verb: encoded(s).replace(['%', '+', '='], "-"), ..list(p) }),
    ("claim jti", May::Vanish, |p, s| with_claim(p, "jti", s)),
    ("claim nonce", May::Vanish, |p, s| with_claim(p, "nonce", s)),
    ("claim aud", May::Vanish, |p, s| with_claim(p, "aud", s)),
    ("claim iss", May::Vanish, |p, s| with_claim(p, "iss", s)),
    ("claim exp", May::Vanish, |p, s| with_claim(p, "exp", s)),
];

/// Paths of the body.
pub(super) const BODY: &[(&str, May, Make)] = &[
    ("id", May::Return, |p, s| list(p).edit("\"id\":7", &format!("\"id\":{}", json_text(s)))),
    ("method", May::Vanish, |p, s| request(p, s, &json!({})).set("Mcp-Method", &header(s))),
    ("a refused method", May::Vanish, |p, s| legacy(p, &json!({"jsonrpc": "2.0", "id": 1, "method": s}))),
    ("a notification's method", May::Vanish, |p, s| {
        legacy(p, &json!({"jsonrpc": "2.0", "method": format!("notifications/{s}")}))
    }),
    ("jsonrpc", May::Vanish, |p, s| list(p).edit("\"2.0\"", &json_text(s))),
    ("a member of the envelope", May::Vanish, |p, s| list(p).edit("\"id\":7", &format!("\"id\":7,{}:1", json_text(s)))),
    ("params", May::Vanish, |p, s| legacy(p, &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": s}))),
    ("a member of params", May::Vanish, |p, s| with(p, "x", &json!(s))),
    ("tool", May::Vanish, |p, s| named(p, "tools/call", "name", s)),
    ("tool of an upstream", May::Vanish, |p, s| named(p, "tools/call", "name", &format!("up__{s}"))),
    ("tool that rules allow", May::Vanish, |p, s| named(p, "tools/call", "name", &format!("up__{s}__echo"))),
    ("prompt", May::Vanish, |p, s| named(p, "prompts/get", "name", s)),
    ("prompt that rules allow", May::Reach, |p, s| named(p, "prompts/get", "name", &format!("up__{s}__greet"))),
    ("prompt argument", May::Reach, |p, s| {
        request(p, "prompts/get", &json!({"name": "up__greet", "arguments": {"a": s}})).add("Mcp-Name", "up__greet")
    }),
    ("uri", May::Vanish, |p, s| named(p, "resources/read", "uri", &format!("up+{s}"))),
    ("uri that rules allow", May::Return, |p, s| {
        named(p, "resources/read", "uri", &format!("up+file:///srv/public/{}", encoded(s)))
    }),
    ("userinfo of a uri", May::Vanish, |p, s| named(p, "resources/read", "uri", &format!("up+https://u:{}@h/", encoded(s)))),
    ("query of a uri", May::Vanish, |p, s| named(p, "resources/read", "uri", &format!("up+https://h/?token={s}"))),
    ("completion", May::Reach, |p, s| {
        let params = json!({"ref": {"type": "ref/prompt", "name": "up__greet"}, "argument": {"name": "a", "value": s}});
        request(p, "completion/complete", &params)
    }),
    ("cursor", May::Vanish, |p, s| request(p, "tools/list", &json!({"cursor": s}))),
    ("argument", May::Reach, |p, s| call(p, &json!({"a": s}))),
    ("argument key", May::Reach, |p, s| call(p, &json!({s: 1}))),
    ("argument that is refused", May::Vanish, |p, s| call(p, &json!({"path": format!("/etc/{s}")}))),
    ("argument of a write", May::Reach, |p, s| p.gate.call("/mcp", &p.token, "up__write", &json!({"a": s}).to_string())),
    ("argument on record", May::Reach, |p, s| call(p, &json!({"shown": s}))),
    ("argument on record, nested", May::Reach, |p, s| call(p, &json!({"shown": {"deep": [1, {s: format!("x\n{s}\n")}]}}))),
    ("argument on record, escaped", May::Reach, |p, s| {
        let escaped: String = s.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        p.gate.call("/mcp", &p.token, "up__echo", &format!("{{\"shown\":\"{escaped}\"}}"))
    }),
    ("argument on record, long", May::Reach, |p, s| call(p, &json!({"shown": format!("{} {s}", "x".repeat(900))}))),
    ("argument on record by a rule", May::Reach, |p, s| {
        p.gate.call("/mcp", &p.token, "up__mirror", &json!({"note": s}).to_string())
    }),
    ("argument of a call that people approve", May::Vanish, |p, s| {
        p.gate.call("/mcp", &p.eager(s), "up__delete", &json!({"a": s, "b": {"deep": [s]}}).to_string())
    }),
    ("progress token", May::Return, |p, s| call(p, &json!({})).edit(META, &format!("{META},\"progressToken\":{}", json_text(s)))),
    ("client's name", May::Reach, |p, s| {
        let info = json!({"name": s, "version": s, "title": s});
        call(p, &json!({})).edit(META, &format!("{META},\"io.modelcontextprotocol/clientInfo\":{info}"))
    }),
    ("_meta", May::Reach, |p, s| call(p, &json!({})).edit(META, &format!("{META},\"com.example/x\":{}", json_text(s)))),
    ("key of _meta", May::Reach, |p, s| call(p, &json!({})).edit(META, &format!("{META},{}:1", json_text(s)))),
    ("traceparent of _meta", May::Vanish, |p, s| {
        call(p, &json!({})).edit(META, &format!("{META},\"traceparent\":{}", json_text(s)))
    }),
    ("state of a retry", May::Reach, |p, s| with(p, "requestState", &json!(s))),
    ("answers of a retry", May::Vanish, |p, s| with(p, "inputResponses", &json!({s: {"action": s}}))),
    ("task id", May::Vanish, |p, s| request(p, "tasks/get", &json!({"taskId": s}))),
    ("initialize", May::Vanish, |p, s| {
        p.gate
            .initialize("/mcp", &p.token, "2025-11-25")
            .edit("\"c\"", &json_text(s))
            .edit("\"1\"}}", &format!("{}}}}}", json_text(s)))
    }),
    ("protocol version", May::Vanish, |p, s| {
        p.gate.initialize("/mcp", &p.token, "2025-11-25").edit("\"2025-11-25\"", &json_text(s))
    }),
    ("reason of a cancellation", May::Vanish, |p, s| {
        legacy(p, &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1, "reason": s}}))
    }),
    ("answer to no question", May::Return, |p, s| legacy(p, &json!({"jsonrpc": "2.0", "id": s, "result": {"x": s}}))),
    ("log level", May::Vanish, |p, s| {
        legacy(p, &json!({"jsonrpc": "2.0", "id": 1, "method": "logging/setLevel", "params": {"level": s}}))
    }),
    ("subscription", May::Vanish, |p, s| {
        legacy(p, &json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": {"uri": format!("up+{s}")}}))
    }),
    ("batch", May::Vanish, |p, s| list(p).body(json!([{"jsonrpc": "2.0", "id": 1, "method": s}, s]).to_string())),
    ("broken JSON", May::Vanish, |p, s| list(p).body(format!("{{\"method\":{}", json_text(s)))),
    ("no JSON", May::Vanish, |p, s| list(p).body(s)),
    ("a key twice", May::Vanish, |p, s| list(p).edit("\"id\":7", &format!("\"id\":7,{0}:1,{0}:2", json_text(s)))),
    ("too deep", May::Vanish, |p, s| list(p).body(format!("{}{}", "[".repeat(100), json_text(s)))),
    ("too long", May::Vanish, |p, s| list(p).body(format!("{}{}", json_text(s), " ".repeat(20_000)))),
    ("not as JSON", May::Vanish, |p, s| list(p).set("Content-Type", "text/plain").body(s)),
    ("code for a token", May::Vanish, |p, s| {
        posted(
            p,
            "/oauth/token",
            &[("grant_type", "authorization_code"), ("code", s), ("code_verifier", s), ("client_id", "web"), ("redirect_uri", s)],
        )
    }),
    ("refresh token", May::Vanish, |p, s| {
        posted(p, "/oauth/token", &[("grant_type", "refresh_token"), ("refresh_token", s), ("client_id", "web")])
    }),
    ("client secret", May::Vanish, |p, s| {
        posted(p, "/oauth/token", &[("grant_type", "client_credentials"), ("client_id", "web"), ("client_secret", s)])
    }),
    ("client assertion", May::Vanish, |p, s| {
        posted(p, "/oauth/token", &[("grant_type", "client_credentials"), ("client_assertion", s), ("client_assertion_type", s)])
    }),
    ("client id", May::Vanish, |p, s| posted(p, "/oauth/token", &[("grant_type", s), ("client_id", s)])),
    ("revocation", May::Vanish, |p, s| posted(p, "/oauth/revoke", &[("token", s), ("client_id", "web")])),
    ("authorization request", May::Vanish, |p, s| {
        got(
            p,
            &format!(
                "/oauth/authorize?{}",
                form(&[("response_type", "code"), ("client_id", s), ("state", s), ("code_challenge", s)])
            ),
        )
    }),
    ("callback", May::Vanish, |p, s| {
        got(p, &format!("/oauth/callback?{}", form(&[("code", s), ("state", s)]))).add("Cookie", &header(s))
    }),
    ("callback with an error", May::Vanish, |p, s| {
        got(p, &format!("/oauth/callback?{}", form(&[("error", s), ("error_description", s), ("state", s)])))
    }),
    ("link of an account", May::Vanish, |p, s| got(p, &format!("/connect/{}", encoded(s)))),
];

/// Paths at the listener of operators.
pub(super) const ADMIN: &[(&str, May, Make)] = &[
    ("admin: token", May::Vanish, |p, s| p.admin("GET", "/api/v1/audit").add("Authorization", &format!("Bearer {}", header(s)))),
    ("admin: cookie", May::Vanish, |p, s| {
        p.admin("GET", "/console/approvals").add("Cookie", &format!("portcullis-console={}", header(s)))
    }),
    ("admin: path", May::Vanish, |p, s| p.operator("GET", &format!("/api/v1/approvals/{}", encoded(s)))),
    ("admin: query", May::Vanish, |p, s| {
        p.operator("GET", &format!("/api/v1/audit?{}", form(&[("principal", s), ("nonsense", s)])))
    }),
    ("admin: body", May::Vanish, |p, s| {
        let body = json!({"decision": s, "reason": s, s: 1}).to_string();
        p.operator("POST", "/api/v1/approvals/apr_none").add("Content-Type", "application/json").body(body)
    }),
    ("admin: way back", May::Vanish, |p, s| p.admin("GET", &format!("/console/callback?{}", form(&[("code", s), ("state", s)])))),
    ("admin: way back with an error", May::Vanish, |p, s| {
        p.admin("GET", &format!("/console/callback?{}", form(&[("error", s), ("error_description", s), ("state", s)])))
    }),
    ("admin: next", May::Vanish, |p, s| p.admin("GET", &format!("/console/signin?{}", form(&[("next", s)])))),
];
