//! Questions that a server with sessions asks on the stream of the session instead of that of the call.

use super::asking::begin;
use super::live::{Live, STREAM, Said, chunk, live, message, verb};
use super::watch::at;
use super::*;

type Get = fn() -> Said;

/// A server of 2025-11-25; `get` and `call` say what it does when its stream is asked for, and with a call.
async fn server(get: Get, call: fn(&str) -> Said) -> Arc<Live> {
    server_by(move |_| get(), call, answered).await
}

/// As [`server`]; `get` knows how many were before, and `ping` says what becomes of a ping.
async fn server_by(
    get: impl Fn(usize) -> Said + Send + Sync + 'static,
    call: fn(&str) -> Said,
    ping: fn(&Asked) -> Said,
) -> Arc<Live> {
    live(move |asked, server| match (verb(asked).as_str(), asked.method()) {
        ("GET", _) => get(server.asked("GET").len()),
        (_, "server/discover") => Said::Once(respond("400 Bad Request", "", "")),
        (_, "initialize") => {
            let headers = "content-type: application/json\r\nmcp-session-id: s\r\n";
            let body = r#""protocolVersion":"2025-11-25","capabilities":{"tools":{}}"#;
            Said::Once(respond("200 OK", headers, &result(asked, body)))
        }
        (_, "ping") => ping(asked),
        (_, "tools/call") if asked.body.contains(r#""name":"done""#) => Said::Once(json(&result(asked, r#""ok":1"#))),
        (_, "tools/call") => call(if asked.body.contains(r#""name":"two""#) { "two" } else { "one" }),
        _ => Said::Once(respond("202 Accepted", "", "")),
    })
    .await
}

fn answered(asked: &Asked) -> Said {
    Said::Once(json(&result(asked, "")))
}

fn open() -> Said {
    Said::Open("get", Vec::new())
}

fn stream_of(call: &str) -> Said {
    Said::Open(if call == "two" { "two" } else { "one" }, Vec::new())
}

fn question(id: &str) -> String {
    message(&format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"roots/list"}}"#))
}

/// What the server was told of its question `id`.
async fn told(server: &Live, id: &str) -> String {
    let start = format!(r#"{{"jsonrpc":"2.0","id":"{id}","#);
    let of = || server.asked("").into_iter().find_map(|asked| asked.body.strip_prefix(&start).map(str::to_owned));
    assert!(within_2s(|| of().is_some()).await, "nothing about {id}");
    of().unwrap()
}

/// The id of the `nth` call.
fn id_of(server: &Live, nth: usize) -> String {
    server.asked("tools/call")[nth].id()
}

fn answer_to(server: &Live, nth: usize) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"ok":1}}}}"#, id_of(server, nth))
}

/// Whether it comes to be, with the pauses between attempts.
async fn in_time(mut done: impl FnMut() -> bool) -> bool {
    for _ in 0..10 {
        if within_2s(&mut done).await {
            return true;
        }
    }
    false
}

/// Waits for a question, and answers it.
async fn heard(answer: &mut Answer, expected: &str) {
    let Some(Ok(Event::Question { id, method, .. })) = answer.next().await else { panic!("nobody was asked {expected}") };
    assert_eq!((id.as_str(), method.as_str()), (format!("\"{expected}\"").as_str(), "roots/list"));
    answer.answer(&id, QuestionReply::Result(RawJson::of_static(r#"{"roots":[]}"#))).await.unwrap();
}

#[tokio::test]
async fn a_question_reaches_the_call_however_its_own_answer_comes() {
    type Call = (&'static str, fn(&str) -> Said, fn(String) -> String);
    let kinds: [Call; 3] = [
        ("a stream", stream_of, |answer| message(&answer)),
        ("a stream that begins late", |_| Said::Raw("one"), |answer| format!("{STREAM}{}", chunk(&message(&answer)))),
        (
            "a document",
            |_| Said::Raw("one"),
            |answer| {
                let headers = "content-type: application/json\r\nconnection: close\r\n";
                String::from_utf8(respond("200 OK", headers, &answer).unwrap()).unwrap()
            },
        ),
    ];
    for (what, call, written) in kinds {
        let server = server(open, call).await;
        let (registry, upstream, _) = registry(at(&server));
        let asks = async {
            assert!(within_2s(|| server.open("one") == 1).await, "{what}");
            let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":ID,"progress":1}}"#;
            assert_eq!(server.write("get", &message(&progress.replace("ID", &id_of(&server, 0)))), 1);
            assert_eq!(server.write("get", &question("q")), 1);
        };
        let (mut answer, ()) = tokio::join!(begin(&upstream, "one"), asks);
        assert!(matches!(answer.next().await, Some(Ok(Event::Progress { .. }))), "{what}");
        heard(&mut answer, "q").await;
        assert_eq!(told(&server, "q").await, r#""result":{"roots":[]}}"#, "{what}");
        assert_eq!(server.write("one", &written(answer_to(&server, 0))), 1);
        assert_eq!(finish(&mut answer).await.unwrap(), r#""ok":1"#, "{what}");
        assert_eq!(server.write("get", &question("after")), 1);
        assert!(told(&server, "after").await.starts_with(r#""error":{"code":-32601"#), "{what}");
        assert!(server.asked("notifications/cancelled").is_empty(), "{what}");
        registry.shutdown(soon()).await;
    }
}

#[tokio::test]
async fn of_several_calls_none_is_asked_what_another_may_have_asked() {
    let server = server(open, stream_of).await;
    let (registry, upstream, _) = registry(at(&server));
    let (mut one, mut two) = (begin(&upstream, "one").await, begin(&upstream, "two").await);
    server.write("get", &question("q1"));
    assert!(tokio::time::timeout(Duration::from_millis(200), one.next()).await.is_err(), "it is held");
    server.write("one", &message(&answer_to(&server, 0)));
    assert_eq!(finish(&mut one).await.unwrap(), r#""ok":1"#);
    heard(&mut two, "q1").await;
    server.write("two", &message(&answer_to(&server, 1)));
    assert_eq!(finish(&mut two).await.unwrap(), r#""ok":1"#);
    // What nobody can tell apart is refused in the end, and so is what comes after a call was given up.
    let (one, _two) = (begin(&upstream, "one").await, begin(&upstream, "two").await);
    server.write("get", &question("q2"));
    server.write("get", &question("q3"));
    assert!(told(&server, "q2").await.contains("-32601") && told(&server, "q3").await.contains("-32601"));
    drop(one);
    server.write("get", &question("q4"));
    assert!(told(&server, "q4").await.contains("-32601"));
    registry.shutdown(soon()).await;
}

#[tokio::test]
async fn a_question_that_is_held_too_long_is_refused() {
    let server = server(open, stream_of).await;
    let (registry, upstream, _) = registry(at(&server));
    let (_one, _two) = (begin(&upstream, "one").await, begin(&upstream, "two").await);
    server.write("get", &question("q"));
    let refused = || server.asked("").iter().any(|asked| asked.body.contains(r#""id":"q","error":{"code":-32601"#));
    assert!(in_time(refused).await);
    registry.shutdown(soon()).await;
}

#[tokio::test]
async fn a_server_without_such_a_stream_is_called_all_the_same() {
    let kinds: [(&str, Get); 5] = [
        ("it has none", || Said::Once(respond("405 Method Not Allowed", "", ""))),
        ("it says so otherwise", || Said::Once(respond("404 Not Found", "", ""))),
        ("it wants another credential for it", || Said::Once(respond("401 Unauthorized", "", ""))),
        ("it forbids it", || Said::Once(respond("403 Forbidden", "", ""))),
        ("it never begins", || Said::Nothing),
    ];
    for (what, get) in kinds {
        let server = server(get, stream_of).await;
        let (registry, upstream, _) = registry(at(&server));
        for _ in 0..3 {
            let mut answer = begin(&upstream, "done").await;
            assert_eq!(finish(&mut answer).await.unwrap(), r#""ok":1"#, "{what}");
        }
        assert_eq!((server.asked("GET").len(), server.asked("initialize").len()), (1, 1), "{what}");
        registry.shutdown(soon()).await;
    }
}

#[tokio::test]
async fn progress_takes_no_place_of_questions() {
    let server = server(open, stream_of).await;
    let (registry, upstream, _) = registry(at(&server));
    let mut answer = begin(&upstream, "one").await;
    let params = format!(r#"{{"progressToken":{},"progress":1}}"#, id_of(&server, 0));
    let progress = message(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#));
    server.write("get", &progress.repeat(200));
    server.write("get", &question("q"));
    let id = loop {
        match answer.next().await {
            Some(Ok(Event::Progress { .. })) => {}
            Some(Ok(Event::Question { id, .. })) => break id,
            other => panic!("{other:?}"),
        }
    };
    answer.answer(&id, QuestionReply::Result(RawJson::of_static(r#"{"roots":[]}"#))).await.unwrap();
    assert_eq!(told(&server, "q").await, r#""result":{"roots":[]}}"#);
    registry.shutdown(soon()).await;
}

#[tokio::test]
async fn the_stream_is_open_for_those_who_can_be_asked_as_long_as_their_session() {
    let kinds: [(&str, Get); 2] = [("open", open), ("late", || Said::Raw("get"))];
    for (what, get) in kinds {
        let server = server(get, stream_of).await;
        let mut small = at(&server);
        small.limits.sessions_max = 1;
        let (registry, upstream, _) = registry(small);
        assert_eq!(call(&upstream, "b", "done").await.unwrap(), r#""ok":1"#);
        assert_eq!(server.asked("GET").len(), 0, "nobody can be asked");
        assert_eq!(finish(&mut begin(&upstream, "done").await).await.unwrap(), r#""ok":1"#);
        assert_eq!(server.open("get"), 1, "{what}");
        assert_eq!(call(&upstream, "b", "done").await.unwrap(), r#""ok":1"#, "{what}: it is in nobody's way");
        assert!(within_2s(|| server.open("get") == 0).await, "{what}");
        registry.shutdown(soon()).await;
    }
}

#[tokio::test]
async fn whoever_shares_a_session_is_asked_nothing() {
    let server = server(open, stream_of).await;
    let mut shared = at(&server);
    shared.shared = true;
    let (registry, upstream, _) = registry(shared);
    assert_eq!(finish(&mut begin(&upstream, "done").await).await.unwrap(), r#""ok":1"#);
    assert_eq!(server.asked("GET").len(), 0);
    registry.shutdown(soon()).await;
}

#[tokio::test]
async fn a_stream_that_was_open_is_opened_again_and_waited_for() {
    let get = |before| match before {
        2 => Said::Once(respond("403 Forbidden", "", "")),
        _ => open(),
    };
    let server = server_by(get, stream_of, answered).await;
    let (registry, upstream, _) = registry(at(&server));
    assert_eq!(finish(&mut begin(&upstream, "done").await).await.unwrap(), r#""ok":1"#);
    assert_eq!(server.end("get"), 1);
    // Until the end is read.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (mut answer, ()) = tokio::join!(begin(&upstream, "one"), async {
        assert!(in_time(|| server.open("one") == 1).await);
        assert_eq!(server.write("get", &question("q1")), 1, "the call was sent before");
    });
    heard(&mut answer, "q1").await;
    assert_eq!(server.end("get"), 1);
    assert!(in_time(|| server.open("get") == 1).await);
    assert_eq!(server.asked("GET").len(), 4, "something on the way refused it once");
    server.write("get", &question("q2"));
    heard(&mut answer, "q2").await;
    registry.shutdown(soon()).await;
}

#[tokio::test]
async fn a_stream_that_is_refused_keeps_no_session_and_needs_no_other_credential() {
    let server = server_by(|_| Said::Once(respond("401 Unauthorized", "", "")), stream_of, |_| Said::Nothing).await;
    let mut small = at(&server);
    small.limits.sessions_max = 1;
    let people = Arc::<super::credentials::People>::default();
    ["a", "b"].into_iter().for_each(|sub| people.link(sub, 1, "token"));
    small.credential = Credential::PerUser(people.clone());
    let (registry, upstream, _) = registry(small);
    assert_eq!(finish(&mut begin(&upstream, "done").await).await.unwrap(), r#""ok":1"#);
    assert!(within_2s(|| server.asked("ping").len() == 1).await);
    assert_eq!(call(&upstream, "b", "done").await.unwrap(), r#""ok":1"#, "the ping that nobody answers is in nobody's way");
    assert!(people.rejected.lock().is_empty(), "a stream is not worth a new token");
    registry.shutdown(soon()).await;
}

#[tokio::test]
async fn what_is_taken_back_or_cannot_be_asked_is_in_the_way_of_nothing() {
    let server = server(open, stream_of).await;
    let (registry, upstream, _) = registry(at(&server));
    let (mut one, mut two) = (begin(&upstream, "one").await, begin(&upstream, "two").await);
    server.write("get", &message(r#"{"jsonrpc":"2.0","id":"e","method":"elicitation/create","params":{"message":"m"}}"#));
    assert!(told(&server, "e").await.contains("-32601"), "the client has only roots");
    server.write("get", &question("q1"));
    server.write("get", &message(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q1"}}"#));
    server.write("get", &question("q2"));
    assert!(tokio::time::timeout(Duration::from_millis(200), one.next()).await.is_err(), "it is held");
    server.write("one", &message(&answer_to(&server, 0)));
    assert_eq!(finish(&mut one).await.unwrap(), r#""ok":1"#);
    heard(&mut two, "q2").await;
    registry.shutdown(soon()).await;
}

#[tokio::test]
async fn an_event_that_is_too_large_is_not_asked_for_again() {
    let server = server(open, stream_of).await;
    let (registry, upstream, _) = registry(at(&server));
    let mut answer = begin(&upstream, "one").await;
    let large = message(&format!(r#"{{"jsonrpc":"2.0","method":"x/{}"}}"#, "x".repeat(2 << 20)));
    server.write("get", &format!("id: e-1\n{}", message(r#"{"jsonrpc":"2.0","method":"x/y"}"#)));
    server.write("get", &format!("id: e-2\n{large}"));
    assert!(in_time(|| server.asked("GET").len() == 2 && server.open("get") == 1).await);
    assert_eq!(server.asked("GET")[1].header("last-event-id"), None);
    server.write("get", &question("q"));
    heard(&mut answer, "q").await;
    registry.shutdown(soon()).await;
}
