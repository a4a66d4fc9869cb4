//! Groups beside those that tokens claim: by member, and by other groups.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::groups::GROUPS_MAX;
use super::settings::{DirectoryGroup, Member};
use crate::vocab::Principal;

/// Issuer and subject.
type Subject = (Box<str>, Box<str>);
type Groups = Vec<Box<str>>;
/// Issuer, if it matters, and group.
type Mention = (Option<Box<str>>, Box<str>);

#[derive(Default)]
pub(super) struct Directory {
    /// Group -> the groups that include it.
    above: HashMap<Box<str>, Groups>,
    by_subject: HashMap<Subject, Groups>,
    /// Address in lower case -> issuer, if it matters, and group.
    by_email: HashMap<Box<str>, Vec<Mention>>,
}

impl Directory {
    pub(super) fn new(groups: &[DirectoryGroup]) -> Self {
        let mut directory = Self::default();
        for group in groups {
            let name = || Box::<str>::from(group.name.as_str());
            for below in &group.includes {
                directory.above.entry(Box::from(below.as_str())).or_default().push(name());
            }
            for member in &group.members {
                match member {
                    Member::Subject { iss, sub } => {
                        let key = (Box::from(iss.as_str()), Box::from(sub.as_str()));
                        directory.by_subject.entry(key).or_default().push(name());
                    }
                    Member::Email { iss, email } => {
                        let entry = (iss.as_deref().map(Box::from), name());
                        directory.by_email.entry(email.to_lowercase().into()).or_default().push(entry);
                    }
                }
            }
        }
        directory
    }

    /// Puts the groups of `principal` into its claim `groups`: what the token says first, then what follows from it and from
    /// who it is.
    ///
    /// # Errors
    /// Too many groups, for the log: fewer would loosen a rule that denies.
    pub(super) fn enrich(&self, principal: &mut Principal) -> Result<(), &'static str> {
        let claimed: Vec<Box<str>> = principal.claim_strings("groups").map(Box::from).collect();
        let mut known: BTreeSet<Box<str>> = claimed.iter().cloned().collect();
        let mut all = claimed;
        let mut found = self.members(principal);
        let mut at = 0;
        loop {
            while let Some(group) = found.pop() {
                if known.insert(Box::from(group)) {
                    all.push(Box::from(group));
                }
                if all.len() > GROUPS_MAX {
                    return Err("too many groups, with those of the directory");
                }
            }
            let Some(group) = all.get(at) else { break };
            found.extend(self.above.get(group).into_iter().flatten().map(|group| &**group));
            at += 1;
        }
        let groups = all.into_iter().map(|group| Value::from(String::from(group))).collect();
        principal.claims.insert("groups".to_owned(), Value::Array(groups));
        Ok(())
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.above.is_empty() && self.by_subject.is_empty() && self.by_email.is_empty()
    }

    fn members(&self, principal: &Principal) -> Vec<&str> {
        let key = (Box::from(&*principal.iss), Box::from(&*principal.sub));
        let mut found: Vec<&str> = self.by_subject.get(&key).into_iter().flatten().map(|group| &**group).collect();
        // An address that its issuer did not check is what its bearer typed.
        let verified = matches!(principal.claims.get("email_verified"), Some(Value::Bool(true)));
        if let (true, Some(email)) = (verified, principal.claims.get("email").and_then(Value::as_str)) {
            let named = self.by_email.get(email.to_lowercase().as_str()).into_iter().flatten();
            found.extend(
                named.filter(|(iss, _)| iss.as_deref().is_none_or(|iss| iss == &*principal.iss)).map(|(_, group)| &**group),
            );
        }
        found
    }
}
