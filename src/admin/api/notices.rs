//! The delivery log: what approvers were told.

use schemars::JsonSchema;
use serde::Serialize;

use crate::admin::look::{Paged, time};
use crate::admin::office::Asked;
use crate::notice::Delivery;

/// Something to be told by one channel.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Notice")]
pub(super) struct NoticeView {
    /// Its id: what a receiver sees as `Portcullis-Delivery`.
    id: String,
    /// The channel.
    channel: String,
    /// The request for approval.
    approval: String,
    /// What happened.
    event: &'static str,
    /// Where it stands.
    #[schemars(extend("enum" = ["waiting", "delivered", "failed"]))]
    outcome: &'static str,
    /// How often it was tried.
    attempts: u32,
    /// When it happened.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// When it was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    tried_at: Option<String>,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

pub(super) fn list(asked: &Asked<'_>, limit: usize) -> Paged<NoticeView> {
    let log = asked.office.notices.as_ref().map(|notices| notices.log(limit)).unwrap_or_default();
    Paged { items: log.iter().map(view).collect(), next: None }
}

fn view(delivery: &Delivery) -> NoticeView {
    NoticeView {
        id: delivery.id.to_string(),
        channel: delivery.channel.to_string(),
        approval: delivery.request.to_string(),
        event: delivery.event.as_str(),
        outcome: delivery.outcome.as_str(),
        attempts: delivery.attempts,
        at: time(delivery.made_unix_ms),
        tried_at: delivery.tried_unix_ms.map(time),
        problem: delivery.problem.as_deref().map(str::to_owned),
    }
}
