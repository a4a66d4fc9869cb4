//! `explain`: one decision, and how every rule stands to it.

use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::out::Out;
use super::source::{PolicyArgs, Source};
use super::token;
use crate::app;
use crate::mcp::RawJson;
use crate::mcp::json::Kind as JsonKind;
use crate::policy::cases::{self, full_uri, principal};
use crate::policy::{Asked, Condition, Effect, Explanation, Hints, Kind, RuleAccount, Verdict, explain};
use crate::vocab::limits::TOKEN_BYTES_MAX;
use crate::vocab::{Clock, Principal};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("who").required(true).args(["as_", "token"]))]
#[command(group = ArgGroup::new("what").required(true).args(["call", "read", "get"]))]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Who asks: sub=alice,groups=eng,groups=sre, or JSON, or anonymous
    #[arg(long = "as", id = "as_", value_name = "PRINCIPAL")]
    as_: Option<String>,
    /// Who asks, by an access token or API key, verified by the config; - reads it from standard input
    // What begins with a dash is a token too, and not an argument to complain about.
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    token: Option<String>,
    /// The route it comes by
    #[arg(long, value_name = "PATH")]
    route: Option<String>,
    /// Call a tool: UPSTREAM__NAME, or the name on a route with bare names
    #[arg(long, value_name = "NAME")]
    call: Option<String>,
    /// Read a resource: UPSTREAM+URI
    #[arg(long, value_name = "URI")]
    read: Option<String>,
    /// Get a prompt: UPSTREAM__NAME
    #[arg(long, value_name = "PROMPT")]
    get: Option<String>,
    /// Its arguments, one JSON object
    #[arg(long, value_name = "JSON", conflicts_with = "read")]
    args: Option<String>,
    /// When, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak)]
    at: Option<std::time::SystemTime>,
    /// Show every condition of every rule
    #[arg(long)]
    all: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Nesting of the arguments, as a config allows by default.
const ARGUMENTS_DEPTH_MAX: usize = 64;

pub(super) fn run(args: &ExplainArgs, out: &mut Out) -> Result<Exit, Failure> {
    let source = args.policy.load()?;
    let who = match &args.token {
        Some(token) => bearer(&source, args, token)?,
        None => principal(&source.set, "--as", args.as_.as_deref().unwrap_or_default())
            .map_err(|problems| Failure::problems(&problems))?,
    };
    let arguments = args.args.as_deref().map(arguments).transpose()?;
    let given = args.call.as_ref().or(args.read.as_ref()).or(args.get.as_ref()).cloned().unwrap_or_default();
    let (name, known) = place(&source, args, given)?;
    let kind = if args.call.is_some() {
        let class = source.set.class_of(&name, Hints::default());
        Kind::Tool { name: &name, class, arguments: arguments.as_ref() }
    } else if args.get.is_some() {
        Kind::Prompt { name: &name, arguments: arguments.as_ref() }
    } else {
        Kind::Resource { uri: &name }
    };
    let now_unix_ms = i64::try_from(at_ms(args)).unwrap_or(i64::MAX);
    let route = args.route.as_deref().unwrap_or(cases::ROUTE);
    let explanation = explain(&source.set, &who, &Asked { kind, known, now_unix_ms, route });
    if args.json {
        let document = document(&explanation, &who, &name, at_ms(args), args.route.as_deref());
        out.line(serde_json::to_string_pretty(&document).map_err(Failure::fault)?);
    } else {
        print(&explanation, &name, known, args.all, out);
    }
    Ok(if explanation.decision.effect() == Effect::Allow { Exit::Yes } else { Exit::No })
}

/// Whose token it is. A token that does not hold is wrong input, never somebody else.
fn bearer(source: &Source, args: &ExplainArgs, token: &str) -> Result<Principal, Failure> {
    let Some(config) = &source.config else {
        return Err(Failure::input("--token: needs --config, which says who may vouch for it"));
    };
    let route = token::route(config, args.route.as_deref())?;
    let mut line = String::new();
    let token = match token {
        "-" => {
            std::io::stdin().take(TOKEN_BYTES_MAX as u64 + 2).read_to_string(&mut line).map_err(Failure::input)?;
            line.trim_end_matches(['\r', '\n'])
        }
        given => given,
    };
    app::principal_of(config, &token::origin(config)?, route, token).map_err(|why| Failure::input(format_args!("--token: {why}")))
}

/// The moment asked about, in milliseconds since the Unix epoch.
fn at_ms(args: &ExplainArgs) -> u64 {
    let given = args.at.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    given.map_or_else(|| Clock::system().unix_ms(), |given| u64::try_from(given.as_millis()).unwrap_or(u64::MAX))
}

fn arguments(text: &str) -> Result<RawJson, Failure> {
    let raw = RawJson::parse(Bytes::copy_from_slice(text.as_bytes()), ARGUMENTS_DEPTH_MAX);
    let raw = raw.map_err(|error| Failure::input(format_args!("--args: {error}")))?;
    match raw.kind() {
        Some(JsonKind::Object) => Ok(raw),
        _ => Err(Failure::input("--args: is not a JSON object")),
    }
}

/// The full name, and whether the route leads to its upstream. Without a config every name exists.
fn place(source: &Source, args: &ExplainArgs, given: String) -> Result<(String, bool), Failure> {
    let full = |name: String| if args.read.is_some() { full_uri(name) } else { name };
    let Some(config) = &source.config else { return Ok((full(given), true)) };
    let Some(path) = &args.route else {
        let name = full(given);
        let upstream = name.split_once("__").map_or("", |(upstream, _)| upstream).to_owned();
        return Ok((name, config.upstreams.iter().any(|known| known.name == upstream)));
    };
    let Some(route) = config.routes.iter().find(|route| route.path == *path) else {
        let known: Vec<&str> = config.routes.iter().map(|route| route.path.as_str()).collect();
        return Err(Failure::input(format_args!("--route {path}: is no route; configured: {}", known.join(", "))));
    };
    let prefix = |upstream: &String| format!("{upstream}__");
    let name = match route.upstreams.first().filter(|_| route.bare) {
        Some(only) if !given.starts_with(&prefix(only)) => format!("{}{given}", prefix(only)),
        _ => full(given),
    };
    let known = route.upstreams.iter().any(|upstream| name.starts_with(&prefix(upstream)));
    Ok((name, known))
}

fn print(explanation: &Explanation, name: &str, known: bool, all: bool, out: &mut Out) {
    let Explanation { decision, visible, rules } = explanation;
    out.line(format_args!(
        "{}: {} ({}, {})",
        decision.effect().as_str(),
        name,
        decision.reason().as_str(),
        decision.class().as_str()
    ));
    for (label, words) in [
        ("obligations", decision.obligations().into_iter().map(str::to_owned).collect::<Vec<_>>()),
        ("scopes missing", decision.scopes_missing().iter().map(|scope| scope.to_string()).collect()),
        ("decided by", decision.rules().iter().map(|rule| rule.to_string()).collect()),
    ] {
        if !words.is_empty() {
            out.line(format_args!("  {label}: {}", words.join(", ")));
        }
    }
    if !known {
        out.line("  no such upstream is reached by the route, so no rule is asked");
    } else if !visible {
        out.line("  nothing this principal could send would be allowed, so the name is hidden");
    }
    for rule in rules {
        print_rule(rule, all, out);
    }
}

fn print_rule(rule: &RuleAccount, all: bool, out: &mut Out) {
    let verdict = match rule.verdict {
        Verdict::Pass => "matches",
        Verdict::Fail => "does not match",
        Verdict::Unknown if rule.effect == Effect::Deny => "cannot be told, which refuses",
        Verdict::Unknown => "cannot be told, so it does not match",
    };
    let shadow = if rule.shadow { " (in shadow: decides nothing)" } else { "" };
    out.line(format_args!("\n{} {}: {verdict}{shadow}", rule.effect.as_str(), rule.id));
    let line = |condition: &Condition| format!("  {} {}: {}", mark(condition.verdict), condition.key, condition.why);
    if all {
        rule.conditions.iter().for_each(|condition| out.line(line(condition)));
    } else if let Some(obstacle) = rule.obstacle() {
        out.line(line(obstacle));
    }
    if rule.verdict == Verdict::Pass && !rule.obligations.is_empty() {
        out.line(format_args!("  brings: {}", rule.obligations.join(", ")));
    }
    if rule.verdict == Verdict::Pass && !rule.scopes_missing.is_empty() {
        let scopes: Vec<&str> = rule.scopes_missing.iter().map(|scope| &**scope).collect();
        out.line(format_args!("  asks for a scope that is missing: {}", scopes.join(", ")));
    }
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass   ",
        Verdict::Fail => "fail   ",
        Verdict::Unknown => "unknown",
    }
}

fn document(explanation: &Explanation, who: &Principal, name: &str, at_ms: u64, route: Option<&str>) -> Value {
    let Explanation { decision, visible, rules } = explanation;
    let rules: Vec<Value> = rules
        .iter()
        .map(|rule| {
            json!({
                "id": &*rule.id, "effect": rule.effect.as_str(), "shadow": rule.shadow, "verdict": rule.verdict, "decided": rule.decided,
                "obstacle": rule.obstacle(), "conditions": rule.conditions, "obligations": rule.obligations,
                "scopes_missing": texts(&rule.scopes_missing),
            })
        })
        .collect();
    json!({
        "principal": { "iss": &*who.iss, "sub": &*who.sub }, "name": name, "route": route, "at_ms": at_ms,
        "class": decision.class(), "effect": decision.effect().as_str(), "reason": decision.reason(),
        "decided_by": texts(decision.rules()), "obligations": decision.obligations(), "scopes_missing": texts(decision.scopes_missing()),
        "visible": visible, "policy": &**decision.policy_digest(), "rules": rules,
    })
}

fn texts(texts: &[Arc<str>]) -> Vec<&str> {
    texts.iter().map(|text| &**text).collect()
}
