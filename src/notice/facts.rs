//! What approvers are told about a request: gathered when it is told, so that it says how things stand.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::event::Event;
use super::row::Delivery;
use crate::approval::{Desk, Filter, Request, Shown, State};
use crate::store::StoreError;
pub(super) use crate::telemetry::escape::visible;

/// Requests looked through for what was decided before.
const BEFORE_MAX: usize = 100;

/// All that a message can say.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The id of the delivery.
    pub(super) id: Box<str>,
    pub(super) event: Event,
    /// When it happened, in milliseconds since the Unix epoch.
    pub(super) at_unix_ms: u64,
    /// Where people sign in and decide.
    pub(super) link: String,
    pub(super) request: Arc<Request>,
    /// The arguments as people are shown them.
    pub(super) shown: Shown,
    pub(super) before: Before,
}

/// What became of other requests of the same person for the same tool that are still known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    /// Approved, used or not.
    pub(super) approved: usize,
    /// Denied.
    pub(super) denied: usize,
}

impl Facts {
    /// Of the request that `delivery` is about; none if it is forgotten.
    ///
    /// # Errors
    /// [`StoreError`]: try later.
    pub(super) async fn gather(desk: &Desk, delivery: &Delivery, console: &str) -> Result<Option<Self>, StoreError> {
        let Some(request) = desk.get(&delivery.request) else { return Ok(None) };
        let shown = desk.shown(&delivery.request).await?.unwrap_or_default();
        let (id, event, at_unix_ms) = (delivery.id.clone(), delivery.event, delivery.made_unix_ms);
        let link = format!("{console}/console/approvals/{}", request.id);
        let before = before(desk, &request);
        Ok(Some(Self { id, event, at_unix_ms, link, request, shown, before }))
    }

    /// What stands above the rest, in words of ours only.
    pub(super) fn title(&self) -> &'static str {
        self.event.title()
    }

    /// One line of it all, made visible.
    pub(super) fn summary(&self) -> String {
        let bound = &self.request.bound;
        format!("{}: {} ({}) for {}", self.title(), visible(&bound.name), bound.class.as_str(), self.who())
    }

    /// Who asks, made visible.
    pub(super) fn who(&self) -> String {
        match self.request.requester_name.as_deref() {
            Some(name) => format!("{} ({})", visible(name), visible(&self.request.bound.sub)),
            None => visible(&self.request.bound.sub),
        }
    }

    /// What people need beside the arguments: a word, and a text that was made visible.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let (request, bound) = (&self.request, &self.request.bound);
        let mut rows = vec![("Who", format!("{}, of {}", self.who(), visible(&bound.iss)))];
        if let Some(client) = &bound.client {
            rows.push(("Client", visible(client)));
        }
        if !bound.actors.is_empty() {
            let actors: Vec<String> = bound.actors.iter().map(|actor| visible(actor)).collect();
            rows.push(("On behalf, through", actors.join(", ")));
        }
        rows.push(("What", format!("{} ({})", visible(&bound.name), visible(&bound.method))));
        rows.push(("Server", format!("{}, by {}", visible(&bound.upstream), visible(&bound.route))));
        rows.push(("Class", bound.class.as_str().to_owned()));
        for (at, gate) in bound.gates.iter().enumerate() {
            let (yes, wanted) = request.met(at);
            let from: Vec<String> = gate.from.iter().map(|word| visible(word)).collect();
            let not = if gate.requester { "" } else { ", not whoever asks" };
            rows.push(("Why", format!("rule {} wants {yes} of {wanted}: {}{not}", visible(&gate.rule), from.join(", "))));
        }
        for vote in &request.votes {
            let (said, reason) = (if vote.yes { "yes" } else { "no" }, visible(&vote.reason));
            let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            rows.push(("Said", format!("{} ({}) {said}{because}", visible(&vote.name), visible(&vote.sub))));
        }
        if let Some(lease) = &request.lease {
            let within = lease.within.as_deref().map_or_else(|| "the arguments are the same".to_owned(), visible);
            rows.push(("Lease", format!("{} calls within {} minutes, where {within}", lease.uses, lease.minutes)));
        }
        let Before { approved, denied } = self.before;
        rows.push(("Before", format!("{approved} approved, {denied} denied lately, of the same person for the same tool")));
        rows.push((if request.state == State::Pending { "Until" } else { "Asked until" }, time(request.expires_unix_s * 1_000)));
        rows.push(("Digest", request.digest.to_string()));
        rows.push(("Arguments digest", bound.arguments.to_string()));
        rows
    }

    /// The arguments, at most `chars_max` characters of them, and what is not in it.
    pub(super) fn arguments(&self, chars_max: usize) -> (String, Option<String>) {
        let mut chars = self.shown.text.chars();
        let text: String = chars.by_ref().take(chars_max).collect();
        let (cut, masked) = (chars.as_str().len() as u64 + self.shown.left_out_bytes, self.shown.masked);
        let mut notes = Vec::new();
        if cut > 0 {
            notes.push(format!("bytes that are not shown here: {cut}"));
        }
        if masked > 0 {
            notes.push(format!("secrets that are masked: {masked}"));
        }
        if self.shown.unverified > 0 {
            notes.push(format!("of these not verified, so anything may be hidden there: {}", self.shown.unverified));
        }
        (text, (!notes.is_empty()).then(|| notes.join("; ")))
    }
}

fn before(desk: &Desk, request: &Request) -> Before {
    let filter = Filter { requester: Some(request.requester()), name: Some(request.bound.name.to_string()), ..Filter::default() };
    let mut before = Before::default();
    for other in desk.list(&filter, None, BEFORE_MAX).iter().filter(|other| other.id != request.id) {
        match other.state {
            State::Approved | State::Used => before.approved += 1,
            State::Denied => before.denied += 1,
            State::Pending | State::Expired | State::Withdrawn => {}
        }
    }
    before
}

/// A moment, RFC 3339.
pub(super) fn time(unix_ms: u64) -> String {
    /// The end of the year 9999, beyond which there is no such text.
    const MOMENT_MS_MAX: u64 = 253_402_300_799_000;
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms.min(MOMENT_MS_MAX)));
    at.map(|at| humantime::format_rfc3339_millis(at).to_string()).unwrap_or_default()
}
