//! Who may do what at this listener.

use crate::vocab::Principal;

/// What somebody may do here. Each may do what the ones before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Viewer,
    /// Decide about approvals, where the policy names them.
    Approver,
    /// Everything.
    Operator,
}

impl Role {
    /// The word in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Approver => "approver",
            Self::Operator => "operator",
        }
    }
}

/// Whom an entry means. Always as one issuer vouches for it: a name of one issuer is nobody at another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// Whoever has this value among the `groups` claim: issuer, value.
    Group(Box<str>, Box<str>),
    /// One subject: issuer, subject.
    Sub(Box<str>, Box<str>),
}

impl Member {
    fn is(&self, who: &Principal) -> bool {
        match self {
            Self::Group(iss, name) => **iss == *who.iss && who.claim_strings("groups").any(|group| *group == **name),
            Self::Sub(iss, sub) => **iss == *who.iss && **sub == *who.sub,
        }
    }
}

/// The roles of a config.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    /// Those who look.
    pub viewer: Vec<Member>,
    /// Those who decide.
    pub approver: Vec<Member>,
    /// Those who do everything.
    pub operator: Vec<Member>,
}

impl Roles {
    /// The highest role of `who`; none for a stranger, and never any for somebody without a credential.
    pub fn of(&self, who: &Principal) -> Option<Role> {
        if who.anonymous {
            return None;
        }
        let lists = [(&self.operator, Role::Operator), (&self.approver, Role::Approver), (&self.viewer, Role::Viewer)];
        lists.into_iter().find(|(list, _)| list.iter().any(|member| member.is(who))).map(|(_, role)| role)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn person(iss: &str, sub: &str, groups: &[&str]) -> Principal {
        let mut who = Principal { iss: Arc::from(iss), sub: Arc::from(sub), anonymous: false, ..Principal::anonymous() };
        who.claims.insert("groups".to_owned(), json!(groups));
        who
    }

    #[test]
    fn the_highest_role_counts_and_only_of_the_issuer_that_is_named() {
        let group = |name: &str| Member::Group("https://idp".into(), name.into());
        let roles = Roles {
            viewer: vec![group("staff"), Member::Sub("portcullis:keys".into(), "key:ci".into())],
            approver: vec![group("sre")],
            operator: vec![Member::Sub("https://idp".into(), "root".into())],
        };
        for (iss, sub, groups, expected) in [
            ("https://idp", "a", &["staff"][..], Some(Role::Viewer)),
            ("https://idp", "a", &["staff", "sre"], Some(Role::Approver)),
            ("https://idp", "root", &["staff"], Some(Role::Operator)),
            ("https://idp", "root", &[], Some(Role::Operator)),
            ("https://idp", "a", &["SRE", "sre "], None),
            ("https://idp", "key:ci", &[], None),
            ("portcullis:keys", "key:ci", &[], Some(Role::Viewer)),
            ("https://evil", "root", &["staff", "sre"], None),
        ] {
            assert_eq!(roles.of(&person(iss, sub, groups)), expected, "{iss} {sub} {groups:?}");
        }
        let nobody = Principal { anonymous: true, ..person("https://idp", "root", &["sre"]) };
        assert_eq!(roles.of(&nobody), None);
    }
}
