//! A box of notes in memory: what the sample server serves.

use std::collections::BTreeMap;
use std::fmt;

/// Notes kept.
const NOTES_MAX: usize = 1_000;
/// Length of a note, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Length of a folder's or note's name, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// What is in the box at first: folder, name, text.
const SEED: [(&str, &str, &str); 6] = [
    ("public", "welcome", "Welcome. Everybody who works here, and every guest, may read this."),
    ("public", "opening-hours", "Monday to Friday, nine to five. Closed on public holidays."),
    ("private", "diary", "Dear diary, the new gateway would not let the guests read you today."),
    ("private", "salaries", "Not yet decided. Do not pass on."),
    ("archive", "report-2025", "The annual report of 2025. To be kept for ten years."),
    ("trash", "old-draft", "An idea that was not good enough. May be deleted."),
];

/// Where a note is: `folder/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    folder: String,
    name: String,
}

impl Place {
    /// A place, if both names are lower-case letters, digits and hyphens.
    pub(super) fn new(folder: &str, name: &str) -> Result<Self, Refused> {
        if is_name(folder) && is_name(name) {
            Ok(Self { folder: folder.to_owned(), name: name.to_owned() })
        } else {
            Err(Refused::Name)
        }
    }

    /// The place a resource URI means.
    pub(super) fn from_uri(uri: &str) -> Option<Self> {
        let (folder, name) = uri.strip_prefix(URI_PREFIX)?.split_once('/')?;
        Self::new(folder, name).ok()
    }

    /// The resource URI of the note here.
    pub(super) fn uri(&self) -> String {
        format!("{URI_PREFIX}{self}")
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.folder, self.name)
    }
}

/// What every note's URI begins with.
pub(super) const URI_PREFIX: &str = "note:///";

/// Why the box refused. The text is for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("A folder or note name is 1 to {NAME_BYTES_MAX} lower-case letters, digits and hyphens.")]
    Name,
    #[error("There is no such note.")]
    Absent,
    #[error("There is a note of that name already, and notes are not overwritten.")]
    Exists,
    #[error("A note holds at most {TEXT_BYTES_MAX} bytes.")]
    TooLong,
    #[error("The box is full: it holds {NOTES_MAX} notes.")]
    Full,
}

/// The box.
#[derive(Debug)]
pub(super) struct Notes {
    by_place: BTreeMap<Place, String>,
}

impl Notes {
    /// The box as it is at first.
    pub(super) fn seeded() -> Self {
        let note = |(folder, name, text): (&str, &str, &str)| {
            (Place { folder: folder.to_owned(), name: name.to_owned() }, text.to_owned())
        };
        Self { by_place: SEED.into_iter().map(note).collect() }
    }

    /// Every place, in order; only those in `folder` where one is named.
    pub(super) fn places(&self, folder: Option<&str>) -> impl Iterator<Item = &Place> {
        self.by_place.keys().filter(move |place| folder.is_none_or(|folder| place.folder == folder))
    }

    pub(super) fn read(&self, place: &Place) -> Result<&str, Refused> {
        self.by_place.get(place).map(String::as_str).ok_or(Refused::Absent)
    }

    /// The note called `name`, in whatever folder comes first.
    pub(super) fn find(&self, name: &str) -> Result<(&Place, &str), Refused> {
        let found = self.by_place.iter().find(|(place, _)| place.name == name);
        found.map(|(place, text)| (place, text.as_str())).ok_or(Refused::Absent)
    }

    /// Places whose name or text holds `words`, whatever the case of letters.
    pub(super) fn search(&self, words: &str) -> impl Iterator<Item = &Place> {
        let words = words.to_lowercase();
        let holds = move |place: &Place, text: &str| place.name.contains(&words) || text.to_lowercase().contains(&words);
        self.by_place.iter().filter(move |(place, text)| holds(place, text)).map(|(place, _)| place)
    }

    /// Adds a note; never overwrites one.
    pub(super) fn write(&mut self, place: Place, text: String) -> Result<(), Refused> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Refused::TooLong);
        }
        if self.by_place.contains_key(&place) {
            return Err(Refused::Exists);
        }
        if self.by_place.len() >= NOTES_MAX {
            return Err(Refused::Full);
        }
        self.by_place.insert(place, text);
        Ok(())
    }

    pub(super) fn delete(&mut self, place: &Place) -> Result<(), Refused> {
        self.by_place.remove(place).map(|_| ()).ok_or(Refused::Absent)
    }
}

fn is_name(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_uris_are_the_same_thing() {
        for (uri, expected) in [
            ("note:///public/welcome", Some("public/welcome")),
            ("note:///public/../private/diary", None),
            ("note:///public/", None),
            ("note:///public", None),
            ("note:///Public/welcome", None),
            ("note:///public/%77elcome", None),
            ("file:///public/welcome", None),
        ] {
            assert_eq!(Place::from_uri(uri).map(|place| place.to_string()).as_deref(), expected, "{uri}");
        }
        for place in Notes::seeded().places(None) {
            assert_eq!(Place::from_uri(&place.uri()).as_ref(), Some(place));
        }
    }

    #[test]
    fn the_box_is_bounded_and_never_overwrites() {
        let mut notes = Notes::seeded();
        let place = |name: &str| Place::new("public", name).unwrap();
        assert_eq!(notes.write(place("welcome"), "mine now".to_owned()), Err(Refused::Exists));
        assert_eq!(notes.write(place("long"), "x".repeat(TEXT_BYTES_MAX + 1)), Err(Refused::TooLong));
        for n in 0..NOTES_MAX - SEED.len() {
            assert_eq!(notes.write(place(&format!("n{n}")), String::new()), Ok(()));
        }
        assert_eq!(notes.write(place("one-too-many"), String::new()), Err(Refused::Full));
        assert_eq!(notes.delete(&place("n0")), Ok(()));
        assert_eq!(notes.delete(&place("n0")), Err(Refused::Absent));
        assert_eq!(notes.write(place("one-more"), String::new()), Ok(()));
    }

    #[test]
    fn search_looks_at_names_and_texts() {
        let notes = Notes::seeded();
        let found = |words: &str| notes.search(words).map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found("GATEWAY"), ["private/diary"]);
        assert_eq!(found("opening"), ["public/opening-hours"]);
        assert!(found("nowhere to be found").is_empty());
    }
}
