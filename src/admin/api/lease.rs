//! Leases: the terms in a body, and those that are in force.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::approvals::{found, refused};
use crate::admin::look::Paged;
use crate::admin::look::approvals::{View, view};
use crate::admin::office::Asked;
use crate::admin::problem::Problem;
use crate::approval::{Request, RequestId, Terms, Voter};
use crate::mcp::{RawJson, pointer};
use crate::vocab::limits::LEASE_USES_MAX;

/// Nesting of a body.
const DEPTH_MAX: usize = 64;

/// The terms in the member `lease` of a body.
pub(super) fn terms(body: &Bytes, lease: Map<String, Value>) -> Result<Terms, Problem> {
    let wrong =
        || Problem::bad("`lease` is an object of `minutes`, `uses` and, if wanted, `where`: an object of pointers and matchers.");
    let mut lease = lease;
    let minutes = lease.remove("minutes").and_then(|minutes| minutes.as_u64()).ok_or_else(wrong)?;
    let uses = lease.remove("uses").and_then(|uses| u32::try_from(uses.as_u64()?).ok()).ok_or_else(wrong)?;
    // As it is written: a number keeps its digits.
    let within = match lease.remove("where") {
        None => None,
        Some(Value::Object(_)) => {
            let whole = RawJson::parse(body.clone(), DEPTH_MAX).map_err(|_| wrong())?;
            Some(pointer::at(&whole, "/lease/where").ok_or_else(wrong)?)
        }
        Some(_) => return Err(wrong()),
    };
    if lease.is_empty() { Ok(Terms { minutes, uses, within }) } else { Err(wrong()) }
}

/// Has the caller say yes to calls like the one of the path.
pub(in crate::admin) async fn decide_on(asked: &Asked<'_>, terms: &Terms, reason: &str) -> Result<Arc<Request>, Problem> {
    let (desk, request) = found(asked)?;
    let voter = Voter { principal: asked.caller.principal.clone(), name: asked.caller.name.clone() };
    desk.approve_on(&request.id, &voter, &asked.world.policy, terms, reason).await.map_err(|error| refused(&error))
}

/// Up to `limit` leases in force after the one called `after`.
pub(in crate::admin) fn leases(asked: &Asked<'_>, after: Option<&RequestId>, limit: usize) -> Paged<View> {
    let desk = &asked.office.desk;
    let mut found = desk.leases(after, limit + 1);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|request| request.id.to_string());
    let items = found.iter().map(|request| view(desk, request, asked.caller, &asked.world.policy)).collect();
    Paged { items, next }
}

/// What a body may say of a lease, for the document.
pub(super) fn schema() -> Value {
    let matchers = json!({ "type": "object", "minProperties": 1, "additionalProperties": false, "properties": {
        "equals": {}, "one_of": { "type": "array" },
        "glob": { "type": ["string", "array"] }, "path_under": { "type": ["string", "array"] },
    } });
    json!({
        "type": "object", "required": ["minutes", "uses"], "additionalProperties": false,
        "description": "A yes to similar calls too. Everybody who says yes says it to the same terms.",
        "properties": {
            "minutes": { "type": "integer", "minimum": 1, "description": "From the last vote on, at most `lease_minutes_max`." },
            "uses": { "type": "integer", "minimum": 1, "maximum": LEASE_USES_MAX, "description": "How many calls." },
            "where": { "type": "object", "minProperties": 1, "additionalProperties": matchers,
                       "description": "Which arguments may differ, by pointers (RFC 6901, and `*`), and how. All others stay as they are." },
        },
    })
}
