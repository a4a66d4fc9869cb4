//! The API for programs: pages of lists, filters, events as they happen, and its own description.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Desk;
use crate::wire::SOON;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_read_page_by_page_each_item_once() {
    let desk = Desk::start().await;
    let token = desk.api_token("root", &[]);
    let mut asked = BTreeSet::new();
    for n in 0..7 {
        let sub = if n % 2 == 0 { "alice" } else { "bob" };
        asked.insert(desk.ask(sub, "up__delete", &format!("{{\"n\":{n}}}")).await);
    }
    for (query, expected) in
        [("", 7), ("&principal=alice", 4), ("&state=pending", 7), ("&state=denied", 0), ("&tool=up__mirror", 0)]
    {
        let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = desk.api(&token, "GET", &format!("/api/v1/approvals?limit=2{query}{cursor}"), None).await;
            assert_eq!(page.status, 200, "{}", page.whole());
            let page = page.json();
            found.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            pages += 1;
            let Some(next) = page["next"].as_str() else { break };
            assert!(pages < 20);
            cursor = format!("&cursor={next}");
        }
        let once: BTreeSet<String> = found.iter().cloned().collect();
        assert_eq!((found.len(), once.len()), (expected, expected), "{query}");
        assert!(once.is_subset(&asked));
    }
    let (mut seqs, mut cursor) = (Vec::new(), String::new());
    for _ in 0..20 {
        let page = desk.api(&token, "GET", &format!("/api/v1/events?kind=outcome&limit=3{cursor}"), None).await.json();
        seqs.extend(page["items"].as_array().unwrap().iter().map(|item| item["seq"].as_u64().unwrap()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert!(seqs.len() >= 7 && seqs.windows(2).all(|pair| pair[0] > pair[1]), "{seqs:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_are_taken_as_documented_or_refused() {
    let desk = Desk::start().await;
    let token = desk.api_token("root", &[]);
    for (target, expected) in [
        ("/api/v1/approvals?limit=1", 200),
        ("/api/v1/approvals?limit=0", 400),
        ("/api/v1/approvals?limit=201", 400),
        ("/api/v1/approvals?limit=+1", 400),
        ("/api/v1/approvals?limit=", 400),
        ("/api/v1/approvals?state=open", 400),
        ("/api/v1/approvals?state=pending&state=denied", 400),
        ("/api/v1/approvals?cursor=x", 400),
        ("/api/v1/events?cursor=x", 400),
        ("/api/v1/events?unknown=1", 400),
        ("/api/v1/tools?cursor=zzz", 200),
        ("/api/v1/policy/explain?as=sub=alice", 400),
        ("/api/v1/policy/explain?as=%7B&call=a__b", 400),
        ("/api/v1/policy/explain?as=sub=alice&call=up__echo&args=%5B%5D", 400),
        ("/api/v1/policy/explain?as=sub=alice,groups=eng&call=up__echo", 200),
        ("/api/v1/policy/access?as=anonymous", 200),
        ("/api/v1/events/0190a0a0-0000-7000-8000-000000000000", 404),
    ] {
        let got = desk.api(&token, "GET", target, None).await;
        assert_eq!(got.status, expected, "{target}: {}", got.whole());
    }
    let why = desk.api(&token, "GET", "/api/v1/policy/explain?as=sub=alice,groups=eng&call=up__echo", None).await.json();
    assert_eq!((&why["effect"], &why["reason"]), (&"allow".into(), &"allowed".into()), "{why}");
    let audit = desk.api(&token, "GET", "/api/v1/audit", None).await.json();
    assert_eq!(audit["healthy"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_told_as_it_happens() {
    let desk = Desk::start().await;
    let token = desk.api_token("vera", &["staff"]);
    let mut stream = tokio::net::TcpStream::connect(desk.gate.admin.addr).await.unwrap();
    let request = desk
        .request("GET", "/api/v1/events?kind=approval")
        .add("Authorization", &format!("Bearer {token}"))
        .add("Accept", "text/event-stream");
    stream.write_all(&request.bytes()).await.unwrap();
    let mut text = String::new();
    read_until(&mut stream, &mut text, ": open").await;
    let id = desk.ask("alice", "up__delete", "{}").await;
    read_until(&mut stream, &mut text, &format!("event: approval\ndata: {{\"id\":\"{id}\",\"state\":\"pending\"}}")).await;
    let sam = desk.api_token("sam", &["sre"]);
    assert_eq!(desk.api(&sam, "POST", &format!("/api/v1/approvals/{id}/deny"), None).await.status, 200);
    read_until(&mut stream, &mut text, &format!("{{\"id\":\"{id}\",\"state\":\"denied\"}}")).await;
    read_until(&mut stream, &mut text, "event: record").await;
    for line in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let value: Value = serde_json::from_str(line).unwrap();
        assert!(value.get("kind").is_none_or(|kind| kind == "approval"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_the_role_of_who_reads_it() {
    let desk = Desk::start().await;
    let token = desk.api_token("vera", &["staff"]);
    let mut stream = tokio::net::TcpStream::connect(desk.gate.admin.addr).await.unwrap();
    let request =
        desk.request("GET", "/api/v1/events").add("Authorization", &format!("Bearer {token}")).add("Accept", "text/event-stream");
    stream.write_all(&request.bytes()).await.unwrap();
    read_until(&mut stream, &mut String::new(), ": open").await;
    let config = std::fs::read_to_string(desk.gate.dir.path().join("portcullis.yaml")).unwrap();
    desk.gate.reload("portcullis.yaml", &config.replace("\"group:staff\"", "\"group:nobody\""));
    // However much there is to tell, who reads is looked up again and again.
    let busy = async {
        loop {
            desk.call("alice", "up__echo", r#"{"path":"/srv/x"}"#).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let ended = async {
        let (mut text, mut bytes) = (String::new(), [0; 4096]);
        // The last chunk: the connection itself may go on.
        while !text.ends_with("\r\n0\r\n\r\n") {
            let count = stream.read(&mut bytes).await.unwrap();
            if count == 0 {
                break;
            }
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    };
    let looks = Duration::from_millis(portcullis::vocab::limits::STREAM_KEEPALIVE_MS);
    tokio::select! {
        () = busy => {}
        () = ended => {}
        () = tokio::time::sleep(2 * looks + SOON) => panic!("the stream outlived the role"),
    }
}

async fn read_until(stream: &mut tokio::net::TcpStream, text: &mut String, wanted: &str) {
    let reading = async {
        let mut bytes = [0; 4096];
        while !text.contains(wanted) {
            let count = stream.read(&mut bytes).await.unwrap();
            assert!(count > 0, "{wanted}: the stream ended: {text}");
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    };
    tokio::time::timeout(SOON, reading).await.unwrap_or_else(|_| panic!("{wanted}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_has_its_whole_story() {
    let desk = Desk::start().await;
    let told = desk.call("alice", "up__write", "{}").await;
    assert_ne!(told["isError"], true, "{told}");
    let records = desk.recorded(|record| record["name"] == "up__write" && record["kind"] == "outcome").await;
    let id = records.iter().find(|record| record["kind"] == "intent").unwrap()["id"].as_str().unwrap().to_owned();
    let token = desk.api_token("vera", &["staff"]);
    let story = desk.api(&token, "GET", &format!("/api/v1/events/{id}"), None).await.json();
    let kinds: Vec<&str> = story["items"].as_array().unwrap().iter().map(|item| item["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["intent", "outcome"], "{story}");
    let vera = desk.person("vera", &["staff"]).await;
    let page = vera.get(&format!("/console/activity/{id}")).await;
    assert!(page.status == 200 && page.text().contains("up__write"), "{}", page.whole());
    for path in ["tools", "access", "upstreams", "policy", "audit", "activity", "approvals"] {
        let page = vera.get(&format!("/console/{path}")).await;
        assert_eq!(page.status, 200, "{path}: {}", page.whole());
        assert!(page.text().contains("aria-current=\"page\""), "{path}");
    }
    assert!(vera.get("/console/tools").await.text().contains("up__write"));
    assert!(vera.get("/console/upstreams").await.text().contains("without sessions"));
}
