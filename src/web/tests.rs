#![expect(clippy::string_slice, reason = "tests")]

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{Html, Page, PageAnswer, PageRequest, Params, ParamsError, Site, cookie, csrf_holds, csrf_token, is_from_us};

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::try_from(*value).unwrap());
    }
    headers
}

#[test]
fn text_of_others_stays_text() {
    let page =
        Page::new("Title", Html::new().raw("<p title=\"").text("\"><script>'&\u{202e}\u{7}x").raw("\">").hidden("n", "a\"b"));
    let answer = page.answer(StatusCode::OK);
    let text = std::str::from_utf8(&answer.body).unwrap();
    let body = &text[text.find("<p ").unwrap()..];
    assert_eq!(
        body,
        "<p title=\"&quot;&gt;&lt;script&gt;&#39;&amp;\u{fffd}\u{fffd}x\"><input type=\"hidden\" name=\"n\" value=\"a&quot;b\"></body></html>"
    );
}

#[test]
fn a_page_is_alone() {
    let page = || Page::new("T", Html::new()).form_leads_to("https:").form_leads_to("x; script-src *").form_leads_to("cursor:");
    let (one, two) = (page().answer(StatusCode::OK), page().answer(StatusCode::OK));
    let csp = |answer: &PageAnswer| answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(csp(&one).starts_with("default-src 'none'; style-src 'nonce-"));
    assert!(csp(&one).ends_with("; form-action 'self' https: cursor:; base-uri 'none'; frame-ancestors 'none'"), "{}", csp(&one));
    assert_ne!(csp(&one), csp(&two), "a nonce is used once");
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(one.headers[name], value);
    }
}

#[test]
fn cookies_belong_to_one_host() {
    let (tls, plain) = (Site::new("https://gw.example"), Site::new("http://127.0.0.1:8080"));
    assert_eq!(
        tls.set_cookie("session", "abc-_", 60).unwrap(),
        "__Host-portcullis-session=abc-_; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
    );
    assert_eq!(plain.set_cookie("s", "", 0).unwrap(), "portcullis-s=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    for value in ["a;b", "a b", "a\"", "a,b", &"x".repeat(4_000)] {
        assert_eq!(tls.set_cookie("s", value, 1), None, "{value}");
    }
}

#[test]
fn a_cookie_is_read_only_where_there_is_one() {
    for (fields, expected) in [
        (vec!["a=1; b=2"], Some("2")),
        (vec!["a=1", "b=2"], Some("2")),
        (vec!["b=1; b=2"], None),
        (vec!["b=1", "b=1"], None),
        (vec!["bb=1; xb=3"], None),
        (vec!["b="], None),
        (vec!["B=1"], None),
        (vec!["b=x=y"], Some("x=y")),
    ] {
        let fields: Vec<_> = fields.iter().map(|value| ("cookie", *value)).collect();
        assert_eq!(cookie(&headers(&fields), "b"), expected, "{fields:?}");
    }
    let many = (0..100).map(|n| format!("c{n}=1; ")).collect::<String>() + "b=1";
    assert_eq!(cookie(&headers(&[("cookie", &many)]), "b"), None);
}

#[test]
fn parameters_have_one_reading() {
    let params = Params::parse(b"a=1&b=x%20y+z&c=&=e&d").unwrap();
    assert_eq!((params.get("a"), params.get("b"), params.get("c"), params.get("d")), (Some("1"), Some("x y z"), None, None));
    assert!(!format!("{params:?}").contains("x y"));
    for (text, error) in [
        (&b"a=1&a=1"[..], ParamsError::Repeated),
        (b"a=1&%61=2", ParamsError::Repeated),
        (b"c=&c=", ParamsError::Repeated),
        (b"a=%", ParamsError::Malformed),
        (b"a=%2", ParamsError::Malformed),
        (b"a=%zz", ParamsError::Malformed),
        (b"a=%+1", ParamsError::Malformed),
        (b"a=%ff", ParamsError::Malformed),
        (b"a=\xff", ParamsError::Malformed),
    ] {
        assert_eq!(Params::parse(text).unwrap_err(), error, "{}", String::from_utf8_lossy(text));
    }
    let many: String = (0..65).map(|n| format!("p{n}=1&")).collect();
    assert_eq!(Params::parse(many.as_bytes()).unwrap_err(), ParamsError::TooLarge);
}

#[test]
fn forms_come_from_our_own_pages() {
    let site = Site::new("https://gw.example");
    for (fields, expected) in [
        (vec![("origin", "https://gw.example")], true),
        (vec![("sec-fetch-site", "same-origin")], true),
        (vec![("sec-fetch-site", "same-origin"), ("origin", "https://gw.example")], true),
        (vec![], false),
        (vec![("origin", "null")], false),
        (vec![("origin", "https://gw.example.evil")], false),
        (vec![("origin", "http://gw.example")], false),
        (vec![("sec-fetch-site", "none")], false),
        (vec![("sec-fetch-site", "same-site")], false),
        (vec![("sec-fetch-site", "cross-site"), ("origin", "https://gw.example")], false),
        (vec![("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")], false),
        (vec![("origin", "https://gw.example"), ("origin", "https://gw.example")], false),
    ] {
        assert_eq!(is_from_us(&headers(&fields), &site), expected, "{fields:?}");
    }
}

#[test]
fn a_form_token_is_of_one_browser_and_one_purpose() {
    let token = csrf_token("cookie", "consent:1");
    assert!(csrf_holds("cookie", "consent:1", &token));
    for (secret, purpose, token) in [
        ("other", "consent:1", token.as_str()),
        ("cookie", "consent:2", &token),
        ("cookie", "consent:1", ""),
        ("cookie", "consent:1", "not base64!"),
        ("cookie", "consent:1", &token[1..]),
        ("", "consent:1", &token),
    ] {
        assert!(!csrf_holds(secret, purpose, token), "{secret} {purpose} {token}");
    }
}

#[test]
fn a_redirect_holds_no_line_break() {
    let answer = PageAnswer::see_other("https://x.example/?a=1\r\nSet-Cookie: a=b");
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(!answer.headers.contains_key(header::LOCATION));
    let answer = PageAnswer::see_other("https://x.example/?a=1");
    assert_eq!(
        (answer.status, answer.headers[header::LOCATION].to_str().unwrap()),
        (StatusCode::SEE_OTHER, "https://x.example/?a=1")
    );
}

#[test]
fn what_is_printed_of_a_page_holds_no_secret() {
    let mut fields = headers(&[("cookie", "canary"), ("authorization", "canary"), ("set-cookie", "canary")]);
    fields.insert("location", HeaderValue::from_static("/?code=canary"));
    let request = PageRequest {
        method: http::Method::POST,
        path: "/oauth/token".to_owned(),
        query: Some("code=canary".to_owned()),
        headers: fields.clone(),
        body: "code=canary".into(),
        peer: None,
    };
    let mut answer = PageAnswer::new(StatusCode::OK, "canary".into());
    answer.headers = fields;
    let printed = format!("{request:?} {answer:?}");
    assert!(printed.contains("/oauth/token") && printed.contains("200") && !printed.contains("canary"), "{printed}");
}
