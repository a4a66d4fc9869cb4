//! Kinds of questions, and which answer fits which.

use crate::mcp::json::Kind;
use crate::mcp::pointer;
use crate::mcp::raw::RawJson;

/// Whom a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuestionKind {
    /// A person: `elicitation/create`.
    Person,
    /// A model: `sampling/createMessage`.
    Model,
    /// The client: `roots/list`.
    Roots,
}

impl QuestionKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Person, Self::Model, Self::Roots];

    /// The kind of the question `method`; `None` for what is no question.
    pub fn of(method: &str) -> Option<Self> {
        Some(match method {
            "elicitation/create" => Self::Person,
            "sampling/createMessage" => Self::Model,
            "roots/list" => Self::Roots,
            _ => return None,
        })
    }

    /// One byte, for sealing.
    pub fn byte(self) -> u8 {
        match self {
            Self::Person => 1,
            Self::Model => 2,
            Self::Roots => 3,
        }
    }

    /// The kind of [`Self::byte`].
    pub fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.byte() == byte)
    }

    /// Whether a client's result answers a question of this kind: `ElicitResult`, `CreateMessageResult`, `ListRootsResult` of any
    /// revision, by the members that each must have.
    pub fn is_answered_by(self, result: &RawJson) -> bool {
        let of_kind = |name: &str, kinds: &[Kind]| {
            pointer::at(result, name).and_then(|value| value.kind()).is_some_and(|kind| kinds.contains(&kind))
        };
        match self {
            Self::Person => {
                let action = pointer::at(result, "/action");
                action.is_some_and(|action| matches!(action.as_str(), "\"accept\"" | "\"decline\"" | "\"cancel\""))
            }
            Self::Model => {
                of_kind("/role", &[Kind::String])
                    && of_kind("/model", &[Kind::String])
                    && of_kind("/content", &[Kind::Object, Kind::Array])
            }
            Self::Roots => of_kind("/roots", &[Kind::Array]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn an_answer_fits_the_kind_that_it_is_of_and_no_other() {
        for (answer, fits) in [
            (r#"{"action":"accept","content":{"name":"Ada"}}"#, Some(QuestionKind::Person)),
            (r#"{"action":"decline"}"#, Some(QuestionKind::Person)),
            (r#"{"action":"cancel"}"#, Some(QuestionKind::Person)),
            (r#"{"action":"agree"}"#, None),
            (r#"{"Action":"accept"}"#, None),
            (r#"{"content":{"name":"Ada"}}"#, None),
            (r#"{"role":"assistant","model":"m","content":{"type":"text","text":"x"}}"#, Some(QuestionKind::Model)),
            (r#"{"role":"assistant","model":"m","content":[]}"#, Some(QuestionKind::Model)),
            (r#"{"role":"assistant","model":"m","content":"x"}"#, None),
            (r#"{"role":"assistant","content":{}}"#, None),
            (r#"{"model":"m","content":{}}"#, None),
            (r#"{"roots":[]}"#, Some(QuestionKind::Roots)),
            (r#"{"roots":{}}"#, None),
            ("{}", None),
        ] {
            let raw = RawJson::parse(Bytes::from_static(answer.as_bytes()), 8).unwrap();
            for kind in QuestionKind::ALL {
                assert_eq!(kind.is_answered_by(&raw), fits == Some(kind), "{kind:?} {answer}");
            }
        }
    }

    #[test]
    fn a_kind_survives_its_byte() {
        for (method, kind) in ["elicitation/create", "sampling/createMessage", "roots/list"].into_iter().zip(QuestionKind::ALL) {
            assert_eq!((QuestionKind::of(method), QuestionKind::of_byte(kind.byte())), (Some(kind), Some(kind)));
        }
        assert_eq!((QuestionKind::of("ping"), QuestionKind::of_byte(0), QuestionKind::of_byte(4)), (None, None, None));
    }
}
