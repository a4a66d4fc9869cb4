//! Who waits for whom.

use http::StatusCode;

use super::screen::{Screen, badge, lines, moment, query_value};
use crate::admin::api::page as list;
use crate::admin::look::approvals::View;
use crate::admin::office::Asked;
use crate::admin::problem::Problem;
use crate::admin::routes::Sight;
use crate::approval::{RequestId, State};
use crate::web::{Html, PageAnswer, Params};

/// Requests on one page.
const ITEMS: usize = 50;
/// Events that change this page.
pub(super) const EVENTS: &str = "/api/v1/events?kind=approval";

pub(super) fn page(asked: &Asked<'_>) -> Result<PageAnswer, Problem> {
    let query = Params::of_query(asked.request).unwrap_or_default();
    let word = query.get("state").unwrap_or("pending");
    let state = State::parse(word);
    let (after, tool) = (query.get("cursor").and_then(RequestId::parse), query.get("tool"));
    let (items, next) = list(asked, state, query.get("principal"), tool, after, ITEMS)?;
    let counts = asked.office.desk.counts();
    let mut body = Html::new().raw("<div id=\"list\" data-live data-says=\"");
    let pending = counts.iter().find(|(of, _)| *of == State::Pending).map_or(0, |(_, count)| *count);
    body = body.number(pending as u64).raw(" pending\"><nav class=\"tabs\" aria-label=\"State\"><ul>");
    for (of, count) in counts.iter() {
        body = body.raw("<li><a href=\"/console/approvals?state=").raw(of.as_str()).raw("\"");
        body = if Some(*of) == state { body.raw(" aria-current=\"true\"") } else { body };
        body = body.raw(">").raw(of.as_str()).raw(" <span class=\"count\">").number(*count as u64).raw("</span></a></li>");
    }
    body = body.raw("<li><a href=\"/console/approvals?state=all\"");
    body = if state.is_none() { body.raw(" aria-current=\"true\"") } else { body };
    body = body.raw(">all</a></li></ul></nav>");
    if items.is_empty() {
        body = body.raw("<p class=\"empty\">");
        body = if state == Some(State::Pending) { body.raw("Nobody waits for a decision.") } else { body.raw("There is none.") };
        body = body.raw("</p>");
    } else {
        body = items.iter().fold(body.raw("<ul class=\"cards\">"), card).raw("</ul>");
    }
    if let Some(next) = next {
        body = body.raw("<p><a href=\"/console/approvals?state=").text(&query_value(word)).raw("&amp;cursor=").text(&next);
        for (name, value) in [("principal", query.get("principal")), ("tool", tool)] {
            let Some(value) = value else { continue };
            body = body.raw("&amp;").raw(name).raw("=").text(&query_value(value));
        }
        body = body.raw("\">Older</a></p>");
    }
    Ok(Screen::new(asked, Sight::Approvals, "Approvals", body.raw("</div>")).live(EVENTS).answer(StatusCode::OK))
}

fn card(body: Html, view: &View) -> Html {
    let mut body = body.raw("<li class=\"card\"><h2><a href=\"/console/approvals/").text(&view.id).raw("\" id=\"");
    body = body.text(&view.id).raw("\"><code>").text(&view.name).raw("</code></a></h2><p>");
    body = badge(badge(body, view.state).raw(" "), view.class);
    body = if view.void { badge(body.raw(" "), "void") } else { body };
    body = body.raw(" asked by <strong>").text(view.requester.label()).raw("</strong> ");
    body = moment(body, &view.asked_at).raw(", ends ");
    body = moment(body, &view.expires_at).raw("</p><pre class=\"excerpt\">");
    body = lines(body, &view.excerpt).raw("</pre><p class=\"gates\">");
    for gate in &view.gates {
        body = body.raw("<span class=\"gate\">").text(&gate.rule).raw(": ").number(gate.yes as u64).raw(" of ");
        body = body.number(gate.quorum.into()).raw(" from ").text(&gate.from.join(", ")).raw("</span> ");
    }
    body.raw("</p></li>")
}
