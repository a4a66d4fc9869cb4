//! Open Cybersecurity Schema Framework: API Activity (6003), and Authentication (3002) for what was refused or let in at the door.

use serde_json::{Map, Value, json};

use super::{Level, Record};

/// The version of the schema.
const VERSION: &str = "1.6.0";
const APPLICATION_ACTIVITY: u64 = 6;
const API_ACTIVITY: u64 = 6003;
const IDENTITY_AND_ACCESS: u64 = 3;
const AUTHENTICATION: u64 = 3002;
/// "Other", in every enumeration.
const OTHER: u64 = 99;
/// What has no place of its own there and is told all the same.
const UNMAPPED: &[&str] = &[
    "kind",
    "id",
    "rpc_id",
    "route",
    "class",
    "definition",
    "args",
    "decision",
    "approval",
    "checkpoint",
    "intent",
    "prev",
    "hash",
];

/// The event of `record`.
pub(super) fn event(record: &Record) -> Value {
    let is_auth = record.kind() == "auth";
    let (category, class) = if is_auth { (IDENTITY_AND_ACCESS, AUTHENTICATION) } else { (APPLICATION_ACTIVITY, API_ACTIVITY) };
    let (activity, activity_name) = activity(record, is_auth);
    let (severity, severity_name) = match record.level() {
        Level::Info => (1, "Informational"),
        Level::Notice => (2, "Low"),
        Level::Warning => (3, "Medium"),
        Level::Error => (4, "High"),
    };
    let mut event = Members(Map::new());
    event.put("category_uid", category);
    event.put("class_uid", class);
    event.put("activity_id", activity);
    event.put("activity_name", activity_name);
    event.put("type_uid", class * 100 + activity);
    event.put("severity_id", severity);
    event.put("severity", severity_name);
    event.put("time", record.unix_ms());
    event.put("metadata", metadata(record));
    let (status, status_name) = status(record);
    event.put("status_id", status);
    event.put("status", status_name);
    event.maybe("status_detail", record.reason());
    if let Some(effect) = record.text("decision.effect") {
        let passed = effect == "allow" || record.is_observed();
        event.put("action_id", if passed { 1 } else { 2 });
        event.put("action", if passed { "Allowed" } else { "Denied" });
        event.put("disposition_id", if passed { 1 } else { 2 });
        event.put("disposition", if passed { "Allowed" } else { "Blocked" });
        event.maybe_object("policy", &[("uid", record.text("decision.policy")), ("name", record.text("decision.reason"))]);
    }
    if is_auth {
        event.put("user", user(record));
        event.put("is_remote", true);
        event.put("service", json!({ "name": "portcullis" }));
        event.put("message", record.operation());
    } else {
        event.put("actor", actor(record));
        event.put("api", api(record));
        if let Some(name) = record.text("name") {
            event.put("resources", json!([{ "name": name, "type": record.operation() }]));
        }
    }
    event.put("src_endpoint", json!({ "uid": record.text("principal.client_id").unwrap_or("unknown") }));
    event.maybe_object("dst_endpoint", &[("svc_name", record.text("upstream"))]);
    // Authentication is about no resource.
    let unmapped = UNMAPPED.iter().copied().chain(is_auth.then_some("name"));
    let unmapped: Map<String, Value> = unmapped.filter_map(|key| Some((key.to_owned(), record.at(key)?.clone()))).collect();
    event.put("unmapped", unmapped);
    Value::Object(event.0)
}

fn activity<'a>(record: &'a Record, is_auth: bool) -> (u64, std::borrow::Cow<'a, str>) {
    if is_auth {
        return (1, "Logon".into());
    }
    match (record.kind(), record.text("class")) {
        ("list", _) | ("intent" | "outcome", Some("read")) => (2, "Read".into()),
        ("intent" | "outcome", Some("write")) => (3, "Update".into()),
        ("intent" | "outcome", Some("destructive")) => (4, "Delete".into()),
        _ => (OTHER, record.operation()),
    }
}

fn metadata(record: &Record) -> Value {
    let mut metadata = Members(Map::new());
    metadata.put("version", VERSION);
    let version = env!("CARGO_PKG_VERSION");
    metadata.put("product", json!({ "name": "Portcullis", "vendor_name": "Portcullis", "version": version }));
    metadata.put("log_name", "audit");
    // The id of a record is that of a call, which has an intent and an outcome.
    metadata.maybe("uid", record.text("hash"));
    if let Some(seq) = record.number("seq") {
        metadata.put("sequence", seq);
    }
    metadata.maybe("correlation_uid", record.text("trace_id"));
    if record.at("decision").is_some() {
        metadata.put("profiles", json!(["security_control"]));
    }
    Value::Object(metadata.0)
}

fn status(record: &Record) -> (u64, &str) {
    match record.text("outcome.status") {
        Some("completed") => (1, "Success"),
        Some("denied" | "refused" | "faulted" | "timed_out" | "panicked") => (2, "Failure"),
        Some(other) => (OTHER, other),
        None => (0, "Unknown"),
    }
}

fn user(record: &Record) -> Value {
    let Some(principal) = record.at("principal") else { return json!({ "name": "unknown", "type_id": 0 }) };
    let mut user = Members(Map::new());
    user.maybe("uid", record.text("principal.sub"));
    user.maybe("domain", record.text("principal.iss"));
    user.maybe("credential_uid", record.text("principal.key"));
    let groups = principal.get("groups").and_then(Value::as_array).into_iter().flatten();
    let groups: Vec<Value> = groups.map(|group| json!({ "name": group })).collect();
    if !groups.is_empty() {
        user.put("groups", groups);
    }
    Value::Object(user.0)
}

fn actor(record: &Record) -> Value {
    let mut actor = Members(Map::new());
    actor.put("user", user(record));
    actor.maybe("app_uid", record.text("principal.client_id"));
    actor.maybe_object("session", &[("issuer", record.text("principal.iss"))]);
    Value::Object(actor.0)
}

fn api(record: &Record) -> Value {
    let mut api = Members(Map::new());
    api.put("operation", record.operation());
    api.maybe_object("service", &[("name", record.text("upstream"))]);
    api.maybe_object("request", &[("uid", record.text("id"))]);
    let mut response = Members(Map::new());
    if let Some(http) = record.number("outcome.http") {
        response.put("code", http);
    }
    response.maybe("error", record.text("outcome.error_kind"));
    if !response.0.is_empty() {
        api.put("response", response.0);
    }
    Value::Object(api.0)
}

struct Members(Map<String, Value>);

impl Members {
    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    fn maybe(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.put(key, text);
        }
    }

    /// An object of the texts that are there, if any is.
    fn maybe_object(&mut self, key: &str, texts: &[(&str, Option<&str>)]) {
        let there = texts.iter().filter_map(|(key, text)| Some(((*key).to_owned(), Value::from((*text)?))));
        let object: Map<String, Value> = there.collect();
        if !object.is_empty() {
            self.put(key, object);
        }
    }
}
