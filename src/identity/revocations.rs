//! Credentials that no longer hold although nothing about themselves says so.

use std::collections::HashMap;

use serde_json::Value;

use super::judge::time;
use super::settings::Revocation;
use crate::vocab::Principal;

/// Revocations by the most telling thing that each names.
#[derive(Debug, Default)]
pub struct Revocations {
    by_token: Index,
    by_key: Index,
    by_subject: Index,
    by_client: Index,
    by_issuer: Index,
}

type Index = HashMap<Box<str>, Vec<Revocation>>;

impl Revocations {
    /// Those of `all`.
    pub fn new(all: Vec<Revocation>) -> Self {
        let mut index = Self::default();
        for revocation in all {
            let Revocation { iss, sub, jti, client_id, key, before_s: _ } = &revocation;
            let (index, name) = match (jti, key, sub, client_id, iss) {
                (Some(name), ..) => (&mut index.by_token, name),
                (_, Some(name), ..) => (&mut index.by_key, name),
                (_, _, Some(name), ..) => (&mut index.by_subject, name),
                (_, _, _, Some(name), _) => (&mut index.by_client, name),
                (.., Some(name)) => (&mut index.by_issuer, name),
                _ => continue,
            };
            index.entry(Box::from(name.as_str())).or_default().push(revocation);
        }
        index
    }

    /// Whether the credential of `principal` is revoked. Runs for every request.
    pub fn hit(&self, principal: &Principal) -> bool {
        if self.is_empty() {
            return false;
        }
        let claim = |name: &str| principal.claims.get(name).and_then(Value::as_str);
        [
            (&self.by_token, claim("jti")),
            (&self.by_key, principal.key_id.as_deref()),
            (&self.by_subject, Some(&*principal.sub)),
            (&self.by_client, principal.client_id.as_deref()),
            (&self.by_issuer, Some(&*principal.iss)),
            (&self.by_issuer, claim("iss")),
        ]
        .into_iter()
        .filter(|(index, _)| !index.is_empty())
        .filter_map(|(index, name)| index.get(name?))
        .flatten()
        .any(|revocation| applies(revocation, principal))
    }

    /// Mostly so: then nobody's claims need be looked through.
    fn is_empty(&self) -> bool {
        let Self { by_token, by_key, by_subject, by_client, by_issuer } = self;
        [by_token, by_key, by_subject, by_client, by_issuer].into_iter().all(|index| index.is_empty())
    }

    /// Everybody who is revoked as a whole and for good, by issuer and subject: not only for a client, nor only what is old.
    pub fn people(&self) -> impl Iterator<Item = (&str, &str)> {
        self.by_subject.values().flatten().filter_map(|revocation| match revocation {
            Revocation { iss: Some(iss), sub: Some(sub), client_id: None, before_s: None, .. } => {
                Some((iss.as_str(), sub.as_str()))
            }
            _ => None,
        })
    }
}

fn applies(revocation: &Revocation, principal: &Principal) -> bool {
    let Revocation { iss, sub, jti, client_id, key, before_s } = revocation;
    let claim = |name: &str| principal.claims.get(name).and_then(Value::as_str);
    let is = |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
    let issued_s = || time(&principal.claims, "iat").ok().flatten();
    (is(iss, Some(&principal.iss)) || is(iss, claim("iss")))
        && (is(sub, Some(&principal.sub)) || is(sub, claim("sub")))
        && is(jti, claim("jti"))
        && is(client_id, principal.client_id.as_deref())
        && is(key, principal.key_id.as_deref())
        && before_s.is_none_or(|before_s| issued_s().is_none_or(|issued_s| issued_s < before_s))
}
