//! A second reading of the policy language, slow and obvious, written from `docs/policy.md` and not from the code; and random
//! policies and requests on which both must answer alike. `PORTCULLIS_MODEL_PAIRS` says how many, `PORTCULLIS_MODEL_SEED` which.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice, reason = "tests")]

mod aim;
mod arguments;
mod clock;
mod compare;
mod conditions;
mod examples;
mod facts;
mod generate;
mod json;
mod language;
mod meaning;
mod number;
mod obligations;
mod random;
mod real;
mod render;
mod text;
mod truth;
mod visibility;
mod yaml;

use std::io::Write as _;

use json::Json;
use language::{Ask, Matcher, Policy};
use random::Random;
use truth::{all_seen, silently};

const PAIRS_DEFAULT: u64 = 20_000;
const PAIRS_PER_POLICY: u64 = 16;
const ALIKE_POLICIES: u64 = 120;
const STRICTER_POLICIES: u64 = 120;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}: not a number")))
}

/// Arguments among which a hidden name is looked for.
fn universe() -> Vec<Json> {
    let mut random = Random::new(1);
    (0..80).map(|_| generate::arguments(&mut random)).collect()
}

#[test]
fn the_model_agrees() {
    let pairs = number("PORTCULLIS_MODEL_PAIRS", PAIRS_DEFAULT);
    let seed = number("PORTCULLIS_MODEL_SEED", 0);
    let universe = universe();
    let policies = pairs.div_ceil(PAIRS_PER_POLICY);
    for n in 0..policies {
        let seed = seed.wrapping_mul(1 << 32).wrapping_add(n);
        let mut random = Random::new(seed);
        let policy = generate::policy(&mut random);
        let asks: Vec<Ask> = (0..PAIRS_PER_POLICY).map(|_| aim::at(&policy, &mut random)).collect();
        let files = render::files(&policy, &mut Random::new(seed));
        let set = match real::compile(&policy, &files) {
            Ok(set) => set,
            Err(_) => panic!("{}", compare::report(&policy, &asks[0], &universe, seed)),
        };
        for ask in &asks {
            if compare::agree(&policy, &set, ask, &universe, seed).is_err() {
                panic!("{}", compare::report(&policy, ask, &universe, seed));
            }
        }
    }
    covered();
    let _ = writeln!(std::io::stderr(), "the model agrees on {} pairs of {policies} policies", policies * PAIRS_PER_POLICY);
}

/// Every reason, matcher, obligation and truth was met: else the agreement says nothing about it.
fn covered() {
    let seen = all_seen();
    let mut missing = Vec::new();
    let mut need = |what: &'static str, value: &str| {
        if seen.get(&(what, value.to_owned())).is_none_or(|count| *count == 0) {
            missing.push(format!("{what} {value}"));
        }
    };
    let reasons = ["unknown_name", "not_visible", "scope_required", "rule_denied", "indeterminate", "no_rule", "allowed"];
    for reason in reasons {
        need("reason", reason);
    }
    // A shadow rule that matches, or may, leaves no room for `no_rule`.
    for reason in reasons.iter().filter(|reason| !matches!(**reason, "unknown_name" | "no_rule")) {
        need("shadow", reason);
    }
    for word in ["approval", "limit", "redact", "deadline", "audit"] {
        need("obligation", word);
    }
    for (what, value) in [("visible", "yes"), ("visible", "no"), ("capability", "given"), ("capability", "refused")] {
        need(what, value);
    }
    need("arguments", "colliding keys");
    need("arguments", "a disguise");
    need("condition", "a disguise");
    for what in ["schedule", "when"] {
        for truth in ["True", "False", "Unknown"] {
            need(what, truth);
        }
    }
    for (text, ..) in conditions::CONDITIONS {
        need("condition", text);
    }
    let can_be_unknown = |key: &str| !matches!(key, "type" | "present" | "absent");
    for key in MATCHERS {
        for effect in ["allow", "deny"] {
            need("matcher", &format!("{key} {effect} True"));
            if *key != "present" {
                need("matcher", &format!("{key} {effect} False"));
            }
            if *key != "absent" {
                need("matcher", &format!("{key} {effect} nothing"));
            }
            if can_be_unknown(key) {
                need("matcher", &format!("{key} {effect} Unknown"));
            }
        }
    }
    assert!(missing.is_empty(), "never met: {missing:#?}");
}

const MATCHERS: &[&str] = &[
    "equals",
    "one_of",
    "glob",
    "matches",
    "path_under",
    "url",
    "cidr",
    "min",
    "max",
    "max_length",
    "type",
    "present",
    "absent",
];

#[test]
fn order_spelling_and_files_change_nothing() {
    let universe = universe();
    for seed in 0..ALIKE_POLICIES {
        let mut random = Random::new(seed ^ 0xa11c_e000);
        let policy = generate::policy(&mut random);
        let compile = |spelling: u64| {
            let files = render::files(&policy, &mut Random::new(spelling));
            (real::compile(&policy, &files).unwrap_or_else(|why| panic!("{why}\n{files:#?}")), files)
        };
        let (first, first_files) = compile(seed);
        for spelling in 1..4 {
            let (other, files) = compile(seed + spelling * 1_000_003);
            assert_eq!(first.digest(), other.digest(), "{first_files:#?}\n{files:#?}");
            let ask = aim::at(&policy, &mut random);
            silently(|| compare::agree(&policy, &other, &ask, &universe, seed)).unwrap_or_else(|why| panic!("{why}\n{files:#?}"));
        }
    }
}

#[test]
fn what_means_something_else_has_another_digest() {
    let mut changed = 0;
    for seed in 0..ALIKE_POLICIES {
        let mut random = Random::new(seed ^ 0xd1_9e57);
        let policy = generate::policy(&mut random);
        let digest = |policy: &Policy| {
            let files = render::files(policy, &mut Random::new(seed));
            let set = real::compile(policy, &files).unwrap_or_else(|why| panic!("{why}\n{files:#?}"));
            set.digest().to_string()
        };
        let base = digest(&policy);
        for at in 0..policy.rules.len() {
            let mut others = vec![policy.clone(), policy.clone(), policy.clone()];
            others[0].rules.remove(at);
            others[1].rules[at].shadow ^= true;
            others[2].rules[at].id.push('x');
            if policy.rules[at].capabilities.is_empty() {
                let mut other = policy.clone();
                other.rules[at].arguments.push(("/unheard/of", vec![Matcher::Present]));
                others.push(other);
            }
            for other in others {
                assert_ne!(digest(&other), base, "{policy:#?}\n{other:#?}");
                changed += 1;
            }
        }
    }
    assert!(changed > 300);
}

#[test]
fn more_denies_and_fewer_allows_never_allow_more() {
    let mut refused = 0;
    for seed in 0..STRICTER_POLICIES {
        let mut random = Random::new(seed ^ 0x5712_1c70);
        let policy = generate::policy(&mut random);
        let mut stricter = policy.clone();
        let removable = stricter.rules.iter().position(|rule| rule.allow && rule.require.is_empty());
        match removable {
            Some(at) if random.one_in(2) => drop(stricter.rules.remove(at)),
            _ => {
                let made = generate::policy(&mut random).rules.into_iter().find(|rule| !rule.allow);
                let Some(mut deny) = made.filter(|_| policy.issuers == 1) else { continue };
                deny.id.push_str("-more");
                deny.principals.clear();
                stricter.rules.push(deny);
            }
        }
        let compile = |policy: &Policy| {
            let files = render::files(policy, &mut Random::new(seed));
            real::compile(policy, &files).unwrap_or_else(|why| panic!("{why}\n{files:#?}"))
        };
        let (base, strict) = (compile(&policy), compile(&stricter));
        for _ in 0..24 {
            let ask = aim::at(&policy, &mut random);
            let was = real::answer(&base, &ask, &mut Random::new(seed));
            let is = real::answer(&strict, &ask, &mut Random::new(seed));
            let (was, is) = (was.verdict.reason, is.verdict.reason);
            assert!(is != "allowed" || was == "allowed", "{was} {is} {ask:?}\n{policy:#?}\n{stricter:#?}");
            refused += u32::from(was == "allowed" && is != "allowed");
        }
    }
    assert!(refused > 10, "{refused}");
}
