//! JSON Schema of case files, for editors and validators.

use serde_json::{Value, json};

use super::super::schema::object;
use super::read::DECIDED;
use crate::vocab::Reason;

/// The JSON Schema (2020-12) of a file of cases, as this build reads it.
pub fn schema() -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    let texts = json!({ "type": "array", "items": text });
    let some_texts = json!({ "type": "array", "minItems": 1, "items": text });
    let who = object(
        &[
            ("sub", text.clone()),
            ("issuer", text.clone()),
            ("groups", some_texts.clone()),
            ("scopes", some_texts),
            ("client_id", text.clone()),
            ("tenant", text.clone()),
            ("claims", json!({ "type": "object" })),
        ],
        &["sub"],
    );
    let mut case = object(
        &[
            ("name", text.clone()),
            ("as", json!({ "oneOf": [{ "const": "anonymous" }, who] })),
            ("at", json!({ "type": "string", "format": "date-time" })),
            ("route", json!({ "type": "string", "pattern": "^/" })),
            ("call", text.clone()),
            ("args", json!({ "type": "object" })),
            ("read", text.clone()),
            ("get", text.clone()),
            ("list", json!({ "enum": ["tools", "resources", "prompts"] })),
            ("visible", texts.clone()),
            ("expect", json!({ "enum": ["allow", "deny"] })),
            ("reason", json!({ "enum": DECIDED.map(Reason::as_str) })),
            ("rules", texts.clone()),
            ("obligations", json!({ "type": "array", "items": { "enum": super::super::obligation::WORDS } })),
        ],
        &["as"],
    );
    if let Some(members) = case.as_object_mut() {
        let one = |key: &str, with: &str| json!({ "required": [key, with] });
        let asks = [one("call", "expect"), one("read", "expect"), one("get", "expect"), one("list", "visible")];
        members.insert("oneOf".to_owned(), json!(asks));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Portcullis policy cases",
        "type": "array",
        "minItems": 1,
        "items": case,
    })
}
