//! One request for approval, as everybody sees it.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::ask::Case;
use super::bound::Bound;
use super::lease::Lease;
use crate::audit::{ApprovalNote, LeaseNote};
use crate::vocab::{Digest, PrincipalKey};

/// `apr_` and 22 characters of URL-safe base64: 128 random bits. Cannot be guessed, and allows nothing by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Arc<str>);

const PREFIX: &str = "apr_";
const RANDOM_BYTES: usize = 16;

impl RequestId {
    /// Bytes of the text.
    pub const BYTES: usize = PREFIX.len() + RANDOM_BYTES.div_ceil(3) * 4 - 2;

    /// A new id; `None` when the operating system gives no randomness.
    pub(super) fn mint() -> Option<Self> {
        let mut bytes = [0; RANDOM_BYTES];
        rand::fill(&mut bytes).ok()?;
        Some(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)).into()))
    }

    /// Reads an id; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        (bytes.len() == RANDOM_BYTES).then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RequestId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no id of a request"))
    }
}

/// Where a request stands. From the last four none comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// People have not decided.
    Pending,
    /// Every gate is met; the call may be made, once, or calls as the lease says, until the request expires.
    Approved,
    /// Somebody said no.
    Denied,
    /// Its time passed before it was decided, or before it was used.
    Expired,
    /// Who asked took it back.
    Withdrawn,
    /// The call was made, or was about to be; for a lease all of its calls.
    Used,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] = [Self::Pending, Self::Approved, Self::Denied, Self::Expired, Self::Withdrawn, Self::Used];

    /// The word used in records, metrics and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Used => "used",
        }
    }

    /// The state of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether something may still come of it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Approved)
    }
}

/// What one person said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Issuer of the person.
    pub iss: Box<str>,
    /// Subject of the person.
    pub sub: Box<str>,
    /// The name the person is shown by. Text of others: to be shown as such.
    pub name: Box<str>,
    /// Yes or no.
    pub yes: bool,
    /// The gates it counts in, as positions in [`Bound::gates`].
    pub gates: Vec<usize>,
    /// Why, in the person's words; may be empty.
    pub reason: Box<str>,
    /// When, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
}

impl Vote {
    /// Whether it is the vote of `person`.
    pub fn is_by(&self, person: &PrincipalKey) -> bool {
        (&*self.iss, &*self.sub) == (&*person.iss, &*person.sub)
    }
}

/// A request for approval at one moment; changes make new values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// The call that it is about, and nothing else.
    pub bound: Bound,
    /// [`Bound::digest`].
    pub digest: Digest,
    /// The name that who asks is shown by, where a claim gives one. Text of others.
    pub requester_name: Option<Box<str>>,
    /// The beginning of the arguments as people are shown them; the whole is [`super::Desk::shown`].
    pub excerpt: Box<str>,
    /// Id of the record of the call that asked first.
    pub record: Box<str>,
    /// When it was asked for, in milliseconds since the Unix epoch.
    pub asked_unix_ms: u64,
    /// The first second at which it can neither be decided nor used. Once it is a lease, the first at which that is over.
    pub expires_unix_s: u64,
    /// What people said, in order.
    pub votes: Vec<Vote>,
    /// The lease that people said yes to, instead of the call alone. It is in force once the request is approved.
    #[serde(default)]
    pub lease: Option<Lease>,
    /// Where it stands. One that was not looked at since may say pending or approved past its time; what [`super::Desk`] hands out does
    /// not.
    pub state: State,
    /// When it came to that state, if nothing can come of it any more.
    pub ended_unix_ms: Option<u64>,
    /// Who asked was told how it ended: asked again, it is another request.
    pub(super) told: bool,
    /// Somebody said no to this very call before, and no yes to it was used since.
    #[serde(default)]
    pub(super) set_apart: bool,
}

impl Request {
    /// Who asks.
    pub fn requester(&self) -> PrincipalKey {
        self.bound.requester()
    }

    /// Whether it was asked for under another policy than that of the digest `policy`, so that nobody can decide on it any more and no
    /// call will find it.
    pub fn is_void(&self, policy: &str) -> bool {
        self.state.is_open() && *self.bound.policy != *policy
    }

    /// How many people said yes so far in the gate at `gate`, of how many.
    pub fn met(&self, gate: usize) -> (usize, usize) {
        let yes = self.votes.iter().filter(|vote| vote.yes && vote.gates.contains(&gate)).count();
        (yes, self.bound.gates.get(gate).map_or(0, |gate| usize::from(gate.quorum)))
    }

    /// Who said yes, as `ISSUER#SUBJECT`, and when the last of them did, in milliseconds since the Unix epoch.
    pub fn approved_by(&self) -> (Vec<String>, Option<u64>) {
        let yes = || self.votes.iter().filter(|vote| vote.yes);
        (yes().map(|vote| format!("{}#{}", vote.iss, vote.sub)).collect(), yes().map(|vote| vote.at_unix_ms).max())
    }

    /// Every gate has its quorum.
    pub(super) fn is_met(&self) -> bool {
        let gates = 0..self.bound.gates.len();
        !gates.is_empty() && gates.into_iter().map(|gate| self.met(gate)).all(|(yes, wanted)| wanted > 0 && yes >= wanted)
    }

    /// Whether its call runs under no lease: somebody else said no to it, by this request or by one before, and whatever became of it
    /// since was no yes that it ran by. What who asks says no to is as good as taken back: it could be said without end.
    pub(super) fn sets_apart(&self) -> bool {
        match self.state {
            State::Denied => self.set_apart || self.votes.iter().any(|vote| !vote.yes && !vote.is_by(&self.requester())),
            State::Pending | State::Expired | State::Withdrawn => self.set_apart,
            State::Approved => false,
            // The calls of a lease may have been others.
            State::Used => self.lease.is_some() && self.set_apart,
        }
    }

    /// Where it stands at `now_s`.
    pub(super) fn state_at(&self, now_s: u64) -> State {
        if self.state.is_open() && self.expires_unix_s <= now_s { State::Expired } else { self.state }
    }

    /// What a record says of it.
    pub fn note(&self) -> ApprovalNote {
        self.note_for(self.bound.arguments)
    }

    /// What the record of the call of `case` says of it.
    pub fn note_of(&self, case: &Case) -> ApprovalNote {
        self.note_for(case.bound.arguments)
    }

    /// As [`Self::note`], of a call whose arguments have this digest: under a lease they can be others.
    pub(super) fn note_for(&self, arguments: Digest) -> ApprovalNote {
        let (by, at_unix_ms) = self.approved_by();
        let lease = self.lease.as_ref().map(|lease| LeaseNote {
            minutes: lease.minutes,
            uses: lease.uses,
            used: lease.used,
            within: lease.within.as_deref().map(Into::into),
        });
        ApprovalNote { id: self.id.shared(), state: self.state.as_str(), by, at_unix_ms, arguments, lease }
    }
}

/// `request` as it stands at `now_s`.
pub(super) fn as_of(request: &Arc<Request>, now_s: u64) -> Arc<Request> {
    match request.state_at(now_s) {
        state if state == request.state => request.clone(),
        state => {
            let ended_unix_ms = Some(request.expires_unix_s.saturating_mul(1_000));
            Arc::new(Request { state, ended_unix_ms, ..Request::clone(request) })
        }
    }
}
