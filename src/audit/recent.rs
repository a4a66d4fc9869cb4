//! The latest records, kept in memory for people to look at, and told to whoever listens.
//!
//! What is kept is what was written: a line that the file did not take is not here. Bounded in number and bytes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::broadcast;

use super::record::is_checkpoint;
use crate::vocab::limits::{ADMIN_EVENTS_MAX, RECENT_BYTES_MAX, RECENT_RECORDS_MAX};

/// Bytes of the file that are read when the process starts.
const SEED_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// One record.
#[derive(Debug)]
pub struct Kept {
    /// Its number.
    pub seq: u64,
    /// Its line, without the line feed.
    pub line: Box<str>,
    glance: OnceLock<Option<Box<Glance>>>,
}

impl Kept {
    fn new(seq: u64, line: &str) -> Self {
        Self { seq, line: line.into(), glance: OnceLock::new() }
    }

    /// What it says; read once. None for a line that is no record.
    pub fn glance(&self) -> Option<&Glance> {
        self.glance.get_or_init(|| serde_json::from_str(&self.line).ok()).as_deref()
    }
}

/// What people look for in a record. What a record leaves out is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the record")]
pub struct Glance {
    pub time: String,
    pub id: String,
    pub kind: String,
    pub principal: Option<GlancePrincipal>,
    pub route: String,
    pub upstream: String,
    pub method: String,
    pub name: String,
    pub class: String,
    pub decision: Option<GlanceDecision>,
    pub approval: Option<GlanceApproval>,
    pub outcome: Option<GlanceOutcome>,
    pub intent: Option<u64>,
}

/// Who asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the record")]
pub struct GlancePrincipal {
    pub iss: String,
    pub sub: String,
    pub client_id: Option<String>,
    pub groups: Vec<String>,
}

/// What was decided.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the record")]
pub struct GlanceDecision {
    pub effect: String,
    pub mode: String,
    pub reason: String,
    pub rules: Vec<String>,
    pub obligations: Vec<String>,
    pub policy: String,
    pub shadow: Option<GlanceShadow>,
}

/// What shadow rules would have made of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the record")]
pub struct GlanceShadow {
    pub effect: String,
    pub reason: String,
    pub rules: Vec<String>,
}

/// The approval it went by.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the record")]
pub struct GlanceApproval {
    pub id: String,
}

/// How it ended.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the record")]
pub struct GlanceOutcome {
    pub status: String,
    pub reason: String,
    pub error_kind: Option<String>,
    pub upstream_ms: Option<f64>,
    pub total_ms: Option<f64>,
    pub bytes_out: u64,
}

/// The lines of `text`, each of which ends with a line feed, without it.
fn each_line(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (line, rest) = text.split_at_checked(memchr::memchr(b'\n', text)?)?;
        text = rest.get(1..).unwrap_or_default();
        Some(line)
    })
}

/// The latest records of this process, and of the end of the file as it was found.
pub struct Recent {
    kept: Mutex<Ring>,
    news: broadcast::Sender<Arc<Kept>>,
}

#[derive(Default)]
struct Ring {
    records: VecDeque<Arc<Kept>>,
    bytes: usize,
}

impl Ring {
    fn push(&mut self, record: Arc<Kept>) {
        self.bytes += record.line.len();
        self.records.push_back(record);
        while self.records.len() > RECENT_RECORDS_MAX || self.bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.records.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(oldest.line.len());
        }
    }
}

impl Recent {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { kept: Mutex::default(), news: broadcast::Sender::new(ADMIN_EVENTS_MAX) }
    }

    /// Begins with the end of the file at `path`, if that is a regular one. Nothing was pushed yet.
    pub(super) fn seed(&self, path: &Path) -> io::Result<()> {
        #[derive(Deserialize)]
        struct Numbered {
            seq: u64,
        }
        if !std::fs::metadata(path)?.is_file() {
            return Ok(());
        }
        let mut file = File::open(path)?;
        let start = file.metadata()?.len().saturating_sub(SEED_BYTES_MAX);
        file.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        file.take(SEED_BYTES_MAX).read_to_end(&mut tail)?;
        // The first line may be the end of one.
        let lines = tail.split(|byte| *byte == b'\n').skip(usize::from(start > 0));
        let mut ring = self.kept.lock();
        for line in lines.filter_map(|line| std::str::from_utf8(line).ok()).filter(|line| !line.is_empty()) {
            if let Ok(Numbered { seq }) = serde_json::from_str(line)
                && !is_checkpoint(line.as_bytes())
            {
                ring.push(Arc::new(Kept::new(seq, line)));
            }
        }
        Ok(())
    }

    /// Records that were written, as lines, the first of which has the number `seq`. Checkpoints, which say nothing of what happened,
    /// are passed over.
    pub(super) fn push(&self, seq: u64, lines: &[u8]) {
        let mut ring = self.kept.lock();
        let numbered = (seq..).zip(each_line(lines));
        for (seq, line) in numbered.filter(|(_, line)| !is_checkpoint(line)) {
            let record = Arc::new(Kept::new(seq, std::str::from_utf8(line).unwrap_or_default()));
            ring.push(record.clone());
            // Nobody may be listening.
            let _ = self.news.send(record);
        }
    }

    /// Every record that is kept, the newest first. Costs a pointer each.
    pub fn newest_first(&self) -> Vec<Arc<Kept>> {
        self.kept.lock().records.iter().rev().cloned().collect()
    }

    /// The record that is no intent of the request `id`.
    pub fn of_request(&self, id: &str) -> Vec<Arc<Kept>> {
        let all = self.newest_first();
        let same = |record: &&Arc<Kept>| record.line.contains(id) && record.glance().is_some_and(|glance| glance.id == id);
        all.iter().filter(same).cloned().collect()
    }

    /// What is written from now on.
    pub fn news(&self) -> broadcast::Receiver<Arc<Kept>> {
        self.news.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seq: u64, id: &str) -> String {
        format!("{{\"v\":1,\"seq\":{seq},\"id\":\"{id}\",\"kind\":\"outcome\"}}\n")
    }

    #[test]
    fn what_was_written_is_kept_and_told_newest_first() {
        let recent = Recent::new();
        let mut news = recent.news();
        recent.push(7, (line(7, "a") + &line(8, "b")).as_bytes());
        let seqs: Vec<u64> = recent.newest_first().iter().map(|record| record.seq).collect();
        assert_eq!(seqs, [8, 7]);
        assert_eq!(news.try_recv().unwrap().glance().unwrap().id, "a");
        assert_eq!(news.try_recv().unwrap().seq, 8);
        assert_eq!(recent.of_request("b").len(), 1);
        assert!(recent.of_request("c").is_empty());
    }

    #[test]
    fn neither_number_nor_bytes_grow_without_bound() {
        let recent = Recent::new();
        for seq in 0..RECENT_RECORDS_MAX as u64 + 10 {
            recent.push(seq, line(seq, "a").as_bytes());
        }
        let kept = recent.newest_first();
        assert_eq!((kept.len(), kept.last().unwrap().seq), (RECENT_RECORDS_MAX, 10));
        let long = line(1, &"x".repeat(RECENT_BYTES_MAX / 4));
        (0..10).for_each(|seq| recent.push(seq, long.as_bytes()));
        assert_eq!(recent.newest_first().len(), 3);
    }

    #[test]
    fn it_begins_with_the_end_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        std::fs::write(&path, line(1, "a") + "torn\n" + &line(2, "b")).unwrap();
        let recent = Recent::new();
        recent.seed(&path).unwrap();
        recent.push(3, line(3, "c").as_bytes());
        let ids: Vec<String> = recent.newest_first().iter().map(|r| r.glance().unwrap().id.clone()).collect();
        assert_eq!(ids, ["c", "b", "a"]);
        assert_eq!(recent.newest_first()[0].seq, 3);
    }
}
