//! How many streams there may be, and what one takes.

use serde_json::{Value, json};

use super::{Feed, TOOLS, acknowledged, fed, get, listen, streamed};
use crate::gate::{Gate, soon};
use crate::wire::SOON;

/// Beside its connection, a stream that nothing happens on takes less than this, its watch of an upstream included.
const IDLE_KIB_MAX: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounds_of_streams_answer_clearly() {
    let (gate, ..) = fed(|files| files.config = files.config.replace("limits: {", "limits: { in_flight: 4,")).await;
    let (alice, bob) = (gate.token("alice", &["eng"]), gate.token("bob", &["eng"]));
    let mut open = Vec::new();
    for _ in 0..16 {
        let mut conn = streamed(&gate, &listen(&gate, "/mcp", &alice, TOOLS)).await;
        acknowledged(&mut conn).await;
        open.push(conn);
    }
    let more = gate.reach.send(&listen(&gate, "/mcp", &alice, TOOLS)).await;
    assert_eq!((more.status, more.header("retry-after"), &more.json()["id"]), (429, Some("5"), &json!(7)), "{}", more.whole());
    assert!(more.text().contains("Too many streams"), "{}", more.whole());
    let session = gate.session("/mcp", &alice, "2025-11-25").await;
    assert_eq!(gate.reach.send(&get(&gate, "/mcp", &alice, &session)).await.status, 429);
    // They take no place from calls, nor from others.
    assert_eq!(gate.reach.send(&gate.call("/mcp", &alice, "up__echo", "{}")).await.status, 200);
    acknowledged(&mut streamed(&gate, &listen(&gate, "/mcp", &bob, TOOLS)).await).await;
    assert_eq!(gate.metric("portcullis_in_flight").await, "0");
    open.pop();
    let cancelled = |r: &Value| r["principal"]["sub"] == "alice" && r["outcome"]["status"] == "cancelled";
    soon("the place is free", || gate.records().iter().any(cancelled)).await;
    acknowledged(&mut streamed(&gate, &listen(&gate, "/mcp", &alice, TOOLS)).await).await;

    let many: Vec<String> = (0..65).map(|n| format!("\"up+a:{n}\"")).collect();
    let many = listen(&gate, "/mcp", &bob, &format!(r#""resourceSubscriptions":[{}]"#, many.join(",")));
    let plain = listen(&gate, "/mcp", &bob, TOOLS);
    for (what, request, status, code) in [
        ("too many", many, 200, -32602),
        ("no stream taken", plain.clone().set("Accept", "application/json"), 406, -32600),
        ("no filter", plain.clone().edit("\"notifications\":{\"toolsListChanged\":true},", ""), 200, -32602),
        ("a wrong filter", plain.edit("{\"toolsListChanged\":true}", "{\"resourceSubscriptions\":[1]}"), 400, -32602),
    ] {
        let answer = gate.reach.send(&request).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{what}: {}", answer.whole());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_share_of_one_principal_is_for_the_operator_to_say() {
    let share = |most: usize| format!("limits: {{ streams_per_principal: {most},");
    let (gate, ..) = fed(|files| files.config = files.config.replace("limits: {", &share(2))).await;
    let alice = gate.token("alice", &["eng"]);
    let mut open = Vec::new();
    for most in [2, 3] {
        while open.len() < most {
            open.push(streamed(&gate, &listen(&gate, "/mcp", &alice, TOOLS)).await);
        }
        let more = gate.reach.send(&listen(&gate, "/mcp", &alice, TOOLS)).await;
        assert_eq!(more.status, 429, "{}", more.whole());
        let config = std::fs::read_to_string(gate.dir.path().join("portcullis.yaml")).unwrap();
        gate.reload("portcullis.yaml", &config.replace(&share(most), &share(most + 1)));
        let until = tokio::time::Instant::now() + SOON;
        loop {
            let mut conn = gate.reach.open().await;
            conn.write(&listen(&gate, "/mcp", &alice, TOOLS).bytes()).await;
            if conn.head().await.status == 200 {
                open.push(conn);
                break;
            }
            assert!(tokio::time::Instant::now() < until, "{most}");
        }
    }
    // A smaller share ends nothing that is open, and a stream that closes makes no room.
    let config = std::fs::read_to_string(gate.dir.path().join("portcullis.yaml")).unwrap();
    gate.reload("portcullis.yaml", &config.replace(&share(4), &share(1)));
    open.pop();
    let until = tokio::time::Instant::now() + SOON;
    loop {
        let free = gate.metric("portcullis_streams").await == "3";
        let mut conn = gate.reach.open().await;
        conn.write(&listen(&gate, "/mcp", &alice, TOOLS).bytes()).await;
        if conn.head().await.status == 429 && free {
            break;
        }
        assert!(tokio::time::Instant::now() < until);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_stream_takes_little_memory() {
    const PEOPLE: usize = 20;
    const EACH: usize = 16;
    let gate = Gate::program(|_| {}).await;
    let feed = Feed::default();
    gate.up.behave(feed.modern());
    let mut ready = Vec::new();
    for person in 0..PEOPLE {
        let token = gate.token(&format!("person-{person}"), &["eng"]);
        for n in 0..EACH {
            let request = match n % 2 {
                0 => listen(&gate, "/bare", &token, TOOLS),
                _ => get(&gate, "/bare", &token, &gate.session("/bare", &token, "2025-11-25").await),
            };
            let mut conn = gate.reach.open().await;
            conn.write(&gate.call("/bare", &token, "echo", "{}").bytes()).await;
            assert_eq!(conn.response().await.status, 200);
            ready.push((conn, request));
        }
    }
    let before = gate.rss_kib();
    for (conn, request) in &mut ready {
        conn.write(&request.bytes()).await;
        assert_eq!(conn.head().await.status, 200);
        assert!(conn.event().await.is_some());
    }
    soon("every watch", || feed.streams() == PEOPLE * EACH).await;
    let each = gate.rss_kib().saturating_sub(before) / (PEOPLE * EACH) as u64;
    assert!(each < IDLE_KIB_MAX, "{each} KiB");
}
