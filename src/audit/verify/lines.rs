//! Lines of one file, by big reads and within bounds, whatever is in it.

use std::io::{self, Read};
use std::ops::Range;

/// Longest line that is read, in bytes: far more than any record may have.
pub(in crate::audit) const LINE_BYTES_MAX: usize = 1024 * 1024;
/// Room for the longest line and what comes with it in one read.
const BUFFER_BYTES: usize = 2 * LINE_BYTES_MAX;

/// What is next in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::audit) enum Found {
    /// A line, without its line feed.
    Line(Range<usize>),
    /// The end is no end of a line: these bytes have no line feed.
    Torn(Range<usize>),
    /// A line longer than [`LINE_BYTES_MAX`], passed over or not.
    TooLong,
    /// Nothing more.
    End,
}

/// Reads lines; holds [`BUFFER_BYTES`] and nothing else.
pub(in crate::audit) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Where what follows `start` is in the file, in bytes.
    pub(in crate::audit) offset: u64,
    /// Lines so far.
    pub(in crate::audit) number: u64,
    ended: bool,
}

impl<R: Read> Lines<R> {
    pub(in crate::audit) fn new(input: R) -> Self {
        Self { input, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, offset: 0, number: 0, ended: false }
    }

    /// The bytes of what was found last.
    pub(in crate::audit) fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.buffer.get(range.clone()).unwrap_or_default()
    }

    /// Goes on to the next line.
    ///
    /// # Errors
    /// Those of the file.
    pub(in crate::audit) fn next(&mut self) -> io::Result<Found> {
        let mut seen = 0;
        loop {
            let pending = self.buffer.get(self.start + seen..self.end).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', pending) {
                let line = self.start..self.start + seen + at;
                self.consume(line.len() + 1);
                self.number += 1;
                return Ok(if line.len() > LINE_BYTES_MAX { Found::TooLong } else { Found::Line(line) });
            }
            seen += pending.len();
            if seen > LINE_BYTES_MAX {
                return self.pass_over();
            }
            if self.ended && seen == 0 {
                return Ok(Found::End);
            }
            if self.ended {
                return Ok(Found::Torn(self.start..self.end));
            }
            self.fill()?;
        }
    }

    /// Whether the file has more now than when its end was found.
    ///
    /// # Errors
    /// Those of the file.
    pub(in crate::audit) fn grew(&mut self) -> io::Result<bool> {
        self.ended = false;
        self.fill()?;
        Ok(!self.ended)
    }

    /// Goes to the end of a line that is too long, or of the file.
    fn pass_over(&mut self) -> io::Result<Found> {
        loop {
            let pending = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', pending) {
                self.consume(at + 1);
                self.number += 1;
                return Ok(Found::TooLong);
            }
            self.consume(pending.len());
            if self.ended {
                return Ok(Found::TooLong);
            }
            self.fill()?;
        }
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.input.read(room) {
            Ok(0) => self.ended = true,
            Ok(read) => self.end += read.min(room.len()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out a few bytes at a time.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let some = self.0.len().min(self.1).min(out.len());
            let (now, later) = self.0.split_at(some);
            out.get_mut(..some).unwrap().copy_from_slice(now);
            self.0 = later;
            Ok(some)
        }
    }

    fn all(input: impl Read) -> Vec<(Option<Vec<u8>>, u64, u64)> {
        let mut lines = Lines::new(input);
        let mut found = Vec::new();
        loop {
            let (offset, next) = (lines.offset, lines.next().unwrap());
            match next {
                Found::End => return found,
                Found::TooLong => found.push((None, offset, lines.number)),
                Found::Line(range) => found.push((Some(lines.bytes(&range).to_vec()), offset, lines.number)),
                Found::Torn(range) => {
                    found.push((Some([lines.bytes(&range), b" torn"].concat()), offset, lines.number));
                    return found;
                }
            }
        }
    }

    #[test]
    fn lines_however_they_come() {
        for step in [1, 2, 7, 1000] {
            let some = |text: &str| Some(text.as_bytes().to_vec());
            let found = all(Drops(b"one\n\nthree\n\0\nfi", step));
            let expected =
                [(some("one"), 0, 1), (some(""), 4, 2), (some("three"), 5, 3), (some("\0"), 11, 4), (some("fi torn"), 13, 4)];
            assert_eq!(found, expected, "{step}");
            assert_eq!(all(Drops(b"", step)), []);
        }
    }

    #[test]
    fn a_line_of_any_length_takes_no_more_than_the_buffer() {
        let long = io::Cursor::new(b"a\n").chain(io::repeat(b'x').take(40_000_000)).chain(io::Cursor::new(b"\nb\n"));
        let found = all(long);
        assert_eq!(found, [(Some(b"a".to_vec()), 0, 1), (None, 2, 2), (Some(b"b".to_vec()), 40_000_003, 3)]);
        let exact = io::repeat(b'x').take(LINE_BYTES_MAX as u64).chain(io::Cursor::new(b"\n"));
        assert_eq!(all(exact).first().unwrap().0.as_ref().map(Vec::len), Some(LINE_BYTES_MAX));
        let over = io::repeat(b'x').take(LINE_BYTES_MAX as u64 + 1).chain(io::Cursor::new(b"\n"));
        assert_eq!(all(over), [(None, 0, 1)]);
    }
}
