//! Which answers a retry may bring: to what was asked, each of the kind of its question. What was asked is known from the state that
//! the retry brings back, sealed with the upstream's own, or from the call that waits.

use aws_lc_rs::digest::{SHA256, digest};

use crate::mcp::RawJson;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::dialect::{Question, QuestionKind};

/// What was asked: of each question its kind and a digest of its key, which is as long as the upstream likes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected(Vec<(QuestionKind, [u8; KEY_BYTES])>);

const KEY_BYTES: usize = 16;

/// An answer of another kind than its question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit;

impl Expected {
    /// These questions, by key; `None` where there are more than a state can name.
    pub(super) fn of<'q>(questions: impl IntoIterator<Item = (&'q str, &'q Question)>) -> Option<Self> {
        let entries = questions.into_iter().map(|(key, question)| Some((question.kind()?, digest_of(key))));
        entries.collect::<Option<Vec<_>>>().filter(|entries| entries.len() <= usize::from(u8::MAX)).map(Self)
    }

    /// As bytes before an upstream's own `state`.
    pub(super) fn before(&self, state: &[u8]) -> Vec<u8> {
        // Bounded where it was made.
        let mut bytes = vec![u8::try_from(self.0.len()).unwrap_or(u8::MAX)];
        for (kind, key) in &self.0 {
            bytes.push(kind.byte());
            bytes.extend_from_slice(key);
        }
        bytes.extend_from_slice(state);
        bytes
    }

    /// The reverse of [`Self::before`].
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (count, mut rest) = bytes.split_first()?;
        let mut entries = Vec::with_capacity(usize::from(*count));
        for _ in 0..*count {
            let (kind, more) = rest.split_first()?;
            let (key, more) = more.split_first_chunk::<KEY_BYTES>()?;
            entries.push((QuestionKind::of_byte(*kind)?, *key));
            rest = more;
        }
        Some((Self(entries), rest))
    }

    /// The answers to what was asked. Others are left aside (2026-07-28, multi round-trip requests, "Error Handling").
    ///
    /// # Errors
    /// [`Misfit`].
    pub(super) fn among(&self, answers: Vec<(String, RawJson)>) -> Result<Vec<(String, RawJson)>, Misfit> {
        let mut kept = Vec::with_capacity(answers.len());
        for (key, answer) in answers {
            let digest = digest_of(&key);
            match self.0.iter().find(|(_, asked)| *asked == digest) {
                Some((kind, _)) if kind.is_answered_by(&answer) => kept.push((key, answer)),
                Some(_) => return Err(Misfit),
                None => {}
            }
        }
        Ok(kept)
    }
}

/// The answers that could be to questions which `granted` covers, where nobody here knows what was asked.
pub(super) fn conceivable(granted: ClientCaps, mut answers: Vec<(String, RawJson)>) -> Vec<(String, RawJson)> {
    let asks = |kind: &QuestionKind| match kind {
        QuestionKind::Person => granted.elicitation_form || granted.elicitation_url,
        QuestionKind::Model => granted.sampling,
        QuestionKind::Roots => granted.roots,
    };
    answers.retain(|(_, answer)| QuestionKind::ALL.iter().filter(|kind| asks(kind)).any(|kind| kind.is_answered_by(answer)));
    answers
}

fn digest_of(key: &str) -> [u8; KEY_BYTES] {
    let whole = digest(&SHA256, key.as_bytes());
    whole.as_ref().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERSON: &str = r#"{"action":"accept"}"#;
    const ROOTS: &str = r#"{"roots":[]}"#;

    fn expected() -> Expected {
        let form = RawJson::of_static(r#"{"message":"m","requestedSchema":{}}"#);
        let questions = [
            ("p".to_owned(), Question::of("up", "elicitation/create", Some(form)).unwrap()),
            ("r".repeat(5_000), Question::of("up", "roots/list", None).unwrap()),
        ];
        Expected::of(questions.iter().map(|(key, question)| (key.as_str(), question))).unwrap()
    }

    fn answers(of: &[(&str, &'static str)]) -> Vec<(String, RawJson)> {
        of.iter().map(|(key, answer)| ((*key).to_owned(), RawJson::of_static(answer))).collect()
    }

    fn keys(answers: Vec<(String, RawJson)>) -> Vec<String> {
        answers.into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn an_answer_is_to_a_question_and_of_its_kind() {
        let (expected, long) = (expected(), "r".repeat(5_000));
        let good = answers(&[("p", PERSON), ("x", ROOTS), (&long, ROOTS)]);
        assert_eq!(keys(expected.among(good).unwrap()), ["p", long.as_str()]);
        for bad in [answers(&[("p", ROOTS)]), answers(&[(&long, PERSON)]), answers(&[("p", "{}")])] {
            assert_eq!(expected.among(bad).unwrap_err(), Misfit);
        }
    }

    #[test]
    fn it_stands_before_a_state_and_is_read_again() {
        let bytes = expected().before(b"theirs");
        assert_eq!((bytes.len(), Expected::read(&bytes)), (1 + 2 * (1 + KEY_BYTES) + 6, Some((expected(), &b"theirs"[..]))));
        assert_eq!(Expected::read(&Expected::default().before(b"")), Some((Expected::default(), &b""[..])));
        for cut in 0..bytes.len() - 6 {
            assert_eq!(Expected::read(&bytes[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn what_nobody_could_have_asked_is_left_aside() {
        let all = || answers(&[("p", PERSON), ("r", ROOTS), ("x", "{}")]);
        let url = ClientCaps { elicitation_url: true, ..ClientCaps::NONE };
        for (granted, kept) in [(ClientCaps::ALL, &["p", "r"][..]), (url, &["p"]), (ClientCaps::NONE, &[])] {
            assert_eq!(keys(conceivable(granted, all())), kept, "{granted:?}");
        }
    }
}
