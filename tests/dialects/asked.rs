//! Questions of upstreams with sessions, and what clients answer.

use bytes::Bytes;
use portcullis::mcp::dialect::{Answer, Question, lower_answer, lower_question, lower_question_result};
use portcullis::mcp::{Body, Incoming, Outcome, RawId, RawJson, decode, incoming};
use portcullis::vocab::{Revision, escape};
use serde_json::Value;

use crate::generate::Generator;
use crate::text::{Json, member, members};
use crate::{rounds, schema};

/// An id of ours, as the pipeline gives them.
const OURS: &str = "\"pq-9\"";

/// Keys of `_meta` that a specification reserves end with the hop.
fn without_reserved(object: &str) -> Vec<(String, String)> {
    let reserved = |key: &str| key.starts_with("io.modelcontextprotocol/") || key == "progressToken";
    let mut kept = members(object);
    for (_, value) in kept.iter_mut().filter(|(key, _)| key == "_meta") {
        let meta: Vec<_> = members(value).into_iter().filter(|(key, _)| !reserved(key)).collect();
        *value = if meta.is_empty() { String::new() } else { format!("{meta:?}") };
    }
    kept.retain(|(_, value)| !value.is_empty());
    kept
}

/// An elicitation says who asks, hides nothing at a terminal, and has an id of ours where it leads to a page.
fn signed(method: &str, mut params: Vec<(String, String)>) -> Vec<(String, String)> {
    if method == "elicitation/create" {
        let page = params.iter().any(|(key, value)| key == "mode" && value == "\"url\"");
        params.retain(|(key, _)| key != "elicitationId");
        params.extend(page.then(|| ("elicitationId".to_owned(), OURS.to_owned())));
        for (_, value) in params.iter_mut().filter(|(key, _)| key == "message") {
            let text: String = serde_json::from_str(value).unwrap();
            if let Some(harmless) = escape::visible_lines(&text) {
                *value = RawJson::of_text(&harmless).as_str().to_owned();
            }
            value.insert_str(1, "[up] ");
        }
    }
    // What is context of one server to the upstream is that of all to the client.
    params.retain(|(key, _)| key != "includeContext");
    params
}

#[test]
fn questions_come_back_in_their_revision() {
    rounds(|revision, random, at| {
        for name in schema::union(revision, "ServerRequest").into_iter().filter(|name| *name != "PingRequest") {
            let mut generator = Generator::new(revision, random);
            let request = generator.named(name);
            let Some(Json::Token(method)) = request.member("method") else { panic!("{name}") };
            let params = request.member("params").map(|params| params.write(generator.random));
            let text = params.as_ref().map_or_else(String::new, |params| format!(",\"params\":{params}"));
            let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":{method}{text}}}");
            let lifted = incoming::parse(&Bytes::from(text), revision, 64).unwrap().remove(0);
            let Incoming::Request { id, method: asked, params: read } = lifted else { panic!("{at}: {lifted:?}") };
            assert_eq!((id.as_str(), serde_json::to_string(&asked).unwrap()), ("3", method.clone()), "{at}");
            let question = Question::of("up", &asked, read).unwrap_or_else(|| panic!("{at}: {name}"));
            let said = lower_question(revision, &RawId::of(&RawJson::of_static(OURS)).unwrap(), &question)
                .unwrap_or_else(|| panic!("{at}: {name}"));
            let said = String::from_utf8(said).unwrap();
            assert_eq!(member(&said, "method").as_ref(), Some(method), "{at}");
            let whole: Value = serde_json::from_str(&said).unwrap();
            schema::check(revision, name, &whole).unwrap_or_else(|why| panic!("{at}: {why}"));
            // Older forms lose what no form of theirs has, which schemas do not forbid.
            if asked != "elicitation/create" || revision >= Revision::V2025_11_25 {
                let expected = params.map(|params| signed(&asked, without_reserved(&params)));
                let said = member(&said, "params").map(|params| without_reserved(&params));
                assert_eq!(said, expected, "{at}: {name}");
            }
        }
    });
}

#[test]
fn answers_of_clients_come_back_in_their_revision() {
    rounds(|revision, random, at| {
        let sessions = !schema::union(revision, "ServerRequest").is_empty();
        for name in ["CreateMessageResult", "ListRootsResult", "ElicitResult"] {
            if !sessions || !schema::of(revision).contains_key(name) {
                continue;
            }
            let mut generator = Generator::new(revision, random);
            let result = generator.named(name);
            let result = result.write(generator.random);
            let text = format!("{{\"jsonrpc\":\"2.0\",\"result\":{result},\"id\":\"pq\"}}");
            let Body::Single(message) = decode(&Bytes::from(text), 64).unwrap() else { panic!("{at}") };
            let Some(Outcome::Result(read)) = message.outcome else { panic!("{at}") };
            assert_eq!(read.as_str(), result, "{at}");
            let answer = Answer::Result(lower_question_result(revision, &read).unwrap_or_else(|| panic!("{at}: {name}")));
            let said = String::from_utf8(lower_answer(revision, &RawId::number(3), &answer).body).unwrap();
            assert_eq!(member(&said, "id").as_deref(), Some("3"));
            assert_eq!(without_reserved(&member(&said, "result").unwrap()), without_reserved(&result), "{at}: {name}");
        }
    });
}
