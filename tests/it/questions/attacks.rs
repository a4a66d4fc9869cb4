//! A state opens for its principal, route and very call, once, here, until it expires. Everything else gets one answer and reaches
//! nobody.

use aws_lc_rs::digest::{Context, SHA256};
use portcullis::seal::{Binding, Purpose, Sealer};
use portcullis::vocab::PrincipalKey;
use serde_json::{Value, json};

use super::{Asked, World, all, said};
use crate::keys::{self, now_s};
use crate::peer::Peer;
use crate::wire::Req;

/// As the gateway knows a call of the server at `server`.
fn fingerprint(server: &Peer, tool: &str, arguments: &Value) -> Vec<u8> {
    let server = digest(&[b"http", format!("http://{}/mcp", server.addr).as_bytes()]);
    digest(&[b"tools/call", tool.as_bytes(), arguments.to_string().as_bytes(), &server])
}

fn digest(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

struct Forge {
    sealer: Sealer,
    call: Vec<u8>,
    alice: PrincipalKey,
}

impl Forge {
    fn of(world: &World, tool: &str, arguments: &Value) -> Self {
        let sealer = Sealer::open(&world.gate.dir.path().join("data/keys/seal")).unwrap();
        let alice = PrincipalKey { iss: keys::ISSUER.into(), sub: "alice".into() };
        let server = if tool.starts_with("up__") { &world.gate.up } else { &world.gate.old };
        Self { sealer, call: fingerprint(server, tool, arguments), alice }
    }

    fn binding(&self, purpose: Purpose) -> Binding<'_> {
        Binding { purpose, principal: &self.alice, route: "/mcp", context: &self.call }
    }

    fn payload(&self, purpose: Purpose, state: &str) -> Vec<u8> {
        self.sealer.open_text(self.binding(purpose), state, now_s()).unwrap()
    }

    fn seal(&self, purpose: Purpose, payload: &[u8], expires_s: u64) -> String {
        self.sealer.seal(self.binding(purpose), payload, expires_s).unwrap()
    }
}

fn changed(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).unwrap()
}

/// Every request but the last of `rows` gets the one answer, and `upstream` hears nothing of it.
async fn refused(world: &World, upstream: &Peer, rows: Vec<(&str, Req)>) {
    for (what, request) in rows {
        let heard = upstream.seen().len();
        let answer = world.gate.reach.send(&request).await;
        let error = &answer.json()["error"];
        assert_eq!(
            (answer.status, &error["code"], &error["message"], &error["data"]),
            (200, &json!(-32602), &json!("Invalid or expired requestState"), &Value::Null),
            "{what}: {}",
            answer.whole()
        );
        assert_eq!(upstream.seen().len(), heard, "{what} reached the upstream: {:?}", upstream.seen().last());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_call_is_taken_over_by_its_own_retry_only() {
    let world = World::start().await;
    let bob = world.gate.token("bob", &["eng"]);
    let arguments = json!({"ask": [["form"]]});
    let other = json!({"ask": [["form"]], "more": 1});
    // Every list is known before anybody counts.
    for tool in ["old__echo", "old__write", "up__echo"] {
        for token in [&world.alice, &bob] {
            world.gate.reach.send(&world.call(token, tool, &json!({}), &all(), &json!({}))).await;
        }
    }
    let asked = world.asked(&world.alice, "old__echo", &arguments).await;
    let bobs = world.asked(&bob, "old__echo", &arguments).await;
    let forge = Forge::of(&world, "old__echo", &arguments);
    let payload = forge.payload(Purpose::Parked, &asked.state);
    let stated = |state: &str| {
        let asked = Asked { requests: asked.requests.clone(), state: state.to_owned() };
        world.retry(&world.alice, "old__echo", &arguments, &asked, &asked.answers())
    };
    let with = |token: &str, tool: &str, arguments: &Value| world.retry(token, tool, arguments, &asked, &asked.answers());
    let bare = with(&world.alice, "echo", &arguments);
    let unknown = forge.seal(Purpose::Parked, &[7; 16], now_s() + 60);
    let mut rows = vec![
        ("another principal", with(&bob, "old__echo", &arguments)),
        ("another's state", world.retry(&world.alice, "old__echo", &arguments, &bobs, &bobs.answers())),
        ("another tool", with(&world.alice, "old__write", &arguments)),
        ("another upstream", with(&world.alice, "up__echo", &arguments)),
        ("other arguments", with(&world.alice, "old__echo", &other)),
        ("another route", Req { target: "/legacy".into(), ..bare }),
        ("expired", stated(&forge.seal(Purpose::Parked, &payload, now_s() - 1))),
        ("waiting elsewhere", stated(&unknown)),
        ("for another purpose", stated(&forge.seal(Purpose::LinkState, &payload, now_s() + 60))),
        ("shorter inside", stated(&forge.seal(Purpose::Parked, &payload[1..], now_s() + 60))),
        ("longer inside", stated(&forge.seal(Purpose::Parked, &[payload.as_slice(), b"x"].concat(), now_s() + 60))),
        ("empty inside", stated(&forge.seal(Purpose::Visit, b"", now_s() + 60))),
        ("garbage", stated("garbage")),
        ("empty", stated("")),
        ("shorter", stated(&asked.state[1..])),
        ("longer", stated(&format!("{}A", asked.state))),
    ];
    for at in [0, 10, asked.state.len() / 2, asked.state.len() - 2] {
        rows.push(("tampered", stated(&changed(&asked.state, at))));
    }
    refused(&world, &world.gate.old, rows).await;
    // What are no answers takes nothing over either.
    for answers in [json!([]), json!("x"), json!({"k": 1}), json!({"k": null})] {
        let heard = world.gate.old.seen().len();
        let answer = world.gate.reach.send(&world.retry(&world.alice, "old__echo", &arguments, &asked, &answers)).await;
        assert_eq!((answer.code(), world.gate.old.seen().len()), (-32602, heard), "{answers}: {}", answer.whole());
    }
    let good = stated(&asked.state);
    let answer = world.gate.reach.send(&good).await;
    assert!(said(&answer.json()).0.contains("Ada"), "{}", answer.whole());
    refused(&world, &world.gate.old, vec![("replayed", good.clone()), ("and again", good)]).await;
    let answer = world.gate.reach.send(&world.retry(&bob, "old__echo", &arguments, &bobs, &bobs.answers())).await;
    assert!(said(&answer.json()).0.contains("Ada"), "{}", answer.whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_retries_at_once_one_takes_the_call_over() {
    let world = World::start().await;
    let arguments = json!({"ask": [["form"]]});
    for _ in 0..8 {
        let asked = world.asked(&world.alice, "old__echo", &arguments).await;
        let before = world.gate.old.seen().len();
        let retry = world.retry(&world.alice, "old__echo", &arguments, &asked, &asked.answers());
        let answers = futures_util::future::join_all((0..4).map(|_| world.gate.reach.send(&retry))).await;
        let took = answers.iter().filter(|answer| said(&answer.json()).0.contains("Ada")).count();
        let refused = answers.iter().filter(|answer| answer.code() == -32602).count();
        assert_eq!((took, refused, world.gate.old.seen().len()), (1, 3, before + 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_of_an_upstream_goes_back_with_its_own_call_only() {
    let world = World::start().await;
    let bob = world.gate.token("bob", &["eng"]);
    let arguments = json!({"ask": [["form"]]});
    for token in [&world.alice, &bob] {
        for tool in ["up__echo", "up__write", "old__echo"] {
            world.gate.reach.send(&world.call(token, tool, &json!({}), &all(), &json!({}))).await;
        }
    }
    let asked = world.asked(&world.alice, "up__echo", &arguments).await;
    assert_eq!(asked.requests[0].1["params"]["message"], "[up] Who?");
    let forge = Forge::of(&world, "up__echo", &arguments);
    let payload = forge.payload(Purpose::RequestState, &asked.state);
    let with = |token: &str, tool: &str, arguments: &Value| world.retry(token, tool, arguments, &asked, &asked.answers());
    let expired = Asked { requests: Vec::new(), state: forge.seal(Purpose::RequestState, &payload, now_s() - 1) };
    let rows = vec![
        ("another principal", with(&bob, "up__echo", &arguments)),
        ("another tool", with(&world.alice, "up__write", &arguments)),
        ("another upstream", with(&world.alice, "old__echo", &arguments)),
        ("other arguments", with(&world.alice, "up__echo", &json!({"ask": [["form"], []]}))),
        ("expired", world.retry(&world.alice, "up__echo", &arguments, &expired, &json!({}))),
    ];
    refused(&world, &world.gate.up, rows).await;
    let good = with(&world.alice, "up__echo", &arguments);
    let answer = world.gate.reach.send(&good).await;
    assert!(said(&answer.json()).0.contains("Ada"), "{}", answer.whole());
    refused(&world, &world.gate.up, vec![("replayed", good)]).await;
}

/// An upstream that may ask nothing gets no answers either, although it may give a state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_reach_no_upstream_that_may_not_ask() {
    let world = World::with(|files| files.policy = files.policy.replace(super::MAY_ASK, "")).await;
    let arguments = json!({"ask": [[]]});
    let asked = world.asked(&world.alice, "up__echo", &arguments).await;
    assert_eq!(asked.requests.len(), 0);
    let smuggled = json!({"k-form": {"action": "accept", "content": {"name": "smuggled"}}});
    let answer = world.gate.reach.send(&world.retry(&world.alice, "up__echo", &arguments, &asked, &smuggled)).await;
    assert_eq!(answer.json()["result"]["resultType"], "complete", "{}", answer.whole());
    let calls = world.gate.up.calls();
    assert_eq!(calls.len(), 2);
    assert!(calls[1].json()["params"]["requestState"].is_string());
    assert!(calls[1].json()["params"].get("inputResponses").is_none() && !calls[1].whole().contains("smuggled"));
}
