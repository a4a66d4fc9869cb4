//! JSON Schema of policy files, for editors and validators.

use serde_json::{Map, Value, json};

use super::address::Reach;
use super::bounds::{APPROVAL_QUORUM_MAX, WHEN_BYTES_MAX};
use super::matcher::shape::Shapes;
use super::obligation::By;
use super::read_require::{CALLER, REDACT_WORDS};
use super::rule::Capability;
use super::schedule::DAYS;

/// The JSON Schema (2020-12) of a policy file, as this build reads it.
pub fn schema() -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    let texts = json!({ "type": "array", "minItems": 1, "items": text });
    let one_or_more = json!({ "oneOf": [text, texts] });
    let words = |words: &[&str]| json!({ "enum": words });
    let class = words(&["read", "write", "destructive"]);
    let mode = words(&["enforce", "shadow"]);
    let capabilities: Vec<&str> = Capability::WORDS.iter().map(|(word, _)| *word).collect();
    let capability = format!("^[^:]+:({})$", capabilities.join("|").replace('.', "\\."));
    let group = object(
        &[("claim", text.clone()), ("any_of", texts.clone()), ("client_id", one_or_more.clone()), ("issuer", texts.clone())],
        &[],
    );
    let tools = object(&[("match", texts.clone()), ("class", class.clone())], &["match", "class"]);
    let matchers = matchers(&one_or_more);
    let arguments = json!({ "type": "object", "minProperties": 1, "propertyNames": { "pattern": "^(/.*)?$" }, "additionalProperties": matchers });
    let time = json!({ "type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$" });
    let days = json!({ "type": "array", "minItems": 1, "items": words(&DAYS) });
    let window = object(&[("days", days), ("from", time.clone()), ("to", time), ("zone", text.clone())], &[]);
    let schedule = json!({ "oneOf": [window, { "type": "array", "minItems": 1, "items": window }] });
    let when = json!({ "type": "string", "minLength": 1, "maxLength": WHEN_BYTES_MAX });
    let principal = json!({ "type": "string", "pattern": "^(any|(group|sub|client|scope):.+)$" });
    let require = require(&one_or_more, &principal);
    let rule = object(
        &[
            ("id", json!({ "type": "string", "pattern": "^[A-Za-z0-9._/:-]{1,128}$" })),
            ("effect", words(&["allow", "deny"])),
            ("principals", json!({ "type": "array", "minItems": 1, "items": principal })),
            ("tools", texts.clone()),
            ("resources", texts.clone()),
            ("prompts", texts),
            ("capabilities", json!({ "type": "array", "minItems": 1, "items": { "type": "string", "pattern": capability } })),
            ("classes", json!({ "type": "array", "minItems": 1, "items": class })),
            ("arguments", arguments),
            ("schedule", schedule),
            ("when", when),
            ("require", require),
            ("mode", mode.clone()),
        ],
        &["id", "effect"],
    );
    let mut root = object(
        &[
            ("version", json!({ "const": 1 })),
            ("groups", json!({ "type": "object", "additionalProperties": group })),
            ("tools", json!({ "type": "array", "minItems": 1, "items": tools })),
            ("rules", json!({ "type": "array", "minItems": 1, "items": rule })),
            ("mode", mode),
        ],
        &["version"],
    );
    if let Some(root) = root.as_object_mut() {
        root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        root.insert("title".to_owned(), json!("Portcullis policy"));
    }
    root
}

/// `require` of a rule.
fn require(one_or_more: &Value, principal: &Value) -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    let by: Vec<&str> = By::WORDS.iter().map(|(word, _)| *word).collect();
    let by = json!({ "oneOf": [{ "enum": by }, { "type": "array", "items": { "enum": by } }] });
    let count = json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX });
    let bytes = json!({ "type": ["string", "integer"], "minimum": 1, "pattern": "^[0-9]+ *(B|KiB|MiB|GiB|kB|KB|MB|GB)?$" });
    let quotas = [("calls", count.clone()), ("concurrent", count.clone()), ("bytes", bytes), ("response_tokens", count)];
    let one =
        quotas.iter().map(|(key, _)| json!({ "required": if *key == "concurrent" { vec![*key] } else { vec![*key, "per"] } }));
    let one: Vec<Value> = one.collect();
    let mut limit = object(&[&quotas[..], &[("per", text.clone()), ("by", by)]].concat(), &["by"]);
    if let Some(limit) = limit.as_object_mut() {
        limit.insert("oneOf".to_owned(), one.into());
    }
    let from = json!({ "oneOf": [principal, { "const": CALLER }] });
    let approval = object(
        &[
            ("from", json!({ "type": "array", "minItems": 1, "items": from })),
            ("quorum", json!({ "type": "integer", "minimum": 1, "maximum": APPROVAL_QUORUM_MAX })),
            ("requester", json!({ "type": "boolean" })),
            ("expires", text.clone()),
        ],
        &["from"],
    );
    let redact: Vec<&str> = REDACT_WORDS.iter().map(|(word, ())| *word).collect();
    let pointer = json!({ "type": "string", "pattern": "^/" });
    let properties = [
        ("scope", one_or_more.clone()),
        ("approval", approval),
        ("limit", json!({ "type": "array", "minItems": 1, "items": limit })),
        ("redact", json!({ "type": "array", "minItems": 1, "items": { "enum": redact } })),
        ("deadline", text),
        ("audit", json!({ "type": "array", "minItems": 1, "items": pointer })),
    ];
    object(&properties, &[])
}

/// An object of these members and no others.
pub(super) fn object(properties: &[(&str, Value)], required: &[&str]) -> Value {
    let properties: Map<String, Value> = properties.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}

fn matchers(texts: &Value) -> Value {
    let words = |words: Vec<&str>| json!({ "oneOf": [{ "enum": words }, { "type": "array", "minItems": 1, "items": { "enum": words } }] });
    let types = words(Shapes::WORDS.iter().map(|(word, _)| *word).collect());
    let reaches = words(Reach::WORDS.iter().map(|(word, _)| *word).collect());
    let port = json!({ "type": "integer", "minimum": 1, "maximum": u16::MAX });
    let ports = json!({ "oneOf": [port, { "type": "array", "minItems": 1, "items": port }] });
    let mut url = object(
        &[("scheme", texts.clone()), ("host", texts.clone()), ("port", ports), ("path", texts.clone()), ("address", reaches)],
        &[],
    );
    if let Some(url) = url.as_object_mut() {
        url.insert("minProperties".to_owned(), json!(1));
    }
    object(
        &[
            ("equals", json!(true)),
            ("one_of", json!({ "type": "array", "minItems": 1 })),
            ("glob", texts.clone()),
            ("matches", texts.clone()),
            ("path_under", texts.clone()),
            ("url", url),
            ("cidr", texts.clone()),
            ("min", json!({ "type": "number" })),
            ("max", json!({ "type": "number" })),
            ("max_length", json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })),
            ("type", types),
            ("present", json!({ "const": true })),
            ("absent", json!({ "const": true })),
        ],
        &[],
    )
}
