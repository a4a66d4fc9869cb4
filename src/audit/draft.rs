//! What is known about a request, filled in as it becomes known.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::digest::{DIGEST_BYTES, Digester};
use super::note::{ApprovalNote, DecisionNote, OutcomeNote};
use crate::scrub;
use crate::telemetry::spans::Spans;
use crate::vocab::limits::{
    AUDIT_ARGUMENTS_BYTES_MAX, AUDIT_FIELD_BYTES_MAX, AUDIT_FIELDS_MAX, AUDIT_ID_BYTES_MAX, AUDIT_URI_BYTES_MAX,
};
use crate::vocab::{Class, FaultKind, Principal, Reason, RecordId};

/// What a record is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Written before a write, destructive or gated operation leaves.
    Intent,
    /// How a request ended.
    #[default]
    Outcome,
    /// A list was served.
    List,
    /// A credential or scope was refused, or somebody signed in.
    Auth,
    /// An operator acted.
    Admin,
    /// A request for approval was made, decided on, withdrawn or used, or it expired.
    Approval,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Outcome => "outcome",
            Self::List => "list",
            Self::Auth => "auth",
            Self::Admin => "admin",
            Self::Approval => "approval",
        }
    }
}

/// How a request ended, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The upstream, or the gateway itself, answered; a tool's own error is an answer.
    Completed,
    /// Policy or a limit said no.
    Denied,
    /// Something failed; `error_kind` says what.
    Faulted,
    /// The deadline passed.
    TimedOut,
    /// The client went away or cancelled. Whether a write took effect is not known.
    Cancelled,
    /// Turned away before a decision: no credential, not understood, wrong host or origin, overload.
    Refused,
    /// A bug of the gateway ended the request.
    Panicked,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Denied => "denied",
            Self::Faulted => "faulted",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
            Self::Panicked => "panicked",
        }
    }
}

/// The intent that a final record points at. Its number is known once the writer has given it.
#[derive(Clone, Debug, Default)]
pub struct IntentSeq(Arc<AtomicU64>);

impl IntentSeq {
    /// The `seq` of the intent record; `None` while it is not written (only without durability).
    pub fn get(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Acquire)).filter(|seq| *seq > 0)
    }

    /// A batch that failed is numbered again.
    pub(super) fn set(&self, seq: u64) {
        self.0.store(seq, Ordering::Release);
    }
}

/// The record of one request, while it is being made. Texts are bounded when they are set, and lose what looks like a secret: a client may
/// put one anywhere. Who asked is recorded as the issuer says it.
///
/// No setter takes a secret: credentials are wrapped in `secrecy` types, which convert into none of these.
/// ```compile_fail
/// # fn f(draft: &mut portcullis::audit::Draft) {
/// draft.set_name(secrecy::SecretString::from("s3cret"));
/// # }
/// ```
/// ```no_run
/// # fn f(draft: &mut portcullis::audit::Draft) {
/// draft.set_name("files__read");
/// # }
/// ```
#[derive(Clone)]
pub struct Draft {
    pub(super) id: RecordId,
    pub(super) unix_ms: u64,
    pub(super) started: Instant,
    digester: Arc<Digester>,
    /// What the record is about.
    pub kind: Kind,
    /// The trace this request belongs to.
    pub trace_id: Option<[u8; 16]>,
    /// Who asked. Only identity, client, groups and scopes are recorded, never other claims.
    pub principal: Option<Arc<Principal>>,
    /// Id of the API key that was used (its public part).
    pub key: Option<Arc<str>>,
    /// Path of the route.
    pub route: Option<Arc<str>>,
    /// Upstream of the target.
    pub upstream: Option<Arc<str>>,
    /// Class of the operation.
    pub class: Option<Class>,
    /// Digest of the tool's definition.
    pub definition: Option<Arc<str>>,
    /// What policy decided.
    pub decision: Option<DecisionNote>,
    /// Which approval it waits for, has, or is about.
    pub approval: Option<Box<ApprovalNote>>,
    /// How it ended. A draft without one ends as cancelled, or as panicked while a panic unwinds.
    pub outcome: Option<OutcomeNote>,
    /// HTTP status sent.
    pub http: Option<u16>,
    /// Time spent waiting for the upstream, in microseconds.
    pub upstream_us: Option<u64>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// Secrets replaced in the response.
    pub redacted: u64,
    /// A tool's own error (`isError`), which is an answer.
    pub tool_error: bool,
    /// The intent that was written first.
    pub intent: Option<IntentSeq>,
    /// The way of the request, where traces are sent.
    pub spans: Way,
    pub(super) total_us: Option<u64>,
    pub(super) rpc_id: Option<Box<str>>,
    pub(super) method: Option<Cow<'static, str>>,
    pub(super) name: Option<Arc<str>>,
    pub(super) arguments: Arguments,
    pub(super) fields: Vec<(Box<str>, Box<str>)>,
}

/// The way of one request. A copy of its draft has none: there is one trace of it.
#[derive(Default)]
pub struct Way(pub Option<Box<Spans>>);

impl Clone for Way {
    fn clone(&self) -> Self {
        Self(None)
    }
}

/// Arguments until they are digested.
#[derive(Clone)]
pub(super) enum Arguments {
    None,
    /// Short ones are copied and digested by the writer.
    Raw(Box<[u8]>),
    /// Text, of digits.
    Digested(Box<[u8]>),
}

impl Draft {
    pub(super) fn new(id: RecordId, unix_ms: u64, digester: Arc<Digester>) -> Self {
        Self {
            id,
            unix_ms,
            started: Instant::now(),
            digester,
            kind: Kind::default(),
            trace_id: None,
            principal: None,
            key: None,
            route: None,
            upstream: None,
            class: None,
            definition: None,
            decision: None,
            approval: None,
            outcome: None,
            http: None,
            upstream_us: None,
            bytes_in: 0,
            bytes_out: 0,
            redacted: 0,
            tool_error: false,
            intent: None,
            spans: Way::default(),
            total_us: None,
            rpc_id: None,
            method: None,
            name: None,
            arguments: Arguments::None,
            fields: Vec::new(),
        }
    }

    /// The record's id, which clients are told.
    pub fn id(&self) -> RecordId {
        self.id
    }

    /// The time on the record, in milliseconds since the Unix epoch.
    pub fn unix_ms(&self) -> u64 {
        self.unix_ms
    }

    /// When the request started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The JSON-RPC id as its raw token (`7`, `"a"`).
    pub fn set_rpc_id(&mut self, token: &str) {
        let clean = scrub::redact_kept(token, None).map(|(clean, _)| clean);
        self.rpc_id = Some(cut(clean.as_deref().unwrap_or(token), AUDIT_ID_BYTES_MAX).into());
    }

    /// The JSON-RPC method; one that is borrowed is of ours.
    pub fn set_method(&mut self, method: impl Into<Cow<'static, str>>) {
        self.method = Some(match method.into() {
            Cow::Borrowed(ours) => Cow::Borrowed(ours),
            Cow::Owned(asked) => Cow::Owned(kept(&asked, AUDIT_ID_BYTES_MAX, scrub::unknown_name).into_owned()),
        });
    }

    /// Full name of the tool or prompt, or the resource's URI.
    pub fn set_name(&mut self, name: impl Into<Arc<str>>) {
        let name = name.into();
        let changed = match kept(&name, AUDIT_URI_BYTES_MAX, scrub::text) {
            Cow::Owned(changed) => Some(changed.into()),
            Cow::Borrowed(_) => None,
        };
        self.name = Some(changed.unwrap_or(name));
    }

    /// The name of a tool or prompt as it was asked for, of which nobody knows yet whether there is one. It loses also what looks drawn at
    /// random.
    pub fn set_unknown_name(&mut self, name: &str) {
        self.name = Some(kept(name, AUDIT_URI_BYTES_MAX, scrub::unknown_name).into());
    }

    /// The canonical bytes of the arguments. Only their keyed digest is recorded. Long ones are digested here.
    pub fn set_arguments(&mut self, canonical: &[u8]) {
        self.arguments = if canonical.len() > AUDIT_ARGUMENTS_BYTES_MAX {
            let mut digest = Vec::with_capacity(DIGEST_BYTES);
            self.digester.push_digest(canonical, &mut digest);
            Arguments::Digested(digest.into())
        } else {
            Arguments::Raw(canonical.into())
        };
    }

    /// An argument value that a rule or the configuration lists, as JSON Pointer and raw JSON text. One pointer is listed once.
    pub fn add_field(&mut self, pointer: &str, raw_json: &str) {
        let pointer = cut(pointer, AUDIT_ID_BYTES_MAX);
        if self.fields.len() < AUDIT_FIELDS_MAX && self.fields.iter().all(|(listed, _)| **listed != *pointer) {
            // That it is to be seen does not make a secret fit to be kept; the name of a member may be what tells that it is one.
            let key = pointer.rsplit_once('/').map(|(_, key)| serde_json::Value::from(key).to_string());
            let value = kept(raw_json, AUDIT_FIELD_BYTES_MAX, |text| {
                scrub::redact_kept(text, key.as_deref()).map_or(Cow::Borrowed(text), |(clean, _)| Cow::Owned(clean))
            });
            self.fields.push((pointer.into(), value.into()));
        }
    }

    /// Ends the draft if nothing else did. Called when the last handle drops.
    pub(super) fn finish(&mut self, panicking: bool) {
        self.total_us = u64::try_from(self.started.elapsed().as_micros()).ok();
        self.outcome.get_or_insert(if panicking {
            OutcomeNote { error_kind: Some(FaultKind::Internal), ..OutcomeNote::new(Status::Panicked, Reason::Internal) }
        } else {
            OutcomeNote::new(Status::Cancelled, Reason::Cancelled)
        });
    }

    /// Appends the digest of the arguments, if there are any.
    pub(super) fn push_digest(&self, out: &mut Vec<u8>) {
        match &self.arguments {
            Arguments::None => {}
            Arguments::Raw(bytes) => self.digester.push_digest(bytes, out),
            Arguments::Digested(text) => out.extend_from_slice(text),
        }
    }
}

/// `text` if it has at most `bytes_max` bytes, else its start and [`CUT_MARK`].
pub(super) fn cut(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    Cow::Owned(marked(text, bytes_max))
}

/// The start of `text` and [`CUT_MARK`], together at most `bytes_max` bytes.
fn marked(text: &str, bytes_max: usize) -> String {
    let end = text.floor_char_boundary(bytes_max.saturating_sub(CUT_MARK.len()));
    let mut short = text.get(..end).unwrap_or_default().to_owned();
    short.push_str(CUT_MARK);
    short
}

/// `text` as `clean` has it, cut to `bytes_max`. No more of it is looked through than a secret needs that begins before the cut. Borrowed
/// if nothing was changed.
fn kept<'t>(text: &'t str, bytes_max: usize, clean: impl FnOnce(&'t str) -> Cow<'t, str>) -> Cow<'t, str> {
    let looked = text.get(..text.floor_char_boundary(bytes_max + scrub::SECRET_BYTES_MAX)).unwrap_or(text);
    let clean = clean(looked);
    if looked.len() == text.len() && clean.len() <= bytes_max { clean } else { Cow::Owned(marked(&clean, bytes_max)) }
}

/// Ends a text that was longer than a record may hold.
pub(super) const CUT_MARK: &str = "...[cut]";
