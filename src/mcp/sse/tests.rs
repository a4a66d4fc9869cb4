use super::*;
use proptest::prelude::*;

fn decode(stream: &[u8], piece: usize) -> Vec<SseEvent> {
    let mut decoder = SseDecoder::new(1000);
    for piece in stream.chunks(piece) {
        decoder.push(piece).unwrap();
    }
    std::iter::from_fn(|| decoder.next_event()).collect()
}

fn data(events: &[SseEvent]) -> Vec<&str> {
    events.iter().map(|e| std::str::from_utf8(&e.data).unwrap()).collect()
}

#[test]
fn reads_every_line_ending_at_every_split() {
    for (stream, expect) in [
        ("data: a\n\ndata:b\n\n", vec!["a", "b"]),
        ("data: a\r\n\r\ndata:b\r\n\r\n", vec!["a", "b"]),
        ("data: a\r\rdata:b\r\r", vec!["a", "b"]),
        ("\u{feff}data: a\n\n", vec!["a"]),
        ("data: \u{feff}a\n\n", vec!["\u{feff}a"]),
        (":comment\n\n:\n\ndata: a\n:x\ndata: b\n\n", vec!["a\nb"]),
        ("data\ndata\n\n", vec!["\n"]),
        ("data:  a\nother: x\ndatax: y\n\n", vec![" a"]),
        ("data: unfinished\n", vec![]),
        ("event: x\n\n", vec![]),
        ("data: a\r\ndata: b\r\n\r\n\r\n", vec!["a\nb"]),
    ] {
        for piece in 1..=stream.len() {
            assert_eq!(data(&decode(stream.as_bytes(), piece)), expect, "{stream:?} in pieces of {piece}");
        }
    }
}

#[test]
fn reads_fields() {
    let events = decode(b"id: 7\nretry: 500\ndata:\n\nevent: message\nid: a\0b\nretry: 1x\ndata: {}\n\nid: 9\n\n", 3);
    assert_eq!(
        events,
        [
            SseEvent { id: Some("7".into()), retry: Some(500), ..SseEvent::default() },
            SseEvent { event: Some("message".into()), data: Bytes::from_static(b"{}"), ..SseEvent::default() },
            SseEvent { id: Some("9".into()), ..SseEvent::default() },
        ]
    );
}

#[test]
fn bounds_events() {
    let refused = |stream: &[u8], piece: usize| {
        let mut decoder = SseDecoder::new(10);
        stream.chunks(piece).map(|p| decoder.push(p)).any(|r| r == Err(TooLarge))
    };
    for piece in [1, 3, 100] {
        assert!(refused(b"data: 0123456789abcdef", piece), "{piece}");
        assert!(refused(b"data: 0123456789abcdef\n\n", piece), "{piece}");
        assert!(refused(b"data:1\ndata:2\ndata:3\ndata:4\ndata:5\ndata:6\ndata:7\n", piece), "{piece}");
        assert!(!refused(b"data:1\n\ndata:2\n\ndata:3\n\ndata:4\n\n", piece), "{piece}");
    }
    let mut decoder = SseDecoder::new(10);
    assert_eq!(decoder.push(b"data:1\n\ndata: 0123456789abcdef"), Err(TooLarge));
    assert_eq!(data(&std::iter::from_fn(|| decoder.next_event()).collect::<Vec<_>>()), ["1"]);
}

#[test]
fn writes_one_event_whatever_the_data() {
    let mut out = Vec::new();
    encode(&mut out, b"{}");
    assert_eq!(out, b"event: message\ndata: {}\n\n");
    out.clear();
    encode(&mut out, b"a\r\nid: 1\rdata: x\n\nb");
    assert_eq!(decode(&out, 2).len(), 1);
}

proptest! {
    #[test]
    fn what_is_written_is_read(texts in proptest::collection::vec("[^\r]{0,40}", 1..5), piece in 1usize..20) {
        let mut out = Vec::new();
        for text in &texts {
            encode(&mut out, text.as_bytes());
            out.extend_from_slice(KEEP_ALIVE);
        }
        let events = decode(&out, piece);
        prop_assert_eq!(data(&events), texts);
    }

    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), piece in 1usize..20) {
        let mut decoder = SseDecoder::new(64);
        for piece in bytes.chunks(piece) {
            let _ = decoder.push(piece);
            while decoder.next_event().is_some() {}
        }
    }
}
