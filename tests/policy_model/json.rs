//! JSON values of the model. Numbers stay as they are written.

use crate::random::Random;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(&'static str),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

use Json::{Bool, List, Map, Null, Number, Text};

pub(crate) fn text(text: &str) -> Json {
    Text(text.to_owned())
}

impl Json {
    /// The value as JSON text, with spaces and escapes as chance will have it.
    pub(crate) fn write(&self, random: &mut Random) -> String {
        let mut out = String::new();
        self.push(random, &mut out);
        out
    }

    fn push(&self, random: &mut Random, out: &mut String) {
        match self {
            Null => out.push_str("null"),
            Bool(value) => out.push_str(&value.to_string()),
            Number(token) => out.push_str(token),
            Text(text) => quote(text, random, out),
            List(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    out.push_str(if n > 0 { "," } else { "" });
                    space(random, out);
                    item.push(random, out);
                }
                out.push(']');
            }
            Map(members) => {
                out.push('{');
                for (n, (key, value)) in members.iter().enumerate() {
                    out.push_str(if n > 0 { "," } else { "" });
                    space(random, out);
                    quote(key, random, out);
                    out.push(':');
                    space(random, out);
                    value.push(random, out);
                }
                out.push('}');
            }
        }
    }
}

fn space(random: &mut Random, out: &mut String) {
    if random.one_in(8) {
        out.push_str(random.pick(&[" ", "\n", "\t", "\r\n  "]));
    }
}

fn quote(text: &str, random: &mut Random, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' || random.one_in(24) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            '/' if random.one_in(8) => out.push_str("\\/"),
            c => out.push(c),
        }
    }
    out.push('"');
}
