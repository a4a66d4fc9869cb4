//! `audit show`: records as people read them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::moment::moment;
use super::shown::{self, safe};
use crate::audit::index::{Cursor, Filter, Index, Links, Place, Row, RowKind, Span};
use crate::cli::args::ConfigArg;
use crate::cli::exit::{Exit, Failure};
use crate::cli::out::Out;
use crate::policy::Glob;

pub(super) const HELP: &str = "With an ID (what a refused agent was told as `record`) or a number: everything about it, its intent, its approval, its trace.\n\
     Without: the latest records that all options fit, the newest first. Exit codes: 0 found, 1 nothing.\n\
     One argument alone is the log where a file or directory of that name exists, or where it has a `/`; else it is the record.";

/// Records of one story.
const STORY_MAX: usize = 1_000;
/// Lines that are read at a time.
const BATCH: usize = 64;
/// Records between two looks at a log that is followed.
const FOLLOWED_MAX: usize = 100_000;
/// How often a log that is followed is looked at.
const FOLLOW: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The directory of the log, or one file of it [default: that of the config]; then the record: its id, or its seq
    #[arg(value_names = ["PATH", "ID|SEQ"], num_args = 0..=2)]
    asked: Vec<String>,
    /// The log, where the record is the only argument
    #[arg(long, value_name = "PATH")]
    log: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArg,
    /// Everything of one trace
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    /// Subject, or ISSUER#SUBJECT
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    principal: Option<Glob>,
    /// Full name of the tool or prompt, or the URI
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    tool: Option<Glob>,
    /// Upstream
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// Reason of the decision or the outcome
    #[arg(long, value_name = "WORD")]
    reason: Option<String>,
    /// A rule that decided
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// How it ended: completed, denied, faulted, timed_out, cancelled, refused, panicked
    #[arg(long, value_name = "WORD")]
    status: Option<String>,
    /// intent, outcome, list, auth, admin, approval, drift or checkpoint
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<RowKind>,
    /// Only what was refused
    #[arg(long)]
    denied: bool,
    /// Records from then on: a date, an RFC 3339 time, or how long ago (24h)
    #[arg(long, value_name = "T", value_parser = moment)]
    since: Option<u64>,
    /// Records before then
    #[arg(long, value_name = "T", value_parser = moment)]
    until: Option<u64>,
    /// So many records at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Go on with what is written from now on
    #[arg(long, conflicts_with = "until")]
    follow: bool,
    /// Print the lines as they are in the log
    #[arg(long)]
    json: bool,
}

fn glob(text: &str) -> Result<Glob, &'static str> {
    Glob::parse(text)
}

fn kind(word: &str) -> Result<RowKind, &'static str> {
    RowKind::parse(word).ok_or("is no kind of record")
}

pub(super) fn run(args: &ShowArgs, out: &mut Out) -> Result<Exit, Failure> {
    let (log, record) = args.asked()?;
    let path = super::log_path(log, &args.config)?;
    let mut index = shown::open(&path, out)?;
    match record {
        Some(record) => story(&mut index, record, args.json, out),
        None => list(&mut index, args, out),
    }
}

impl ShowArgs {
    /// Which log, and which record of it, as far as they are named.
    fn asked(&self) -> Result<(Option<&Path>, Option<&str>), Failure> {
        let (log, record) = match (self.asked.as_slice(), &self.log) {
            ([], log) => (log.as_deref(), None),
            ([record], Some(log)) => (Some(log.as_path()), Some(record.as_str())),
            ([one], None) if is_path(one) => (Some(Path::new(one)), None),
            ([record], None) => (None, Some(record.as_str())),
            ([log, record], None) => (Some(Path::new(log)), Some(record.as_str())),
            _ => return Err(Failure::input("--log: the log is named twice")),
        };
        match self.narrowing() {
            Some(option) if record.is_some() => {
                Err(Failure::input(format_args!("--{option}: chooses among records, and one record is asked for")))
            }
            _ => Ok((log, record)),
        }
    }

    /// The first option that chooses among records.
    fn narrowing(&self) -> Option<&'static str> {
        let given = [
            ("trace", self.trace.is_some()),
            ("principal", self.principal.is_some()),
            ("tool", self.tool.is_some()),
            ("upstream", self.upstream.is_some()),
            ("reason", self.reason.is_some()),
            ("rule", self.rule.is_some()),
            ("status", self.status.is_some()),
            ("kind", self.kind.is_some()),
            ("denied", self.denied),
            ("since", self.since.is_some()),
            ("until", self.until.is_some()),
            ("follow", self.follow),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }
}

/// Whether an argument alone means a log: ids and numbers have no `/`, and a log that is there is not a record.
fn is_path(text: &str) -> bool {
    text.contains('/') || Path::new(text).exists()
}

fn story(index: &mut Index, record: &str, json: bool, out: &mut Out) -> Result<Exit, Failure> {
    let seq: Option<u64> = record.parse().ok();
    let asked = seq.map_or_else(|| Links::id(record), Links::seq);
    let candidates = index.tied(&asked, STORY_MAX).map_err(Failure::input)?;
    let mut links = Links::default();
    let mut story = Ties::default();
    for (row, value) in read(index, &candidates)? {
        let is_it = seq.map_or_else(|| value.get("id").and_then(Value::as_str) == Some(record), |seq| row.seq == seq);
        if is_it {
            links.add(&row);
            story.add(&value);
        }
    }
    if story.ids.is_empty() {
        shown::cuts(index, out);
        out.note(format_args!("there is no record {}", safe(record)));
        return Ok(Exit::No);
    }
    let tied = index.tied(&links, STORY_MAX).map_err(Failure::input)?;
    shown::cuts(index, out);
    if tied.len() >= STORY_MAX {
        out.note(format_args!("only the first {STORY_MAX} records are shown"));
    }
    for batch in tied.chunks(BATCH) {
        let places: Vec<Place> = batch.iter().map(|(_, place)| *place).collect();
        for (place, line) in places.iter().zip(index.lines(&places).map_err(Failure::input)?) {
            let Ok(value) = serde_json::from_slice::<Value>(&line) else { continue };
            if !story.ties(&value) {
                continue;
            }
            if json {
                raw(&line, out);
            } else {
                whole(&value, index.file(*place), out);
            }
        }
    }
    Ok(Exit::Yes)
}

/// The lines of rows, as far as they are still there.
fn read(index: &Index, rows: &[(Row, Place)]) -> Result<Vec<(Row, Value)>, Failure> {
    let places: Vec<Place> = rows.iter().map(|(_, place)| *place).collect();
    let lines = index.lines(&places).map_err(Failure::input)?;
    Ok(rows.iter().zip(lines).filter_map(|((row, _), line)| Some((*row, serde_json::from_slice(&line).ok()?))).collect())
}

/// What ties records together, as it stands in them.
#[derive(Default)]
struct Ties {
    ids: Vec<Value>,
    traces: Vec<Value>,
    approvals: Vec<Value>,
    seqs: Vec<Value>,
}

impl Ties {
    fn add(&mut self, record: &Value) {
        let approval = record.get("approval").and_then(|approval| approval.get("id"));
        self.ids.extend(record.get("id").cloned());
        self.traces.extend(record.get("trace_id").cloned());
        self.approvals.extend(approval.cloned());
        self.seqs.extend(["seq", "intent"].iter().filter_map(|key| record.get(*key)).cloned());
    }

    fn ties(&self, record: &Value) -> bool {
        let has = |list: &[Value], value: Option<&Value>| value.is_some_and(|value| list.contains(value));
        has(&self.ids, record.get("id"))
            || has(&self.traces, record.get("trace_id"))
            || has(&self.approvals, record.get("approval").and_then(|approval| approval.get("id")))
            || has(&self.seqs, record.get("seq"))
            || has(&self.seqs, record.get("intent"))
    }
}

/// All members of a record, a line each.
fn whole(record: &Value, file: &str, out: &mut Out) {
    let text = |key: &str| safe(record.get(key).and_then(Value::as_str).unwrap_or("-"));
    let seq = record.get("seq").and_then(Value::as_u64).unwrap_or(0);
    out.line(format_args!("record {seq}  {}  {}  ({})", text("kind"), text("time"), safe(file)));
    let mut leaves = Vec::new();
    gather(record, "", &mut leaves);
    for (path, value) in leaves.iter().filter(|(path, _)| !["v", "seq", "kind", "time"].contains(&path.as_str())) {
        out.line(format_args!("  {:<22} {}", safe(path), safe(value)));
    }
    out.line("");
}

fn gather(value: &Value, path: &str, leaves: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                gather(value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, leaves);
            }
        }
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            if !items.is_empty() {
                leaves.push((path.to_owned(), items.join(", ")));
            }
        }
        Value::String(text) => leaves.push((path.to_owned(), text.clone())),
        other => leaves.push((path.to_owned(), other.to_string())),
    }
}

fn raw(line: &[u8], out: &mut Out) {
    out.line(safe(&String::from_utf8_lossy(line)));
}

fn list(index: &mut Index, args: &ShowArgs, out: &mut Out) -> Result<Exit, Failure> {
    let filter = Filter {
        span: Span { since_ms: args.since, until_ms: args.until },
        principal: args.principal.clone(),
        tool: args.tool.clone(),
        upstream: args.upstream.clone(),
        reason: args.reason.clone(),
        rule: args.rule.clone(),
        status: args.status.clone(),
        kind: args.kind,
        denied: args.denied,
        trace: args.trace.clone(),
    };
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let (mut found, mut cursor) = index.find(&filter, Cursor::default(), limit).map_err(Failure::input)?;
    if !args.follow {
        found.reverse();
    }
    let mut shown = print(index, &filter, &found, args.json, out)?;
    shown::cuts(index, out);
    while args.follow && out.flush().is_ok() {
        pause();
        index.refresh().map_err(Failure::input)?;
        (found, cursor) = index.find(&filter, cursor, FOLLOWED_MAX).map_err(Failure::input)?;
        shown += print(index, &filter, &found, args.json, out)?;
    }
    if shown == 0 {
        out.note("nothing");
    }
    Ok(if shown > 0 { Exit::Yes } else { Exit::No })
}

#[expect(clippy::disallowed_methods, reason = "this verb has a process of its own")]
fn pause() {
    std::thread::sleep(FOLLOW);
}

/// Prints these records in this order, and says how many.
fn print(index: &Index, filter: &Filter, found: &[(Row, Place)], json: bool, out: &mut Out) -> Result<usize, Failure> {
    let mut shown = 0;
    for batch in found.chunks(BATCH) {
        let places: Vec<Place> = batch.iter().map(|(_, place)| *place).collect();
        let lines = index.lines(&places).map_err(Failure::input)?;
        let confirmed: Vec<&Vec<u8>> = lines.iter().filter(|line| filter.confirms(line)).collect();
        shown += confirmed.len();
        if json {
            confirmed.iter().for_each(|line| raw(line, out));
        } else {
            let rows: Vec<Vec<String>> = confirmed.iter().map(|line| glance(line)).collect();
            shown::columns(&rows, 0, out);
        }
    }
    Ok(shown)
}

/// A record in one line.
fn glance(line: &[u8]) -> Vec<String> {
    let Ok(record) = serde_json::from_slice::<Value>(line) else { return vec!["unreadable".to_owned()] };
    let at = |path: &str| record.pointer(path).cloned().unwrap_or_default();
    let text = |path: &str| match at(path) {
        Value::Null => "-".to_owned(),
        Value::String(text) => safe(&text),
        other => safe(&other.to_string()),
    };
    let first = |paths: &[&str]| paths.iter().map(|path| text(path)).find(|text| text != "-").unwrap_or_else(|| "-".to_owned());
    let rules = at("/decision/rules");
    let rules: Vec<String> = rules.as_array().into_iter().flatten().filter_map(Value::as_str).map(safe).collect();
    let reason = first(&["/outcome/reason", "/decision/reason"]);
    let by = if rules.is_empty() { String::new() } else { format!(" by {}", rules.join(", ")) };
    let took = first(&["/outcome/total_ms"]);
    vec![
        text("/time"),
        text("/seq"),
        text("/kind"),
        first(&["/principal/sub"]),
        first(&["/name", "/method"]),
        first(&["/outcome/status", "/approval/state", "/decision/effect"]),
        if took == "-" { took } else { format!("{took} ms") },
        format!("{reason}{by}"),
        text("/id"),
    ]
}
