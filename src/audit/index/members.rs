//! JSON objects as they stand: keys and values by their bytes, nothing unescaped, nothing nested looked into.

/// The members of an object without white space between tokens.
pub(super) struct Members<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Members<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        (bytes.first() == Some(&b'{')).then_some(Self { bytes, at: 1 })
    }

    /// The next key, without quotes, and value. The outer `None` is no JSON, the inner one the end of the object.
    #[expect(clippy::option_option, reason = "an end is no fault")]
    pub(super) fn next(&mut self) -> Option<Option<(&'a [u8], &'a [u8])>> {
        if *self.bytes.get(self.at)? == b'}' {
            self.at += 1;
            return Some(None);
        }
        let key_end = string_end(self.bytes, self.at)?;
        let key = self.bytes.get(self.at + 1..key_end - 1)?;
        if *self.bytes.get(key_end)? != b':' {
            return None;
        }
        let value_end = value_end(self.bytes, key_end + 1)?;
        let value = self.bytes.get(key_end + 1..value_end)?;
        self.at = match *self.bytes.get(value_end)? {
            b',' if *self.bytes.get(value_end + 1)? == b'"' => value_end + 1,
            b'}' => value_end,
            _ => return None,
        };
        Some(Some((key, value)))
    }

    /// Whether nothing follows the object.
    pub(super) fn ended(&self) -> bool {
        self.at == self.bytes.len()
    }
}

/// Behind the string that begins at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    if *bytes.get(at)? != b'"' {
        return None;
    }
    let mut at = at + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

/// Behind the value that begins at `at`, which is not empty.
fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    match *bytes.get(at)? {
        b'"' => string_end(bytes, at),
        b'{' | b'[' => nested_end(bytes, at),
        _ => {
            let length = bytes.get(at..)?.iter().position(|byte| matches!(byte, b',' | b'}' | b']'))?;
            let known =
                bytes.get(at..at + length)?.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+'));
            (length > 0 && known).then_some(at + length)
        }
    }
}

fn nested_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match *bytes.get(at)? {
            b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b' ' | b'\t' | b'\r' => return None,
            _ => {}
        }
        at += 1;
    }
}
