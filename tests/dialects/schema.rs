//! The official schemas: what they define, and whether a value is one of it. Knows the keywords that these schemas use.

use std::sync::OnceLock;

use portcullis::vocab::Revision;
use serde_json::{Map, Value};

/// The definitions of a revision.
pub(crate) fn of(revision: Revision) -> &'static Map<String, Value> {
    static ALL: OnceLock<Vec<Value>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let texts = [
            include_str!("../data/mcp-schema/2024-11-05.json"),
            include_str!("../data/mcp-schema/2025-03-26.json"),
            include_str!("../data/mcp-schema/2025-06-18.json"),
            include_str!("../data/mcp-schema/2025-11-25.json"),
            include_str!("../data/mcp-schema/2026-07-28.json"),
        ];
        texts.into_iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    });
    let schema = &all[Revision::ALL.iter().position(|r| *r == revision).unwrap()];
    schema.get("$defs").or(schema.get("definitions")).unwrap().as_object().unwrap()
}

/// The names of the definitions that a union such as `ServerResult` is of.
pub(crate) fn union(revision: Revision, name: &str) -> Vec<&'static str> {
    let Some(union) = of(revision).get(name) else { return Vec::new() };
    union["anyOf"].as_array().unwrap().iter().map(|one| named(one).unwrap()).collect()
}

/// The definition that a schema refers to.
pub(crate) fn named(schema: &Value) -> Option<&str> {
    schema.get("$ref").map(|reference| reference.as_str().unwrap().rsplit('/').next().unwrap())
}

/// Checks `value` against the definition `name`.
///
/// # Errors
/// Where it does not fit, and why.
pub(crate) fn check(revision: Revision, name: &str, value: &Value) -> Result<(), String> {
    fits(of(revision), &of(revision)[name], value, name)
}

fn fits(all: &Map<String, Value>, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let no = |why: &str| Err(format!("{at}: {why}: {value}"));
    if let Some(name) = named(schema) {
        fits(all, &all[name], value, at)?;
    }
    for (keyword, given) in schema.as_object().into_iter().flatten() {
        let ok = match keyword.as_str() {
            "anyOf" => given.as_array().unwrap().iter().any(|one| fits(all, one, value, at).is_ok()),
            "allOf" => {
                given.as_array().unwrap().iter().try_for_each(|one| fits(all, one, value, at))?;
                true
            }
            "const" => given == value,
            "enum" => given.as_array().unwrap().contains(value),
            "type" => given.as_str().map_or_else(
                || given.as_array().unwrap().iter().any(|kind| is(value, kind.as_str().unwrap())),
                |kind| is(value, kind),
            ),
            "required" => {
                let has = |name: &Value| value.get(name.as_str().unwrap()).is_some();
                !value.is_object() || given.as_array().unwrap().iter().all(has)
            }
            "minimum" => value.as_f64().is_none_or(|n| n >= given.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|n| n <= given.as_f64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= given.as_u64().unwrap()),
            "items" => {
                value.as_array().into_iter().flatten().try_for_each(|item| fits(all, given, item, &format!("{at}[]")))?;
                true
            }
            "properties" | "additionalProperties" | "$ref" | "description" | "format" | "default" => true,
            other => panic!("an unknown keyword: {other}"),
        };
        if !ok {
            return no(keyword);
        }
    }
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    for (key, member) in value.as_object().into_iter().flatten() {
        let of = properties.get(key).or(schema.get("additionalProperties")).filter(|of| of.is_object());
        if let Some(of) = of {
            fits(all, of, member, &format!("{at}.{key}"))?;
        }
    }
    Ok(())
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        other => panic!("an unknown type: {other}"),
    }
}
