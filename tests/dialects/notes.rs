//! Notifications of upstreams.

use bytes::Bytes;
use portcullis::mcp::dialect::{lower_log, lower_progress};
use portcullis::mcp::{Incoming, Notification, incoming};

use crate::generate::Generator;
use crate::text::{Json, member, members};
use crate::{rounds, schema};

/// The members of `params` that go on, in their order.
fn kept(params: &str, defined: &[&str]) -> Vec<(String, String)> {
    members(params).into_iter().filter(|(key, _)| defined.contains(&key.as_str())).collect()
}

#[test]
fn notifications_come_back_in_their_revision() {
    let mut seen = [0_u32; 4];
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
                Notification::ListChanged(listing) => {
                    seen[2] += 1;
                    let word = format!("{listing:?}").to_ascii_lowercase();
                    assert_eq!(method, &format!("\"notifications/{word}/list_changed\""), "{at}");
                    continue;
                }
                // These end at the gateway, which says them anew to whom they concern.
                _ => {
                    seen[3] += 1;
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
