//! What upstreams offer, and how it is used.

use http::StatusCode;

use super::charts::share;
use super::screen::{Screen, badge, query_value, short};
use crate::admin::look::tools::{ToolView, list};
use crate::admin::office::Asked;
use crate::admin::routes::Sight;
use crate::web::{Html, PageAnswer, Params};

/// Tools on one page.
const ITEMS: usize = 500;

pub(super) fn page(asked: &Asked<'_>) -> PageAnswer {
    let query = Params::of_query(asked.request).unwrap_or_default();
    let all = list(asked, query.get("upstream"));
    let most = all.iter().map(|tool| tool.stats.calls).max().unwrap_or(0);
    let mut body = Html::new()
        .raw("<p class=\"note\">Tools that somebody was offered, with what the records in memory say of their calls.</p>");
    if all.is_empty() {
        body = body.raw("<p class=\"empty\">No list of tools was read yet.</p>");
        return Screen::new(asked, Sight::Tools, "Tools", body).answer(StatusCode::OK);
    }
    body = body.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Tools\"><table><thead><tr>");
    for head in ["Tool", "Class", "Definition", "Calls", "Refused", "Failed", "Median", "95 of 100", "Tokens"] {
        body = body.raw("<th scope=\"col\">").raw(head).raw("</th>");
    }
    body = all.iter().take(ITEMS).fold(body.raw("</tr></thead><tbody>"), |body, tool| row(body, tool, most));
    body = body.raw("</tbody></table></div>");
    if all.len() > ITEMS {
        body = body.raw("<p class=\"note\">").number(all.len() as u64).raw(" in all; the API has the rest.</p>");
    }
    Screen::new(asked, Sight::Tools, "Tools", body).answer(StatusCode::OK)
}

fn row(body: Html, tool: &ToolView, most: u64) -> Html {
    let mut body =
        body.raw("<tr><th scope=\"row\" class=\"wide\"><a href=\"/console/activity?tool=").text(&query_value(&tool.name));
    body = body.raw("\"><code>").text(&tool.name).raw("</code></a><br><span class=\"note\">").text(&tool.description);
    body = badge(body.raw("</span></th><td>"), tool.class);
    body = if tool.classified { body } else { body.raw(" <span class=\"note\">not classified</span>") };
    body = body.raw("</td><td><code>").text(short(&tool.definition)).raw("</code>");
    body = if tool.differs { badge(body.raw(" "), "differs") } else { body };
    body = share(body.raw("</td><td class=\"number\">"), tool.stats.calls, most).raw("</td><td class=\"number\">");
    body = body.number(tool.stats.refused).raw("</td><td class=\"number\">").number(tool.stats.failed);
    body = millis(body.raw("</td><td class=\"number\">"), tool.stats.median_ms);
    body = millis(body.raw("</td><td class=\"number\">"), tool.stats.p95_ms);
    body.raw("</td><td class=\"number\">").number(tool.tokens).raw("</td></tr>")
}

pub(super) fn millis(body: Html, ms: Option<f64>) -> Html {
    match ms {
        Some(ms) => body.text(&format!("{ms:.1} ms")),
        None => body.raw("\u{2013}"),
    }
}
