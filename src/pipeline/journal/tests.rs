//! What is read, by whom, and what is kept.

use futures_util::stream;
use futures_util::task::noop_waker;

use super::*;

fn kept(events: Vec<&'static str>, ends: bool) -> Kept {
    let said = stream::iter(events.into_iter().map(|event| Bytes::from_static(event.as_bytes())));
    let source = if ends { said.boxed() } else { said.chain(stream::pending()).boxed() };
    let state = State { source: Some(source), events: VecDeque::new(), bytes: 0, first: 0, kept: true, turn: 0, waker: None };
    let owner = PrincipalKey { iss: "i".into(), sub: "alice".into() };
    Kept { id: StreamId::mint(false).unwrap(), session: 1, owner, bytes: AtomicUsize::new(0), state: Mutex::new(state) }
}

/// Reads on from `at`: the texts that come, and whether the stream has ended.
fn read(kept: &Kept, turn: u64, at: &mut u64) -> (Vec<String>, bool) {
    let waker = noop_waker();
    let mut cx = Context::from_waker(&waker);
    let mut read = Vec::new();
    loop {
        let bytes = match kept.poll(turn, at, &mut cx) {
            Poll::Pending => return (read, false),
            Poll::Ready(None) => return (read, true),
            Poll::Ready(Some(Piece::Known(bytes) | Piece::New(bytes) | Piece::Comment(bytes))) => bytes,
        };
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        read.push(text.lines().last().unwrap_or_default().to_owned());
    }
}

/// How many events are kept, and the number of the first.
fn counted(kept: &Kept) -> (usize, u64) {
    let state = kept.state.lock();
    (state.events.len(), state.first)
}

#[test]
fn whoever_comes_last_reads_from_where_it_wants() {
    let kept = kept(vec!["data: a", ":\n", "data: b"], false);
    let mut at = 0;
    assert_eq!(read(&kept, 0, &mut at), (vec!["data: a".into(), ":".into(), "data: b".into()], false));
    assert_eq!(at, 2, "a comment has no number");
    let turn = kept.take_over(|state| state.source.is_some()).unwrap();
    assert_eq!(read(&kept, 0, &mut at), (Vec::new(), true), "the one before reads no more");
    let mut at = 1;
    assert_eq!(read(&kept, turn, &mut at), (vec!["data: b".into()], false));
    kept.abandon(0);
    assert!(kept.state.lock().source.is_some(), "nor does it end anything");
    kept.abandon(turn);
    assert_eq!(read(&kept, turn, &mut at), (Vec::new(), true));
    assert!(kept.take_over(|state| state.source.is_some()).is_none());
}

#[test]
fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
    let long = kept(vec!["data: x"; JOURNAL_STREAM_EVENTS_MAX + 10], true);
    assert_eq!(read(&long, 0, &mut 0).0.len(), JOURNAL_STREAM_EVENTS_MAX + 10, "whoever reads in time misses nothing");
    assert_eq!(counted(&long), (JOURNAL_STREAM_EVENTS_MAX, 10));
    let mut at = 0;
    assert_eq!(read(&long, 0, &mut at).0.len(), JOURNAL_STREAM_EVENTS_MAX);
    let big: &'static str = "x".repeat(JOURNAL_STREAM_BYTES_MAX).leak();
    let big = kept(vec!["data: x", big], true);
    assert_eq!(read(&big, 0, &mut 0).0.len(), 2);
    assert_eq!((counted(&big), big.state.lock().bytes), ((0, 2), 0));
    assert_eq!([1, 2].map(|at| big.resumed(at)), [None, None], "nothing is left, so nobody is told to read on");
    assert!(long.resumed(11).is_some());
}

#[test]
fn what_was_forgotten_is_not_kept_again() {
    let kept = kept(vec!["data: a", "data: b"], true);
    kept.state.lock().forget();
    let mut at = 0;
    assert_eq!(read(&kept, 0, &mut at).0.len(), 2, "whoever reads it now reads on");
    assert_eq!(counted(&kept), (0, 2));
}
