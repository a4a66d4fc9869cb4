#![expect(clippy::string_slice, reason = "tests")]

use std::cell::Cell;

use serde_json::json;

use super::shapes::find;
use super::*;

mod cost;
mod kept;
mod lines;
mod members;
mod people;

thread_local! {
    static WALKED_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// The search went over `bytes` of a text beside its own way through it.
pub(super) fn walked(bytes: usize) {
    WALKED_BYTES.set(WALKED_BYTES.get() + bytes);
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
        ("sendgrid-key", format!("SG.{}.{}", a(22), a(43))),
        ("twilio-key", format!("SK{}", "0a9f".repeat(8))),
        ("databricks-token", format!("dapi{}", "0a9f".repeat(8))),
        ("digitalocean-token", format!("dop_v1_{}", "0a9f".repeat(16))),
        ("vault-token", format!("hvs.{}", a(24))),
        ("private-key", format!("AGE-SECRET-KEY-1{}", "Q7ZX".chars().cycle().take(58).collect::<String>())),
        ("portcullis-key", format!("pck_k7Qm2_{}", a(43))),
        ("portcullis-key", format!("pck_{}-ci-2026_{}", "k".repeat(40), a(43))),
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
        "the cookie: chocolate".to_owned(),
        "cookie: none1234".to_owned(),
        "auth: oauth2.0".to_owned(),
        "\"auth\": \"YWJjZGVmZ2hpamts\"".to_owned(),
        "error code=E1234567890123456".to_owned(),
        "/a?code=200&sig=no".to_owned(),
        format!("123456789:AB{}", a(33)),
        format!("1234567:AA{}", a(33)),
        format!("123456789:AA{}", a(34)),
    ] {
        assert_eq!(find(&text), [], "{text}");
    }
}

#[test]
fn assignments_and_urls_lose_their_value_only() {
    /// Half of what a value without quotes may have before something else follows it.
    const BARE: usize = 128;
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
        ("grant_type=a&code_verifier=dBjftJeZ4CVP-mB92K27u", "grant_type=a&code_verifier=#"),
        ("{\"auth\": \"YXBwOmh1bnRlcjJodW50ZXIy\"}", "{\"auth\": \"#\"}"),
        (&format!("password:{} x", "a1".repeat(BARE)), "password:# x"),
        (&format!("password:{} x", "a1".repeat(BARE - 1)), &format!("password:{} x", "a1".repeat(BARE - 1))),
        (&format!("password:{}", "a1".repeat(BARE - 1)), "password:#"),
    ] {
        let mut out = text.to_owned();
        for found in find(text).into_iter().rev() {
            assert_eq!(found.kind, if text.contains("uthorization") { "authorization" } else { "password" }, "{text}");
            out.replace_range(found.start..found.end, "#");
        }
        assert_eq!(out, expect);
    }
}

#[test]
fn cookies_bots_and_parameters_of_urls_are_known() {
    let a = |n: usize| "aB3".chars().cycle().take(n).collect::<String>();
    let bot = format!("123456789:AA{}", a(33));
    for (kind, text, expect) in [
        ("cookie", "GET / HTTP/1.1\r\nCookie: sid=abc12345; x=y\r\nHost: a".to_owned(), "GET / HTTP/1.1\r\nCookie: #\r\nHost: a"),
        ("cookie", "Set-Cookie: __Host-sid=abc12345; Secure".to_owned(), "Set-Cookie: #"),
        ("cookie", "{\"cookie\":\"sid=abc12345\"}".to_owned(), "{\"cookie\":\"#\"}"),
        ("telegram-token", format!("bot{bot}/getMe"), "bot#/getMe"),
        ("query-secret", format!("https://a/b?sv=1&sig={}%3D&c=d", a(40)), "https://a/b?sv=1&sig=#&c=d"),
        ("query-secret", format!("/cb?code={}&state=x", a(20)), "/cb?code=#&state=x"),
        ("query-secret", format!("/cb?code={}&state=x", a(5_000)), "/cb?code=#&state=x"),
        ("cookie", format!("Cookie: sid={}\nx", a(5_000)), "Cookie: #\nx"),
        ("aws-key", format!("AKIAABCDEFGH12345678:AA{}", a(33)), &format!("#:AA{}", a(33))),
        ("query-secret", format!("?X-Amz-Signature={}", "0a9f".repeat(16)), "?X-Amz-Signature=#"),
    ] {
        let found = find(&text);
        assert_eq!(found.iter().map(|found| found.kind).collect::<Vec<_>>(), [kind], "{text}");
        let mut out = text.clone();
        out.replace_range(found[0].start..found[0].end, "#");
        assert_eq!(out, expect);
    }
}

#[test]
fn what_looks_random_is_no_name() {
    for random in ["dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "up__V1StGXR8Z5jdHi6BmyT3q", "9f86d081884c7d659a2feaa0c55ad015"]
    {
        assert!(unknown_name(random).ends_with("[redacted: random]"), "{}", unknown_name(random));
    }
    assert_eq!(unknown_name("up__V1StGXR8Z5jdHi6BmyT3q__get"), "up__[redacted: random]__get");
    for name in [
        "files__read_file",
        "github__create_issue_comment_with_attachment",
        "up__createIssueV2FromTemplate2",
        "550e8400-e29b-41d4-a716-446655440000",
        "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn_0123456789ab",
        "notifications/tools/list_changed",
        "",
    ] {
        assert_eq!(unknown_name(name), name);
    }
}
