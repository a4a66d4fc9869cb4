//! Slack: an incoming webhook, Block Kit. What others wrote stands in `rich_text` elements, which Slack takes literally: no links, no
//! mentions, no formatting come of it.

use serde_json::{Value, json};

use crate::notice::event::Event;
use crate::notice::facts::Facts;
use crate::notice::limits::NOTICE_EXCERPT_CHARS_MAX;

pub(super) fn message(facts: &Facts) -> Value {
    let text = |text: &str| json!({ "type": "text", "text": text });
    let mut lines = Vec::new();
    for (word, what) in facts.rows() {
        lines.push(json!({ "type": "text", "text": format!("{word}: "), "style": { "bold": true } }));
        lines.push(text(&format!("{what}\n")));
    }
    let mut elements = vec![json!({ "type": "rich_text_section", "elements": lines })];
    let (arguments, note) = facts.arguments(NOTICE_EXCERPT_CHARS_MAX);
    // Slack refuses empty texts.
    if !arguments.is_empty() {
        elements.push(json!({ "type": "rich_text_preformatted", "elements": [text(&arguments)] }));
    }
    if let Some(note) = note {
        elements.push(json!({ "type": "rich_text_section", "elements": [text(&note)] }));
    }
    let asks = facts.event == Event::Requested;
    let (label, style) = if asks { ("Review and decide", Some("primary")) } else { ("Look", None) };
    let mut button = json!({
        "type": "button", "text": { "type": "plain_text", "text": label, "emoji": false },
        "url": facts.link, "action_id": "portcullis-open",
    });
    if let (Some(style), Some(button)) = (style, button.as_object_mut()) {
        button.insert("style".to_owned(), style.into());
    }
    json!({
        "text": escaped(&facts.summary()),
        "blocks": [
            { "type": "header", "text": { "type": "plain_text", "text": facts.title(), "emoji": false } },
            { "type": "rich_text", "elements": elements },
            { "type": "actions", "elements": [button] },
        ],
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// What notifications show is read for control sequences: `<` begins all of them. A zero-width word joiner is no way out, as a reader
/// would not see it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
