//! What approvers saw is what ran: one digest on the desk, at the upstream and on record, for arguments made to deceive.

use bytes::Bytes;
use portcullis::mcp::{RawJson, canonical};
use portcullis::telemetry::escape::is_unsafe;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{World, did};

fn sets() -> u64 {
    std::env::var("PORTCULLIS_APPROVAL_SETS").map_or(60, |sets| sets.parse().unwrap())
}

/// xorshift: one seed is one set.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[usize::try_from(self.roll(all.len() as u64)).unwrap()]
    }
}

/// Text as it stands between the quotes of a JSON string.
const TEXTS: &[&str] = &[
    "/srv/a",
    "\u{202e}gpj.exe",
    r"\u202egpj.exe",
    "a\u{200b}b",
    r"\u001b[2J\u001b[31mred",
    "\u{2066}x\u{2069}",
    "\u{feff}",
    "<script>alert(1)</script>",
    "\u{430}dmin",
    "admin",
    "caf\u{e9}",
    "cafe\u{301}",
    r"\ud83d\ude00",
    "\u{1f600}",
    r"a\/b",
    "a/b",
    r"\\n",
    r"\n",
    r"line\r\nforged: yes",
    "\u{e0041}",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_0123456789012345678901234567890123456789",
    "${jndi:ldap://x}",
    "",
    "' OR 1=1 --",
    "%00",
    r"\u0000",
];
const NUMBERS: &[&str] =
    &["0", "-0", "0.0", "1", "1.0", "1e0", "1E+0", "9007199254740993", "0.1", "0.10", "-1e-7", "123456789012345678901234567890"];
const KEYS: &[&str] =
    &["a", "b", "path", r"\u0070ath2", "__proto__", "constructor", "\u{202e}key", r"k\u200b", "k", "A", "\u{e4}", ""];

fn value(dice: &mut Dice, depth: u32, out: &mut String) {
    let space = |dice: &mut Dice, out: &mut String| out.push_str(dice.of(&["", " ", "\n", "\t"]));
    match dice.roll(if depth > 3 { 4 } else { 6 }) {
        0 | 1 => out.push_str(&format!("\"{}\"", dice.of(TEXTS))),
        2 => out.push_str(dice.of(NUMBERS)),
        3 => out.push_str(dice.of(&["true", "false", "null"])),
        4 => {
            out.push('[');
            for at in 0..dice.roll(4) {
                out.push_str(if at > 0 { "," } else { "" });
                space(dice, out);
                value(dice, depth + 1, out);
            }
            out.push(']');
        }
        _ => object(dice, depth, out),
    }
}

fn object(dice: &mut Dice, depth: u32, out: &mut String) {
    let mut members: Vec<(&str, String)> = Vec::new();
    for key in KEYS {
        if dice.roll(3) == 0 {
            let mut text = String::new();
            value(dice, depth + 1, &mut text);
            members.push((key, text));
        }
    }
    let turn = dice.roll(members.len() as u64 + 1);
    let turn = usize::try_from(turn).unwrap() % members.len().max(1);
    members.rotate_left(turn);
    out.push('{');
    for (at, (key, text)) in members.iter().enumerate() {
        out.push_str(if at > 0 { ", " } else { "" });
        out.push_str(&format!("\"{key}\" :{text}"));
    }
    out.push('}');
}

fn digest(text: &str) -> String {
    let raw = RawJson::parse(Bytes::copy_from_slice(text.as_bytes()), 64).unwrap();
    canonical::digest(Some(&raw)).to_string()
}

/// The arguments of a call, byte for byte.
fn arguments(body: &str) -> String {
    let call: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(body).unwrap();
    let params: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(call["params"].get()).unwrap();
    params["arguments"].get().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_digest_from_the_desk_to_the_record() {
    let world = World::start().await;
    let mut expected = Vec::new();
    for seed in 1..=sets() {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut text = String::new();
        object(&mut dice, 0, &mut text);
        // No two sets are one.
        let text = format!("{{\"set\":{seed},\"rest\":{text}}}");
        let request = world.asked("up__write", &text).await;
        let shown = world.desk().shown(&request.id).await.unwrap().unwrap();
        assert!(!shown.text.chars().any(|c| c != '\n' && is_unsafe(c)), "{seed}: {:?}", shown.text);
        assert!(!shown.text.contains("AKIAIOSFODNN7EXAMPLE") && !shown.text.contains("ghp_01234567890123456789"), "{seed}");
        assert_eq!(request.bound.arguments.to_string(), digest(&text), "{seed}: {text}");
        world.approve(&request).await;
        let ran = world.call("up__write", &text).await;
        assert!(did(&ran), "{seed}: {}", ran.whole());
        let executed = arguments(&world.gate.up.calls().last().unwrap().body);
        assert_eq!(executed, text, "{seed}");
        assert_eq!(digest(&executed), request.bound.arguments.to_string(), "{seed}");
        expected.push((request.id.to_string(), digest(&executed)));
    }
    let records = world.gate.settled(usize::try_from(sets()).unwrap() * 5).await;
    for (id, digest) in expected {
        let of = |kind: &str| {
            let about = |record: &&Value| record["kind"] == kind && record["approval"]["id"] == id.as_str();
            records.iter().filter(about).filter(|record| record["approval"]["state"] == "used").collect::<Vec<_>>()
        };
        assert_eq!((of("intent").len(), of("outcome").len()), (1, 1), "{id}");
        for record in [of("intent"), of("outcome"), of("approval")].concat() {
            assert_eq!(record["approval"]["arguments"], digest.as_str(), "{record}");
        }
    }
}

/// Three mebibytes are shown as far as is bounded, with the count of the rest; the digest is of all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_arguments_are_bounded_on_the_desk_and_whole_in_the_digest() {
    let world = World::start().await;
    let long = |last: char| format!(r#"{{"text":"{}{last}"}}"#, "\u{202e}a".repeat(800_000));
    let request = world.asked("up__write", &long('x')).await;
    let shown = world.desk().shown(&request.id).await.unwrap().unwrap();
    assert!(shown.text.len() <= 64 * 1024 && shown.left_out_bytes > 3 << 20, "{} {}", shown.text.len(), shown.left_out_bytes);
    world.approve(&request).await;
    assert!(!did(&world.call("up__write", &long('y')).await));
    assert!(did(&world.call("up__write", &long('x')).await));
    assert_eq!(world.ran(), 1);
}
