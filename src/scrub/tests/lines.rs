//! Texts that come line by line.

use super::*;

fn shown(text: &str) -> Vec<String> {
    let mut lines = Lines::default();
    text.lines().filter_map(|line| lines.next(line).map(Cow::into_owned)).collect()
}

#[test]
fn a_key_of_many_lines_is_one_secret() {
    let (begin, end) = ("-----BEGIN EC PRIVATE KEY-----", "-----END EC PRIVATE KEY-----");
    let hidden = "[redacted: private-key]";
    for (text, expect) in [
        (format!("a\n{begin}\nMHcCAQ\nxx\n{end}\nb"), vec!["a", hidden, "b"]),
        (format!("{begin}\nMHcCAQ\n{end}{begin}\nMHcCAR\n{end}\nb"), vec![hidden, "b"]),
        (format!("{begin}\nMHcCAQ\n{end} {begin} MHcCAR {end}\nb"), vec![hidden, "b"]),
        (format!("{begin} MHcCAQ {end}\nb"), vec![hidden, "b"]),
        (format!("{begin} -----BEGIN CERTIFICATE-----\nMHcCAQ\n{end}\nb"), vec![hidden, "b"]),
        ("-----BEGIN CERTIFICATE-----\nMIIB".to_owned(), vec!["-----BEGIN CERTIFICATE-----", "MIIB"]),
    ] {
        assert_eq!(shown(&text), expect, "{text}");
    }
}

#[test]
fn a_key_that_does_not_end_was_none() {
    let lines = |begins: &str| format!("{begins}\n{}", "x\n".repeat(1_000));
    let begin = "found no -----BEGIN RSA PRIVATE KEY-----";
    let after = shown(&lines(begin));
    assert_eq!(after.first().unwrap(), "found no [redacted: private-key]");
    // Several hundred lines are hidden, for that many a key may have, and not the others.
    assert!((300..700).contains(&after.len()), "{}", after.len());
    // To begin again does not make it longer.
    let twice = shown(&format!("{begin}\n{begin}\n{}", "x\n".repeat(999)));
    assert_eq!(twice.len(), after.len());
}
