//! The search takes time in proportion to the text, whatever that is.

use super::*;

/// What can be repeated, and what can end it so that nothing is found after all.
const PARTS: &[&str] = &[
    "eyJ",
    "eyJa.",
    ".eyJ",
    "eyJaaaaaaaaaa.eyJ",
    "eyJaaaaaaaaaa.",
    "password=",
    "password=a1(",
    "password: a1b2c3d4 ",
    "password:          x",
    "#password:a1b2c3d4",
    "+api-key:a1b2c3d4",
    "Authorization: Bearer ",
    "authorization:bearer a1",
    "\\\"password\\\": \\\"",
    "secret=a1b2c3d4",
    "\"auth\":\"",
    "cookie:",
    "cookie:cookie:",
    "cookie:a1=",
    "set-cookie: x",
    "?code=",
    "&sig=",
    "?code=a1",
    "?x-amz-signature=.",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY",
    "ghp_",
    "github_pat_",
    "AIza",
    "SG.",
    "://",
    "://a:",
    "://a",
    "pck_",
    "pck_a",
    "12345678:AA",
    "1",
    "=",
    ":",
    "sk_live_a",
    "password=a1b2c3d4 4111111111111111 https://a@b ",
    "password%3Da1b2c3d4+",
    "4111-",
    "4 ",
    "4",
    "a-",
    "_a1B",
    "__",
    "%25",
    "%E9",
    "-",
];
const ENDS: &[&str] = &["", " x", ":(", "\n"];

/// How many bytes the search walks over, beside its own way through the text.
fn cost(text: &str) -> usize {
    let before = WALKED_BYTES.get();
    drop(unknown_name(text));
    drop(redact(&json!({"cookie": text, "password": [text]}).to_string(), None));
    drop(redact_kept(&json!([text]).to_string(), None));
    drop(redact_kept(text, None));
    drop(redact_for_people(&json!({"cookie": text, "password": [text]}).to_string()));
    WALKED_BYTES.get() - before
}

#[test]
fn hostile_repetitions_cost_in_proportion() {
    for part in PARTS {
        for end in ENDS {
            let text = |bytes: usize| part.repeat(bytes / part.len()) + end;
            // A walk to the end from every part would be 64 times as far.
            let (short, long) = (cost(&text(2_000)), cost(&text(16_000)));
            assert!(long <= 10 * short + 10_000, "{part:?} {end:?}: {short}, {long}");
        }
    }
}

#[test]
fn a_key_without_an_end_is_looked_for_once() {
    let unclosed = "-----BEGIN PRIVATE KEY-----\n".repeat(20_000);
    assert_eq!(find(&unclosed).len(), 1);
}

/// A line of a key is the last one, or not, at one look.
#[test]
fn a_key_of_many_lines_costs_in_proportion() {
    let key = |lines: usize| format!("-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----", "r\n".repeat(lines));
    let (short, long) = (cost(&key(1_000)), cost(&key(8_000)));
    assert!(long <= 10 * short + 10_000, "{short}, {long}");
}

/// The counter counts: without it every cost would be in proportion.
#[test]
fn what_is_walked_over_is_counted_and_done_once() {
    let walked = |text: &str| {
        let before = WALKED_BYTES.get();
        drop(super::text(text));
        WALKED_BYTES.get() - before
    };
    assert_eq!(walked("1234567890 12345"), 15);
    // As it is and decoded; where a plus may stand for itself or for a space, either way.
    assert_eq!(walked("1234567890 12345%20"), 15 + 2 + 15);
    assert_eq!(walked("1234567890 12345%20+"), 15 + 2 + 15 + 15);
}
