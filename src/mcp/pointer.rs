//! JSON pointers (RFC 6901) into validated spans, without a tree.

use super::json::{JsonError, Kind};
use super::raw::RawJson;

/// The value at `pointer`, if there is one. The empty pointer is the whole value.
pub fn at(value: &RawJson, pointer: &str) -> Option<RawJson> {
    let mut found = value.clone();
    let mut steps = pointer.split('/');
    // What stands before the first slash is empty in every valid pointer.
    if !steps.next()?.is_empty() {
        return None;
    }
    for step in steps {
        let step = step.replace("~1", "/").replace("~0", "~");
        found = child(&found, &step)?;
    }
    Some(found)
}

fn child(value: &RawJson, step: &str) -> Option<RawJson> {
    let mut found = None;
    let mut scan = value.scanner();
    let walked: Result<&str, JsonError> = match value.kind()? {
        Kind::Object => scan.object(|scan, key| {
            let member = scan.value()?;
            if key == step {
                found = Some(value.part(member));
            }
            Ok(())
        }),
        Kind::Array => {
            let wanted = index(step)?;
            let mut at = 0_usize;
            scan.array(|scan| {
                let element = scan.value()?;
                if at == wanted {
                    found = Some(value.part(element));
                }
                at += 1;
                Ok(())
            })
        }
        _ => return None,
    };
    walked.ok().and(found)
}

/// An array index: digits without a leading zero.
fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || (!step.starts_with('0') && step.bytes().all(|b| b.is_ascii_digit()));
    step.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn check(pointer: &str, expect: Option<&str>) {
        let text = r#"{"a":{"b/c":[10,{"~":"x"}]},"":1,"z":null}"#;
        let value = RawJson::parse(Bytes::from_static(text.as_bytes()), 8).unwrap();
        assert_eq!(at(&value, pointer).as_ref().map(RawJson::as_str), expect, "{pointer}");
    }

    #[test]
    fn follows_members_and_elements() {
        check("/a/b~1c/0", Some("10"));
        check("/a/b~1c/1/~0", Some("\"x\""));
        check("/", Some("1"));
        check("/z", Some("null"));
        for nowhere in ["/a/b~1c/2", "/a/b~1c/01", "/a/b~1c/-", "/a/b~1c/1/~0/q", "/q", "a"] {
            check(nowhere, None);
        }
    }
}
