//! What a condition can speak of.
//!
//! The fields of the fixed roots are values of their own, so that one can be read without building the others. In a checked
//! expression each is one identifier, `principal.sub`, which no text can spell as such; `has principal.tenant` is its presence.

use super::shape::Shape;

/// A root with fields that are known.
pub(super) struct Root {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// One of them.
pub(super) struct Field {
    pub(super) name: &'static str,
    /// As an identifier.
    pub(super) slot: &'static str,
    /// Its presence as an identifier, for a field that may be absent.
    pub(super) has: Option<&'static str>,
    pub(super) shape: Shape,
}

const fn field(name: &'static str, slot: &'static str, shape: Shape) -> Field {
    Field { name, slot, has: None, shape }
}

/// The arguments of the operation: anything.
pub(super) const ARGS: &str = "args";
/// The path the request came by.
pub(super) const ROUTE: &str = "route";

pub(super) const CLASSES: &[&str] = &["read", "write", "destructive"];
pub(super) const KINDS: &[&str] = &["tool", "resource", "prompt"];
pub(super) const WEEKDAYS: &[&str] = &["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Roots with known fields.
pub(super) const ROOTS: &[Root] = &[
    Root {
        name: "principal",
        fields: &[
            field("sub", "principal.sub", Shape::Text),
            field("issuer", "principal.issuer", Shape::Text),
            Field { name: "client_id", slot: "principal.client_id", has: Some("has principal.client_id"), shape: Shape::Text },
            Field { name: "tenant", slot: "principal.tenant", has: Some("has principal.tenant"), shape: Shape::Text },
            Field { name: "actor", slot: "principal.actor", has: Some("has principal.actor"), shape: Shape::Text },
            field("groups", "principal.groups", Shape::Texts),
            field("scopes", "principal.scopes", Shape::Texts),
            field("claims", "principal.claims", Shape::Map),
        ],
    },
    Root {
        name: "tool",
        fields: &[
            field("name", "tool.name", Shape::Text),
            field("upstream", "tool.upstream", Shape::Text),
            field("class", "tool.class", Shape::Word(CLASSES)),
            field("kind", "tool.kind", Shape::Word(KINDS)),
        ],
    },
    Root {
        name: "time",
        fields: &[
            field("epoch_ms", "time.epoch_ms", Shape::Int),
            field("epoch", "time.epoch", Shape::Int),
            field("year", "time.year", Shape::Int),
            field("month", "time.month", Shape::Int),
            field("day", "time.day", Shape::Int),
            field("hour", "time.hour", Shape::Int),
            field("minute", "time.minute", Shape::Int),
            field("second", "time.second", Shape::Int),
            field("weekday", "time.weekday", Shape::Word(WEEKDAYS)),
        ],
    },
];

/// Every name that stands for something.
pub(super) fn names() -> Vec<&'static str> {
    ROOTS.iter().map(|root| root.name).chain([ARGS, ROUTE]).collect()
}
