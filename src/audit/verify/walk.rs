//! A log, record by record: the chain, the tree, and the checkpoints against both.

use super::report::Covered;
use crate::audit::chain::{self, Link, Sealed, Unsound};
use crate::audit::checkpoint::{Checkpoint, LogId, PublicKey, Signature};
use crate::audit::merkle::Frontier;
use crate::audit::record;

/// Why a line cannot be the next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is no record.
    NoRecord,
    /// It does not have the hash it names.
    Altered(Sealed),
    /// Sound in itself, but not what comes next.
    Misplaced(Sealed),
    /// It comes next, but what it signs is not what the log is.
    Checkpoint(Sealed, &'static str),
}

/// What is known after the records so far.
pub(super) struct Walk<'a> {
    keys: &'a [PublicKey],
    /// `seq` of the first record.
    pub(super) first: Option<u64>,
    /// `seq` that comes next; 0 before the first.
    pub(super) expected: u64,
    /// `hash` of the last record.
    pub(super) head: Link,
    /// `prev` of the last record.
    pub(super) before_head: Link,
    /// The tree; absent until the first checkpoint of a log whose first records were removed.
    pub(super) tree: Option<Frontier>,
    pub(super) log: Option<LogId>,
    pub(super) records: u64,
    pub(super) checkpoints: u64,
    pub(super) last: Option<(u64, Checkpoint)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(keys: &'a [PublicKey]) -> Self {
        Self {
            keys,
            first: None,
            expected: 0,
            head: Link::ZERO,
            before_head: Link::ZERO,
            tree: None,
            log: None,
            records: 0,
            checkpoints: 0,
            last: None,
        }
    }

    /// Takes the next line. Whether it was a checkpoint.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<bool, Fault> {
        let sealed = chain::check(line).map_err(|unsound| match unsound {
            Unsound::NoRecord => Fault::NoRecord,
            Unsound::Altered(sealed) => Fault::Altered(sealed),
        })?;
        let is_first = self.first.is_none();
        if is_first {
            self.begin(&sealed)?;
        } else if (sealed.seq, sealed.prev) != (self.expected, self.head) {
            return Err(Fault::Misplaced(sealed));
        }
        let is_checkpoint = record::is_checkpoint(line);
        if is_checkpoint {
            self.checkpoint(line, &sealed).map_err(|why| Fault::Checkpoint(sealed, why))?;
        } else if sealed.seq == 1 {
            return Err(Fault::Checkpoint(sealed, "the first record of a log is a checkpoint, and this one is not"));
        }
        if let Some(tree) = &mut self.tree {
            tree.push(sealed.hash);
        }
        self.first.get_or_insert(sealed.seq);
        (self.before_head, self.head) = (sealed.prev, sealed.hash);
        self.expected = sealed.seq.checked_add(1).ok_or(Fault::Misplaced(sealed))?;
        self.records += 1;
        Ok(is_checkpoint)
    }

    /// A log begins with record 1, or, where older records were removed, with any.
    fn begin(&mut self, sealed: &Sealed) -> Result<(), Fault> {
        match (sealed.seq, sealed.prev == Link::ZERO) {
            (0, _) | (1, false) => return Err(Fault::Misplaced(*sealed)),
            (1, true) => self.tree = Some(Frontier::new()),
            _ => {}
        }
        self.head = sealed.prev;
        Ok(())
    }

    fn checkpoint(&mut self, line: &[u8], sealed: &Sealed) -> Result<(), &'static str> {
        let (checkpoint, claimed) = Checkpoint::read(line).ok_or("the checkpoint cannot be read")?;
        match checkpoint.signature(self.keys) {
            _ if self.keys.is_empty() => {}
            Signature::Holds => {}
            Signature::Wrong => return Err("the signature of the checkpoint does not hold"),
            Signature::UnknownKey => return Err("the checkpoint is signed with a key that is not among those given"),
        }
        let stated = &checkpoint.statement;
        if stated.size != sealed.seq - 1 {
            return Err("the checkpoint is about another number of records than there are before it");
        }
        if stated.head != sealed.prev {
            return Err("the checkpoint is about another record than the one before it");
        }
        if claimed.root() != stated.root || self.tree.as_ref().is_some_and(|tree| *tree != claimed) {
            return Err("the checkpoint is about other records than those before it");
        }
        if self.log.is_some_and(|log| log != stated.log) {
            return Err("the checkpoint is about another log");
        }
        self.log = Some(stated.log);
        self.tree = Some(claimed);
        self.checkpoints += 1;
        self.last = Some((sealed.seq, checkpoint));
        Ok(())
    }

    /// The last checkpoint.
    pub(super) fn covered(&self) -> Option<Covered> {
        let (seq, checkpoint) = self.last.as_ref()?;
        Some(Covered { seq: *seq, time: checkpoint.statement.time.clone(), key: checkpoint.key.to_string() })
    }

    /// `seq` of the last record.
    pub(super) fn last_seq(&self) -> Option<u64> {
        self.first.map(|_| self.expected - 1)
    }
}
