//! Files beside the config: credentials that no longer hold, and groups. Their mistakes are reported with their own places.

use std::collections::BTreeMap;
use std::path::Path;

use super::Cx;
use super::files;
use super::identity::word;
use crate::config::checked_identity::{DirectoryGroup, DirectoryMember, Revocation};
use crate::config::raw_identity as raw;
use crate::config::refs::{Refs, read_bounded};
use crate::config::report::{Report, item_path, key_path};
use crate::config::shape::WordOr;
use crate::config::{decode, scalar, yaml};
use crate::vocab::limits::CONFIG_FILE_BYTES_MAX;
use serde::de::DeserializeOwned;

/// Groups above a group, one above the other.
const NESTING_MAX: usize = 64;

/// The file of revocations that `text` names.
pub(super) fn revocations(path: &str, text: &str, cx: &mut Cx<'_>) -> Vec<Revocation> {
    beside(path, text, cx, |raw: Vec<raw::Revocation>, cx| {
        raw.into_iter().enumerate().filter_map(|(i, raw)| revocation(&item_path("", i), raw, cx)).collect()
    })
}

fn revocation(path: &str, raw: raw::Revocation, cx: &mut Cx<'_>) -> Option<Revocation> {
    let raw::Revocation { iss, sub, jti, client_id, key, before } = raw;
    for (name, given) in [("iss", &iss), ("sub", &sub), ("jti", &jti), ("client_id", &client_id), ("key", &key)] {
        given.iter().for_each(|text| word(&format!("{path}.{name}"), text, cx));
    }
    if [&iss, &sub, &jti, &client_id, &key].into_iter().all(Option::is_none) {
        return cx.refuse(path, "revokes nothing", "name iss and sub, jti, client_id or key");
    }
    if sub.is_some() && iss.is_none() {
        return cx.refuse(path, "names a subject without its issuer", "add `iss`: a subject is unique within its issuer only");
    }
    let before_unix_s = match before.as_deref() {
        None => None,
        Some(text) => match scalar::unix_s(text) {
            Some(time) => Some(time),
            None => return cx.refuse(&format!("{path}.before"), "is not a date", "such as 2027-01-01T12:00:00Z"),
        },
    };
    Some(Revocation { iss, sub, jti, client_id, key, before_unix_s })
}

/// The directory file that `text` names. `several`: more than one issuer vouches for people.
pub(super) fn directory(path: &str, text: &str, several: bool, cx: &mut Cx<'_>) -> Vec<DirectoryGroup> {
    beside(path, text, cx, |raw: raw::Directory, cx| {
        let Some(raw) = raw.groups else {
            cx.report.missing("groups", "a map of groups, such as { sre: { members: [alice@example.com] } }");
            return Vec::new();
        };
        let mut groups = Vec::new();
        for (name, raw) in raw {
            let path = key_path("groups", &name);
            word(&path, &name, cx);
            let members = raw.members.unwrap_or_default().into_iter().enumerate();
            let members =
                members.filter_map(|(i, raw)| member(&item_path(&format!("{path}.members"), i), raw, several, cx)).collect();
            groups.push(DirectoryGroup { name, includes: raw.includes.unwrap_or_default(), members });
        }
        nesting(&groups, cx);
        groups
    })
}

fn member(path: &str, raw: WordOr<raw::Member>, several: bool, cx: &mut Cx<'_>) -> Option<DirectoryMember> {
    let raw::Member { iss, sub, email } = match raw {
        WordOr::Word(email) => raw::Member { email: Some(email), ..raw::Member::default() },
        WordOr::Table(member) => member,
    };
    [&iss, &sub, &email].into_iter().flatten().for_each(|text| word(path, text, cx));
    match (&iss, &sub, &email) {
        (Some(_), Some(_), None) | (Some(_), None, Some(_)) => {}
        (None, None, Some(_)) if !several => {}
        (None, None, Some(_)) => {
            return cx.refuse(path, "is an address of no issuer", "several vouch for people: { iss, email }");
        }
        _ => return cx.refuse(path, "is not a member", "{ iss, sub }, { iss, email }, or an address"),
    }
    if email.as_deref().is_some_and(|email| !email.contains('@')) {
        return cx.refuse(path, "is not an address", "such as alice@example.com; { iss, sub } names a subject");
    }
    Some(DirectoryMember { iss, sub, email })
}

/// Every included group exists, and none is part of itself.
fn nesting(groups: &[DirectoryGroup], cx: &mut Cx<'_>) {
    let by_name: BTreeMap<&str, &DirectoryGroup> = groups.iter().map(|group| (group.name.as_str(), group)).collect();
    for group in groups {
        let path = key_path("groups", &group.name);
        for (i, name) in group.includes.iter().enumerate() {
            if !by_name.contains_key(name.as_str()) {
                let hint = "define it, `NAME: {}` for one that tokens claim";
                cx.report.problem(&item_path(&format!("{path}.includes"), i), "is not a group of this file", hint);
            }
        }
        let mut below: Vec<&str> = vec![&group.name];
        for level in 0.. {
            below =
                below.iter().filter_map(|name| by_name.get(name)).flat_map(|g| g.includes.iter().map(String::as_str)).collect();
            below.sort_unstable();
            below.dedup();
            if below.is_empty() {
                break;
            }
            if level >= NESTING_MAX || below.contains(&group.name.as_str()) {
                cx.report.problem(&format!("{path}.includes"), "is part of itself, or nested too deep", "break the circle");
                break;
            }
        }
    }
}

/// Reads a file of the same format as the config, watches it, and lets `check` judge it.
fn beside<R: DeserializeOwned + Default, T: Default>(
    path: &str,
    text: &str,
    cx: &mut Cx<'_>,
    check: impl FnOnce(R, &mut Cx<'_>) -> T,
) -> T {
    let Some(file) = files::readable(path, text, cx) else { return T::default() };
    let (dir, mut report) = (cx.dir.clone(), Report::new(&file));
    let raw = read(&file, &dir, &mut report).unwrap_or_default();
    let checked = if report.any() {
        T::default()
    } else {
        let mut inner = Cx { dir, watched: Vec::new(), upstreams_unset: cx.upstreams_unset, report: &mut report };
        check(raw, &mut inner)
    };
    cx.report.absorb(report.into_problems());
    checked
}

fn read<R: DeserializeOwned>(file: &Path, dir: &Path, report: &mut Report) -> Option<R> {
    let text = read_bounded(file, CONFIG_FILE_BYTES_MAX).map_err(|why| report.problem("", why, "")).ok()?;
    let root = yaml::parse(&text).map_err(|broken| report.at(broken.place, "", broken.message, "")).ok()?;
    report.index(&root);
    // Data, not settings: nothing of the environment is read into it.
    let mut refs = Refs { dir, env: &|_| None, upstreams_unset: false, files: Vec::new() };
    decode::decode(&root, report, &mut refs)
}
