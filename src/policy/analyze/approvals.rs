//! Approvals that nobody can give.

use super::Cx;
use super::dead::nobody;
use super::entry::Entry;
use crate::policy::obligation::{Approval, Approver};
use crate::policy::who::Who;

pub(super) fn find(cx: &mut Cx<'_>) {
    for entry in cx.rules {
        let Some(approval) = &entry.rule.demands.approval else { continue };
        if let Some(why) = unreachable(cx, entry, approval) {
            let message = format!("no call that rule `{}` matches can be approved: {why}", entry.rule.id);
            cx.warn(
                "unreachable_approval",
                entry,
                "",
                message,
                "name a group in `from`, or lower `quorum`; a quorum counts people, not entries",
            );
        }
    }
}

fn unreachable(cx: &Cx<'_>, entry: &Entry<'_>, approval: &Approval) -> Option<String> {
    let gone: Vec<String> = approval
        .from
        .iter()
        .filter_map(|from| match from {
            Approver::Who(who) => nobody(cx, who).map(|why| why.message),
            Approver::Caller => None,
        })
        .collect();
    if gone.len() == approval.from.len() {
        return gone.into_iter().next();
    }
    // People can be counted where every entry is one person.
    let mut people = 0_usize;
    for from in &*approval.from {
        people += match from {
            Approver::Caller => 1,
            Approver::Who(who) if nobody(cx, who).is_some() => 0,
            Approver::Who(who) if is_one(who) => usize::from(approval.requester || !is_only_asker(entry, who)),
            Approver::Who(_) => return None,
        };
    }
    // Each who asks is one of those who may approve, and does not count.
    let approver = |asks: &Who| approval.from.iter().any(|from| matches!(from, Approver::Who(who) if who == asks));
    let several = entry.rule.who.len() > 1 && entry.rule.who.iter().all(|asks| is_one(asks) && approver(asks));
    let people = if several && !approval.requester { people.saturating_sub(1) } else { people };
    match people {
        0 => Some("who asks may not approve, and nobody else is named".to_owned()),
        _ if people < usize::from(approval.quorum) => Some(format!("`quorum` is {}, and `from` names {people}", approval.quorum)),
        _ => None,
    }
}

/// One person at most: subjects are unique within an issuer, and there is one.
fn is_one(who: &Who) -> bool {
    matches!(who, Who::Sub { glob, .. } if glob.literal().is_some())
}

/// Nobody but this person can ask.
fn is_only_asker(entry: &Entry<'_>, who: &Who) -> bool {
    entry.rule.who.iter().all(|asks| asks == who)
}
