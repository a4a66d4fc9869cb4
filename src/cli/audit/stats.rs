//! `audit stats`: the first questions of an incident.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::moment::moment;
use super::shown;
use crate::audit::index::{Asked, By, Count, NewName, Report, Span, stats};
use crate::cli::args::ConfigArg;
use crate::cli::exit::{Exit, Failure};
use crate::cli::out::Out;

pub(super) const HELP: &str = "T is a date, an RFC 3339 time, or how long ago (24h). An index beside the log, in `index/`, is kept up to date.\n\
     docs/audit.md has the first ten questions of an incident.";

/// Labels that can be counted by at once.
const BY_MAX: usize = 4;

#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    /// The directory of the log, or one file of it [default: that of the config]
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArg,
    /// Records from then on
    #[arg(long, value_name = "T", value_parser = moment)]
    since: Option<u64>,
    /// Records before then
    #[arg(long, value_name = "T", value_parser = moment)]
    until: Option<u64>,
    /// Count by principal, client, tool, upstream, method, route, class, kind, effect, status, reason, rule, policy, error, http,
    /// approval, hour, day; up to four
    #[arg(long, value_name = "WORD,..", value_delimiter = ',', value_parser = by)]
    by: Vec<By>,
    /// Lines of each answer
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    top: u32,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

fn by(word: &str) -> Result<By, String> {
    By::parse(word).ok_or_else(|| format!("is none of {}", By::words().collect::<Vec<_>>().join(", ")))
}

pub(super) fn run(args: &StatsArgs, out: &mut Out) -> Result<Exit, Failure> {
    if args.by.len() > BY_MAX {
        return Err(Failure::input(format_args!("--by: at most {BY_MAX} at once")));
    }
    let path = super::log_path(args.path.as_deref(), &args.config)?;
    let start = Instant::now();
    let mut index = shown::open(&path, out)?;
    let asked = Asked {
        span: Span { since_ms: args.since, until_ms: args.until },
        by: args.by.clone(),
        top: usize::try_from(args.top).unwrap_or(usize::MAX),
    };
    let begun = Instant::now();
    let report = stats(&mut index, &asked).map_err(Failure::input)?;
    let (indexed, counted) = ((begun - start).as_secs_f64(), begun.elapsed().as_secs_f64());
    if args.json {
        out.line(serde_json::to_string_pretty(&report).map_err(Failure::fault)?);
    } else {
        print(&report, args.since.is_some(), out);
    }
    shown::cuts(&index, out);
    out.note(format_args!(
        "{} records; index brought up to date in {indexed:.2} s, counted in {counted:.2} s",
        report.records_ever
    ));
    Ok(Exit::Yes)
}

fn print(report: &Report, since: bool, out: &mut Out) {
    let kinds = tally(&report.kinds);
    out.line(format_args!("{} records from {} to {} ({kinds})", report.records, or(&report.first), or(&report.last)));
    if report.unreadable > 0 {
        out.line(format_args!(
            "{} lines are no records that can be read: `portcullis audit verify` says more",
            report.unreadable
        ));
    }
    let page = Page { report, alone: alone(report) };
    if let Some(groups) = &report.groups {
        return page.section("groups", "", &report.by, &Figure::ALL, groups, out);
    }
    page.section("calls", "who called what", &["principal", "tool"], &Figure::CALLS, &report.calls, out);
    page.section("denied", "refused, and why", &["reason", "rules", "tool"], &Figure::SEEN, &report.denied, out);
    page.section("errors", "errors", &["upstream", "kind"], &Figure::SEEN, &report.errors, out);
    page.section("slowest", "slowest tools", &["tool"], &Figure::TIMES, &report.slowest, out);
    page.section("heaviest", "largest answers (tokens: bytes / 4)", &["tool"], &Figure::SIZES, &report.heaviest, out);
    if !report.approvals.is_empty() {
        out.line(format_args!("\napprovals: {}", tally(&report.approvals)));
    }
    if since {
        page.new_names("new_principals", "principals never seen before", &report.new_principals, out);
        page.new_names("new_tools", "tools never seen before", &report.new_tools, out);
    }
    if report.open_intents > 0 {
        out.line(format_args!(
            "\nintents without an outcome: {} (running, or cut off: whether they took effect is not known)",
            report.open_intents
        ));
        for open in &report.oldest_open {
            let (who, tool) = (page.cell("principal", &open.principal), page.cell("tool", &open.tool));
            out.line(format_args!("  {}  record {}  {who}  {tool}", open.time, open.seq));
        }
    }
    page.section("policies", "policies in force, the latest first", &["policy"], &Figure::SEEN, &report.policies, out);
    page.section("actions", "operators, drift", &["kind", "method", "principal"], &Figure::SEEN, &report.actions, out);
}

fn or(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn tally(counts: &BTreeMap<&'static str, u64>) -> String {
    let words: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

/// Subjects of one issuer only, which can go without it.
fn alone(report: &Report) -> BTreeSet<String> {
    let counts = report.calls.iter().chain(&report.actions).chain(report.groups.iter().flatten());
    let keys = counts.flat_map(|count| count.keys.iter().map(String::as_str));
    let names: BTreeSet<&str> = keys.chain(report.new_principals.iter().map(|new| new.name.as_str())).collect();
    let mut subjects: BTreeMap<&str, u32> = BTreeMap::new();
    for (_, subject) in names.iter().filter_map(|name| name.split_once('#')) {
        *subjects.entry(subject).or_default() += 1;
    }
    subjects.into_iter().filter(|(_, issuers)| *issuers == 1).map(|(subject, _)| subject.to_owned()).collect()
}

#[derive(Clone, Copy)]
enum Figure {
    Records,
    Denied,
    Failed,
    P50,
    P95,
    P99,
    Bytes,
    Tokens,
    First,
    Last,
}

impl Figure {
    const ALL: [Self; 9] =
        [Self::Records, Self::Denied, Self::Failed, Self::P50, Self::P95, Self::P99, Self::Bytes, Self::First, Self::Last];
    const CALLS: [Self; 5] = [Self::Records, Self::Denied, Self::Failed, Self::First, Self::Last];
    const SEEN: [Self; 3] = [Self::Records, Self::First, Self::Last];
    const TIMES: [Self; 5] = [Self::Records, Self::Failed, Self::P50, Self::P95, Self::P99];
    const SIZES: [Self; 3] = [Self::Records, Self::Bytes, Self::Tokens];

    fn head(self) -> &'static str {
        match self {
            Self::Records => "COUNT",
            Self::Denied => "DENIED",
            Self::Failed => "FAILED",
            Self::P50 => "P50 ms",
            Self::P95 => "P95 ms",
            Self::P99 => "P99 ms",
            Self::Bytes => "BYTES",
            Self::Tokens => "~TOKENS",
            Self::First => "FIRST",
            Self::Last => "LAST",
        }
    }

    fn of(self, count: &Count) -> String {
        let figures = &count.figures;
        let ms = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        match self {
            Self::Records => figures.records.to_string(),
            Self::Denied => figures.denied.to_string(),
            Self::Failed => figures.failed.to_string(),
            Self::P50 => ms(figures.p50_ms),
            Self::P95 => ms(figures.p95_ms),
            Self::P99 => ms(figures.p99_ms),
            Self::Bytes => figures.bytes_out.to_string(),
            Self::Tokens => figures.tokens.to_string(),
            Self::First => figures.first.clone(),
            Self::Last => figures.last.clone(),
        }
    }
}

struct Page<'a> {
    report: &'a Report,
    alone: BTreeSet<String>,
}

impl Page<'_> {
    fn section(&self, name: &str, title: &str, keys: &[&str], figures: &[Figure], counts: &[Count], out: &mut Out) {
        if counts.is_empty() {
            return;
        }
        out.line(if title.is_empty() { String::new() } else { format!("\n{title}") });
        let mut rows = vec![
            figures.iter().map(|figure| figure.head().to_owned()).chain(keys.iter().map(|key| key.to_uppercase())).collect(),
        ];
        for count in counts {
            let cells = keys.iter().zip(&count.keys).map(|(key, text)| self.cell(key, text));
            rows.push(figures.iter().map(|figure| figure.of(count)).chain(cells).collect());
        }
        shown::columns(&rows, figures.len(), out);
        self.more(name, out);
    }

    /// A label, safe to show; a principal without its issuer where nobody else is called so.
    fn cell(&self, key: &str, text: &str) -> String {
        let subject = text.split_once('#').filter(|(_, subject)| key == "principal" && self.alone.contains(*subject));
        match subject.map_or(text, |(_, subject)| subject) {
            "" => "-".to_owned(),
            text => shown::safe(text),
        }
    }

    fn new_names(&self, name: &str, title: &str, names: &[NewName], out: &mut Out) {
        out.line(format_args!("\n{title}: {}", if names.is_empty() { "none" } else { "" }));
        for new in names {
            let cell = self.cell(if name == "new_principals" { "principal" } else { "tool" }, &new.name);
            out.line(format_args!("  {}  {cell}", new.first));
        }
        self.more(name, out);
    }

    fn more(&self, name: &str, out: &mut Out) {
        if let Some(more) = self.report.more.get(name) {
            out.line(format_args!("  and {more} more (--top)"));
        }
    }
}
