//! What cases have exercised: a promise that no case ever tried is a guess.
//!
//! Each rule should match some case and just miss another (an operation it names, and something else about it fails); each entry
//! of `principals` should be somebody; each criterion, and each matcher where a criterion has several, should hold once and
//! fail once for an operation that the rule is otherwise about. Rules about capabilities alone do not count: a case asks for an
//! operation, and no operation is decided by them.

use std::collections::BTreeSet;

use serde::Serialize;

use super::asked::Asked;
use super::aspect::{Aspect, aspects, entry_possible, possible};
use super::known::{Given, Known};
use super::matcher::Criterion;
use super::rule::Rule;
use super::set::PolicySet;
use super::tri::Tri;
use super::who::Who;
use super::words::{entry_text, predicate};
use crate::vocab::Principal;

/// What cases have exercised so far.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    met: BTreeSet<Goal>,
}

/// Something a case can exercise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Goal {
    /// Position of the rule.
    rule: usize,
    /// 0 for the rule, then its conditions in order.
    aspect: usize,
    /// 0 for the condition, then its entries or matchers in order.
    atom: usize,
    /// What it should come to.
    holds: bool,
}

/// Something no case exercised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Id of the rule.
    pub rule: String,
    /// Where in the rule; empty for the rule itself.
    pub key: String,
    /// What never happened.
    pub never: String,
}

/// How much of a policy set its cases exercise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CoverageReport {
    /// What could be exercised.
    pub goals: usize,
    /// What was.
    pub met: usize,
    /// The rest, in order of the rules.
    pub gaps: Vec<Gap>,
}

impl CoverageReport {
    /// Rounded down; 100 for a set with nothing to exercise.
    pub fn percent(&self) -> u8 {
        let percent = self.met.saturating_mul(100).checked_div(self.goals).unwrap_or(100);
        u8::try_from(percent).unwrap_or(100)
    }
}

impl Coverage {
    /// Counts one operation.
    pub fn record(&mut self, set: &PolicySet, who: &Principal, asked: &Asked<'_>) {
        // No rule is asked about these.
        if !asked.known || asked.kind.is_hostile() {
            return;
        }
        let known = Known::whole(who, asked);
        for (at, rule) in set.rules.iter().enumerate() {
            if holds(Aspect::Targets, rule, &known) {
                self.record_rule(at, rule, &known);
            }
        }
    }

    fn record_rule(&mut self, at: usize, rule: &Rule, known: &Known<'_>) {
        let mut met = |aspect, atom, truth: Option<Tri>| {
            let holds = match truth {
                Some(Tri::True) => true,
                Some(Tri::False) => false,
                Some(Tri::Unknown) | None => return,
            };
            self.met.insert(Goal { rule: at, aspect, atom, holds });
        };
        met(0, 0, possible(rule, known).known());
        let about = holds(Aspect::Principals, rule, known) && holds(Aspect::Classes, rule, known);
        for (n, aspect) in (1..).zip(aspects(rule)) {
            match aspect {
                Aspect::Principals => {
                    (1..).zip(&rule.who).for_each(|(atom, entry)| met(n, atom, entry_possible(entry, known).known()));
                }
                Aspect::Targets | Aspect::Classes => {}
                Aspect::Argument(criterion) if about => {
                    met(n, 0, aspect.possible(rule, known).known());
                    record_matchers(criterion, rule, known, &mut |atom, truth| met(n, atom, Some(truth)));
                }
                Aspect::Argument(_) => {}
                Aspect::Schedule(_) | Aspect::When(_) if about => met(n, 0, aspect.possible(rule, known).known()),
                Aspect::Schedule(_) | Aspect::When(_) => {}
            }
        }
    }

    /// What was exercised of `set`, and what was not.
    pub fn report(&self, set: &PolicySet) -> CoverageReport {
        let mut report = CoverageReport { goals: 0, met: 0, gaps: Vec::new() };
        for (at, rule) in set.rules.iter().enumerate().filter(|(_, rule)| !rule.names_only_capabilities()) {
            goals(at, rule, &mut |goal, key, never| {
                report.goals += 1;
                if self.met.contains(&goal) {
                    report.met += 1;
                } else {
                    report.gaps.push(Gap { rule: rule.id.to_string(), key, never });
                }
            });
        }
        report
    }
}

fn holds(aspect: Aspect<'_>, rule: &Rule, known: &Known<'_>) -> bool {
    aspect.possible(rule, known).known() == Some(Tri::True)
}

fn record_matchers(criterion: &Criterion, rule: &Rule, known: &Known<'_>, met: &mut dyn FnMut(usize, Tri)) {
    let Given::All(Some(tree)) = &known.arguments else { return };
    let searches = criterion.pointer.searches();
    criterion.pointer.select(tree, &mut |found| {
        for (atom, matcher) in (1..).zip(&criterion.matchers) {
            met(atom, matcher.satisfied(tree, found, rule.quantifier(), searches));
        }
    });
}

/// Everything that can be exercised of a rule, with its place and what to say when it was not.
fn goals(at: usize, rule: &Rule, found: &mut dyn FnMut(Goal, String, String)) {
    let goal = |aspect, atom, holds| Goal { rule: at, aspect, atom, holds };
    found(goal(0, 0, true), String::new(), "matched".to_owned());
    let somebody = rule.who.contains(&Who::Any);
    if !somebody || !rule.arguments.is_empty() || rule.when.is_some() || !rule.schedule.is_always() {
        found(goal(0, 0, false), String::new(), "missed an operation that it names".to_owned());
    }
    for (n, aspect) in (1..).zip(aspects(rule)) {
        match aspect {
            Aspect::Principals => {
                for (atom, entry) in (1..).zip(&rule.who).filter(|(_, entry)| **entry != Who::Any) {
                    found(goal(n, atom, true), format!("principals {}", entry_text(entry)), "was anybody".to_owned());
                }
            }
            Aspect::Targets | Aspect::Classes => {}
            Aspect::Schedule(_) | Aspect::When(_) => {
                let key = if matches!(aspect, Aspect::When(_)) { "when" } else { "schedule" };
                found(goal(n, 0, true), key.to_owned(), "held".to_owned());
                found(goal(n, 0, false), key.to_owned(), "failed".to_owned());
            }
            Aspect::Argument(criterion) => {
                let key = format!("arguments {}", criterion.pointer.canonical());
                found(goal(n, 0, true), key.clone(), "held".to_owned());
                found(goal(n, 0, false), key.clone(), "failed".to_owned());
                if criterion.matchers.len() > 1 {
                    for (atom, matcher) in (1..).zip(&criterion.matchers) {
                        let said = |truth| format!("had a value that {}", predicate(matcher, truth));
                        found(goal(n, atom, true), key.clone(), said(Tri::True));
                        found(goal(n, atom, false), key.clone(), said(Tri::False));
                    }
                }
            }
        }
    }
}
