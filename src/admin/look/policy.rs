//! The policy in force: its files, what it decided lately, who can do what, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::admin::office::Asked;
use crate::admin::problem::Problem;
use crate::mcp::RawJson;
use crate::mcp::json::Kind as JsonKind;
use crate::policy::cases::principal;
use crate::policy::{
    Asked as Operation, Cell, Explanation, Hints, HintsOf, Kind, Person, Thing, ThingKind, cell, distinct, explain, people,
    things,
};

/// Differences that are listed.
const DIFFERENCES_MAX: usize = 100;
/// People and things of one matrix.
const PEOPLE_MAX: usize = 40;
const THINGS_MAX: usize = 400;
/// Tools that are looked through for those of one upstream.
const TOOLS_MAX: usize = 10_000;
/// Nesting of arguments.
const DEPTH_MAX: usize = 64;

/// The policy.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Policy")]
pub(in crate::admin) struct PolicyView {
    /// Its digest.
    pub(in crate::admin) digest: String,
    /// The files it was read from.
    pub(in crate::admin) files: Vec<String>,
    /// Whether the last reload was taken; if not, an older policy is in force.
    pub(in crate::admin) reload_taken: bool,
    /// Policy is only observed, and enforces nothing.
    pub(in crate::admin) observe_only: bool,
    /// What looks like a mistake.
    pub(in crate::admin) warnings: Vec<String>,
    /// Every rule, and how often it decided in the records that are kept.
    pub(in crate::admin) rules: Vec<RuleView>,
    /// Where shadow rules would have decided otherwise, lately.
    pub(in crate::admin) differences: Vec<DifferenceView>,
}

/// A rule.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Rule")]
pub(in crate::admin) struct RuleView {
    /// Its id.
    pub(in crate::admin) id: String,
    /// It is only tried.
    pub(in crate::admin) shadow: bool,
    /// Decisions it made, or would have made, under this policy.
    pub(in crate::admin) decided: u64,
}

/// A decision that shadow rules would change.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Difference")]
pub(in crate::admin) struct DifferenceView {
    /// Id of the record.
    pub(in crate::admin) record: String,
    /// When.
    pub(in crate::admin) time: String,
    /// Who asked.
    pub(in crate::admin) principal: String,
    /// For what.
    pub(in crate::admin) name: String,
    /// What was decided.
    pub(in crate::admin) decided: String,
    /// What shadow rules would have decided.
    pub(in crate::admin) shadow: String,
    /// Those rules.
    pub(in crate::admin) rules: Vec<String>,
}

/// The policy in force.
pub(in crate::admin) fn state(asked: &Asked<'_>) -> PolicyView {
    let (policy, facts) = (&asked.world.policy, asked.office.facts.load());
    let mut decided: BTreeMap<&str, u64> = BTreeMap::new();
    let mut differences = Vec::new();
    let records = asked.office.recent.newest_first();
    for glance in records.iter().filter_map(|record| record.glance()).filter(|glance| glance.kind != "intent") {
        let Some(decision) = glance.decision.as_ref().filter(|decision| *decision.policy == **policy.digest()) else { continue };
        decision.rules.iter().for_each(|rule| *decided.entry(rule).or_default() += 1);
        let Some(shadow) = &decision.shadow else { continue };
        shadow.rules.iter().filter(|rule| !decision.rules.contains(rule)).for_each(|rule| *decided.entry(rule).or_default() += 1);
        if shadow.effect != decision.effect && differences.len() < DIFFERENCES_MAX {
            differences.push(DifferenceView {
                record: glance.id.clone(),
                time: glance.time.clone(),
                principal: glance.principal.as_ref().map(|who| who.sub.clone()).unwrap_or_default(),
                name: glance.name.clone(),
                decided: format!("{} ({})", decision.effect, decision.reason),
                shadow: format!("{} ({})", shadow.effect, shadow.reason),
                rules: shadow.rules.clone(),
            });
        }
    }
    let rule = |(id, shadow): (Arc<str>, bool)| RuleView {
        decided: decided.get(&*id).copied().unwrap_or(0),
        id: id.to_string(),
        shadow,
    };
    PolicyView {
        digest: policy.digest().to_string(),
        files: facts.policies.clone(),
        reload_taken: facts.refused.is_none(),
        observe_only: asked.world.observe.is_some(),
        warnings: policy.warnings().iter().map(ToString::to_string).collect(),
        rules: policy.rule_ids().into_iter().map(rule).collect(),
        differences,
    }
}

/// Who can do what.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AccessMatrix")]
pub(in crate::admin) struct Matrix {
    /// Digest of the policy.
    pub(in crate::admin) policy: String,
    /// The columns.
    pub(in crate::admin) people: Vec<String>,
    /// The rows.
    pub(in crate::admin) rows: Vec<MatrixRow>,
    /// There is more than is shown.
    pub(in crate::admin) cut: bool,
}

/// One thing, and what each of the people can do with it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AccessRow")]
pub(in crate::admin) struct MatrixRow {
    /// `tool`, `resource`, `prompt` or `capability`.
    pub(in crate::admin) kind: &'static str,
    /// Its full name, or a pattern of the policy.
    pub(in crate::admin) name: String,
    /// One per person: `access`, `reasons`, `obligations`, `depends_on`, `conditions`.
    #[schemars(with = "Vec<serde_json::Map<String, Value>>")]
    pub(in crate::admin) cells: Vec<Cell>,
}

/// The matrix of the policy in force, for `as_`, or for one person per way in which the rules mean somebody.
pub(in crate::admin) fn matrix(asked: &Asked<'_>, as_: Option<&str>, upstream: Option<&str>) -> Result<Matrix, Problem> {
    let policy = &asked.world.policy;
    let mut persons = match as_ {
        Some(text) => vec![Person::of(who(asked, text)?)],
        None => distinct(people(policy)),
    };
    let mut hints = HintsOf::new();
    let mut rows: BTreeSet<Thing> = things(&[policy]);
    let tools = asked.office.gateway.catalog.tools(TOOLS_MAX + 1);
    let unknown = tools.len() > TOOLS_MAX;
    for entry in tools {
        hints.insert(entry.full.to_string(), entry.hints);
        rows.insert(Thing { kind: ThingKind::Tool, name: entry.full.to_string() });
    }
    rows.retain(|thing| upstream.is_none_or(|name| thing.name.starts_with(&format!("{name}__"))));
    let cut = unknown || persons.len() > PEOPLE_MAX || rows.len() > THINGS_MAX;
    persons.truncate(PEOPLE_MAX);
    let row = |thing: Thing| MatrixRow {
        kind: thing.kind.as_str(),
        cells: persons.iter().map(|person| cell(policy, person, &thing, &hints)).collect(),
        name: thing.name,
    };
    let rows = rows.into_iter().take(THINGS_MAX).map(row).collect();
    Ok(Matrix {
        policy: policy.digest().to_string(),
        people: persons.into_iter().map(|person| person.label).collect(),
        rows,
        cut,
    })
}

/// A decision, explained.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Explanation")]
pub(in crate::admin) struct Why {
    /// What is asked for.
    pub(in crate::admin) name: String,
    /// `allow` or `deny`.
    #[schemars(extend("enum" = ["allow", "deny"]))]
    pub(in crate::admin) effect: &'static str,
    /// Why.
    pub(in crate::admin) reason: &'static str,
    /// The class it is decided as.
    pub(in crate::admin) class: &'static str,
    /// Whether the principal may know of it.
    pub(in crate::admin) visible: bool,
    /// Obligations.
    pub(in crate::admin) obligations: Vec<&'static str>,
    /// Every rule.
    pub(in crate::admin) rules: Vec<WhyRule>,
}

/// How one rule stands to it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExplainedRule")]
pub(in crate::admin) struct WhyRule {
    /// Its id.
    pub(in crate::admin) id: String,
    /// What it does where it matches.
    #[schemars(extend("enum" = ["allow", "deny"]))]
    pub(in crate::admin) effect: &'static str,
    /// It is only tried.
    pub(in crate::admin) shadow: bool,
    /// Whether it matches: `pass`, `fail` or `unknown`.
    #[schemars(extend("enum" = ["pass", "fail", "unknown"]))]
    pub(in crate::admin) verdict: String,
    /// Whether it is among those that decided.
    pub(in crate::admin) decided: bool,
    /// What keeps it from matching.
    pub(in crate::admin) obstacle: Option<String>,
    /// What it brings where it matches.
    pub(in crate::admin) obligations: Vec<&'static str>,
}

/// Explains a call of `name` with `arguments` by the principal that `as_` describes.
pub(in crate::admin) fn why(
    asked: &Asked<'_>,
    as_: &str,
    name: &str,
    arguments: Option<&str>,
    route: Option<&str>,
) -> Result<Why, Problem> {
    let policy = &asked.world.policy;
    let who = who(asked, as_)?;
    let arguments = arguments.map(|text| RawJson::parse(Bytes::copy_from_slice(text.as_bytes()), DEPTH_MAX));
    let arguments = arguments.transpose().map_err(|_| Problem::bad("`args` is not one strict JSON object."))?;
    if arguments.as_ref().is_some_and(|raw| raw.kind() != Some(JsonKind::Object)) {
        return Err(Problem::bad("`args` is not one strict JSON object."));
    }
    let hints = asked.office.gateway.catalog.tool(name).map_or(Hints::default(), |entry| entry.hints);
    let kind = Kind::Tool { name, class: policy.class_of(name, hints), arguments: arguments.as_ref() };
    let known = name.split_once("__").is_some_and(|(upstream, _)| asked.world.upstreams.contains_key(upstream));
    let first = || asked.world.routes.keys().min().map_or("/", |path| path);
    let now_unix_ms = i64::try_from(asked.office.gateway.clock.unix_ms()).unwrap_or(i64::MAX);
    let operation = Operation { kind, known, now_unix_ms, route: route.unwrap_or_else(first) };
    Ok(told(explain(policy, &who, &operation), name))
}

fn told(Explanation { decision, visible, rules }: Explanation, name: &str) -> Why {
    let rule = |rule: crate::policy::RuleAccount| WhyRule {
        obstacle: rule.obstacle().map(|condition| format!("{}: {}", condition.key, condition.why)),
        id: rule.id.to_string(),
        effect: rule.effect.as_str(),
        shadow: rule.shadow,
        verdict: serde_json::to_value(rule.verdict).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default(),
        decided: rule.decided,
        obligations: rule.obligations,
    };
    Why {
        name: name.to_owned(),
        effect: decision.effect().as_str(),
        reason: decision.reason().as_str(),
        class: decision.class().as_str(),
        visible,
        obligations: decision.obligations(),
        rules: rules.into_iter().map(rule).collect(),
    }
}

fn who(asked: &Asked<'_>, text: &str) -> Result<crate::vocab::Principal, Problem> {
    let wrong = "`as` is no principal: sub=alice,groups=eng, or JSON, or anonymous.";
    principal(&asked.world.policy, "as", text).map_err(|_| Problem::bad(wrong))
}
