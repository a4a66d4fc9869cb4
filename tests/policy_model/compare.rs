//! One policy and one request, read by both; and what is left of a difference when everything that does not matter is gone.

use std::panic::{AssertUnwindSafe, catch_unwind};

use portcullis::policy::PolicySet;

use crate::conditions;
use crate::facts::{CAPABILITIES, UPSTREAMS, WILD_NUMBERS};
use crate::json::Json;
use crate::language::{Ask, Policy, Require, Rule};
use crate::meaning::Verdict;
use crate::random::Random;
use crate::truth::{seen, silently};
use crate::{real, render};

/// Compiles `policy` as `seed` spells it, and compares.
pub(crate) fn check(policy: &Policy, ask: &Ask, universe: &[Json], seed: u64) -> Result<(), String> {
    let files = render::files(policy, &mut Random::new(seed));
    let set = real::compile(policy, &files)?;
    agree(policy, &set, ask, universe, seed)
}

/// Whether both answer the same.
pub(crate) fn agree(policy: &Policy, set: &PolicySet, ask: &Ask, universe: &[Json], seed: u64) -> Result<(), String> {
    if is_beyond_the_page(policy, ask) {
        return Ok(());
    }
    let answer = catch_unwind(AssertUnwindSafe(|| real::answer(set, ask, &mut Random::new(seed))));
    let answer = answer.map_err(|_| "panicked".to_owned())?;
    let enforced = policy.enforced();
    let class = policy.class_of(ask).word();
    let expect = policy.decide(&enforced, ask, answer.visible);
    let told = format!("\nproduct: {answer:?}\nmodel:   {class} {expect:?}");
    if answer.class != class {
        return Err(format!("class{told}"));
    }
    policy.may_be(&enforced, ask, answer.visible, universe).map_err(|why| format!("{why}{told}"))?;
    if answer.verdict != expect {
        return Err(format!("decision{told}"));
    }
    seen("reason", expect.reason);
    seen("visible", if answer.visible { "yes" } else { "no" });
    shadow(policy, ask, universe, answer.shadow.as_ref()).map_err(|why| format!("{why}{told}"))?;
    if policy.rules.iter().all(|rule| rule.capabilities.is_empty()) {
        return Ok(());
    }
    for upstream in UPSTREAMS {
        let expect: Vec<bool> = CAPABILITIES.iter().map(|word| policy.capability(ask, upstream, word)).collect();
        let got = real::capabilities(set, ask, upstream);
        if expect != got {
            return Err(format!("capabilities of {upstream}: product {got:?}, model {expect:?}"));
        }
    }
    Ok(())
}

/// Numbers that no computer holds, in a condition: the page does not say.
fn is_beyond_the_page(policy: &Policy, ask: &Ask) -> bool {
    fn wild(value: &Json) -> bool {
        match value {
            Json::Number(token) => WILD_NUMBERS.contains(token),
            Json::List(items) => items.iter().any(wild),
            Json::Map(members) => members.iter().any(|(_, value)| wild(value)),
            _ => false,
        }
    }
    ask.args.as_ref().is_some_and(wild) && policy.rules.iter().any(|rule| rule.when.is_some_and(conditions::reads_args))
}

fn shadow(policy: &Policy, ask: &Ask, universe: &[Json], got: Option<&(&str, Vec<String>)>) -> Result<(), String> {
    let Some((reason, rules)) = got else {
        let there = silently(|| policy.has_shadow(ask));
        return if there { Err("the shadow decision is missing".to_owned()) } else { Ok(()) };
    };
    if !silently(|| policy.has_shadow(ask)) {
        return Err("a shadow decision without a shadow rule".to_owned());
    }
    seen("shadow", reason);
    let every: Vec<&Rule> = policy.rules.iter().collect();
    // Whether the whole set would show the name is not said; where both may be, either will do.
    let fits = |shown: bool| {
        let Verdict { reason: expect, rules: named, .. } = silently(|| policy.decide(&every, ask, shown));
        (expect, &named) == (*reason, rules) && policy.may_be(&every, ask, shown, universe).is_ok()
    };
    if fits(true) || fits(false) { Ok(()) } else { Err("shadow decision".to_owned()) }
}

/// Takes away whatever can go without the difference going too, and tells the rest.
pub(crate) fn report(policy: &Policy, ask: &Ask, universe: &[Json], seed: u64) -> String {
    let fails = |policy: &Policy, ask: &Ask| silently(|| check(policy, ask, universe, seed).is_err());
    let (mut policy, mut ask) = (policy.clone(), ask.clone());
    loop {
        let smaller = smaller_policies(&policy).into_iter().find(|smaller| fails(smaller, &ask));
        if let Some(smaller) = smaller {
            policy = smaller;
            continue;
        }
        match smaller_asks(&ask).into_iter().find(|smaller| fails(&policy, smaller)) {
            Some(smaller) => ask = smaller,
            None => break,
        }
    }
    let why = check(&policy, &ask, universe, seed).err().unwrap_or_default();
    let files = render::files(&policy, &mut Random::new(seed));
    let files: Vec<String> = files.into_iter().map(|(name, text)| format!("--- {name}\n{text}")).collect();
    format!("seed {seed}\n{}request: {ask:#?}\n{why}", files.join(""))
}

fn smaller_policies(policy: &Policy) -> Vec<Policy> {
    let mut out = Vec::new();
    let mut with = |change: &dyn Fn(&mut Policy)| {
        let mut policy = policy.clone();
        change(&mut policy);
        out.push(policy);
    };
    for at in 0..policy.rules.len() {
        with(&|p| drop(p.rules.remove(at)));
    }
    for at in 0..policy.classes.len() {
        with(&|p| drop(p.classes.remove(at)));
    }
    for (at, rule) in policy.rules.iter().enumerate() {
        for n in 0..rule.arguments.len() {
            with(&|p| drop(p.rules[at].arguments.remove(n)));
            for m in 0..rule.arguments[n].1.len() {
                if rule.arguments[n].1.len() > 1 {
                    with(&|p| drop(p.rules[at].arguments[n].1.remove(m)));
                }
            }
        }
        for n in 0..rule.principals.len() {
            if rule.principals.len() > 1 || !rule.allow {
                with(&|p| {
                    p.rules[at].principals.remove(n);
                });
            }
        }
        if rule.when.is_some() {
            with(&|p| p.rules[at].when = None);
        }
        if !rule.schedule.is_empty() {
            with(&|p| drop(p.rules[at].schedule.pop()));
        }
        if !rule.require.is_empty() {
            with(&|p| p.rules[at].require = Require::default());
        }
        if rule.shadow {
            with(&|p| p.rules[at].shadow = false);
        }
    }
    out
}

fn smaller_asks(ask: &Ask) -> Vec<Ask> {
    let mut out = Vec::new();
    if let Some(Json::Map(members)) = &ask.args {
        for at in 0..members.len() {
            let mut fewer = members.clone();
            fewer.remove(at);
            out.push(Ask { args: Some(Json::Map(fewer)), ..ask.clone() });
        }
    }
    for at in 0..ask.who.claims.len() {
        let mut fewer = ask.clone();
        fewer.who.claims.remove(at);
        out.push(fewer);
    }
    if ask.hints != (None, None) {
        out.push(Ask { hints: (None, None), ..ask.clone() });
    }
    out
}
