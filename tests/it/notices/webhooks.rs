use serde_json::{Value, json};

use super::receiver::{Manner, Receiver};
use super::{ask, gate, signed, vote};
use crate::gate::soon;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_can_be_verified_and_comes_once_in_order() {
    let receiver = Receiver::start(Manner::Takes).await;
    let gate = gate(&signed("ops", &receiver.url())).await;
    let arguments = r#"{"path":"/srv/x","note":"a\u202eb \u001b[31m"}"#;
    let request = ask(&gate, "up__write", arguments).await;
    let id = request.id.as_str();
    soon("the request", || receiver.of(id).len() == 1).await;
    vote(&gate, &request, true, "looks \u{202e}fine").await;
    soon("the approval", || receiver.of(id).len() == 2).await;
    let token = gate.token("alice", &["eng"]);
    gate.reach.send(&gate.call("/mcp", &token, "up__write", arguments)).await;
    soon("the use", || receiver.of(id).len() == 3).await;
    let came = receiver.of(id);
    let events: Vec<&str> = came.iter().map(|came| came.event.as_str()).collect();
    assert_eq!(events, ["approval.requested", "approval.approved", "approval.used"]);
    assert!(came.iter().all(|came| came.signed));
    let first = came[0].json();
    assert_eq!((first["version"].as_u64(), first["id"].as_str()), (Some(1), Some(came[0].delivery.as_str())));
    let origin = format!("http://{}", gate.admin.addr);
    assert_eq!(first["link"], format!("{origin}/console/approvals/{id}"));
    let approval = &first["approval"];
    assert_eq!(approval["requester"]["sub"], "alice");
    assert_eq!(
        (&approval["name"], &approval["upstream"], &approval["class"]),
        (&json!("up__write"), &json!("up"), &json!("write"))
    );
    assert_eq!(approval["gates"][0]["rule"], "gated");
    assert_eq!(approval["gates"][0]["from"], json!(["group:sre"]));
    assert_eq!(approval["digest"], request.digest.to_string());
    assert_eq!(approval["arguments_digest"], request.bound.arguments.to_string());
    let text = approval["arguments"]["text"].as_str().unwrap();
    assert!(text.contains("a\\u202eb \\u001b[31m") && !text.contains('\u{202e}'), "{text}");
    assert_eq!(came[1].json()["approval"]["votes"][0]["by"]["sub"], "sven");
    let mut ids: Vec<String> = receiver.came().into_iter().map(|came| came.delivery).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "one delivery each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_of_what_only_the_caller_can_confirm() {
    let receiver = Receiver::start(Manner::Takes).await;
    let gate = gate(&signed("ops", &receiver.url())).await;
    let mine = ask(&gate, "up__echo", "{}").await;
    let other = ask(&gate, "up__write", "{}").await;
    soon("the other", || receiver.of(other.id.as_str()).len() == 1).await;
    assert!(receiver.of(mine.id.as_str()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_was_down_gets_everything_when_it_is_back() {
    // Bound all the time, so that no connection of somebody else takes the port meanwhile.
    let down = tokio::net::TcpSocket::new_v4().unwrap();
    down.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = down.local_addr().unwrap();
    let gate = gate(&signed("ops", &format!("http://{addr}/"))).await;
    let request = ask(&gate, "up__write", "{}").await;
    let id = request.id.as_str().to_owned();
    vote(&gate, &request, false, "no").await;
    let log = || gate.running().notices().unwrap().log(10);
    soon("a failure", || log().iter().any(|delivery| delivery.attempts > 0)).await;
    assert!(log().iter().any(|delivery| delivery.problem.is_some()), "{:?}", log());
    let receiver = Receiver::on(down.listen(64).unwrap(), Manner::Takes);
    soon("both", || receiver.of(&id).len() == 2).await;
    let events: Vec<String> = receiver.of(&id).into_iter().map(|came| came.event).collect();
    assert_eq!(events, ["approval.requested", "approval.denied"], "the end never comes before the beginning");
    soon("the log", || log().iter().all(|delivery| delivery.outcome == portcullis::notice::Outcome::Delivered)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_receivers_delay_nothing_and_their_answers_are_not_believed() {
    let big = format!("HTTP/1.1 200 OK\r\n{}\r\n", format!("x: {}\r\n", "y".repeat(8_000)).repeat(20));
    let elsewhere = Receiver::start(Manner::Takes).await;
    let away = format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
    let manners = [
        Manner::Silent,
        Manner::Endless,
        Manner::Says(away),
        Manner::Says(big),
        Manner::Says("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".to_owned()),
        Manner::Says("220 smtp.example.com ESMTP\r\n".to_owned()),
        Manner::Says(String::new()),
    ];
    let mut hostile = Vec::new();
    for manner in manners {
        hostile.push(Receiver::start(manner).await);
    }
    let good = Receiver::start(Manner::Takes).await;
    let mut channels: Vec<String> = hostile.iter().enumerate().map(|(at, one)| signed(&format!("h{at}"), &one.url())).collect();
    channels.push(signed("good", &good.url()));
    let gate = gate(&channels.join(", ")).await;
    let mut requests = Vec::new();
    for number in 0..12 {
        requests.push(ask(&gate, "up__write", &format!("{{\"n\":{number}}}")).await);
    }
    // More than a channel has under way at once: what hangs elsewhere holds up nothing here.
    soon("all of them at the good one", || good.came().len() == 12).await;
    for (at, one) in hostile.iter().enumerate() {
        soon(&format!("an attempt at {at}"), || !one.came().is_empty()).await;
    }
    let log = gate.running().notices().unwrap().log(1_000);
    let believed: Vec<_> = log.iter().filter(|one| one.outcome.as_str() == "delivered" && &*one.channel != "good").collect();
    assert!(believed.is_empty(), "{believed:?}");
    assert!(elsewhere.came().is_empty(), "a redirect was followed");
    // Once it behaves, it gets the same delivery once more.
    let first = hostile[4].came()[0].delivery.clone();
    hostile[4].behave(Manner::Takes);
    let log = || gate.running().notices().unwrap().log(1_000);
    soon("the second attempt", || log().iter().any(|one| *one.id == *first && one.outcome.as_str() == "delivered")).await;
    assert!(hostile[4].came().iter().filter(|came| came.delivery == first).count() >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_delivered_is_taken_up_after_a_restart_and_what_was_is_not() {
    let (down, up) = (Receiver::start(Manner::Silent).await, Receiver::start(Manner::Takes).await);
    let gate = gate(&format!("{}, {}", signed("down", &down.url()), signed("up", &up.url()))).await;
    let request = ask(&gate, "up__write", "{}").await;
    let id = request.id.as_str().to_owned();
    soon("both were tried", || up.of(&id).len() == 1 && down.of(&id).len() == 1).await;
    let log = |gate: &crate::gate::Gate| gate.running().notices().unwrap().log(10);
    soon("it is noted", || log(&gate).iter().any(|one| one.outcome.as_str() == "delivered")).await;
    let before = down.of(&id)[0].delivery.clone();
    down.behave(Manner::Takes);
    let gate = gate.again().await;
    soon("the rest", || log(&gate).iter().filter(|one| one.outcome.as_str() == "delivered").count() == 2).await;
    let came = down.of(&id);
    assert_eq!(came[came.len() - 1].delivery, before, "the same delivery");
    let request = desk_request(&gate, &id);
    vote(&gate, &request, true, "").await;
    soon("news after it", || up.of(&id).len() == 2).await;
    let events: Vec<String> = up.of(&id).into_iter().map(|came| came.event).collect();
    assert_eq!(events, ["approval.requested", "approval.approved"]);
}

fn desk_request(gate: &crate::gate::Gate, id: &str) -> std::sync::Arc<portcullis::approval::Request> {
    super::desk(gate).get(&portcullis::approval::RequestId::parse(id).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_a_reload_brings_is_told_what_is_pending_and_one_that_it_takes_is_told_nothing() {
    let (one, two) = (Receiver::start(Manner::Takes).await, Receiver::start(Manner::Takes).await);
    let gate = gate(&signed("one", &one.url())).await;
    let first = ask(&gate, "up__write", "{\"n\":1}").await;
    soon("the first", || one.of(first.id.as_str()).len() == 1).await;
    let config = std::fs::read_to_string(gate.dir.path().join("portcullis.yaml")).unwrap();
    gate.reload("portcullis.yaml", &config.replace(&signed("one", &one.url()), &signed("two", &two.url())));
    soon("the first at the new one", || two.of(first.id.as_str()).len() == 1).await;
    let second = ask(&gate, "up__write", "{\"n\":2}").await;
    soon("the second", || two.of(second.id.as_str()).len() == 1).await;
    assert!(one.of(second.id.as_str()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_counted_and_shows_no_secret() {
    let receiver = Receiver::start(Manner::Says("HTTP/1.1 500 reason-canary\r\ncontent-length: 0\r\n\r\n".to_owned())).await;
    let slack = format!("{{ webhook: {{ url: \"{}\", format: slack }} }}", receiver.url());
    let gate = gate(&slack).await;
    ask(&gate, "up__write", "{}").await;
    let log = || gate.running().notices().unwrap().log(10);
    soon("a failure", || log().iter().any(|one| one.attempts > 0)).await;
    assert_eq!(log()[0].problem.as_deref(), Some("answered 500"));
    assert!(!format!("{:?}", log()).contains("canary"));
    let metrics = gate.admin("/metrics").await.text();
    assert!(metrics.contains("portcullis_notices_total{channel=\"slack\",outcome=\"retried\"}"), "{metrics}");
    let message: Value = receiver.came()[0].json();
    assert!(message["blocks"].is_array(), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_closed_though_nobody_listened_when_it_was_approved_and_used() {
    let (pages, other) = (Receiver::start(Manner::Takes).await, Receiver::start(Manner::Takes).await);
    let pager = format!("{{ name: pager, webhook: {{ url: \"{}\", format: pagerduty, routing_key: key }} }}", pages.url());
    let gate = gate(&pager).await;
    let request = ask(&gate, "up__write", "{}").await;
    let id = request.id.as_str();
    soon("the alert", || pages.of(id).len() == 1).await;
    let config = std::fs::read_to_string(gate.dir.path().join("portcullis.yaml")).unwrap();
    let without = config.replace(&pager, &signed("other", &other.url()));
    gate.reload("portcullis.yaml", &without);
    soon("the other channel", || other.of(id).len() == 1).await;
    vote(&gate, &request, true, "").await;
    let token = gate.token("alice", &["eng"]);
    gate.reach.send(&gate.call("/mcp", &token, "up__write", "{}")).await;
    soon("the use", || other.of(id).len() == 3).await;
    assert_eq!(pages.of(id).len(), 1);
    gate.reload("portcullis.yaml", &config);
    soon("the end", || pages.of(id).len() == 2).await;
    let actions: Vec<Value> = pages.of(id).iter().map(|came| came.json()["event_action"].clone()).collect();
    assert_eq!(actions, [json!("trigger"), json!("resolve")]);
    let again = ask(&gate, "up__write", "{\"n\":2}").await;
    soon("what comes after it", || pages.of(again.id.as_str()).len() == 1).await;
    assert_eq!(pages.of(id).len(), 2, "it ends once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_behind_a_slow_receiver_is_in_the_log() {
    let slow = Receiver::start(Manner::Silent).await;
    let gate = gate(&signed("slow", &slow.url())).await;
    for number in 0..6 {
        ask(&gate, "up__write", &format!("{{\"n\":{number}}}")).await;
    }
    let log = || gate.running().notices().unwrap().log(10);
    soon("all of them", || log().len() == 6).await;
    assert!(log().iter().all(|delivery| delivery.outcome == portcullis::notice::Outcome::Waiting), "{:?}", log());
}
