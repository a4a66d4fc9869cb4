//! Questions of upstreams to clients (2025-11-25 and older), and what clients answer. Their form is the same in every revision
//! that has them; whether a client can be asked is [`crate::mcp::client_caps`].

use crate::mcp::json::{JsonError, Kind};
use crate::mcp::keys;
use crate::mcp::raw::{RawId, RawJson};
use crate::mcp::write::{Object, object, object_bytes};

/// Writes the request `method` with an id of ours. Every member of `params` is kept byte for byte, but for `_meta`, of which
/// only what no specification reserves passes.
pub fn lower_question(id: &RawId, method: &str, params: Option<&RawJson>) -> Vec<u8> {
    let hint = 128 + params.map_or(0, |params| params.as_bytes().len());
    object_bytes(hint, |out| {
        out.text("jsonrpc", "2.0").raw("id", id.as_str().as_bytes()).text("method", method);
        if let Some(params) = params {
            out.object("params", |kept| copy(kept, params));
        }
    })
}

/// A client's result as the upstream may see it: as [`lower_question`] does with `params`.
pub fn lower_question_result(result: &RawJson) -> RawJson {
    object(|kept| copy(kept, result))
}

/// The value was validated when it arrived; a failure here could only shorten it.
fn copy(kept: &mut Object<'_>, from: &RawJson) {
    let _: Result<_, JsonError> = from.scanner().object(|scan, key| {
        let is_object = scan.peek()? == Kind::Object;
        let value = scan.value()?;
        match key.as_ref() {
            "_meta" if is_object => copy_meta(kept, &from.part(value)),
            "_meta" => {}
            key => {
                kept.raw_named(key, value.as_bytes());
            }
        }
        Ok(())
    });
}

fn copy_meta(kept: &mut Object<'_>, from: &RawJson) {
    let mut members = Vec::new();
    let _: Result<_, JsonError> = from.scanner().object(|scan, key| {
        let value = scan.value()?;
        if !keys::is_reserved_meta(key.as_ref()) && !keys::is_disguised(key.as_ref(), keys::META) {
            members.push((RawJson::of_text(key.as_ref()), from.part(value)));
        }
        Ok(())
    });
    if !members.is_empty() {
        kept.object("_meta", |meta| {
            meta.members(&members);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn raw(text: &'static str) -> RawJson {
        RawJson::parse(Bytes::from_static(text.as_bytes()), 8).unwrap()
    }

    #[test]
    fn keeps_every_byte_but_reserved_metadata() {
        let id = RawId::of(&raw(r#""pq-1""#)).unwrap();
        let params = raw(
            r#"{"message":"a\u00e4 ","n":1.50,"_meta":{"progressToken":1,"io.modelcontextprotocol/x":2,"Traceparent":3,"a/b":{"c":4}}}"#,
        );
        assert_eq!(
            String::from_utf8(lower_question(&id, "elicitation/create", Some(&params))).unwrap(),
            r#"{"jsonrpc":"2.0","id":"pq-1","method":"elicitation/create","params":{"message":"a\u00e4 ","n":1.50,"_meta":{"a/b":{"c":4}}}}"#
        );
        assert_eq!(lower_question(&id, "roots/list", None), br#"{"jsonrpc":"2.0","id":"pq-1","method":"roots/list"}"#);
        let result = raw(r#"{"action":"accept","_meta":{"traceparent":"x"}}"#);
        assert_eq!(lower_question_result(&result).as_str(), r#"{"action":"accept"}"#);
    }
}
