//! The latest records, filtered.

use std::sync::Arc;

use crate::audit::{Glance, Kept, Recent};

/// Which records; what is absent does not matter.
#[derive(Default)]
pub(in crate::admin) struct Wanted<'a> {
    pub(in crate::admin) principal: Option<&'a str>,
    pub(in crate::admin) tool: Option<&'a str>,
    pub(in crate::admin) reason: Option<&'a str>,
    pub(in crate::admin) upstream: Option<&'a str>,
    pub(in crate::admin) kind: Option<&'a str>,
    pub(in crate::admin) effect: Option<&'a str>,
}

impl Wanted<'_> {
    pub(in crate::admin) fn fits(&self, glance: &Glance) -> bool {
        let is = |wanted: Option<&str>, value: &str| wanted.is_none_or(|wanted| wanted == value);
        is(self.principal, glance.principal.as_ref().map_or("", |principal| &principal.sub))
            && is(self.tool, &glance.name)
            && is(self.reason, reason(glance))
            && is(self.upstream, &glance.upstream)
            && is(self.kind, &glance.kind)
            && is(self.effect, effect(glance))
    }
}

/// Why it ended so: what the decision says, where it refused, else the outcome.
pub(in crate::admin) fn reason(glance: &Glance) -> &str {
    let refused = glance.decision.as_ref().filter(|decision| decision.effect == "deny").map(|decision| decision.reason.as_str());
    refused.or(glance.outcome.as_ref().map(|outcome| outcome.reason.as_str())).unwrap_or_default()
}

/// `allow` or `deny`, where something was decided.
pub(in crate::admin) fn effect(glance: &Glance) -> &str {
    glance.decision.as_ref().map_or("", |decision| decision.effect.as_str())
}

/// Up to `limit` records, the newest first, older than the one numbered `before`; and the number to go on before.
pub(in crate::admin) fn list(
    recent: &Recent,
    wanted: &Wanted<'_>,
    before: Option<u64>,
    limit: usize,
) -> (Vec<Arc<Kept>>, Option<u64>) {
    let all = recent.newest_first();
    let older = all.into_iter().skip_while(|record| before.is_some_and(|before| record.seq >= before));
    let mut found: Vec<Arc<Kept>> =
        older.filter(|record| record.glance().is_some_and(|glance| wanted.fits(glance))).take(limit + 1).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|record| record.seq);
    (found, next)
}

/// Every record of one request, the first first: its own, and its intent.
pub(in crate::admin) fn story(recent: &Recent, id: &str) -> Vec<Arc<Kept>> {
    let mut found = recent.of_request(id);
    found.reverse();
    found
}
