//! Questions of upstreams to people, models and clients, and what is answered: as requests (2025-11-25 and older) and as entries of
//! `inputRequests` (2026-07-28). Whether a client can be asked is [`crate::mcp::client_caps`].

use super::form;
use super::kind::QuestionKind;
use crate::mcp::json::{JsonError, Kind};
use crate::mcp::keys;
use crate::mcp::pointer;
use crate::mcp::raw::{RawId, RawJson};
use crate::mcp::write::{Object, object, object_bytes};
use crate::vocab::{Revision, escape};

/// What a person is asked.
const ELICIT: &str = "elicitation/create";
/// What a model is asked.
const SAMPLE: &str = "sampling/createMessage";

/// A question on its way to a client. What a person reads of it begins with the name of the upstream that asks, because a client
/// sees only the gateway.
#[derive(Clone, Debug)]
pub struct Question {
    method: String,
    params: Option<RawJson>,
    /// `message` with the name before it.
    message: Option<RawJson>,
}

impl Question {
    /// The question `method` of `upstream`. `None` for an elicitation without a text for the person.
    pub fn of(upstream: &str, method: &str, params: Option<RawJson>) -> Option<Self> {
        let message = match (method, &params) {
            (ELICIT, Some(params)) => Some(signed(upstream, &pointer::at(params, "/message")?)?),
            (ELICIT, None) => return None,
            _ => None,
        };
        Some(Self { method: method.to_owned(), params, message })
    }

    /// What kind of question it is; `None` for one that is not known here.
    pub fn kind(&self) -> Option<QuestionKind> {
        QuestionKind::of(&self.method)
    }

    /// Whether a person is asked, who can say no.
    pub fn is_to_person(&self) -> bool {
        self.kind() == Some(QuestionKind::Person)
    }

    /// The params in the words of `revision`; what has no words there makes it `None`.
    fn members(&self, params: &RawJson, revision: Revision) -> Option<Vec<(RawJson, RawJson)>> {
        let (mut members, mut sayable) = (Vec::new(), true);
        let read: Result<_, JsonError> = params.scanner().object(|scan, key| {
            let kind = scan.peek()?;
            let value = params.part(scan.value()?);
            let value = match (self.method.as_str(), key.as_ref()) {
                (_, "_meta") => Some(value).filter(|_| kind == Kind::Object).and_then(|meta| free_meta(&meta)),
                (ELICIT, "message") => self.message.clone(),
                // Nobody would learn of an id of the upstream's that what it names is over.
                (ELICIT, "elicitationId") => None,
                // To the client "this server" is the gateway, with everything behind it; left out it means none.
                (SAMPLE, "includeContext") => None,
                (ELICIT, "mode") if revision < Revision::V2025_11_25 => None,
                (ELICIT, "requestedSchema") if revision < Revision::V2025_11_25 => {
                    let plain = form::plain(&value);
                    sayable &= plain.is_some();
                    plain
                }
                (SAMPLE, "messages") if revision < Revision::V2025_11_25 => {
                    let plain = form::single_blocks(&value, revision);
                    sayable &= plain.is_some();
                    plain
                }
                _ => Some(value),
            };
            members.extend(value.map(|value| (RawJson::of_text(key.as_ref()), value)));
            Ok(())
        });
        read.ok().filter(|_| sayable).map(|_| members)
    }

    fn is_page(&self) -> bool {
        let mode = self.params.as_ref().and_then(|params| pointer::at(params, "/mode"));
        self.is_to_person() && mode.is_some_and(|mode| mode.as_str() == "\"url\"")
    }
}

/// Writes a question as a request with an id of ours, for a client that speaks `revision`. Of `_meta` passes only what no
/// specification reserves; every other member is kept byte for byte, where the revision has it.
///
/// `None` where the revision has no words for it: a choice of several, or a message in several parts, before 2025-11-25.
pub fn lower_question(revision: Revision, id: &RawId, question: &Question) -> Option<Vec<u8>> {
    let members = match &question.params {
        Some(params) => Some(question.members(params, revision)?),
        None => None,
    };
    let hint = 160 + question.params.as_ref().map_or(0, |params| params.as_bytes().len());
    Some(object_bytes(hint, |out| {
        out.text("jsonrpc", "2.0").raw("id", id.as_str().as_bytes()).text("method", &question.method);
        if let Some(members) = members {
            out.object("params", |out| {
                out.members(&members);
                if question.is_page() {
                    out.raw("elicitationId", id.as_str().as_bytes());
                }
            });
        }
    }))
}

/// Writes a question as an entry of `inputRequests` (2026-07-28, multi round-trip requests).
pub fn input_request(question: &Question) -> RawJson {
    let params = question.params.as_ref().and_then(|params| question.members(params, Revision::V2026_07_28));
    object(|out| {
        out.text("method", &question.method);
        if let Some(members) = params {
            out.object("params", |out| {
                out.members(&members);
            });
        }
    })
}

/// A client's result as an upstream that speaks `revision` may see it, without what specifications reserve in `_meta`. `None` for
/// a model's answer in several parts before 2025-11-25.
pub fn lower_question_result(revision: Revision, result: &RawJson) -> Option<RawJson> {
    let mut sayable = true;
    let whole = object(|kept| {
        let read: Result<_, JsonError> = result.scanner().object(|scan, key| {
            let kind = scan.peek()?;
            let value = result.part(scan.value()?);
            let value = match key.as_ref() {
                "_meta" => Some(value).filter(|_| kind == Kind::Object).and_then(|meta| free_meta(&meta)),
                "content" if kind == Kind::Array && revision < Revision::V2025_11_25 => {
                    let block = form::single_block(&value, revision);
                    sayable &= block.is_some();
                    block
                }
                _ => Some(value),
            };
            if let Some(value) = value {
                kept.raw_named(key.as_ref(), value.as_bytes());
            }
            Ok(())
        });
        sayable &= read.is_ok();
    });
    sayable.then_some(whole)
}

/// Writes `notifications/cancelled` for a question that a client was sent as request `id` (2025-11-25 and older, cancellation): nobody
/// waits for its answer any more.
pub fn lower_withdrawn(id: &RawId) -> Vec<u8> {
    object_bytes(128, |out| {
        out.text("jsonrpc", "2.0").text("method", "notifications/cancelled").object("params", |params| {
            params.raw("requestId", id.as_str().as_bytes()).text("reason", "The call that asked is over");
        });
    })
}

/// What a person's refusal is to the upstream, where there is none in so many words.
pub fn cancelled_question() -> RawJson {
    RawJson::of_static("{\"action\":\"cancel\"}")
}

/// `[UPSTREAM] ` before a text. Its own bytes are kept, unless it has what could erase or hide that name where it is read, at a terminal
/// above all: control characters but newlines and tabs, direction marks and what is invisible become visible escapes, but for the
/// joiners in words and emoji.
fn signed(upstream: &str, message: &RawJson) -> Option<RawJson> {
    let harmless = escape::visible_lines(&message.scanner().string().ok()?).map(|text| RawJson::of_text(&text));
    let message = harmless.as_ref().unwrap_or(message);
    let text = message.as_str().strip_prefix('"')?;
    let name = RawJson::of_text(&format!("[{upstream}] "));
    let name = name.as_str().strip_suffix('"')?;
    Some(RawJson::of_ours([name.as_bytes(), text.as_bytes()].concat()))
}

/// What of a `_meta` no specification reserves.
fn free_meta(from: &RawJson) -> Option<RawJson> {
    let mut members = Vec::new();
    let read: Result<_, JsonError> = from.scanner().object(|scan, key| {
        let value = scan.value()?;
        if !keys::is_reserved_meta(key.as_ref()) && !keys::is_disguised(key.as_ref(), keys::META) {
            members.push((RawJson::of_text(key.as_ref()), from.part(value)));
        }
        Ok(())
    });
    let write = |out: &mut Object<'_>| {
        out.members(&members);
    };
    (read.is_ok() && !members.is_empty()).then(|| object(write))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const NEW: Revision = Revision::V2025_11_25;
    const OLD: Revision = Revision::V2025_06_18;

    fn raw(text: &'static str) -> RawJson {
        RawJson::parse(Bytes::from_static(text.as_bytes()), 16).unwrap()
    }

    fn said(revision: Revision, method: &str, params: Option<&'static str>) -> Option<String> {
        let id = RawId::of(&raw(r#""pq-1""#)).unwrap();
        let question = Question::of("up", method, params.map(raw))?;
        lower_question(revision, &id, &question).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn keeps_every_byte_but_reserved_metadata_and_says_who_asks() {
        let params = r#"{"message":"a\u00e4 ","n":1.50,"_meta":{"progressToken":1,"io.modelcontextprotocol/x":2,"Traceparent":3,"a/b":{"c":4}}}"#;
        assert_eq!(
            said(NEW, ELICIT, Some(params)).unwrap(),
            r#"{"jsonrpc":"2.0","id":"pq-1","method":"elicitation/create","params":{"message":"[up] a\u00e4 ","n":1.50,"_meta":{"a/b":{"c":4}}}}"#
        );
        assert_eq!(said(NEW, "roots/list", None).unwrap(), r#"{"jsonrpc":"2.0","id":"pq-1","method":"roots/list"}"#);
        let question = Question::of(
            "up",
            ELICIT,
            Some(raw(r#"{"mode":"url","message":"go","url":"https://a.example/","elicitationId":"x"}"#)),
        );
        let question = question.unwrap();
        assert_eq!(
            input_request(&question).as_str(),
            r#"{"method":"elicitation/create","params":{"mode":"url","message":"[up] go","url":"https://a.example/"}}"#
        );
        let id = RawId::of(&raw(r#""pq-1""#)).unwrap();
        let asked = String::from_utf8(lower_question(NEW, &id, &question).unwrap()).unwrap();
        assert!(asked.ends_with(r#""url":"https://a.example/","elicitationId":"pq-1"}}"#), "{asked}");
        // Context of "this server" would be that of every upstream behind the gateway.
        for model in [
            r#"{"messages":[],"includeContext":"allServers","maxTokens":1}"#,
            r#"{"messages":[],"\u0069nclude\u0043ontext":"allServers","maxTokens":1}"#,
        ] {
            assert!(said(NEW, SAMPLE, Some(model)).unwrap().ends_with(r#""params":{"messages":[],"maxTokens":1}}"#), "{model}");
        }
        for params in [None, Some("{}"), Some(r#"{"message":1}"#)] {
            assert!(Question::of("up", ELICIT, params.map(raw)).is_none(), "{params:?}");
        }
    }

    #[test]
    fn no_message_erases_or_hides_who_asks() {
        for (message, expect) in [
            (r#""\u001b[2K\r[bank] pay""#, r#""[up] \\u001b[2K\\u000d[bank] pay""#),
            (
                r#""\u0008\u0008\u0008\u0008\u0008x\u007f\u009b2K""#,
                r#""[up] \\u0008\\u0008\\u0008\\u0008\\u0008x\\u007f\\u009b2K""#,
            ),
            ("\"\u{202e}yap\u{2066}\u{200b}\u{feff}\u{e0041}\"", r#""[up] \\u202eyap\\u2066\\u200b\\ufeff\\udb40\\udc41""#),
            (r#""\u202eyap \"x\" \\ \n\ty""#, r#""[up] \\u202eyap \"x\" \\ \n\ty""#),
            // Nothing of that: not a byte is another.
            (r#""a\/b \u00e4\n\tb""#, r#""[up] a\/b \u00e4\n\tb""#),
        ] {
            let params = RawJson::parse(Bytes::from(format!("{{\"message\":{message}}}")), 16).unwrap();
            let question = Question::of("up", ELICIT, Some(params)).unwrap();
            let asked = input_request(&question);
            assert_eq!(pointer::at(&asked, "/params/message").unwrap().as_str(), expect, "{message}");
        }
    }

    #[test]
    fn a_result_loses_what_is_reserved() {
        let result = raw(r#"{"action":"accept","content":{"a":[1]},"_meta":{"traceparent":"x"}}"#);
        assert_eq!(lower_question_result(OLD, &result).unwrap().as_str(), r#"{"action":"accept","content":{"a":[1]}}"#);
        let many = |blocks: &'static str| lower_question_result(OLD, &raw(blocks)).map(|raw| raw.as_str().to_owned());
        assert_eq!(many(r#"{"role":"a","content":[{"type":"text"}]}"#).unwrap(), r#"{"role":"a","content":{"type":"text"}}"#);
        assert_eq!(many(r#"{"content":[{"type":"text"},{"type":"text"}]}"#), None);
        assert!(lower_question_result(NEW, &raw(r#"{"content":[{"type":"text"},{"type":"text"}]}"#)).is_some());
    }

    #[test]
    fn older_clients_are_asked_in_their_own_words() {
        let check = |params: &'static str, expect: Option<&str>| {
            let expect = expect.map(|e| format!(r#"{{"jsonrpc":"2.0","id":"pq-1","method":"elicitation/create","params":{e}}}"#));
            assert_eq!(said(OLD, ELICIT, Some(params)), expect, "{params}");
        };
        check(
            r#"{"mode":"form","message":"m","requestedSchema":{"type":"object","properties":{"a":{"type":"string","default":"x","title":"t"},"b":{"type":"boolean","default":true},"c":{"type":"integer","minimum":1,"default":2},"d":{"type":"string","enum":["x"],"enumNames":["X"]}},"required":["a"]}}"#,
            Some(
                r#"{"message":"[up] m","requestedSchema":{"type":"object","properties":{"a":{"type":"string","title":"t"},"b":{"type":"boolean","default":true},"c":{"type":"integer","minimum":1},"d":{"type":"string","enum":["x"],"enumNames":["X"]}},"required":["a"]}}"#,
            ),
        );
        check(
            r#"{"message":"m","requestedSchema":{"type":"object","properties":{"a":{"type":"string","title":"t","oneOf":[{"const":"x","title":"X"},{"const":"y","title":"Y"}],"default":"x"}}}}"#,
            Some(
                r#"{"message":"[up] m","requestedSchema":{"type":"object","properties":{"a":{"type":"string","title":"t","enum":["x","y"],"enumNames":["X","Y"]}}}}"#,
            ),
        );
        // A choice of several can be left out where it need not be made.
        check(
            r#"{"message":"m","requestedSchema":{"type":"object","properties":{"a":{"type":"array","items":{"type":"string","enum":["x"]}},"b":{"type":"string"}},"required":["b"]}}"#,
            Some(
                r#"{"message":"[up] m","requestedSchema":{"type":"object","properties":{"b":{"type":"string"}},"required":["b"]}}"#,
            ),
        );
        check(
            r#"{"message":"m","requestedSchema":{"type":"object","properties":{"a":{"type":"array"}},"required":["a"]}}"#,
            None,
        );
        check(
            r#"{"message":"m","requestedSchema":{"type":"object","properties":{"a":{"type":"object"}},"required":["a"]}}"#,
            None,
        );
        check(r#"{"message":"m","requestedSchema":{"type":"object","properties":{"a":7}}}"#, None);
        check(r#"{"message":"m","requestedSchema":[]}"#, None);
        let sampled =
            said(OLD, SAMPLE, Some(r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"maxTokens":1}"#));
        assert!(sampled.unwrap().contains(r#""messages":[{"role":"user","content":{"type":"text","text":"a"}}]"#));
        for messages in [
            r#"{"messages":[{"role":"user","content":[{"type":"text"},{"type":"text"}]}]}"#,
            r#"{"messages":[{"role":"user","content":{"type":"tool_result"}}]}"#,
            r#"{"messages":{}}"#,
        ] {
            assert_eq!(said(OLD, SAMPLE, Some(messages)), None, "{messages}");
            assert!(said(NEW, SAMPLE, Some(messages)).is_some(), "{messages}");
        }
    }
}
