//! What a principal asks for.

use smallvec::SmallVec;

use super::path::hostile_uri;
use crate::mcp::RawJson;
use crate::mcp::names::parts;
use crate::vocab::Class;

/// One operation to decide on. Names are full names, whatever the route calls them.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What.
    pub kind: Kind<'a>,
    /// Whether the catalog has it. What it does not have is refused as unknown before any rule is asked.
    pub known: bool,
    /// As [`Moment::now_unix_ms`].
    pub now_unix_ms: i64,
    /// As [`Moment::route`].
    pub route: &'a str,
}

impl<'a> Asked<'a> {
    pub(super) fn moment(&self) -> Moment<'a> {
        Moment { now_unix_ms: self.now_unix_ms, route: self.route }
    }
}

/// When and where something is asked.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The wall clock, in milliseconds since the Unix epoch. Zero and less mean a clock that cannot be read: whatever depends on
    /// the time is then unknown.
    pub now_unix_ms: i64,
    /// The path of the route.
    pub route: &'a str,
}

impl Moment<'_> {
    pub(super) fn readable_unix_ms(&self) -> Option<i64> {
        Some(self.now_unix_ms).filter(|ms| *ms > 0)
    }
}

/// The kinds of operations rules can name.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// `tools/call`.
    Tool {
        /// `upstream__name`.
        name: &'a str,
        /// As [`super::PolicySet::class_of`] says.
        class: Class,
        /// The arguments as they will leave; `None` if there are none.
        arguments: Option<&'a RawJson>,
    },
    /// `resources/read`, subscriptions, and completion of a template. Class read.
    Resource {
        /// `upstream__URI`.
        uri: &'a str,
    },
    /// `prompts/get` and completion of a prompt. Class read.
    Prompt {
        /// `upstream__name`.
        name: &'a str,
        /// The arguments as they will leave; `None` if there are none.
        arguments: Option<&'a RawJson>,
    },
}

impl<'a> Kind<'a> {
    pub(super) fn family(&self) -> Family {
        match self {
            Self::Tool { .. } => Family::Tool,
            Self::Resource { .. } => Family::Resource,
            Self::Prompt { .. } => Family::Prompt,
        }
    }

    pub(super) fn name(&self) -> &'a str {
        match self {
            Self::Tool { name, .. } | Self::Prompt { name, .. } => name,
            Self::Resource { uri } => uri,
        }
    }

    pub(super) fn class(&self) -> Class {
        match self {
            Self::Tool { class, .. } => *class,
            Self::Resource { .. } | Self::Prompt { .. } => Class::Read,
        }
    }

    pub(super) fn arguments(&self) -> Option<&'a RawJson> {
        match self {
            Self::Tool { arguments, .. } | Self::Prompt { arguments, .. } => *arguments,
            Self::Resource { .. } => None,
        }
    }

    /// A resource whose URI readers could disagree about. It is refused before any rule is asked, and hidden from lists.
    pub(super) fn is_hostile(&self) -> bool {
        match self {
            Self::Resource { uri } => hostile_uri(uri.split_once("__").map_or(uri, |(_, uri)| uri)),
            Self::Tool { .. } | Self::Prompt { .. } => false,
        }
    }

    /// Whether this kind of operation can carry arguments at all.
    pub(super) fn takes_arguments(&self) -> bool {
        !matches!(self, Self::Resource { .. })
    }
}

/// Which list of targets of a rule applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Tool,
    Resource,
    Prompt,
    /// The lists of one upstream; no rule names it.
    Lists,
}

/// What a decision was about, kept for the permit.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) family: Family,
    /// `upstream__name`; for lists the upstream alone.
    pub(super) name: Name,
    pub(super) class: Class,
    /// It is about a task that the tool of this name made, and no call of it.
    pub(super) task: bool,
}

/// A full name; a short one takes no heap allocation. Always the bytes of a text.
#[derive(Clone)]
pub(super) struct Name(SmallVec<[u8; NAME_BYTES]>);

/// Names mostly fit into this.
const NAME_BYTES: usize = 56;

impl Name {
    pub(super) fn as_str(&self) -> &str {
        // Should it be no text after all, it names nothing.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self(SmallVec::from_slice(name.as_bytes()))
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}

impl Subject {
    pub(super) fn upstream(&self) -> &str {
        upstream_of(self.name.as_str())
    }
}

/// The upstream of a full name: what stands before the first `__`, for upstream names hold no `_`.
pub(super) fn upstream_of(full: &str) -> &str {
    parts(full).map_or(full, |(upstream, _)| upstream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_length_stay_what_they_are() {
        for length in [0, 1, NAME_BYTES - 1, NAME_BYTES, NAME_BYTES + 1, 4_096] {
            let name = format!("files__{}ü", "a".repeat(length));
            let subject = Subject { family: Family::Tool, name: name.as_str().into(), class: Class::Read, task: false };
            assert_eq!((subject.name.as_str(), subject.upstream()), (name.as_str(), "files"));
        }
    }
}
