//! What leads a person from an agent to a page: sealed, for one person, one upstream, once. It is no credential: whoever holds it
//! still has to sign in as that person.

use aws_lc_rs::digest::{Context, SHA256};

use crate::seal::{Binding, Purpose, Sealer, Unsealed};
use crate::vocab::PrincipalKey;

/// An opened ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Names the ticket, so that it is used once.
    pub(super) id: [u8; 16],
    person: [u8; 32],
}

impl Ticket {
    /// Whether it was made for `who`.
    pub(super) fn is_for(&self, who: &PrincipalKey) -> bool {
        self.person == person(who)
    }
}

/// A ticket for `who` to the page of `upstream`, good until `expires_s`.
pub(super) fn seal(sealer: &Sealer, who: &PrincipalKey, upstream: &str, expires_s: u64) -> Result<String, Unsealed> {
    let mut payload = uuid::Uuid::new_v7(uuid::Timestamp::now(uuid::NoContext)).as_bytes().to_vec();
    payload.extend_from_slice(&person(who));
    let nobody = nobody();
    sealer.seal(binding(&nobody, upstream), &payload, expires_s)
}

/// Opens a ticket to the page of `upstream`.
///
/// # Errors
/// [`Unsealed`], whatever the cause.
pub(super) fn open(sealer: &Sealer, text: &str, upstream: &str, now_s: u64) -> Result<Ticket, Unsealed> {
    let nobody = nobody();
    let payload = sealer.open_text(binding(&nobody, upstream), text, now_s)?;
    let (id, person) = payload.split_first_chunk::<16>().ok_or(Unsealed)?;
    Ok(Ticket { id: *id, person: <[u8; 32]>::try_from(person).map_err(|_| Unsealed)? })
}

/// Who it is for stands inside: before anybody has signed in there is nobody to open it for.
fn nobody() -> PrincipalKey {
    PrincipalKey { iss: "".into(), sub: "".into() }
}

fn binding<'a>(nobody: &'a PrincipalKey, upstream: &'a str) -> Binding<'a> {
    Binding { purpose: Purpose::Ticket, principal: nobody, route: super::PAGES_PATH, context: upstream.as_bytes() }
}

/// A digest of the person: a ticket names nobody even to whoever holds the sealing key.
fn person(who: &PrincipalKey) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in [b"portcullis ticket".as_slice(), who.iss.as_bytes(), who.sub.as_bytes()] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    <[u8; 32]>::try_from(context.finish().as_ref()).unwrap_or_default()
}
