mod lift;
mod requests;
mod results;
mod upstreams;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::mcp::message::{Params, Reference, Shape};
use crate::mcp::outgoing::Outgoing;
use crate::mcp::raw::RawId;
use crate::mcp::reply::{LogLevel, Reply, ResultBody, ResultKind};
use crate::mcp::{Body, Incoming, Message, Notification, decode};

const NEW: Revision = Revision::V2026_07_28;
const SERVER: ServerInfo = ServerInfo { name: "gw", version: "1" };

fn raw(text: &str) -> RawJson {
    RawJson::parse(Bytes::copy_from_slice(text.as_bytes()), 64).unwrap()
}

fn message(text: &str) -> Message {
    match decode(&Bytes::copy_from_slice(text.as_bytes()), 64).unwrap() {
        Body::Single(message) => *message,
        Body::Batch(_) => panic!(),
    }
}

fn request(method: &str, params: &str) -> Message {
    message(&format!(r#"{{"jsonrpc":"2.0","id":"i","method":"{method}","params":{params}}}"#))
}

fn parse(revision: Revision, text: &str) -> Result<Incoming, crate::mcp::json::JsonError> {
    incoming::parse(&Bytes::copy_from_slice(text.as_bytes()), revision, 64).map(|mut all| all.remove(0))
}

fn reply(from: Revision, result: &str) -> Reply {
    match parse(from, &format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#)).unwrap() {
        Incoming::Response { reply, .. } => reply,
        other => panic!("{other:?}"),
    }
}

fn lowered(to: Revision, method: Method, reply: &Reply) -> (u16, Value) {
    let lowered = lower_reply(to, method, &RawId::number(9), reply, &SERVER);
    (lowered.status, serde_json::from_slice(&lowered.body).unwrap())
}

fn strings() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("\\PC{0,20}")
}

proptest! {
    /// What goes upstream means what the gateway decided about, in every revision.
    #[test]
    fn lowering_keeps_the_meaning(
        name in "\\PC{1,20}", cursor in strings(), uri in strings(), key in "\\PC{0,10}", value in any::<i64>(), progress in any::<bool>(),
        revision in 0usize..Revision::ALL.len(),
    ) {
        let revision = Revision::ALL[revision];
        let arguments = serde_json::json!({ key: value }).to_string();
        let request = Outgoing {
            name: Some(name.clone()), uri: uri.clone(), cursor: cursor.clone(), arguments: Some(raw(&arguments)), wants_progress: progress,
            reference: Some(Reference::Prompt(name.clone())),
            ..Outgoing::new(Method::ToolsCall)
        };
        let lowered = lower_request(revision, &request, 3);
        let operation = lift_request(revision, message(std::str::from_utf8(&lowered.body).unwrap())).unwrap();
        prop_assert_eq!(operation.method, Method::ToolsCall);
        prop_assert_eq!(operation.params.name, Some(name.clone()));
        prop_assert_eq!(operation.params.uri, uri);
        prop_assert_eq!(operation.params.cursor, cursor);
        prop_assert_eq!(operation.params.reference, Some(Reference::Prompt(name)));
        prop_assert_eq!(operation.params.arguments.unwrap().as_str().to_owned(), arguments);
        prop_assert_eq!(operation.wants_progress.map(|t| t.as_u64()), progress.then_some(Some(3)));
    }

    #[test]
    fn never_panics_on_what_upstreams_send(bytes in proptest::collection::vec(any::<u8>(), 0..200), revision in 0usize..Revision::ALL.len()) {
        let _ = incoming::parse(&Bytes::from(bytes), Revision::ALL[revision], 8);
    }

    #[test]
    fn never_panics_near_results(at in 0usize..200, byte in any::<u8>(), revision in 0usize..Revision::ALL.len()) {
        let mut text = br#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"resource_link","uri":"a"}],"_meta":{"a":1},"ttlMs":1}}"#.to_vec();
        let at = at % text.len();
        text[at] = byte;
        if let Ok(messages) = incoming::parse(&Bytes::from(text), NEW, 8) {
            for message in messages {
                if let Incoming::Response { id, reply } = message {
                    let lowered = lower_reply(Revision::ALL[revision], Method::ToolsCall, &id, &reply, &SERVER);
                    prop_assert!(serde_json::from_slice::<Value>(&lowered.body).is_ok());
                }
            }
        }
    }
}
