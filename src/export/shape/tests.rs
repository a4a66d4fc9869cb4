#![expect(clippy::string_slice, reason = "tests")]

mod logs;

use serde_json::json;

use super::syslog::Sender;
use super::*;
use crate::telemetry::escape::is_unsafe;

/// A record of `kind`, with these members more.
fn record(kind: &str, more: &Value) -> Vec<u8> {
    let mut record = json!({
        "v": 1, "seq": 7, "time": "2026-11-22T04:38:36.123Z", "id": "0199", "kind": kind, "prev": "00", "hash": "11",
    });
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut line = Vec::new();
    push_value(&mut line, &record);
    line
}

fn call() -> Value {
    json!({
        "rpc_id": "5", "trace_id": "0123456789abcdef0123456789abcdef",
        "principal": {"iss": "https://idp", "sub": "alice", "client_id": "agent", "groups": ["eng"], "scopes": []},
        "route": "/mcp", "upstream": "files", "method": "tools/call", "name": "files__read", "class": "read",
        "decision": {"effect": "allow", "mode": "enforce", "reason": "allowed", "rules": ["r1", "r2"], "policy": "abc"},
        "outcome": {"status": "completed", "reason": "allowed", "http": 200, "bytes_in": 10, "bytes_out": 20}, "intent": 6,
    })
}

fn with(more: &Value) -> Value {
    let mut call = call();
    for (key, value) in more.as_object().unwrap() {
        match call.get_mut(key).and_then(Value::as_object_mut) {
            Some(object) => object.extend(value.as_object().unwrap().clone()),
            None => drop(call.as_object_mut().unwrap().insert(key.clone(), value.clone())),
        }
        if value.is_string() {
            call[key] = value.clone();
        }
    }
    call
}

fn made(format: SinkFormat, line: &[u8]) -> String {
    let mut out = Vec::new();
    message(&mut out, format, line);
    String::from_utf8(out).unwrap()
}

fn ocsf(line: &[u8]) -> Value {
    serde_json::from_str(&made(SinkFormat::Ocsf, line)).unwrap()
}

/// Every kind that a record has, by its schema.
fn kinds() -> Vec<String> {
    let schema = crate::audit::schema();
    let kinds = schema["properties"]["kind"]["enum"].as_array().unwrap().iter();
    kinds.map(|kind| kind.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_kind_has_a_class_an_activity_and_a_name() {
    let wanted = [
        ("intent", 600302, "CEF:0|Portcullis|Portcullis|"),
        ("outcome", 600302, "|outcome:completed|tools/call|1|"),
        ("list", 600302, "|list:completed|tools/call|1|"),
        ("auth", 300201, "|auth:completed|"),
        ("admin", 600399, "|admin:completed|tools/call|3|"),
        ("approval", 600399, "|approval:completed|"),
        ("checkpoint", 600399, "|checkpoint:completed|The log was signed|"),
    ];
    let mut known: Vec<&str> = wanted.iter().map(|(kind, ..)| *kind).collect();
    let mut kinds = kinds();
    known.sort_unstable();
    kinds.sort();
    assert_eq!(kinds, known, "a kind without a mapping");
    for (kind, type_uid, cef) in wanted {
        let line = record(kind, &call());
        let event = ocsf(&line);
        assert_eq!(event["type_uid"], type_uid, "{kind}");
        for needed in ["category_uid", "class_uid", "activity_id", "severity_id", "status_id", "time", "metadata", "src_endpoint"]
        {
            assert!(!event[needed].is_null(), "{kind}: {needed}");
        }
        let of_class: &[&str] = if kind == "auth" { &["user", "service"] } else { &["actor", "api"] };
        assert!(of_class.iter().all(|needed| event[*needed].is_object()), "{kind}");
        assert_eq!((&event["metadata"]["sequence"], &event["metadata"]["uid"]), (&json!(7), &json!("11")));
        assert_eq!((&event["unmapped"]["id"], &event["unmapped"]["rpc_id"]), (&json!("0199"), &json!("5")));
        assert!(kind == "auth" || event["api"]["request"]["uid"] == "0199");
        let text = made(SinkFormat::Cef, &line);
        assert!(text.contains(cef) && text.contains(" externalId=7 "), "{kind}: {text}");
        assert!(text.contains(" flexString1=0199 flexString1Label=id") && !text.contains("deviceExternalId"), "{kind}: {text}");
    }
}

/// Receivers that know an event by its id keep one of each.
#[test]
fn an_intent_and_its_outcome_are_two_events_of_one_request() {
    let [intent, outcome] = ["intent", "outcome"].map(|kind| {
        let mut hashed = call();
        hashed["hash"] = json!(format!("hash of the {kind}"));
        ocsf(&record(kind, &hashed))
    });
    assert_ne!(intent["metadata"]["uid"], outcome["metadata"]["uid"]);
    assert!(intent["metadata"]["uid"].is_string());
    assert_eq!(intent["api"]["request"]["uid"], outcome["api"]["request"]["uid"]);
}

#[test]
fn outcomes_have_their_severity() {
    let table = [
        (json!({}), (1, 1, 1, 110)),
        (json!({"class": "destructive"}), (1, 2, 3, 109)),
        (json!({"outcome": {"status": "cancelled", "reason": "cancelled"}}), (99, 2, 3, 109)),
        (json!({"outcome": {"status": "denied"}, "decision": {"effect": "deny"}}), (2, 3, 6, 108)),
        (json!({"outcome": {"status": "refused"}}), (2, 3, 6, 108)),
        (json!({"outcome": {"status": "faulted", "error_kind": "upstream"}}), (2, 3, 6, 108)),
        (json!({"outcome": {"status": "timed_out"}}), (2, 3, 6, 108)),
        (json!({"outcome": {"status": "panicked"}}), (2, 4, 8, 107)),
    ];
    for (more, (status, severity, cef, priority)) in table {
        let line = record("outcome", &with(&more));
        let event = ocsf(&line);
        assert_eq!((&event["status_id"], &event["severity_id"]), (&json!(status), &json!(severity)), "{more}");
        assert!(made(SinkFormat::Cef, &line).contains(&format!("|{cef}|rt=1795322316123 ")), "{more}");
        let mut message = Vec::new();
        Sender::new("host", 9).push(&mut message, SinkFormat::Json, &line);
        assert!(
            message.starts_with(format!("<{priority}>1 2026-11-22T04:38:36.123Z host portcullis 9 outcome ").as_bytes()),
            "{more}"
        );
    }
    let denied = with(&json!({"decision": {"effect": "deny", "reason": "no_rule"}, "outcome": {"reason": "no_rule"}}));
    let event = ocsf(&record("outcome", &denied));
    assert_eq!(
        (&event["action"], &event["disposition"], &event["status_detail"]),
        (&json!("Denied"), &json!("Blocked"), &json!("no_rule"))
    );
    assert_eq!(event["unmapped"]["decision"]["rules"], json!(["r1", "r2"]));
    let observed = with(&json!({"decision": {"effect": "deny", "mode": "observe"}}));
    assert_eq!(ocsf(&record("outcome", &observed))["action"], "Allowed", "it passed");
}

#[test]
fn an_event_of_common_format_in_full() {
    let wanted = "CEF:0|Portcullis|Portcullis|VERSION|outcome:completed|tools/call|1|rt=1795322316123 externalId=7 \
                  cat=outcome act=allow outcome=completed reason=allowed suser=alice sntdom=https://idp \
                  sourceServiceName=agent destinationServiceName=files request=/mcp requestMethod=tools/call fname=files__read \
                  in=10 out=20 cs1=read cs1Label=class cs2=r1,r2 cs2Label=rules cs3=0123456789abcdef0123456789abcdef \
                  cs3Label=trace cs5=enforce cs5Label=mode cs6=11 cs6Label=hash flexString1=0199 flexString1Label=id cn1=6 cn1Label=intent cn2=200 cn2Label=http";
    assert_eq!(made(SinkFormat::Cef, &record("outcome", &call())), wanted.replace("VERSION", env!("CARGO_PKG_VERSION")));
}

/// What somebody would write to be two records, another field, or a command of a terminal.
const HOSTILE: &[&str] = &[
    "a\nb",
    "a\r\nCEF:0|x|y|",
    "|",
    "\\",
    "\\|",
    "a=b",
    " suser=root",
    "\"",
    "\"]",
    "] <13>1 - - - - - -",
    "\u{1b}[2J\u{1b}]0;x\u{7}",
    "\u{0}",
    "\u{7f}",
    "\u{9b}31m",
    "\u{202e}txt",
    "\u{2028}",
    "\u{feff}",
    "\u{fffe}",
    "${jndi:ldap://x}",
    "<script>",
    "\u{1f4a9}",
    "",
];

#[test]
fn whatever_is_in_a_record_is_one_line_and_stays_in_its_field() {
    let long = "x\n|=\"]\\".repeat(400);
    for hostile in HOSTILE.iter().copied().chain([long.as_str()]) {
        let mut more = call();
        for field in ["rpc_id", "route", "upstream", "method", "name", "class", "definition"] {
            more[field] = hostile.into();
        }
        for field in ["iss", "sub", "client_id", "key"] {
            more["principal"][field] = hostile.into();
        }
        more["principal"]["groups"] = json!([hostile]);
        more["decision"]["rules"] = json!([hostile]);
        more["outcome"]["error_kind"] = hostile.into();
        for kind in ["outcome", "auth", hostile] {
            let line = record(kind, &more);
            for format in [SinkFormat::Json, SinkFormat::Ocsf, SinkFormat::Cef] {
                let text = made(format, &line);
                assert!(!text.chars().any(is_unsafe), "{format:?} {hostile:?}: {text}");
            }
            let event = ocsf(&line);
            let who = if kind == "auth" { &event["user"] } else { &event["actor"]["user"] };
            assert_eq!(who["uid"], hostile);
            // Read as those who take such events do: bars and equals signs count unless they are escaped.
            let cef = made(SinkFormat::Cef, &line);
            assert_eq!(unescaped(&cef, '|').take(7).count(), 7, "{cef}");
            let end = unescaped(&cef, '|').nth(6).unwrap();
            let pairs = &cef[end + 1..];
            let keys = unescaped(pairs, '=').map(|at| pairs[..at].rsplit(' ').next().unwrap());
            assert!(keys.clone().all(|key| key.chars().all(|c| c.is_ascii_alphanumeric())), "{cef}");
            assert_eq!(keys.filter(|key| *key == "suser").count(), 1, "{cef}");
            let mut message = Vec::new();
            Sender::new(hostile, 9).push_counted(&mut message, SinkFormat::Cef, &line);
            structured(std::str::from_utf8(&message).unwrap());
        }
    }
}

/// Where `mark` is without a backslash before it.
fn unescaped(text: &str, mark: char) -> impl Iterator<Item = usize> + Clone {
    let mut escaped = false;
    text.char_indices().filter_map(move |(at, c)| {
        let counts = c == mark && !escaped;
        escaped = c == '\\' && !escaped;
        counts.then_some(at)
    })
}

/// Reads a message by the grammar of RFC 5424 section 6.
fn structured(counted: &str) {
    let (length, message) = counted.split_once(' ').unwrap();
    assert_eq!(length.parse::<usize>().unwrap(), message.len());
    assert!(!message.chars().any(is_unsafe));
    let mut fields = message.splitn(7, ' ');
    let head: Vec<&str> = fields.by_ref().take(6).collect();
    assert!(head.iter().all(|field| !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_graphic())), "{message}");
    assert!(head[5].len() <= 32 && head[2].len() <= 255);
    let rest = fields.next().unwrap().strip_prefix("[portcullis@32473 seq=\"7\" id=\"0199\" kind=\"").unwrap();
    let end = unescaped(rest, '"').next().unwrap();
    assert!(rest[end..].starts_with("\"] CEF:0|Portcullis|"), "{message}");
    assert_eq!(unescaped(&rest[..end], ']').count(), 0);
}

#[test]
fn what_is_no_record_is_lost_by_no_format() {
    for line in [&b"{"[..], b"", b"\xff\xfe", b"[]", b"{\"seq\":-1,\"kind\":3}"] {
        assert_eq!(ocsf(line)["class_uid"], 6003);
        assert!(made(SinkFormat::Cef, line).starts_with("CEF:0|Portcullis|"));
        let mut message = Vec::new();
        Sender::new("", 9).push(&mut message, SinkFormat::Json, line);
        assert!(message.starts_with(b"<110>1 - - portcullis 9 unknown [portcullis@32473"));
        assert!(!otlp::request([line].into_iter(), "1", 0).is_empty());
    }
}

/// Events of every kind and outcome, in a file that `tests/peers/ocsf_events.py` holds against the published schema.
#[test]
fn events_of_open_schema_are_those_that_were_held_against_it() {
    let mut lines: Vec<Vec<u8>> = kinds().iter().map(|kind| record(kind, &call())).collect();
    for kind in ["auth", "outcome", "checkpoint", "admin"] {
        lines.push(record(kind, &json!({})));
    }
    let outcome = |status: &str| json!({"outcome": {"status": status, "reason": status, "error_kind": "timeout"}});
    for status in ["cancelled", "denied", "refused", "faulted", "timed_out", "panicked"] {
        lines.push(record("outcome", &with(&outcome(status))));
        lines.push(record("auth", &with(&outcome(status))));
    }
    for class in ["write", "destructive"] {
        lines.push(record("intent", &with(&json!({"class": class, "principal": {"key": "k1"}}))));
    }
    for mode in ["enforce", "observe"] {
        let decision = json!({"decision": {"effect": "deny", "mode": mode, "reason": "no_rule"}});
        lines.push(record("outcome", &with(&decision)));
    }
    let version = format!(r#""version":"{}""#, env!("CARGO_PKG_VERSION"));
    let made: String =
        lines.iter().map(|line| made(SinkFormat::Ocsf, line).replace(&version, r#""version":"0.0.0""#) + "\n").collect();
    if let Ok(path) = std::env::var("OCSF_OUT") {
        std::fs::write(path, &made).unwrap();
    }
    let held = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/audit/ocsf-events.jsonl")).unwrap();
    assert!(made == held, "{made}");
}
