//! What clients are told outside of calls: on the stream of `subscriptions/listen` (2026-07-28), where every message names the
//! subscription, and on the stream that a session opens by GET, where none does.

use crate::mcp::interest::Interest;
use crate::mcp::keys;
use crate::mcp::raw::{RawId, RawJson};
use crate::mcp::reply::{Listing, ResultBody};
use crate::mcp::write::{Object, object_bytes};

/// Writes `notifications/subscriptions/acknowledged`: what of the filter is honoured. The first message of a subscription.
pub fn lower_acknowledged(subscription: &RawId, honoured: &Interest) -> Vec<u8> {
    notification("notifications/subscriptions/acknowledged", Some(subscription), |params| {
        params.raw("notifications", honoured.to_json().as_bytes());
    })
}

/// Writes `notifications/…/list_changed`, of a subscription or for a session.
pub fn lower_list_changed(subscription: Option<&RawId>, listing: Listing) -> Vec<u8> {
    let method = match listing {
        Listing::Tools => "notifications/tools/list_changed",
        Listing::Prompts => "notifications/prompts/list_changed",
        Listing::Resources => "notifications/resources/list_changed",
    };
    if subscription.is_some() {
        return notification(method, subscription, |_| {});
    }
    object_bytes(96, |out| {
        out.text("jsonrpc", "2.0").text("method", method);
    })
}

/// Writes `notifications/resources/updated` with the URI as the client knows it.
pub fn lower_updated(subscription: Option<&RawId>, uri: &str) -> Vec<u8> {
    notification("notifications/resources/updated", subscription, |params| {
        params.text("uri", uri);
    })
}

/// Writes how a task stands: `notifications/tasks` of a subscription, `notifications/tasks/status` for a session. `members` are those
/// of the task as the client knows it.
pub fn lower_task(subscription: Option<&RawId>, members: &[(RawJson, RawJson)]) -> Vec<u8> {
    let method = if subscription.is_some() { "notifications/tasks" } else { "notifications/tasks/status" };
    notification(method, subscription, |params| {
        params.members(members);
    })
}

/// The result that ends a subscription in good order.
pub fn subscription_result(subscription: &RawId) -> ResultBody {
    let id = RawJson::of_ours(subscription.as_str().as_bytes().to_vec());
    ResultBody { meta: vec![(RawJson::of_text(keys::SUBSCRIPTION_ID), id)], ..ResultBody::default() }
}

fn notification(method: &'static str, subscription: Option<&RawId>, fill: impl FnOnce(&mut Object<'_>)) -> Vec<u8> {
    object_bytes(192, |out| {
        out.text("jsonrpc", "2.0").text("method", method);
        out.object("params", |params| {
            if let Some(id) = subscription {
                params.object("_meta", |meta| {
                    meta.raw(keys::SUBSCRIPTION_ID, id.as_str().as_bytes());
                });
            }
            fill(params);
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::interest::ListSet;

    #[test]
    fn every_message_of_a_subscription_names_it_as_the_client_did() {
        let id = |text: &'static str| RawId::of(&RawJson::of_static(text)).unwrap();
        for (name, token) in [(id("7"), "7"), (id("\"7\""), "\"7\"")] {
            let meta = format!("\"_meta\":{{\"io.modelcontextprotocol/subscriptionId\":{token}}}");
            let lists = ListSet { tools: true, ..ListSet::NONE };
            let honoured = Interest { lists, uris: vec!["up+a:b".to_owned()], ..Interest::default() };
            for message in [
                lower_acknowledged(&name, &honoured),
                lower_list_changed(Some(&name), Listing::Tools),
                lower_updated(Some(&name), "up+a:b"),
                lower_task(Some(&name), &[(RawJson::of_static("\"taskId\""), RawJson::of_static("\"t\""))]),
            ] {
                let text = String::from_utf8(message).unwrap();
                assert!(text.contains(&meta), "{text}");
            }
        }
        let acknowledged = String::from_utf8(lower_acknowledged(&id("7"), &Interest::default())).unwrap();
        assert!(acknowledged.ends_with("\"notifications\":{}}}"), "{acknowledged}");
    }

    #[test]
    fn a_session_is_told_without_a_name() {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert_eq!(
            text(lower_updated(None, "a\"b")),
            r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a\"b"}}"#
        );
        assert_eq!(
            text(lower_list_changed(None, Listing::Prompts)),
            r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#
        );
        assert_eq!(
            text(lower_task(None, &[(RawJson::of_static("\"taskId\""), RawJson::of_static("\"t\""))])),
            r#"{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"t"}}"#
        );
    }
}
