use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::mcp::reply::ResultKind;
use crate::mcp::{ResultBody, RpcError};
use crate::policy::{Asked, Evidence, Facts, Kind, compile, decide};
use crate::vocab::{Class, Principal};

fn raw(text: &str) -> RawJson {
    RawJson::parse(Bytes::copy_from_slice(text.as_bytes()), 64).unwrap()
}

#[test]
fn keys_and_states_are_exempt_only_where_they_are_sealed() {
    let secret = |c: char| format!("AKIA{}", c.to_string().repeat(16));
    let member = |key: &str, value: &str| (RawJson::of_text(key), RawJson::of_text(value));
    let shown =
        |members: &Members| members.iter().map(|(k, v)| format!("{}:{}", k.as_str(), v.as_str())).collect::<Vec<_>>().join(" ");
    for (kind, kept) in [(ResultKind::InputRequired, true), (ResultKind::Complete, false)] {
        let mut inspector = inspector(", require: { redact: [secrets] }");
        let body = ResultBody {
            kind,
            meta: vec![member(&secret('A'), "1"), member("requestState", &secret('B'))],
            members: vec![
                member(&secret('C'), "1"),
                member(&secret('D'), "1"),
                member("password", "hunter2hunter2"),
                member("requestState", &secret('E')),
            ],
            ..ResultBody::default()
        };
        let Reply::Result(body) = inspector.reply(Reply::Result(body)).into_inner() else { panic!() };
        assert!(!shown(&body.meta).contains("AKIA"), "{}", shown(&body.meta));
        assert_eq!(shown(&body.members).matches("AKIA").count(), usize::from(kept), "{}", shown(&body.members));
        assert_eq!(body.member("requestState").unwrap().as_str().contains(&secret('E')), kept);
        assert_eq!(body.member("password").unwrap().as_str(), "\"[redacted: password]\"");
        assert_ne!(body.members[0].0.as_str(), body.members[1].0.as_str());
        assert_eq!(inspector.redacted(), if kept { 5 } else { 6 });
        let members = inspector.members(vec![member(&secret('F'), "1"), member("token", "abcdef1234567890")]);
        assert!(!shown(members.get()).contains("AKIA") && !shown(members.get()).contains("abcdef"), "{}", shown(members.get()));
    }
}

fn inspector(require: &str) -> Inspector {
    let rule = format!(
        "version: 1\ntools: [{{ match: ['x__t'], class: read }}]\nrules: [{{ id: r, effect: allow, principals: [any], tools: ['x__t']{require} }}]\n"
    );
    let set = compile(&[("p.yaml".to_owned(), rule)], &Facts { upstreams: &[], issuers: &[] }).unwrap();
    let kind = Kind::Tool { name: "x__t", class: Class::Read, arguments: None };
    let decision = decide(&set, &Principal::anonymous(), &Asked { kind, known: true, now_unix_ms: 1, route: "/mcp" });
    Inspector::of(&mut decision.permit(Evidence::default()).unwrap())
}

fn result(members: &serde_json::Value) -> Reply {
    let member = |(key, value): (&String, &serde_json::Value)| (RawJson::of_text(key), raw(&value.to_string()));
    Reply::Result(ResultBody { members: members.as_object().unwrap().iter().map(member).collect(), ..ResultBody::default() })
}

#[test]
fn an_answer_is_inspected_as_the_permit_obliges() {
    let secret = format!("AKIA{}", "A".repeat(16));
    let everything = json!({
        "content": [{"type": "text", "text": secret}],
        "structuredContent": {"deep": [{"key": secret}]},
        "contents": [{"uri": "x", "text": secret}],
        "messages": [{"role": "user", "content": {"type": "text", "text": secret}}],
        "requestState": secret
    });
    for (require, redacted) in [("", 0), (", require: { redact: [secrets] }", 4)] {
        let mut inspector = inspector(require);
        let Reply::Result(mut asking) = result(&everything) else { panic!() };
        asking.kind = ResultKind::InputRequired;
        let Reply::Result(body) = inspector.reply(Reply::Result(asking)).into_inner() else { panic!() };
        let left = body.members.iter().filter(|(_, value)| value.as_str().contains(&secret)).count();
        assert_eq!((inspector.redacted(), left), (redacted, 5 - redacted as usize));
        // The state of an upstream is its own.
        assert!(body.member("requestState").unwrap().as_str().contains(&secret));
        let params = inspector.params(raw(&json!({"level": "info", "data": secret}).to_string()));
        let data = Some(raw(&json!({"elicitations": [{"message": secret}]}).to_string()));
        let error = Reply::Error(RpcError { code: -32042, message: String::new(), data });
        let Reply::Error(error) = inspector.reply(error).into_inner() else { panic!() };
        assert_eq!(error.data.unwrap().as_str().contains(&secret), redacted == 0);
        let members = inspector.members(vec![(RawJson::of_text("message"), RawJson::of_text(&secret))]);
        assert_eq!(params.get().as_str().contains(&secret), redacted == 0);
        assert_eq!(members.get()[0].1.as_str().contains(&secret), redacted == 0);
    }
}

#[test]
fn text_is_measured_where_a_model_reads_it() {
    for (members, text_bytes) in [
        (json!({"content": [{"type": "text", "text": "12345"}, {"type": "image", "data": "aaaa"}]}), 5),
        (json!({"content": [{"type": "text", "text": "é\n"}]}), 3),
        (json!({"content": [{"type": "resource", "resource": {"uri": "u", "text": "123"}}]}), 3),
        (json!({"content": [], "structuredContent": {"a": 1}}), 7),
        (json!({"content": [{"type": "text", "text": "{\"a\":1}"}], "structuredContent": {"a": 1}}), 7),
        (json!({"contents": [{"uri": "u", "text": "1234"}, {"uri": "u", "blob": "aaaa"}]}), 4),
        (json!({"messages": [{"role": "user", "content": {"type": "text", "text": "12"}}]}), 2),
        (json!({"completion": {"values": ["x"]}}), 0),
    ] {
        let mut inspector = inspector("");
        drop(inspector.reply(result(&members)));
        assert_eq!(inspector.used().text_bytes, text_bytes, "{members}");
        assert!(inspector.used().bytes as usize >= members.to_string().len() - 8, "{members}");
    }
}
