//! Notifications of upstreams.

use bytes::Bytes;
use portcullis::mcp::dialect::{lower_log, lower_progress};
use portcullis::mcp::reply::Announced;
use portcullis::mcp::{Incoming, Notification, incoming};
use serde_json::Value;

use crate::generate::Generator;
use crate::text::{Json, member, members};
use crate::{rounds, schema};

/// The members of `params` that go on, in their order.
fn kept(params: &str, defined: &[&str]) -> Vec<(String, String)> {
    members(params).into_iter().filter(|(key, _)| defined.contains(&key.as_str())).collect()
}

/// Holds what was understood against the text.
fn announced(method: &str, params: &str, said: &Announced, at: &str) {
    let meaning = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    match said {
        Announced::ListChanged(listing) => {
            let word = format!("{listing:?}").to_ascii_lowercase();
            assert_eq!(method, format!("\"notifications/{word}/list_changed\""), "{at}");
        }
        Announced::Updated { uri } => {
            assert_eq!(method, "\"notifications/resources/updated\"", "{at}");
            assert_eq!(member(params, "uri").map(meaning), Some(uri.as_str().into()), "{at}");
        }
        Announced::Task { id } => {
            assert!(method.starts_with("\"notifications/tasks"), "{at}: {method}");
            assert_eq!(member(params, "taskId").map(meaning), Some(id.as_str().into()), "{at}");
        }
        Announced::Acknowledged(interest) => {
            assert_eq!(method, "\"notifications/subscriptions/acknowledged\"", "{at}");
            let sent = meaning(member(params, "notifications").unwrap());
            let flag = |name: &str| sent[name].as_bool().unwrap_or_default();
            let lists = interest.lists;
            assert_eq!(
                (lists.tools, lists.prompts, lists.resources),
                (flag("toolsListChanged"), flag("promptsListChanged"), flag("resourcesListChanged")),
                "{at}"
            );
            let uris = sent["resourceSubscriptions"].as_array().cloned().unwrap_or_default();
            assert_eq!(interest.uris.iter().map(|uri| Value::from(uri.as_str())).collect::<Vec<_>>(), uris, "{at}");
        }
    }
}

#[test]
fn notifications_come_back_in_their_revision() {
    let mut seen = [0_u32; 5];
    rounds(|revision, random, at| {
        for name in schema::union(revision, "ServerNotification") {
            let mut generator = Generator::new(revision, random);
            let note = generator.named(name);
            let Some(Json::Token(method)) = note.member("method") else { panic!("{name}") };
            let params = note.member("params").map(|params| params.write(generator.random));
            let text = params.as_ref().map_or_else(String::new, |params| format!(",\"params\":{params}"));
            let text = format!("{{\"method\":{method}{text},\"jsonrpc\":\"2.0\"}}");
            let lifted =
                incoming::parse(&Bytes::from(text.clone()), revision, 64).unwrap_or_else(|e| panic!("{at}: {e}: {text}"));
            let [Incoming::Notification(lifted)] = lifted.as_slice() else { panic!("{at}: {lifted:?}") };
            let params = params.unwrap_or_else(|| "{}".to_owned());
            let (said, defined): (_, &[&str]) = match lifted {
                Notification::Progress { token, members } => {
                    seen[0] += 1;
                    (lower_progress(revision, token, members), &["progress", "total", "message"])
                }
                Notification::Log { params, .. } => {
                    seen[1] += 1;
                    (lower_log(revision, params), &["level", "logger", "data"])
                }
                // What these announce the gateway says anew to whom it concerns.
                Notification::Subscribed { subscription, said } => {
                    seen[2] += 1;
                    let meta = member(&params, "_meta").unwrap_or_else(|| panic!("{at}: {text}"));
                    let id = member(&meta, "io.modelcontextprotocol/subscriptionId");
                    assert_eq!(id.as_deref(), Some(subscription.as_str()), "{at}");
                    announced(method, &params, said, at);
                    continue;
                }
                Notification::ListChanged(listing) => {
                    seen[3] += 1;
                    announced(method, &params, &Announced::ListChanged(*listing), at);
                    continue;
                }
                Notification::Updated { uri } => {
                    seen[4] += 1;
                    announced(method, &params, &Announced::Updated { uri: uri.clone() }, at);
                    continue;
                }
                Notification::Task { id } => {
                    announced(method, &params, &Announced::Task { id: id.clone() }, at);
                    continue;
                }
                Notification::Cancelled(id) => {
                    assert_eq!(member(&params, "requestId").as_deref(), Some(id.as_str()), "{at}");
                    continue;
                }
                // Of these nobody is told: tasks and pages that ended, agreements without a subscription.
                Notification::Other(other) => {
                    assert_eq!(method, &format!("\"{other}\""));
                    assert!(!other.contains("list_changed") && !other.contains("updated"), "{at}: {text}");
                    continue;
                }
            };
            let said = String::from_utf8(said).unwrap();
            assert_eq!(member(&said, "method").as_ref(), Some(method), "{at}");
            let said = member(&said, "params").unwrap_or_else(|| "{}".to_owned());
            assert_eq!(kept(&said, defined), kept(&params, defined), "{at}: {name}");
            assert_eq!(kept(&said, &["progressToken"]), kept(&params, &["progressToken"]), "{at}: {name}");
        }
    });
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}
