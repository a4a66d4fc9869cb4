//! The log as an outsider reads it: only what its format says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// What was found in a directory.
pub(super) struct Log {
    /// Every record by its number, checkpoints among them.
    pub(super) records: BTreeMap<u64, Value>,
    /// Files that the disk failed.
    pub(super) failed: usize,
    /// Lines that were put aside.
    pub(super) torn: usize,
}

impl Log {
    /// Reads every file in the order of the first records, of which later ones count, and holds the chain together from the first
    /// record to the last.
    pub(super) fn read(dir: &Path) -> Self {
        let mut files: Vec<(u64, bool, String)> = Vec::new();
        let (mut failed, mut torn) = (0, 0);
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            if name.ends_with(".torn") {
                torn += text.lines().count();
            } else if name.ends_with(".jsonl") || name.ends_with(".failed") {
                failed += usize::from(name.ends_with(".failed"));
                let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
                assert_eq!(first["kind"], "checkpoint", "{name} begins with a checkpoint");
                files.push((first["seq"].as_u64().unwrap(), !name.ends_with(".failed"), text));
            }
        }
        files.sort();
        let mut lines: BTreeMap<u64, String> = BTreeMap::new();
        let mut last_of_failed = 0;
        for (first, sound, text) in files {
            // What a failed file may not have on disk is in the next one.
            assert!(last_of_failed == 0 || first <= last_of_failed, "{last_of_failed} is in no file that is sound");
            drop(lines.split_off(&first));
            let whole = if sound { text.as_str() } else { text.rsplit_once('\n').map_or("", |(whole, _)| whole) };
            for line in whole.lines() {
                let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                lines.insert(record["seq"].as_u64().unwrap(), line.to_owned());
            }
            last_of_failed = if sound { 0 } else { *lines.keys().last().unwrap() };
        }
        Self { records: chained(&lines), failed, torn }
    }

    /// The calls of which there is an intent.
    pub(super) fn intents(&self) -> std::collections::BTreeSet<u64> {
        let intents = self.records.values().filter(|record| record["kind"] == "intent");
        intents.filter_map(|record| record["args"]["fields"]["/n"].as_u64()).collect()
    }
}

/// Parses records, and holds the chain together from the first to the last.
pub(super) fn chained(lines: &BTreeMap<u64, String>) -> BTreeMap<u64, Value> {
    let mut before = (0, "0".repeat(64));
    let mut records = BTreeMap::new();
    for (seq, line) in lines {
        let (open, hash) = line.rsplit_once(",\"hash\":\"").unwrap();
        let hash = hash.strip_suffix("\"}").unwrap().to_owned();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, format!("{open}}}").as_bytes());
        let computed: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(computed, hash, "{line}");
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!((*seq, record["prev"].as_str().unwrap()), (before.0 + 1, before.1.as_str()), "{line}");
        if record["kind"] == "checkpoint" {
            assert_eq!(record["checkpoint"]["size"], before.0, "{line}");
        }
        before = (*seq, hash);
        records.insert(*seq, record);
    }
    records
}
