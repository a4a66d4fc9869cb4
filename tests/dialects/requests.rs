//! Requests of clients.

use bytes::Bytes;
use portcullis::mcp::dialect::{self, Context, Operation, lift_request, lower_request};
use portcullis::mcp::headers::decode_value;
use portcullis::mcp::{Body, Method, decode};
use portcullis::vocab::Revision;
use serde_json::Value;

use crate::echo::{GOING_ON, echo};
use crate::generate::Generator;
use crate::random::Random;
use crate::text::{Json, member, members};
use crate::{rounds, schema};

/// Members whose value goes on byte for byte.
const EXACT: &[&str] = &["arguments", "argument", "context", "inputResponses"];
/// Members that are written anew and mean the same.
const MEANT: &[&str] = &["name", "uri", "cursor", "level", "requestState"];
const PREFIX: &str = "io.modelcontextprotocol/";

/// The text of a request of the definition `name`: method, params.
fn request(revision: Revision, name: &str, random: &mut Random) -> (String, Option<String>) {
    let mut generator = Generator::new(revision, random);
    let request = generator.named(name);
    let random = generator.random;
    let Some(Json::Token(method)) = request.member("method") else { panic!("{name}") };
    (serde_json::from_str(method).unwrap(), request.member("params").map(|params| params.write(random)))
}

fn lift(revision: Revision, method: &str, params: Option<&str>, at: &str) -> Operation {
    let params = params.map_or_else(String::new, |params| format!(",\"params\":{params}"));
    let text = format!("{{\"method\":\"{method}\",\"id\":\"q\"{params},\"jsonrpc\":\"2.0\"}}");
    let message = match decode(&Bytes::from(text.clone()), 64) {
        Ok(Body::Single(message)) => *message,
        other => panic!("{at}: {other:?}: {text}"),
    };
    lift_request(revision, message).unwrap_or_else(|error| panic!("{at}: {error:?}: {text}"))
}

fn meaning(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn requests_come_back_in_their_revision() {
    rounds(|revision, random, at| {
        for name in schema::union(revision, "ClientRequest") {
            let (method, sent) = request(revision, name, random);
            let operation = lift(revision, &method, sent.as_deref(), at);
            assert_eq!((operation.method.as_str(), operation.id.as_str()), (method.as_str(), "\"q\""), "{at}");
            if !GOING_ON.contains(&operation.method) {
                stays(&operation, sent.as_deref());
                continue;
            }
            let lowered = lower_request(revision, &echo(&operation), 7);
            let body = String::from_utf8(lowered.body).unwrap();
            assert_eq!(member(&body, "method").map(|method| meaning(&method)), Some(method.clone().into()), "{at}");
            assert_eq!(member(&body, "id").as_deref(), Some("7"));
            let (sent, said) = (sent.unwrap_or_else(|| "{}".to_owned()), member(&body, "params").unwrap());
            assert_same(operation.method, &sent, &said, at);
            assert_context(revision, &sent, &said, at);
            let head = |name: &str| lowered.headers.iter().find(|(key, _)| key == name).map(|(_, v)| v.to_str().unwrap());
            if dialect::of(revision).context == Context::Request {
                assert_eq!(head("mcp-method"), Some(method.as_str()));
                let named = match operation.method {
                    Method::ToolsCall | Method::PromptsGet => operation.params.name,
                    Method::ResourcesRead => operation.params.uri,
                    _ => None,
                };
                assert_eq!(head("mcp-name").map(|name| decode_value(name).unwrap().into_owned()), named, "{at}");
            }
        }
    });
}

/// What ends at the gateway was understood.
fn stays(operation: &Operation, sent: Option<&str>) {
    let sent = |name: &str| sent.and_then(|sent| member(sent, name));
    let params = &operation.params;
    assert_eq!(params.capabilities.as_ref().map(|raw| raw.as_str().to_owned()), sent("capabilities"));
    assert_eq!(params.client_info.as_ref().map(|raw| raw.as_str().to_owned()), sent("clientInfo"));
    assert_eq!(params.notifications.as_ref().map(|raw| raw.as_str().to_owned()), sent("notifications"));
    assert_eq!(params.protocol_version.clone().map(Value::from), sent("protocolVersion").map(|text| meaning(&text)));
    assert_eq!(params.task_id.clone().map(Value::from), sent("taskId").map(|text| meaning(&text)));
}

/// The members that the method defines; others may be left out, none may be added.
fn assert_same(method: Method, sent: &str, said: &str, at: &str) {
    let defined: &[&str] = match method {
        Method::ToolsCall => &["name", "arguments", "inputResponses", "requestState"],
        Method::PromptsGet => &["name", "arguments", "inputResponses", "requestState"],
        Method::ResourcesRead => &["uri", "inputResponses", "requestState"],
        Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => &["uri"],
        Method::Complete => &["ref", "argument", "context"],
        Method::SetLevel => &["level"],
        _ => &["cursor"],
    };
    for name in defined {
        let (sent, said) = (member(sent, name), member(said, name));
        if EXACT.contains(name) {
            assert_eq!(said, sent, "{at}: {name}");
        } else if MEANT.contains(name) {
            assert_eq!(said.map(|text| meaning(&text)), sent.map(|text| meaning(&text)), "{at}: {name}");
        } else {
            // Of a reference only what it refers to goes on, not its title.
            let (sent, said) = (meaning(&sent.unwrap()), meaning(&said.unwrap()));
            for (key, value) in said.as_object().unwrap() {
                assert_eq!(Some(value), sent.get(key), "{at}: {key}");
            }
            assert_eq!(said.as_object().unwrap().len(), 2, "{at}");
        }
    }
    for (key, _) in members(said) {
        assert!(key == "_meta" || defined.contains(&key.as_str()), "{at}: {key} was added");
    }
}

fn assert_context(revision: Revision, sent: &str, said: &str, at: &str) {
    let (sent, said) = (member(sent, "_meta"), member(said, "_meta"));
    let of = |meta: &Option<String>, name: &str| meta.as_ref().and_then(|meta| member(meta, name));
    let progress = of(&sent, "progressToken").map(|_| "7".to_owned());
    assert_eq!(of(&said, "progressToken"), progress, "{at}");
    if dialect::of(revision).context == Context::Request {
        let (capabilities, level) = (format!("{PREFIX}clientCapabilities"), format!("{PREFIX}logLevel"));
        assert_eq!(of(&said, &capabilities), of(&sent, &capabilities), "{at}");
        assert_eq!(of(&said, &level).map(|text| meaning(&text)), of(&sent, &level).map(|text| meaning(&text)), "{at}");
        assert_eq!(of(&said, &format!("{PREFIX}protocolVersion")), Some(format!("\"{revision}\"")), "{at}");
    } else {
        assert_eq!(said.is_some(), progress.is_some(), "{at}");
    }
}
