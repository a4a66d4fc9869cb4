//! PagerDuty: an event of the Events API v2. A request opens an alert, its end closes it; both are found by the id of the request.

use serde_json::{Map, Value, json};

use crate::notice::event::Event;
use crate::notice::facts::{Facts, time, visible};
use crate::notice::limits::NOTICE_EXCERPT_CHARS_MAX;

/// Length of a summary, by the API.
const SUMMARY_CHARS_MAX: usize = 1_024;

pub(super) fn event(facts: &Facts, routing_key: &str) -> Value {
    let action = if facts.event == Event::Requested { "trigger" } else { "resolve" };
    let mut event = json!({ "routing_key": routing_key, "event_action": action, "dedup_key": facts.request.id });
    if facts.event != Event::Requested {
        return event;
    }
    let bound = &facts.request.bound;
    let mut details = Map::new();
    for (word, what) in facts.rows() {
        let text = match details.get(word).and_then(Value::as_str) {
            Some(before) => format!("{before}; {what}"),
            None => what,
        };
        details.insert(word.to_owned(), text.into());
    }
    let (arguments, note) = facts.arguments(NOTICE_EXCERPT_CHARS_MAX);
    details.insert("Arguments".to_owned(), arguments.into());
    if let Some(note) = note {
        details.insert("Of the arguments".to_owned(), note.into());
    }
    if let Some(event) = event.as_object_mut() {
        let payload = json!({
            "summary": facts.summary().chars().take(SUMMARY_CHARS_MAX).collect::<String>(),
            "source": visible(&bound.upstream),
            "severity": "warning",
            "timestamp": time(facts.at_unix_ms),
            "component": visible(&bound.name),
            "group": visible(&bound.route),
            "class": bound.class.as_str(),
            "custom_details": details,
        });
        event.insert("payload".to_owned(), payload);
        event.insert("client".to_owned(), "Portcullis".into());
        event.insert("client_url".to_owned(), facts.link.as_str().into());
        event.insert("links".to_owned(), json!([{ "href": facts.link, "text": "Review and decide" }]));
    }
    event
}
