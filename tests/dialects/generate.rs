//! Random values of a definition of the official schemas, with members that no schema forbids.

use portcullis::vocab::Revision;
use serde_json::{Map, Value};

use crate::random::Random;
use crate::schema;
use crate::text::Json;

/// Makes values of one revision.
pub(crate) struct Generator<'r> {
    all: &'static Map<String, Value>,
    pub(crate) random: &'r mut Random,
}

/// Keys of members that schemas leave free: none means anything to any revision, and none looks as if it did.
const FREE_KEYS: &[&str] = &["a", "b-c", "x y", "\u{e9}", "vendor.example/key", "nested", "\"quoted\"", "0", "Zz"];
const STRINGS: &[&str] = &[
    "\"\"",
    "\"a\"",
    "\"plain text\"",
    "\"line\\nbreak\"",
    "\"\\u00e9\\ud83d\\ude00\"",
    "\"\u{e9}\u{1f600}\"",
    "\"\\/\\\\\\\"\"",
    "\"\\u2028{}[]\"",
    "\"type\"",
    "\"audio\"",
    "\"\\u0072esource_link\"",
];
const NUMBERS: &[&str] = &["0", "1", "-1", "0.5", "1e3", "1.50", "123456789012345678901234567890", "-0", "9007199254740993"];
const INTEGERS: &[&str] = &["0", "1", "42", "9007199254740993"];
const URIS: &[&str] =
    &["\"file:///a+b\"", "\"demo://r/1?x=%C3%A9\"", "\"a:\\u0062\"", "\"ui://x/y\"", "\"https://example.com/a#b\""];
const DEPTH: usize = 7;

impl<'r> Generator<'r> {
    pub(crate) fn new(revision: Revision, random: &'r mut Random) -> Self {
        Self { all: schema::of(revision), random }
    }

    /// A value of the definition `name`.
    pub(crate) fn named(&mut self, name: &str) -> Json {
        let all = self.all;
        self.value(&all[name], DEPTH)
    }

    fn value(&mut self, schema: &'static Value, depth: usize) -> Json {
        if let Some(name) = schema::named(schema) {
            let all = self.all;
            return self.value(&all[name], depth.saturating_sub(1));
        }
        if let Some(only) = schema.get("const") {
            return Json::Token(only.to_string());
        }
        if let Some(words) = schema.get("enum") {
            let word = self.random.pick(words.as_array().unwrap());
            return Json::Token(word.to_string());
        }
        if let Some(any) = schema.get("anyOf") {
            return self.any_of(any.as_array().unwrap(), depth);
        }
        if let Some(parts) = schema.get("allOf") {
            return self.all_of(parts.as_array().unwrap(), depth);
        }
        let kind = match schema.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            Some(Value::Array(kinds)) => {
                let at = self.random.below(kinds.len());
                kinds[at].as_str().unwrap()
            }
            _ => return self.free(depth.min(2)),
        };
        match kind {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "string" => self.string(schema),
            "boolean" => Json::Token(self.random.pick(&["true", "false"]).to_owned()),
            "null" => Json::Token("null".to_owned()),
            "integer" => Json::Token(self.random.pick(INTEGERS).to_owned()),
            "number" if schema.get("maximum").is_some() => Json::Token(self.random.pick(&["0", "1", "0.5", "1e-1"]).to_owned()),
            "number" => Json::Token(self.random.pick(NUMBERS).to_owned()),
            other => panic!("an unknown type: {other}"),
        }
    }

    /// Near the bottom the first alternative, which in these schemas is the one that does not lead back.
    fn any_of(&mut self, any: &'static [Value], depth: usize) -> Json {
        let at = if depth == 0 { any.len() - 1 } else { self.random.below(any.len()) };
        self.value(&any[at], depth.saturating_sub(1))
    }

    fn all_of(&mut self, parts: &'static [Value], depth: usize) -> Json {
        let mut members: Vec<(String, Json)> = Vec::new();
        for part in parts {
            for (key, value) in self.value(part, depth).members().drain(..) {
                if !members.iter().any(|(known, _)| *known == key) {
                    members.push((key, value));
                }
            }
        }
        Json::Object(members)
    }

    fn object(&mut self, schema: &'static Value, depth: usize) -> Json {
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut members = Vec::new();
        for (key, of) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if required.contains(&key.as_str()) || (depth > 0 && self.random.one_in(2)) {
                let mut value = self.value(of, depth.saturating_sub(1));
                if key.ends_with("Schema") && of.get("additionalProperties").is_some() {
                    self.any_keyword(&mut value, key);
                }
                members.push((key.clone(), value));
            }
        }
        let rest = schema.get("additionalProperties");
        let open = rest.is_some() || schema.get("properties").is_none();
        let most = if depth == 0 {
            0
        } else if open {
            2
        } else {
            usize::from(self.random.one_in(8))
        };
        for _ in 0..self.random.below(most + 1) {
            let key = self.random.pick(FREE_KEYS).to_owned();
            if !members.iter().any(|(known, _)| *known == key) {
                let value = match rest.filter(|rest| rest.is_object()) {
                    Some(of) => self.value(of, depth - 1),
                    None => self.free(2),
                };
                members.push((key, value));
            }
        }
        self.random.shuffle(&mut members);
        Json::Object(members)
    }

    /// A JSON Schema, where any keyword may stand.
    fn any_keyword(&mut self, schema: &mut Json, key: &str) {
        let properties = r#"{"a":true,"b":false,"c":{"default":true}}"#;
        if self.random.one_in(2) {
            schema.set("properties", Json::Token(properties.to_owned()));
        }
        if key == "outputSchema" && self.random.one_in(2) {
            let root = self.random.pick(&["\"object\"", "\"array\"", "[\"object\",\"null\"]", "\"\\u006fbject\""]);
            schema.set("type", Json::Token(root.to_owned()));
        }
    }

    fn array(&mut self, schema: &'static Value, depth: usize) -> Json {
        let count = if depth == 0 { 0 } else { self.random.below(4) };
        let items = (0..count).map(|_| match schema.get("items") {
            Some(of) => self.value(of, depth.saturating_sub(1)),
            None => self.free(1),
        });
        Json::Array(items.collect())
    }

    fn string(&mut self, schema: &Value) -> Json {
        let text = match schema.get("format").and_then(Value::as_str) {
            Some("uri" | "uri-template") => self.random.pick(URIS),
            _ => self.random.pick(STRINGS),
        };
        Json::Token(text.to_owned())
    }

    /// Anything.
    pub(crate) fn free(&mut self, depth: usize) -> Json {
        match self.random.below(if depth == 0 { 3 } else { 5 }) {
            0 => Json::Token(self.random.pick(STRINGS).to_owned()),
            1 => Json::Token(self.random.pick(NUMBERS).to_owned()),
            2 => Json::Token(self.random.pick(&["true", "false", "null"]).to_owned()),
            3 => Json::Array((0..self.random.below(3)).map(|_| self.free(depth - 1)).collect()),
            _ => {
                let mut members: Vec<(String, Json)> = Vec::new();
                for _ in 0..self.random.below(3) {
                    let key = self.random.pick(FREE_KEYS).to_owned();
                    if !members.iter().any(|(known, _)| *known == key) {
                        members.push((key, self.free(depth - 1)));
                    }
                }
                Json::Object(members)
            }
        }
    }
}
