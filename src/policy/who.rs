//! Whom a rule is about.

use std::sync::Arc;

use super::glob::Glob;
use crate::vocab::Principal;
use crate::vocab::principal::KEY_ISSUER;

/// A named set of principals, told by verified claims.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) name: Box<str>,
    /// Only principals of these issuers; empty for any. Sorted.
    pub(super) issuers: Box<[Box<str>]>,
    /// What a claim must hold.
    pub(super) claim: Option<Claim>,
    /// The OAuth client; empty for any. Sorted.
    pub(super) clients: Box<[Glob]>,
}

/// A claim that must hold one of some values. Sorted.
pub(super) type Claim = (Box<str>, Box<[Box<str>]>);

/// One entry of `principals`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Any,
    Group(Arc<Group>),
    Sub {
        /// `None`: whichever issuer, except for the names that only the gateway gives.
        issuer: Option<Box<str>>,
        glob: Glob,
    },
    Client(Glob),
    Scope(Box<str>),
}

/// Subjects of API keys begin like this; no token of an issuer can claim one.
pub(super) const KEY_PREFIX: &str = "key:";
/// The subject of requests without a credential.
pub(super) const ANONYMOUS: &str = "anonymous";

impl Group {
    fn has(&self, who: &Principal) -> bool {
        let issuer = self.issuers.is_empty() || self.issuers.iter().any(|issuer| **issuer == *who.iss);
        let claim = || {
            let Some((name, values)) = &self.claim else { return true };
            who.claim_strings(name).any(|held| values.iter().any(|value| **value == *held))
        };
        issuer && claim() && (self.clients.is_empty() || client(&self.clients, who))
    }
}

impl Who {
    /// Whether `who` is meant. Nobody without a credential is, except by `any` and `sub:anonymous`.
    pub(super) fn is(&self, who: &Principal) -> bool {
        match self {
            Self::Any => true,
            Self::Sub { issuer: None, glob } if who.anonymous => glob.literal() == Some(ANONYMOUS),
            _ if who.anonymous => false,
            Self::Group(group) => group.has(who),
            Self::Sub { issuer: Some(issuer), glob } => **issuer == *who.iss && glob.matches(&who.sub),
            Self::Sub { issuer: None, glob } => {
                let for_keys = glob.literal_prefix().starts_with(KEY_PREFIX);
                let for_nobody = glob.literal() == Some(ANONYMOUS);
                !for_nobody && (!for_keys || &*who.iss == KEY_ISSUER) && glob.matches(&who.sub)
            }
            Self::Client(glob) => client(std::slice::from_ref(glob), who),
            Self::Scope(scope) => who.has_scope(scope),
        }
    }
}

impl Who {
    /// As a policy file says it.
    pub(super) fn word(&self) -> String {
        match self {
            Self::Any => "any".to_owned(),
            Self::Group(group) => format!("group:{}", group.name),
            Self::Sub { issuer: Some(issuer), glob } => format!("sub:{issuer}#{}", glob.canonical()),
            Self::Sub { issuer: None, glob } => format!("sub:{}", glob.canonical()),
            Self::Client(glob) => format!("client:{}", glob.canonical()),
            Self::Scope(scope) => format!("scope:{scope}"),
        }
    }
}

fn client(globs: &[Glob], who: &Principal) -> bool {
    who.client_id.as_deref().is_some_and(|client| globs.iter().any(|glob| glob.matches(client)))
}
