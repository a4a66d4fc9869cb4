//! Every field that a client fills in, and the request that has it so.

use serde_json::json;

use super::strings::Hostile;
use super::{token_of, trace_line};
use crate::gate::{Gate, META};
use crate::keys;

/// What a request needs that is not hostile.
pub(super) struct Good {
    pub(super) authority: String,
    pub(super) token: String,
    pub(super) session: String,
    pub(super) audience: String,
}

/// Where the hostile string is put.
#[derive(Clone, Copy)]
enum Place {
    /// Into the message of a session of 2025-11-25, for `@`.
    Session(&'static str),
    /// Into the members of the parameters of a method of 2026-07-28, for `@`; also into its `_meta`.
    Modern(&'static str, &'static str, &'static str, &'static str),
    /// Into a message that opens a session, for `@`.
    Opening(&'static str),
    /// It is the message.
    Body,
    /// Into the value of a header of a good call, behind this.
    Header(&'static str, &'static str),
    /// Into the name of a header.
    HeaderName,
    /// Into the request's line: behind this, and before that.
    Line(&'static str, &'static str),
    /// Into the claims of the call's token, for `@`.
    Claims(&'static str),
    /// Into the header of the call's token.
    TokenHeader(&'static str),
}

/// A field, and where it stands in the record if it does.
pub(super) struct Field {
    pub(super) name: &'static str,
    place: Place,
    pub(super) recorded: Option<&'static str>,
}

const fn field(name: &'static str, place: Place, recorded: Option<&'static str>) -> Field {
    Field { name, place, recorded }
}

use Place::{Body, Claims, Header, HeaderName, Line, Modern, Opening, Session, TokenHeader};

pub(super) const FIELDS: &[Field] = &[
    field("method", Session(r#"{"jsonrpc":"2.0","id":1,"method":@}"#), None),
    field("method of a notification", Session(r#"{"jsonrpc":"2.0","method":@}"#), None),
    field("version of JSON-RPC", Session(r#"{"jsonrpc":@,"id":1,"method":"ping"}"#), None),
    field("id", Session(r#"{"jsonrpc":"2.0","id":@,"method":"ping"}"#), Some("/rpc_id")),
    field("a member of no name", Session(r#"{"jsonrpc":"2.0","id":1,"method":"ping",@:1}"#), None),
    field("an answer's id", Session(r#"{"jsonrpc":"2.0","id":@,"result":{}}"#), None),
    field("tool", Session(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":@,"arguments":{}}}"#), Some("/name")),
    field("URI", Session(r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":@}}"#), Some("/name")),
    field(
        "URI to watch",
        Session(r#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":@}}"#),
        Some("/name"),
    ),
    field("prompt", Session(r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":@}}"#), Some("/name")),
    field(
        "completed reference",
        Session(
            r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":@},"argument":{"name":"a","value":"b"}}}"#,
        ),
        None,
    ),
    field("log level", Session(r#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":@}}"#), None),
    field("task", Session(r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":@}}"#), None),
    field(
        "cancelled",
        Session(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":@,"reason":@}}"#),
        None,
    ),
    field("cursor", Session(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":@}}"#), None),
    field(
        "argument",
        Modern("tools/call", "up__echo", r#""name":"up__echo","arguments":{"v":@},"#, ""),
        Some("/args/fields/~1v"),
    ),
    field(
        "written",
        Modern("tools/call", "up__write", r#""name":"up__write","arguments":{"v":@},"#, ""),
        Some("/args/fields/~1v"),
    ),
    field("key of an argument", Modern("tools/call", "up__echo", r#""name":"up__echo","arguments":{@:1},"#, ""), None),
    field("key within an argument", Modern("tools/call", "up__echo", r#""name":"up__echo","arguments":{"v":{@:1}},"#, ""), None),
    field("mirrored argument", Modern("tools/call", "up__mirror", r#""name":"up__mirror","arguments":{"region":@},"#, ""), None),
    field(
        "progress token",
        Modern("tools/call", "up__echo", r#""name":"up__echo","arguments":{},"#, r#""progressToken":@,"#),
        None,
    ),
    field(
        "trace in _meta",
        Modern("tools/call", "up__echo", r#""name":"up__echo","arguments":{},"#, r#""traceparent":@,"tracestate":@,"#),
        None,
    ),
    field("key in _meta", Modern("tools/call", "up__echo", r#""name":"up__echo","arguments":{},"#, "@:1,"), None),
    field(
        "client in _meta",
        Modern(
            "tools/call",
            "up__echo",
            r#""name":"up__echo","arguments":{},"#,
            r#""io.modelcontextprotocol/clientInfo":{"name":@,"version":@},"#,
        ),
        None,
    ),
    field(
        "state of a retry",
        Modern("tools/call", "up__echo", r#""name":"up__echo","arguments":{},"requestState":@,"#, ""),
        None,
    ),
    field(
        "answers of a retry",
        Modern("tools/call", "up__echo", r#""name":"up__echo","arguments":{},"inputResponses":{@:{}},"#, ""),
        None,
    ),
    field(
        "client's name",
        Opening(r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":@,"title":@,"version":"1"}}"#),
        None,
    ),
    field(
        "client's version",
        Opening(r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":@}}"#),
        None,
    ),
    field(
        "client's revision",
        Opening(r#"{"protocolVersion":@,"capabilities":{},"clientInfo":{"name":"c","version":"1"}}"#),
        None,
    ),
    field(
        "client's capability",
        Opening(r#"{"protocolVersion":"2025-11-25","capabilities":{@:{}},"clientInfo":{"name":"c","version":"1"}}"#),
        None,
    ),
    field("message", Body, None),
    field("User-Agent", Header("User-Agent", ""), None),
    field("Mcp-Name", Header("Mcp-Name", ""), None),
    field("Mcp-Method", Header("Mcp-Method", ""), None),
    field("Mcp-Session-Id", Header("Mcp-Session-Id", ""), None),
    field("MCP-Protocol-Version", Header("MCP-Protocol-Version", ""), None),
    field("Mcp-Param-Region", Header("Mcp-Param-Region", ""), None),
    field("Last-Event-ID", Header("Last-Event-ID", ""), None),
    field("Origin", Header("Origin", ""), None),
    field("Host", Header("Host", ""), None),
    field("Authorization", Header("Authorization", ""), None),
    field("bearer", Header("Authorization", "Bearer "), None),
    field("DPoP", Header("DPoP", ""), None),
    field("traceparent", Header("traceparent", ""), None),
    field("tracestate", Header("tracestate", "v="), None),
    field("Accept", Header("Accept", ""), None),
    field("Content-Type", Header("Content-Type", ""), None),
    field("name of a header", HeaderName, None),
    field("path", Line("POST /", ""), None),
    field("path of the metadata", Line("GET /.well-known/oauth-protected-resource/", ""), None),
    field("query", Line("POST /mcp?", ""), None),
    field("verb", Line("", " /mcp"), None),
    field("sub", Claims(r#""sub":@"#), Some("/principal/sub")),
    field("client_id", Claims(r#""sub":"a","client_id":@"#), Some("/principal/client_id")),
    field("group", Claims(r#""sub":"a","groups":["eng",@]"#), Some("/principal/groups/1")),
    field("scope", Claims(r#""sub":"a","groups":["eng"],"scope":@"#), None),
    field("jti", Claims(r#""sub":"a","groups":["eng"],"jti":@"#), None),
    field("actor", Claims(r#""sub":"a","groups":["eng"],"act":{"sub":@}"#), Some("/principal/actor/0")),
    field("a claim of no name", Claims(r#""sub":"a",@:1"#), None),
    field("kid", TokenHeader(r#"{"alg":"EdDSA","typ":"at+jwt","kid":@}"#), None),
    field("typ", TokenHeader(r#"{"alg":"EdDSA","kid":"ed","typ":@}"#), None),
];

/// `template` with every `@` replaced.
fn filled(template: &str, with: &[u8]) -> Vec<u8> {
    template.as_bytes().split(|byte| *byte == b'@').collect::<Vec<_>>().join(with)
}

impl Field {
    /// Where the trace is, this field cannot be told by it.
    pub(super) fn is_traced(&self) -> bool {
        !matches!(self.name, "traceparent" | "trace in _meta")
    }

    /// Whether HTTP has nothing against `hostile` here, so that it is handed over.
    pub(super) fn hands_over(&self, hostile: &Hostile) -> bool {
        match self.place {
            Session(_) | Modern(..) | Opening(_) | Body => true,
            Header(..) => hostile.fits_a_header(),
            Claims(_) | TokenHeader(_) => hostile.token.len() < 8 * 1024,
            HeaderName | Line(..) => false,
        }
    }

    /// A request that has `hostile` in this field, and `trace`.
    pub(super) fn request(&self, good: &Good, hostile: &Hostile, trace: &str) -> Vec<u8> {
        let with = &hostile.token;
        match self.place {
            Session(message) => self.post(good, trace, b"", &filled(message, with), Era::Session),
            Modern(method, name, params, meta) => {
                let (params, meta) = (filled(params, with), filled(meta, with));
                let head = format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"{method}\",\"params\":{{");
                let body = [head.as_bytes(), &params, b"\"_meta\":{", &meta, META.as_bytes(), b"}}}"].concat();
                self.post(good, trace, format!("Mcp-Method: {method}\r\nMcp-Name: {name}\r\n").as_bytes(), &body, Era::Modern)
            }
            Opening(params) => {
                let body = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{params}}}"#);
                self.post(good, trace, b"", &filled(&body, with), Era::None)
            }
            Body => self.post(good, trace, b"", &hostile.bytes, Era::Session),
            Header(name, before) => {
                self.call(good, trace, &[name.as_bytes(), b": ", before.as_bytes(), &hostile.bytes, b"\r\n"].concat())
            }
            HeaderName => self.call(good, trace, &[b"X-".as_slice(), &hostile.bytes, b": 1\r\n"].concat()),
            Line(before, after) => {
                let line = [before.as_bytes(), &hostile.bytes, after.as_bytes()].concat();
                self.send(good, trace, &line, b"", &call("{}"), Era::Modern, &good.token)
            }
            Claims(claims) => {
                let rest = json!({"iss": keys::ISSUER, "aud": good.audience, "exp": keys::now_s() + 600}).to_string();
                let claims = [rest.trim_end_matches('}').as_bytes(), b",", &filled(claims, with), b"}"].concat();
                self.send(good, trace, b"POST /mcp", CALL, &call("{}"), Era::Modern, &token_of(&claims))
            }
            TokenHeader(header) => {
                let (_, rest) = good.token.split_once('.').unwrap();
                let (claims, _) = rest.split_once('.').unwrap();
                let signed = format!("{}.{claims}", keys::b64(filled(header, with)));
                let token = format!("{signed}.{}", keys::b64(keys::ED.sign(signed.as_bytes())));
                self.send(good, trace, b"POST /mcp", CALL, &call("{}"), Era::Modern, &token)
            }
        }
    }

    fn post(&self, good: &Good, trace: &str, more: &[u8], body: &[u8], era: Era) -> Vec<u8> {
        self.send(good, trace, b"POST /mcp", more, body, era, &good.token)
    }

    /// A good call with one more header.
    fn call(&self, good: &Good, trace: &str, line: &[u8]) -> Vec<u8> {
        self.send(good, trace, b"POST /mcp", &[CALL, line].concat(), &call("{}"), Era::Modern, &good.token)
    }

    /// The request, without those lines of its own that the field is about.
    #[expect(clippy::too_many_arguments, reason = "the parts of a request")]
    fn send(&self, good: &Good, trace: &str, line: &[u8], more: &[u8], body: &[u8], era: Era, token: &str) -> Vec<u8> {
        let authorization = format!("Bearer {token}");
        let (length, trace) = (body.len().to_string(), trace_line(trace));
        let mut lines = vec![
            ("traceparent", trace.as_str()),
            ("Host", &good.authority),
            ("Authorization", &authorization),
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("Content-Length", &length),
        ];
        match era {
            Era::None => {}
            Era::Session => lines.extend([("MCP-Protocol-Version", "2025-11-25"), ("Mcp-Session-Id", &good.session)]),
            Era::Modern => lines.push(("MCP-Protocol-Version", "2026-07-28")),
        }
        let mut out = [line, b" HTTP/1.1\r\n"].concat();
        let own = if let Header(name, _) = self.place { name } else { "" };
        if line.starts_with(b"GET") {
            lines.retain(|(name, _)| !name.starts_with("Content"));
        }
        for (name, value) in lines.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(own)) {
            out.extend(format!("{name}: {value}\r\n").bytes());
        }
        // Of these the field's own is the last, and the only one.
        let keeps = |line: &&[u8]| !line.to_ascii_lowercase().starts_with(format!("{}:", own.to_ascii_lowercase()).as_bytes());
        match (own, more.strip_prefix(CALL)) {
            (_, Some(rest)) => {
                CALL.split_inclusive(|byte| *byte == b'\n').filter(keeps).for_each(|line| out.extend(line));
                out.extend(rest);
            }
            (_, None) => out.extend(more),
        }
        out.extend(b"\r\n");
        if !line.starts_with(b"GET") {
            out.extend(body);
        }
        out
    }
}

#[derive(Clone, Copy)]
enum Era {
    None,
    Session,
    Modern,
}

const CALL: &[u8] = b"Mcp-Method: tools/call\r\nMcp-Name: up__echo\r\n";

fn call(arguments: &str) -> Vec<u8> {
    let params = format!(r#""name":"up__echo","arguments":{arguments},"_meta":{{{META}}}"#);
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{{params}}}}}"#).into_bytes()
}

impl Good {
    pub(super) async fn of(gate: &Gate) -> Self {
        let token = gate.token("alice", &["eng"]);
        let session = gate.session("/mcp", &token, "2025-11-25").await;
        Self { authority: gate.authority(), token, session, audience: gate.url("/mcp") }
    }
}
