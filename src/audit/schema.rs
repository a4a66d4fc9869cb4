//! JSON Schema of records. Members may be added to records, so readers pass over those they do not know.

use serde_json::{Map, Value, json};

use crate::vocab::{Class, Reason};

/// The JSON Schema (2020-12) of one record, as this build writes it.
pub fn schema() -> Value {
    let text = || json!({ "type": "string" });
    let texts = || json!({ "type": "array", "items": { "type": "string" } });
    let count = || json!({ "type": "integer", "minimum": 0 });
    let millis = || json!({ "type": "number", "minimum": 0 });
    let reason = || schemars::schema_for!(Reason).to_value();
    let args = object(&[("digest", text()), ("fields", json!({ "type": "object" }))], &["digest"]);
    let effect = || json!({ "enum": ["allow", "deny"] });
    let shadow = object(&[("effect", effect()), ("reason", reason()), ("rules", texts())], &["effect", "reason", "rules"]);
    let decision = object(
        &[
            ("effect", effect()),
            ("mode", json!({ "enum": ["enforce", "observe"] })),
            ("reason", reason()),
            ("rules", texts()),
            ("obligations", texts()),
            ("policy", text()),
            ("shadow", shadow),
        ],
        &["effect", "mode", "reason", "rules", "obligations", "policy"],
    );
    let status = ["completed", "denied", "faulted", "timed_out", "cancelled", "refused", "panicked"];
    let outcome = object(
        &[
            ("status", json!({ "enum": status })),
            ("reason", reason()),
            ("error_kind", text()),
            ("http", count()),
            ("upstream_ms", millis()),
            ("total_ms", millis()),
            ("bytes_in", count()),
            ("bytes_out", count()),
            ("redacted", json!({ "type": "integer", "minimum": 1 })),
        ],
        &["bytes_in", "bytes_out"],
    );
    let mut root = object(
        &[
            ("v", json!({ "const": super::record::VERSION })),
            ("seq", json!({ "type": "integer", "minimum": 1 })),
            ("time", json!({ "type": "string", "format": "date-time" })),
            ("id", text()),
            ("rpc_id", text()),
            ("kind", json!({ "enum": ["intent", "outcome", "list", "auth", "admin", "approval", "checkpoint"] })),
            ("trace_id", hex(32)),
            ("principal", principal()),
            ("route", text()),
            ("upstream", text()),
            ("method", text()),
            ("name", text()),
            ("class", schemars::schema_for!(Class).to_value()),
            ("definition", text()),
            ("args", args),
            ("decision", decision),
            ("approval", approval()),
            ("checkpoint", checkpoint()),
            ("outcome", outcome),
            ("intent", count()),
            ("prev", hex(64)),
            ("hash", hex(64)),
        ],
        &["v", "seq", "time", "id", "kind", "prev", "hash"],
    );
    if let Some(members) = root.as_object_mut() {
        members.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        members.insert("title".to_owned(), json!("Portcullis audit record"));
    }
    root
}

/// What the log was before this record, signed.
fn checkpoint() -> Value {
    object(
        &[
            ("log", hex(32)),
            ("size", json!({ "type": "integer", "minimum": 0 })),
            ("root", hex(64)),
            ("frontier", json!({ "type": "array", "items": hex(64) })),
            ("head", hex(64)),
            ("key", hex(16)),
            ("sig", json!({ "type": "string", "pattern": "^[0-9A-Za-z_-]{86}$" })),
        ],
        &["log", "size", "root", "frontier", "head", "key", "sig"],
    )
}

/// So many hexadecimal digits.
fn hex(digits: usize) -> Value {
    json!({ "type": "string", "pattern": format!("^[0-9a-f]{{{digits}}}$") })
}

/// Which approval it waits for, has or is about.
fn approval() -> Value {
    let text = || json!({ "type": "string" });
    let states = ["pending", "approved", "denied", "expired", "withdrawn", "used"];
    object(
        &[
            ("id", text()),
            ("state", json!({ "enum": states })),
            ("by", json!({ "type": "array", "items": text() })),
            ("at", json!({ "type": "string", "format": "date-time" })),
            ("arguments", text()),
            ("lease", lease()),
        ],
        &["id", "state", "by", "arguments"],
    )
}

/// The terms on which similar calls are approved.
fn lease() -> Value {
    let number = || json!({ "type": "integer", "minimum": 0 });
    let text = json!({ "type": "string" });
    object(&[("minutes", number()), ("uses", number()), ("used", number()), ("where", text)], &["minutes", "uses", "used"])
}

/// Who asked.
fn principal() -> Value {
    let text = || json!({ "type": "string" });
    let texts = || json!({ "type": "array", "items": text() });
    object(
        &[
            ("iss", text()),
            ("sub", text()),
            ("client_id", text()),
            ("groups", texts()),
            ("scopes", texts()),
            ("key", text()),
            ("actor", texts()),
        ],
        &["iss", "sub", "groups", "scopes"],
    )
}

fn object(properties: &[(&str, Value)], required: &[&str]) -> Value {
    let properties: Map<String, Value> = properties.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}
