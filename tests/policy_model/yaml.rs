//! YAML, written in random order and spelling.

use crate::random::Random;

/// A YAML tree. Lists that mean sets are shuffled, and may say an entry twice.
#[derive(Clone)]
pub(crate) enum Yaml {
    /// Written as it is.
    Bare(String),
    Text(String),
    List(Vec<Yaml>),
    Set(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

use Yaml::{Bare, List, Map, Set, Text};

/// Writes a value after its key: on the same line in braces, or below with indentation.
pub(crate) fn write(value: &Yaml, level: usize, r: &mut Random, out: &mut String) {
    let indent = |out: &mut String| {
        out.push('\n');
        out.push_str(&"  ".repeat(level));
    };
    match shuffled(value, r) {
        List(items) if level < 4 && !items.is_empty() && r.one_in(2) => {
            for item in &items {
                indent(out);
                out.push_str("- ");
                flow(item, r, out);
            }
        }
        Map(entries) if level < 4 && !entries.is_empty() && r.one_in(2) => {
            for (key, value) in &entries {
                indent(out);
                quoted(key, r, out);
                out.push(':');
                write(value, level + 1, r, out);
            }
        }
        other => {
            out.push(' ');
            flow(&other, r, out);
        }
    }
}

fn shuffled(value: &Yaml, r: &mut Random) -> Yaml {
    match value.clone() {
        Set(mut items) => {
            if !items.is_empty() && r.one_in(6) {
                items.push(items[0].clone());
            }
            r.shuffle(&mut items);
            List(items)
        }
        Map(mut entries) => {
            r.shuffle(&mut entries);
            Map(entries)
        }
        other => other,
    }
}

fn flow(value: &Yaml, r: &mut Random, out: &mut String) {
    match shuffled(value, r) {
        Bare(text) => out.push_str(&text),
        Text(text) => quoted(&text, r, out),
        List(items) | Set(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                flow(item, r, out);
            }
            out.push(']');
        }
        Map(entries) => {
            out.push_str("{ ");
            for (n, (key, value)) in entries.iter().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                quoted(key, r, out);
                out.push_str(": ");
                flow(value, r, out);
            }
            out.push_str(" }");
        }
    }
}

fn quoted(text: &str, r: &mut Random, out: &mut String) {
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && !text.is_empty() && !words.contains(&text);
    match r.below(3) {
        0 if plain => out.push_str(text),
        1 => {
            out.push('\'');
            out.push_str(&text.replace('\'', "''"));
            out.push('\'');
        }
        _ => {
            out.push('"');
            for c in text.chars() {
                match c {
                    '"' | '\\' => out.extend(['\\', c]),
                    c if !c.is_ascii() && u32::from(c) < 0x1_0000 && r.one_in(2) => {
                        out.push_str(&format!("\\u{:04x}", u32::from(c)))
                    }
                    c => out.push(c),
                }
            }
            out.push('"');
        }
    }
}
