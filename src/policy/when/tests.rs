mod refused;

use std::sync::Arc;

use serde_json::json;

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
