//! As many requests as wait on a bad day: every page answers, every walk meets each once, and all of them end when their time is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use portcullis::admin::endpoints;
use portcullis::vocab::limits::ADMIN_STREAMS_MAX;
use serde_json::{Value, json};

use super::denial;
use crate::console::{Browser, Desk};
use crate::gate::Gate;
use crate::keys;
use crate::wire::Req;

/// Requests that wait, unless `PORTCULLIS_APPROVALS_PENDING` says otherwise.
const PENDING: usize = 300;
/// Requests of one person.
const EACH: usize = 100;
/// Connections that ask.
const CONNS: usize = 8;
/// Looks at every page.
const LOOKS: usize = 10;
/// Longest time an approval of the rule `gated` can be waited for, and a second.
const LATE_MS: i64 = 901_000;

const SETTINGS: &str = "approvals: { wait: 0s, pending_per_principal: 101 }\n";

fn pending() -> usize {
    std::env::var("PORTCULLIS_APPROVALS_PENDING").map_or(PENDING, |pending| pending.parse().unwrap())
}

/// Who makes the request at `at`.
fn who(at: usize) -> String {
    format!("p{}", at / EACH)
}

fn arguments(at: usize) -> String {
    json!({"at": at, "text": "<b>x</b> ".repeat(80)}).to_string()
}

/// A token that holds also once the requests are over.
fn token(desk: &Desk, audience: &str, sub: &str, groups: &[&str]) -> String {
    let mut claims = keys::claims(&json!([audience]), sub, groups);
    claims["iss"] = json!(desk.idp.issuer());
    claims["exp"] = json!(keys::now_s() + 7_200);
    keys::ED.token(&keys::header(), &claims)
}

fn call(desk: &Desk, at: usize) -> Req {
    let token = token(desk, &desk.gate.url("/mcp"), &who(at), &["eng"]);
    desk.gate.call("/mcp", &token, "up__delete", &arguments(at))
}

/// Makes them, each by a call of its own; their ids, by the place of the call.
async fn ask_all(gate: &Gate, many: usize, call: impl Fn(usize) -> Req) -> BTreeMap<usize, String> {
    let call = &call;
    let asks = (0..CONNS).map(async |lane| {
        let (mut conn, mut made) = (gate.reach.open().await, Vec::new());
        for at in (lane..many).step_by(CONNS) {
            conn.write(&call(at).bytes()).await;
            let told = conn.response().await;
            let denial = denial(&told);
            assert_eq!(denial["reason"], "approval_required", "{at}: {}", told.whole());
            made.push((at, denial["approval_id"].as_str().unwrap().to_owned()));
        }
        made
    });
    join_all(asks).await.into_iter().flatten().collect()
}

async fn get(desk: &Desk, target: &str) -> Value {
    let got = desk.api(&token(desk, &desk.origin(), "sven", &["sre"]), "GET", target, None).await;
    assert_eq!(got.status, 200, "{target}: {}", got.whole());
    got.json()
}

/// Every id that the pages of `target` show, in their order; `between` happens after the first.
async fn walk(desk: &Desk, target: &str, between: impl AsyncFnOnce()) -> Vec<String> {
    let (mut ids, mut cursor, mut between) = (Vec::new(), String::new(), Some(between));
    loop {
        let page = get(desk, &format!("{target}{cursor}")).await;
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        if let Some(between) = between.take() {
            between().await;
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

/// As [`walk`], over the pages of the console.
async fn walk_console(browser: &Browser<'_>, filter: &str) -> Vec<String> {
    let (mut ids, mut target) = (Vec::new(), format!("/console/approvals?state=pending{filter}"));
    loop {
        let page = browser.get(&target).await;
        assert_eq!(page.status, 200, "{}", page.whole());
        let text = page.text();
        ids.extend(text.split("id=\"apr_").skip(1).map(|rest| format!("apr_{}", rest.split('"').next().unwrap())));
        let older = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).find(|link| link.contains("cursor="));
        match older {
            Some(older) => target = older.replace("&amp;", "&"),
            None => return ids,
        }
    }
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

/// Every page there is for whoever looks, and those that look for something.
fn targets(id: &str, record: &str, deep: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for endpoint in endpoints().iter().filter(|endpoint| endpoint.method() == "GET" && endpoint.role.is_some()) {
        let of_request = endpoint.path.contains("/approvals/");
        let path = endpoint.path.replace("{id}", if of_request { id } else { record });
        let more = if path.ends_with("/explain") { "?as=sub%3Dp0%2Cgroups%3Deng&call=up__delete" } else { "" };
        targets.push(format!("{path}{more}"));
    }
    let queries = [
        "state=all".to_owned(),
        "state=used".to_owned(),
        "state=expired".to_owned(),
        "principal=p0".to_owned(),
        "principal=nobody".to_owned(),
        "tool=nothing".to_owned(),
        "state=all&tool=nothing".to_owned(),
        format!("cursor={deep}"),
    ];
    targets.extend(queries.iter().map(|query| format!("/console/approvals?{query}")));
    let api = queries.iter().filter(|query| !query.contains("=all")).map(|query| format!("/api/v1/approvals?limit=200&{query}"));
    targets.extend(api);
    targets.extend(["/console/activity?kind=approval".to_owned(), "/api/v1/events?limit=200&principal=nobody".to_owned()]);
    targets
}

/// Times in milliseconds: half of them are below the first, 99 of 100 below the second, all below the third.
fn times(mut ms: Vec<f64>) -> (f64, f64, f64) {
    ms.sort_by(f64::total_cmp);
    let at = |hundredths: usize| ms[(ms.len() * hundredths / 100).min(ms.len() - 1)];
    (at(50), at(99), at(100))
}

#[expect(clippy::print_stdout, reason = "the figures are what long runs are made for")]
async fn look_everywhere(desk: &Desk, browser: &Browser<'_>, targets: &[String]) {
    let mut all = Vec::new();
    for target in targets {
        let mut took = Vec::new();
        for _ in 0..LOOKS {
            let begun = Instant::now();
            let got = browser.get(target).await;
            took.push(begun.elapsed().as_secs_f64() * 1_000.0);
            assert!(matches!(got.status, 200 | 303), "{target}: {}", got.whole());
            assert!(target.starts_with("/api/") || !got.text().contains("<b>x"), "{target}");
        }
        all.extend(took.iter().copied());
        let (half, most, longest) = times(took);
        println!("{half:8.1} {most:8.1} {longest:8.1} ms p50 p99 max {target}");
    }
    let begun = Instant::now();
    assert_eq!(desk.gate.admin("/metrics").await.status, 200);
    println!("{:8.1} ms /metrics", begun.elapsed().as_secs_f64() * 1_000.0);
    let (half, most, longest) = times(all);
    println!("{half:8.1} {most:8.1} {longest:8.1} ms p50 p99 max of all pages");
}

async fn gauge(desk: &Desk, state: &str) -> usize {
    let text = desk.gate.admin("/metrics").await.text();
    let name = format!("portcullis_approvals{{state=\"{state}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
}

/// Places for streams are counted, and given back.
async fn streams_are_bounded(desk: &Desk) {
    let request = desk.request("GET", "/api/v1/events?kind=approval").add("Accept", "text/event-stream");
    let request = request.add("Authorization", &format!("Bearer {}", token(desk, &desk.origin(), "sven", &["sre"])));
    let mut streams = Vec::new();
    for _ in 0..ADMIN_STREAMS_MAX {
        let mut conn = desk.gate.admin.open().await;
        conn.stream(&request).await;
        streams.push(conn);
    }
    let refused = desk.send(&request).await;
    assert_eq!(refused.status, 503, "{}", refused.whole());
    drop(streams.pop());
    for _ in 0..1_000 {
        let mut conn = desk.gate.admin.open().await;
        conn.write(&request.bytes()).await;
        if conn.head().await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the place of a stream that ended is not given back");
}

#[expect(clippy::print_stdout, reason = "the figures are what long runs are made for")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_answers_and_all_end_in_time() {
    let many = pending();
    let desk = Desk::with(|files| files.config.push_str(SETTINGS)).await;
    let begun = Instant::now();
    let made = ask_all(&desk.gate, many, |at| call(&desk, at)).await;
    println!("{many} requests made in {:.1} s", begun.elapsed().as_secs_f64());
    let ids = sorted(made.values().cloned().collect());
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), many, "each call has its own");
    assert_eq!(gauge(&desk, "pending").await, many);

    let browser = desk.person("sven", &["sre"]).await;
    let record = get(&desk, "/api/v1/events?limit=1").await["items"][0]["id"].as_str().unwrap().to_owned();
    look_everywhere(&desk, &browser, &targets(&made[&0], &record, &made[&(many / 2)])).await;
    streams_are_bounded(&desk).await;

    // One more comes while somebody walks: it is nobody's second sight of another.
    let one_more = async || drop(ask_all(&desk.gate, 1, |_| call(&desk, many)).await);
    assert_eq!(sorted(walk(&desk, "/api/v1/approvals?limit=200&state=pending", one_more).await), ids);
    let seen = walk(&desk, "/api/v1/approvals?limit=7&principal=p1", async || {}).await;
    let of_p1 = sorted(made.iter().filter(|(at, _)| who(**at) == "p1").map(|(_, id)| id.clone()).collect());
    assert_eq!(sorted(seen), of_p1);
    assert_eq!(sorted(walk_console(&browser, "&principal=p1&tool=up__delete").await), of_p1);
    let seen = walk_console(&browser, "").await;
    assert_eq!((seen.len(), sorted(seen.clone()).iter().filter(|id| ids.contains(id)).count()), (many + 1, many));

    // Some are approved; what is not used in time is over as well.
    let sven = token(&desk, &desk.origin(), "sven", &["sre"]);
    for at in [1, 2] {
        let said = desk.api(&sven, "POST", &format!("/api/v1/approvals/{}/approve", made[&at]), Some("{}")).await;
        assert_eq!(said.json()["state"], "approved", "{}", said.whole());
    }
    desk.gate.running().clock().advance_ms(LATE_MS);
    let begun = Instant::now();
    assert_eq!(get(&desk, "/api/v1/approvals?state=pending").await["items"], json!([]));
    assert_eq!((gauge(&desk, "pending").await, gauge(&desk, "approved").await), (0, 0));
    assert_eq!(gauge(&desk, "expired").await, many + 1);
    println!("{:8.1} ms until none of them was pending", begun.elapsed().as_secs_f64() * 1_000.0);
    let said = desk.api(&sven, "POST", &format!("/api/v1/approvals/{}/approve", made[&3]), Some("{}")).await;
    assert_eq!(said.status, 409, "{}", said.whole());
    for at in [1, 3, many - 1] {
        let told = desk.gate.reach.send(&call(&desk, at)).await;
        assert_eq!((&denial(&told)["reason"], &denial(&told)["approval_id"]), (&json!("approval_expired"), &json!(made[&at])));
    }
    assert_eq!(sorted(walk(&desk, "/api/v1/approvals?limit=200&state=expired", async || {}).await).len(), many + 1);
    look_everywhere(&desk, &browser, &["/api/v1/approvals?limit=200".to_owned()]).await;
    let noted = recorded(&desk, many + 1).await;
    println!("{:8.1} s until all were on record", begun.elapsed().as_secs_f64());
    assert!(ids.iter().all(|id| noted.get(id) == Some(&1)), "each once");
    // Told once; then the call asks anew. Nothing ran.
    let anew = ask_all(&desk.gate, 1, |_| call(&desk, 3)).await;
    assert_ne!(anew[&0], made[&3]);
    assert_eq!((gauge(&desk, "pending").await, desk.gate.up.calls().len()), (1, 0));
}

/// How often the end of each is on record, once there are `many` such records.
async fn recorded(desk: &Desk, many: usize) -> BTreeMap<String, usize> {
    let until = Instant::now() + Duration::from_secs(30) + Duration::from_millis(20) * u32::try_from(many).unwrap();
    loop {
        let mut noted = BTreeMap::new();
        for record in desk.gate.records().iter().filter(|record| record["method"] == "approval/expire") {
            *noted.entry(record["approval"]["id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        if noted.len() >= many {
            return noted;
        }
        assert!(Instant::now() < until, "{} of {many} are on record", noted.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What the process may grow for reasons that are bounded elsewhere: records kept for people to look at, connections, caches.
const SLACK_BYTES: usize = 48 * 1024 * 1024;
/// What a pending request may cost, however large its arguments are.
const REQUEST_BYTES: usize = 8 * 1024;
/// Every so many calls has arguments that are longer than what people are shown.
const LARGE_EVERY: usize = 4;

#[expect(clippy::print_stdout, reason = "the figure is what long runs are made for")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_costs_little_however_large_it_is() {
    let many = pending();
    let gate = Gate::program(|files| {
        files.policy = super::RULES.to_owned();
        files.config.push_str(SETTINGS);
    })
    .await;
    let large = json!({"text": "0123456789abcdef ".repeat(5_000)}).to_string();
    let call = |at: usize| {
        let arguments = match at % LARGE_EVERY {
            0 => large.replacen('{', &format!("{{\"at\":{at},"), 1),
            _ => arguments(at),
        };
        gate.call("/mcp", &gate.token(&who(at), &["eng"]), "up__write", &arguments)
    };
    let before = gate.resident_kib();
    ask_all(&gate, many, call).await;
    let grown = usize::try_from(gate.resident_kib().saturating_sub(before)).unwrap() * 1024;
    println!("{many} pending requests made {before} KiB grow by {} KiB, {} bytes each", grown / 1024, grown / many);
    assert!(grown <= SLACK_BYTES + many * REQUEST_BYTES, "{grown} bytes for {many} requests");
}
