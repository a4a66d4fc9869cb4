//! What happened: the latest records, and everything that is known of one request.

use std::sync::Arc;

use http::StatusCode;

use super::charts::{Slice, bars};
use super::screen::{Screen, badge, lines, moment, query_value};
use crate::admin::look::activity::{Wanted, effect, list, reason, story as records_of};
use crate::admin::look::time;
use crate::admin::office::Asked;
use crate::admin::problem::Problem;
use crate::admin::routes::{KINDS, Sight};
use crate::audit::{Glance, Kept};
use crate::web::{Html, PageAnswer, Params};

/// Records on one page.
const ITEMS: usize = 100;
/// Bars of the chart, and the length of one.
const SLICES: usize = 60;
const SLICE_MS: u64 = 60_000;

pub(super) fn page(asked: &Asked<'_>) -> PageAnswer {
    let query = Params::of_query(asked.request).unwrap_or_default();
    let wanted = Wanted {
        principal: query.get("principal"),
        tool: query.get("tool"),
        reason: query.get("reason"),
        upstream: query.get("upstream"),
        kind: query.get("kind"),
        effect: query.get("effect"),
    };
    let before = query.get("cursor").and_then(|text| text.parse().ok());
    let (records, next) = list(&asked.office.recent, &wanted, before, ITEMS);
    let mut body = filters(Html::new(), &wanted).raw("<div id=\"records\" data-live data-says=\"\">");
    body = chart(body, asked, &wanted);
    if records.is_empty() {
        body = body.raw("<p class=\"empty\">Nothing of this is among the records that are kept in memory.</p>");
    } else {
        body = table(body, &records);
    }
    if let Some(next) = next {
        body = body.raw("<p><a href=\"/console/activity?cursor=").number(next);
        for (name, value) in named(&wanted) {
            body = body.raw("&amp;").raw(name).raw("=").text(&query_value(value.unwrap_or_default()));
        }
        body = body.raw("\">Older</a></p>");
    }
    let screen = Screen::new(asked, Sight::Activity, "Activity", body.raw("</div>"));
    // Older pages do not change.
    if before.is_none() { screen.live("/api/v1/events") } else { screen }.answer(StatusCode::OK)
}

fn named<'a>(wanted: &Wanted<'a>) -> [(&'static str, Option<&'a str>); 6] {
    let Wanted { principal, tool, reason, upstream, kind, effect } = *wanted;
    [("principal", principal), ("tool", tool), ("reason", reason), ("upstream", upstream), ("kind", kind), ("effect", effect)]
}

fn filters(body: Html, wanted: &Wanted<'_>) -> Html {
    let mut body = body.raw("<form class=\"filters\" method=\"get\" action=\"/console/activity\" role=\"search\">");
    for (name, value) in named(wanted) {
        body = body.raw("<div><label for=\"f-").raw(name).raw("\">").raw(name).raw("</label>");
        let words: &[&'static str] = match name {
            "kind" => &KINDS,
            "effect" => &["allow", "deny"],
            _ => &[],
        };
        if words.is_empty() {
            body = body.raw("<input type=\"search\" id=\"f-").raw(name).raw("\" name=\"").raw(name).raw("\" value=\"");
            body = body.text(value.unwrap_or_default()).raw("\"></div>");
            continue;
        }
        body = body.raw("<select id=\"f-").raw(name).raw("\" name=\"").raw(name).raw("\"><option value=\"\">any</option>");
        for word in words {
            body =
                body.raw("<option").raw(if value == Some(*word) { " selected" } else { "" }).raw(">").raw(word).raw("</option>");
        }
        body = body.raw("</select></div>");
    }
    body.raw("<div><button>Show</button></div></form>")
}

/// Decisions of the last hour, by the minute.
fn chart(body: Html, asked: &Asked<'_>, wanted: &Wanted<'_>) -> Html {
    let now_ms = asked.office.gateway.clock.unix_ms();
    let from_ms = now_ms.saturating_sub(SLICE_MS * SLICES as u64);
    let mut slices: Vec<Slice> = vec![(0, 0); SLICES];
    let records = asked.office.recent.newest_first();
    let decided =
        records.iter().filter_map(|record| record.glance()).filter(|glance| glance.kind != "intent" && wanted.fits(glance));
    for glance in decided {
        let at_ms = humantime::parse_rfc3339(&glance.time).ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let Some(at_ms) = at_ms.and_then(|at| u64::try_from(at.as_millis()).ok()) else { continue };
        let at = usize::try_from(at_ms.saturating_sub(from_ms) / SLICE_MS).unwrap_or(usize::MAX);
        let Some(slice) = slices.get_mut(at).filter(|_| at_ms >= from_ms) else { continue };
        match effect(glance) {
            "allow" => slice.0 += 1,
            "deny" => slice.1 += 1,
            _ => {}
        }
    }
    let minute = |ms: u64| time(ms).get(11..16).unwrap_or_default().to_owned() + " UTC";
    bars(body, &slices, &minute(from_ms), &minute(now_ms))
}

pub(super) fn table(body: Html, records: &[Arc<Kept>]) -> Html {
    let mut body = body.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Records\"><table><thead><tr>");
    body = body
        .raw("<th scope=\"col\">When</th><th scope=\"col\">Who</th><th scope=\"col\">What</th><th scope=\"col\">Decision</th>");
    body = body.raw("<th scope=\"col\">Outcome</th><th scope=\"col\">Took</th></tr></thead><tbody>");
    for glance in records.iter().filter_map(|record| record.glance()) {
        body = row(body, glance);
    }
    body.raw("</tbody></table></div>")
}

fn row(body: Html, glance: &Glance) -> Html {
    let mut body =
        moment(body.raw("<tr><th scope=\"row\"><a href=\"/console/activity/").text(&glance.id).raw("\">"), &glance.time);
    body = body.raw("</a> <span class=\"note\">").text(&glance.kind).raw("</span></th><td>");
    body = body.text(glance.principal.as_ref().map_or("", |who| &who.sub)).raw("</td><td class=\"wide\"><code>");
    body = body.text(if glance.name.is_empty() { &glance.method } else { &glance.name }).raw("</code></td><td>");
    body = match effect(glance) {
        "" => body,
        word => badge(body, word).raw(" "),
    };
    body = body.text(reason(glance)).raw("</td><td>");
    let outcome = glance.outcome.as_ref();
    body = outcome.map_or(body.clone(), |outcome| badge(body, &outcome.status)).raw("</td><td class=\"number\">");
    match outcome.and_then(|outcome| outcome.total_ms) {
        Some(ms) => body.text(&format!("{ms:.1} ms")),
        None => body,
    }
    .raw("</td></tr>")
}

/// Everything that is known of one request.
pub(super) fn story(asked: &Asked<'_>) -> Result<PageAnswer, Problem> {
    let records = records_of(&asked.office.recent, asked.id);
    let last = records.iter().rev().find_map(|record| record.glance()).ok_or_else(Problem::unknown)?;
    let mut body = Html::new().raw("<p>");
    body = moment(body, &last.time).raw(" ");
    if let Some(who) = &last.principal {
        body = body.raw("<a href=\"/console/activity?principal=").text(&query_value(&who.sub)).raw("\">").text(&who.sub);
        body = body.raw("</a> ");
    }
    if !last.name.is_empty() {
        body = body.raw("<a href=\"/console/activity?tool=").text(&query_value(&last.name)).raw("\"><code>").text(&last.name);
        body = body.raw("</code></a> ");
    }
    if let Some(decision) = &last.decision {
        body = badge(body, &decision.effect).raw(" ").text(&decision.reason).raw(" ");
        if let Some(shadow) = &decision.shadow {
            body = badge(body.raw("in shadow: "), &shadow.effect).raw(" ").text(&shadow.reason);
        }
    }
    body = body.raw("</p>");
    if let Some(approval) = &last.approval {
        body = body.raw("<p>Went by the approval <a href=\"/console/approvals/").text(&approval.id).raw("\"><code>");
        body = body.text(&approval.id).raw("</code></a>.</p>");
    }
    for record in &records {
        body = body.raw("<h2>").text(record.glance().map_or("", |glance| &glance.kind)).raw(", number ").number(record.seq);
        body = body.raw("</h2><pre tabindex=\"0\" role=\"region\" aria-label=\"Record ").number(record.seq).raw("\">");
        let pretty =
            serde_json::from_str::<serde_json::Value>(&record.line).and_then(|value| serde_json::to_string_pretty(&value));
        body = lines(body, pretty.as_deref().unwrap_or(&record.line)).raw("</pre>");
    }
    Ok(Screen::new(asked, Sight::Activity, "Record", body).answer(StatusCode::OK))
}
