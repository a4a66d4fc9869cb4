//! `test`: cases, run against the policy they stand beside, and what they leave untried.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::out::Out;
use super::source::{PolicyArgs, cases_beside, compile, read};
use crate::app::Around;
use crate::config;
use crate::policy::cases::{Broken, CatalogFacts, run_covered};
use crate::policy::{Coverage, CoverageReport, PolicySet};
use crate::vocab::{Clock, Problem};

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// Files of cases, or directories of them; a directory with policies is tested on its own unless --config or --policy is given
    /// [default: the cases beside the configured policies]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Fail if the cases exercise less than this of the policy
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_coverage: Option<u8>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// One policy and the cases for it.
struct Suite {
    set: Arc<PolicySet>,
    cases: Vec<PathBuf>,
    /// Directory, where there are several suites.
    name: String,
}

/// What `test --json` prints.
#[derive(Serialize)]
struct Report {
    ok: bool,
    passed: usize,
    failed: usize,
    problems: Vec<Problem>,
    cases: Vec<Line>,
    coverage: Vec<Covered>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    file: String,
    line: u64,
    ok: bool,
    #[serde(flatten)]
    failure: Option<Broken>,
}

#[derive(Serialize)]
struct Covered {
    policy: String,
    digest: String,
    percent: u8,
    #[serde(flatten)]
    report: CoverageReport,
}

pub(super) fn run(args: &TestArgs, out: &mut Out) -> Result<Exit, Failure> {
    let suites = suites(args)?;
    if suites.iter().all(|suite| suite.cases.is_empty()) {
        return Err(Failure::input("no cases: nothing is named *.cases.yaml there"));
    }
    let mut report = Report { ok: true, passed: 0, failed: 0, problems: Vec::new(), cases: Vec::new(), coverage: Vec::new() };
    let now_unix_ms = i64::try_from(Clock::system().unix_ms()).unwrap_or(0);
    for suite in &suites {
        let mut coverage = Coverage::default();
        for file in &suite.cases {
            let (name, text) = (file.display().to_string(), read(file)?);
            match run_covered(&suite.set, &name, &text, &CatalogFacts::default(), now_unix_ms, &mut coverage) {
                Ok(outcomes) => report.cases.extend(outcomes.into_iter().map(|case| Line {
                    name: case.name,
                    file: name.clone(),
                    line: case.line,
                    ok: case.failure.is_none(),
                    failure: case.failure,
                })),
                Err(problems) => report.problems.extend(problems),
            }
        }
        let covered = coverage.report(&suite.set);
        let (policy, digest) = (suite.name.clone(), suite.set.digest().to_string());
        report.coverage.push(Covered { policy, digest, percent: covered.percent(), report: covered });
    }
    report.passed = report.cases.iter().filter(|case| case.ok).count();
    report.failed = report.cases.len() - report.passed;
    let thin = report.coverage.iter().any(|covered| args.min_coverage.is_some_and(|least| covered.percent < least));
    report.ok = report.failed == 0 && report.problems.is_empty() && !thin;
    if args.json {
        out.line(serde_json::to_string_pretty(&report).map_err(Failure::fault)?);
    } else {
        print(&report, args.min_coverage, out);
    }
    Ok(match (report.problems.is_empty(), report.ok) {
        (false, _) => Exit::Input,
        (true, true) => Exit::Yes,
        (true, false) => Exit::No,
    })
}

fn print(report: &Report, least: Option<u8>, out: &mut Out) {
    for problem in &report.problems {
        out.line(problem);
    }
    for case in &report.cases {
        if let Some(Broken { expected, got }) = &case.failure {
            out.line(format_args!("FAIL {}:{}: {}\n  expected {expected}\n  got      {got}", case.file, case.line, case.name));
        }
    }
    // What a file with a mistake would have tried is not known.
    let known = if report.problems.is_empty() { report.coverage.as_slice() } else { &[] };
    for covered in known {
        let of = if report.coverage.len() > 1 { format!(" of {}", covered.policy) } else { String::new() };
        for gap in &covered.report.gaps {
            let key = if gap.key.is_empty() { String::new() } else { format!(" {}:", gap.key) };
            out.line(format_args!("untried{of}: rule {}:{key} never {}", gap.rule, gap.never));
        }
        let CoverageReport { met, goals, .. } = covered.report;
        let short = least.filter(|least| covered.percent < *least);
        let short = short.map_or_else(String::new, |least| format!(", less than the {least} % asked for"));
        out.line(format_args!("coverage{of}: {} % ({met} of {goals}){short}", covered.percent));
    }
    let word = if report.ok { "ok" } else { "FAILED" };
    out.line(format_args!("{word}: {} passed, {} failed", report.passed, report.failed));
}

fn suites(args: &TestArgs) -> Result<Vec<Suite>, Failure> {
    if args.paths.is_empty() || args.policy.is_given() {
        let source = args.policy.load()?;
        let cases = if args.paths.is_empty() { source.cases } else { named(&args.paths)? };
        return Ok(vec![Suite { set: source.set, cases, name: "policy".to_owned() }]);
    }
    let mut suites: Vec<Suite> = Vec::new();
    for path in &args.paths {
        let directory = if path.is_dir() { path.clone() } else { parent(path) };
        let cases = if path.is_dir() { cases_beside(&[path.join("x")])? } else { vec![path.clone()] };
        match suites.iter_mut().find(|suite| suite.name == directory.display().to_string()) {
            Some(suite) => suite.cases.extend(cases),
            None => {
                let set = Arc::new(compile(std::slice::from_ref(&directory), &Around::default())?.set);
                suites.push(Suite { set, cases, name: directory.display().to_string() });
            }
        }
    }
    Ok(suites)
}

/// Files of cases that the user named, directories looked through.
fn named(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut cases = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = config::policy_files(path).map_err(|why| Failure::input(format_args!("{}: {why}", path.display())))?;
            cases.extend(found.cases);
        } else if config::is_cases(path) {
            cases.push(path.clone());
        } else {
            return Err(Failure::input(format_args!("{}: is no *.cases.yaml", path.display())));
        }
    }
    Ok(cases)
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
