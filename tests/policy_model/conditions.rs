//! Section 10: conditions of the universe, each with what it means worked out by hand.

use crate::arguments::{collides, is_disguised, same};
use crate::clock::{Moment, moment};
use crate::json::{Json, text};
use crate::language::{Ask, Class, Family};
use crate::text;
use crate::truth::Truth::{self, False, True, Unknown};
use crate::truth::{all, any, seen};

/// What a condition can see.
pub(crate) struct Sight<'a> {
    ask: &'a Ask,
    class: Class,
    args: Json,
    time: Option<Moment>,
}

type Condition = (&'static str, bool, fn(&Sight<'_>) -> Truth);

/// The text, whether it reads `args`, and its meaning.
#[rustfmt::skip]
pub(crate) const CONDITIONS: &[Condition] = &[
    ("principal.sub == \"alice\"", false, |s| (s.ask.who.sub == "alice").into()),
    ("'eng' in principal.groups", false, |s| s.groups().contains(&"eng").into()),
    ("\"s\" in principal.scopes && size(principal.scopes) == 1", false, |s| (s.ask.who.scopes == ["s"]).into()),
    ("principal.issuer == 'https://a.example'", false, |s| (s.ask.who.iss == "https://a.example").into()),
    ("principal.tenant == 'acme'", false, |s| s.claim_is("tenant", "acme")),
    ("has(principal.tenant) && principal.tenant == 'acme'", false, |s| (s.claim_is("tenant", "acme") == True).into()),
    ("has(principal.client_id) ? principal.client_id.endsWith('9') : false", false,
        |s| s.ask.who.client.is_some_and(|client| client.ends_with('9')).into()),
    ("principal.claims.oncall == true", false, |s| s.claim("oncall").map_or(Unknown, |held| (*held == Json::Bool(true)).into())),
    ("!has(principal.claims.oncall)", false, |s| s.claim("oncall").is_none().into()),
    ("tool.class == 'read'", false, |s| (s.class == Class::Read).into()),
    ("tool.upstream == 'files' || tool.kind == 'prompt'", false,
        |s| (s.ask.name.starts_with("files__") || s.ask.family == Family::Prompt).into()),
    ("tool.name.startsWith('files__')", false, |s| s.ask.name.starts_with("files__").into()),
    ("tool.kind == 'resource'", false, |s| (s.ask.family == Family::Resource).into()),
    ("time.hour < 12", false, |s| s.time(|t| t.second_of_day < 12 * 3600)),
    ("time.weekday in ['mon', 'sun'] && time.minute >= 30", false,
        |s| s.time(|t| matches!(t.weekday, 0 | 6) && t.second_of_day % 3600 >= 1800)),
    ("time.year == 2025 && time.month == 10 && time.day == 26", false,
        |s| s.time(|t| (t.year, t.month, t.day) == (2025, 10, 26))),
    ("time.epoch_ms >= 1761440400000 && time.epoch >= 1761440400", false,
        |s| if s.ask.now_ms > 0 { (s.ask.now_ms >= 1_761_440_400_000).into() } else { Unknown }),
    ("route == '/mcp'", false, |s| (s.ask.route == "/mcp").into()),
    ("route.startsWith('/d') || principal.sub == 'bob'", false, |s| (s.ask.route == "/dev" || s.ask.who.sub == "bob").into()),
    ("1 == 1", false, |_| True),
    ("1 == 2", false, |_| False),
    ("args.a == 'x'", true, |s| s.member("a").map_or(Unknown, |a| (*a == text("x")).into())),
    ("has(args.a) && args.a == 'x'", true, |s| s.member("a").map_or(False, |a| (*a == text("x")).into())),
    ("!has(args.a)", true, |s| s.member("a").is_none().into()),
    ("'a' in args", true, |s| s.member("a").is_some().into()),
    ("args.n > 5", true, |s| s.member("n").and_then(number).map_or(Unknown, |n| (n > 5.0).into())),
    ("has(args.n) && args.n == 1", true, |s| s.member("n").map_or(False, |n| same(&Json::Number("1"), n))),
    ("args.a in ['x', 'abc']", true,
        |s| s.member("a").map_or(Unknown, |a| (*a == text("x") || *a == text("abc")).into())),
    ("args.l.exists(i, i == 'x')", true, |s| s.list("l", |items| items.contains(&text("x")))),
    ("has(args.l) && args.l.all(i, i != 'bad')", true,
        |s| if s.member("l").is_none() { False } else { s.list("l", |items| !items.contains(&text("bad"))) }),
    ("size(args.l) > 1", true, |s| match s.member("l") {
        Some(Json::List(items)) => (items.len() > 1).into(),
        Some(Json::Map(members)) => (members.len() > 1).into(),
        Some(Json::Text(text)) => (text.chars().count() > 1).into(),
        _ => Unknown,
    }),
    ("args.a", true, |s| match s.member("a") {
        Some(Json::Bool(value)) => (*value).into(),
        _ => Unknown,
    }),
    ("args.o.k == 'x'", true, |s| s.member("o").and_then(|o| member(o, "k")).map_or(Unknown, |k| (*k == text("x")).into())),
    ("matches(args.a, '^[a-z]+$')", true, |s| s.text("a", |a| text::found("^[a-z]+$", a).into())),
    ("glob(args.a, 'x*')", true, |s| s.text("a", |a| a.starts_with('x').into())),
    ("path_under(args.a, '/srv/pub', '/etc')", true,
        |s| s.text("a", |a| text::is_under(&["/srv/pub", "/etc"], a).map_or(Unknown, Truth::from))),
    ("cidr(args.a, '10.0.0.0/8')", true, |s| s.text("a", |a| text::is_in(&["10.0.0.0/8"], a))),
    ("url_host(args.a) == 'api.example.com'", true,
        |s| s.text("a", |a| text::url(a).map_or(Unknown, |url| (url.host == "api.example.com").into()))),
    ("lower(args.a) == 'bad'", true, |s| s.text("a", |a| (a.to_lowercase() == "bad").into())),
    ("args.a == 'x' || tool.upstream == 'files'", true, |s| {
        let left = s.member("a").map_or(Unknown, |a| (*a == text("x")).into());
        any(&[left, s.ask.name.starts_with("files__").into()])
    }),
    ("principal.sub == 'alice' && args.b == 1", true, |s| {
        all(&[(s.ask.who.sub == "alice").into(), s.member("b").map_or(Unknown, |b| same(&Json::Number("1"), b))])
    }),
];

impl Sight<'_> {
    fn claim(&self, name: &str) -> Option<&Json> {
        self.ask.who.claims.iter().find(|(held, _)| *held == name).map(|(_, value)| value)
    }

    fn claim_is(&self, name: &str, value: &str) -> Truth {
        self.claim(name).map_or(Unknown, |held| (*held == text(value)).into())
    }

    fn groups(&self) -> Vec<&str> {
        self.claim("groups").map_or_else(Vec::new, texts)
    }

    fn time(&self, holds: impl Fn(&Moment) -> bool) -> Truth {
        self.time.as_ref().map_or(Unknown, |time| holds(time).into())
    }

    fn member(&self, key: &str) -> Option<&Json> {
        member(&self.args, key)
    }

    fn text(&self, key: &str, truth: impl Fn(&str) -> Truth) -> Truth {
        match self.member(key) {
            Some(Json::Text(text)) => truth(text),
            _ => Unknown,
        }
    }

    fn list(&self, key: &str, holds: impl Fn(&[Json]) -> bool) -> Truth {
        match self.member(key) {
            Some(Json::List(items)) => holds(items).into(),
            Some(Json::Map(members)) => {
                let keys: Vec<Json> = members.iter().map(|(key, _)| text(key)).collect();
                holds(&keys).into()
            }
            _ => Unknown,
        }
    }
}

fn member<'a>(value: &'a Json, key: &str) -> Option<&'a Json> {
    let Json::Map(members) = value else { return None };
    members.iter().find(|(held, _)| held == key).map(|(_, value)| value)
}

fn number(value: &Json) -> Option<f64> {
    let Json::Number(token) = value else { return None };
    token.parse().ok()
}

fn as_text(value: &Json) -> Option<&str> {
    match value {
        Json::Text(text) => Some(text),
        _ => None,
    }
}

/// The texts of a claim: itself, or those of an array.
pub(crate) fn texts(value: &Json) -> Vec<&str> {
    match value {
        Json::List(items) => items.iter().filter_map(as_text).collect(),
        other => as_text(other).into_iter().collect(),
    }
}

/// The truth of condition `which`.
pub(crate) fn truth(which: usize, ask: &Ask, class: Class) -> Truth {
    let (text, reads_args, meaning) = CONDITIONS[which];
    let args = ask.args.clone().unwrap_or_else(|| Json::Map(Vec::new()));
    let unreadable = reads_args && (collides(&args) || asks_for_disguised(text, &args));
    let truth = if unreadable { Unknown } else { meaning(&Sight { ask, class, args, time: moment(ask.now_ms) }) };
    seen("when", &format!("{truth:?}"));
    seen("condition", text);
    truth
}

/// Whether a condition asks if a member is there that is not, but a key like it.
fn asks_for_disguised(text: &str, args: &Json) -> bool {
    let Json::Map(members) = args else { return false };
    let asked = |name: &str| text.contains(&format!("has(args.{name})")) || text.contains(&format!("'{name}' in args"));
    let found = ["a", "n", "l"].into_iter().any(|name| asked(name) && is_disguised(members, name));
    if found {
        seen("condition", "a disguise");
    }
    found
}

/// Whether condition `which` reads `args`.
pub(crate) fn reads_args(which: usize) -> bool {
    CONDITIONS[which].1
}

/// Whether condition `which` reads `tool`.
pub(crate) fn reads_tool(which: usize) -> bool {
    CONDITIONS[which].0.contains("tool.")
}
