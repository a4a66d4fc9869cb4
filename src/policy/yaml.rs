//! The only file of this layer that knows the YAML crate: text in, a tree with places out.
//!
//! YAML 1.2 readings only (`no` is a word), no duplicate keys, no merge keys, one document, and budgets.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Spanned};

use super::bounds::{YAML_ALIASES_MAX, YAML_DEPTH_MAX, YAML_NODES_MAX};
use crate::vocab::limits::CONFIG_FILE_BYTES_MAX;

/// Line and column, both from 1; zeros where unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// One value of the file.
pub(super) struct Node {
    pub(super) place: Place,
    /// Byte range of a scalar in the text of the file.
    span: Option<(usize, usize)>,
    pub(super) value: Value,
}

/// What a value is.
pub(super) enum Value {
    Null,
    Bool(bool),
    /// The digits stay in the file: [`Node::token`] has them.
    Number,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One member of a map, in the order of the file.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

/// Why a text is not one YAML document.
pub(super) struct Broken {
    pub(super) place: Place,
    pub(super) message: String,
}

impl Node {
    /// The scalar as written in `text`, the file it came from.
    pub(super) fn token<'a>(&self, text: &'a str) -> &'a str {
        self.span.and_then(|(start, end)| text.get(start..end)).unwrap_or_default().trim()
    }

    /// The place of the byte `at` of a text in `file`, the file it came from; `None` where the two are spelled differently.
    pub(super) fn place_within(&self, file: &str, at: usize) -> Option<Place> {
        let Value::Text(text) = &self.value else { return None };
        let before = text.get(..at)?;
        let (lines, start) = (before.matches('\n').count(), before.rfind('\n').map_or(0, |end| end + 1));
        let wanted = text.get(start..)?.lines().next()?;
        let line = usize::try_from(self.place.line).ok()?.checked_add(lines)?;
        let row = file.lines().nth(line.checked_sub(1)?)?;
        let skipped = if lines == 0 { usize::try_from(self.place.column).ok()?.checked_sub(1)? } else { 0 };
        let from = row.char_indices().nth(skipped)?.0;
        let lead = row.get(from..)?.find(wanted)?;
        // A first line follows its quote, the others their indent. Anything else is spelled with escapes or folded.
        let honest = match row.get(from..from + lead)? {
            "" | "\"" | "'" => true,
            indent => lines > 0 && indent.trim().is_empty(),
        };
        let column = row.get(..from + lead + (at - start))?.chars().count() + 1;
        honest.then_some(Place { line: u64::try_from(line).ok()?, column: u64::try_from(column).ok()? })
    }

    /// What kind of value this is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// Reads one YAML document.
///
/// # Errors
/// The first thing that is not YAML, a duplicate or merge key, or a budget passed.
pub(super) fn parse(text: &str) -> Result<Node, Broken> {
    let bytes_max = usize::try_from(CONFIG_FILE_BYTES_MAX).unwrap_or(usize::MAX);
    if text.len() > bytes_max {
        return Err(Broken { place: Place::default(), message: format!("larger than {bytes_max} bytes") });
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: YAML_DEPTH_MAX,
            flow_nesting_limit: YAML_DEPTH_MAX,
            max_documents: 1,
            max_nodes: YAML_NODES_MAX,
            max_events: YAML_NODES_MAX * 3,
            max_aliases: YAML_ALIASES_MAX,
            max_anchors: YAML_ALIASES_MAX,
            max_total_scalar_bytes: bytes_max,
            max_merge_keys: 0,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: YAML_NODES_MAX,
            max_replay_stack_depth: 4,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options).map(Node::from).map_err(|error| {
        let place = error.location().map(Place::from).unwrap_or_default();
        let message = error.without_snippet().to_string();
        Broken { place, message: first_line(&message, place) }
    })
}

/// The reason alone: one line, without the place, which has its own field.
fn first_line(message: &str, place: Place) -> String {
    let line = message.lines().next().unwrap_or_default();
    let here = format!("line {} column {}", place.line, place.column);
    let line = line.split(&here).next().unwrap_or(line).trim_end().trim_end_matches("at");
    line.trim_end_matches([' ', ',', ':', '(']).trim_start_matches("error: ").to_owned()
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        let span = spanned.defined.span();
        let start = span.byte_offset().and_then(|n| usize::try_from(n).ok());
        let len = span.byte_len().and_then(|n| usize::try_from(n).ok());
        let span = start.zip(len).and_then(|(start, len)| Some((start, start.checked_add(len)?)));
        Self { place: spanned.referenced.into(), span, value: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Value>>()? {
            items.push(item.into());
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let value: Spanned<Value> = map.next_value()?;
            entries.push(Entry { key: key.value, place: key.referenced.into(), node: value.into() });
        }
        Ok(Value::Map(entries))
    }
}
