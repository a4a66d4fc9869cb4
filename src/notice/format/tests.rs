use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::approval::{Request, Shown};
use crate::config::{MailTls, Smtp};
use crate::notice::event::delivery_id;
use crate::notice::facts::Before;

/// Text that would be a link, a mention, Markdown, markup, a header or another direction wherever it is not taken literally.
const HOSTILE: &str =
    "<!channel> <https://evil.example|ok> *b* [a](https://evil.example) ```x``` @here &amp; \u{202e}gpj\r\nBcc: x@evil";

/// A request, with `name` where somebody else wrote the text.
fn facts(event: Event, name: &str) -> Facts {
    let state = event.as_str().trim_start_matches("approval.").replace("requested", "pending");
    let yes = json!({ "iss": "https://idp.example.com", "sub": "sven", "name": "Sven", "yes": state != "denied", "gates": [0],
                      "reason": name, "at_unix_ms": 1_800_000_060_000_u64 });
    let digest = |byte: &str| format!("sha256:{}", byte.repeat(32));
    let request: Request = serde_json::from_value(json!({
        "id": "apr_AAAAAAAAAAAAAAAAAAAAAA",
        "bound": {
            "iss": "https://idp.example.com", "sub": "alice", "client": name, "actors": [], "method": "tools/call", "route": "/mcp",
            "upstream": "up", "server": digest("ee"), "name": format!("up__{name}"), "definition": digest("dd"), "arguments": digest("aa"),
            "class": "destructive", "policy": digest("cc"),
            "gates": [{ "rule": "gated", "from": ["group:sre", "sub:root"], "quorum": 2, "requester": false }],
        },
        "digest": digest("bb"), "requester_name": name, "excerpt": "", "record": "rec-1",
        "asked_unix_ms": 1_800_000_000_000_u64, "expires_unix_s": 1_800_000_900,
        "votes": if event == Event::Requested { json!([]) } else { json!([yes]) },
        "state": state, "ended_unix_ms": null, "told": false,
    }))
    .unwrap();
    Facts {
        id: delivery_id("ops", &request.id, event).into(),
        event,
        at_unix_ms: 1_800_000_000_000,
        link: "https://console.example.com/console/approvals/apr_AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        request: Arc::new(request),
        shown: Shown {
            text: "{\n  \"path\": \"/srv/x\\u202e\",\n  \"n\": 1.0\n}".to_owned(),
            left_out_bytes: 7,
            masked: 2,
            unverified: 1,
        },
        before: Before { approved: 3, denied: 1 },
    }
}

fn formats() -> [(&'static str, WebhookFormat); 4] {
    [
        ("json", WebhookFormat::Json),
        ("slack", WebhookFormat::Slack),
        ("teams", WebhookFormat::Teams),
        ("pagerduty", WebhookFormat::PagerDuty("routing-key".to_owned().into())),
    ]
}

#[test]
fn every_format_is_as_its_file_says() {
    for (name, format) in formats() {
        for event in [Event::Requested, Event::Denied] {
            let got: Value = serde_json::from_str(&body(&format, &facts(event, "delete"))).unwrap();
            let file = format!("tests/data/notices/{name}-{}.json", event.as_str().trim_start_matches("approval."));
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
            let wanted = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{file} should be:\n{got:#}"));
            assert_eq!(got, serde_json::from_str::<Value>(&wanted).unwrap(), "{file} should be:\n{got:#}");
        }
    }
}

/// Every text of `value`, with the object it stands in.
fn texts<'v>(value: &'v Value, out: &mut Vec<(&'v Value, &'v str)>) {
    match value {
        Value::Object(map) => {
            for inner in map.values() {
                match inner {
                    Value::String(text) => out.push((value, text)),
                    inner => texts(inner, out),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| texts(inner, out)),
        _ => {}
    }
}

#[test]
fn what_others_wrote_is_taken_literally_and_hides_nothing() {
    for event in [Event::Requested, Event::Denied] {
        let facts = facts(event, HOSTILE);
        for (name, format) in formats().into_iter().filter(|(name, _)| *name != "json") {
            let message: Value = serde_json::from_str(&body(&format, &facts)).unwrap();
            let mut found = Vec::new();
            texts(&message, &mut found);
            for (at, text) in found {
                assert!(!text.contains(['\u{202e}', '\r']), "{name}: {text:?}");
                if text.contains("evil") || text.contains("!channel") {
                    let literal = match name {
                        "slack" => at["type"] == "text" || at.get("blocks").is_some() && !text.contains(['<', '>']),
                        "teams" => at["type"] == "TextRun",
                        _ => true,
                    };
                    assert!(literal, "{name}: {text:?} stands in {at}");
                }
            }
        }
    }
}

#[test]
fn links_lead_to_the_console_and_carry_nothing_that_decides() {
    for (name, format) in formats() {
        let text = body(&format, &facts(Event::Requested, "delete"));
        let links: Vec<&str> = text.split('"').filter(|part| part.starts_with("https://console.example.com")).collect();
        assert!(!links.is_empty(), "{name}");
        for link in links {
            assert_eq!(link, "https://console.example.com/console/approvals/apr_AAAAAAAAAAAAAAAAAAAAAA", "{name}");
        }
    }
}

#[test]
fn a_mail_keeps_its_headers_whatever_is_in_it() {
    let smtp = Smtp {
        host: "mail.example.com".to_owned(),
        port: 587,
        tls: MailTls::StartTls,
        from: "gw@example.com".to_owned(),
        to: vec!["a@example.com".to_owned()],
        login: None,
        allow_private_addresses: false,
    };
    for name in ["delete", HOSTILE, &"ü\u{1f980}".repeat(400), "=?utf-8?B?eA==?="] {
        let message = mail::message(&smtp, "ops", &facts(Event::Requested, name), "console.example.com");
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        let names: Vec<&str> =
            head.split("\r\n").filter(|line| !line.starts_with(' ')).map(|line| line.split(':').next().unwrap()).collect();
        let wanted = [
            "Date",
            "From",
            "To",
            "Subject",
            "Message-ID",
            "Auto-Submitted",
            "MIME-Version",
            "Content-Type",
            "Content-Transfer-Encoding",
        ];
        assert_eq!(names, wanted, "{head}");
        assert!(
            message.is_ascii() && message.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])),
            "{message}"
        );
        assert!(head.split("\r\n").all(|line| line.len() <= 78 || !line.contains("=?utf-8")), "{head}");
        assert!(!body.contains("evil"), "{body}");
    }
    let dated = mail::message(&smtp, "ops", &facts(Event::Requested, "x"), "console.example.com");
    assert!(dated.starts_with("Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n"), "{dated}");
}
