//! One message in the form that a receiver reads. Text of others is only ever put where it is taken literally.

mod json;
pub(super) mod mail;
mod pagerduty;
mod slack;
mod teams;

use secrecy::ExposeSecret as _;

use super::event::Event;
use super::facts::Facts;
use crate::config::{Way, WebhookFormat};

/// Whether `way` tells of `event`. Programs are told everything; people are not told that what they approved was done.
pub(super) fn tells(way: &Way, event: Event) -> bool {
    event != Event::Used || matches!(way, Way::Webhook(webhook) if matches!(webhook.format, WebhookFormat::Json))
}

/// The body of a webhook.
pub(super) fn body(format: &WebhookFormat, facts: &Facts) -> String {
    match format {
        WebhookFormat::Json => json::document(facts),
        WebhookFormat::Slack => slack::message(facts),
        WebhookFormat::Teams => teams::message(facts),
        WebhookFormat::PagerDuty(key) => pagerduty::event(facts, key.expose_secret()),
    }
    .to_string()
}

#[cfg(test)]
mod tests;
