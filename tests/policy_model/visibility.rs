//! Section 17: what must be shown, what must be hidden, and what an implementation may do either way with.

use crate::json::Json;
use crate::language::{Ask, Family, Matcher, Policy, Rule};
use crate::truth::Truth::{self, False, True};
use crate::truth::{seen, silently};
use crate::{clock, conditions};

/// Combinations of listable values that are tried.
const COMBINATIONS_MAX: usize = 256;

impl Policy {
    fn is_open(&self, rule: &Rule, ask: &Ask) -> bool {
        let when =
            rule.when.is_none_or(|which| reads_args(which, ask) || conditions::truth(which, ask, self.class_of(ask)) == True);
        let arguments = ask.family != Family::Resource || rule.arguments.iter().all(|(_, matchers)| is_absent(matchers));
        clock::truth(&rule.schedule, ask.now_ms) == True && when && arguments
    }

    fn is_closed(&self, rule: &Rule, ask: &Ask) -> bool {
        let when =
            rule.when.is_none_or(|which| !reads_args(which, ask) && conditions::truth(which, ask, self.class_of(ask)) != False);
        rule.arguments.is_empty() && clock::truth(&rule.schedule, ask.now_ms) != False && when
    }

    /// Whether showing (or hiding) the name is right, if `rules` are those that count.
    pub(crate) fn may_be(&self, rules: &[&Rule], ask: &Ask, shown: bool, universe: &[Json]) -> Result<(), String> {
        silently(|| {
            if shown {
                self.must_hide(rules, ask).map_or(Ok(()), |why| Err(format!("{} is shown, though {why}", ask.name)))
            } else {
                let witness = self.witness(rules, ask, universe);
                witness.map_or(Ok(()), |args| Err(format!("{} is hidden, though {args:?} would be allowed", ask.name)))
            }
        })
    }

    fn must_hide(&self, rules: &[&Rule], ask: &Ask) -> Option<String> {
        if Self::is_unknown(&Ask { known: true, ..ask.clone() }) {
            return Some("its URI is hostile".to_owned());
        }
        let (allows, denies): (Vec<&Rule>, Vec<&Rule>) =
            rules.iter().copied().filter(|rule| self.is_about(rule, ask)).partition(|rule| rule.allow);
        let open: Vec<&Rule> = allows.into_iter().filter(|rule| self.is_open(rule, ask)).collect();
        if open.is_empty() {
            return Some("no allow rule about it is open".to_owned());
        }
        if let Some(deny) = denies.iter().find(|rule| self.is_closed(rule, ask)) {
            return Some(format!("{} denies it whatever the arguments", deny.id));
        }
        if ask.family == Family::Resource || denies.iter().any(|rule| is_fickle(rule)) {
            return None;
        }
        let fails = |rule: &&Rule| {
            let Some(combinations) = combinations(rule) else { return false };
            let passes = |args: &Json| {
                let ask = Ask { args: Some(args.clone()), ..ask.clone() };
                denies.iter().all(|deny| self.truth(deny, &ask) == False)
            };
            rule.when.is_none() && !combinations.iter().any(passes)
        };
        open.iter().all(fails).then(|| "every value that an allow rule accepts is denied".to_owned())
    }

    /// Arguments with which the operation would be allowed, scopes aside.
    fn witness(&self, rules: &[&Rule], ask: &Ask, universe: &[Json]) -> Option<Option<Json>> {
        let allowed = |args: Option<&Json>| {
            let ask = Ask { args: args.cloned(), known: true, ..ask.clone() };
            let truths: Vec<(bool, Truth)> = rules.iter().map(|rule| (rule.allow, self.truth(rule, &ask))).collect();
            let refused = truths.iter().any(|(allow, truth)| !allow && *truth != False);
            !Self::is_unknown(&ask) && !refused && truths.contains(&(true, True))
        };
        if allowed(None) {
            return Some(None);
        }
        let is_shut = |rule: &&Rule| !rule.allow && self.is_about(rule, ask) && self.is_closed(rule, ask);
        let may_open = |rule: &&Rule| rule.allow && self.is_about(rule, ask) && self.is_open(rule, ask);
        if ask.family == Family::Resource || rules.iter().any(is_shut) || !rules.iter().any(may_open) {
            return None;
        }
        let mut tries: Vec<Json> = universe.to_vec();
        tries.extend(ask.args.clone());
        for rule in rules.iter().filter(|rule| rule.allow) {
            for made in combinations(rule).unwrap_or_default() {
                let Json::Map(mut members) = made.clone() else { continue };
                members.push(("zz".to_owned(), Json::Number("7")));
                tries.extend([made, Json::Map(members)]);
            }
        }
        tries.into_iter().find(|args| allowed(Some(args))).map(Some)
    }
}

/// The arguments of a resource are known: there are none.
fn reads_args(which: usize, ask: &Ask) -> bool {
    conditions::reads_args(which) && ask.family != Family::Resource
}

fn is_absent(matchers: &[Matcher]) -> bool {
    matches!(matchers, [Matcher::Absent])
}

/// Whether more arguments can make a deny rule false that was not: then listing the least arguments proves nothing.
fn is_fickle(rule: &Rule) -> bool {
    let whole = |value: &Json| matches!(value, Json::Map(_) | Json::List(_));
    let fickle = |matcher: &Matcher| match matcher {
        Matcher::Absent => true,
        Matcher::Equals(value) => whole(value),
        Matcher::OneOf(values) => values.iter().any(whole),
        _ => false,
    };
    rule.when.is_some_and(conditions::reads_args) || rule.arguments.iter().any(|(_, matchers)| matchers.iter().any(fickle))
}

/// The least arguments that can meet a rule all of whose criteria are lists of values at plain pointers; `None` for other rules.
fn combinations(rule: &Rule) -> Option<Vec<Json>> {
    let mut out: Vec<Vec<(String, Json)>> = vec![Vec::new()];
    for (pointer, matchers) in &rule.arguments {
        let values: Vec<Json> = match &matchers[..] {
            [Matcher::Equals(value)] => vec![value.clone()],
            [Matcher::OneOf(values)] => values.clone(),
            _ => return None,
        };
        // One step deep, so that no two criteria can meet.
        let name = pointer.strip_prefix('/').filter(|name| name.bytes().all(|b| b.is_ascii_lowercase()) && !name.is_empty())?;
        let with = |args: &Vec<(String, Json)>| {
            values.iter().map(|value| [args.clone(), vec![(name.to_owned(), value.clone())]].concat()).collect::<Vec<_>>()
        };
        out = out.iter().flat_map(with).collect();
        if out.len() > COMBINATIONS_MAX {
            return None;
        }
    }
    seen("visibility", "listed");
    (!rule.arguments.is_empty()).then(|| out.into_iter().map(Json::Map).collect())
}
