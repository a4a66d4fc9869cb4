//! Recordings of real clients and servers, lifted and said again in every revision, as they were when somebody looked last.
//! `PORTCULLIS_UPDATE_GOLDEN=1` writes them anew: what changed is then for a person to judge.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use portcullis::mcp::dialect::{
    self, Question, input_request, lift_request, lower_log, lower_progress, lower_question, lower_reply, lower_request,
};
use portcullis::mcp::{Body, Incoming, Method, Notification, RawId, ServerInfo, decode, incoming};
use portcullis::vocab::Revision;
use serde_json::value::RawValue;

use crate::echo::{GOING_ON, echo};
use crate::text::member;

const SERVER: ServerInfo = ServerInfo { name: "gateway", version: "0" };

fn recordings() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/transcripts");
    let mut files: Vec<PathBuf> = fs::read_dir(here).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    assert!(files.len() > 5, "{files:?}");
    files
}

#[test]
fn recordings_are_said_as_before() {
    let mut different = Vec::new();
    for path in recordings() {
        let said = said(&fs::read_to_string(&path).unwrap());
        let golden = path.with_extension("golden");
        if std::env::var_os("PORTCULLIS_UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &said).unwrap();
            continue;
        }
        let before = fs::read_to_string(&golden).unwrap_or_default();
        let mut lines = before.lines().zip(said.lines()).enumerate();
        if let Some((at, (before, now))) = lines.find(|(_, (before, now))| before != now) {
            different.push(format!("{}:{}\nbefore: {before}\nnow:    {now}", golden.display(), at + 1));
        } else if before != said {
            different.push(format!("{}: {} bytes before, {} now", golden.display(), before.len(), said.len()));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// Line, what it is, the revisions that say it so, and how they say it.
fn said(recording: &str) -> String {
    let mut out = String::new();
    for (line, exchange) in recording.lines().enumerate() {
        let sent = member(exchange, "request").unwrap();
        let named = member(&member(&sent, "headers").unwrap(), "mcp-protocol-version");
        let named = named.and_then(|text| Revision::parse(&serde_json::from_str::<String>(&text).unwrap()));
        let revision = named.unwrap_or(Revision::NEWEST_WITH_SESSIONS);
        let body = member(&sent, "body").filter(|body| body.starts_with('{'));
        let method = body.as_ref().and_then(|body| member(body, "method"));
        let method = method.map_or(Method::Unknown, |text| Method::parse(&serde_json::from_str::<String>(&text).unwrap()));
        if let Some(body) = body {
            let said = Revision::ALL.map(|to| request(revision, to, &body));
            grouped(&mut out, line, &format!("request {method}"), &said);
        }
        let replies: Vec<Box<RawValue>> = serde_json::from_str(&member(exchange, "replies").unwrap()).unwrap();
        for reply in replies {
            let lifted = incoming::parse(&Bytes::from(reply.get().to_owned()), revision, 64).unwrap();
            let [lifted] = lifted.as_slice() else { panic!("{reply}") };
            let said = Revision::ALL.map(|to| incoming_as(to, method, lifted));
            grouped(&mut out, line, kind(lifted), &said);
        }
    }
    out
}

fn grouped(out: &mut String, line: usize, what: &str, said: &[Option<String>; 5]) {
    let mut done: Vec<&String> = Vec::new();
    for text in said.iter().flatten() {
        if !done.contains(&text) {
            done.push(text);
            let same = Revision::ALL.iter().zip(said).filter(|(_, said)| said.as_ref() == Some(text));
            let same: Vec<&str> = same.map(|(revision, _)| revision.as_str()).collect();
            writeln!(out, "{} {what} [{}] {text}", line + 1, same.join(" ")).unwrap();
        }
    }
}

/// A request of a client as an upstream of `to` gets it.
fn request(from: Revision, to: Revision, body: &str) -> Option<String> {
    let Ok(Body::Single(message)) = decode(&Bytes::from(body.to_owned()), 64) else { return None };
    let operation = lift_request(from, *message).ok()?;
    if !GOING_ON.contains(&operation.method) || !dialect::of(to).has(operation.method) {
        return None;
    }
    let lowered = lower_request(to, &echo(&operation), 1);
    let version = format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION"));
    let mut text = String::from_utf8(lowered.body).unwrap().replace(&version, "\"version\":\"0\"");
    for (name, value) in &lowered.headers {
        write!(text, " {name}: {}", value.to_str().unwrap()).unwrap();
    }
    Some(text)
}

fn kind(lifted: &Incoming) -> &'static str {
    match lifted {
        Incoming::Response { .. } => "reply",
        Incoming::Notification(_) => "notification",
        Incoming::Request { .. } => "question",
        Incoming::Orphan(_) => "orphan",
    }
}

/// A message of an upstream as a client of `to` gets it.
fn incoming_as(to: Revision, method: Method, lifted: &Incoming) -> Option<String> {
    let text = |bytes: Vec<u8>| Some(String::from_utf8(bytes).unwrap());
    match lifted {
        Incoming::Response { id, reply } => {
            let lowered = lower_reply(to, method, id, reply, &SERVER);
            text(lowered.body).map(|body| format!("{} {body}", lowered.status))
        }
        Incoming::Notification(Notification::Progress { token, members }) => text(lower_progress(to, token, members)),
        Incoming::Notification(Notification::Log { params, .. }) => text(lower_log(to, params)),
        Incoming::Request { method, params, .. } => {
            let question = Question::of("up", method, params.clone())?;
            if to > Revision::NEWEST_WITH_SESSIONS {
                return Some(input_request(&question).as_str().to_owned());
            }
            text(lower_question(to, &RawId::number(1), &question)?)
        }
        _ => None,
    }
}
