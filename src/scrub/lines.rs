//! A text that comes line by line: a private key is more than one of them.

use std::borrow::Cow;

/// What was seen of a text so far.
#[derive(Debug, Default)]
pub struct Lines {
    in_key: bool,
}

impl Lines {
    /// The next line as it may be shown; `None` for one that is all key.
    pub fn next<'t>(&mut self, line: &'t str) -> Option<Cow<'t, str>> {
        if self.in_key {
            self.in_key = !line.contains("-----END ");
            return None;
        }
        let begins = line.rfind("-----BEGIN ").and_then(|at| line.get(at..));
        self.in_key = begins.is_some_and(|key| key.contains("PRIVATE KEY") && !key.contains("-----END "));
        Some(super::text(line))
    }
}
