//! Criteria against arguments.

use super::*;

fn criterion(pointer: &str, matcher: Matcher) -> Criterion {
    Criterion { pointer: Pointer::parse(pointer).unwrap(), matchers: Box::new([matcher]) }
}

fn check(criterion: &Criterion, arguments: &str, allow: Tri, deny: Tri) {
    let tree = Tree::read(arguments).unwrap();
    assert_eq!(criterion.holds(&tree, Quantifier::Every), allow, "allow {arguments}");
    assert_eq!(criterion.holds(&tree, Quantifier::Some), deny, "deny {arguments}");
}

#[test]
fn globs_read_texts_only() {
    let glob = |pointer| criterion(pointer, Matcher::Glob(Box::new([Glob::parse("a*").unwrap()])));
    check(&glob("/x"), r#"{"x":"\u0061b"}"#, Tri::True, Tri::True);
    check(&glob("/x"), r#"{"x":"b"}"#, Tri::False, Tri::False);
    check(&glob("/x"), r#"{"y":"a"}"#, Tri::False, Tri::False);
    check(&glob("/x"), r#"{"x":7}"#, Tri::Unknown, Tri::Unknown);
    check(&glob("/x"), r#"{"x":null}"#, Tri::Unknown, Tri::Unknown);
    check(&glob("/x"), r#"{"x":["a"]}"#, Tri::Unknown, Tri::Unknown);
    check(&glob("/x/*"), r#"{"x":["a","ab"]}"#, Tri::True, Tri::True);
    check(&glob("/x/*"), r#"{"x":["a","b"]}"#, Tri::False, Tri::True);
    check(&glob("/x/*"), r#"{"x":["a",1]}"#, Tri::Unknown, Tri::True);
    check(&glob("/x/*"), r#"{"x":["b",1]}"#, Tri::False, Tri::Unknown);
    check(&glob("/x/*"), r#"{"x":[]}"#, Tri::False, Tri::False);
}

#[test]
fn searches_read_every_scalar_and_key() {
    let glob = |text| criterion("/**", Matcher::Glob(Box::new([Glob::parse(text).unwrap()])));
    check(&glob("*key*"), r#"{"n":1,"b":true,"z":null,"t":"my key"}"#, Tri::False, Tri::True);
    check(&glob("*key*"), r#"{"n":[{"a key":1}]}"#, Tri::False, Tri::True);
    check(&glob("*key*"), r#"{"n":1,"b":[true,null,[]]}"#, Tri::False, Tri::False);
    check(&glob("123"), r#"{"n":1.23e2}"#, Tri::False, Tri::True);
}

#[test]
fn equality_is_by_meaning() {
    let values = ["1", r#""a""#, "true", r#"{"a":[1,{}],"b":null}"#];
    let one_of: Vec<Literal> = values.iter().map(|v| literal(v)).collect();
    let rule = criterion("/x", Matcher::OneOf(one_of.into()));
    for same in ["1", "1.0", "10e-1", r#""\u0061""#, "true", r#"{"b":null,"a":[1.0,{}]}"#] {
        check(&rule, &format!("{{\"x\":{same}}}"), Tri::True, Tri::True);
    }
    for other in [r#""1""#, "2", "false", "null", "[]", r#"{"a":[1,{}]}"#, r#"{"a":[1,{}],"b":null,"c":1}"#, r#""A""#] {
        check(&rule, &format!("{{\"x\":{other}}}"), Tri::False, Tri::False);
    }
    check(&rule, r#"{"x":1e99999999999999999999}"#, Tri::Unknown, Tri::Unknown);
}

#[test]
fn a_disguised_path_satisfies_no_allow_and_escapes_no_deny() {
    let under = criterion("/p", Matcher::PathUnder(Box::new([Directory::parse("/srv").unwrap()])));
    check(&under, r#"{"p":"/srv/a"}"#, Tri::True, Tri::True);
    check(&under, r#"{"p":"/etc"}"#, Tri::False, Tri::False);
    check(&under, r#"{"p":"/x/../srv/a"}"#, Tri::False, Tri::Unknown);
    check(&under, r#"{"p":"\u002fsrv\u002f..\u002fetc"}"#, Tri::False, Tri::Unknown);
    check(&under, r#"{"p":5}"#, Tri::Unknown, Tri::Unknown);
}

fn literal(text: &str) -> Literal {
    let node = crate::policy::yaml::parse(text).unwrap_or_else(|_| panic!("{text}"));
    let mut report = crate::policy::report::Report::new("test", text);
    Literal::read(&mut report, &node, "").unwrap()
}
