//! The scanner: pull one value at a time, see every key once.

use std::borrow::Cow;
use std::collections::HashSet;

use smallvec::SmallVec;

use super::JsonError;
use super::text::{scan_string, unquote};
use crate::vocab::limits::JSON_MEMBERS_MAX;

/// What a value is, told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// `-` or a digit
    Number,
    /// `t` or `f`
    Bool,
    /// `n`
    Null,
}

impl Kind {
    /// The kind of a value that was already validated.
    pub fn of(raw: &str) -> Option<Self> {
        raw.bytes().next().and_then(Self::of_byte)
    }

    fn of_byte(first: u8) -> Option<Self> {
        Some(match first {
            b'{' => Self::Object,
            b'[' => Self::Array,
            b'"' => Self::String,
            b'-' | b'0'..=b'9' => Self::Number,
            b't' | b'f' => Self::Bool,
            b'n' => Self::Null,
            _ => return None,
        })
    }
}

/// A cursor over one JSON text. Every `object`, `array`, `string`, `value` call consumes exactly one value.
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth_left: usize,
    /// Keys of all objects that are open, innermost last; shared, and in place while they are few, so that they cost no allocation.
    keys: SmallVec<[Cow<'a, str>; PAIRWISE_KEYS_MAX]>,
    compares_keys: bool,
}

/// Objects up to this size compare keys pairwise; larger ones build a set.
const PAIRWISE_KEYS_MAX: usize = 16;

impl<'a> Scanner<'a> {
    /// Starts on `text`, which may be nested at most `depth_max` deep.
    ///
    /// # Errors
    /// [`JsonError::Encoding`].
    pub fn new(text: &'a [u8], depth_max: usize) -> Result<Self, JsonError> {
        Self::of_text(std::str::from_utf8(text).map_err(|_| JsonError::Encoding)?, depth_max)
    }

    /// As [`Self::new`], on text that is known to be UTF-8.
    ///
    /// # Errors
    /// [`JsonError::Encoding`] for a byte order mark.
    pub fn of_text(text: &'a str, depth_max: usize) -> Result<Self, JsonError> {
        if text.starts_with('\u{feff}') {
            return Err(JsonError::Encoding);
        }
        Ok(Self::trusted(text, depth_max))
    }

    /// Starts on text that was seen before, such as a span this scanner returned.
    pub fn trusted(text: &'a str, depth_max: usize) -> Self {
        Self { text, at: 0, depth_left: depth_max, keys: SmallVec::new(), compares_keys: true }
    }

    /// As [`Self::trusted`], for a caller that compares the keys of each object itself: this one tells of no duplicates.
    pub fn trusted_but_keys(text: &'a str, depth_max: usize) -> Self {
        Self { compares_keys: false, ..Self::trusted(text, depth_max) }
    }

    /// What the next value is.
    ///
    /// # Errors
    /// [`JsonError::Syntax`] at the end or on a byte that starts no value.
    pub fn peek(&mut self) -> Result<Kind, JsonError> {
        self.space();
        self.byte().and_then(Kind::of_byte).ok_or_else(|| self.syntax())
    }

    /// Reads an object. `member` gets each key, unescaped, and must consume the value. Returns the whole span.
    ///
    /// # Errors
    /// As [`JsonError`]; whatever `member` returns.
    pub fn object<F>(&mut self, mut member: F) -> Result<&'a str, JsonError>
    where
        F: FnMut(&mut Self, &Cow<'a, str>) -> Result<(), JsonError>,
    {
        let start = self.open(b'{')?;
        let base = self.keys.len();
        let mut seen: Option<HashSet<Cow<'a, str>>> = None;
        self.space();
        if !self.eat(b'}') {
            loop {
                self.space();
                let key = self.string()?;
                if self.compares_keys {
                    self.remember(key.clone(), base, &mut seen)?;
                }
                self.space();
                self.expect(b':')?;
                let before = self.at;
                member(self, &key)?;
                if self.at == before {
                    return Err(JsonError::Shape("a member was not consumed"));
                }
                self.space();
                if self.eat(b',') {
                    continue;
                }
                self.expect(b'}')?;
                break;
            }
        }
        self.keys.truncate(base);
        self.depth_left += 1;
        self.span(start)
    }

    /// Reads an array. `each` must consume one value per call. Returns the whole span.
    ///
    /// # Errors
    /// As [`JsonError`]; whatever `each` returns.
    pub fn array<F>(&mut self, mut each: F) -> Result<&'a str, JsonError>
    where
        F: FnMut(&mut Self) -> Result<(), JsonError>,
    {
        let start = self.open(b'[')?;
        self.space();
        if !self.eat(b']') {
            loop {
                let before = self.at;
                each(self)?;
                if self.at == before {
                    return Err(JsonError::Shape("an element was not consumed"));
                }
                self.space();
                if self.eat(b',') {
                    continue;
                }
                self.expect(b']')?;
                break;
            }
        }
        self.depth_left += 1;
        self.span(start)
    }

    /// Reads a string and returns its meaning.
    ///
    /// # Errors
    /// As [`JsonError`].
    pub fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        match self.raw_string()? {
            (raw, false) => Ok(Cow::Borrowed(raw.get(1..raw.len() - 1).unwrap_or_default())),
            (raw, true) => unquote(raw),
        }
    }

    /// Reads any value, validates all of it, returns its span without surrounding space.
    ///
    /// # Errors
    /// As [`JsonError`].
    pub fn value(&mut self) -> Result<&'a str, JsonError> {
        match self.peek()? {
            Kind::Object => self.object(|scan, _| scan.value().map(|_| ())),
            Kind::Array => self.array(|scan| scan.value().map(|_| ())),
            Kind::String => self.raw_string().map(|(raw, _)| raw),
            Kind::Number => self.number(),
            Kind::Bool | Kind::Null => self.word(),
        }
    }

    /// Demands that nothing but space is left.
    ///
    /// # Errors
    /// [`JsonError::Syntax`].
    pub fn end(&mut self) -> Result<(), JsonError> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.syntax()) }
    }

    /// Byte offset of the next unread byte.
    pub fn position(&self) -> usize {
        self.at
    }

    fn remember(&mut self, key: Cow<'a, str>, base: usize, seen: &mut Option<HashSet<Cow<'a, str>>>) -> Result<(), JsonError> {
        if let Some(set) = seen {
            if set.len() >= JSON_MEMBERS_MAX {
                return Err(JsonError::Members);
            }
            return if set.insert(key) { Ok(()) } else { Err(JsonError::DuplicateKey) };
        }
        let open = self.keys.get(base..).unwrap_or_default();
        if open.contains(&key) {
            return Err(JsonError::DuplicateKey);
        }
        if open.len() >= PAIRWISE_KEYS_MAX {
            let mut set: HashSet<_> = self.keys.drain(base..).collect();
            set.insert(key);
            *seen = Some(set);
        } else {
            self.keys.push(key);
        }
        Ok(())
    }

    /// The token, and whether anything in it is escaped.
    fn raw_string(&mut self) -> Result<(&'a str, bool), JsonError> {
        self.space();
        let start = self.at;
        self.expect(b'"')?;
        let (end, escapes) = scan_string(self.text.as_bytes(), self.at)?;
        self.at = end;
        Ok((self.span(start)?, escapes))
    }

    fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') && self.digits() == 0 {
            return Err(self.syntax());
        }
        if self.eat(b'.') && self.digits() == 0 {
            return Err(self.syntax());
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            if self.digits() == 0 {
                return Err(self.syntax());
            }
        }
        self.span(start)
    }

    fn word(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        let word = ["true", "false", "null"].into_iter().find(|w| rest.starts_with(w));
        self.at += word.ok_or_else(|| self.syntax())?.len();
        self.span(start)
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.byte().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn open(&mut self, bracket: u8) -> Result<usize, JsonError> {
        self.space();
        let start = self.at;
        self.expect(bracket)?;
        self.depth_left = self.depth_left.checked_sub(1).ok_or(JsonError::Depth)?;
        Ok(start)
    }

    fn space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.byte() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.eat(byte) { Ok(()) } else { Err(self.syntax()) }
    }

    fn span(&self, start: usize) -> Result<&'a str, JsonError> {
        self.text.get(start..self.at).ok_or_else(|| self.syntax())
    }

    fn syntax(&self) -> JsonError {
        JsonError::Syntax { at: self.at }
    }
}
