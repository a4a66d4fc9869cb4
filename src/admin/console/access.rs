//! Who can do what, and why.

use http::StatusCode;

use super::screen::{Screen, badge, query_value};
use crate::admin::look::policy::{Matrix, Why, matrix, why};
use crate::admin::office::Asked;
use crate::admin::problem::Problem;
use crate::admin::routes::Sight;
use crate::web::{Html, PageAnswer, Params};

pub(super) fn page(asked: &Asked<'_>) -> Result<PageAnswer, Problem> {
    let query = Params::of_query(asked.request).map_err(|_| Problem::bad("The query cannot be read."))?;
    let (who, call, args) = (query.get("as"), query.get("call"), query.get("args"));
    let mut body = form(Html::new(), who, call, args);
    let (mut status, explained) = (StatusCode::OK, who.zip(call).map(|(who, call)| why(asked, who, call, args, None)));
    match explained {
        Some(Ok(found)) => body = explanation(body, &found),
        Some(Err(problem)) => {
            status = problem.status;
            body = body.raw("<p class=\"alert\" role=\"alert\">").text(&problem.detail).raw("</p>");
        }
        None => {}
    }
    let found = match matrix(asked, who, query.get("upstream")) {
        Err(_) if status != StatusCode::OK => return Ok(Screen::new(asked, Sight::Access, "Access", body).answer(status)),
        other => other?,
    };
    body = table(body, &found);
    Ok(Screen::new(asked, Sight::Access, "Access", body).answer(status))
}

fn form(body: Html, who: Option<&str>, call: Option<&str>, args: Option<&str>) -> Html {
    let mut body = body.raw("<form class=\"filters\" method=\"get\" action=\"/console/access\" role=\"search\">");
    for (name, label, hint, value) in [
        ("as", "Who", "sub=alice,groups=eng", who),
        ("call", "Tool", "files__read_file", call),
        ("args", "Arguments", "{\"path\": \"/srv\"}", args),
    ] {
        body = body.raw("<div><label for=\"f-").raw(name).raw("\">").raw(label).raw("</label><input type=\"search\" id=\"f-");
        body = body.raw(name).raw("\" name=\"").raw(name).raw("\" placeholder=\"").text(hint).raw("\" value=\"");
        body = body.text(value.unwrap_or_default()).raw("\"></div>");
    }
    body.raw("<div><button>Explain</button></div></form>")
}

fn explanation(body: Html, why: &Why) -> Html {
    let mut body = body.raw("<section aria-labelledby=\"why\"><h2 id=\"why\">Why</h2><p>");
    body = badge(body, why.effect).raw(" ").raw(why.reason).raw(": <code>").text(&why.name).raw("</code>, class ").raw(why.class);
    if !why.obligations.is_empty() {
        body = body.raw(", with ").text(&why.obligations.join(", "));
    }
    body =
        if why.visible { body } else { body.raw(". Nothing this principal could send would be allowed, so the name is hidden") };
    body = body.raw(".</p><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Rules\"><table><thead><tr>");
    body = body.raw("<th scope=\"col\">Rule</th><th scope=\"col\">Matches</th><th scope=\"col\">What keeps it from matching, or what it brings</th>");
    body = body.raw("</tr></thead><tbody>");
    for rule in &why.rules {
        body = badge(body.raw("<tr><th scope=\"row\">"), rule.effect).raw(" <code>").text(&rule.id).raw("</code>");
        body = body.raw(if rule.shadow { " in shadow" } else { "" }).raw(if rule.decided {
            " <strong>decided</strong>"
        } else {
            ""
        });
        body = badge(body.raw("</th><td>"), &rule.verdict).raw("</td><td class=\"wide\">");
        body = match &rule.obstacle {
            Some(obstacle) => body.text(obstacle),
            None => body.text(&rule.obligations.join(", ")),
        };
        body = body.raw("</td></tr>");
    }
    body.raw("</tbody></table></div></section>")
}

fn table(body: Html, matrix: &Matrix) -> Html {
    let mut body = body.raw("<section aria-labelledby=\"matrix\"><h2 id=\"matrix\">Who can do what</h2>");
    body = if matrix.cut { body.raw("<p class=\"note\">There is more than is shown; name somebody above.</p>") } else { body };
    body = body.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Matrix\"><table><thead><tr>");
    body = body.raw("<th scope=\"col\">Name</th>");
    for person in &matrix.people {
        body = body.raw("<th scope=\"col\">").text(person).raw("</th>");
    }
    body = body.raw("</tr></thead><tbody>");
    for row in &matrix.rows {
        body = body.raw("<tr><th scope=\"row\"><code>").text(&row.name).raw("</code>");
        body = if row.kind == "tool" { body } else { body.raw(" <span class=\"note\">").raw(row.kind).raw("</span>") };
        body = body.raw("</th>");
        for cell in &row.cells {
            body = badge(body.raw("<td>"), cell.access.as_str());
            let more: Vec<&str> =
                cell.obligations.iter().copied().chain(cell.reasons.iter().map(|reason| reason.as_str())).collect();
            body =
                if more.is_empty() { body } else { body.raw("<br><span class=\"note\">").text(&more.join(", ")).raw("</span>") };
            body = body.raw("</td>");
        }
        body = body.raw("</tr>");
    }
    body = body.raw("</tbody></table></div><p><a href=\"/console/access?as=");
    body.text(&query_value("anonymous")).raw("\">What nobody in particular can do</a></p></section>")
}
