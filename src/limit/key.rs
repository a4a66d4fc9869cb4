//! What a limit is counted by, as a fingerprint.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};

use smallvec::SmallVec;

use crate::policy::obligation::{By, Limit, Quota};
use crate::vocab::limits::LIMITER_GROUPS_MAX;
use crate::vocab::{Class, Principal};

/// Whose call it is and what it is for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// Full name of the tool, prompt or resource.
    pub tool: &'a str,
    /// Class of the operation.
    pub class: Class,
    /// Upstream that would be called.
    pub upstream: &'a str,
    /// Route that was called.
    pub route: &'a str,
}

/// Makes fingerprints with a secret of this process: 128 bits that nobody outside can make collide.
#[derive(Default)]
pub(super) struct Fingerprints {
    low: RandomState,
    high: RandomState,
}

/// The principal has more groups than a limit can count for.
#[derive(Debug)]
pub(super) struct TooManyGroups;

impl Fingerprints {
    /// Calls `with` for every count that `limit` keeps for `subject`: one, or one per group when counted by group.
    pub(super) fn each(&self, limit: &Limit, subject: &Subject<'_>, mut with: impl FnMut(u128)) -> Result<(), TooManyGroups> {
        let mut twin = Twin { of: self, text: Text::default() };
        twin.add(&(&*limit.rule, limit.index, limit.by.len()));
        match limit.quota {
            Quota::Calls { calls, per } => twin.add(&(0_u8, calls, per)),
            Quota::Concurrent(most) => twin.add(&(1_u8, most)),
            Quota::Bytes { bytes, per } => twin.add(&(2_u8, bytes, per)),
            Quota::ResponseTokens { tokens, per } => twin.add(&(3_u8, tokens, per)),
        }
        for by in &limit.by {
            twin.add_value(*by, subject);
        }
        let groups = || subject.principal.claim_strings("groups");
        if !limit.by.contains(&By::Group) || groups().next().is_none() {
            with(twin.finish());
            return Ok(());
        }
        if groups().nth(LIMITER_GROUPS_MAX).is_some() {
            return Err(TooManyGroups);
        }
        for group in groups() {
            let mut twin = twin.clone();
            twin.add(group);
            with(twin.finish());
        }
        Ok(())
    }
}

/// What is hashed, one after the other, then twice at once: for two hashers the many small parts would cost more than the hashing.
#[derive(Clone)]
struct Twin<'a> {
    of: &'a Fingerprints,
    text: Text,
}

#[derive(Clone, Default)]
struct Text(SmallVec<[u8; TEXT_BYTES]>);

impl Hasher for Text {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Nobody asks: the text is hashed by others.
    fn finish(&self) -> u64 {
        0
    }
}

impl Twin<'_> {
    fn add<T: Hash + ?Sized>(&mut self, value: &T) {
        value.hash(&mut self.text);
    }

    /// A value that is absent (a principal without client or tenant) counts as a value of its own.
    fn add_value(&mut self, by: By, subject: &Subject<'_>) {
        let principal = subject.principal;
        match by {
            By::Principal => self.add(&(0_u8, &*principal.iss, &*principal.sub)),
            By::Client => self.add(&(1_u8, &*principal.iss, principal.client_id.as_deref())),
            By::Tenant => self.add(&(2_u8, &*principal.iss, principal.claim_strings("tenant").next())),
            By::Tool => self.add(&(3_u8, subject.tool)),
            By::Class => self.add(&(4_u8, subject.class)),
            By::Upstream => self.add(&(5_u8, subject.upstream)),
            By::Route => self.add(&(6_u8, subject.route)),
            By::Group => self.add(&(7_u8, &*principal.iss)),
        }
    }

    fn finish(&self) -> u128 {
        let [low, high] = [&self.of.low, &self.of.high].map(|hash| u128::from(hash.hash_one(&*self.text.0)));
        (high << 64) | low
    }
}

/// Bytes that most limits are counted by; more take a heap allocation.
const TEXT_BYTES: usize = 256;
