//! Principals made up from a policy: one for each way its rules can mean somebody.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::glob::Glob;
use super::set::PolicySet;
use super::who::{Group, KEY_PREFIX, Who};
use crate::vocab::Principal;
use crate::vocab::principal::KEY_ISSUER;

/// A principal with a name for tables.
#[derive(Clone, Debug)]
pub struct Person {
    /// How to call it.
    pub label: String,
    /// Who it is.
    pub who: Principal,
    /// It stands for everybody who is at least this.
    pub made_up: bool,
}

/// Subject of principals that are made up.
const SOMEBODY: &str = "somebody";
/// Principals made up of two, at most.
const PAIRS_MAX: usize = 256;

impl Person {
    /// A principal called after what is known of it.
    pub fn of(who: Principal) -> Self {
        let mut label = who.sub.to_string();
        let groups: Vec<&str> = who.claim_strings("groups").collect();
        for (key, values) in [("groups", groups), ("scopes", who.scopes.iter().map(|scope| &**scope).collect())] {
            if !values.is_empty() {
                label.push_str(&format!(" {key}={}", values.join(",")));
            }
        }
        if let Some(client) = &who.client_id {
            label.push_str(&format!(" client={client}"));
        }
        Self { label, who, made_up: false }
    }

    /// Whether a policy cannot tell the two apart.
    pub fn is_same(&self, other: &Self) -> bool {
        let (a, b) = (&self.who, &other.who);
        a.key() == b.key() && a.client_id == b.client_id && a.scopes == b.scopes && a.claims == b.claims
    }
}

/// `all`, each once. Of two with one label, the later one says what it is besides.
pub fn distinct(all: impl IntoIterator<Item = Person>) -> Vec<Person> {
    let mut distinct: Vec<Person> = Vec::new();
    for mut person in all {
        if distinct.iter().any(|known| known.is_same(&person)) {
            continue;
        }
        if distinct.iter().any(|known| known.label == person.label) {
            let claims = person.who.claims.iter().map(|(name, value)| match value {
                Value::Array(values) => {
                    let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
                    format!("{name}={}", texts.join(","))
                }
                other => format!("{name}={other}"),
            });
            let client = person.who.client_id.iter().map(|client| format!("client={client}"));
            let said: Vec<String> = claims.chain(client).collect();
            person.label = format!("{} ({})", person.label, said.join(" "));
        }
        distinct.push(person);
    }
    distinct
}

/// One principal per entry of any rule's `principals`, one per value a group's claim may have, somebody whom no rule names, and
/// nobody (anonymous).
pub fn people(set: &PolicySet) -> Vec<Person> {
    let issuer = set.issuers.first().map_or("https://issuer.example", |issuer| issuer);
    let plain = Principal { iss: Arc::from(issuer), sub: Arc::from(SOMEBODY), anonymous: false, ..Principal::anonymous() };
    let mut entries: Vec<&Who> = set.rules.iter().flat_map(|rule| rule.who.iter()).collect();
    entries.sort();
    entries.dedup();
    let mut people: Vec<Person> = entries.into_iter().flat_map(|entry| made_up(entry, &plain)).collect();
    people.push(Person { label: "anybody signed in".to_owned(), who: plain, made_up: true });
    people.push(Person { label: "anonymous".to_owned(), who: Principal::anonymous(), made_up: false });
    people
}

fn made_up(entry: &Who, plain: &Principal) -> Vec<Person> {
    let label = super::words::entry_text(entry);
    let one = |who| vec![Person { label: label.clone(), who, made_up: true }];
    match entry {
        Who::Any => Vec::new(),
        Who::Group(group) => members(group, plain),
        Who::Sub { issuer, glob } => {
            let sub = sample(glob);
            let iss = match issuer {
                Some(issuer) => Arc::from(&**issuer),
                None if sub.starts_with(KEY_PREFIX) => Arc::from(KEY_ISSUER),
                None => plain.iss.clone(),
            };
            one(Principal { iss, sub: sub.into(), ..plain.clone() })
        }
        Who::Client(glob) => one(Principal { client_id: Some(sample(glob).into()), ..plain.clone() }),
        Who::Scope(scope) => one(Principal { scopes: vec![scope.clone()], ..plain.clone() }),
    }
}

/// One member for each value and client that makes one.
fn members(group: &Group, plain: &Principal) -> Vec<Person> {
    let iss = group.issuers.first().map_or_else(|| plain.iss.clone(), |issuer| Arc::from(&**issuer));
    let values: Vec<Option<&str>> = match &group.claim {
        Some((_, values)) => values.iter().map(|value| Some(&**value)).collect(),
        None => vec![None],
    };
    let clients: Vec<Option<&Glob>> =
        if group.clients.is_empty() { vec![None] } else { group.clients.iter().map(Some).collect() };
    let mut people = Vec::new();
    for value in &values {
        for client in &clients {
            let mut claims = Map::new();
            if let (Some((claim, _)), Some(value)) = (&group.claim, value) {
                claims.insert(claim.to_string(), Value::from(vec![*value]));
            }
            let client_id = client.map(|glob| Arc::from(sample(glob)));
            let who = Principal { iss: iss.clone(), client_id, claims, ..plain.clone() };
            let mut label = format!("group:{}", group.name);
            let which: Vec<&str> = value.iter().copied().filter(|_| values.len() > 1).collect();
            let which = which.into_iter().map(str::to_owned).chain(client.filter(|_| clients.len() > 1).map(Glob::canonical));
            let which: Vec<String> = which.collect();
            if !which.is_empty() {
                label.push_str(&format!("[{}]", which.join(",")));
            }
            people.push(Person { label, who, made_up: true });
        }
    }
    people
}

/// A text that the glob matches: itself, its wildcards standing for themselves.
fn sample(glob: &Glob) -> String {
    glob.literal().map_or_else(|| glob.canonical(), str::to_owned)
}

/// Principals who are two of `people` at once, of those who can be: rules can meet in one person that no single entry shows.
pub(super) fn pairs(people: &[Person]) -> Vec<(usize, usize, Person)> {
    let mut pairs = Vec::new();
    for (a, one) in people.iter().enumerate() {
        for (b, other) in people.iter().enumerate().skip(a + 1) {
            if pairs.len() >= PAIRS_MAX {
                return pairs;
            }
            let label = format!("{} + {}", one.label, other.label);
            pairs.extend(joined(&one.who, &other.who).map(|who| (a, b, Person { label, who, made_up: true })));
        }
    }
    pairs
}

fn joined(a: &Principal, b: &Principal) -> Option<Principal> {
    let made_up = |who: &Principal| !who.anonymous && &*who.sub == SOMEBODY;
    let says_something = |who: &Principal| who.client_id.is_some() || !who.scopes.is_empty() || !who.claims.is_empty();
    let fits = made_up(a) && made_up(b) && a.iss == b.iss && says_something(a) && says_something(b);
    if !fits || (a.client_id.is_some() && b.client_id.is_some() && a.client_id != b.client_id) {
        return None;
    }
    let mut both = a.clone();
    both.client_id = both.client_id.or_else(|| b.client_id.clone());
    both.scopes.extend(b.scopes.iter().filter(|scope| !a.has_scope(scope)).cloned());
    for (name, value) in &b.claims {
        let mut values: Vec<Value> = both.claims.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        values.extend(value.as_array().into_iter().flatten().cloned());
        values.dedup();
        both.claims.insert(name.clone(), Value::Array(values));
    }
    Some(both)
}
