//! Whether records are written, and where.

use http::StatusCode;

use super::screen::{Screen, badge, code_fact, fact};
use crate::admin::api::audit_state;
use crate::admin::office::Asked;
use crate::admin::routes::Sight;
use crate::web::{Html, PageAnswer};

pub(super) fn page(asked: &Asked<'_>) -> PageAnswer {
    let audit = audit_state(asked);
    let mut body = Html::new().raw("<div id=\"audit\" data-live data-says=\"\">");
    if !audit.healthy {
        body = body.raw("<p class=\"alert\" role=\"alert\">Records cannot be written: writes and gated calls are refused. The log says why.</p>");
    }
    body = badge(body.raw("<dl><dt>Writing</dt><dd>"), if audit.healthy { "up" } else { "down" }).raw("</dd>");
    body = fact(body, "Waiting to be written", &audit.queued.to_string());
    body = code_fact(body, "File", &audit.file);
    body = fact(body, "Kept in memory", &audit.kept.to_string());
    let number = |seq: Option<u64>| seq.map_or_else(|| "none".to_owned(), |seq| seq.to_string());
    body = fact(fact(body, "From number", &number(audit.first_seq)), "To number", &number(audit.last_seq));
    body = fact(
        body,
        "A write leaves when its intent is",
        match audit.durability {
            "sync" => "on disk",
            "write" => "in the file",
            _ => "queued",
        },
    );
    body = fact(body, "Last record", &audit.seq.to_string());
    body = fact(body, "Written, not yet on disk", &audit.unsynced.to_string());
    if let Some(since) = &audit.failing_since {
        body = fact(body, "Failing since", since);
    }
    if let Some(log) = &audit.log {
        body = code_fact(body, "Log", log);
    }
    if let Some(last) = &audit.checkpoint {
        body = fact(body, "Last checkpoint", &format!("record {}, {}", last.seq, last.time));
        body = code_fact(code_fact(body, "Signed by key", &last.key), "Root", &last.root);
    }
    body = body.raw("</dl></div><p class=\"note\">The file has every record; ");
    body = body.raw(
        "<code>portcullis schema audit</code> prints what one looks like. What operators and approvers do here is in it too: ",
    );
    body = body.raw("<a href=\"/console/activity?kind=admin\">what was done here</a>, ");
    body = body.raw("<a href=\"/console/activity?kind=auth\">who came in</a>.</p>");
    Screen::new(asked, Sight::Audit, "Audit", body).live("/api/v1/events").answer(StatusCode::OK)
}
