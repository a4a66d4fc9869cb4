//! That one record is in the log, shown without the log: the record, its path in the tree, and a signed checkpoint.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::source::{Next, Source};
use super::walk::Walk;
use super::{VerifyError, find};
use crate::audit::chain::{self, Link, from_hex};
use crate::audit::checkpoint::{Checkpoint, PublicKey, Signature};
use crate::audit::merkle::{self, Frontier, Node, PATH_NODES_MAX, PathMaker};
use crate::vocab::digits::push_hex;

/// Records between one and the checkpoint after it.
const RECORDS_MAX: usize = 1_000_000;
/// What the file says it is.
const KIND: &str = "portcullis-audit-proof-v1";

/// Which record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// By its number.
    Seq(u64),
    /// By its id, which the client was told. The first of several, such as an intent and its outcome, is an intent.
    Id(String),
}

/// Shows that a record is in a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    proof: String,
    /// The record's line, without its line feed.
    pub record: String,
    /// Its place in the tree: `seq` less one.
    pub index: u64,
    /// Records in the tree that the checkpoint signs.
    pub size: u64,
    path: Vec<String>,
    checkpoint: Signed,
}

/// A checkpoint as it is exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    log: String,
    size: u64,
    root: String,
    head: String,
    time: String,
    key: String,
    sig: String,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum NoProof {
    /// The files cannot be read.
    #[error(transparent)]
    Files(#[from] VerifyError),
    /// The log holds no such record.
    #[error("the log holds no such record")]
    NoRecord,
    /// The log is not sound as far as the checkpoint that the proof needs.
    #[error("the log is broken before or soon after that record: `portcullis audit verify` says where")]
    Broken,
    /// No checkpoint has come since.
    #[error("no checkpoint covers that record yet")]
    NotCovered,
    /// It cannot be placed in the tree.
    #[error("the record lies before the first checkpoint that is left: what its path needs went with the records before it")]
    NotAnchored,
}

/// A record that is proven to be in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Its number.
    pub seq: u64,
    /// The signed checkpoint.
    pub checkpoint: Checkpoint,
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// Not a proof at all.
    #[error("is no proof of this form")]
    Form,
    /// The line was changed.
    #[error("the record does not have the hash that it names")]
    Record,
    /// The line is of another place.
    #[error("the record has another number than its place in the tree")]
    Place,
    /// The key is not among those given.
    #[error("the checkpoint is signed with a key that is not among those given")]
    UnknownKey,
    /// The signature does not hold.
    #[error("the signature of the checkpoint does not hold")]
    Signature,
    /// The path leads elsewhere.
    #[error("the path does not lead from the record to the root that was signed")]
    Path,
}

/// Makes the proof for a record of the log at `path`: by the first checkpoint after it.
///
/// # Errors
/// [`NoProof`].
pub fn prove(path: &Path, which: &Which, keys: &[PublicKey]) -> Result<Proof, NoProof> {
    let mut source = Source::of(find::find(path)?, super::PATIENCE);
    let mut walk = Walk::new(keys);
    let mut found: Option<Wanted> = None;
    loop {
        let range = match source.next(walk.expected)? {
            Next::Line(range) => range,
            Next::Torn | Next::End if found.is_some() => return Err(NoProof::NotCovered),
            Next::Torn | Next::End => return Err(NoProof::NoRecord),
            Next::Damaged(_) => return Err(NoProof::Broken),
        };
        let line = source.line(&range);
        let is_first = walk.first.is_none() && chain::seq_of(line) == Some(1);
        let tree = || if is_first { Some(Frontier::new()) } else { walk.tree.clone() };
        let before = (found.is_none() && which.is(line)).then(tree);
        let is_checkpoint = walk.take(line).map_err(|_| NoProof::Broken)?;
        match (&mut found, before) {
            (Some(wanted), _) => {
                if is_checkpoint && let Some((_, checkpoint)) = &walk.last {
                    return wanted.proof(checkpoint).ok_or(NoProof::Broken);
                }
                wanted.leaves.push(walk.head);
                if wanted.leaves.len() > RECORDS_MAX {
                    return Err(NoProof::NotCovered);
                }
            }
            (None, Some(before)) => {
                let before = before.ok_or(NoProof::NotAnchored)?;
                found = Some(Wanted { line: line.to_vec(), before, leaves: vec![walk.head] });
            }
            (None, None) => {}
        }
    }
}

impl Which {
    fn is(&self, line: &[u8]) -> bool {
        match self {
            Self::Seq(seq) => chain::seq_of(line) == Some(*seq),
            Self::Id(id) => {
                // The id stands before every part that has members of its own.
                let member = memchr::memmem::find(line, br#","id":""#).and_then(|at| line.get(at + 7..));
                member.and_then(|rest| rest.strip_prefix(id.as_bytes())).is_some_and(|rest| rest.first() == Some(&b'"'))
            }
        }
    }
}

struct Wanted {
    line: Vec<u8>,
    before: Frontier,
    leaves: Vec<Link>,
}

impl Wanted {
    fn proof(&self, checkpoint: &Checkpoint) -> Option<Proof> {
        let (index, size) = (self.before.size(), checkpoint.statement.size);
        let mut maker = PathMaker::new(index, size, &self.before)?;
        self.leaves.iter().for_each(|leaf| maker.push(*leaf));
        let path = maker.path()?.iter().map(hex).collect();
        let mut exported = Vec::new();
        checkpoint.push_exported(&mut exported);
        let record = String::from_utf8(self.line.clone()).ok()?;
        let checkpoint = serde_json::from_slice(&exported).ok()?;
        Some(Proof { proof: KIND.to_owned(), record, index, size, path, checkpoint })
    }
}

/// Checks a proof, without a log.
///
/// # Errors
/// [`Unproven`].
pub fn check_proof(text: &[u8], keys: &[PublicKey]) -> Result<Proven, Unproven> {
    let proof: Proof = serde_json::from_slice(text).map_err(|_| Unproven::Form)?;
    let checkpoint = proof.checkpoint.read().ok_or(Unproven::Form)?;
    let path: Option<Vec<Node>> = proof.path.iter().map(|node| from_hex(node.as_bytes())).collect();
    let path = path.filter(|path| path.len() <= PATH_NODES_MAX && proof.proof == KIND).ok_or(Unproven::Form)?;
    if proof.record.contains('\n') {
        return Err(Unproven::Form);
    }
    let sealed = chain::check(proof.record.as_bytes()).map_err(|_| Unproven::Record)?;
    if sealed.seq.checked_sub(1) != Some(proof.index) {
        return Err(Unproven::Place);
    }
    match checkpoint.signature(keys) {
        Signature::Holds => {}
        Signature::Wrong => return Err(Unproven::Signature),
        Signature::UnknownKey => return Err(Unproven::UnknownKey),
    }
    let stated = &checkpoint.statement;
    if proof.size != stated.size || !merkle::includes(&stated.root, stated.size, proof.index, sealed.hash, &path) {
        return Err(Unproven::Path);
    }
    Ok(Proven { seq: sealed.seq, checkpoint })
}

impl Signed {
    fn read(&self) -> Option<Checkpoint> {
        Checkpoint::read_exported(&serde_json::to_vec(self).ok()?)
    }
}

fn hex(node: &Node) -> String {
    let mut digits = Vec::with_capacity(2 * node.len());
    push_hex(&mut digits, node);
    String::from_utf8(digits).unwrap_or_default()
}
