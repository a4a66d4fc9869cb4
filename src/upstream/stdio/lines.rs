//! Bounded lines from a process.

use bytes::{Bytes, BytesMut};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::scrub;
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
    let (mut line, mut seen) = (Vec::new(), scrub::Lines::default());
    while let Ok(read @ 1..) = stderr.read(&mut chunk).await {
        for byte in chunk.iter().take(read) {
            match *byte {
                b'\n' => {
                    log(upstream, &line, &mut seen);
                    line.clear();
                }
                byte if line.len() < PROCESS_STDERR_LINE_BYTES_MAX => line.push(byte),
                _ => {}
            }
        }
    }
    if !line.is_empty() {
        log(upstream, &line, &mut seen);
    }
}

fn log(upstream: &str, line: &[u8], seen: &mut scrub::Lines) {
    if let Some(line) = seen.next(&String::from_utf8_lossy(line)) {
        tracing::debug!(upstream, "stderr: {}", printable(line.as_bytes()));
    }
}

fn printable(line: &[u8]) -> String {
    let mut out = String::with_capacity(line.len());
    for c in String::from_utf8_lossy(line).chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

const READ_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_bounded() {
        let check = async |text: &[u8], want: &[&str], end: NoLine| {
            let mut lines = Lines::new(text, 4);
            for line in want {
                assert_eq!(lines.next().await.unwrap(), line.as_bytes());
            }
            assert_eq!(lines.next().await.unwrap_err(), end);
        };
        check(b"a\n\nbc\r\nabcd\n", &["a", "", "bc", "abcd"], NoLine::End).await;
        check(b"a\nunfinished", &["a"], NoLine::TooLong).await;
        check(b"a\nunf", &["a"], NoLine::End).await;
        check(b"abcde\n", &[], NoLine::TooLong).await;
        check(&[b'x'; 100_000], &[], NoLine::TooLong).await;
    }

    #[test]
    fn error_output_cannot_write_to_a_terminal() {
        assert_eq!(printable(b"a\x1b[2J\r\xc2\x9b\xff"), "a\\u{1b}[2J\\r\\u{9b}\u{fffd}");
    }
}
