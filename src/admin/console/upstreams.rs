//! The upstreams and how they do.

use http::StatusCode;

use super::screen::{Screen, badge, query_value};
use super::tools::millis;
use crate::admin::look::upstreams::{UpstreamView, list};
use crate::admin::office::Asked;
use crate::admin::routes::Sight;
use crate::web::{Html, PageAnswer};

pub(super) fn page(asked: &Asked<'_>) -> PageAnswer {
    let all = list(asked);
    let mut body = Html::new().raw("<div id=\"upstreams\" data-live data-says=\"\">");
    if all.is_empty() {
        body = body.raw("<p class=\"empty\">The config has no upstream.</p>");
    } else {
        body = body.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Upstreams\"><table><thead><tr>");
        for head in
            ["Upstream", "Health", "Spoken to", "Sessions", "Credential", "Calls", "Refused", "Failed", "Median", "95 of 100"]
        {
            body = body.raw("<th scope=\"col\">").raw(head).raw("</th>");
        }
        body = all.iter().fold(body.raw("</tr></thead><tbody>"), row).raw("</tbody></table></div>");
    }
    Screen::new(asked, Sight::Upstreams, "Upstreams", body.raw("</div>"))
        .live("/api/v1/events?kind=outcome")
        .answer(StatusCode::OK)
}

fn row(body: Html, upstream: &UpstreamView) -> Html {
    let mut body = body.raw("<tr><th scope=\"row\"><a href=\"/console/activity?upstream=").text(&query_value(&upstream.name));
    body = body.raw("\"><code>").text(&upstream.name).raw("</code></a><br><span class=\"note\">").text(&upstream.address);
    body = badge(body.raw("</span></th><td>"), if upstream.up { "up" } else { "down" }).raw("</td><td>").raw(upstream.era);
    body = if upstream.shared { body.raw(", shared by all") } else { body };
    body = body.raw("</td><td class=\"number\">").number(upstream.sessions as u64).raw("</td><td>").raw(upstream.credential);
    body = body.raw("</td><td class=\"number\">").number(upstream.stats.calls).raw("</td><td class=\"number\">");
    body = body.number(upstream.stats.refused).raw("</td><td class=\"number\">").number(upstream.stats.failed);
    body = millis(body.raw("</td><td class=\"number\">"), upstream.stats.median_ms);
    millis(body.raw("</td><td class=\"number\">"), upstream.stats.p95_ms).raw("</td></tr>")
}
