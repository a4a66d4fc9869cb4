//! JSON Schema of policy files, for editors and validators.

use serde_json::{Map, Value, json};

use super::bounds::WHEN_BYTES_MAX;
use super::obligation::By;
use super::rule::Capability;
use super::schedule::DAYS;

/// The JSON Schema (2020-12) of a policy file, as this build reads it.
pub fn schema() -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    let texts = json!({ "type": "array", "minItems": 1, "items": text });
    let one_or_more = json!({ "oneOf": [text, texts] });
    let words = |words: &[&str]| json!({ "enum": words });
    let class = words(&["read", "write", "destructive"]);
    let mode = words(&["enforce"]);
    let by: Vec<&str> = By::WORDS.iter().map(|(word, _)| *word).collect();
    let capabilities: Vec<&str> = Capability::WORDS.iter().map(|(word, _)| *word).collect();
    let capability = format!("^[^:]+:({})$", capabilities.join("|").replace('.', "\\."));
    let count = json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX });
    let group = object(
        &[("claim", text.clone()), ("any_of", texts.clone()), ("client_id", one_or_more.clone()), ("issuer", texts.clone())],
        &[],
    );
    let tools = object(&[("match", texts.clone()), ("class", class.clone())], &["match", "class"]);
    let by = json!({ "oneOf": [words(&by), { "type": "array", "items": words(&by) }] });
    let limit = object(&[("calls", count.clone()), ("per", text.clone()), ("concurrent", count), ("by", by)], &["by"]);
    let matchers = object(
        &[
            ("equals", json!(true)),
            ("one_of", json!({ "type": "array", "minItems": 1 })),
            ("glob", one_or_more.clone()),
            ("path_under", one_or_more.clone()),
        ],
        &[],
    );
    let arguments = json!({ "type": "object", "minProperties": 1, "propertyNames": { "pattern": "^(/.*)?$" }, "additionalProperties": matchers });
    let time = json!({ "type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$" });
    let days = json!({ "type": "array", "minItems": 1, "items": words(&DAYS) });
    let window = object(&[("days", days), ("from", time.clone()), ("to", time), ("zone", text.clone())], &[]);
    let schedule = json!({ "oneOf": [window, { "type": "array", "minItems": 1, "items": window }] });
    let when = json!({ "type": "string", "minLength": 1, "maxLength": WHEN_BYTES_MAX });
    let require = object(&[("scope", one_or_more), ("limit", json!({ "type": "array", "minItems": 1, "items": limit }))], &[]);
    let principal = json!({ "type": "string", "pattern": "^(any|(group|sub|client|scope):.+)$" });
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

fn object(properties: &[(&str, Value)], required: &[&str]) -> Value {
    let properties: Map<String, Value> = properties.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}
