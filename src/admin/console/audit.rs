//! Whether records are written, and where.

use http::StatusCode;

use super::screen::{Screen, badge, code_fact, fact, moment};
use crate::admin::api::{AuditView, CheckpointExportView, SinkView, audit_state};
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
    body = elsewhere(body.raw("</dl>"), &audit);
    body = body.raw("</div><p class=\"note\">The file has every record; ");
    body = body.raw(
        "<code>portcullis schema audit</code> prints what one looks like. What operators and approvers do here is in it too: ",
    );
    body = body.raw("<a href=\"/console/activity?kind=admin\">what was done here</a>, ");
    body = body.raw("<a href=\"/console/activity?kind=auth\">who came in</a>.</p>");
    Screen::new(asked, Sight::Audit, "Audit", body).live("/api/v1/events").answer(StatusCode::OK)
}

/// Who has records and checkpoints beside the file.
fn elsewhere(body: Html, audit: &AuditView) -> Html {
    let mut body = body.raw("<h2>Sinks</h2>");
    body = if audit.sinks.is_empty() {
        body.raw("<p class=\"empty\">The config has no sink beside the file.</p>")
    } else {
        let heads = ["Sink", "Kind", "State", "Up to record", "Behind, records", "Behind, seconds", "Refused", "Problem"];
        let body = table(body, "Sinks", &heads);
        audit.sinks.iter().fold(body, sink).raw("</tbody></table></div>")
    };
    body = body.raw("<h2>Checkpoints elsewhere</h2>");
    if audit.checkpoint_exports.is_empty() {
        return body.raw("<p class=\"empty\">Checkpoints are kept in the log only: whoever cuts its end off is not seen.</p>");
    }
    let body = table(body, "Checkpoints elsewhere", &["Place", "Kind", "State", "Covers records", "Problem"]);
    audit.checkpoint_exports.iter().fold(body, export).raw("</tbody></table></div>")
}

fn table(body: Html, label: &'static str, heads: &[&'static str]) -> Html {
    let body =
        body.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"").raw(label).raw("\"><table><thead><tr>");
    let body = heads.iter().fold(body, |body, head| body.raw("<th scope=\"col\">").raw(head).raw("</th>"));
    body.raw("</tr></thead><tbody>")
}

fn sink(body: Html, sink: &SinkView) -> Html {
    let body = named(body, &sink.name, sink.kind, sink.failing_since.is_none());
    let body = body.raw("</td><td class=\"number\">").number(sink.seq).raw("</td><td class=\"number\">").number(sink.lag);
    let body = body.raw("</td><td class=\"number\">").number(sink.lag_seconds);
    let body = body.raw("</td><td class=\"number\">").number(sink.rejected);
    problem(body, sink.failing_since.as_deref(), sink.problem.as_deref())
}

fn export(body: Html, export: &CheckpointExportView) -> Html {
    let body = named(body, &export.place, export.kind, export.failing_since.is_none());
    let body = body.raw("</td><td class=\"number\">").number(export.covers);
    problem(body, export.failing_since.as_deref(), export.problem.as_deref())
}

fn named(body: Html, name: &str, kind: &'static str, up: bool) -> Html {
    let body = body.raw("<tr><th scope=\"row\"><code>").text(name).raw("</code></th><td>").raw(kind).raw("</td><td>");
    badge(body, if up { "up" } else { "down" })
}

/// The last cell of a row.
fn problem(body: Html, since: Option<&str>, problem: Option<&str>) -> Html {
    let body = body.raw("</td><td>").text(problem.unwrap_or_default());
    let body = match since {
        None => body,
        Some(since) => moment(body.raw("<br><span class=\"note\">since "), since).raw("</span>"),
    };
    body.raw("</td></tr>")
}
