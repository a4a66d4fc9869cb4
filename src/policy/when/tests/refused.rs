//! Texts that are no conditions, and whatever else somebody may write.

use super::*;

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
