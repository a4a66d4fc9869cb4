//! Ids of tasks as clients carry them: sealed, so that whoever did not make a task cannot name it, and no replica keeps a table.

use crate::mcp::client_caps::ClientCaps;
use crate::mcp::task::Form;
use crate::seal::{Binding, Purpose, Sealer, Unsealed};
use crate::vocab::PrincipalKey;
use crate::vocab::limits::TASK_S_MAX;

/// What an id says when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TaskId {
    /// How its upstream writes it; never opened by requests of the other form.
    pub form: Form,
    /// Where it is.
    pub upstream: String,
    /// The upstream's own name of the tool that made it.
    pub tool: String,
    /// The upstream's own id.
    pub id: String,
    /// What the upstream was told, in whose session the task was made.
    pub caps: ClientCaps,
}

impl TaskId {
    /// The text for `principal` on `route`, which opens for as long as the upstream keeps the task.
    ///
    /// # Errors
    /// [`Unsealed`] when the system has no randomness, or a name is too long for a task to have it.
    pub(super) fn seal(
        &self,
        sealer: &Sealer,
        (principal, route): (&PrincipalKey, &str),
        ttl_ms: Option<u64>,
        now_s: u64,
    ) -> Result<String, Unsealed> {
        let mut payload = vec![self.caps.bits()];
        for name in [&self.upstream, &self.tool] {
            payload.extend_from_slice(&u16::try_from(name.len()).map_err(|_| Unsealed)?.to_be_bytes());
            payload.extend_from_slice(name.as_bytes());
        }
        payload.extend_from_slice(self.id.as_bytes());
        // A second begun is a second kept.
        let kept_s = ttl_ms.map_or(TASK_S_MAX, |ms| (ms.div_ceil(1_000).saturating_add(1)).min(TASK_S_MAX));
        sealer.seal(binding(self.form, principal, route), &payload, now_s.saturating_add(kept_s))
    }

    /// Opens `text`.
    ///
    /// # Errors
    /// [`Unsealed`], whatever the cause: forged, another's, of another route or form, or too old.
    pub(super) fn open(
        sealer: &Sealer,
        (principal, route): (&PrincipalKey, &str),
        form: Form,
        text: &str,
        now_s: u64,
    ) -> Result<Self, Unsealed> {
        let payload = sealer.open_text(binding(form, principal, route), text, now_s)?;
        let (caps, rest) = payload.split_first().ok_or(Unsealed)?;
        let (upstream, rest) = name(rest)?;
        let (tool, id) = name(rest)?;
        let id = String::from_utf8(id.to_vec()).map_err(|_| Unsealed)?;
        Ok(Self { form, upstream, tool, id, caps: ClientCaps::from_bits(*caps) })
    }
}

fn name(bytes: &[u8]) -> Result<(String, &[u8]), Unsealed> {
    let (length, rest) = bytes.split_first_chunk::<2>().ok_or(Unsealed)?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(Unsealed)?;
    Ok((String::from_utf8(name.to_vec()).map_err(|_| Unsealed)?, rest))
}

fn binding<'a>(form: Form, principal: &'a PrincipalKey, route: &'a str) -> Binding<'a> {
    let context: &[u8] = match form {
        Form::Extension => b"extension",
        Form::Session => b"session",
    };
    Binding { purpose: Purpose::Task, principal, route, context }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::limits::{NAME_BYTES_MAX, TASK_ID_BYTES_MAX, TASK_OWN_ID_BYTES_MAX};

    fn key(sub: &str) -> PrincipalKey {
        PrincipalKey { iss: "https://idp.example.com".into(), sub: sub.into() }
    }

    fn task(form: Form) -> TaskId {
        let caps = ClientCaps { elicitation_form: true, ..ClientCaps::NONE };
        TaskId { form, upstream: "up".into(), tool: "two__parts".into(), id: "\u{e4}-7".into(), caps }
    }

    #[test]
    fn an_id_opens_for_its_principal_route_and_form_until_it_is_over() {
        let sealer = Sealer::with_key(&[3; 32]).unwrap();
        let (alice, bob) = (key("alice"), key("bob"));
        for form in [Form::Extension, Form::Session] {
            let other = if form == Form::Session { Form::Extension } else { Form::Session };
            let text = task(form).seal(&sealer, (&alice, "/mcp"), Some(9_001), 1_000).unwrap();
            let open = |who, route, form, now_s| TaskId::open(&sealer, (who, route), form, &text, now_s);
            assert_eq!(open(&alice, "/mcp", form, 1_010), Ok(task(form)));
            assert_eq!(open(&alice, "/mcp", form, 1_011), Err(Unsealed));
            assert_eq!(open(&bob, "/mcp", form, 1_001), Err(Unsealed));
            assert_eq!(open(&alice, "/other", form, 1_001), Err(Unsealed));
            assert_eq!(open(&alice, "/mcp", other, 1_001), Err(Unsealed));
            let forever = task(form).seal(&sealer, (&alice, "/mcp"), None, 1_000).unwrap();
            let open = |now_s| TaskId::open(&sealer, (&alice, "/mcp"), form, &forever, now_s);
            assert_eq!((open(1_000 + TASK_S_MAX - 1), open(1_000 + TASK_S_MAX)), (Ok(task(form)), Err(Unsealed)));
            let long = task(form).seal(&sealer, (&alice, "/mcp"), Some(u64::MAX), 1_000).unwrap();
            assert_eq!(TaskId::open(&sealer, (&alice, "/mcp"), form, &long, 1_000 + TASK_S_MAX), Err(Unsealed));
        }
    }

    #[test]
    fn the_longest_id_is_one_that_a_client_may_send() {
        let sealer = Sealer::with_key(&[3; 32]).unwrap();
        let long = TaskId {
            upstream: "u".repeat(64),
            tool: "t".repeat(NAME_BYTES_MAX),
            id: "i".repeat(TASK_OWN_ID_BYTES_MAX),
            ..task(Form::Session)
        };
        let text = long.seal(&sealer, (&key("alice"), "/mcp"), None, 1).unwrap();
        assert!(text.len() <= TASK_ID_BYTES_MAX, "{}", text.len());
    }
}
