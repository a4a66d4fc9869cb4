use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

use crate::oauth::{Challenge, challenges};

fn headers(values: &[&str]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for value in values {
        map.append(WWW_AUTHENTICATE, value.parse().unwrap());
    }
    map
}

/// `scheme name=value name=value | scheme …`
fn read(values: &[&str]) -> String {
    let one = |c: &Challenge| {
        let names = ["realm", "scope", "error", "resource_metadata", "a", "b"];
        let params = names.iter().filter_map(|name| Some(format!(" {name}={}", c.get(name)?)));
        c.scheme.clone() + &params.collect::<String>()
    };
    challenges(&headers(values)).iter().map(one).collect::<Vec<_>>().join(" | ")
}

#[test]
fn challenges_are_read_as_the_grammar_has_them() {
    for (values, want) in [
        (&["Bearer"][..], "bearer"),
        (&[""], ""),
        (&["Bearer realm=\"a\", scope=\"x y\""], "bearer realm=a scope=x y"),
        (&["bEARER Scope = x ,a=\"1\""], "bearer scope=x a=1"),
        (&["Bearer realm=\"q\\\"u\\\\o, Basic a=b\""], "bearer realm=q\"u\\o, Basic a=b"),
        (
            &["Basic realm=x, Bearer error=\"insufficient_scope\", scope=\"s\""],
            "basic realm=x | bearer scope=s error=insufficient_scope",
        ),
        (&["Negotiate YWJj==, Bearer a=1"], "negotiate | bearer a=1"),
        (&["Negotiate a/b+c, Bearer a=1"], "negotiate | bearer a=1"),
        (&["Negotiate abc"], "negotiate"),
        (&["Negotiate, Bearer"], "negotiate | bearer"),
        (&["Bearer a=1,,, b=2 ,"], "bearer a=1 b=2"),
        (&["Basic realm=x", "Bearer a=1"], "basic realm=x | bearer a=1"),
        (&["Bearer a=1, A=2, Basic b=1"], "basic b=1"),
        (&["Bearer a=\"unfinished"], "bearer"),
        (&["Bearer a=\"x\\"], "bearer"),
        (&["Bearer a=, Basic b=1"], "bearer | basic b=1"),
        (&["Bearer a=1, b=, Basic b=1"], "bearer a=1"),
        (&["Bearer a=1 ; b=2"], "bearer a=1"),
        (&["=x"], ""),
        (&["\"Bearer\" a=1"], ""),
    ] {
        assert_eq!(read(values), want, "{values:?}");
    }
}

#[test]
fn challenges_are_bounded() {
    assert_eq!(challenges(&headers(&["Basic"; 100])).len(), 8);
    assert_eq!(challenges(&headers(&[&"Basic,".repeat(100)])).len(), 8);
    let many: String = (0..50).map(|n| format!("p{n}=x,")).collect();
    assert!(challenges(&headers(&[&format!("Bearer {many}")])).iter().all(|c| c.get("p40").is_none()));
    assert!(challenges(&headers(&[&format!("Bearer a=\"{}\"", "x".repeat(9000))])).is_empty());
    assert!(Challenge::bearer(&headers(&["Basic realm=x"])).is_none());
    let scopes = format!("Bearer scope=\"{} a a b\\\"c \"", "s".repeat(300));
    assert_eq!(Challenge::bearer(&headers(&[&scopes])).unwrap().scopes(), ["a"]);
}
