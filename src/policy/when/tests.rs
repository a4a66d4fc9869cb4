use serde_json::json;
use std::sync::Arc;

use super::super::asked::{Kind, Moment};
use super::super::rule::Arguments;
use super::*;
use crate::vocab::{Class, Principal};

/// A Saturday, 2026-11-21T14:05:09.250Z.
const NOW: i64 = 1_795_269_909_250;

fn someone() -> Principal {
    let claims = json!({ "groups": ["support", "eng"], "tenant": "acme", "amr": ["pwd", "mfa"], "level": 3, "ratio": 0.5, "deep": { "a": null }, "act": { "sub": "agent", "act": { "sub": "robot" } } });
    Principal {
        iss: Arc::from("https://idp.example"),
        sub: Arc::from("alice"),
        client_id: Some(Arc::from("agent")),
        scopes: vec!["mcp:read".into()],
        claims: claims.as_object().unwrap().clone(),
        expires_at_s: None,
        key_id: None,
        anonymous: false,
    }
}

fn parse(text: &str) -> When {
    When::parse(text).unwrap_or_else(|flaws| panic!("{text}: {flaws:?}"))
}

fn holds_for(when: &str, who: &Principal, args: Option<&str>, now_unix_ms: i64) -> Tri {
    let arguments = args.map(Arguments::new);
    let kind = Kind::Tool { name: "files__read", class: Class::Write, arguments: None };
    let moment = Moment { now_unix_ms, route: "/mcp" };
    parse(when).holds(&Scene::new(who, moment, Some(&kind), arguments.as_ref()))
}

fn holds(when: &str, args: &str) -> Tri {
    holds_for(when, &someone(), Some(args), NOW)
}

const ARGS: &str = r#"{"path":"/srv/a/b","n":5,"big":9223372036854775808,"f":1.5,"w":2.0,"t":"Ünï","on":true,"none":null,
    "list":[1,2,3],"tags":["a","b"],"items":[{"id":"x","price":2},{"id":"y","price":9.5}],"url":"https://API.Example.com:8443/v1",
    "ip":"10.1.2.3","mapped":"::ffff:10.1.2.3","odd":"0x0a.1","hostile":"/srv/../etc","s":"a\"\\/b"}"#;

#[test]
fn conditions_are_true_false_or_unknown() {
    use Tri::{False, True, Unknown};
    for (when, expect) in [
        ("true", True),
        ("principal.sub == 'alice' && principal.issuer == \"https://idp.example\"", True),
        ("principal.client_id == 'agent' && principal.tenant == 'acme'", True),
        ("has(principal.actor) && principal.actor == 'agent' && principal.claims.act.act.sub == 'robot'", True),
        ("has(principal.tenant) && has(principal.client_id) && has(principal.sub)", True),
        ("'eng' in principal.groups && !('root' in principal.groups)", True),
        ("principal.groups[0] == 'support' && size(principal.groups) == 2", True),
        ("principal.scopes.exists(s, s.startsWith('mcp:'))", True),
        ("'mfa' in principal.claims.amr && principal.claims['level'] >= 3", True),
        ("principal.claims.ratio == 0.5 && principal.claims.deep.a == null", True),
        ("principal.claims.absent == 1", Unknown),
        ("has(principal.claims.absent)", False),
        ("has(principal.claims.absent) && principal.claims.absent == 1", False),
        ("tool.name == 'files__read' && tool.upstream == 'files' && tool.class == 'write' && tool.kind == 'tool'", True),
        ("tool.class in ['read', 'write']", True),
        ("route == '/mcp'", True),
        (
            "time.year == 2026 && time.month == 11 && time.day == 21 && time.hour == 14 && time.minute == 5 && time.second == 9",
            True,
        ),
        ("time.weekday == 'sat' && time.epoch == 1795269909 && time.epoch_ms == 1795269909250", True),
        ("args.n == 5 && args.n == 5.0 && args.n < 5.5 && args.n in [4, 5]", True),
        ("args.w == 2 && args.w + 1 == 3", True),
        ("args.big > 9000000000000000000 && args.big > args.n", True),
        ("args.f * 2.0 == 3.0", True),
        ("args.f * 2 == 3", Unknown),
        ("args.n == '5'", False),
        ("args.n < '5'", Unknown),
        ("args.on", True),
        ("args.n", Unknown),
        ("args.on ? args.n > 1 : args.absent", True),
        ("args.none == null", True),
        ("args.absent == 1", Unknown),
        ("args.absent == 1 || true", True),
        ("args.absent == 1 && false", False),
        ("!(args.absent == 1)", Unknown),
        ("args.n.deeper == 1", Unknown),
        ("has(args.path) && !has(args.absent)", True),
        ("args.list[7] == 1", Unknown),
        ("args['n'] == 5", True),
        ("size(args.t) == 3 && args.t.size() == 3 && lower(args.t) == 'ünï'", True),
        ("args.s == 'a\"\\\\/b' && args.s == r'''a\"\\/b'''", True),
        ("args.path.startsWith('/srv/') && args.path.endsWith('b') && args.path.contains('/a/')", True),
        ("args.list.all(x, x > 0) && args.list.exists(x, x == 2) && args.list.exists_one(x, x == 3)", True),
        ("args.list.all(x, x > 1)", False),
        ("args.list.map(x, x * 2) == [2, 4, 6] && args.list.filter(x, x > 1) == [2, 3]", True),
        ("args.items.all(i, i.price < 10) && args.items.map(i, i.id).all(i, i in ['x', 'y'])", True),
        ("args.items.exists(i, args.tags.exists(t, t == i.id))", False),
        ("args.items.all(i, has(i.id))", True),
        ("args.none.all(x, x)", Unknown),
        ("args.list.all(x, x)", Unknown),
        ("args.exists(k, k == 'path')", True),
        ("string(args.n) == '5' && int('7') == 7 && double(args.n) == 5.0", True),
        ("int(args.path) == 1", Unknown),
        ("1 / (args.n - 5) == 1", Unknown),
        ("args.n % 0 == 1", Unknown),
        ("9223372036854775807 + args.n > 0", Unknown),
        ("matches(args.path, '^/srv/[ab]/') && args.path.matches('b$')", True),
        ("matches(args.n, 'x')", Unknown),
        ("glob(args.path, '/srv/*') && !args.path.glob('/etc/*')", True),
        ("path_under(args.path, '/etc', '/srv')", True),
        ("path_under(args.path, '/etc')", False),
        ("path_under(args.hostile, '/srv')", Unknown),
        ("!path_under(args.hostile, '/srv')", Unknown),
        ("url_host(args.url) == 'api.example.com'", True),
        ("url_host(args.path) == 'x'", Unknown),
        ("cidr(args.ip, '10.0.0.0/8') && cidr(args.mapped, '10.1.2.0/24') && !cidr(args.ip, '10.2.0.0/16')", True),
        ("cidr(args.ip, '::/0')", False),
        ("cidr(args.path, '0.0.0.0/0')", False),
        ("cidr(args.odd, '10.0.0.0/8')", Unknown),
        ("// a remark\n true", True),
    ] {
        assert_eq!(holds(when, ARGS), expect, "{when}");
    }
}

#[test]
fn what_is_absent_is_unknown_unless_asked_for() {
    let nobody = Principal::anonymous();
    for (when, args, now, expect) in [
        ("principal.tenant == 'acme'", None, NOW, Tri::Unknown),
        ("has(principal.tenant)", None, NOW, Tri::False),
        ("has(principal.client_id) && principal.client_id == 'x'", None, NOW, Tri::False),
        ("principal.client_id != 'x'", None, NOW, Tri::Unknown),
        ("principal.groups == [] && size(principal.claims) == 0", None, NOW, Tri::True),
        ("!has(args.path) && size(args) == 0", None, NOW, Tri::True),
        ("args.path == 'x'", None, NOW, Tri::Unknown),
        ("args.path == 'x'", Some(r#"{"path":"x"}"#), NOW, Tri::True),
        ("time.hour < 24", None, 0, Tri::Unknown),
        ("time.epoch_ms > 0", None, -1, Tri::Unknown),
        ("time.year > 0", None, i64::MAX, Tri::Unknown),
        ("principal.sub == 'anonymous'", None, 0, Tri::True),
    ] {
        assert_eq!(holds_for(when, &nobody, args, now), expect, "{when}");
    }
    let mut numeric_tenant = someone();
    numeric_tenant.claims.insert("tenant".to_owned(), json!(7));
    assert_eq!(holds_for("has(principal.tenant)", &numeric_tenant, None, NOW), Tri::False);
}

#[test]
fn arguments_that_readers_may_read_otherwise_are_unknown_altogether() {
    let many = format!("{{\"a\":[{}0]}}", "0,".repeat(100_001));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    for args in [r#"{"path":1,"Path":2}"#, r#"{"a":1e999}"#, r#"{"a":"x","b":{"k":1,"K":2}}"#, &many, &deep] {
        assert_eq!(holds("true || args.a == 1", args), Tri::Unknown);
        assert_eq!(holds("route == '/mcp'", args), Tri::True, "who does not look is not confused");
    }
}

#[test]
fn costs_are_bounded_before_they_arise() {
    let list = |n: usize| format!("{{\"a\":[{}],\"t\":\"x\"}}", vec!["1"; n].join(","));
    let text = |n: usize| format!("{{\"a\":[1],\"t\":\"{}\"}}", "x".repeat(n));
    let twice = "args.a.all(x, args.a.all(y, x <= y))";
    let grown = format!("size({}) > 0", ["args.t"; 40].join(" + "));
    let doubled = format!("size([args.t]{}) > 0", ".map(x, x + x)".repeat(18));
    let nested = format!("size([1]{}) > 0", ".map(x, [x, x])".repeat(18));
    let crossed = "args.a.exists(x, x + 1 in args.a)";
    for (when, args, expect) in [
        ("args.a.all(x, x == 1)", list(19_000), Tri::True),
        ("args.a.all(x, x == 1)", list(21_000), Tri::Unknown),
        (twice, list(130), Tri::True),
        (twice, list(150), Tri::Unknown),
        ("args.a.all(x, x == 1) && size(args.t) > 0", text(60_000), Tri::True),
        ("args.a.all(x, x == 1) && size(args.t) > 0", text(70_000), Tri::Unknown),
        ("size(args.t) > 0", text(900_000), Tri::True),
        (&grown, text(1_000), Tri::True),
        (&grown, text(900_000), Tri::Unknown),
        (&doubled, list(1), Tri::Unknown),
        (&nested, list(1), Tri::Unknown),
        (crossed, list(100), Tri::False),
        (crossed, list(5_000), Tri::Unknown),
        ("args.a.map(x, args.a).map(y, y + y).exists(z, z == [])", list(300), Tri::Unknown),
    ] {
        assert_eq!(holds(when, &args), expect, "{when} {}", args.len());
    }
}

#[test]
fn spelling_is_not_meaning() {
    for (a, b, same) in [
        ("args.n==5&&true", "args . n == 5  // five\n && true", true),
        ("'a b' == 'a b'", "'a b'=='a b'", true),
        ("'a b' == 'a b'", "'a  b' == 'a b'", false),
        ("'//' == '//'", "'//'=='//'", true),
        ("r'\\' == r'\\' // '\n", "r'\\'==r'\\'", true),
        ("1 in [1]", "1 in[1]", true),
        ("args.n == 1", "args.n == 2", false),
    ] {
        assert_eq!(parse(a).canonical() == parse(b).canonical(), same, "{a} | {b}");
    }
}

#[test]
fn mistakes_are_told_with_their_place_and_a_hint() {
    for (when, at, value, message, hint) in [
        ("", None, "", "no expression", ""),
        ("args.n ==", None, "", "no expression", ""),
        ("principal.grups == []", Some(10), "grups", "no field `grups`", "did you mean `groups`?"),
        ("true && tool.clas == 'read'", Some(13), "clas", "no field `clas`", "did you mean `class`?"),
        ("has(principal.tenat)", Some(4), "tenat", "no field", "did you mean `tenant`?"),
        ("principle.sub == ''", Some(0), "principle", "unknown name", "did you mean `principal`?"),
        ("alice == principal.sub", Some(0), "alice", "unknown name `alice`", "a text stands in quotes"),
        ("size(principal) > 0", Some(5), "principal", "say which of its fields", "sub"),
        ("principal['sub'] == ''", Some(9), "principal", "its fields are fixed", "principal.sub"),
        ("principal.sub.x == ''", Some(14), "x", "a text has no fields", ""),
        ("principal.sub == null", Some(14), "==", "can never hold", "has("),
        ("time.hour == '9'", Some(10), "==", "between a whole number and a text", "int(x)"),
        ("time.hour < 'x'", Some(10), "<", "can never hold", ""),
        ("time.hour + 1.0 > 2.0", Some(10), "+", "can never hold", "double(x)"),
        ("principal.sub + 1 == ''", Some(14), "+", "can never hold", "string(x)"),
        ("tool.class == 'reed'", Some(14), "reed", "never \"reed\"", "did you mean `read`?"),
        ("time.weekday in ['sat', 'sunday']", Some(24), "sunday", "never", "one of: mon, tue"),
        ("5 in principal.groups", Some(2), "in", "can never hold", ""),
        ("'a' in principal.sub", Some(4), "in", "not into a text", "contains"),
        ("principal.sub", Some(0), "principal.sub", "gives true or false, this gives a text", ""),
        ("size(args)", Some(0), "size(args)", "this gives a whole number", ""),
        ("principal.sub && true", Some(10), "", "true or false, not a text", ""),
        ("!time.hour", None, "", "true or false, not a whole number", ""),
        ("args.l.all(x, size(x))", None, "", "the test of `all` and `exists` is true or false", ""),
        ("principal.sub.all(x, true)", Some(17), "", "cannot go through a text", ""),
        ("startWith(route, '/')", Some(9), "startWith", "unknown function", "did you mean `startsWith`?"),
        ("startsWith(route, '/')", Some(10), "startsWith", "not called like this", "text.startsWith(text)"),
        ("size(route, route) > 0", Some(4), "size", "does not take 2", "size("),
        ("route.contains() ", Some(14), "contains", "does not take 1", ""),
        ("route.contains(5)", Some(15), "contains", "takes a text, not a whole number", ""),
        ("size(5) > 0", Some(4), "size", "does not take a whole number", ""),
        ("args.l.all(x)", Some(10), "all", "not called like this", "list.all(x, ..)"),
        ("matches(route, args.p)", Some(20), "", "pattern as a text in quotes", "matches("),
        ("matches(route, '(')", Some(15), "(", "not a regular expression", ""),
        ("matches(route, '(a{1000}){1000}')", Some(15), "(a{1000}){1000}", "compiles to more than", ""),
        ("glob(route, '')", Some(12), "", "empty pattern", ""),
        ("path_under(route, '/a', 'b')", Some(18), "/a", "absolute path", ""),
        ("cidr(route, '10.0.0.1/8')", Some(12), "10.0.0.1/8", "beyond the prefix", ""),
        ("cidr(route, '10.0.0.0/33')", Some(12), "10.0.0.0/33", "not a network", ""),
        ("url_host(5) == ''", Some(8), "url_host", "does not take a whole number", ""),
        ("type(args) == type(route)", Some(4), "type", "unknown function", ""),
        ("b'x' == b'x'", None, "", "bytes", ""),
        ("Foo{a: 1} == Foo{a: 1}", None, "Foo", "no messages", ""),
        ("args.?x == 1", None, "", "no expression", ""),
        ("[1].all(args, true)", Some(7), "args", "already means something", ""),
        ("[1].all(x, [1].all(x, true))", None, "x", "already means something", ""),
        ("[1].all(x, [1].all(y, [1].all(z, true)))", None, "", "nested more than 2 deep", ""),
        ("'ü' == 'ü' && principal.grups == []", Some(26), "grups", "no field", ""),
    ] {
        let flaws = When::parse(when).err().unwrap_or_else(|| panic!("{when} was taken"));
        let flaw = flaws.first().unwrap();
        let place = at.is_none() || flaw.at == at;
        assert!(place && flaw.value == value && flaw.message.contains(message) && flaw.hint.contains(hint), "{when}: {flaws:?}");
    }
}

#[test]
fn every_mistake_is_told_once() {
    let flaws = When::parse("principal.grups == args.x + nobody && tool.clas == 'x'").unwrap_err();
    assert_eq!(flaws.iter().map(|flaw| flaw.value.as_str()).collect::<Vec<_>>(), ["grups", "nobody", "clas"]);
}

#[test]
fn hostile_texts_are_refused_and_break_nothing() {
    let wrapped = |open: &str, close: &str, n: usize| format!("{}true{}", open.repeat(n), close.repeat(n));
    let texts = [
        wrapped("(", ")", 900),
        wrapped("[", "]", 900),
        wrapped("{1:", "}", 400),
        wrapped("!", "", 1_900),
        format!("{}1 == 1", "-".repeat(1_900)),
        wrapped("true?", ":true", 180),
        format!("true{}", "?true:true".repeat(180)),
        format!("args{}", ".a".repeat(900)),
        format!("args{}", "[0]".repeat(600)),
        format!("1{} > 0", "+1".repeat(900)),
        format!("true{}", " && true".repeat(250)),
        format!("args{}", ".map(x,x)".repeat(200)),
        format!("size({}) > 0", ["'x'"; 400].join("+")),
        "9".repeat(2_000),
        format!("{}e{}", "9".repeat(1_000), "9".repeat(1_000)),
        format!("'{}", "a".repeat(2_000)),
        "\\".repeat(2_000),
        "'''".to_owned(),
        "\u{0}\u{7}\u{202e}".to_owned(),
        "@result == 1".to_owned(),
        "`principal.sub` == ''".to_owned(),
        "a.b.c.d(e)(f)".to_owned(),
        "args.a.all(x.y, true)".to_owned(),
        "has(args)".to_owned(),
        "x".repeat(2_049),
        format!("matches(route, '{}')", "(".repeat(1_500)),
        format!("matches(route, '{}')", "a{1,1000}".repeat(20)),
    ];
    for text in &texts {
        let flaws = When::parse(text).err();
        assert!(flaws.is_some_and(|flaws| !flaws.is_empty()), "{text}");
    }
    // At the bounds: within the stack of any thread, with frames as large as those of a debug build.
    for text in [
        wrapped("(", ")", 16),
        wrapped("!", "", 41),
        format!("true{}", " && true".repeat(60)),
        format!("1{} > 0", " + 1".repeat(45)),
        format!("true{}", " ? true : true".repeat(15)),
        format!("{}1{} != [2]", "[".repeat(16), "]".repeat(16)),
        format!("{}'x'{} == 'x'", "lower(".repeat(16), ")".repeat(16)),
    ] {
        assert_ne!(holds(&text, "{}"), Tri::Unknown, "{text}");
    }
}

#[test]
fn any_text_is_read_or_refused_without_harm() {
    let parts = [
        "args",
        ".a",
        "[0]",
        "(",
        ")",
        "principal",
        ".sub",
        "==",
        "&&",
        "!",
        "'x'",
        "5",
        "1.5",
        ".all(x,",
        "x",
        "in",
        "[",
        "]",
        ",",
        "{",
        "}",
        ":",
        "?",
        "size(",
        "matches(",
        "+",
        "-",
        "/",
        "%",
        "null",
        "true",
        "has(",
        ".map(y,",
        "\"",
        "'",
        "\\",
        "\n",
        "//",
        "é",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % n
    };
    let mut taken = 0;
    for _ in 0..3_000 {
        let text: String = (0..=next(14)).map(|_| parts.get(next(parts.len())).copied().unwrap()).collect();
        if let Ok(when) = When::parse(&text) {
            let (who, arguments) = (someone(), Arguments::new(ARGS));
            let moment = Moment { now_unix_ms: NOW, route: "/mcp" };
            let _ = when.holds(&Scene::new(&who, moment, None, Some(&arguments)));
            taken += 1;
        }
    }
    assert!(taken > 0);
}
