//! A text that comes line by line: a private key is more than one of them.

use std::borrow::Cow;

/// What was seen of a text so far.
#[derive(Debug, Default)]
pub struct Lines {
    /// Lines of a private key since it began, with the one that it began in; 0 outside of one.
    in_key: usize,
}

impl Lines {
    /// Of the longest mark that a key begins with: who hands over a line in pieces repeats as much of the last one.
    pub const MARK_BYTES_MAX: usize = 96;

    /// The next line as it may be shown; `None` for one that is all key.
    ///
    /// A key that does not end within 512 lines was none.
    pub fn next<'t>(&mut self, line: &'t str) -> Option<Cow<'t, str>> {
        let hidden = (1..=KEY_LINES_MAX).contains(&self.in_key);
        if hidden {
            self.in_key += 1;
        } else {
            self.in_key = 0;
        }
        self.past(line);
        if hidden { None } else { Some(super::text(line)) }
    }

    /// More of the line that [`Lines::next`] had the start of, which is not shown.
    pub fn past(&mut self, piece: &str) {
        let (ended, rest) = piece.rsplit_once("-----END ").map_or((false, piece), |(_, rest)| (true, rest));
        let begins = rest.split("-----BEGIN ").skip(1).any(|label| label.contains("PRIVATE KEY"));
        self.in_key = match (begins, ended) {
            (true, true) => 1,
            (true, false) => self.in_key.max(1),
            (false, true) => 0,
            (false, false) => self.in_key,
        };
    }
}

/// Those of a key of 16384 bits are about 200.
const KEY_LINES_MAX: usize = 512;
