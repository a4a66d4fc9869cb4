use bytes::Bytes;

use super::*;
use crate::mcp::client_caps::ClientCaps;

fn raw(json: &str) -> RawJson {
    RawJson::parse(Bytes::from(json.to_owned()), 32).unwrap()
}

fn body(json: &str) -> ResultBody {
    incoming::parse_result(&raw(json)).unwrap()
}

fn text(members: &[(RawJson, RawJson)]) -> String {
    inlined(&ResultBody { members: members.to_vec(), ..ResultBody::default() }).as_str().to_owned()
}

const WORKING: &str = r#""status":"working","statusMessage":"m","createdAt":"c","lastUpdatedAt":"l""#;

#[test]
fn only_what_is_known_of_a_task_passes() {
    for (form, ttl, poll) in [(Form::Extension, "ttlMs", "pollIntervalMs"), (Form::Session, "ttl", "pollInterval")] {
        let json = format!(
            r#"{{"taskId":"own","{ttl}":60000,"x":1,"{poll}":500,{WORKING},"requestState":"s","result":{{}},"inputRequests":{{}}}}"#
        );
        let task = Task::read(form, &body(&json)).unwrap();
        assert_eq!((task.id.as_str(), task.ttl_ms, task.poll_ms), ("own", Some(60_000), Some(500)));
        assert!(task.result.is_none() && task.input_requests.is_none() && task.error.is_none());
        let expect = format!(r#"{{"taskId":"ours",{WORKING},"{ttl}":60000,"{poll}":500}}"#);
        assert_eq!(text(&task.members("ours")), expect);
        let created = task.created(form, "ours");
        match form {
            Form::Extension => assert_eq!((created.kind, text(&created.members)), (ResultKind::Task, expect)),
            Form::Session => assert_eq!(text(&created.members), format!(r#"{{"task":{expect}}}"#)),
        }
    }
}

#[test]
fn what_a_task_ends_in_belongs_to_its_status() {
    let end = |status: &str| {
        let json = format!(
            r#"{{"taskId":"t","status":"{status}","ttlMs":null,"result":{{"content":[],"_meta":{{"io.modelcontextprotocol/related-task":{{"taskId":"t"}},"k":1}}}},"error":{{"code":-32603,"message":"m"}},"inputRequests":{{"k":{{}}}}}}"#
        );
        Task::read(Form::Extension, &body(&json)).unwrap()
    };
    let done = end("completed");
    assert!(done.error.is_none() && done.input_requests.is_none() && done.status.is_final());
    let inner = outcome(&done.result.unwrap()).unwrap();
    assert_eq!(inlined(&inner).as_str(), r#"{"content":[],"_meta":{"k":1}}"#);
    let failed = end("failed");
    assert!(failed.result.is_none() && failed.input_requests.is_none());
    assert_eq!(failed.error.unwrap().code, -32_603);
    let asking = end("input_required");
    assert!(asking.result.is_none() && asking.error.is_none() && asking.input_requests.is_some() && !asking.status.is_final());
}

#[test]
fn what_is_no_task_is_refused() {
    let long = format!(r#"{{"taskId":"{}","status":"working"}}"#, "i".repeat(TASK_OWN_ID_BYTES_MAX + 1));
    for json in [
        "{}",
        r#"{"taskId":"t"}"#,
        r#"{"status":"working"}"#,
        r#"{"taskId":1,"status":"working"}"#,
        r#"{"taskId":"","status":"working"}"#,
        r#"{"taskId":"t","status":"Working"}"#,
        r#"{"taskId":"t","status":["working"]}"#,
        r#"{"TaskId":"t","status":"working"}"#,
        r#"{"taskId":"t","status":"failed","error":{"message":"no code"}}"#,
        &long,
    ] {
        assert!(Task::read(Form::Extension, &body(json)).is_err(), "{json}");
    }
    assert!(Task::created_in_session(&body(r#"{"task":1}"#)).is_err());
    assert!(Task::created_in_session(&body(r#"{"content":[]}"#)).unwrap().is_none());
    let created = Task::created_in_session(&body(r#"{"task":{"taskId":"t","status":"working","ttl":null}}"#)).unwrap().unwrap();
    assert_eq!((created.id.as_str(), created.ttl_ms), ("t", None));
    assert!(outcome(&raw(r#"{"resultType":"task","taskId":"t"}"#)).is_err());
}

#[test]
fn the_extension_is_declared_and_demanded_by_its_name() {
    for (json, declared) in [
        (r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#, true),
        (r#"{"extensions":{"io.modelcontextprotocol/tasks":true}}"#, false),
        (r#"{"extensions":{"io.modelcontextprotocol/Tasks":{}}}"#, false),
        (r#"{"tasks":{"requests":{"tools":{"call":{}}}}}"#, false),
        ("{}", false),
    ] {
        assert_eq!(is_declared(&raw(json)), declared, "{json}");
        let error =
            |code| RpcError { code, message: String::new(), data: Some(raw(&format!(r#"{{"requiredCapabilities":{json}}}"#))) };
        assert_eq!(is_demanded_by(&error(codes::MISSING_CAPABILITY)), declared, "{json}");
        assert!(!is_demanded_by(&error(codes::INVALID_PARAMS)), "{json}");
    }
    for caps in [ClientCaps::NONE, ClientCaps::ALL] {
        let declaring = raw(declaring(&caps.to_json()).as_str());
        assert!(is_declared(&declaring));
        assert_eq!(ClientCaps::parse(&declaring).unwrap(), caps);
    }
    assert_eq!(wanted_ttl_ms(&raw(r#"{"ttl":5}"#)), Some(5));
    for json in ["{}", r#"{"ttl":-5}"#, r#"{"ttl":"5"}"#, r#"{"ttl":1.5}"#] {
        assert_eq!(wanted_ttl_ms(&raw(json)), None, "{json}");
    }
}

#[test]
fn a_result_is_tied_to_the_clients_id() {
    let mut result = body(r#"{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"own"}}}"#);
    relate(&mut result, "ours");
    assert_eq!(inlined(&result).as_str(), r#"{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"ours"}}}"#);
}

#[test]
fn a_message_is_tied_wherever_its_params_stand() {
    let tie = r#""_meta":{"io.modelcontextprotocol/related-task":{"taskId":"o\"urs"}}"#;
    for (message, expect) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#,
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"roots/list","params":{{{tie}}}}}"#),
        ),
        (r#"{"method":"m","params":{}}"#, format!(r#"{{"method":"m","params":{{{tie}}}}}"#)),
        (r#"{"params":{"a":1},"method":"m"}"#, format!(r#"{{"params":{{"a":1,{tie}}},"method":"m"}}"#)),
        (
            r#"{"params":{"_meta":{"k":1,"io.modelcontextprotocol/related-task":{"taskId":"own"}}}}"#,
            r#"{"params":{"_meta":{"k":1,"io.modelcontextprotocol/related-task":{"taskId":"o\"urs"}}}}"#.to_owned(),
        ),
    ] {
        let tied = String::from_utf8(related(message.as_bytes().to_vec(), "o\"urs")).unwrap();
        assert_eq!(tied, expect);
        raw(&tied);
    }
}
