//! What every page of the console has: its head, its navigation, its rules for browsers. And the pieces that pages are made of.

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::assets;
use crate::admin::guard;
use crate::admin::office::Asked;
use crate::admin::routes::Sight;
use crate::web::{Html, PageAnswer};

/// Only what we serve ourselves, nothing inline, no frame around us.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types portcullis";

/// The pages that the navigation leads to.
const NAVIGATION: [(Sight, &str, &str); 8] = [
    (Sight::Approvals, "/console/approvals", "Approvals"),
    (Sight::Leases, "/console/leases", "Leases"),
    (Sight::Activity, "/console/activity", "Activity"),
    (Sight::Tools, "/console/tools", "Tools"),
    (Sight::Access, "/console/access", "Access"),
    (Sight::Upstreams, "/console/upstreams", "Upstreams"),
    (Sight::Policy, "/console/policy", "Policy"),
    (Sight::Audit, "/console/audit", "Audit"),
];

/// A page of the console.
pub(super) struct Screen<'a> {
    asked: &'a Asked<'a>,
    here: Sight,
    title: String,
    /// What of the events makes the page look again; nothing, if it does not.
    events: Option<&'static str>,
    body: Html,
}

impl<'a> Screen<'a> {
    pub(super) fn new(asked: &'a Asked<'a>, here: Sight, title: impl Into<String>, body: Html) -> Self {
        Self { asked, here, title: title.into(), events: None, body }
    }

    /// The same, kept true by the events at `url`.
    pub(super) fn live(mut self, url: &'static str) -> Self {
        self.events = Some(url);
        self
    }

    pub(super) fn answer(self, status: StatusCode) -> PageAnswer {
        let caller = self.asked.caller;
        let mut page = Html::new()
            .raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">")
            .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">")
            .raw("<title>")
            .text(&self.title)
            .raw(" \u{b7} Portcullis</title><link rel=\"stylesheet\" href=\"/console/style.css?v=")
            .text(assets::version())
            .raw("\"><script src=\"/console/script.js?v=")
            .text(assets::version())
            .raw("\" defer></script></head><body");
        if let Some(events) = self.events {
            page = page.raw(" data-events=\"").raw(events).raw("\"");
        }
        page = page.raw("><a class=\"skip\" href=\"#main\">Skip to the content</a><header class=\"top\">");
        page = page.raw("<a class=\"brand\" href=\"/console/approvals\">Portcullis</a><nav aria-label=\"Console\"><ul>");
        for (sight, path, name) in NAVIGATION {
            page = page.raw("<li><a href=\"").raw(path).raw("\"");
            page = if sight == self.here { page.raw(" aria-current=\"page\"") } else { page };
            page = page.raw(">").raw(name).raw("</a></li>");
        }
        page = page
            .raw("</ul></nav><div class=\"who\"><span class=\"name\">")
            .text(&caller.name)
            .raw("</span> <span class=\"role\">");
        page = page.raw(caller.role.map_or("", |role| role.as_str())).raw("</span>");
        page = page.raw("<form method=\"post\" action=\"/console/signout\">").hidden("csrf", &guard::token(caller));
        page = page.raw("<button class=\"plain\">Sign out</button></form></div></header>");
        page = page.raw("<main id=\"main\" tabindex=\"-1\"><h1>").text(&self.title).raw("</h1>").html(&self.body).raw("</main>");
        page = page.raw("<p id=\"announce\" class=\"quiet\" role=\"status\" aria-live=\"polite\"></p></body></html>");
        let mut answer = PageAnswer::new(status, page.as_str().to_owned().into());
        answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        for (name, value) in [
            (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
            (header::X_FRAME_OPTIONS, "DENY"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
            (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
        ] {
            answer.headers.insert(name, HeaderValue::from_static(value));
        }
        answer
    }
}

/// A moment, which the script says in relation to now as well.
pub(super) fn moment(html: Html, rfc3339: &str) -> Html {
    // To the second, as people read it.
    let short: String = rfc3339.chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect();
    html.raw("<time datetime=\"").text(rfc3339).raw("\">").text(&short).raw(" UTC</time>")
}

/// A word in a box whose colour says what kind of word it is; the word alone says it too.
pub(super) fn badge(html: Html, word: &str) -> Html {
    let tone = match word {
        "approved" | "allow" | "allowed" | "read" | "up" | "pass" | "completed" | "yes" => "good",
        "denied" | "deny" | "destructive" | "down" | "failed" | "no" | "faulted" => "bad",
        "pending" | "write" | "expired" | "conditional" | "unknown" | "void" | "stale" | "timed_out" => "warn",
        _ => "flat",
    };
    html.raw("<span class=\"badge ").raw(tone).raw("\">").text(word).raw("</span>")
}

/// A term and what it is.
pub(super) fn fact(html: Html, term: &'static str, value: &str) -> Html {
    html.raw("<dt>").raw(term).raw("</dt><dd>").text(value).raw("</dd>")
}

/// A term and a text to be read letter by letter.
pub(super) fn code_fact(html: Html, term: &'static str, value: &str) -> Html {
    html.raw("<dt>").raw(term).raw("</dt><dd><code>").text(value).raw("</code></dd>")
}

/// A value as a part of a query.
pub(super) fn query_value(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

/// A short form of a digest, for tables.
pub(super) fn short(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest).get(..12).unwrap_or(digest)
}

/// Text of several lines, each made safe.
pub(super) fn lines(html: Html, text: &str) -> Html {
    text.lines().fold(html, |html, line| html.text(line).raw("\n"))
}
