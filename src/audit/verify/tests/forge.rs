//! Logs, made as the writer makes them, and then changed by somebody who has the files and not the key.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::audit::chain::{self, Link};
use crate::audit::checkpoint::{Checkpoint, CheckpointKey, LogId, PublicKey};
use crate::audit::merkle::Frontier;

/// Random choice that a seed repeats (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` to below `high`.
    pub(super) fn between(&mut self, low: usize, high: usize) -> usize {
        low + usize::try_from((self.next() >> 11) % (high - low) as u64).unwrap()
    }
}

/// Lines with their line feeds, the checkpoints that were exported, and the key that signed them.
#[derive(Clone)]
pub(super) struct Log {
    pub(super) lines: Vec<Vec<u8>>,
    pub(super) exported: Vec<u8>,
    pub(super) public: PublicKey,
}

/// Files of a log: their names, and how many lines go to each.
pub(super) type Layout<'a> = &'a [(&'a str, usize)];

pub(super) fn key(dir: &Path) -> CheckpointKey {
    CheckpointKey::open_or_make(&dir.join("keys/checkpoint.pem")).unwrap()
}

/// A log of so many records, every `every`th of which is a checkpoint, and the last.
pub(super) fn log(key: &CheckpointKey, records: usize, every: usize) -> Log {
    let id = LogId::random().unwrap();
    let (mut lines, mut exported) = (Vec::new(), Vec::new());
    let (mut head, mut tree) = (Link::ZERO, Frontier::new());
    for seq in 1..=records {
        let time = time(seq);
        let mut line = if (seq - 1).is_multiple_of(every) || seq == records {
            let checkpoint = Checkpoint::sign(key, id, &tree, head, time.clone());
            checkpoint.push_exported(&mut exported);
            checkpoint_line(seq, &time, |out| checkpoint.push_member(&tree, out))
        } else {
            record(seq, "files__read_file")
        };
        head = chain::seal(&mut line, 0, head);
        tree.push(head);
        lines.push(line);
    }
    Log { lines, exported, public: key.public() }
}

fn time(seq: usize) -> String {
    format!("2026-11-22T{:02}:{:02}:{:02}.{:03}Z", seq / 3_600_000 % 24, seq / 60_000 % 60, seq / 1_000 % 60, seq % 1_000)
}

fn checkpoint_line(seq: usize, time: &str, member: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut line = format!(r#"{{"v":1,"seq":{seq},"time":"{time}","id":"c{seq}","kind":"checkpoint","checkpoint":"#).into_bytes();
    member(&mut line);
    line
}

/// An open record. A value in clear looks like a checkpoint, and so does the JSON-RPC id.
fn record(seq: usize, name: &str) -> Vec<u8> {
    let time = time(seq);
    format!(
        concat!(
            r#"{{"v":1,"seq":{},"time":"{}","id":"r{}","rpc_id":"\",\"kind\":\"checkpoint\"","kind":"outcome","#,
            r#""principal":{{"iss":"https://idp.example","sub":"alice"}},"route":"/mcp","method":"tools/call","name":"{}","#,
            r#""args":{{"digest":"hmac-sha256:00","fields":{{"/a":{{"v":1,"kind":"checkpoint","*J":"{}"}}}}}},"#,
            r#""outcome":{{"status":"completed","reason":"allowed","bytes_in":1,"bytes_out":2}}"#
        ),
        seq,
        time,
        seq,
        name,
        "x".repeat(seq % 97)
    )
    .into_bytes()
}

/// What somebody without the key does to one record, so that the chain is sound again. `resigned` is how they treat checkpoints:
/// with a key of their own; as they were but for what can be computed; as they were.
pub(super) fn rechain(log: &mut Log, at: usize, own: Option<&CheckpointKey>, computed: bool) {
    let (mut head, mut tree) = (Link::ZERO, Frontier::new());
    for (index, line) in log.lines.iter_mut().enumerate() {
        let open = open(line);
        let mut new = if index == at { record(index + 1, "files__delete_all") } else { open.to_vec() };
        if index > at
            && let Some((mut checkpoint, _)) = Checkpoint::read(line)
            && (own.is_some() || computed)
        {
            checkpoint.statement.head = head;
            checkpoint.statement.root = tree.root();
            if let Some(own) = own {
                (checkpoint.signature, checkpoint.key) = (own.sign(&checkpoint.statement), own.id());
            }
            new = checkpoint_line(index + 1, &checkpoint.statement.time, |out| checkpoint.push_member(&tree, out));
        }
        head = chain::seal(&mut new, 0, head);
        tree.push(head);
        *line = new;
    }
}

/// A record that was never written, with the right number, link and hash, to stand before line `at`.
pub(super) fn forged(log: &Log, at: usize) -> Vec<u8> {
    let mut line = record(at + 1, "files__never_called");
    let before = at.checked_sub(1).map_or(Link::ZERO, |before| chain::places(log.lines[before].trim_ascii_end()).unwrap().hash);
    chain::seal(&mut line, 0, before);
    line
}

/// The same record with other content and a hash that fits.
pub(super) fn rehashed(log: &Log, at: usize) -> Vec<u8> {
    let prev = chain::places(log.lines[at].trim_ascii_end()).unwrap().prev;
    let mut line = record(at + 1, "files__other");
    chain::seal(&mut line, 0, prev);
    line
}

/// A line without its last two members and the brace.
fn open(line: &[u8]) -> &[u8] {
    &line[..memchr::memmem::rfind(line, br#","prev":""#).unwrap()]
}

impl Log {
    /// Writes the files, and the exported checkpoints; where both are.
    pub(super) fn write(&self, dir: &Path, layout: Layout<'_>) -> (PathBuf, PathBuf) {
        let audit = dir.join("audit");
        let _ = fs::remove_dir_all(&audit);
        fs::create_dir_all(&audit).unwrap();
        let mut rest = &self.lines[..];
        for (name, count) in layout {
            let count = (*count).min(rest.len());
            // A file of which nothing is left is gone, unless it is the only one.
            if count > 0 || rest.len() == self.lines.len() {
                let bytes = rest[..count].concat();
                fs::write(audit.join(name), if name.ends_with(".gz") { zipped(&bytes) } else { bytes }).unwrap();
            }
            rest = &rest[count..];
        }
        assert!(rest.is_empty(), "lines are left over");
        let exported = dir.join("checkpoints.jsonl");
        fs::write(&exported, &self.exported).unwrap();
        (audit, exported)
    }
}

pub(super) fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
