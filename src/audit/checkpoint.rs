//! Signed checkpoints: what the log was when it had so many records (docs/audit-format.md).

mod key;

use std::fmt;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
pub use key::{CheckpointKey, KeyId, PublicKey};
use serde::Deserialize;

use super::chain::{Link, from_hex};
use super::merkle::{Frontier, Node};
use crate::vocab::digits::{push_decimal, push_hex};

/// Size of an Ed25519 signature (RFC 8032), in bytes.
pub(super) const SIGNATURE_BYTES: usize = 64;
/// Version and purpose of what is signed, so that the key's signature on anything else is none here.
const PURPOSE: &str = "portcullis-audit-checkpoint-v1";
/// Length of a time in a statement, in bytes.
const TIME_BYTES_MAX: usize = 40;

/// Which log: random, made at its birth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LogId([u8; 16]);

impl LogId {
    /// A new one.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 16];
        rand::fill(&mut bytes).map_err(|_| std::io::Error::other("no randomness"))?;
        Ok(Self(bytes))
    }

    /// From 32 digits.
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        from_hex(digits).map(Self)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogId({self})")
    }
}

/// What is signed: this log had `size` records, of which the tree has this root and the last one this hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Which log.
    pub log: LogId,
    /// Records before the checkpoint: its own `seq` less one.
    pub size: u64,
    /// Root of the Merkle tree over them.
    pub root: [u8; 32],
    /// The `hash` of the last of them; zeros where there is none.
    pub head: Link,
    /// The `time` of the checkpoint's record, as it stands there.
    pub time: String,
}

impl Statement {
    /// The bytes that are signed.
    pub fn text(&self) -> String {
        let Self { log, size, root, head, time } = self;
        format!("{PURPOSE}\n{log}\n{size}\n{}\n{head}\n{time}\n", Link::from_bytes(*root))
    }

    /// Whether `signature` is one of this key over this statement.
    pub fn verify(&self, public: &PublicKey, signature: &[u8]) -> bool {
        public.verifies(self.text().as_bytes(), signature)
    }
}

/// A statement, its signature, and the name of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// What is stated.
    pub statement: Statement,
    /// By which key.
    pub key: KeyId,
    /// Ed25519 over [`Statement::text`].
    pub signature: [u8; SIGNATURE_BYTES],
}

/// What can be said of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// It holds.
    Holds,
    /// It is not one of the key that the checkpoint names.
    Wrong,
    /// The key that it names is not among those given.
    UnknownKey,
}

impl Checkpoint {
    /// Signs what the log is: the checkpoint that belongs behind the records in `tree`, the last of which has the hash `head`.
    pub(super) fn sign(key: &CheckpointKey, log: LogId, tree: &Frontier, head: Link, time: String) -> Self {
        let statement = Statement { log, size: tree.size(), root: tree.root(), head, time };
        let signature = key.sign(&statement);
        Self { statement, key: key.id(), signature }
    }

    /// What one of these keys, the one named, makes of the signature.
    pub fn signature(&self, keys: &[PublicKey]) -> Signature {
        match keys.iter().find(|key| key.id() == self.key) {
            None => Signature::UnknownKey,
            Some(key) if self.statement.verify(key, &self.signature) => Signature::Holds,
            Some(_) => Signature::Wrong,
        }
    }

    /// Appends the value of the member `checkpoint` of its record; `tree` is the one that was signed.
    pub(super) fn push_member(&self, tree: &Frontier, out: &mut Vec<u8>) {
        self.push_start(out);
        out.extend_from_slice(br#","frontier":["#);
        for (at, part) in tree.parts().iter().enumerate() {
            out.extend_from_slice(if at == 0 { b"\"" } else { b",\"" });
            push_hex(out, part);
            out.push(b'"');
        }
        out.push(b']');
        self.push_head(out);
        self.push_end(out);
    }

    /// Appends the line that is kept elsewhere than the log, with its line feed.
    pub(super) fn push_exported(&self, out: &mut Vec<u8>) {
        self.push_start(out);
        self.push_head(out);
        out.extend_from_slice(br#","time":""#);
        out.extend_from_slice(self.statement.time.as_bytes());
        out.push(b'"');
        self.push_end(out);
        out.push(b'\n');
    }

    fn push_start(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"log":""#);
        push_hex(out, &self.statement.log.0);
        out.extend_from_slice(br#"","size":"#);
        push_decimal(out, self.statement.size);
        out.extend_from_slice(br#","root":""#);
        push_hex(out, &self.statement.root);
        out.push(b'"');
    }

    fn push_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#","head":""#);
        self.statement.head.push_hex(out);
        out.push(b'"');
    }

    fn push_end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#","key":""#);
        out.extend_from_slice(self.key.to_string().as_bytes());
        out.extend_from_slice(br#"","sig":""#);
        out.extend_from_slice(URL_SAFE_NO_PAD.encode(self.signature).as_bytes());
        out.extend_from_slice(b"\"}");
    }

    /// Reads the record of a checkpoint: what is signed, and the tree as it says it was. `None` if it is none.
    pub(super) fn read(line: &[u8]) -> Option<(Self, Frontier)> {
        #[derive(Deserialize)]
        struct Line {
            time: String,
            kind: String,
            checkpoint: Member,
        }
        let Line { time, kind, checkpoint } = serde_json::from_slice(line).ok()?;
        let parts = checkpoint.frontier.iter().map(|part| from_hex(part.as_bytes())).collect::<Option<Vec<Node>>>()?;
        let tree = Frontier::from_parts(checkpoint.size, parts)?;
        (kind == "checkpoint").then_some((checkpoint.signed(time)?, tree))
    }

    /// Reads a line that was kept elsewhere. `None` if it is none.
    pub(super) fn read_exported(line: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Line {
            time: String,
            #[serde(flatten)]
            member: Member,
        }
        let Line { time, member } = serde_json::from_slice(line).ok()?;
        member.signed(time)
    }
}

#[derive(Deserialize)]
struct Member {
    log: String,
    size: u64,
    root: String,
    #[serde(default)]
    frontier: Vec<String>,
    head: String,
    key: String,
    sig: String,
}

impl Member {
    fn signed(&self, time: String) -> Option<Checkpoint> {
        // The time stands in the text that is signed, and on terminals.
        if time.len() > TIME_BYTES_MAX || !time.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let statement = Statement {
            log: LogId::from_hex(self.log.as_bytes())?,
            size: self.size,
            root: from_hex(self.root.as_bytes())?,
            head: Link::from_hex(self.head.as_bytes())?,
            time,
        };
        let signature = URL_SAFE_NO_PAD.decode(&self.sig).ok()?.try_into().ok()?;
        Some(Checkpoint { statement, key: KeyId::from_hex(self.key.as_bytes())?, signature })
    }
}

#[cfg(test)]
mod tests;
