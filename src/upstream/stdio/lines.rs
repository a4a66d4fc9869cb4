//! Bounded lines from a process.

use bytes::{Bytes, BytesMut};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::scrub;
use crate::telemetry::escape::visible;
use crate::vocab::limits::PROCESS_STDERR_LINE_BYTES_MAX;

/// Cuts a stream into lines of at most `bytes_max`.
pub(super) struct Lines<R> {
    reader: R,
    buffer: BytesMut,
    /// Bytes of the buffer known to hold no line end.
    scanned: usize,
    bytes_max: usize,
}

/// Why there is no line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoLine {
    /// The stream ended, or broke.
    End,
    /// The line is over the limit.
    TooLong,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R, bytes_max: usize) -> Self {
        Self { reader, buffer: BytesMut::new(), scanned: 0, bytes_max }
    }

    /// The next line, without its end. An unfinished last line is no line.
    pub(super) async fn next(&mut self) -> Result<Bytes, NoLine> {
        loop {
            let fresh = self.buffer.get(self.scanned..).unwrap_or_default();
            if let Some(at) = memchr(b'\n', fresh) {
                let mut line = self.buffer.split_to(self.scanned + at + 1);
                self.scanned = 0;
                line.truncate(line.len() - 1);
                if line.last() == Some(&b'\r') {
                    line.truncate(line.len() - 1);
                }
                return if line.len() > self.bytes_max { Err(NoLine::TooLong) } else { Ok(line.freeze()) };
            }
            self.scanned = self.buffer.len();
            if self.scanned > self.bytes_max {
                return Err(NoLine::TooLong);
            }
            self.buffer.reserve(READ_BYTES);
            match self.reader.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Err(NoLine::End),
                Ok(_) => {}
            }
        }
    }
}

/// Reads the error output of a process to its end, so that it never blocks, and logs it: each line cut to a bound, with
/// nothing in it that could move a terminal's cursor or forge a log line, and without secrets of known shapes.
pub(super) async fn drain_stderr(mut stderr: impl AsyncRead + Unpin, upstream: &str) {
    let mut chunk = [0; 1024];
    let mut said = Said::default();
    let log = |line: Option<String>| {
        if let Some(line) = line {
            tracing::debug!(upstream, "stderr: {line}");
        }
    };
    while let Ok(read @ 1..) = stderr.read(&mut chunk).await {
        for byte in chunk.iter().take(read) {
            log(said.push(*byte));
        }
    }
    if !said.buffer.is_empty() {
        log(said.end());
    }
}

/// What a process says on its error output.
#[derive(Default)]
struct Said {
    /// The line so far or, behind its start, what was not looked through yet.
    buffer: Vec<u8>,
    /// The start of the line was looked through and is all that is logged of it.
    started: bool,
    seen: scrub::Lines,
}

impl Said {
    /// One more byte; what can be logged now.
    fn push(&mut self, byte: u8) -> Option<String> {
        if byte == b'\n' {
            return self.end();
        }
        self.buffer.push(byte);
        if self.buffer.len() < LOOKED_BYTES_MAX {
            return None;
        }
        let line = self.look();
        self.started = true;
        // What begins or ends a key may stand across.
        self.buffer.drain(..LOOKED_BYTES_MAX - scrub::Lines::MARK_BYTES_MAX);
        line
    }

    /// The line ends.
    fn end(&mut self) -> Option<String> {
        let line = self.look();
        self.started = false;
        self.buffer.clear();
        line
    }

    /// Looks through the buffer: what of it is logged.
    fn look(&mut self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.buffer);
        if self.started {
            self.seen.past(&text);
            return None;
        }
        let clean = self.seen.next(&text)?;
        clean.get(..clean.floor_char_boundary(PROCESS_STDERR_LINE_BYTES_MAX)).map(visible)
    }
}

const READ_BYTES: usize = 8 * 1024;
/// Of a line, looked through at once.
const LOOKED_BYTES_MAX: usize = PROCESS_STDERR_LINE_BYTES_MAX + scrub::SECRET_BYTES_MAX;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn lines_are_bounded() {
        let check = async |text: &[u8], want: &[&str], end: NoLine| {
            // However much comes at once.
            for at_once in [1, 2, 3, 100_000] {
                let (mut writer, reader) = tokio::io::duplex(at_once);
                let written = async {
                    // Nobody reads behind a line that is too long.
                    let _ = writer.write_all(text).await;
                    drop(writer);
                };
                let read = async {
                    let mut lines = Lines::new(reader, 4);
                    for line in want {
                        assert_eq!(lines.next().await.unwrap(), line.as_bytes());
                    }
                    assert_eq!(lines.next().await.unwrap_err(), end);
                };
                tokio::join!(written, read);
            }
        };
        check(b"a\n\nbc\r\nabcd\n", &["a", "", "bc", "abcd"], NoLine::End).await;
        check(b"abcd\n\nb\n", &["abcd", "", "b"], NoLine::End).await;
        check(b"a\nunfinished", &["a"], NoLine::TooLong).await;
        check(b"a\nunf", &["a"], NoLine::End).await;
        check(b"abcde\n", &[], NoLine::TooLong).await;
        check(&[b'x'; 100_000], &[], NoLine::TooLong).await;
    }

    /// What is logged of `text`.
    fn logged(text: &[u8]) -> Vec<String> {
        let mut said = Said::default();
        text.iter().chain(b"\n").filter_map(|byte| said.push(*byte)).collect()
    }

    #[test]
    fn error_output_cannot_write_to_a_terminal() {
        assert_eq!(logged(b"a\x1b[2J\r\xc2\x9b\xff\n\nb"), ["a\\u001b[2J\\u000d\\u009b\u{fffd}", "", "b"]);
        assert_eq!(logged("\u{202e}gpj.exe \u{e0041}\u{200b}".as_bytes()), ["\\u202egpj.exe \\udb40\\udc41\\u200b"]);
    }

    #[tokio::test]
    async fn the_last_words_of_a_process_are_logged_though_their_line_has_no_end() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let builder = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false);
        let subscriber = builder.with_writer(Arc::new(log.reopen().unwrap())).finish();
        let logging = tracing::subscriber::set_default(subscriber);
        drain_stderr(&b"starting\nno such fi\xff"[..], "up").await;
        drop(logging);
        let text = std::fs::read_to_string(log.path()).unwrap();
        let said: Vec<&str> = text.lines().filter_map(|line| line.split_once("stderr: ")).map(|(_, said)| said).collect();
        assert_eq!(said, ["starting upstream=\"up\"", "no such fi\u{fffd} upstream=\"up\""]);
    }

    #[test]
    fn a_long_line_is_cut_and_looked_through_to_its_end() {
        let (begin, end) = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
        let max = PROCESS_STDERR_LINE_BYTES_MAX;
        for bytes in [max - 1, max, max + 1, LOOKED_BYTES_MAX - 1, LOOKED_BYTES_MAX, LOOKED_BYTES_MAX + 1, 100_000] {
            let lines = logged(format!("{}\nx", "a".repeat(bytes)).as_bytes());
            assert_eq!(lines, ["a".repeat(bytes.min(max)), "x".to_owned()], "{bytes}");
        }
        // A key that begins or ends behind what is logged, at each place where the line may be taken apart.
        let window = LOOKED_BYTES_MAX - scrub::Lines::MARK_BYTES_MAX;
        let places = [max - 5, max + 5, 3 * window + 7].into_iter();
        for before in places.chain(LOOKED_BYTES_MAX - 40..LOOKED_BYTES_MAX + 2).chain([window + LOOKED_BYTES_MAX - 9]) {
            let filler = "é".repeat(before / 2) + if before % 2 == 1 { "a" } else { "" };
            let text = format!("{filler}{begin}\nMIIEvQIB\n{filler}{end}{filler}\nb");
            let lines = logged(text.as_bytes());
            let [first, last] = &*lines else { panic!("{before}: {}", lines.len()) };
            assert!(first.starts_with('\u{e9}') && first.len() <= max && !first.contains("MII"), "{before}");
            assert_eq!(last, "b", "{before}");
        }
        let across = format!("{} ghp_{}", "a".repeat(max - 20), "aB3".repeat(12));
        assert_eq!(logged(across.as_bytes()), [format!("{} [redacted: github-t", "a".repeat(max - 20))][..]);
    }

    #[test]
    fn memory_for_a_line_is_bounded() {
        let mut said = Said::default();
        for _ in 0..10 * LOOKED_BYTES_MAX {
            said.push(b'x');
            assert!(said.buffer.len() < LOOKED_BYTES_MAX);
        }
    }
}
