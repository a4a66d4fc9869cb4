//! The only file that knows the YAML crate: text in, a tree with places out.
//!
//! YAML 1.2 readings only (`no` is a word, `1_000` is a word), no duplicate keys, no merge keys, one document,
//! and budgets far below what a parser would allow, so that a hostile file costs little.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, Spanned};

use super::limits::{YAML_ALIASES_MAX, YAML_DEPTH_MAX, YAML_NODES_MAX};
use super::report::printable;
use crate::vocab::limits::CONFIG_FILE_BYTES_MAX;

/// Where something stands in the file: line and column, both from 1; zeros where unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

/// One value of the file.
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
}

/// What a value is. Texts are as written: references in them are not resolved yet.
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number(u64),
    /// Between whole numbers: above 0 and below 1.
    Fraction(f64),
    /// A number no setting takes: negative, otherwise fractional, or over 64 bits.
    OddNumber,
    Text(String),
    Seq(Vec<Node>),
    /// Keys in the order of the file, with their places.
    Map(Vec<(String, Place, Node)>),
}

/// Why a text is not one YAML document.
pub(super) struct Broken {
    pub(super) place: Place,
    /// The reason; never holds a value of the file.
    pub(super) message: String,
}

/// Reads one YAML document.
///
/// # Errors
/// The first thing that is not YAML, a duplicate or merge key, or a budget passed.
pub(super) fn parse(text: &str) -> Result<Node, Broken> {
    let scalar_bytes_max = usize::try_from(CONFIG_FILE_BYTES_MAX).unwrap_or(usize::MAX);
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: YAML_DEPTH_MAX,
            flow_nesting_limit: YAML_DEPTH_MAX,
            max_documents: 1,
            max_nodes: YAML_NODES_MAX,
            max_events: YAML_NODES_MAX * 3,
            max_aliases: YAML_ALIASES_MAX,
            max_anchors: YAML_ALIASES_MAX,
            max_recorded_anchor_events: YAML_NODES_MAX,
            max_recorded_anchor_bytes: scalar_bytes_max,
            max_total_scalar_bytes: scalar_bytes_max,
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
        // A snippet would print lines of a file that may hold secrets.
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Kind>>(text, options) {
        Ok(root) => Ok(root.into()),
        Err(error) => {
            let place = error.location().map(Place::from).unwrap_or_default();
            Err(Broken { place, message: reason(error.without_snippet(), place) })
        }
    }
}

/// The reason in our words, or the reader's without what it quotes: an unquoted secret may begin with `!`.
fn reason(error: &Error, place: Place) -> String {
    match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("duplicate key `{}`", printable(key)),
        Error::DuplicateMappingKey { key: None, .. } => "duplicate key".to_owned(),
        Error::MergeKeyNotAllowed { .. } => "merge keys (`<<`) are not taken: write the keys out".to_owned(),
        Error::UnknownAnchor { .. } => "`*` refers to no anchor; quote a value that begins with it".to_owned(),
        Error::MultipleDocuments { .. } | Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            "holds more than one document".to_owned()
        }
        Error::Budget { .. } | Error::AliasReplayLimitExceeded { .. } | Error::AliasReplayStackDepthExceeded { .. } => {
            format!("is too large: at most {YAML_NODES_MAX} values, {YAML_DEPTH_MAX} deep, and {YAML_ALIASES_MAX} aliases")
        }
        Error::NonFiniteFloat { .. } => "holds a number that is not finite".to_owned(),
        other => first_line(&other.to_string(), place),
    }
}

/// One line, without the place, which has its own field, and without anything between backticks.
fn first_line(message: &str, place: Place) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let Place { line: row, column } = place;
    let suffixes = [format!(" at line {row}, column {column}"), format!(" at line {row} column {column}")];
    let bare = suffixes.iter().find_map(|suffix| line.strip_suffix(suffix.as_str())).unwrap_or(line);
    let unquoted = bare.split('`').enumerate().map(|(i, part)| if i % 2 == 0 { part } else { ".." });
    unquoted.collect::<Vec<_>>().join("`")
}

impl From<Spanned<Kind>> for Node {
    fn from(spanned: Spanned<Kind>) -> Self {
        Self { place: spanned.referenced.into(), kind: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        Kind::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(u64::try_from(value).map_or(Kind::OddNumber, Kind::Number))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(value))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Kind, E> {
        Ok(u64::try_from(value).map_or(Kind::OddNumber, Kind::Number))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Kind, E> {
        Ok(u64::try_from(value).map_or(Kind::OddNumber, Kind::Number))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(if value > 0.0 && value < 1.0 {
            Kind::Fraction(value)
        } else if value == 0.0 {
            Kind::Number(0)
        } else if value == 1.0 {
            Kind::Number(1)
        } else {
            Kind::OddNumber
        })
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Kind>>()? {
            items.push(item.into());
        }
        Ok(Kind::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let value: Spanned<Kind> = map.next_value()?;
            entries.push((key.value, key.referenced.into(), value.into()));
        }
        Ok(Kind::Map(entries))
    }
}
