//! What an upstream said, in canonical form: that of the newest revision.

use super::interest::Interest;
use super::json::means;
use super::raw::{RawId, RawJson};

/// The answer to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// It worked (or a tool said that it did not: `isError`).
    Result(ResultBody),
    /// A JSON-RPC error.
    Error(RpcError),
}

/// A `result`, taken apart so far that it can be put together for another revision without being parsed again.
#[derive(Clone, Debug, Default)]
pub struct ResultBody {
    /// `resultType`; absent means complete.
    pub kind: ResultKind,
    /// Members of `_meta` except those the gateway writes itself: key as its JSON token, value.
    pub meta: Vec<(RawJson, RawJson)>,
    /// `ttlMs`, never negative.
    pub ttl_ms: Option<u64>,
    /// `cacheScope` is `public`.
    pub public: bool,
    /// Every other member in order: key as its JSON token, value.
    pub members: Vec<(RawJson, RawJson)>,
}

impl ResultBody {
    /// The member called `key`.
    pub fn member(&self, key: &str) -> Option<&RawJson> {
        self.members.iter().find(|(k, _)| means(k.as_str(), key)).map(|(_, v)| v)
    }

    /// Gives the member called `key`, which is there, another value.
    pub(crate) fn replace(&mut self, key: &str, value: RawJson) {
        if let Some((_, old)) = self.members.iter_mut().find(|(k, _)| means(k.as_str(), key)) {
            *old = value;
        }
    }
}

/// `resultType` of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResultKind {
    /// The final answer.
    #[default]
    Complete,
    /// The upstream asks back (multi round-trip requests).
    InputRequired,
    /// A task was created (tasks extension).
    Task,
}

/// A JSON-RPC error object.
#[derive(Clone, Debug)]
pub struct RpcError {
    /// `code`
    pub code: i64,
    /// `message`, bounded. From an upstream it is hostile text and stays inside.
    pub message: String,
    /// `data`
    pub data: Option<RawJson>,
}

/// One message of an upstream.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// The answer to the request with this id.
    Response {
        /// The id, as token.
        id: RawId,
        /// The answer.
        reply: Reply,
    },
    /// An error that could not be tied to a request (`id` null or absent).
    Orphan(RpcError),
    /// A notification.
    Notification(Notification),
    /// A request to the client (2025-11-25 and older).
    Request {
        /// Its id, as token.
        id: RawId,
        /// Its method as sent, bounded.
        method: String,
        /// Its params.
        params: Option<RawJson>,
    },
}

/// A notification of an upstream.
#[derive(Clone, Debug)]
pub enum Notification {
    /// `notifications/progress`
    Progress {
        /// The token it is about.
        token: RawId,
        /// `params` members other than `progressToken` and `_meta`: key as its JSON token, value.
        members: Vec<(RawJson, RawJson)>,
    },
    /// `notifications/message`
    Log {
        /// All of `params`.
        params: RawJson,
        /// `level`
        level: LogLevel,
    },
    /// `notifications/{tools,prompts,resources}/list_changed`
    ListChanged(Listing),
    /// `notifications/resources/updated`
    Updated {
        /// The upstream's own URI.
        uri: String,
    },
    /// `notifications/tasks/status` (2025-11-25).
    Task {
        /// The upstream's own id.
        id: String,
    },
    /// What a `subscriptions/listen` of ours brought (2026-07-28).
    Subscribed {
        /// The id of the request.
        subscription: RawId,
        /// What it says.
        said: Announced,
    },
    /// `notifications/cancelled` for a request of the upstream.
    Cancelled(RawId),
    /// Any other; dropped and counted.
    Other(String),
}

/// An announcement to one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announced {
    /// `notifications/subscriptions/acknowledged`: what the server agreed to announce.
    Acknowledged(Interest),
    /// `notifications/{tools,prompts,resources}/list_changed`
    ListChanged(Listing),
    /// `notifications/resources/updated`
    Updated {
        /// The upstream's own URI.
        uri: String,
    },
    /// `notifications/tasks` (the tasks extension). How the task stands is asked for when somebody is told.
    Task {
        /// The upstream's own id.
        id: String,
    },
}

/// The lists that can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is the list of that name")]
pub enum Listing {
    Tools,
    Prompts,
    Resources,
}

/// Severity of a log message (RFC 5424 words). Ordered by severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each variant is the level of that name")]
pub enum LogLevel {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl LogLevel {
    const NAMES: [(Self, &'static str); 8] = [
        (Self::Debug, "debug"),
        (Self::Info, "info"),
        (Self::Notice, "notice"),
        (Self::Warning, "warning"),
        (Self::Error, "error"),
        (Self::Critical, "critical"),
        (Self::Alert, "alert"),
        (Self::Emergency, "emergency"),
    ];

    /// The level a wire name means.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, n)| *n == name).map(|(l, _)| *l)
    }

    /// The wire name.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(l, _)| *l == self).map_or("debug", |(_, n)| n)
    }
}
