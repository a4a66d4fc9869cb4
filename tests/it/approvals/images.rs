//! Every state that a crash can leave behind, on the way of an approved call: asked, voted, claimed, on record, sent, answered.
//!
//! One gateway goes the whole way. What it had on disk when the call reached the upstream, and at the end, is copied. The log of the
//! store is cut behind, and within, each of its commits; the file of records behind, and within, each of its lines. A gateway is
//! started on every such image that can come to be, before the same upstream, and whoever calls tries again.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use portcullis::approval::{RequestId, State};
use serde_json::Value;
use tempfile::TempDir;

use super::{World, denial, did};
use crate::gate::{Gate, soon};
use crate::peer::modern;

const WAL: &str = "data/state.db-wal";
const AUDIT: &str = "data/audit/audit.jsonl";
/// Sizes of what stands before each page in the log, and before all of them.
const FRAME_HEAD: usize = 24;
const LOG_HEAD: usize = 32;

/// How much is on disk: of the log of the store, and of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    wal: usize,
    audit: usize,
}

fn sizes(dir: &Path) -> Sizes {
    let of = |path: &str| fs::metadata(dir.join(path)).map_or(0, |file| usize::try_from(file.len()).unwrap());
    Sizes { wal: of(WAL), audit: of(AUDIT) }
}

fn copied(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    copy(from, to.path());
    // Shared memory of a process: none finds it after a crash of the machine.
    fs::remove_file(to.path().join("data/state.db-shm")).unwrap();
    to
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let at = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&at).unwrap();
            fs::set_permissions(&at, entry.metadata().unwrap().permissions()).unwrap();
            copy(&entry.path(), &at);
        } else {
            fs::copy(entry.path(), at).unwrap();
        }
    }
}

fn cut(dir: &Path, to: Sizes) {
    for (path, length) in [(WAL, to.wal), (AUDIT, to.audit)] {
        OpenOptions::new().write(true).open(dir.join(path)).unwrap().set_len(length as u64).unwrap();
    }
}

/// Where commits end in the log, behind its first `from` bytes.
fn commits(dir: &Path, from: usize) -> Vec<usize> {
    let log = fs::read(dir.join(WAL)).unwrap();
    let word = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let frame = FRAME_HEAD + usize::try_from(word(8)).unwrap();
    let frames = (LOG_HEAD..log.len()).step_by(frame);
    // The last frame of a commit says how large the database is then.
    let ends = frames.filter(|at| word(at + 4) != 0).map(|at| at + frame);
    let ends: Vec<usize> = ends.filter(|end| *end > from).collect();
    assert_eq!(ends.last(), Some(&log.len()), "whole commits, none overwritten");
    ends
}

/// Where lines end in the file of records, behind its first `from` bytes.
fn lines(dir: &Path, from: usize) -> Vec<usize> {
    let text = fs::read(dir.join(AUDIT)).unwrap();
    (from..text.len()).filter(|at| text[*at] == b'\n').map(|at| at + 1).collect()
}

/// What happened, and what was on disk when.
struct Way {
    world: World,
    tool: &'static str,
    id: RequestId,
    /// Before anybody asked, and after each thing that somebody did.
    quiet: Vec<Sizes>,
    /// When the call was at the upstream.
    left: Option<TempDir>,
    end: TempDir,
}

const ARGUMENTS: &str = r#"{"path":"/srv/a","n":1}"#;

/// Who votes and how, of the group each is in.
type Votes = &'static [(&'static str, &'static str, bool)];

/// Calls, has people vote, and calls again, twice.
async fn go(tool: &'static str, votes: Votes) -> Way {
    let world = World::start().await;
    assert!(did(&world.call("up__echo", "{}").await));
    let dir = world.gate.dir.path().to_owned();
    let left: Arc<Mutex<Option<TempDir>>> = Arc::default();
    let (seen_at, from) = (left.clone(), dir.clone());
    world.gate.up.behave(move |seen| {
        if seen.rpc() == "tools/call" {
            seen_at.lock().get_or_insert_with(|| copied(&from));
        }
        modern(seen)
    });
    let mut records = world.gate.settled(1).await.len();
    let mut quiet = vec![sizes(&dir)];
    let request = world.asked(tool, ARGUMENTS).await;
    records = settled(&world, records + 2).await;
    quiet.push(sizes(&dir));
    for (sub, group, yes) in votes {
        world.vote(&request, sub, &[group], *yes).await.unwrap();
        records = settled(&world, records + 1).await;
        quiet.push(sizes(&dir));
    }
    // Use, intent, outcome; or the outcome that says no.
    let ran = did(&world.call(tool, ARGUMENTS).await);
    settled(&world, records + if ran { 3 } else { 1 }).await;
    if ran {
        soon("the use", || world.desk().get(&request.id).is_some_and(|request| request.state == State::Used)).await;
    }
    let end = copied(&dir);
    let left = left.lock().take();
    assert_eq!(left.is_some(), ran);
    Way { world, tool, id: request.id.clone(), quiet, left, end }
}

async fn settled(world: &World, count: usize) -> usize {
    soon("the records", || world.gate.records().len() >= count).await;
    count
}

impl Way {
    /// Every image of a crash, and whether the call may have been at the upstream before it.
    fn images(&self) -> Vec<(Sizes, bool)> {
        let (end, begun) = (self.end.path(), self.quiet[0]);
        let within = |ends: Vec<usize>, from: usize| {
            let mut all = vec![from];
            for end in ends {
                let before = all[all.len() - 1];
                all.extend([before + (end - before) / 2, end]);
            }
            all
        };
        let wal = within(commits(end, begun.wal), begun.wal);
        let audit = within(lines(end, begun.audit), begun.audit);
        let left = self.left.as_ref().map(|left| sizes(left.path()));
        let mut images = Vec::new();
        for wal in wal {
            for audit in audit.iter().copied() {
                // A record comes after what it is about, and may come any time later. Of the call, none was seen on disk without what
                // the store had when it left.
                let step = self.quiet.iter().rposition(|quiet| audit > quiet.audit);
                let needs = match step {
                    None => 0,
                    Some(last) if last + 1 == self.quiet.len() => left.map_or(self.quiet[last].wal, |left| left.wal),
                    Some(step) => self.quiet[step].wal,
                };
                if wal >= needs {
                    let after_leaving = left.is_some_and(|left| wal >= left.wal && audit >= left.audit);
                    images.push((Sizes { wal, audit }, after_leaving));
                }
            }
        }
        images
    }

    /// Starts a gateway on the image and tries again; how often the call then reached the upstream, and where the request stood.
    async fn revive(&self, image: TempDir, name: &str, left_before: bool) -> (usize, Option<State>) {
        let (up, old) = (self.world.gate.up.clone(), self.world.gate.old.clone());
        let before = self.world.ran();
        let world = World::of(Gate::here(image, up, old).await);
        let found = world.desk().get(&self.id).map(|request| request.state);
        assert_eq!(world.ran(), before, "{name}: nothing runs by itself");
        let mut told = Vec::new();
        for _ in 0..3 {
            let answer = world.call(self.tool, ARGUMENTS).await;
            let reason = denial(&answer)["reason"].as_str().unwrap_or_default().to_owned();
            assert!(did(&answer) || reason.starts_with("approval_"), "{name}: {}", answer.whole());
            told.push(reason);
        }
        let ran = world.ran() - before;
        assert!(ran + usize::from(left_before) <= 1, "{name}: {found:?} ran again: {told:?}");
        // Of what was at the upstream, whenever that was, there is a record.
        let about = |record: &&Value| record["approval"]["id"] == self.id.as_str() && record["approval"]["state"] == "used";
        let on_record = world.gate.records().iter().filter(about).filter(|record| record["kind"] == "intent").count();
        assert_eq!(on_record, ran + usize::from(left_before), "{name}: {found:?}");
        (ran, found)
    }

    /// All of it, for a way on which the store goes through these states, commit by commit.
    async fn holds(&self, stands: &[Option<State>]) {
        if let Some(left) = &self.left {
            let (ran, found) = self.revive(copied_from(left), "as the call left", true).await;
            assert_eq!((ran, found), (0, Some(State::Used)));
        }
        let begun = self.quiet[0];
        let commits = commits(self.end.path(), begun.wal);
        let steps: Vec<usize> = std::iter::once(begun.wal).chain(commits).collect();
        assert_eq!(steps.len(), stands.len(), "commits");
        let images = self.images();
        assert!(images.len() > stands.len() * 3, "{}", images.len());
        for (at, left_before) in images {
            let image = copied_from(&self.end);
            cut(image.path(), at);
            let commit = steps.iter().rposition(|end| *end <= at.wal).unwrap();
            let name = format!("{} after commit {commit} of the store, {at:?}", self.tool);
            let (ran, found) = self.revive(image, &name, left_before).await;
            assert_eq!(found, stands[commit], "{name}");
            assert_eq!(ran, usize::from(found == Some(State::Approved)), "{name}");
        }
    }
}

/// A copy of a copy.
fn copied_from(image: &TempDir) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    copy(image.path(), to.path());
    to
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_any_two_steps_runs_nothing_twice_and_hides_nothing() {
    let way = go("up__write", &[("sven", "sre", true)]).await;
    let (waits, yes, used) = (Some(State::Pending), Some(State::Approved), Some(State::Used));
    // What is shown is kept before the request.
    way.holds(&[None, None, waits, yes, used]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_where_two_people_approve() {
    let way = go("up__delete", &[("sven", "sre", true), ("sepp", "sec", true)]).await;
    let (waits, yes, used) = (Some(State::Pending), Some(State::Approved), Some(State::Used));
    way.holds(&[None, None, waits, waits, yes, used]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_where_somebody_says_no() {
    let way = go("up__write", &[("sven", "sre", false)]).await;
    let (waits, no) = (Some(State::Pending), Some(State::Denied));
    // The last is that who asked was told.
    way.holds(&[None, None, waits, no, no]).await;
}
