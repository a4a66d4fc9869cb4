//! Constraints as people type them, in a form or on a command line.

use bytes::Bytes;

use crate::mcp::RawJson;
use crate::mcp::json::push_string;

/// One matcher for the values that a pointer selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// The pointer.
    pub pointer: String,
    /// `equals`, `one_of`, `glob` or `path_under`.
    pub matcher: String,
    /// What it is given; `equals` looks at the first. What reads as JSON there and in `one_of` is that value, anything else a text.
    pub values: Vec<String>,
}

/// The JSON object that says `all`, for [`super::Terms::within`]. Whether it makes sense is found out there.
pub fn typed(all: &[Typed]) -> Option<RawJson> {
    let mut pointers: Vec<&str> = all.iter().map(|typed| typed.pointer.as_str()).collect();
    pointers.sort_unstable();
    pointers.dedup();
    let mut out = vec![b'{'];
    for (at, pointer) in pointers.into_iter().enumerate() {
        key(&mut out, at, pointer);
        out.push(b'{');
        for (at, typed) in all.iter().filter(|typed| typed.pointer == pointer).enumerate() {
            key(&mut out, at, &typed.matcher);
            value(&mut out, typed);
        }
        out.push(b'}');
    }
    out.push(b'}');
    // Nothing is there twice, or it is refused here.
    RawJson::parse(out.into(), DEPTH_MAX).ok()
}

/// Nesting of a value.
const DEPTH_MAX: usize = 64;

fn key(out: &mut Vec<u8>, at: usize, name: &str) {
    if at > 0 {
        out.push(b',');
    }
    push_string(out, name);
    out.push(b':');
}

fn value(out: &mut Vec<u8>, Typed { matcher, values, .. }: &Typed) {
    let json = |text: &str| RawJson::parse(Bytes::copy_from_slice(text.as_bytes()), DEPTH_MAX - 4).ok();
    let push = |out: &mut Vec<u8>, text: &str| match json(text).filter(|_| matches!(matcher.as_str(), "equals" | "one_of")) {
        Some(raw) => out.extend_from_slice(raw.as_bytes()),
        None => push_string(out, text),
    };
    if matcher == "equals" {
        return push(out, values.first().map_or("", String::as_str));
    }
    out.push(b'[');
    for (at, text) in values.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push(out, text);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(pointer: &str, matcher: &str, values: &[&str]) -> Typed {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Typed { pointer: pointer.to_owned(), matcher: matcher.to_owned(), values }
    }

    #[test]
    fn what_is_typed_is_json_of_the_same_meaning() {
        for (all, expect) in [
            (vec![one("/path", "path_under", &["/srv/docs", "1"])], Some(r#"{"/path":{"path_under":["/srv/docs","1"]}}"#)),
            (vec![one("/n", "equals", &["12345678901234567890.0"])], Some(r#"{"/n":{"equals":12345678901234567890.0}}"#)),
            (vec![one("/n", "equals", &["\"1\""])], Some(r#"{"/n":{"equals":"1"}}"#)),
            (vec![one("/n", "equals", &["a\"},\"x"])], Some(r#"{"/n":{"equals":"a\"},\"x"}}"#)),
            (vec![one("/n", "one_of", &["a", "true", "{}"])], Some(r#"{"/n":{"one_of":["a",true,{}]}}"#)),
            (
                vec![one("/b", "glob", &["x*"]), one("/a", "equals", &["1"]), one("/b", "one_of", &["xy"])],
                Some(r#"{"/a":{"equals":1},"/b":{"glob":["x*"],"one_of":["xy"]}}"#),
            ),
            (vec![one("/b", "glob", &["x*"]), one("/b", "glob", &["y*"])], None),
        ] {
            assert_eq!(typed(&all).as_ref().map(RawJson::as_str), expect);
        }
    }
}
