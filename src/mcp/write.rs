//! Writing JSON objects member by member. Keys are ours and need no escape, where nothing else is said.

use super::json::push_string;
use super::raw::RawJson;
use crate::vocab::digits::push_decimal;

/// An object being written. It must be closed.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Object<'o> {
    pub(super) fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// A member whose value is JSON already.
    pub(super) fn raw(&mut self, key: &'static str, value: &[u8]) -> &mut Self {
        self.key(key);
        self.out.extend_from_slice(value);
        self
    }

    /// As [`Self::raw`], with a key that may hold anything.
    pub(super) fn raw_named(&mut self, key: &str, value: &[u8]) -> &mut Self {
        self.comma();
        push_string(self.out, key);
        self.out.push(b':');
        self.out.extend_from_slice(value);
        self
    }

    /// As [`Self::raw`], where there is a value.
    pub(super) fn json(&mut self, key: &'static str, value: Option<&RawJson>) -> &mut Self {
        if let Some(value) = value {
            self.raw(key, value.as_bytes());
        }
        self
    }

    pub(super) fn text(&mut self, key: &'static str, value: &str) -> &mut Self {
        self.key(key);
        push_string(self.out, value);
        self
    }

    /// As [`Self::text`], where there is a value.
    pub(super) fn some_text(&mut self, key: &'static str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text(key, value);
        }
        self
    }

    pub(super) fn number(&mut self, key: &'static str, value: u64) -> &mut Self {
        self.key(key);
        push_decimal(self.out, value);
        self
    }

    /// Members whose keys are tokens.
    pub(super) fn members(&mut self, members: &[(RawJson, RawJson)]) -> &mut Self {
        for (key, value) in members {
            self.comma();
            self.out.extend_from_slice(key.as_bytes());
            self.out.push(b':');
            self.out.extend_from_slice(value.as_bytes());
        }
        self
    }

    /// A member that is an object.
    pub(super) fn object(&mut self, key: &'static str, fill: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        self.key(key);
        let mut inner = Object::open(self.out);
        fill(&mut inner);
        inner.close();
        self
    }

    pub(super) fn close(self) {
        self.out.push(b'}');
    }

    fn key(&mut self, key: &'static str) {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn comma(&mut self) {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
    }
}

/// An object of ours as a value.
pub(super) fn object(fill: impl FnOnce(&mut Object<'_>)) -> RawJson {
    RawJson::of_ours(object_bytes(0, fill))
}

/// An object of ours as bytes, with room for `bytes_hint`.
pub(super) fn object_bytes(bytes_hint: usize, fill: impl FnOnce(&mut Object<'_>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes_hint);
    let mut object = Object::open(&mut out);
    fill(&mut object);
    object.close();
    out
}

/// An array of strings.
pub(super) fn array_of_texts(texts: &[String]) -> Vec<u8> {
    let mut out = vec![b'['];
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_string(&mut out, text);
    }
    out.push(b']');
    out
}
