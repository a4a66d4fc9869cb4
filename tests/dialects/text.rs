//! JSON as text: members in their order, values byte for byte. Read by another parser than the gateway's.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::random::Random;

/// JSON that keeps the order of members and the spelling of values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    /// A string, number, boolean or null as it is spelled.
    Token(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(crate) fn string(text: &str) -> Self {
        Self::Token(serde_json::to_string(text).unwrap())
    }

    pub(crate) fn members(&mut self) -> &mut Vec<(String, Self)> {
        match self {
            Self::Object(members) => members,
            other => panic!("not an object: {other:?}"),
        }
    }

    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Gives a member another value, or adds it.
    pub(crate) fn set(&mut self, name: &str, value: Self) {
        self.members().retain(|(key, _)| key != name);
        self.members().push((name.to_owned(), value));
    }

    /// The text, with blanks here and there, and now and then a key spelled with an escape.
    pub(crate) fn write(&self, random: &mut Random) -> String {
        let mut out = String::new();
        self.write_to(random, &mut out);
        out
    }

    fn write_to(&self, random: &mut Random, out: &mut String) {
        match self {
            Self::Token(token) => out.push_str(token),
            Self::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    blank(random, out);
                    item.write_to(random, out);
                }
                blank(random, out);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    blank(random, out);
                    out.push_str(&spelled(key, random));
                    blank(random, out);
                    out.push(':');
                    blank(random, out);
                    value.write_to(random, out);
                }
                blank(random, out);
                out.push('}');
            }
        }
    }
}

fn blank(random: &mut Random, out: &mut String) {
    if random.one_in(30) {
        out.push_str(random.pick(&[" ", "\n", "\t ", "\r\n"]));
    }
}

fn spelled(key: &str, random: &mut Random) -> String {
    let plain = serde_json::to_string(key).unwrap();
    let first = key.chars().next().filter(|first| first.is_ascii_alphanumeric() && random.one_in(25));
    first.map_or_else(|| plain.clone(), |first| format!("\"\\u{:04x}{}", u32::from(first), plain.split_at(2).1))
}

/// The members of an object: key as it is meant, value as it is spelled.
pub(crate) fn members(object: &str) -> Vec<(String, String)> {
    let Members(members) = serde_json::from_str(object).unwrap_or_else(|error| panic!("{error}: {object}"));
    let mut keys: Vec<&String> = members.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    assert!(keys.windows(2).all(|two| two[0] != two[1]), "a key twice: {object}");
    members
}

/// A member of an object.
pub(crate) fn member(object: &str, name: &str) -> Option<String> {
    members(object).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

struct Members(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    members.push((key, value.get().to_owned()));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}
