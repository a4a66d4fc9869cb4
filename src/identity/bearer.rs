//! Reads the one `Authorization` header (RFC 6750 section 2.1, RFC 9449 section 7.1). Tokens in a query or a body are never
//! looked at.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::challenge::Refusal;
use crate::vocab::limits::TOKEN_BYTES_MAX;

/// How a token was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Bearer,
    Dpop,
}

/// A token, not yet looked at.
#[derive(Clone, Copy)]
pub(super) struct Presented<'a> {
    pub(super) scheme: Scheme,
    pub(super) token: &'a str,
}

/// The token presented, if any.
///
/// # Errors
/// [`Refusal::Malformed`] for several headers, a broken or an oversized one; [`Refusal::Invalid`] for another scheme.
pub(super) fn token(headers: &HeaderMap) -> Result<Option<Presented<'_>>, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::Malformed);
    }
    // Not `to_str`, which looks at each byte by itself: which bytes a token may have is asked below.
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Refusal::Malformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(Refusal::Malformed)?;
    let scheme = match scheme {
        text if text.eq_ignore_ascii_case("bearer") => Scheme::Bearer,
        text if text.eq_ignore_ascii_case("dpop") => Scheme::Dpop,
        _ => return Err(Refusal::Invalid { private: "the Authorization scheme is neither Bearer nor DPoP" }),
    };
    if token.len() > TOKEN_BYTES_MAX || !is_token68(token) {
        return Err(Refusal::Malformed);
    }
    Ok(Some(Presented { scheme, token }))
}

/// `b64token` of RFC 6750: one or more token characters, then padding.
fn is_token68(token: &str) -> bool {
    let unpadded = token.trim_end_matches('=');
    // Looks at every byte without branching, which lets the compiler look at many at once.
    let fits = |b: u8| {
        b.is_ascii_digit()
            | (b | 0x20).is_ascii_lowercase()
            | (b == b'-')
            | (b == b'.')
            | (b == b'_')
            | (b == b'~')
            | (b == b'+')
            | (b == b'/')
    };
    !unpadded.is_empty() && unpadded.bytes().fold(true, |so_far, b| so_far & fits(b))
}
