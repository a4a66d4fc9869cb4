//! Sessions at servers: which refusal ends one, which does not, and what a call hears of it.

use serde_json::Value;

use crate::gate::Gate;
use crate::peer::{Answer, Seen};
use crate::upstream_ways::{called, did, refused, sent, strict};

/// A refusal under the request's own id.
fn named(seen: &Seen, status: u16, code: i64) -> Answer {
    refused(status, &seen.json()["id"], code)
}

/// How a server refuses what stands in a session that it does not know.
type Refusal = fn(&Seen) -> Answer;

/// A server started anew, which calls its sessions `session` and refuses those it does not know as `refusal` says.
fn started(gate: &Gate, session: &'static str, refusal: Refusal) {
    gate.old.behave(move |seen| strict(seen, session, || refusal(seen)));
}

#[tokio::test]
async fn a_404_in_a_living_session_is_the_calls_own_answer() {
    let refusals: [(&str, Refusal); 4] = [
        ("its own id", |seen| named(seen, 404, -32_603)),
        ("no id", |_| refused(404, &Value::Null, -32_000)),
        ("no message", |_| Answer::Json(404, "", r#"{"detail":"Not Found"}"#.to_owned())),
        ("nothing", |_| Answer::Json(404, "", String::new())),
    ];
    for (what, refusal) in refusals {
        let gate = Gate::start().await;
        started(&gate, "one", |_| refused(404, &Value::Null, -32_000));
        assert!(did(&called(&gate, "old__echo").await), "{what}");
        // It does the work and says 404.
        gate.old.behave(move |seen| match seen.rpc().as_str() {
            "tools/call" => refusal(seen),
            _ => strict(seen, "one", || refused(404, &Value::Null, -32_000)),
        });
        for calls in 2..=4 {
            assert!(!did(&called(&gate, "old__write").await), "{what}");
            assert_eq!(gate.old.calls().len(), calls, "{what}: the work is done once");
        }
        assert_eq!(sent(&gate, "initialize"), 1, "{what}: {:?}", gate.old.seen());
        // One that lost the session says so to the ping, too: there the call goes out again.
        started(&gate, "two", |seen| named(seen, 404, -32_600));
        assert!(did(&called(&gate, "old__write").await), "{what}: {:?}", gate.old.seen());
        assert_eq!((gate.old.calls().len(), sent(&gate, "initialize")), (6, 2), "{what}");
    }
}
