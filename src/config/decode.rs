//! From the tree of the file to the raw structs, without stopping at the first mistake.
//!
//! A serde deserializer that never fails on the operator's account: a wrong shape, an unknown key or a bad reference is
//! reported with its place, the value is left at its empty form, and reading goes on. Whoever reports later about such
//! a path is silenced by [`Report::is_broken`].

use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::limits::LIST_ENTRIES_MAX;
use super::near::nearest;
use super::refs::Refs;
use super::report::{Report, is_secret, item_path, key_path, printable};
use super::yaml::{Kind, Node};

/// Newtype name of a key that this build does not have; see [`super::shape::Unbuilt`].
pub(super) const UNBUILT: &str = "$portcullis::unbuilt";
/// Newtype name of a text or a number; see [`super::shape::Scalar`].
pub(super) const SCALAR: &str = "$portcullis::scalar";
/// Newtype name of a word or a table; see [`super::shape::WordOr`].
pub(super) const WORD_OR: &str = "$portcullis::word_or";
/// Newtype name of a text or a list of them; see [`super::shape::Texts`].
pub(super) const TEXTS: &str = "$portcullis::texts";
/// What stands for a text below `upstreams` whose references lead nowhere, where that does not matter.
const UNSET: &str = "unset";

/// Reads `root` as a `T`, all of whose fields have an empty form. `None` only if a raw struct asks for what no file can give.
pub(super) fn decode<T: DeserializeOwned>(root: &Node, report: &mut Report, refs: &mut Refs<'_>) -> Option<T> {
    let result = T::deserialize(Decoder { node: root, path: String::new(), report, refs });
    match result {
        Ok(raw) => Some(raw),
        Err(error) => {
            report.problem("", format!("cannot be read: {error}"), "");
            None
        }
    }
}

struct Decoder<'n, 'r, 'e> {
    node: &'n Node,
    path: String,
    report: &'r mut Report,
    refs: &'r mut Refs<'e>,
}

impl<'n> Decoder<'n, '_, '_> {
    fn wrong(&mut self, wanted: &str) {
        let hint = match &self.node.kind {
            Kind::Null => "give it one, or leave the key out",
            Kind::Number(_) | Kind::Bool(_) | Kind::Fraction(_) | Kind::OddNumber if wanted == "a string" => "put it in quotes",
            _ => "",
        };
        let message = match found(&self.node.kind) {
            "" => "has no value".to_owned(),
            found => format!("must be {wanted}, is {found}"),
        };
        self.report.broken(&self.path, message, hint);
    }

    /// The text here with its references replaced; empty if there is none, which is then reported.
    fn text(&mut self) -> String {
        let Kind::Text(text) = &self.node.kind else {
            self.wrong("a string");
            return String::new();
        };
        self.refs.expand(text).unwrap_or_else(|why| {
            if self.refs.upstreams_unset && (self.path.starts_with("upstreams[") || self.path.contains(".introspection.")) {
                return UNSET.to_owned();
            }
            self.report.broken(&self.path, why, "");
            String::new()
        })
    }

    fn entries(&mut self) -> &'n [(String, super::yaml::Place, Node)] {
        if let Kind::Map(entries) = &self.node.kind {
            return entries;
        }
        self.wrong("a map of keys and values");
        &[]
    }

    fn unknown_keys(&mut self, fields: &[&str]) {
        for (key, place, _) in self.entries() {
            if fields.contains(&key.as_str()) {
                continue;
            }
            let near = nearest(key, fields.iter().copied());
            if near.is_none() && is_secret(&self.path) {
                // Not even its name: `credential: { SECRET }` makes a key of it.
                self.report.at(*place, &self.path, "unknown key", format!("known here: {}", fields.join(", ")));
                continue;
            }
            let hint =
                near.map_or_else(|| format!("known here: {}", fields.join(", ")), |near| format!("did you mean `{near}`?"));
            let message = format!("unknown key `{}`", printable(key));
            self.report.at(*place, &key_path(&self.path, key), message, hint);
        }
    }
}

/// What a value is, in words; nothing for nothing.
fn found(kind: &Kind) -> &'static str {
    match kind {
        Kind::Null => "",
        Kind::Bool(_) => "a boolean",
        Kind::Number(_) => "a number",
        Kind::Fraction(_) | Kind::OddNumber => "a negative, fractional or too large number",
        Kind::Text(_) => "a string",
        Kind::Seq(_) => "a list",
        Kind::Map(_) => "a map",
    }
}

impl<'de> Deserializer<'de> for Decoder<'_, '_, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        match self.node.kind {
            Kind::Bool(value) => visitor.visit_bool(value),
            _ => {
                self.wrong("true or false");
                visitor.visit_bool(false)
            }
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        match self.node.kind {
            Kind::Fraction(value) => visitor.visit_f64(value),
            Kind::Number(value @ 0..=1) => visitor.visit_f64(if value == 0 { 0.0 } else { 1.0 }),
            _ => {
                self.wrong("a number from 0 to 1");
                visitor.visit_f64(0.0)
            }
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        match self.node.kind {
            Kind::Number(value) => visitor.visit_u64(value),
            _ => {
                self.wrong("a whole number");
                visitor.visit_u64(0)
            }
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.text())
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        if matches!(self.node.kind, Kind::Null) {
            // A key with nothing behind it is half a setting: `client_ca:` must not mean "no client CA".
            self.wrong("a value");
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(mut self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        match (name, &self.node.kind) {
            (UNBUILT, _) => {
                self.report.not_built(&self.path, "", "leave the key out");
                visitor.visit_unit()
            }
            (SCALAR, Kind::Number(value)) => visitor.visit_u64(*value),
            (WORD_OR, Kind::Map(_)) | (TEXTS, Kind::Seq(_)) => visitor.visit_newtype_struct(self),
            (WORD_OR, Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Fraction(_) | Kind::OddNumber | Kind::Seq(_)) => {
                self.wrong("a word or a map of keys and values");
                visitor.visit_str("")
            }
            (SCALAR | WORD_OR | TEXTS, _) => self.deserialize_string(visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let items = match &self.node.kind {
            Kind::Seq(items) if items.len() <= LIST_ENTRIES_MAX => items.as_slice(),
            Kind::Seq(_) => {
                self.report.broken(&self.path, format!("has more than {LIST_ENTRIES_MAX} entries"), "");
                &[]
            }
            _ => {
                self.wrong("a list");
                &[]
            }
        };
        visitor.visit_seq(Items { items: items.iter(), index: 0, decoder: self })
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let entries = self.entries();
        visitor.visit_map(Entries { entries: entries.iter(), fields: None, value: None, decoder: self })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let entries = self.entries();
        if !entries.is_empty() {
            self.unknown_keys(fields);
        }
        visitor.visit_map(Entries { entries: entries.iter(), fields: Some(fields), value: None, decoder: self })
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier
        ignored_any
    }
}

struct Items<'n, 'r, 'e> {
    items: std::slice::Iter<'n, Node>,
    index: usize,
    decoder: Decoder<'n, 'r, 'e>,
}

impl<'de> SeqAccess<'de> for Items<'_, '_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.items.next() else { return Ok(None) };
        let path = item_path(&self.decoder.path, self.index);
        self.index += 1;
        seed.deserialize(Decoder { node, path, report: self.decoder.report, refs: self.decoder.refs }).map(Some)
    }
}

struct Entries<'n, 'r, 'e> {
    entries: std::slice::Iter<'n, (String, super::yaml::Place, Node)>,
    fields: Option<&'static [&'static str]>,
    value: Option<(&'n str, &'n Node)>,
    decoder: Decoder<'n, 'r, 'e>,
}

impl<'de> MapAccess<'de> for Entries<'_, '_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        for (key, _, node) in self.entries.by_ref() {
            // Unknown keys of a struct have been reported; the struct never sees them.
            if self.fields.is_none_or(|fields| fields.contains(&key.as_str())) {
                self.value = Some((key, node));
                let key: StrDeserializer<'_, Error> = key.as_str().into_deserializer();
                return seed.deserialize(key).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let Some((key, node)) = self.value.take() else {
            return Err(serde::de::Error::custom("a value was asked for before its key"));
        };
        let path = key_path(&self.decoder.path, key);
        seed.deserialize(Decoder { node, path, report: self.decoder.report, refs: self.decoder.refs })
    }
}
