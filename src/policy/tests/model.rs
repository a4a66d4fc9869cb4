//! A second, slow and obvious reading of the language, and random policies on which both must agree.

use std::fmt::Write as _;

use serde_json::Value;

use super::*;
use crate::vocab::Reason;

/// A rule as random choice makes it; `render` is its only way into the real thing.
#[derive(Clone, Debug)]
pub(super) struct ModelRule {
    id: String,
    allow: bool,
    principals: Vec<&'static str>,
    tools: Vec<&'static str>,
    classes: Vec<Class>,
    arguments: Vec<(&'static str, Matcher)>,
    scope: Option<&'static str>,
}

#[derive(Clone, Debug)]
enum Matcher {
    OneOf(Vec<Value>),
    Glob(&'static str),
    Under(&'static str),
}

pub(super) struct Random(u64);

impl Random {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn some<T: Clone>(&mut self, from: &[T], most: usize) -> Vec<T> {
        let count = 1 + self.below(most);
        (0..count).map(|_| self.pick(from)).collect()
    }
}

const PRINCIPALS: [&str; 6] = ["any", "group:g", "group:h", "sub:al*", "sub:bob", "scope:s"];
const TOOLS: [&str; 6] = ["*", "x__*", "x__read", "y__*", "?__read", "x__r*d"];
const POINTERS: [&str; 4] = ["/a", "/b", "/*", "/**"];
pub(super) const NAMES: [(&str, Class); 4] =
    [("x__read", Class::Read), ("x__write", Class::Write), ("y__read", Class::Read), ("x__wipe", Class::Destructive)];

fn values() -> Vec<Value> {
    vec![json!("x"), json!("xy"), json!(1), json!("/p/q"), json!("/p/../q"), json!(null)]
}

pub(super) fn universe() -> Vec<Value> {
    let mut all =
        vec![json!({}), json!({"a": {"b": "x"}}), json!({"a": ["x", 1]}), json!({"a": "x", "A": "x"}), json!({"c": {"a": 1}})];
    for a in values() {
        all.push(json!({ "b": a }));
        all.push(json!({ "a": a }));
        all.extend(values().into_iter().map(|b| json!({ "a": a, "b": b })));
    }
    all
}

fn random_rule(random: &mut Random, id: usize) -> ModelRule {
    let allow = random.below(5) < 3;
    let matcher = |random: &mut Random| match random.below(4) {
        0 | 1 => Matcher::OneOf(random.some(&values(), 2)),
        2 => Matcher::Glob(random.pick(&["x*", "*", "/p/*", "?"])),
        _ => Matcher::Under(random.pick(&["/p", "/q", "/"])),
    };
    let mut arguments: Vec<(&'static str, Matcher)> = Vec::new();
    for _ in 0..random.below(3) {
        let pointer = random.pick(&POINTERS);
        if arguments.iter().all(|(other, _)| *other != pointer) {
            arguments.push((pointer, matcher(random)));
        }
    }
    let classes = [vec![], vec![Class::Read], vec![Class::Read, Class::Write], vec![Class::Destructive]];
    ModelRule {
        id: format!("r{id}"),
        allow,
        principals: if allow || random.below(2) == 0 { random.some(&PRINCIPALS, 2) } else { Vec::new() },
        tools: if allow || random.below(3) > 0 { random.some(&TOOLS, 2) } else { Vec::new() },
        classes: random.pick(&classes),
        arguments,
        scope: (allow && random.below(4) == 0).then(|| random.pick(&["s", "t"])),
    }
}

pub(super) fn render(rules: &[ModelRule]) -> String {
    let mut out = String::from(
        "version: 1\ngroups:\n  g: { claim: groups, any_of: [g] }\n  h: { claim: groups, any_of: [h, i] }\n\
         tools:\n- { match: ['*__read'], class: read }\n- { match: [x__write], class: write }\n",
    );
    if !rules.is_empty() {
        out.push_str("rules:\n");
    }
    for rule in rules {
        let _ = write!(out, "- {{ id: {}, effect: {}", rule.id, if rule.allow { "allow" } else { "deny" });
        for (key, list) in [("principals", &rule.principals), ("tools", &rule.tools)] {
            if !list.is_empty() {
                let _ = write!(out, ", {key}: {}", json!(list));
            }
        }
        if !rule.classes.is_empty() {
            let _ = write!(out, ", classes: {}", json!(rule.classes));
        }
        if !rule.arguments.is_empty() {
            let matchers = rule.arguments.iter().map(|(pointer, matcher)| {
                let matcher = match matcher {
                    Matcher::OneOf(values) => json!({ "one_of": values }),
                    Matcher::Glob(glob) => json!({ "glob": glob }),
                    Matcher::Under(path) => json!({ "path_under": [path] }),
                };
                ((*pointer).to_owned(), matcher)
            });
            let _ = write!(out, ", arguments: {}", Value::Object(matchers.collect()));
        }
        if let Some(scope) = rule.scope {
            let _ = write!(out, ", require: {{ scope: {scope} }}");
        }
        out.push_str(" }\n");
    }
    out
}

/// `Some(truth)`, or `None` for what cannot be told.
type Truth = Option<bool>;

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|n| glob(rest, &text[n..])),
        Some((b'?', rest)) => !text.is_empty() && glob(rest, &text[1..]),
        Some((c, rest)) => text.first() == Some(c) && glob(rest, &text[1..]),
    }
}

fn principal(entry: &str, who: &Principal) -> bool {
    let groups: Vec<&str> = who.claim_strings("groups").collect();
    match entry {
        "any" => true,
        "group:g" => groups.contains(&"g"),
        "group:h" => groups.contains(&"h") || groups.contains(&"i"),
        "scope:s" => who.has_scope("s"),
        other => glob(other.trim_start_matches("sub:").as_bytes(), who.sub.as_bytes()),
    }
}

fn select(pointer: &str, args: &Value) -> Vec<Value> {
    fn deep(value: &Value, out: &mut Vec<Value>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(key, value)| {
                out.push(json!(key));
                deep(value, out);
            }),
            Value::Array(items) => items.iter().for_each(|value| deep(value, out)),
            scalar => out.push(scalar.clone()),
        }
    }
    match pointer {
        "/*" => args.as_object().unwrap().values().cloned().collect(),
        "/**" => {
            let mut out = Vec::new();
            deep(args, &mut out);
            out
        }
        name => args.pointer(name).cloned().into_iter().collect(),
    }
}

fn holds(matcher: &Matcher, value: &Value, searching: bool, allow: bool) -> Truth {
    let text = match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(_) | Value::Array(_) => None,
        scalar => searching.then(|| scalar.to_string()),
    };
    match matcher {
        Matcher::OneOf(values) => Some(values.contains(value)),
        Matcher::Glob(pattern) => Some(glob(pattern.as_bytes(), text?.as_bytes())),
        Matcher::Under(directory) => {
            let text = text?;
            let doubtful = !text.starts_with('/') || text.contains("..");
            let under = *directory == "/" || text == *directory || text.starts_with(&format!("{directory}/"));
            match doubtful {
                true if *directory == "/" && text == "/p/../q" => Some(true),
                true if allow => Some(false),
                true => None,
                false => Some(under),
            }
        }
    }
}

fn arguments(rule: &ModelRule, args: &Value) -> Truth {
    if rule.arguments.is_empty() {
        return Some(true);
    }
    if args.get("a").is_some() && args.get("A").is_some() {
        return None;
    }
    let mut sum = Some(true);
    for (pointer, matcher) in &rule.arguments {
        let searching = *pointer == "/**";
        let truths: Vec<Truth> = select(pointer, args).iter().map(|v| holds(matcher, v, searching, rule.allow)).collect();
        let decisive = !rule.allow;
        let truth = if truths.is_empty() {
            Some(false)
        } else if truths.contains(&Some(decisive)) {
            Some(decisive)
        } else if truths.contains(&None) {
            None
        } else {
            Some(!decisive)
        };
        match truth {
            Some(false) => return Some(false),
            None => sum = None,
            Some(true) => {}
        }
    }
    sum
}

fn concerns(rule: &ModelRule, who: &Principal, name: &str, class: Class) -> bool {
    let default_classes: &[Class] = if rule.allow { &[Class::Read] } else { &[Class::Read, Class::Write, Class::Destructive] };
    let classes = if rule.classes.is_empty() { default_classes } else { &rule.classes };
    (rule.principals.is_empty() || rule.principals.iter().any(|entry| principal(entry, who)))
        && (rule.tools.is_empty() || rule.tools.iter().any(|pattern| glob(pattern.as_bytes(), name.as_bytes())))
        && classes.contains(&class)
}

/// The reason, visibility left aside.
fn model(rules: &[ModelRule], who: &Principal, name: &str, class: Class, args: &Value, with_scopes: bool) -> Reason {
    let mine = rules.iter().filter(|rule| concerns(rule, who, name, class));
    let judged: Vec<(&ModelRule, Truth)> = mine.map(|rule| (rule, arguments(rule, args))).collect();
    let has = |allow: bool, truth: Truth| judged.iter().any(|(rule, t)| rule.allow == allow && *t == truth);
    let lacking = |(rule, truth): &(&ModelRule, Truth)| {
        rule.allow && *truth == Some(true) && rule.scope.is_some_and(|scope| !who.has_scope(scope))
    };
    if with_scopes && judged.iter().any(lacking) {
        Reason::ScopeRequired
    } else if has(false, Some(true)) {
        Reason::RuleDenied
    } else if has(false, None) {
        Reason::Indeterminate
    } else if has(true, Some(true)) {
        Reason::Allowed
    } else if has(true, None) {
        Reason::Indeterminate
    } else {
        Reason::NoRule
    }
}

pub(super) fn people() -> Vec<Principal> {
    let someone = |sub: &str, groups: &[&str], scopes: &[&str]| Principal {
        sub: Arc::from(sub),
        scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        ..alice(groups)
    };
    vec![
        someone("alice", &[], &[]),
        someone("bob", &["g"], &["s"]),
        someone("carol", &["h", "i"], &["t"]),
        someone("al", &["g", "h"], &["s", "t"]),
    ]
}

pub(super) fn seed() -> Random {
    Random(0x9e37_79b9_7f4a_7c15)
}

pub(super) fn random_policy(random: &mut Random) -> Vec<ModelRule> {
    (0..random.below(6)).map(|id| random_rule(random, id)).collect()
}

#[test]
fn the_model_agrees() {
    let (mut random, people, universe) = (seed(), people(), universe());
    let mut seen = std::collections::BTreeMap::new();
    let mut pairs = 0;
    for _ in 0..800 {
        let rules = random_policy(&mut random);
        let text = render(&rules);
        let set = set(&text);
        for _ in 0..8 {
            let (who, args, (name, class)) = (random.pick(&people), random.pick(&universe), random.pick(&NAMES));
            let got = call(&set, &who, name, &args.to_string()).reason();
            let could = universe.iter().any(|args| model(&rules, &who, name, class, args, false) == Reason::Allowed);
            let shown = visible(&set, &who, &Kind::Tool { name, class, arguments: None }, NOW);
            let cached = visible_for(&set, &set.subject(&who), &who, &Kind::Tool { name, class, arguments: None }, NOW);
            assert_eq!(cached, shown, "{name}");
            assert!(shown || !could, "{name} is hidden from {who:?}, yet could be allowed\n{text}");
            let listable = rules.iter().filter(|rule| rule.allow).all(|rule| {
                rule.arguments.iter().all(|(pointer, matcher)| matches!(matcher, Matcher::OneOf(_)) && !pointer.contains('*'))
            });
            assert!(!listable || shown == could, "{name} is shown to {who:?}, yet nothing could allow it\n{text}");
            let expect = if shown { model(&rules, &who, name, class, &args, true) } else { Reason::NotVisible };
            assert_eq!(got, expect, "{who:?} {name} {args}\n{text}");
            *seen.entry(expect).or_insert(0) += 1;
            pairs += 1;
        }
    }
    assert!(pairs >= 2_000);
    for reason in
        [Reason::NotVisible, Reason::ScopeRequired, Reason::RuleDenied, Reason::Indeterminate, Reason::NoRule, Reason::Allowed]
    {
        assert!(seen.get(&reason).is_some_and(|count| *count >= 20), "{seen:?}");
    }
}

#[test]
fn order_and_files_change_nothing() {
    let (mut random, people, universe) = (seed(), people(), universe());
    for _ in 0..150 {
        let rules = random_policy(&mut random);
        let one = set(&render(&rules));
        let mut shuffled = rules.clone();
        for i in (1..shuffled.len()).rev() {
            shuffled.swap(i, random.below(i + 1));
        }
        let (left, right) = shuffled.split_at(random.below(shuffled.len() + 1));
        let mut right_text = render(right);
        right_text = right_text.replace(right_text.split("rules:").next().unwrap(), "version: 1\n");
        let files = [("b".to_owned(), right_text), ("a".to_owned(), render(left))];
        let two = compile(&files, &Facts { upstreams: &[], issuers: &[] }).unwrap_or_else(|p| panic!("{p:#?}"));
        assert_eq!(one.digest(), two.digest());
        for _ in 0..10 {
            let (who, args, (name, _)) = (random.pick(&people), random.pick(&universe).to_string(), random.pick(&NAMES));
            let (a, b) = (call(&one, &who, name, &args), call(&two, &who, name, &args));
            assert_eq!((a.reason(), a.rules(), a.limits()), (b.reason(), b.rules(), b.limits()));
        }
    }
}

#[test]
fn more_denies_and_fewer_allows_never_allow_more() {
    let (mut random, people, universe) = (seed(), people(), universe());
    for _ in 0..200 {
        let rules = random_policy(&mut random);
        let base = set(&render(&rules));
        let mut stricter = rules.clone();
        let removable = stricter.iter().position(|rule| rule.allow && rule.scope.is_none());
        match removable {
            Some(at) if random.below(2) == 0 => {
                stricter.remove(at);
            }
            _ => stricter.push(ModelRule { allow: false, scope: None, ..random_rule(&mut random, 99) }),
        }
        let strict = set(&render(&stricter));
        for _ in 0..20 {
            let (who, args, (name, _)) = (random.pick(&people), random.pick(&universe).to_string(), random.pick(&NAMES));
            let was = call(&base, &who, name, &args).effect();
            let is = call(&strict, &who, name, &args).effect();
            assert!(is == Effect::Deny || was == Effect::Allow, "{who:?} {name} {args}\n{rules:#?}\n{stricter:#?}");
        }
    }
}
