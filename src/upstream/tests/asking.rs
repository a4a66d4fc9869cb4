//! Questions in a conversation that carries several calls: they name no call, and must reach the one that asked.

use super::stdio::{SERVER, python};
use super::*;

/// `quiet` is answered once another call asked, `ask` asks and says what it heard, `pair` asks when there are two of it, `late` when it
/// is cancelled.
const ASKING: &str = r#"
quiet, open, pair, late = [], {}, [], {}
def ask(m):
    open["q%s" % m["id"]] = m
    send({"jsonrpc": "2.0", "id": "q%s" % m["id"], "method": "roots/list"})
for line in sys.stdin:
    m = json.loads(line)
    method = m.get("method")
    if method == "server/discover": send({"jsonrpc": "2.0", "id": m["id"], "error": {"code": -32601, "message": "no"}})
    elif method == "initialize":
        reply(m, protocolVersion="2025-11-25", capabilities={"tools": {}}, serverInfo={"name": "x", "version": "1"})
    elif method == "tools/call":
        name = m["params"]["name"]
        if name == "quiet": quiet.append(m)
        elif name == "ask":
            ask(m)
            while quiet: reply(quiet.pop(), ok=1)
        elif name == "pair":
            pair.append(m)
            if len(pair) == 2:
                for m in pair: ask(m)
        elif name == "leave": ask(m)
        elif name == "late": late[m["id"]] = m
        elif name == "open": reply(m, open=sorted(open))
    elif method == "notifications/cancelled" and m["params"]["requestId"] in late: ask(late.pop(m["params"]["requestId"]))
    elif method is None and m.get("id") in open:
        reply(open.pop(m["id"]), heard=m["result"]["roots"] if "result" in m else m["error"]["code"])
"#;

fn asking() -> UpstreamSettings {
    let text = format!("{SERVER}{ASKING}");
    settings(Transport::Stdio { command: python(), args: vec!["-c".to_owned(), text], env: Vec::new(), cwd: None })
}

pub(super) async fn begin(upstream: &Upstream, name: &str) -> Answer {
    let roots = ClientCaps { roots: true, ..ClientCaps::NONE };
    let out = Outgoing { session_capabilities: roots, ..tool(name) };
    upstream.call(permit(name), &who("a"), &out, soon()).await.unwrap()
}

/// Waits for the question of a call, answers it with a root of this name, and waits for what the call says then.
pub(super) async fn asked(answer: &mut Answer, root: &'static str) -> String {
    match answer.next().await {
        Some(Ok(Event::Question { id, .. })) => {
            let roots = RawJson::of_ours(format!("{{\"roots\":[\"{root}\"]}}").into_bytes());
            answer.answer(&id, QuestionReply::Result(roots)).await.unwrap();
            finish(answer).await.unwrap()
        }
        Some(Ok(Event::Reply(_))) => "nobody was asked".to_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_question_waits_for_the_other_calls_to_be_over() {
    let (registry, upstream, _) = registry(asking());
    let mut quiet = begin(&upstream, "quiet").await;
    let mut asks = begin(&upstream, "ask").await;
    assert_eq!(asked(&mut asks, "a").await, r#""heard":["a"]"#);
    assert_eq!(finish(&mut quiet).await.unwrap(), r#""ok":1"#);
    registry.shutdown(soon()).await;
}

#[tokio::test]
async fn calls_of_one_who_asks_take_turns_and_each_gets_its_own() {
    let (registry, upstream, _) = registry(asking());
    // Nobody knows yet that it asks: both were sent, and each may wait for the other.
    let (mut one, mut two) = (begin(&upstream, "pair").await, begin(&upstream, "pair").await);
    for call in [&mut one, &mut two] {
        assert_eq!(finish(call).await.unwrap(), r#""heard":-32601"#);
    }
    let ask = |root: &'static str| {
        let upstream = &upstream;
        async move { asked(&mut begin(upstream, "ask").await, root).await }
    };
    let (a, b, c) = tokio::join!(ask("a"), ask("b"), ask("c"));
    assert_eq!((a.as_str(), b.as_str(), c.as_str()), (r#""heard":["a"]"#, r#""heard":["b"]"#, r#""heard":["c"]"#));
    registry.shutdown(soon()).await;
}

/// A call that waits for a person holds up the others for a moment only; nor is what it asked theirs when it is given up.
#[tokio::test]
async fn a_call_that_waits_for_a_person_does_not_stop_the_others() {
    let (registry, upstream, _) = registry(asking());
    let mut waits = begin(&upstream, "ask").await;
    let Some(Ok(Event::Question { id, .. })) = waits.next().await else { panic!() };
    let mut beside = begin(&upstream, "quiet").await;
    let mut gone = begin(&upstream, "leave").await;
    assert!(tokio::time::timeout(Duration::from_millis(300), gone.next()).await.is_err(), "its question is held");
    drop(gone);
    assert!(tokio::time::timeout(Duration::from_millis(300), beside.next()).await.is_err(), "and is nobody else's");
    waits.answer(&id, QuestionReply::Result(RawJson::of_static(r#"{"roots":[]}"#))).await.unwrap();
    assert_eq!(finish(&mut waits).await.unwrap(), r#""heard":[]"#);
    let mut open = begin(&upstream, "open").await;
    assert_eq!(finish(&mut open).await.unwrap(), r#""open":[]"#, "it was refused");
    drop(beside);
    registry.shutdown(soon()).await;
}

/// What a call asked that was given up is not asked of another, whichever of them waits.
#[tokio::test]
async fn a_question_that_comes_after_its_call_was_given_up_is_nobodys() {
    let (registry, upstream, _) = registry(asking());
    let mut stays = begin(&upstream, "quiet").await;
    let gone = begin(&upstream, "late").await;
    drop(gone);
    let mut left = String::new();
    for _ in 0..3 {
        left = finish(&mut begin(&upstream, "open").await).await.unwrap();
        if left == r#""open":[]"# {
            break;
        }
    }
    assert_eq!(left, r#""open":[]"#, "it was refused");
    assert!(tokio::time::timeout(Duration::from_millis(100), stays.next()).await.is_err(), "and is nobody else's");
    // Whoever comes later is asked again.
    assert_eq!(asked(&mut begin(&upstream, "ask").await, "a").await, r#""heard":["a"]"#);
    assert_eq!(finish(&mut stays).await.unwrap(), r#""ok":1"#);
    registry.shutdown(soon()).await;
}
