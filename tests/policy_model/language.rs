//! The language as data of the model.

use crate::json::Json;

#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// Issuers of the config: one, or two.
    pub(crate) issuers: usize,
    pub(crate) groups: Vec<Group>,
    pub(crate) classes: Vec<(Vec<&'static str>, Class)>,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Read,
    Write,
    Destructive,
}

impl Class {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destructive => "destructive",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) issuers: Vec<&'static str>,
    pub(crate) claim: Option<(&'static str, Vec<&'static str>)>,
    pub(crate) clients: Vec<&'static str>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) allow: bool,
    pub(crate) shadow: bool,
    /// Empty: left out.
    pub(crate) principals: Vec<Who>,
    pub(crate) tools: Vec<&'static str>,
    pub(crate) resources: Vec<&'static str>,
    pub(crate) prompts: Vec<&'static str>,
    /// Upstream glob and word.
    pub(crate) capabilities: Vec<(&'static str, &'static str)>,
    /// Empty: left out.
    pub(crate) classes: Vec<Class>,
    pub(crate) arguments: Vec<(&'static str, Vec<Matcher>)>,
    /// Which of the templates.
    pub(crate) when: Option<usize>,
    /// Empty: left out.
    pub(crate) schedule: Vec<Window>,
    pub(crate) require: Require,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Who {
    Any,
    Group(&'static str),
    Sub(Option<&'static str>, &'static str),
    Client(&'static str),
    Scope(&'static str),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Matcher {
    Equals(Json),
    OneOf(Vec<Json>),
    Glob(Vec<&'static str>),
    Matches(Vec<&'static str>),
    Under(Vec<&'static str>),
    Url(UrlWant),
    Cidr(Vec<&'static str>),
    Min(&'static str),
    Max(&'static str),
    MaxLength(usize),
    Type(Vec<&'static str>),
    Present,
    Absent,
}

impl Matcher {
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::Equals(_) => "equals",
            Self::OneOf(_) => "one_of",
            Self::Glob(_) => "glob",
            Self::Matches(_) => "matches",
            Self::Under(_) => "path_under",
            Self::Url(_) => "url",
            Self::Cidr(_) => "cidr",
            Self::Min(_) => "min",
            Self::Max(_) => "max",
            Self::MaxLength(_) => "max_length",
            Self::Type(_) => "type",
            Self::Present => "present",
            Self::Absent => "absent",
        }
    }
}

/// Empty parts are left out; one at least is not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UrlWant {
    pub(crate) scheme: Vec<&'static str>,
    pub(crate) host: Vec<&'static str>,
    pub(crate) port: Vec<u16>,
    pub(crate) path: Vec<&'static str>,
    pub(crate) address: Vec<&'static str>,
}

#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// 0 is Monday. Empty: left out.
    pub(crate) days: Vec<u8>,
    /// Minutes of the day.
    pub(crate) hours: Option<(u32, u32)>,
    pub(crate) zone: Option<Zone>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Zone {
    Utc,
    Kolkata,
    Berlin,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Require {
    pub(crate) scopes: Vec<&'static str>,
    pub(crate) approval: Option<Approval>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) redact: bool,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) audit: Vec<&'static str>,
}

impl Require {
    pub(crate) fn is_empty(&self) -> bool {
        let Self { scopes, approval, limits, redact, deadline_ms, audit } = self;
        scopes.is_empty() && approval.is_none() && limits.is_empty() && !redact && deadline_ms.is_none() && audit.is_empty()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Approval {
    /// Empty: the caller.
    pub(crate) from: Vec<Who>,
    pub(crate) quorum: Option<u32>,
    pub(crate) requester: Option<bool>,
    pub(crate) expires_s: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Limit {
    pub(crate) quota: Quota,
    pub(crate) by: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Quota {
    /// How many, and the window in seconds.
    Calls(u32, u64),
    Concurrent(u32),
    Bytes(u64, u64),
    Tokens(u64, u64),
}

impl Quota {
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Calls(..) => "calls",
            Self::Concurrent(_) => "concurrent",
            Self::Bytes(..) => "bytes",
            Self::Tokens(..) => "response_tokens",
        }
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) iss: &'static str,
    pub(crate) sub: &'static str,
    pub(crate) client: Option<&'static str>,
    pub(crate) scopes: Vec<&'static str>,
    pub(crate) claims: Vec<(&'static str, Json)>,
    pub(crate) anonymous: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Tool,
    Resource,
    Prompt,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) who: Person,
    pub(crate) family: Family,
    pub(crate) name: &'static str,
    pub(crate) known: bool,
    /// `readOnlyHint`, `destructiveHint`.
    pub(crate) hints: (Option<bool>, Option<bool>),
    /// Of tools and prompts.
    pub(crate) args: Option<Json>,
    pub(crate) now_ms: i64,
    pub(crate) route: &'static str,
}
