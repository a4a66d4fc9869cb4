//! Leases: chosen below the decision on one call, listed, and revoked.

use bytes::Bytes;
use http::StatusCode;

use super::approvals::EVENTS;
use super::screen::{Screen, badge, lines, moment};
use crate::admin::api::leases;
use crate::admin::guard;
use crate::admin::look::approvals::View;
use crate::admin::look::lease::LeaseView;
use crate::admin::office::Asked;
use crate::admin::problem::Problem;
use crate::admin::role::Role;
use crate::admin::routes::Sight;
use crate::approval::{RequestId, Terms, Typed, typed};
use crate::mcp::RawJson;
use crate::vocab::limits::LEASE_USES_MAX;
use crate::web::{Html, PageAnswer, Params};

/// Nesting of constraints.
const DEPTH_MAX: usize = 64;
/// Leases on one page.
const ITEMS: usize = 50;

/// The form that lets similar calls through; nothing where there can be none.
pub(super) fn choice(body: Html, asked: &Asked<'_>, view: &View) -> Html {
    if view.lease_minutes_max == 0 {
        return body;
    }
    // A form of its own: the key that sends one does not send the other.
    let form = |body: Html| {
        let body = body.raw("<form method=\"post\" action=\"/console/approvals/").text(&view.id).raw("\">");
        body.hidden("csrf", &guard::token(asked.caller))
    };
    if let Some(LeaseView { minutes, uses, .. }) = &view.lease {
        let body = form(body).hidden("minutes", &minutes.to_string()).hidden("uses", &uses.to_string());
        let body =
            view.lease.as_ref().and_then(LeaseView::constraints).into_iter().fold(body, |body, text| body.hidden("where", &text));
        return body.raw("<button name=\"decision\" value=\"lease\">Approve the same lease</button></form>");
    }
    let mut body = form(body.raw("<details class=\"lease\"><summary>Allow similar calls for a while</summary>"));
    body = body.raw(
        "<p class=\"note\">The same person, client, tool and rules, as often and as long as you say, without asking again. ",
    );
    body = body.raw("Every argument stays exactly as it is above, except one that you name here. ");
    body = body.raw("It ends when anything else changes, or when somebody revokes it.</p><div class=\"filters\">");
    body = body.raw("<p><label for=\"minutes\">Minutes</label><input id=\"minutes\" name=\"minutes\" type=\"number\" required min=\"1\" max=\"");
    body = body.number(view.lease_minutes_max).raw("\"></p>");
    body = body
        .raw("<p><label for=\"uses\">Calls</label><input id=\"uses\" name=\"uses\" type=\"number\" required min=\"1\" max=\"");
    body = body.number(LEASE_USES_MAX.into()).raw("\"></p></div><div class=\"filters\">");
    body = body.raw("<p><label for=\"pointer\">Argument that may differ (optional)</label>");
    body = body.raw("<input id=\"pointer\" name=\"pointer\" type=\"text\" placeholder=\"/path\"></p>");
    body = body.raw("<p><label for=\"matcher\">as long as it is</label><select id=\"matcher\" name=\"matcher\">");
    body = body.raw("<option value=\"path_under\">a path under</option><option value=\"one_of\">one of</option>");
    body = body.raw("<option value=\"glob\">like (* and ?)</option></select></p>");
    body = body.raw("<p><label for=\"values\">these, one a line</label><textarea id=\"values\" name=\"values\" rows=\"2\"></textarea></p></div>");
    body = body.raw("<p><label for=\"lease-reason\">Why these calls, for the record (optional)</label>");
    body = body.raw("<input id=\"lease-reason\" name=\"reason\" type=\"text\" maxlength=\"500\"></p>");
    body.raw("<button name=\"decision\" value=\"lease\">Approve these calls</button></form></details>")
}

/// The terms in the form.
pub(super) fn terms(form: &Params) -> Result<Terms, Problem> {
    let number = |name: &str| form.get(name).and_then(|text| text.trim().parse::<u32>().ok());
    let (Some(minutes), Some(uses)) = (number("minutes"), number("uses")) else {
        return Err(Problem::bad("A lease needs its minutes and its number of calls."));
    };
    if let Some(text) = form.get("where") {
        let within = RawJson::parse(Bytes::copy_from_slice(text.as_bytes()), DEPTH_MAX);
        let within = within.map_err(|_| Problem::bad("The constraint is not understood."))?;
        return Ok(Terms { minutes: minutes.into(), uses, within: Some(within) });
    }
    let (pointer, values) = (form.get("pointer").map(str::trim).unwrap_or_default(), form.get("values").unwrap_or_default());
    let values: Vec<String> = values.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let within = match (pointer.is_empty(), values.is_empty()) {
        (true, true) => None,
        (false, false) => {
            let matcher = form.get("matcher").unwrap_or_default().to_owned();
            let one = Typed { pointer: pointer.to_owned(), matcher, values };
            Some(typed(&[one]).ok_or_else(|| Problem::bad("The constraint is not understood."))?)
        }
        _ => return Err(Problem::bad("An argument that may differ needs values, and values need an argument.")),
    };
    Ok(Terms { minutes: minutes.into(), uses, within })
}

/// What `lease` allows, in words.
pub(super) fn words(body: Html, lease: &LeaseView) -> Html {
    let mut body = body.raw("<p>A yes to ").number(lease.uses.into()).raw(" calls within ").number(lease.minutes);
    body = body.raw(" minutes, <strong>").number(lease.used.into()).raw("</strong> made so far. ");
    match lease.constraints() {
        None => body.raw("The arguments are exactly those of the request.</p>"),
        Some(text) => {
            lines(body.raw("The arguments are those of the request, except as said here:</p><pre>"), &text).raw("</pre>")
        }
    }
}

/// The leases in force.
pub(super) fn page(asked: &Asked<'_>) -> PageAnswer {
    let query = Params::of_query(asked.request).unwrap_or_default();
    let page = leases(asked, query.get("cursor").and_then(RequestId::parse).as_ref(), ITEMS);
    let mut body =
        Html::new().raw("<p class=\"note\">Similar calls that somebody approved for a while. They run without asking again.</p>");
    body = body.raw("<div id=\"list\" data-live>");
    body = match page.items.is_empty() {
        true => body.raw("<p class=\"empty\">There is none.</p>"),
        false => page.items.iter().fold(body.raw("<ul class=\"cards\">"), |body, view| card(body, asked, view)).raw("</ul>"),
    };
    if let Some(next) = page.next {
        body = body.raw("<p><a href=\"/console/leases?cursor=").text(&next).raw("\">Older</a></p>");
    }
    Screen::new(asked, Sight::Leases, "Leases", body.raw("</div>")).live(EVENTS).answer(StatusCode::OK)
}

fn card(body: Html, asked: &Asked<'_>, view: &View) -> Html {
    let mut body = body.raw("<li class=\"card\"><h2><a href=\"/console/approvals/").text(&view.id).raw("\" id=\"");
    body = body.text(&view.id).raw("\"><code>").text(&view.name).raw("</code></a></h2><p>");
    body = badge(body, view.class);
    body = if view.void { badge(body.raw(" "), "void") } else { body };
    body = body.raw(" for <strong>").text(view.requester.label()).raw("</strong>, until ");
    body = moment(body, &view.expires_at).raw("</p><pre class=\"excerpt\">");
    body = lines(body, &view.excerpt).raw("</pre>");
    body = view.lease.iter().fold(body, words);
    if may_revoke(asked, view) {
        body = revoke(body, asked, view);
    }
    body.raw("</li>")
}

/// Whether whoever looks may end the lease: who may approve, and who asked.
pub(super) fn may_revoke(asked: &Asked<'_>, view: &View) -> bool {
    asked.caller.role >= Some(Role::Approver) || is_own(asked, view)
}

/// Whether it was asked for whoever looks.
pub(super) fn is_own(asked: &Asked<'_>, view: &View) -> bool {
    let person = &asked.caller.principal;
    (&*person.iss, &*person.sub) == (&*view.requester.iss, &*view.requester.sub)
}

/// The button that ends a lease.
pub(super) fn revoke(body: Html, asked: &Asked<'_>, view: &View) -> Html {
    let body = body.raw("<form method=\"post\" action=\"/console/approvals/").text(&view.id).raw("/withdraw\">");
    let body = body.hidden("csrf", &guard::token(asked.caller));
    body.raw("<button class=\"stop\">Revoke</button></form>")
}
