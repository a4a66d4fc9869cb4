//! Our own document, version 1.

use serde_json::{Value, json};

use crate::notice::facts::{Facts, time};

/// Names are as they came: whoever shows them makes them visible. The text of the arguments is visible already.
pub(super) fn document(facts: &Facts) -> Value {
    let (request, bound) = (&facts.request, &facts.request.bound);
    let gates = bound.gates.iter().enumerate().map(|(at, gate)| {
        let (yes, quorum) = request.met(at);
        json!({ "rule": gate.rule, "from": gate.from, "quorum": quorum, "yes": yes, "requester": gate.requester })
    });
    let votes = request.votes.iter().map(|vote| {
        let by = json!({ "iss": vote.iss, "sub": vote.sub, "name": vote.name });
        json!({ "by": by, "yes": vote.yes, "reason": vote.reason, "at": time(vote.at_unix_ms) })
    });
    json!({
        "version": 1,
        "id": facts.id,
        "event": facts.event,
        "at": time(facts.at_unix_ms),
        "link": facts.link,
        "approval": {
            "id": request.id,
            "state": request.state,
            "requester": { "iss": bound.iss, "sub": bound.sub, "name": request.requester_name },
            "client": bound.client,
            "actors": bound.actors,
            "method": bound.method,
            "route": bound.route,
            "upstream": bound.upstream,
            "name": bound.name,
            "class": bound.class.as_str(),
            "definition": bound.definition,
            "arguments": {
                "text": facts.shown.text,
                "left_out_bytes": facts.shown.left_out_bytes,
                "masked": facts.shown.masked,
                "unverified": facts.shown.unverified,
            },
            "arguments_digest": bound.arguments,
            "policy": bound.policy,
            "digest": request.digest,
            "gates": gates.collect::<Vec<_>>(),
            "votes": votes.collect::<Vec<_>>(),
            "asked_at": time(request.asked_unix_ms),
            "expires_at": time(request.expires_unix_s.saturating_mul(1_000)),
            "ended_at": request.ended_unix_ms.map(time),
            "record": request.record,
        },
        "before": { "approved": facts.before.approved, "denied": facts.before.denied },
    })
}
