//! Policies as people write them, of any number of rules, and calls that they allow or deny.

use std::fmt::Write as _;
use std::sync::Arc;

use portcullis::vocab::Principal;
use serde_json::json;

/// Upstreams that the rules are spread over.
pub(super) const UPSTREAMS: usize = 40;
/// Groups that the rules are spread over.
const GROUPS: usize = 50;
/// Groups that the principal is in: the first ones.
const OWN_GROUPS: usize = 5;
/// Different calls asked in turn, at most.
const CALLS_MAX: usize = 16;
/// Tools of the list that is filtered.
pub(super) const TOOLS_OF_A_LIST: usize = 100;

const ARGUMENTS: &str = r#"{"path":"/srv/a/reports/2026/q3.csv","mode":"r","limit":100,"options":{"encoding":"utf-8","follow":false},"tags":["finance","weekly"]}"#;

/// What becomes of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Allowed,
    Denied,
}

/// A kind of policy, and calls to ask of it.
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// What is there whatever the number of rules.
    always: &'static str,
    /// The rule of this number, without its id.
    rule: fn(usize) -> String,
    /// Names that are called, for a number of rules.
    pub(super) names: fn(usize) -> Vec<String>,
    pub(super) arguments: &'static str,
    pub(super) expect: Expect,
    /// Whether a list is filtered by it too.
    pub(super) is_listed: bool,
}

const PLAIN: Shape = Shape {
    name: "spread",
    always: "",
    rule: |n| allow(n, &format!("{}, {}", spread(n), literal(n)), ""),
    names: |size| own(size).map(|n| format!("up{}__tool{n}_read", n % UPSTREAMS)).collect(),
    arguments: ARGUMENTS,
    expect: Expect::Allowed,
    is_listed: true,
};

const ARGUMENT_RULES: &str = "arguments: { /path: { path_under: [/srv/a, /srv/b] }, /mode: { one_of: [r, w] } }";
const SECRETS: &str =
    "- { id: secrets, effect: deny, arguments: { '/**': { matches: ['AKIA[0-9A-Z]{16}', '-----BEGIN [A-Z ]*PRIVATE KEY'] } } }\n";
const CONDITION: &str = r#"when: 'args.limit <= 1000 && args.path.startsWith("/srv/") && principal.tenant == "acme"'"#;

/// Every shape.
pub(super) const SHAPES: &[Shape] = &[
    PLAIN,
    Shape {
        name: "literals",
        names: |size| own(size).map(|n| format!("up{}__get{n}", n % UPSTREAMS)).collect(),
        is_listed: false,
        ..PLAIN
    },
    Shape {
        name: "one upstream",
        rule: |n| allow(n, &format!("'files__t{n:05}_*'"), ""),
        names: |size| own(size).map(|n| format!("files__t{n:05}_read")).collect(),
        ..PLAIN
    },
    Shape {
        name: "many groups",
        always: "",
        rule: |n| format!("effect: allow, principals: ['sub:user{n}'], tools: ['files__*']"),
        names: |_| vec!["files__read".to_owned(), "files__list".to_owned()],
        is_listed: true,
        ..PLAIN
    },
    Shape {
        name: "suffixes",
        rule: |n| allow(n, &format!("'files__*_t{n:05}'"), ""),
        names: |size| own(size).map(|n| format!("files__read_t{n:05}")).collect(),
        ..PLAIN
    },
    Shape { name: "arguments", always: SECRETS, rule: |n| allow(n, &spread(n), ARGUMENT_RULES), ..PLAIN },
    Shape {
        name: "condition",
        rule: |n| allow(n, &spread(n), if n == 0 { CONDITION } else { "" }),
        names: |_| vec!["up0__tool0_read".to_owned()],
        is_listed: false,
        ..PLAIN
    },
    Shape {
        name: "no rule",
        names: |size| own(size).map(|n| format!("up{}__other{n}", n % UPSTREAMS)).collect(),
        expect: Expect::Denied,
        is_listed: false,
        ..PLAIN
    },
    Shape {
        name: "rule denied",
        always: SECRETS,
        arguments: r#"{"path":"/srv/a/reports/2026/q3.csv","mode":"r","limit":100,"key":"AKIAABCDEFGHIJKLMNOP"}"#,
        expect: Expect::Denied,
        is_listed: false,
        ..PLAIN
    },
    Shape {
        name: "arguments denied",
        rule: |n| allow(n, &spread(n), ARGUMENT_RULES),
        arguments: r#"{"path":"/etc/passwd","mode":"r","limit":100}"#,
        expect: Expect::Denied,
        is_listed: false,
        ..PLAIN
    },
];

fn allow(n: usize, tools: &str, rest: &str) -> String {
    let comma = if rest.is_empty() { "" } else { ", " };
    format!("effect: allow, principals: ['group:g{}'], tools: [{tools}], classes: [read, write]{comma}{rest}", n % GROUPS)
}

fn spread(n: usize) -> String {
    format!("'up{}__tool{n}_*'", n % UPSTREAMS)
}

fn literal(n: usize) -> String {
    format!("'up{}__get{n}'", n % UPSTREAMS)
}

/// Rules about the principal, the first few.
fn own(size: usize) -> impl Iterator<Item = usize> {
    (0..size).filter(|n| n % GROUPS < OWN_GROUPS).take(CALLS_MAX)
}

/// A policy of so many rules. Those that are there always are among them, but for the smallest.
pub(super) fn policy(shape: &Shape, size: usize) -> String {
    let mut out = String::from("version: 1\ngroups:\n");
    for n in 0..GROUPS {
        let _ = writeln!(out, "  g{n}: {{ claim: groups, any_of: [team-{n}] }}");
    }
    out.push_str("tools:\n- { match: ['*__*_read', '*__get*', 'files__*'], class: read }\n");
    for n in 0..size.div_ceil(10) {
        let _ = writeln!(out, "- {{ match: ['up{}__tool{n}_*', 'up{}__get{n}'], class: read }}", n % UPSTREAMS, n % UPSTREAMS);
    }
    let _ = write!(out, "rules:\n{}", shape.always);
    let others = if shape.always.is_empty() { size } else { size.saturating_sub(1).max(1) };
    for n in 0..others {
        let _ = writeln!(out, "- {{ id: r{n:05}, {} }}", (shape.rule)(n));
    }
    out
}

/// Tools of a list: some that the rules name, most that they do not.
pub(super) fn listed() -> Vec<String> {
    let of = |n: usize| match n % 4 {
        0 => format!("up{}__tool{n}_read", n % UPSTREAMS),
        1 => format!("up{}__get{n}", n % UPSTREAMS),
        2 => format!("files__t{n:05}_read"),
        _ => format!("files__read_t{n:05}"),
    };
    (0..TOOLS_OF_A_LIST).map(of).collect()
}

/// Somebody in a few groups.
pub(super) fn principal() -> Principal {
    let groups: Vec<String> = (0..OWN_GROUPS).map(|n| format!("team-{n}")).collect();
    let claims = json!({ "groups": groups, "tenant": "acme", "email": "user0@example.com" });
    Principal {
        iss: Arc::from("https://idp.example"),
        sub: Arc::from("user0"),
        client_id: Some(Arc::from("https://ci.example.com/agent")),
        scopes: vec!["mcp:read".into()],
        claims: claims.as_object().cloned().unwrap_or_default(),
        expires_at_s: None,
        key_id: None,
        anonymous: false,
    }
}
