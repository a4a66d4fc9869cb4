//! Strings and members of JSON, however they are spelled.

use super::*;

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
                let (clean, count) = redact(&text, None).unwrap_or_else(|| panic!("{text}"));
                assert_eq!((serde_json::from_str::<serde_json::Value>(&clean).unwrap(), count), (expect, 1), "{text}");
            }
        }
    }
}

#[test]
fn what_holds_no_secret_is_not_touched() {
    for text in [r#"{"a":["b\n\"",1.50,true,null,"é\u00e9"],"":{}}"#, "\"\"", "1", "[]", r#""\\""#] {
        assert!(redact(text, None).is_none(), "{text}");
    }
}

#[test]
fn all_else_keeps_its_bytes_and_keys_stay_apart() {
    let key = |c: char| format!("AKIA{}", c.to_string().repeat(16));
    let text = format!(r#"{{ "n" : 1.50 , "{}":"{}", "{}" : "\u00e9" }}"#, key('A'), key('B'), key('C'));
    let (clean, count) = redact(&text, None).unwrap();
    let expect = r#"{ "n" : 1.50 , "[redacted: aws-key]":"[redacted: aws-key]", "[redacted: aws-key 3]" : "\u00e9" }"#;
    assert_eq!((&*clean, count), (expect, 3));
}

#[test]
fn a_member_with_a_secret_name_loses_its_value() {
    let aws = format!("AKIA{}", "A".repeat(16));
    let hidden = json!("[redacted: password]");
    let pem = |gap: &str| format!("-----BEGIN PRIVATE KEY-----{gap}MIIEvQIB{gap}-----END PRIVATE KEY-----");
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
        // What is found by its shape may stick out of what is found by its name.
        ("cookie", json!(format!("sid=abc12345 {}", pem("\n"))), json!("[redacted: private-key]")),
        ("cookie", json!(format!("sid=abc12345 {} x\ny", pem(" "))), json!("[redacted: cookie]\ny")),
    ] {
        for spelled in spellings(key) {
            for spelled_value in [value.to_string(), format!(" {value}")] {
                let text = format!(r#"{{"a":[{{"b":1,{spelled} :{spelled_value},"c":"hunter2hunter2"}}]}}"#);
                let (clean, count) = redact(&text, None).unwrap_or_else(|| panic!("{text}"));
                let clean: serde_json::Value = serde_json::from_str(&clean).unwrap();
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
        assert!(redact(&text, None).is_none(), "{text}");
    }
}

#[test]
fn finds_in_a_string_do_not_overlap() {
    let overlapping = "AKIAABCDEFGH12345678:AAaB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3";
    let text = json!(format!("{overlapping} and password=hunter2hunter2")).to_string();
    let expect = format!("\"[redacted: aws-key]{} and password=[redacted: password]\"", &overlapping[20..]);
    assert_eq!(redact(&text, None), Some((expect.clone(), 2)));
    assert_eq!(redact_kept(&text, None), Some((expect, 2)));
}

#[test]
fn the_start_of_a_text_is_searched_to_where_it_is_cut() {
    let secret = format!("ghp_{}", "aB3".repeat(12));
    for (text, expect) in [
        (format!("\"x {secret}"), "\"x [redacted: github-token]\"".to_owned()),
        (format!("{{\"a\":[1,\"{secret} \\n\\ud83d\\ude00"), "{\"a\":[1,\"[redacted: github-token] \\n😀\"".to_owned()),
        (format!("{{\"password\":\"hunter2hunter2{}", "x".repeat(9)), "{\"password\":\"[redacted: password]\"".to_owned()),
        (format!("[\"\\u0067{}", &secret[1..]), "[\"[redacted: github-token]\"".to_owned()),
    ] {
        assert_eq!(redact_kept(&text, None).unwrap().0, expect, "{text}");
    }
    // Wherever it is cut, also in an escape.
    let whole = format!("[\"\\u0067{} \\ud83d\\ude00 \\\\ \\\"x", &secret[1..]);
    let found_at = whole.find(' ').unwrap();
    for cut in found_at..whole.len() {
        let (clean, count) = redact_kept(&whole[..cut], None).unwrap_or_else(|| panic!("{}", &whole[..cut]));
        assert!(clean.starts_with("[\"[redacted: github-token]") && count == 1, "{clean}");
    }
    // No JSON, but no way around the search either.
    assert_eq!(redact("\"\\ud800 password=hunter2hunter2\"", None).unwrap().1, 1);
}
