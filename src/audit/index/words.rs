//! The dictionary: texts of records that come again and again, each kept once.
//!
//! The file is a header (version, and a random name that the row files repeat) and entries in the order of their ids. It only grows;
//! an entry that was torn off, and whatever follows it, is cut off before more is written.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::rand;

use super::scan::mark;

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    Who = 0,
    What = 1,
    Why = 2,
    End = 3,
}

/// Stands for every text that had no room.
pub(super) const OVERFLOW: u32 = 1;
/// The id of the first entry: 0 is no text, 1 one that had no room.
const FIRST: u32 = 2;
/// Texts of a dictionary. URIs of resources may be many; what people ask about are rules, tools and persons.
const WORDS_MAX: usize = 1_000_000;
/// Bytes of all texts.
const WORDS_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Bytes of one text; a decision with all its rules has less.
const WORD_BYTES_MAX: usize = 64 * 1024;
const MAGIC: &[u8; 8] = b"PCLSWRD1";
const HEADER_BYTES: usize = 24;
/// Space, length and check of an entry.
const ENTRY_BYTES: usize = 9;

/// The random name of a dictionary.
pub(super) type Name = [u8; 16];

#[derive(Default)]
pub(super) struct Words {
    pub(super) name: Name,
    texts: Vec<(u8, Arc<[u8]>)>,
    ids: [HashMap<Arc<[u8]>, u32>; 4],
    bytes: usize,
    /// Entries that are in the file, and its sound length.
    stored: usize,
    length: u64,
}

impl Words {
    /// An empty one with a name of its own.
    pub(super) fn fresh() -> io::Result<Self> {
        let mut words = Self::default();
        rand::fill(&mut words.name).map_err(|_| io::Error::other("no randomness"))?;
        Ok(words)
    }

    /// Reads a file; `None` for one that is not there, or not ours.
    pub(super) fn load(path: &Path) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(file) => file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some((header, mut rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let (magic, name) = header.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        let (true, Ok(name)) = (magic == MAGIC, Name::try_from(name)) else { return Ok(None) };
        let mut words = Self { name, length: HEADER_BYTES as u64, ..Self::default() };
        while let Some((space, text, after)) = entry(rest) {
            words.push(space, text);
            words.length += (ENTRY_BYTES + text.len()) as u64;
            rest = after;
        }
        words.stored = words.texts.len();
        Ok(Some(words))
    }

    /// The id of a text, given if it has none; 0 for an empty one.
    pub(super) fn id(&mut self, space: Space, text: &[u8]) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let known = self.ids.get(space as usize).and_then(|ids| ids.get(text));
        match known {
            Some(id) => *id,
            None if self.texts.len() >= WORDS_MAX || self.bytes + text.len() > WORDS_BYTES_MAX => OVERFLOW,
            None if text.len() > WORD_BYTES_MAX => OVERFLOW,
            None => self.push(space as u8, text),
        }
    }

    fn push(&mut self, space: u8, text: &[u8]) -> u32 {
        let text: Arc<[u8]> = text.into();
        let id = u32::try_from(self.texts.len()).unwrap_or(u32::MAX).saturating_add(FIRST);
        self.bytes += text.len();
        if let Some(ids) = self.ids.get_mut(usize::from(space)) {
            ids.insert(text.clone(), id);
        }
        self.texts.push((space, text));
        id
    }

    /// The text of an id; empty for none, and where it had no room.
    pub(super) fn text(&self, id: u32) -> &[u8] {
        let at = id.checked_sub(FIRST).map(|at| at as usize);
        at.and_then(|at| self.texts.get(at)).map(|(_, text)| &**text).unwrap_or_default()
    }

    /// One above the highest id.
    pub(super) fn end(&self) -> u32 {
        u32::try_from(self.texts.len()).unwrap_or(u32::MAX).saturating_add(FIRST)
    }

    /// Forgets what is not in the file.
    pub(super) fn forget_unstored(&mut self) {
        for (space, text) in self.texts.drain(self.stored..) {
            self.bytes -= text.len();
            if let Some(ids) = self.ids.get_mut(usize::from(space)) {
                ids.remove(&text);
            }
        }
    }

    /// Writes what is new to the file, which is made if this dictionary never had one.
    pub(super) fn store(&mut self, path: &Path) -> io::Result<()> {
        if self.stored == self.texts.len() && self.length > 0 {
            return Ok(());
        }
        let begins = self.length == 0;
        let mut file = OpenOptions::new().write(true).create(true).truncate(begins).mode(0o600).open(path)?;
        let mut out = Vec::new();
        if begins {
            out.extend_from_slice(MAGIC);
            out.extend_from_slice(&self.name);
        }
        for (space, text) in self.texts.get(self.stored..).unwrap_or_default() {
            out.push(*space);
            out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend_from_slice(&mark(text).to_le_bytes());
            out.extend_from_slice(text);
        }
        file.set_len(self.length)?;
        file.seek(SeekFrom::Start(self.length))?;
        file.write_all(&out)?;
        self.length += out.len() as u64;
        self.stored = self.texts.len();
        Ok(())
    }
}

/// Longest dictionary that is read: texts, and what is around each.
const FILE_BYTES_MAX: u64 = (WORDS_BYTES_MAX + WORDS_MAX * ENTRY_BYTES + HEADER_BYTES) as u64;

/// The first entry, if it is whole and sound, and what follows it.
fn entry(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<ENTRY_BYTES>()?;
    let [space, a, b, c, d, check @ ..] = *head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    let (text, rest) = rest.split_at_checked(length)?;
    (usize::from(space) < 4 && length > 0 && mark(text) == u32::from_le_bytes(check)).then_some((space, text, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_found_again_and_a_torn_end_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("words");
        assert!(Words::load(&path).unwrap().is_none());
        let mut words = Words::fresh().unwrap();
        let (a, b) = (words.id(Space::Who, b"a"), words.id(Space::What, b"a"));
        assert_eq!((a, b, words.id(Space::Who, b"a"), words.id(Space::Who, b"")), (2, 3, 2, 0));
        words.store(&path).unwrap();
        let c = words.id(Space::End, b"ccc");
        words.store(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let mut again = Words::load(&path).unwrap().unwrap();
        assert_eq!((again.name, again.text(c), again.end()), (words.name, b"ccc".as_slice(), 5));
        assert_eq!(again.id(Space::End, b"ccc"), c);
        assert_eq!(again.id(Space::Why, b"new"), 5);
        again.forget_unstored();
        assert_eq!(again.id(Space::Why, b"other"), 5);
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let mut torn = Words::load(&path).unwrap().unwrap();
        assert_eq!(torn.end(), c);
        assert_eq!(torn.id(Space::End, b"d"), c);
        torn.store(&path).unwrap();
        assert_eq!(Words::load(&path).unwrap().unwrap().text(c), b"d");
        std::fs::write(&path, b"PCLSWRD0 something else").unwrap();
        assert!(Words::load(&path).unwrap().is_none());
    }
}
