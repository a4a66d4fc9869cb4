//! The policy in force, what it decided lately, and what shadow rules would change.

use http::StatusCode;

use super::charts::share;
use super::screen::{Screen, badge, code_fact, moment};
use crate::admin::look::policy::{PolicyView, state};
use crate::admin::office::Asked;
use crate::admin::routes::Sight;
use crate::web::{Html, PageAnswer};

pub(super) fn page(asked: &Asked<'_>) -> PageAnswer {
    let policy = state(asked);
    let mut body = Html::new();
    if policy.observe_only {
        body = body.raw("<p class=\"alert\">Policy is only observed: what it refuses passes.</p>");
    }
    if !policy.reload_taken {
        body = body.raw("<p class=\"alert\">The last reload was refused: an older policy is in force. The log says why.</p>");
    }
    body = code_fact(body.raw("<dl>"), "Digest", &policy.digest);
    for file in &policy.files {
        body = code_fact(body, "File", file);
    }
    body = body.raw("</dl>");
    for warning in &policy.warnings {
        body = body.raw("<p class=\"note\">").text(warning).raw("</p>");
    }
    body = differences(rules(body, &policy), &policy);
    Screen::new(asked, Sight::Policy, "Policy", body).answer(StatusCode::OK)
}

fn rules(body: Html, policy: &PolicyView) -> Html {
    let tried = policy.rules.iter().filter(|rule| rule.decided > 0).count() as u64;
    let mut body = body.raw("<h2>Rules</h2><p>").number(tried).raw(" of ").number(policy.rules.len() as u64);
    body = body.raw(
        " rules decided something in the records that are kept. A rule that never decides may be needless, or mistaken.</p>",
    );
    let most = policy.rules.iter().map(|rule| rule.decided).max().unwrap_or(0);
    body = body.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Rules\"><table><thead><tr>");
    body = body.raw("<th scope=\"col\">Rule</th><th scope=\"col\">Mode</th><th scope=\"col\">Decided</th></tr></thead><tbody>");
    for rule in &policy.rules {
        body = body.raw("<tr><th scope=\"row\"><code>").text(&rule.id).raw("</code></th><td>");
        body = body.raw(if rule.shadow { "shadow" } else { "enforce" }).raw("</td><td>");
        body = share(body, rule.decided, most).raw("</td></tr>");
    }
    body.raw("</tbody></table></div>")
}

fn differences(body: Html, policy: &PolicyView) -> Html {
    let mut body = body.raw("<h2>What shadow rules would change</h2>");
    if policy.differences.is_empty() {
        return body.raw("<p class=\"empty\">Nothing, in the records that are kept.</p>");
    }
    body = body.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Differences\"><table><thead><tr>");
    for head in ["When", "Who", "What", "Decided", "In shadow", "Rules"] {
        body = body.raw("<th scope=\"col\">").raw(head).raw("</th>");
    }
    body = body.raw("</tr></thead><tbody>");
    for other in &policy.differences {
        body = moment(body.raw("<tr><th scope=\"row\"><a href=\"/console/activity/").text(&other.record).raw("\">"), &other.time);
        body = body.raw("</a></th><td>").text(&other.principal).raw("</td><td><code>").text(&other.name).raw("</code></td><td>");
        body = badge(badge(body, &other.decided).raw("</td><td>"), &other.shadow).raw("</td><td><code>");
        body = body.text(&other.rules.join(", ")).raw("</code></td></tr>");
    }
    body.raw("</tbody></table></div>")
}
