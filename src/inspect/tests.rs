use bytes::Bytes;
use serde_json::json;

use super::secrets::redact;
use super::shapes::find;
use super::*;
use crate::mcp::reply::ResultKind;
use crate::mcp::{ResultBody, RpcError};
use crate::policy::{Asked, Evidence, Facts, Kind, compile, decide};
use crate::vocab::{Class, Principal};

fn raw(text: &str) -> RawJson {
    RawJson::parse(Bytes::copy_from_slice(text.as_bytes()), 64).unwrap()
}

/// Credentials of every shape, made up here; the kinds they are told as.
fn credentials() -> Vec<(&'static str, String)> {
    let a = |n: usize| "aB3".chars().cycle().take(n).collect::<String>();
    let upper = |n: usize| "Q7ZX".chars().cycle().take(n).collect::<String>();
    let jwt = format!("eyJ{}.eyJ{}.{}", a(30), a(40), a(43));
    let jwe = format!("eyJ{}..{}.{}.{}", a(30), a(16), a(40), a(22));
    vec![
        ("aws-key", format!("AKIA{}", upper(16))),
        ("aws-key", format!("ASIA{}", upper(16))),
        ("github-token", format!("ghp_{}", a(36))),
        ("github-token", format!("ghs_{}", a(40))),
        ("github-token", format!("github_pat_{}_{}", a(22), a(59))),
        ("gitlab-token", format!("glpat-{}", a(20))),
        ("slack-token", format!("xoxb-123456789012-{}", a(24))),
        ("slack-webhook", format!("hooks.slack.com/services/T{}/B{}/{}", upper(8), upper(8), a(24))),
        ("stripe-key", format!("sk_live_{}", a(24))),
        ("stripe-key", format!("whsec_{}", a(32))),
        ("google-key", format!("AIza{}", a(35))),
        ("google-token", format!("ya29.{}", a(60))),
        ("google-secret", format!("GOCSPX-{}", a(28))),
        ("npm-token", format!("npm_{}", a(36))),
        ("anthropic-key", format!("sk-ant-api03-{}", a(80))),
        ("openai-key", format!("sk-proj-{}", a(48))),
        ("huggingface-token", format!("hf_{}", a(34))),
        ("portcullis-key", format!("pck_k7Qm2_{}", a(43))),
        ("jwt", jwt),
        ("jwt", jwe),
        ("private-key", format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----", a(200))),
        ("private-key", format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", a(200))),
        ("private-key", format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\n{}\n-----END PGP PRIVATE KEY BLOCK-----", a(80))),
    ]
}

#[test]
fn every_shape_is_found_wherever_it_stands() {
    for (kind, secret) in credentials() {
        for (before, after) in [
            ("", ""),
            ("the key is ", " ok"),
            ("\"", "\""),
            ("(", ")"),
            ("é", "é"),
            ("a=", "&b=c"),
            ("\n", "\n"),
            ("first\\n", "\\n"),
            ("\\t", "\\t"),
            ("a\\r", ""),
            ("x%3D", "%26"),
            ("a\\u003d", "\\u0026"),
            ("\\x3d", ""),
            ("\u{1b}[32m", "\u{1b}[0m"),
            ("\u{1b}[1;31m\u{1b}[K", "\u{1b}[m"),
            ("\\u001b[32m", ""),
        ] {
            let text = format!("{before}{secret}{after}");
            let found = find(&text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert_eq!((found[0].kind, text.get(found[0].start..found[0].end).unwrap()), (kind, &*secret), "{text}");
        }
    }
}

#[test]
fn what_only_looks_alike_stays() {
    let a = |n: usize| "aB3".chars().cycle().take(n).collect::<String>();
    for text in [
        "AKIA".to_owned(),
        "AKIAQ7ZXQ7ZX".to_owned(),
        "nAKIAQ7ZXQ7ZXQ7ZXQ7ZX".to_owned(),
        "32mAKIAQ7ZXQ7ZXQ7ZXQ7ZX".to_owned(),
        "u003dAKIAQ7ZXQ7ZXQ7ZXQ7ZX".to_owned(),
        format!("shelf_hf_x{}", a(34)),
        format!("elhf_{}", a(34)),
        "fluxapp-deployment-5d8f7c6b9-2024".to_owned(),
        "disk-proj-migration-of-backend-2024".to_owned(),
        "pageToken=abc12345def".to_owned(),
        "next_token=abc12345def".to_owned(),
        "progressToken: abc12345def".to_owned(),
        "Authorization: Basic authentication is needed".to_owned(),
        "Authorization: Bearer <token-12345>".to_owned(),
        "Authorization: Bearer YOUR_API_TOKEN".to_owned(),
        "password: hunter2hunter2 is what it was".to_owned(),
        "password: {{ vault_password1 }}".to_owned(),
        "MAKIAQ7ZXQ7ZXQ7ZXQ7ZX".to_owned(),
        "AKIAQ7ZXQ7ZXQ7ZXQ7ZXQ".to_owned(),
        "ghp_short".to_owned(),
        format!("AIza{}", a(36)),
        format!("pck_k7Qm2_{}", a(42)),
        format!("pck_k7Qm2_{}", a(44)),
        format!("pck__{}", a(43)),
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----".to_owned(),
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----".to_owned(),
        "eyJhbGciOiJIUzI1NiJ9 is a header".to_owned(),
        "eyJhbGciOiJIUzI1NiJ9.nothing.more".to_owned(),
        "password=changeme".to_owned(),
        "password=${PASSWORD1}".to_owned(),
        "password=<your-password-1>".to_owned(),
        "password = get_password1()".to_owned(),
        "the password: hunter2hunter2 is prose".to_owned(),
        "PWD=/home/user1/project".to_owned(),
        "https://example.com:8443/a@b".to_owned(),
        "see https://user@example.com".to_owned(),
        "time 12:30:45, a = b1 == c2".to_owned(),
    ] {
        assert_eq!(find(&text), [], "{text}");
    }
}

#[test]
fn assignments_and_urls_lose_their_value_only() {
    for (text, expect) in [
        ("PASSWORD=hunter2hunter2", "PASSWORD=#"),
        ("db_password = 'hunter2hunter2' # x", "db_password = '#' # x"),
        ("{\"api_key\": \"abc123def456\"}", "{\"api_key\": \"#\"}"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "aws_secret_access_key = #"),
        ("Server=x;Password=abc12345;User=y", "Server=x;Password=#;User=y"),
        ("AccountName=a;AccountKey=abcdef12345678==;x", "AccountName=a;AccountKey=#;x"),
        ("DB_PASSWORD=hunter2hunter2", "DB_PASSWORD=#"),
        ("password: hunter2hunter2", "password: #"),
        ("db:\n  password: hunter2hunter2 # x\n  a: b", "db:\n  password: # # x\n  a: b"),
        ("- api-key: hunter2hunter2\r\n", "- api-key: #\r\n"),
        ("a: b\\npassword: hunter2hunter2\\nc: d", "a: b\\npassword: #\\nc: d"),
        ("{user: a, password: hunter2hunter2}", "{user: a, password: #}"),
        ("x-api-key: abcdef1234567890", "x-api-key: #"),
        ("curl -H 'x-api-key: abcdef1234567890' u", "curl -H 'x-api-key: #' u"),
        ("TOKEN=abcd1234efgh5678", "TOKEN=#"),
        ("x\\nTOKEN=abcd1234efgh5678", "x\\nTOKEN=#"),
        ("run --token=abcd1234efgh5678 x", "run --token=# x"),
        ("GITHUB_TOKEN=abcd1234efgh5678", "GITHUB_TOKEN=#"),
        ("/a?access_token=abcd1234efgh5678&b=1", "/a?access_token=#&b=1"),
        ("{\\\"apiKey\\\":\\\"abc123def456\\\"}", "{\\\"apiKey\\\":\\\"#\\\"}"),
        ("Authorization: Bearer abcdefghijklmnop1234567890", "Authorization: Bearer #"),
        ("-H 'authorization: basic dXNlcjpwYXNz' u", "-H 'authorization: basic #' u"),
        ("{\"Authorization\": \"Bearer abcdef1234567890\"}", "{\"Authorization\": \"Bearer #\"}"),
        ("postgres://app:s3cr3t@db:5432/x", "postgres://app:#@db:5432/x"),
        ("redis://:hunter2@cache", "redis://:#@cache"),
    ] {
        let mut out = text.to_owned();
        for found in find(text).into_iter().rev() {
            assert_eq!(found.kind, if text.contains("uthorization") { "authorization" } else { "password" }, "{text}");
            out.replace_range(found.start..found.end, "#");
        }
        assert_eq!(out, expect);
    }
}

/// Every way to write a text as a JSON string.
fn spellings(text: &str) -> Vec<String> {
    let escaped = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|u| format!("\\u{u:04X}")).collect::<String>();
    let plain = serde_json::to_string(text).unwrap();
    let all = format!("\"{}\"", text.chars().map(escaped).collect::<String>());
    let mut first = text.chars();
    let head = escaped(first.next().unwrap());
    let rest = serde_json::to_string(first.as_str()).unwrap();
    vec![plain.clone(), all, format!("\"{head}{}", rest.strip_prefix('"').unwrap()), plain.replace('/', "\\/")]
}

#[test]
fn no_spelling_of_a_string_hides_a_secret() {
    for (kind, secret) in credentials() {
        for token in spellings(&format!("x {secret} y")) {
            for (text, expect) in [
                (token.clone(), json!(format!("x [redacted: {kind}] y"))),
                (format!(r#"[1, {{"text" : {token}}}, "\\"]"#), json!([1, {"text": format!("x [redacted: {kind}] y")}, "\\"])),
                (format!(r#"{{"a\"b":"c\\", "k":{token}}}"#), json!({"a\"b": "c\\", "k": format!("x [redacted: {kind}] y")})),
            ] {
                let (clean, count) = redact(&raw(&text), None).unwrap_or_else(|| panic!("{text}"));
                assert_eq!((serde_json::from_str::<serde_json::Value>(clean.as_str()).unwrap(), count), (expect, 1), "{text}");
            }
        }
    }
}

#[test]
fn what_holds_no_secret_is_not_touched() {
    for text in [r#"{"a":["b\n\"",1.50,true,null,"é\u00e9"],"":{}}"#, "\"\"", "1", "[]", r#""\\""#] {
        assert!(redact(&raw(text), None).is_none(), "{text}");
    }
}

#[test]
fn all_else_keeps_its_bytes_and_keys_stay_apart() {
    let key = |c: char| format!("AKIA{}", c.to_string().repeat(16));
    let text = format!(r#"{{ "n" : 1.50 , "{}":"{}", "{}" : "\u00e9" }}"#, key('A'), key('B'), key('C'));
    let (clean, count) = redact(&raw(&text), None).unwrap();
    let expect = r#"{ "n" : 1.50 , "[redacted: aws-key]":"[redacted: aws-key]", "[redacted: aws-key 3]" : "\u00e9" }"#;
    assert_eq!((clean.as_str(), count), (expect, 3));
}

#[test]
fn a_member_with_a_secret_name_loses_its_value() {
    let aws = format!("AKIA{}", "A".repeat(16));
    let hidden = json!("[redacted: password]");
    for (key, value, expect) in [
        ("password", json!("hunter2hunter2"), hidden.clone()),
        ("password", json!("p@ss(w0rd)1"), hidden.clone()),
        ("api_key", json!("abcdef1234567890"), hidden.clone()),
        ("apiKey", json!("abcdef1234567890"), hidden.clone()),
        ("X-Api-Key", json!("abcdef1234567890"), hidden.clone()),
        ("clientSecret", json!("a\"b\\c12345"), hidden.clone()),
        ("token", json!("abcdef1234567890"), hidden.clone()),
        ("access_token", json!("abcdef1234567890"), hidden.clone()),
        ("secret", json!(format!("x1{aws}")), hidden),
        ("secret", json!(aws), json!("[redacted: aws-key]")),
        ("secret", json!(format!("not a value {aws}")), json!("not a value [redacted: aws-key]")),
        ("authorization", json!("Bearer abcdef1234567890"), json!("Bearer [redacted: authorization]")),
    ] {
        for spelled in spellings(key) {
            for spelled_value in [value.to_string(), format!(" {value}")] {
                let text = format!(r#"{{"a":[{{"b":1,{spelled} :{spelled_value},"c":"hunter2hunter2"}}]}}"#);
                let (clean, count) = redact(&raw(&text), None).unwrap_or_else(|| panic!("{text}"));
                let clean: serde_json::Value = serde_json::from_str(clean.as_str()).unwrap();
                assert_eq!((&clean["a"][0][key], &clean["a"][0]["c"], count), (&expect, &json!("hunter2hunter2"), 1), "{text}");
            }
        }
    }
    for (key, value) in [
        ("password", json!("changeme")),
        ("password", json!("At least 8 characters")),
        ("password", json!("${DB_PASSWORD1}")),
        ("password", json!("$DB_PASSWORD1")),
        ("password", json!("<your-password-1>")),
        ("password", json!("get_password1()")),
        ("password", json!({"type": "string1234"})),
        ("password", json!(["string1234"])),
        ("password", json!(1234567890)),
        ("nextPageToken", json!("abcdef1234567890")),
        ("progressToken", json!("abcdef1234567890")),
        ("max_tokens", json!("abcdef1234567890")),
        ("public_key", json!("abcdef1234567890")),
        ("authorization", json!("Basic authentication")),
    ] {
        let text = json!({key: value, "z": "abcdef1234567890"}).to_string();
        assert!(redact(&raw(&text), None).is_none(), "{text}");
    }
}

#[test]
fn keys_and_states_are_exempt_only_where_they_are_sealed() {
    let secret = |c: char| format!("AKIA{}", c.to_string().repeat(16));
    let member = |key: &str, value: &str| (RawJson::of_text(key), RawJson::of_text(value));
    let shown =
        |members: &Members| members.iter().map(|(k, v)| format!("{}:{}", k.as_str(), v.as_str())).collect::<Vec<_>>().join(" ");
    for (kind, kept) in [(ResultKind::InputRequired, true), (ResultKind::Complete, false)] {
        let mut inspector = inspector(", require: { redact: [secrets] }");
        let body = ResultBody {
            kind,
            meta: vec![member(&secret('A'), "1"), member("requestState", &secret('B'))],
            members: vec![
                member(&secret('C'), "1"),
                member(&secret('D'), "1"),
                member("password", "hunter2hunter2"),
                member("requestState", &secret('E')),
            ],
            ..ResultBody::default()
        };
        let Reply::Result(body) = inspector.reply(Reply::Result(body)).into_inner() else { panic!() };
        assert!(!shown(&body.meta).contains("AKIA"), "{}", shown(&body.meta));
        assert_eq!(shown(&body.members).matches("AKIA").count(), usize::from(kept), "{}", shown(&body.members));
        assert_eq!(body.member("requestState").unwrap().as_str().contains(&secret('E')), kept);
        assert_eq!(body.member("password").unwrap().as_str(), "\"[redacted: password]\"");
        assert_ne!(body.members[0].0.as_str(), body.members[1].0.as_str());
        assert_eq!(inspector.redacted(), if kept { 5 } else { 6 });
        let members = inspector.members(vec![member(&secret('F'), "1"), member("token", "abcdef1234567890")]);
        assert!(!shown(members.get()).contains("AKIA") && !shown(members.get()).contains("abcdef"), "{}", shown(members.get()));
    }
}

/// Time grows with the text, not with its square: what is repeated a million times is looked at about as often.
#[test]
fn hostile_repetitions_end() {
    for part in [
        "eyJ",
        "eyJa.",
        ".eyJ",
        "eyJaaaaaaaaaa.eyJ",
        "password=",
        "password=a1(",
        "password: a1b2c3d4 ",
        "password:          x",
        "Authorization: Bearer ",
        "\\\"password\\\": \\\"",
        "secret=a1b2c3d4",
        "-----BEGIN ",
        "ghp_",
        "://",
        "://a:",
        "pck_",
        "=",
        "sk_live_a",
    ] {
        let text = part.repeat(300_000 / part.len());
        drop(find(&text));
    }
    let unclosed = "-----BEGIN PRIVATE KEY-----\n".repeat(20_000);
    assert_eq!(find(&unclosed).len(), 1);
}

fn inspector(require: &str) -> Inspector {
    let rule = format!(
        "version: 1\ntools: [{{ match: ['x__t'], class: read }}]\nrules: [{{ id: r, effect: allow, principals: [any], tools: ['x__t']{require} }}]\n"
    );
    let set = compile(&[("p.yaml".to_owned(), rule)], &Facts { upstreams: &[], issuers: &[] }).unwrap();
    let kind = Kind::Tool { name: "x__t", class: Class::Read, arguments: None };
    let decision = decide(&set, &Principal::anonymous(), &Asked { kind, known: true, now_unix_ms: 1, route: "/mcp" });
    Inspector::of(&mut decision.permit(Evidence::default()).unwrap())
}

fn result(members: &serde_json::Value) -> Reply {
    let member = |(key, value): (&String, &serde_json::Value)| (RawJson::of_text(key), raw(&value.to_string()));
    Reply::Result(ResultBody { members: members.as_object().unwrap().iter().map(member).collect(), ..ResultBody::default() })
}

#[test]
fn an_answer_is_inspected_as_the_permit_obliges() {
    let secret = format!("AKIA{}", "A".repeat(16));
    let everything = json!({
        "content": [{"type": "text", "text": secret}],
        "structuredContent": {"deep": [{"key": secret}]},
        "contents": [{"uri": "x", "text": secret}],
        "messages": [{"role": "user", "content": {"type": "text", "text": secret}}],
        "requestState": secret
    });
    for (require, redacted) in [("", 0), (", require: { redact: [secrets] }", 4)] {
        let mut inspector = inspector(require);
        let Reply::Result(mut asking) = result(&everything) else { panic!() };
        asking.kind = ResultKind::InputRequired;
        let Reply::Result(body) = inspector.reply(Reply::Result(asking)).into_inner() else { panic!() };
        let left = body.members.iter().filter(|(_, value)| value.as_str().contains(&secret)).count();
        assert_eq!((inspector.redacted(), left), (redacted, 5 - redacted as usize));
        // The state of an upstream is its own.
        assert!(body.member("requestState").unwrap().as_str().contains(&secret));
        let params = inspector.params(raw(&json!({"level": "info", "data": secret}).to_string()));
        let data = Some(raw(&json!({"elicitations": [{"message": secret}]}).to_string()));
        let error = Reply::Error(RpcError { code: -32042, message: String::new(), data });
        let Reply::Error(error) = inspector.reply(error).into_inner() else { panic!() };
        assert_eq!(error.data.unwrap().as_str().contains(&secret), redacted == 0);
        let members = inspector.members(vec![(RawJson::of_text("message"), RawJson::of_text(&secret))]);
        assert_eq!(params.get().as_str().contains(&secret), redacted == 0);
        assert_eq!(members.get()[0].1.as_str().contains(&secret), redacted == 0);
    }
}

#[test]
fn text_is_measured_where_a_model_reads_it() {
    for (members, text_bytes) in [
        (json!({"content": [{"type": "text", "text": "12345"}, {"type": "image", "data": "aaaa"}]}), 5),
        (json!({"content": [{"type": "text", "text": "é\n"}]}), 3),
        (json!({"content": [{"type": "resource", "resource": {"uri": "u", "text": "123"}}]}), 3),
        (json!({"content": [], "structuredContent": {"a": 1}}), 7),
        (json!({"content": [{"type": "text", "text": "{\"a\":1}"}], "structuredContent": {"a": 1}}), 7),
        (json!({"contents": [{"uri": "u", "text": "1234"}, {"uri": "u", "blob": "aaaa"}]}), 4),
        (json!({"messages": [{"role": "user", "content": {"type": "text", "text": "12"}}]}), 2),
        (json!({"completion": {"values": ["x"]}}), 0),
    ] {
        let mut inspector = inspector("");
        drop(inspector.reply(result(&members)));
        assert_eq!(inspector.used().text_bytes, text_bytes, "{members}");
        assert!(inspector.used().bytes as usize >= members.to_string().len() - 8, "{members}");
    }
}
