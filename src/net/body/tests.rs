use std::collections::VecDeque;
use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Frame, SizeHint};

use super::*;

/// Pieces in order; then the end, or silence.
struct Pieces {
    left: VecDeque<Bytes>,
    silent_at_end: bool,
    announced: Option<u64>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.left.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.silent_at_end => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && !self.silent_at_end
    }
    fn size_hint(&self) -> SizeHint {
        self.announced.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn pieces(parts: &[&'static str]) -> Pieces {
    Pieces { left: parts.iter().map(|p| Bytes::from_static(p.as_bytes())).collect(), silent_at_end: false, announced: None }
}

async fn read(body: Pieces, bytes_max: usize) -> Result<Bytes, BodyError> {
    read_body(body, bytes_max, Deadline::after(Duration::from_secs(5))).await
}

#[tokio::test]
async fn bodies_are_whole_up_to_the_limit_and_refused_beyond() {
    let table: &[(&[&'static str], usize, Result<&str, BodyError>)] = &[
        (&[], 0, Ok("")),
        (&[], 10, Ok("")),
        (&["abc"], 3, Ok("abc")),
        (&["abc"], 2, Err(BodyError::TooLarge)),
        (&["ab", "cd"], 4, Ok("abcd")),
        (&["ab", "cd"], 3, Err(BodyError::TooLarge)),
        (&["a", "", "b", "c"], 3, Ok("abc")),
        (&["a", "b", "cd"], 3, Err(BodyError::TooLarge)),
        (&["", ""], 0, Ok("")),
    ];
    for (parts, bytes_max, expect) in table {
        let got = read(pieces(parts), *bytes_max).await;
        assert_eq!(got, expect.map(Bytes::from), "{parts:?} within {bytes_max}");
    }
}

#[tokio::test]
async fn one_piece_is_not_copied() {
    let piece = Bytes::from(vec![7_u8; 1000]);
    let start = piece.as_ptr();
    let body = Pieces { left: [piece].into(), silent_at_end: false, announced: None };
    assert_eq!(read(body, 1000).await.unwrap().as_ptr(), start);
}

#[tokio::test]
async fn an_announced_length_above_the_limit_is_refused_unread() {
    let body = Pieces { left: VecDeque::new(), silent_at_end: true, announced: Some(1_000_000) };
    assert_eq!(read(body, 999_999).await, Err(BodyError::TooLarge));
}

#[tokio::test]
async fn an_announced_length_takes_no_memory_by_itself() {
    let mut body = pieces(&["a", "b"]);
    body.announced = Some(1_000_000_000);
    let whole = read_body(body, usize::MAX, Deadline::after(Duration::from_secs(5))).await.unwrap();
    assert_eq!(&whole[..], b"ab");
    assert!(whole.try_into_mut().unwrap().capacity() <= AHEAD_BYTES_MAX + 2);
}

#[tokio::test]
async fn a_silent_client_runs_into_the_deadline() {
    for parts in [&[][..], &["abc"][..], &["a", "b", "c"][..]] {
        let mut body = pieces(parts);
        body.silent_at_end = true;
        assert_eq!(read_body(body, 100, Deadline::after(Duration::from_millis(20))).await, Err(BodyError::Timeout), "{parts:?}");
    }
}
