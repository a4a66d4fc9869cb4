//! The thread: one job after the other, each one statement or one transaction.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use tokio::sync::oneshot;

use super::file::failed;
use super::{Space, StoreError};
use crate::vocab::Clock;

/// How often what has expired is deleted.
const SWEEP_PERIOD: Duration = Duration::from_secs(30);
/// Entries deleted at one go, so that nobody waits long.
const SWEEP_ENTRIES_MAX: i64 = 1_000;

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

pub(super) struct Job {
    pub(super) space: Space,
    pub(super) key: Vec<u8>,
    pub(super) task: Task,
}

pub(super) enum Task {
    Get(Answer<Option<Vec<u8>>>),
    Put { value: Vec<u8>, expires_unix_s: Option<u64>, answer: Answer<()> },
    Add { value: Vec<u8>, expires_unix_s: u64, entries_max: u64, answer: Answer<bool> },
    Take(Answer<Option<Vec<u8>>>),
    Swap { expected: Option<Vec<u8>>, new: Option<Vec<u8>>, expires_unix_s: Option<u64>, answer: Answer<bool> },
    List { after: Option<Vec<u8>>, limit: u32, answer: Answer<Vec<(Vec<u8>, Vec<u8>)>> },
}

pub(super) struct Worker {
    connection: Connection,
    clock: Clock,
    /// Entries of each space that were added since they were last counted, and those counted then: never fewer than there are, as
    /// far as spaces are filled by adding.
    held: HashMap<u8, u64>,
    /// When each space was last counted, in seconds since the Unix epoch.
    counted_s: HashMap<u8, u64>,
}

impl Worker {
    /// A worker on `connection`, once it has counted what is there.
    pub(super) fn new(connection: Connection, clock: Clock) -> rusqlite::Result<Self> {
        let held = {
            let mut count = connection.prepare("SELECT space, count(*) FROM entry GROUP BY space")?;
            let counted = count.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
            let counted: rusqlite::Result<Vec<(u8, i64)>> = counted.collect();
            counted?.into_iter().map(|(space, held)| (space, u64::try_from(held).unwrap_or(0))).collect()
        };
        Ok(Self { connection, clock, held, counted_s: HashMap::new() })
    }

    /// Works until every handle is gone and the queue is empty.
    pub(super) fn run(&mut self, queue: &Receiver<Job>) {
        let mut swept = Instant::now();
        loop {
            match queue.recv_timeout(SWEEP_PERIOD) {
                Ok(job) => self.work(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if swept.elapsed() >= SWEEP_PERIOD {
                swept = Instant::now();
                if let Err(error) = self.sweep() {
                    tracing::warn!(%error, "expired entries of the store stay");
                }
            }
        }
    }

    /// Whoever asked may be gone: its answer is then dropped, what it asked for is done all the same.
    fn work(&mut self, job: Job) {
        let (space, key) = (job.space as u8, job.key);
        match job.task {
            Task::Get(answer) => drop(answer.send(self.get(space, &key).map_err(|e| failed(&e)))),
            Task::Put { value, expires_unix_s, answer } => {
                drop(answer.send(put(&self.connection, space, &key, &value, expires_unix_s).map_err(|e| failed(&e))));
            }
            Task::Add { value, expires_unix_s, entries_max, answer } => {
                drop(answer.send(self.add(space, &key, &value, expires_unix_s, entries_max).map_err(|e| failed(&e))));
            }
            Task::Take(answer) => drop(answer.send(self.take(space, &key).map_err(|e| failed(&e)))),
            Task::Swap { expected, new, expires_unix_s, answer } => {
                let done = self.swap(space, &key, expected.as_deref(), new.as_deref(), expires_unix_s);
                drop(answer.send(done.map_err(|e| failed(&e))));
            }
            Task::List { after, limit, answer } => {
                drop(answer.send(self.list(space, &key, after.as_deref(), limit).map_err(|e| failed(&e))));
            }
        }
    }

    fn get(&self, space: u8, key: &[u8]) -> rusqlite::Result<Option<Vec<u8>>> {
        get(&self.connection, space, key, seconds(self.clock.unix_s()))
    }

    fn add(&mut self, space: u8, key: &[u8], value: &[u8], expires_unix_s: u64, entries_max: u64) -> rusqlite::Result<bool> {
        let now_s = self.clock.unix_s();
        if self.held.get(&space).copied().unwrap_or(0) >= entries_max && !self.makes_room(space, now_s, entries_max)? {
            return Ok(false);
        }
        let now = seconds(now_s);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if get(&transaction, space, key, now)?.is_some() {
            return Ok(false);
        }
        put(&transaction, space, key, value, Some(expires_unix_s))?;
        transaction.commit()?;
        *self.held.entry(space).or_default() += 1;
        Ok(true)
    }

    /// Deletes what has expired and counts the space anew, once a second at most: counting takes as long as there are entries, and
    /// strangers can ask for it. True if there is room.
    fn makes_room(&mut self, space: u8, now_s: u64, entries_max: u64) -> rusqlite::Result<bool> {
        if self.counted_s.insert(space, now_s) == Some(now_s) {
            return Ok(false);
        }
        let mut expired = self.connection.prepare_cached("DELETE FROM entry WHERE space = ?1 AND expires_unix_s <= ?2")?;
        expired.execute(params![space, seconds(now_s)])?;
        let mut count = self.connection.prepare_cached("SELECT count(*) FROM entry WHERE space = ?1")?;
        let held: i64 = count.query_row(params![space], |row| row.get(0))?;
        let held = u64::try_from(held).unwrap_or(u64::MAX);
        self.held.insert(space, held);
        Ok(held < entries_max)
    }

    fn take(&self, space: u8, key: &[u8]) -> rusqlite::Result<Option<Vec<u8>>> {
        let now = seconds(self.clock.unix_s());
        let mut statement = self.connection.prepare_cached(
            "DELETE FROM entry WHERE space = ?1 AND key = ?2 RETURNING value, expires_unix_s IS NULL OR expires_unix_s > ?3",
        )?;
        let taken = statement.query_row(params![space, key, now], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        Ok(taken.and_then(|(value, live): (Vec<u8>, bool)| live.then_some(value)))
    }

    fn swap(
        &mut self,
        space: u8,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
        expires_unix_s: Option<u64>,
    ) -> rusqlite::Result<bool> {
        let now = seconds(self.clock.unix_s());
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if get(&transaction, space, key, now)?.as_deref() != expected {
            return Ok(false);
        }
        match new {
            Some(value) => put(&transaction, space, key, value, expires_unix_s)?,
            None => {
                transaction.prepare_cached("DELETE FROM entry WHERE space = ?1 AND key = ?2")?.execute(params![space, key])?;
            }
        }
        transaction.commit()?;
        Ok(true)
    }

    fn list(&self, space: u8, prefix: &[u8], after: Option<&[u8]>, limit: u32) -> rusqlite::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let now = seconds(self.clock.unix_s());
        let mut statement = self.connection.prepare_cached(
            "SELECT key, value FROM entry WHERE space = ?1 AND key >= ?7 AND key IS NOT ?8 AND substr(key, 1, ?3) = ?2
             AND (?4 IS NULL OR key < ?4) AND (expires_unix_s IS NULL OR expires_unix_s > ?5) ORDER BY key LIMIT ?6",
        )?;
        let length = i64::try_from(prefix.len()).unwrap_or(i64::MAX);
        // Where the index is entered, and what is not wanted of there.
        let from = after.unwrap_or(prefix);
        let wanted = params![space, prefix, length, beyond(prefix), now, limit, from, after];
        statement.query_map(wanted, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    fn sweep(&self) -> rusqlite::Result<usize> {
        let mut statement = self.connection.prepare_cached(
            "DELETE FROM entry WHERE (space, key) IN
             (SELECT space, key FROM entry WHERE expires_unix_s IS NOT NULL AND expires_unix_s <= ?1 LIMIT ?2)",
        )?;
        statement.execute(params![seconds(self.clock.unix_s()), SWEEP_ENTRIES_MAX])
    }
}

fn get(connection: &Connection, space: u8, key: &[u8], now: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement = connection.prepare_cached(
        "SELECT value FROM entry WHERE space = ?1 AND key = ?2 AND (expires_unix_s IS NULL OR expires_unix_s > ?3)",
    )?;
    statement.query_row(params![space, key, now], |row| row.get(0)).optional()
}

fn put(connection: &Connection, space: u8, key: &[u8], value: &[u8], expires_unix_s: Option<u64>) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO entry (space, key, value, expires_unix_s) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, expires_unix_s = excluded.expires_unix_s",
    )?;
    statement.execute(params![space, key, value, expires_unix_s.map(seconds)]).map(|_| ())
}

/// The first key after all that start with `prefix`; `None` where there is none.
fn beyond(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.pop() {
        if let Some(more) = last.checked_add(1) {
            next.push(more);
            return Some(next);
        }
    }
    None
}

/// The database counts with a sign.
fn seconds(unsigned: u64) -> i64 {
    i64::try_from(unsigned).unwrap_or(i64::MAX)
}
