//! `replay`: recorded calls, decided again.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::{Map, Value, json};

use super::exit::{Exit, Failure};
use super::out::Out;
use super::source::{PolicyArgs, Source};
use super::tools_file;
use crate::audit::{Recorded, RecordedPrincipal, is_cut};
use crate::policy::{Again, Claims, HintsOf, Missing, Named, Past, Piece, Ruling, replay};
use crate::vocab::Principal;
use crate::vocab::principal::{ANONYMOUS_ISSUER, KEY_ISSUER};

/// Longest line of a record, in bytes.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Files of records, directories of *.jsonl, or - for standard input
    #[arg(value_name = "AUDIT", required = true)]
    audit: Vec<PathBuf>,
    #[command(flatten)]
    policy: PolicyArgs,
    /// What the upstreams say about their tools: a tools/list result with full names
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    /// Print one JSON object per call that is not unchanged, and one with the counts at the end
    #[arg(long)]
    json: bool,
}

#[derive(Default)]
struct Counts {
    unchanged: u64,
    changed: u64,
    undecidable: u64,
    /// Records of what no rule decides on: lists, sign-ins, intents.
    other: u64,
    broken: u64,
    /// Unchanged ones whose limits were not counted again.
    limited: u64,
}

struct Run<'a> {
    source: &'a Source,
    hints: Option<HintsOf>,
    json: bool,
    counts: Counts,
}

pub(super) fn run(args: &ReplayArgs, out: &mut Out) -> Result<Exit, Failure> {
    let source = args.policy.load()?;
    let hints = args.tools.as_deref().map(tools_file::load).transpose()?;
    let mut run = Run { source: &source, hints, json: args.json, counts: Counts::default() };
    for path in &args.audit {
        if path.as_os_str() == "-" {
            run.read("-", io::stdin().lock(), out)?;
            continue;
        }
        for file in files(path)? {
            let opened = File::open(&file).map_err(|error| Failure::input(format_args!("{}: {error}", file.display())))?;
            run.read(&file.display().to_string(), BufReader::new(opened), out)?;
        }
    }
    run.conclude(out)
}

/// A file, or the records in a directory, in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error: io::Error| Failure::input(format_args!("{}: {error}", path.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Failure::input(format_args!("{}: holds no *.jsonl", path.display())));
    }
    files.sort();
    Ok(files)
}

impl Run<'_> {
    fn read(&mut self, file: &str, mut input: impl BufRead, out: &mut Out) -> Result<(), Failure> {
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            if read.map_err(|error| Failure::input(format_args!("{file}: {error}")))? == 0 {
                break;
            }
            let whole = line.ends_with(b"\n") || (line.len() as u64) < LINE_BYTES_MAX;
            if !whole {
                self.broken(file, number, &format!("is longer than {LINE_BYTES_MAX} bytes"), out);
                skip_line(&mut input).map_err(|error| Failure::input(format_args!("{file}: {error}")))?;
                continue;
            }
            let text = std::str::from_utf8(&line).map_err(|_| "is not UTF-8".to_owned());
            match text.and_then(|text| if text.trim().is_empty() { Ok(None) } else { Recorded::read(text).map(Some) }) {
                Ok(Some(record)) => self.judge(file, number, &record, out)?,
                Ok(None) => {}
                Err(why) => self.broken(file, number, &why, out),
            }
        }
        Ok(())
    }

    fn broken(&mut self, file: &str, number: u64, why: &str, out: &mut Out) {
        self.counts.broken += 1;
        out.note(format_args!("{file}:{number}: {why}"));
    }

    fn judge(&mut self, file: &str, number: u64, record: &Recorded, out: &mut Out) -> Result<(), Failure> {
        let again = match decide_again(self.source, self.hints.as_ref(), record) {
            Some(again) => again,
            None => {
                self.counts.other += 1;
                return Ok(());
            }
        };
        match &again {
            Again::Unchanged => {
                let limited = record.decision.as_ref().is_some_and(|decision| decision.obligations.iter().any(|o| o == "limit"));
                self.counts.limited += u64::from(limited);
                self.counts.unchanged += 1;
                return Ok(());
            }
            Again::Changed { .. } => self.counts.changed += 1,
            Again::Undecidable { .. } => self.counts.undecidable += 1,
        }
        if self.json {
            let line = serde_json::to_string(&document(file, number, record, &again)).map_err(Failure::fault)?;
            out.line(line);
        } else {
            print(file, number, record, &again, out);
        }
        Ok(())
    }

    fn conclude(&self, out: &mut Out) -> Result<Exit, Failure> {
        let Counts { unchanged, changed, undecidable, other, broken, limited } = self.counts;
        if self.json {
            let counts = json!({
                "unchanged": unchanged, "changed": changed, "undecidable": undecidable, "not_decisions": other, "broken": broken,
                "unchanged_with_limits": limited, "policy": &**self.source.set.digest(),
            });
            out.line(serde_json::to_string(&json!({ "counts": counts })).map_err(Failure::fault)?);
        } else {
            out.line(format_args!("{changed} changed, {undecidable} undecidable, {unchanged} unchanged"));
            if limited > 0 {
                out.line(format_args!("  of the unchanged, {limited} had limits, which are not counted again"));
            }
            if unchanged + changed > 0 {
                out.line("  taken for granted of arguments that were not recorded: they could be judged (no two keys differ only by case)");
            }
            if other > 0 {
                out.line(format_args!("  {other} other records (lists, sign-ins, intents) hold no decision to make again"));
            }
        }
        if broken > 0 {
            return Err(Failure::input(format_args!("{broken} broken {}", if broken == 1 { "line" } else { "lines" })));
        }
        Ok(if changed > 0 { Exit::No } else { Exit::Yes })
    }
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (used, done) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if done {
            return Ok(());
        }
    }
}

/// `None` for a record that holds no decision about an operation.
fn decide_again(source: &Source, hints: Option<&HintsOf>, record: &Recorded) -> Option<Again> {
    let decision = record.decision.as_ref()?;
    // An intent has an outcome of its own, which says the same.
    if record.kind != "outcome" {
        return None;
    }
    let (name, method) = (record.name.as_deref()?, record.method.as_deref()?);
    let named = match method {
        "tools/call" => Named::Tool,
        "prompts/get" => Named::Prompt,
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Named::Resource,
        // A reference to a resource is a URI, and those have a scheme.
        "completion/complete" if name.split_once("__").is_some_and(|(_, rest)| rest.contains(':')) => Named::Resource,
        "completion/complete" => Named::Prompt,
        _ => return None,
    };
    let cut = |what| Some(Again::Undecidable { missing: [Missing::Cut(what)].into(), could: Vec::new() });
    let Some(recorded) = &record.principal else { return cut("the principal") };
    if is_cut(name) {
        return cut("the name");
    }
    if [Some(&recorded.iss), Some(&recorded.sub), recorded.client_id.as_ref()].into_iter().flatten().any(|text| is_cut(text)) {
        return cut("the principal");
    }
    let (who, claims) = principal(recorded);
    let pieces: Option<Vec<Piece>> =
        record.fields().map(|fields| fields.filter_map(|(pointer, raw)| Piece::new(pointer, raw)).collect());
    let past = Past {
        who: &who,
        claims,
        named,
        name,
        class: record.class,
        hints: hints.and_then(|hints| hints.get(name).copied()),
        arguments: pieces.as_deref(),
        now_unix_ms: record.unix_ms(),
        route: record.route.as_deref(),
        reason: decision.reason,
        obligations: &decision.obligations,
    };
    Some(replay(&source.set, &past))
}

fn principal(recorded: &RecordedPrincipal) -> (Principal, Claims) {
    let anonymous = recorded.iss == ANONYMOUS_ISSUER;
    let whole = |texts: &[String]| !texts.iter().any(|text| is_cut(text));
    let (groups, scopes) = (whole(&recorded.groups), whole(&recorded.scopes));
    let mut claims = Map::new();
    if !anonymous {
        claims.insert("groups".to_owned(), recorded.groups.clone().into());
    }
    // A key has no claims but these two.
    let is_key = recorded.iss == KEY_ISSUER;
    if is_key {
        claims.insert("scope".to_owned(), recorded.scopes.join(" ").into());
    }
    let known = if groups && scopes && (is_key || anonymous) { Claims::All } else { Claims::Recorded { groups, scopes } };
    let who = Principal {
        iss: Arc::from(recorded.iss.as_str()),
        sub: Arc::from(recorded.sub.as_str()),
        client_id: recorded.client_id.as_deref().map(Arc::from),
        scopes: recorded.scopes.iter().map(|scope| scope.as_str().into()).collect(),
        claims,
        expires_at_s: None,
        key_id: None,
        anonymous,
    };
    (who, known)
}

fn ruling(ruling: &Ruling) -> String {
    let effect = ruling.effect().as_str();
    let owes = if ruling.obligations.is_empty() { String::new() } else { format!(" + {}", ruling.obligations.join(", ")) };
    format!("{effect} ({}){owes}", ruling.reason.as_str())
}

fn was(record: &Recorded) -> String {
    let Some(decision) = &record.decision else { return String::new() };
    let (reason, owed) = (decision.reason, &decision.obligations);
    let effect = if reason == crate::vocab::Reason::Allowed { "allow" } else { "deny" };
    let owes = if owed.is_empty() { String::new() } else { format!(" + {}", owed.join(", ")) };
    format!("{effect} ({}){owes}", reason.as_str())
}

fn print(file: &str, number: u64, record: &Recorded, again: &Again, out: &mut Out) {
    let who = record.principal.as_ref().map_or("-", |who| &who.sub);
    let what = format!("{file}:{number}: {} {who} {}", record.id, record.name.as_deref().unwrap_or("-"));
    let or = |rulings: &[Ruling]| rulings.iter().map(ruling).collect::<Vec<_>>().join(" or ");
    match again {
        Again::Unchanged => {}
        Again::Changed { now, rules } => {
            out.line(format_args!("changed {what}: {} -> {}", was(record), or(now)));
            if !rules.is_empty() {
                out.line(format_args!("  rules: {}", rules.join(", ")));
            }
        }
        Again::Undecidable { missing, could } => {
            out.line(format_args!("undecidable {what}: {} -> {}", was(record), or(could)));
            let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
            out.line(format_args!("  not recorded: {}", missing.join("; ")));
        }
    }
}

fn document(file: &str, number: u64, record: &Recorded, again: &Again) -> Value {
    let rulings = |rulings: &[Ruling]| -> Vec<Value> {
        let one = |ruling: &Ruling| json!({ "effect": ruling.effect().as_str(), "reason": ruling.reason, "obligations": ruling.obligations });
        rulings.iter().map(one).collect()
    };
    let mut document = json!({
        "file": file, "line": number, "seq": record.seq, "id": record.id, "name": record.name, "route": record.route,
        "at_ms": record.unix_ms(),
        "principal": record.principal.as_ref().map(|who| json!({ "iss": who.iss, "sub": who.sub })),
    });
    let Some(members) = document.as_object_mut() else { return document };
    if let Some(decision) = &record.decision {
        let old = json!({
            "reason": decision.reason, "rules": decision.rules, "obligations": decision.obligations, "policy": decision.policy,
        });
        members.insert("old".to_owned(), old);
    }
    match again {
        Again::Unchanged => {}
        Again::Changed { now, rules } => {
            members.insert("verdict".to_owned(), "changed".into());
            members.insert("new".to_owned(), rulings(now).into());
            members.insert("rules".to_owned(), rules.iter().map(|rule| rule.to_string()).collect::<Vec<_>>().into());
        }
        Again::Undecidable { missing, could } => {
            members.insert("verdict".to_owned(), "undecidable".into());
            members.insert("could".to_owned(), rulings(could).into());
            let of =
                |pick: fn(&Missing) -> Option<String>| -> Value { missing.iter().filter_map(pick).collect::<Vec<_>>().into() };
            let pointers = of(|missing| if let Missing::Argument(pointer) = missing { Some(pointer.clone()) } else { None });
            let claims = of(|missing| if let Missing::Claim(name) = missing { Some(name.clone()) } else { None });
            let other = of(|missing| match missing {
                Missing::Argument(_) | Missing::Claim(_) => None,
                other => Some(other.to_string()),
            });
            members.insert("missing".to_owned(), json!({ "arguments": pointers, "claims": claims, "other": other }));
        }
    }
    document
}
