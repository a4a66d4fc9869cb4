//! JSON values a policy names, compared by meaning.

use std::collections::BTreeMap;

use super::arguments::{Tree, is_disguise_of};
use super::tri::Tri;
use super::{number, report, yaml};
use crate::mcp::json::{Kind, push_string, unquote};

/// A value in canonical form: numbers in their one spelling, members sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Number(Box<str>),
    Text(Box<str>),
    List(Box<[Self]>),
    Map(BTreeMap<Box<str>, Self>),
}

impl Literal {
    /// Reads a value of a policy file; mistakes go to the report.
    pub(super) fn read(report: &mut report::Report<'_>, node: &yaml::Node, path: &str) -> Option<Self> {
        Some(match &node.value {
            yaml::Value::Null => Self::Null,
            yaml::Value::Bool(value) => Self::Bool(*value),
            yaml::Value::Text(text) => Self::Text(text.as_str().into()),
            yaml::Value::Number => {
                let token = report.token(node);
                let canonical = number::canonical(token).filter(|_| number::is_json(token));
                if canonical.is_none() {
                    report.wrong(node, path, "not a number as JSON writes it", "quote it if it is a text");
                }
                Self::Number(canonical?.into())
            }
            yaml::Value::List(items) => {
                let read = |(i, item)| Self::read(report, item, &format!("{path}[{i}]"));
                Self::List(items.iter().enumerate().map(read).collect::<Option<_>>()?)
            }
            yaml::Value::Map(entries) => {
                let mut map = BTreeMap::new();
                for entry in entries {
                    let value = Self::read(report, &entry.node, &report::key_path(path, &entry.key))?;
                    map.insert(entry.key.as_str().into(), value);
                }
                Self::Map(map)
            }
        })
    }

    /// Whether there are values inside.
    pub(super) fn is_nested(&self) -> bool {
        matches!(self, Self::List(_) | Self::Map(_))
    }

    /// Whether the value at `at` of `tree` means this.
    pub(super) fn same(&self, tree: &Tree<'_>, at: usize) -> Tri {
        let Some(item) = tree.item(at) else { return Tri::Unknown };
        match (self, item.kind) {
            (Self::Null, Kind::Null) => Tri::True,
            (Self::Bool(value), Kind::Bool) => Tri::from((item.raw == "true") == *value),
            (Self::Number(number), Kind::Number) => number::same(number, item.raw),
            (Self::Text(text), Kind::String) => match unquote(item.raw) {
                Ok(meaning) => Tri::from(meaning == **text),
                Err(_) => Tri::Unknown,
            },
            (Self::List(values), Kind::Array) => {
                if values.len() != tree.children(at).count() {
                    return Tri::False;
                }
                Tri::all(values.iter().zip(tree.children(at)).map(|(value, (at, _))| value.same(tree, at)))
            }
            (Self::Map(members), Kind::Object) => {
                if members.len() != tree.children(at).count() {
                    return Tri::False;
                }
                Tri::all(tree.children(at).map(|(at, item)| {
                    let Some(key) = item.key.as_deref() else { return Tri::Unknown };
                    match members.get(key) {
                        Some(value) => value.same(tree, at),
                        None if members.keys().any(|name| is_disguise_of(key, name)) => Tri::Unknown,
                        None => Tri::False,
                    }
                }))
            }
            _ => Tri::False,
        }
    }

    /// This map with `value` added where `names` lead; `None` if something else stands in the way.
    pub(super) fn with(&self, names: &[&str], value: &Self) -> Option<Self> {
        let Self::Map(members) = self else { return None };
        let (name, deeper) = names.split_first()?;
        let mut members = members.clone();
        let child = match (members.get(*name), deeper) {
            (None, []) => value.clone(),
            (None, deeper) => Self::Map(BTreeMap::new()).with(deeper, value)?,
            (Some(_), []) => return None,
            (Some(child), deeper) => child.with(deeper, value)?,
        };
        members.insert((*name).into(), child);
        Some(Self::Map(members))
    }

    /// The value as JSON, in its one canonical spelling.
    pub(super) fn to_json(&self) -> String {
        let mut out = Vec::new();
        self.write(&mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Self::Number(number) => out.extend_from_slice(number.as_bytes()),
            Self::Text(text) => push_string(out, text),
            Self::List(values) => {
                out.push(b'[');
                for (n, value) in values.iter().enumerate() {
                    out.extend_from_slice(if n > 0 { b"," } else { b"" });
                    value.write(out);
                }
                out.push(b']');
            }
            Self::Map(members) => {
                out.push(b'{');
                for (n, (key, value)) in members.iter().enumerate() {
                    out.extend_from_slice(if n > 0 { b"," } else { b"" });
                    push_string(out, key);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }
}
