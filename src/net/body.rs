//! Reading a request body that may be huge, slow or broken.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

use crate::vocab::Deadline;

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than allowed (413).
    #[error("the body is larger than the limit")]
    TooLarge,
    /// Not complete within the deadline (408).
    #[error("the body did not arrive in time")]
    Timeout,
    /// The framing broke or the client went away (400, where anybody still listens).
    #[error("the body broke off")]
    Broken,
}

/// Reads `body` whole: at most `bytes_max` bytes, not later than `deadline`.
///
/// A body that arrives as one piece is returned as that piece, without a copy. A length that the client announces above the
/// limit is refused before anything is read; it never decides how much memory is taken. Trailers are dropped.
pub async fn read_body<B>(body: B, bytes_max: usize, deadline: Deadline) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let announced = body.size_hint().lower();
    if announced > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(BodyError::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    tokio::time::timeout_at(deadline.instant().into(), read_all(body, bytes_max)).await.unwrap_or(Err(BodyError::Timeout))
}

async fn read_all<B>(mut body: B, bytes_max: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let Some(first) = next_piece(&mut body).await? else { return Ok(Bytes::new()) };
    if first.len() > bytes_max {
        return Err(BodyError::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(first);
    }
    let Some(second) = next_piece(&mut body).await? else { return Ok(first) };
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX).min(AHEAD_BYTES_MAX);
    let mut whole = BytesMut::with_capacity(first.len().saturating_add(second.len()).saturating_add(expected).min(bytes_max));
    append(&mut whole, &first, bytes_max)?;
    append(&mut whole, &second, bytes_max)?;
    drop((first, second));
    while let Some(piece) = next_piece(&mut body).await? {
        append(&mut whole, &piece, bytes_max)?;
    }
    Ok(whole.freeze())
}

fn append(whole: &mut BytesMut, piece: &[u8], bytes_max: usize) -> Result<(), BodyError> {
    if piece.len() > bytes_max.saturating_sub(whole.len()) {
        return Err(BodyError::TooLarge);
    }
    whole.extend_from_slice(piece);
    Ok(())
}

/// The next piece with bytes in it; `None` at the end.
async fn next_piece<B>(body: &mut B) -> Result<Option<Bytes>, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    while let Some(frame) = Pin::new(&mut *body).frame().await {
        let Ok(frame) = frame else { return Err(BodyError::Broken) };
        match frame.into_data() {
            Ok(data) if !data.is_empty() => return Ok(Some(data)),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(None)
}

/// Memory taken ahead of the bytes, on the word of an announced length.
const AHEAD_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests;
