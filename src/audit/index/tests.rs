#[path = "../../../benches/audit_log/records.rs"]
mod records;

mod meanwhile;
mod naive;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use naive::{Naive, found, naive};
use records::{Dice, Growing};
use serde_json::Value;

use super::*;

/// Rounds of random changes. `tests/long.sh` asks for more.
fn rounds() -> u64 {
    std::env::var("PORTCULLIS_AUDIT_INDEX_ROUNDS").map_or(12, |rounds| rounds.parse().unwrap())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Sealed,
    Gzip,
    Failed,
}

struct Old {
    first: u64,
    form: Form,
    lines: Vec<String>,
}

/// A log as it should be, beside the one on disk.
struct Model {
    _dir: tempfile::TempDir,
    dir: PathBuf,
    grows: Growing,
    old: Vec<Old>,
    active: Vec<String>,
}

fn seq_of(line: &str) -> u64 {
    serde_json::from_str::<Value>(line).map_or(0, |value| value["seq"].as_u64().unwrap())
}

impl Model {
    fn new(seed: u64) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("audit");
        fs::create_dir(&dir).unwrap();
        let mut model = Self { _dir: temp, dir, grows: Growing::new(seed, 7, 13), old: Vec::new(), active: Vec::new() };
        model.append(40);
        model
    }

    fn active_path(&self) -> PathBuf {
        self.dir.join("audit.jsonl")
    }

    fn append(&mut self, lines: u64) {
        let fresh: Vec<String> = (0..lines).map(|_| self.grows.line()).collect();
        let mut file = fs::OpenOptions::new().append(true).create(true).open(self.active_path()).unwrap();
        file.write_all(fresh.concat().as_bytes()).unwrap();
        self.active.extend(fresh);
    }

    fn rotate(&mut self, form: Form, mut again: usize) {
        let first = seq_of(&self.active[0]);
        let lines = std::mem::take(&mut self.active);
        // What is written again begins with a record.
        while again > 0 && seq_of(&lines[lines.len() - again]) == 0 {
            again += 1;
        }
        let ending = if form == Form::Failed { ".failed" } else { "" };
        fs::rename(self.active_path(), self.dir.join(format!("audit-{first:020}.jsonl{ending}"))).unwrap();
        self.active = lines[lines.len() - again..].to_vec();
        fs::write(self.active_path(), self.active.concat()).unwrap();
        self.old.push(Old { first, form, lines });
        self.append(5);
    }

    fn compress(&mut self) {
        let Some(old) = self.old.iter_mut().find(|old| old.form == Form::Sealed) else { return };
        let plain = self.dir.join(format!("audit-{:020}.jsonl", old.first));
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(old.lines.concat().as_bytes()).unwrap();
        fs::write(plain.with_extension("jsonl.gz"), out.finish().unwrap()).unwrap();
        fs::remove_file(plain).unwrap();
        old.form = Form::Gzip;
    }

    /// The lines that count, in their order.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (at, old) in self.old.iter().enumerate() {
            let next = self.old.get(at + 1).map_or_else(|| seq_of(&self.active[0]), |next| next.first);
            let until = if old.form == Form::Failed { next } else { u64::MAX };
            lines.extend(old.lines.iter().filter(|line| seq_of(line) < until).cloned());
        }
        lines.extend(self.active.iter().cloned());
        lines
    }

    fn change(&mut self, dice: &mut Dice) -> &'static str {
        match dice.roll(10) {
            0..3 => {
                self.append(1 + dice.roll(60));
                "append"
            }
            3 => {
                self.rotate(Form::Sealed, 0);
                "rotate"
            }
            4 => {
                self.rotate(Form::Failed, usize::try_from(1 + dice.roll(4)).unwrap().min(self.active.len()));
                "a file that failed"
            }
            5 => {
                self.compress();
                "compress"
            }
            6 => {
                let keep = usize::try_from(1 + dice.roll(self.active.len() as u64)).unwrap();
                self.active.truncate(keep);
                fs::write(self.active_path(), self.active.concat()).unwrap();
                "cut back"
            }
            7 => {
                // Numbered anew, so that only the content tells.
                let mut other = Growing::new(dice.roll(1_000), 7, 13);
                other.seq = seq_of(&self.active[0]) - 1;
                self.active = (0..self.active.len()).map(|_| other.line()).collect();
                self.grows = other;
                fs::write(self.active_path(), self.active.concat()).unwrap();
                "another log"
            }
            8 => {
                self.active.push("{\"v\":1,\"seq\":no}\n".to_owned());
                fs::write(self.active_path(), self.active.concat()).unwrap();
                self.append(3);
                "garbage"
            }
            _ => self.damage(dice),
        }
    }

    /// Does something to a file of the index.
    fn damage(&self, dice: &mut Dice) -> &'static str {
        let mut files: Vec<PathBuf> = fs::read_dir(self.dir.join(DIR)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let path = &files[usize::try_from(dice.roll(files.len() as u64)).unwrap()];
        let mut bytes = fs::read(path).unwrap();
        let at = usize::try_from(dice.roll(bytes.len() as u64)).unwrap();
        match dice.roll(3) {
            0 => fs::remove_file(path).unwrap(),
            1 => fs::write(path, &bytes[..at]).unwrap(),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.roll(8);
                }
                fs::write(path, bytes).unwrap();
            }
        }
        "damage to the index"
    }
}

fn ask(path: &Path, span: Span) -> (Naive, Report, Refreshed) {
    let (mut index, refreshed) = Index::open(path).unwrap();
    let report = stats(&mut index, &Asked { span, by: Vec::new(), top: 100_000 }).unwrap();
    (found(&report), report, refreshed)
}

const ALWAYS: Span = Span { since_ms: None, until_ms: None };

#[test]
fn the_index_says_what_the_log_says_whatever_becomes_of_both() {
    for seed in 0..rounds() {
        let (mut model, mut dice) = (Model::new(seed), Dice(seed));
        let mut done = vec!["new"];
        for _ in 0..12 {
            let lines = model.lines();
            let (indexed, _, refreshed) = ask(&model.dir, ALWAYS);
            assert_eq!(indexed, naive(&lines, "", "a"), "seed {seed}: {done:?}");
            assert_eq!(refreshed.without, None);
            // Nothing more to do, and the same again from what is on disk.
            let (again, _, refreshed) = ask(&model.dir, ALWAYS);
            assert_eq!((again, refreshed), (indexed, Refreshed::default()), "seed {seed}: {done:?}");
            done.push(model.change(&mut dice));
        }
    }
}

#[test]
fn times_asked_about_bound_what_is_counted_and_say_what_is_new() {
    let model = Model::new(99);
    let lines = model.lines();
    let time = |at: usize| serde_json::from_str::<Value>(&lines[at]).unwrap()["time"].as_str().unwrap().to_owned();
    let ms = |text: &str| {
        let time = humantime::parse_rfc3339(text).unwrap();
        u64::try_from(time.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap()
    };
    let (since, until) = (time(10), time(30));
    let (indexed, report, _) = ask(&model.dir, Span { since_ms: Some(ms(&since)), until_ms: Some(ms(&until)) });
    assert_eq!(indexed, naive(&lines, &since, &until));
    assert_eq!(report.records_ever, lines.len() as u64);
    let before = naive(&lines, "", &since).tools;
    let new: Vec<Vec<String>> = report.new_tools.iter().map(|new| vec![new.name.clone()]).collect();
    assert!(!new.is_empty() && new.iter().all(|name| !before.contains_key(name)), "{new:?}");
    let both = naive(&lines, "", &until).tools;
    assert!(both.keys().filter(|name| !before.contains_key(*name)).all(|name| new.contains(name)));
}

#[test]
fn what_was_indexed_is_not_read_again() {
    let mut model = Model::new(3);
    let first = ask(&model.dir, ALWAYS).2;
    assert_eq!((first.lines, first.remade), (40, 0));
    model.append(7);
    assert_eq!(ask(&model.dir, ALWAYS).2.lines, 7);
    model.rotate(Form::Sealed, 0);
    assert_eq!(ask(&model.dir, ALWAYS).2.lines, 5, "a file that is rotated keeps its rows");
    model.compress();
    assert_eq!(ask(&model.dir, ALWAYS).2.lines, 0, "and one that is compressed");
    let rows = fs::read_dir(model.dir.join(DIR)).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(rows.filter(|path| path.extension().is_some_and(|e| e == "rows")).count(), 2);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&model.dir.join(DIR)), mode(&model.dir.join(DIR).join(WORDS))), (0o700, 0o600));
    // The end of a line that is not there yet is not waited for, and not lost.
    let line = model.grows.line();
    let (half, rest) = line.split_at(100);
    let append = |text: &str| fs::OpenOptions::new().append(true).open(model.active_path()).unwrap().write_all(text.as_bytes());
    append(half).unwrap();
    assert_eq!(ask(&model.dir, ALWAYS).2.lines, 0);
    append(rest).unwrap();
    assert_eq!(ask(&model.dir, ALWAYS).2.lines, 1);
    model.active.push(line);
    assert_eq!(ask(&model.dir, ALWAYS).0, naive(&model.lines(), "", "a"));
}

#[test]
fn without_a_place_for_an_index_the_log_is_read() {
    let mut model = Model::new(5);
    model.rotate(Form::Sealed, 0);
    // A file where the directory should be refuses root as well.
    fs::write(model.dir.join(DIR), "").unwrap();
    let (found, _, refreshed) = ask(&model.dir, ALWAYS);
    assert_eq!(found, naive(&model.lines(), "", "a"));
    assert!(refreshed.without.is_some());
    fs::remove_file(model.dir.join(DIR)).unwrap();
    let (found, _, refreshed) = ask(&model.active_path(), ALWAYS);
    assert_eq!(found, naive(&model.active, "", "a"));
    assert!(refreshed.without.is_some() && !model.dir.join(DIR).exists(), "one file needs no index");
    // What can be read of an index that cannot be written is used.
    ask(&model.dir, ALWAYS);
    model.append(6);
    fs::remove_file(model.dir.join(DIR).join(LOCK)).unwrap();
    fs::create_dir(model.dir.join(DIR).join(LOCK)).unwrap();
    let (found, _, refreshed) = ask(&model.dir, ALWAYS);
    assert_eq!(found, naive(&model.lines(), "", "a"));
    assert!(refreshed.without.is_some());
    assert!(Index::open(&model.dir.join("nothing")).is_err());
}

#[test]
fn records_are_found_by_what_they_say() {
    let mut model = Model::new(8);
    model.rotate(Form::Sealed, 0);
    model.append(300);
    model.compress();
    let lines = model.lines();
    let (mut index, _) = Index::open(&model.dir).unwrap();
    let glob = |text: &str| Some(crate::policy::Glob::parse(text).unwrap());
    let cases = [
        (Filter { principal: glob("user1@*"), ..Filter::default() }, "\"sub\":\"user1@"),
        (Filter { tool: glob("up2__*"), ..Filter::default() }, "\"name\":\"up2__"),
        (Filter { upstream: Some("up3".to_owned()), ..Filter::default() }, "\"upstream\":\"up3\""),
        (Filter { rule: Some("deny-all".to_owned()), ..Filter::default() }, "\"deny-all\""),
        (Filter { kind: Some(RowKind::Drift), ..Filter::default() }, "\"kind\":\"drift\""),
        (Filter { status: Some("faulted".to_owned()), ..Filter::default() }, "\"status\":\"faulted\""),
        (Filter { reason: Some("no_rule".to_owned()), ..Filter::default() }, "\"reason\":\"no_rule\""),
    ];
    for (filter, text) in cases {
        let expected: Vec<&str> = lines.iter().filter(|line| line.contains(text)).map(|line| line.trim_end()).collect();
        let (found, _) = index.find(&filter, Cursor::default(), 10_000).unwrap();
        let places: Vec<Place> = found.iter().map(|(_, place)| *place).collect();
        let read = index.lines(&places).unwrap();
        assert!(!expected.is_empty(), "{text}");
        assert_eq!(read.iter().map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>(), expected, "{text}");
        assert!(read.iter().all(|line| filter.confirms(line)));
        let (last, _) = index.find(&filter, Cursor::default(), 1).unwrap();
        assert_eq!(last, found[found.len() - 1..]);
    }
}

#[test]
fn what_is_written_later_is_found_once() {
    let mut model = Model::new(11);
    let (mut index, _) = Index::open(&model.dir).unwrap();
    let (all, mut cursor) = index.find(&Filter::default(), Cursor::default(), 1_000).unwrap();
    let mut seen: Vec<u64> = all.iter().map(|(row, _)| row.seq).collect();
    for step in 0..6 {
        match step % 3 {
            0 => model.append(4),
            1 => model.rotate(Form::Sealed, 0),
            _ => {}
        }
        index.refresh().unwrap();
        let (fresh, now) = index.find(&Filter::default(), cursor, 1_000).unwrap();
        seen.extend(fresh.iter().map(|(row, _)| row.seq));
        cursor = now;
    }
    assert_eq!(seen, (1..=model.grows.seq).collect::<Vec<_>>());
}

#[test]
fn what_belongs_together_is_found_together() {
    let model = Model::new(21);
    let lines = model.lines();
    let outcome = lines.iter().find(|line| line.contains("\"intent\":")).unwrap();
    let outcome: Value = serde_json::from_str(outcome).unwrap();
    let (mut index, _) = Index::open(&model.dir).unwrap();
    let by_id = index.tied(&Links::id(outcome["id"].as_str().unwrap()), 10).unwrap();
    assert_eq!(by_id.iter().map(|(row, _)| row.seq).collect::<Vec<_>>(), [outcome["seq"].as_u64().unwrap()]);
    let mut links = Links::default();
    links.add(&by_id[0].0);
    let story: Vec<u64> = index.tied(&links, 10).unwrap().iter().map(|(row, _)| row.seq).collect();
    assert_eq!(story, [outcome["intent"].as_u64().unwrap(), outcome["seq"].as_u64().unwrap()]);
}
