//! Teams: a message with an Adaptive Card, as the webhook of a workflow takes it. What others wrote stands in text runs, in which
//! there is no Markdown.

use serde_json::{Value, json};

use crate::notice::event::Event;
use crate::notice::facts::Facts;
use crate::notice::limits::NOTICE_EXCERPT_CHARS_MAX;

/// Lines of the arguments; each is an element of the card.
const LINES_MAX: usize = 60;

pub(super) fn message(facts: &Facts) -> Value {
    let mut body = vec![json!({ "type": "TextBlock", "text": facts.title(), "size": "Large", "weight": "Bolder", "wrap": true })];
    for (word, what) in facts.rows() {
        let word = json!({ "type": "TextRun", "text": format!("{word}: "), "weight": "Bolder" });
        body.push(line(vec![word, json!({ "type": "TextRun", "text": what })]));
    }
    let (arguments, note) = facts.arguments(NOTICE_EXCERPT_CHARS_MAX);
    let more = arguments.lines().count().saturating_sub(LINES_MAX);
    for text in arguments.lines().take(LINES_MAX) {
        // Spaces at the beginning would be lost.
        let spaces = text.len() - text.trim_start_matches(' ').len();
        let text = format!("{}{}", "\u{a0}".repeat(spaces), text.trim_start_matches(' '));
        body.push(line(vec![json!({ "type": "TextRun", "text": text, "fontType": "Monospace" })]));
    }
    let more = (more > 0).then(|| format!("{more} lines more are not shown here"));
    for note in more.into_iter().chain(note) {
        body.push(line(vec![json!({ "type": "TextRun", "text": note, "isSubtle": true })]));
    }
    let label = if facts.event == Event::Requested { "Review and decide" } else { "Look" };
    json!({
        "type": "message",
        "summary": facts.title(),
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": body,
                "actions": [{ "type": "Action.OpenUrl", "title": label, "url": facts.link }],
            },
        }],
    })
}

fn line(inlines: Vec<Value>) -> Value {
    json!({ "type": "RichTextBlock", "spacing": "None", "inlines": inlines })
}
