//! What is known of a value before it exists.

/// The kind of a value, as far as it can be told at load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Not to be told.
    Any,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    /// One of these texts.
    Word(&'static [&'static str]),
    List,
    /// A list of texts.
    Texts,
    Map,
    Null,
}

/// Kinds that can be compared with each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Bool,
    Number,
    Text,
    List,
    Map,
    Null,
}

impl Shape {
    /// The kind in a message.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Uint => "an unsigned number",
            Self::Double => "a number with a fraction",
            Self::Text | Self::Word(_) => "a text",
            Self::List | Self::Texts => "a list",
            Self::Map => "a map",
            Self::Null => "null",
        }
    }

    fn family(self) -> Option<Family> {
        Some(match self {
            Self::Any => return None,
            Self::Bool => Family::Bool,
            Self::Int | Self::Uint | Self::Double => Family::Number,
            Self::Text | Self::Word(_) => Family::Text,
            Self::List | Self::Texts => Family::List,
            Self::Map => Family::Map,
            Self::Null => Family::Null,
        })
    }

    /// Whether values of the two can be equal.
    pub(super) fn meets(self, other: Self) -> bool {
        self.family().zip(other.family()).is_none_or(|(a, b)| a == b)
    }

    /// Whether this can be `want`, of which words and texts, and all lists, are one.
    pub(super) fn can_be(self, want: Self) -> bool {
        let numbers = [self, want].iter().all(|shape| shape.is_number());
        self == Self::Any || want == Self::Any || (self.meets(want) && (!numbers || self == want))
    }

    pub(super) fn is_number(self) -> bool {
        self.family() == Some(Family::Number)
    }

    /// What there is one after the other in this; `None` if it is nothing to go through.
    pub(super) fn item(self) -> Option<Self> {
        match self {
            Self::Any | Self::List | Self::Map => Some(Self::Any),
            Self::Texts => Some(Self::Text),
            _ => None,
        }
    }

    /// What either of two branches gives.
    pub(super) fn or(self, other: Self) -> Self {
        match (self.family(), other.family()) {
            _ if self == other => self,
            (Some(Family::Text), Some(Family::Text)) => Self::Text,
            (Some(Family::List), Some(Family::List)) => Self::List,
            _ => Self::Any,
        }
    }
}
