//! What kind of change a bad record is, by what follows it.

use super::VerifyError;
use super::report::{Change, FirstBad};
use super::source::{Next, Place, Source};
use super::walk::{Fault, Walk};
use crate::audit::chain::{self, Link, Sealed};

/// How far beyond the first bad record others are looked at to say what happened, in bytes.
const LOOK_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What the log is up to the bad line, and where the record before it is.
pub(super) struct Before<'a> {
    pub(super) walk: &'a Walk<'a>,
    pub(super) place: Place,
}

/// What follows.
#[derive(Default)]
struct Ahead {
    /// The next record that is sound in itself.
    next: Option<Sealed>,
    /// The next one is what was expected.
    next_fits: bool,
    /// What was expected comes later.
    expected_later: bool,
    /// The `seq` of the bad record comes again.
    again: bool,
}

/// Names the first bad record: most often the line at which `source` is, sometimes the one before it.
pub(super) fn first_bad(fault: Fault, before: &Before<'_>, source: &mut Source) -> Result<FirstBad, VerifyError> {
    let place = source.place.clone();
    let walk = before.walk;
    let expected = walk.expected.max(1);
    let made = |source: &Source, place: &Place, kind, seq, detail: String| FirstBad {
        kind,
        file: source.name(place).to_owned(),
        line: place.line,
        offset: place.offset,
        seq,
        detail,
    };
    if let Fault::Checkpoint(sealed, why) = fault {
        let since = walk.last.as_ref().map_or(1, |(seq, _)| *seq);
        let detail = format!("{why}: what changed is between records {since} and {}", sealed.seq);
        return Ok(made(source, &place, Change::Rechained, sealed.seq, detail));
    }
    let misplaced_seq = if let Fault::Misplaced(sealed) = &fault { Some(sealed.seq) } else { None };
    let ahead = look(source, expected, walk.head, misplaced_seq)?;
    let (kind, seq, detail) = match fault {
        Fault::NoRecord | Fault::Altered(_) if ahead.next_fits => {
            (Change::Inserted, expected, "stands between two records that follow one another".to_owned())
        }
        Fault::NoRecord if ahead.next.is_none() => {
            (Change::NotARecord, expected, "is no record, and none that is sound follows".to_owned())
        }
        Fault::NoRecord => (Change::Altered, expected, "is no longer a record".to_owned()),
        Fault::Altered(_) => (Change::Altered, expected, "does not have the hash that it names".to_owned()),
        Fault::Misplaced(sealed) => {
            let (kind, is_before, seq, detail) = misplaced(&sealed, walk, &ahead);
            let place = if is_before { &before.place } else { &place };
            return Ok(made(source, place, kind, seq, detail));
        }
        Fault::Checkpoint(..) => (Change::Rechained, expected, String::new()),
    };
    Ok(made(source, &place, kind, seq, detail))
}

/// The kind of change, whether the record before is the one that changed, the `seq` and what to say.
fn misplaced(sealed: &Sealed, walk: &Walk<'_>, ahead: &Ahead) -> (Change, bool, u64, String) {
    let expected = walk.expected.max(1);
    let follows = ahead.next.is_some_and(|next| next.prev == sealed.hash);
    let (seq, last) = (sealed.seq, expected - 1);
    if walk.first.is_none() {
        return (Change::Altered, false, seq, "is no first record".to_owned());
    }
    if seq == expected {
        return match follows {
            true => (Change::Altered, true, last, "was changed and given a hash anew: the next record names another".to_owned()),
            false => (Change::Altered, false, seq, "names another record before it than the one that is there".to_owned()),
        };
    }
    if seq > expected {
        let gap =
            if seq - 1 == expected { format!("record {expected} is") } else { format!("records {expected} to {} are", seq - 1) };
        return match (ahead.expected_later, ahead.next_fits && ahead.again) {
            (true, true) => (Change::Inserted, false, expected, format!("record {seq} stands here, and again in its place")),
            (true, false) => {
                (Change::Reordered, false, expected, format!("record {seq} stands here, and record {expected} later"))
            }
            (false, _) => (Change::Deleted, false, expected, format!("{gap} missing")),
        };
    }
    let twin = seq == last && sealed.prev == walk.before_head && sealed.hash != walk.head;
    if twin && follows {
        return (Change::Inserted, true, last, "stands where the next record belongs".to_owned());
    }
    match ahead.next {
        Some(next) if next.seq > expected && !ahead.expected_later => {
            (Change::Altered, false, expected, format!("record {seq} stands in its place"))
        }
        _ => (Change::Inserted, false, expected, format!("record {seq} stands here once more")),
    }
}

/// Looks at what follows, up to [`LOOK_BYTES_MAX`].
fn look(source: &mut Source, expected: u64, head: Link, seq: Option<u64>) -> Result<Ahead, VerifyError> {
    let (mut ahead, until) = (Ahead::default(), source.bytes.saturating_add(LOOK_BYTES_MAX));
    while source.bytes < until {
        let sealed = match source.next(expected)? {
            Next::Line(range) => chain::check(source.line(&range)),
            Next::Torn | Next::Damaged(_) => continue,
            Next::End => break,
        };
        let Ok(sealed) = sealed else { continue };
        let fits = (sealed.seq, sealed.prev) == (expected, head);
        ahead.next_fits |= fits && ahead.next.is_none();
        ahead.next.get_or_insert(sealed);
        ahead.expected_later |= sealed.seq == expected;
        ahead.again |= Some(sealed.seq) == seq;
        // Nothing more can be learnt, in the two cases in which that is soon.
        if seq.is_none() || seq.is_some_and(|seq| seq <= expected) {
            break;
        }
    }
    Ok(ahead)
}
