//! A draft as one object of JSON, members in the order the contract lists them, absent parts left out. It is left open: the chain
//! adds its last members.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::draft::{CUT_MARK, Draft, Kind, cut};
use super::note::{ApprovalNote, DecisionNote, LeaseNote};
use crate::telemetry::escape::{is_unsafe, push_json_string, push_safe};
use crate::vocab::digits::{push_decimal, push_hex};
use crate::vocab::limits::{AUDIT_LIST_ENTRIES_MAX, AUDIT_NAME_BYTES_MAX, AUDIT_URI_BYTES_MAX};
use crate::vocab::{Principal, RecordId};

/// Version of the record's shape.
pub(super) const VERSION: u64 = 1;

/// Appends the record, but for its end.
pub(super) fn write(out: &mut Vec<u8>, seq: u64, draft: &Draft) {
    let mut record = Object::open(out);
    record.number("v", VERSION);
    record.number("seq", seq);
    record.quoted("time", |out| push_time(out, draft.unix_ms));
    record.quoted("id", |out| draft.id.push_to(out));
    record.text("rpc_id", draft.rpc_id.as_deref().map(unquoted).as_deref());
    record.text("kind", Some(draft.kind.as_str()));
    if let Some(trace_id) = draft.trace_id {
        record.quoted("trace_id", |out| push_hex(out, &trace_id));
    }
    if let Some(principal) = &draft.principal {
        write_principal(record.value("principal"), principal, draft.key.as_deref());
    }
    record.text("route", draft.route.as_deref());
    record.text("upstream", draft.upstream.as_deref());
    record.text("method", draft.method.as_deref());
    record.long_text("name", draft.name.as_deref());
    record.text("class", draft.class.map(|class| class.as_str()));
    record.text("definition", draft.definition.as_deref());
    if let Some(digest) = draft.digest() {
        write_args(record.value("args"), &digest, &draft.fields);
    }
    if let Some(decision) = &draft.decision {
        write_decision(record.value("decision"), decision);
    }
    if let Some(approval) = &draft.approval {
        write_approval(record.value("approval"), approval);
    }
    if draft.kind != Kind::Intent {
        write_outcome(record.value("outcome"), draft);
        if let Some(intent) = draft.intent.as_ref().and_then(super::IntentSeq::get) {
            record.number("intent", intent);
        }
    }
}

/// Appends the record of a checkpoint, but for its end; `member` writes what is signed.
pub(super) fn write_checkpoint(out: &mut Vec<u8>, seq: u64, unix_ms: u64, id: RecordId, member: impl FnOnce(&mut Vec<u8>)) {
    let mut record = Object::open(out);
    record.number("v", VERSION);
    record.number("seq", seq);
    record.quoted("time", |out| push_time(out, unix_ms));
    record.quoted("id", |out| id.push_to(out));
    record.quoted("kind", |out| out.extend_from_slice(CHECKPOINT));
    member(record.value("checkpoint"));
}

/// Whether a line of ours is the record of a checkpoint. Before its kind it has only texts, in which quotes are escaped.
pub(super) fn is_checkpoint(line: &[u8]) -> bool {
    const KIND: &[u8] = b",\"kind\":\"";
    // Asked of every line of a log: made once.
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(KIND));
    let kind = FINDER.find(line).and_then(|at| line.get(at + KIND.len()..));
    kind.is_some_and(|kind| kind.strip_prefix(CHECKPOINT).is_some_and(|rest| rest.starts_with(b"\"")))
}

/// The time of a record as it stands there.
pub(super) fn time(unix_ms: u64) -> String {
    let mut text = Vec::with_capacity(24);
    push_time(&mut text, unix_ms);
    // Digits are text.
    String::from_utf8(text).unwrap_or_default()
}

const CHECKPOINT: &[u8] = b"checkpoint";

fn write_principal(out: &mut Vec<u8>, principal: &Principal, key: Option<&str>) {
    let mut object = Object::open(out);
    object.text("iss", Some(&principal.iss));
    object.text("sub", Some(&principal.sub));
    object.text("client_id", principal.client_id.as_deref());
    object.list("groups", principal.claim_strings("groups"));
    object.list("scopes", principal.scopes.iter().map(|scope| &**scope));
    object.text("key", key);
    let actors: Vec<String> = principal.actors().map(actor).collect();
    if !actors.is_empty() {
        object.list("actor", actors.iter().map(String::as_str));
    }
    object.close();
}

/// As policies name a subject: `ISSUER#SUBJECT`, or the subject alone where the token names no issuer.
fn actor((iss, sub): (Option<&str>, &str)) -> String {
    iss.map_or_else(|| sub.to_owned(), |iss| format!("{iss}#{sub}"))
}

fn write_args(out: &mut Vec<u8>, digest: &str, fields: &[(Box<str>, Box<str>)]) {
    let mut args = Object::open(out);
    args.text("digest", Some(digest));
    if !fields.is_empty() {
        let mut object = Object::open(args.value("fields"));
        for (pointer, raw) in fields {
            push_json(object.named(pointer), raw);
        }
        object.close();
    }
    args.close();
}

fn write_decision(out: &mut Vec<u8>, decision: &DecisionNote) {
    let mut object = Object::open(out);
    object.text("effect", Some(effect(decision.allowed)));
    object.text("mode", Some(if decision.observed { "observe" } else { "enforce" }));
    object.text("reason", Some(decision.reason.as_str()));
    object.list("rules", decision.rules.iter().map(|rule| &**rule));
    object.list("obligations", decision.obligations.iter().copied());
    object.text("policy", Some(&decision.policy));
    if let Some(shadow) = &decision.shadow {
        let mut tried = Object::open(object.value("shadow"));
        tried.text("effect", Some(effect(shadow.allowed)));
        tried.text("reason", Some(shadow.reason.as_str()));
        tried.list("rules", shadow.rules.iter().map(|rule| &**rule));
        tried.close();
    }
    object.close();
}

fn write_approval(out: &mut Vec<u8>, approval: &ApprovalNote) {
    let mut object = Object::open(out);
    object.text("id", Some(&approval.id));
    object.text("state", Some(approval.state));
    object.list("by", approval.by.iter().map(String::as_str));
    if let Some(at) = approval.at_unix_ms {
        object.quoted("at", |out| push_time(out, at));
    }
    object.text("arguments", Some(&approval.arguments.to_string()));
    if let Some(LeaseNote { minutes, uses, used, within }) = &approval.lease {
        let mut lease = Object::open(object.value("lease"));
        for (key, number) in [("minutes", *minutes), ("uses", u64::from(*uses)), ("used", u64::from(*used))] {
            lease.value(key).extend_from_slice(number.to_string().as_bytes());
        }
        lease.long_text("where", within.as_deref());
        lease.close();
    }
    object.close();
}

fn effect(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}

fn write_outcome(out: &mut Vec<u8>, draft: &Draft) {
    let mut object = Object::open(out);
    if let Some(outcome) = &draft.outcome {
        object.text("status", Some(outcome.status.as_str()));
        object.text("reason", Some(outcome.reason.as_str()));
        object.text("error_kind", outcome.error_kind.map(|kind| kind.as_str()));
    }
    if let Some(http) = draft.http {
        object.number("http", http.into());
    }
    object.millis("upstream_ms", draft.upstream_us);
    object.millis("total_ms", draft.total_us);
    object.number("bytes_in", draft.bytes_in);
    object.number("bytes_out", draft.bytes_out);
    if draft.redacted > 0 {
        object.number("redacted", draft.redacted);
    }
    object.close();
}

/// The JSON-RPC id as text: a string without its quotes, anything else as the token it was.
fn unquoted(token: &str) -> Cow<'_, str> {
    match token.strip_prefix('"').and_then(|_| serde_json::from_str(token).ok()) {
        Some(text) => Cow::Owned(text),
        None => Cow::Borrowed(token),
    }
}

/// JSON text as it was, on one line and with unsafe characters escaped; what is no JSON (or was cut) as a string.
fn push_json(out: &mut Vec<u8>, raw: &str) {
    if raw.ends_with(CUT_MARK) || serde_json::from_str::<&RawValue>(raw).is_err() {
        return push_json_string(out, raw);
    }
    // White space between tokens may hold line feeds; inside strings JSON allows no control character but DEL and above.
    if !raw.chars().any(is_unsafe) {
        return out.extend_from_slice(raw.as_bytes());
    }
    let (mut in_string, mut escaped) = (false, false);
    let mut buffer = [0; 4];
    for c in raw.chars() {
        if in_string {
            push_safe(out, c.encode_utf8(&mut buffer));
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if !c.is_ascii_whitespace() {
            out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            in_string = c == '"';
        }
    }
}

/// Writes one JSON object. Keys are given once each, by the callers above.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    fn close(self) {
        self.out.push(b'}');
    }

    /// Writes the key, one of ours that needs no escape; the caller writes exactly one value.
    fn value(&mut self, key: &'static str) -> &mut Vec<u8> {
        self.out.extend_from_slice(if self.empty { b"\"" } else { b",\"" });
        self.empty = false;
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// As [`Self::value`], with a key that may hold anything.
    fn named(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        push_json_string(self.out, key);
        self.out.push(b':');
        self.out
    }

    fn text(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            push_json_string(self.value(key), &cut(text, AUDIT_NAME_BYTES_MAX));
        }
    }

    fn long_text(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            push_json_string(self.value(key), &cut(text, AUDIT_URI_BYTES_MAX));
        }
    }

    fn list<'t>(&mut self, key: &'static str, mut items: impl Iterator<Item = &'t str>) {
        let out = self.value(key);
        out.push(b'[');
        for (at, item) in items.by_ref().take(AUDIT_LIST_ENTRIES_MAX).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            push_json_string(out, &cut(item, AUDIT_NAME_BYTES_MAX));
        }
        if items.next().is_some() {
            out.push(b',');
            push_json_string(out, CUT_MARK);
        }
        out.push(b']');
    }

    fn number(&mut self, key: &'static str, number: u64) {
        push_decimal(self.value(key), number);
    }

    fn millis(&mut self, key: &'static str, us: Option<u64>) {
        if let Some(us) = us {
            let out = self.value(key);
            push_decimal(out, us / 1000);
            out.push(b'.');
            for place in [100, 10, 1] {
                push_decimal(out, us / place % 10);
            }
        }
    }

    /// A text of ours that needs no escape.
    fn quoted(&mut self, key: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        let out = self.value(key);
        out.push(b'"');
        write(out);
        out.push(b'"');
    }
}

/// Milliseconds since the Unix epoch as RFC 3339 in UTC.
fn push_time(out: &mut Vec<u8>, unix_ms: u64) {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(unix_ms.min(YEAR_9999_MS));
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{}", humantime::format_rfc3339_millis(at));
}

const YEAR_9999_MS: u64 = 253_402_300_799_999;
