//! What verifying came to.

use std::fmt;

use serde::Serialize;

/// What kind of change the first bad record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Bytes of a record are not those that were written.
    Altered,
    /// Records are missing, and sound ones follow.
    Deleted,
    /// A record was put in.
    Inserted,
    /// Records are not where they were.
    Reordered,
    /// The end is missing.
    Truncated,
    /// The chain is sound, but it is not the one that was signed.
    Rechained,
    /// The last line is only the start of one: what a crash leaves, and what cutting leaves as well.
    TornTail,
    /// There is something that is no record, and nothing sound follows.
    NotARecord,
}

impl Change {
    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Deleted => "deleted",
            Self::Inserted => "inserted",
            Self::Reordered => "reordered",
            Self::Truncated => "truncated",
            Self::Rechained => "rechained",
            Self::TornTail => "torn_tail",
            Self::NotARecord => "not_a_record",
        }
    }
}

/// The first bad record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FirstBad {
    /// What kind of change it is.
    pub kind: Change,
    /// The file it is in.
    pub file: String,
    /// Its line there, counted from 1.
    pub line: u64,
    /// Bytes before it there; in a compressed file, as if it were not.
    pub offset: u64,
    /// The `seq` of the record that is bad or missing.
    pub seq: u64,
    /// More about it, in words.
    pub detail: String,
}

impl fmt::Display for FirstBad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, file, line, offset, seq, detail } = self;
        write!(f, "{}: {file}:{line} (byte {offset}), record {seq}: {detail}", kind.as_str())
    }
}

/// The last checkpoint that holds, which covers every record before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Covered {
    /// `seq` of its own record.
    pub seq: u64,
    /// Its time.
    pub time: String,
    /// Its key.
    pub key: String,
}

/// What became of the signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Signatures {
    /// Checked by keys that were given.
    Checked,
    /// Checked by the key that lies beside the log, which whoever changes the log may change with it.
    CheckedByKeyBesideTheLog,
    /// Not checked: there was no key.
    NotChecked,
}

/// A part of a file that a sync failed for: the next file has its records again, as far as they count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// The file.
    pub file: String,
    /// Where the part begins, in bytes.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
}

/// How the log compares with checkpoints that were kept elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Those that the log was held against.
    pub compared: u64,
    /// Those of sizes that are no longer in the log, or that came in no order.
    pub passed_over: u64,
    /// Those of other logs.
    pub other_logs: u64,
    /// Lines that are no checkpoint, or whose signature does not hold by the keys given.
    pub unusable: u64,
}

/// What verifying came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// No record is bad.
    pub sound: bool,
    /// The first that is.
    pub first_bad: Option<FirstBad>,
    /// Which log it is.
    pub log: Option<String>,
    /// Records that are sound.
    pub records: u64,
    /// `seq` of the first of them; 1, unless older ones were removed.
    pub first_seq: Option<u64>,
    /// `seq` of the last of them.
    pub last_seq: Option<u64>,
    /// Checkpoints among them.
    pub checkpoints: u64,
    /// The last of these.
    pub covered: Option<Covered>,
    /// Sound records after it, which no signature covers yet.
    pub uncovered: u64,
    /// What became of the signatures.
    pub signatures: Signatures,
    /// The comparison with checkpoints kept elsewhere, if there were any.
    pub exported: Option<Exported>,
    /// Files.
    pub files: usize,
    /// Bytes that were read, decompressed.
    pub bytes: u64,
    /// What the next file has again.
    pub set_aside: Vec<SetAside>,
    /// Files by the names of a log that were not read, and why.
    pub skipped: Vec<String>,
}
