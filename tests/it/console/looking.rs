//! What pages and lists show, of whom, and whether they say that there is more.

use serde_json::{Value, json};

use super::{Desk, ROLES};
use crate::keys::{self, ED};
use crate::peer::modern_with;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_asked_before_is_theirs_and_nobody_of_the_same_name() {
    const OTHER: &str = "https://other.example.com";
    let desk = Desk::of_issuer(|files, issuer| {
        let known = format!("{{ issuer: \"{issuer}\", jwks: \"file:jwks.json\", algorithms: [RS256, ES256, EdDSA] }}");
        assert!(files.config.contains(&known) && files.config.contains(ROLES), "{}", files.config);
        let roles = ROLES.replace("group:", &format!("group:{issuer}#")).replace("sub:", &format!("sub:{issuer}#"));
        let both = format!("{known}, {}", known.replace(issuer, OTHER));
        files.config = files.config.replace(&known, &both).replace(ROLES, &roles);
        let of_both = format!("{{ claim: groups, issuer: [\"{issuer}\", \"{OTHER}\"],");
        files.policy = files.policy.replace("{ claim: groups,", &of_both);
    })
    .await;
    let first = desk.ask("alice", "up__delete", r#"{"n":1}"#).await;
    let mut claims = keys::claims(&json!([desk.gate.url("/mcp")]), "alice", &["eng"]);
    claims["iss"] = OTHER.into();
    let namesake = ED.token(&keys::header(), &claims);
    let told = desk.gate.reach.send(&desk.gate.call("/mcp", &namesake, "up__delete", r#"{"n":2}"#)).await.json();
    let theirs =
        told["result"]["_meta"]["dev.portcullis/denial"]["approval_id"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned();
    let second = desk.ask("alice", "up__delete", r#"{"n":3}"#).await;
    let sam = desk.person("sam", &["sre"]).await;
    for (id, before) in [(&second, vec![&first]), (&theirs, vec![])] {
        let page = sam.get(&format!("/console/approvals/{id}")).await.text();
        let asked_before = page.split_once("id=\"before\"").unwrap_or_else(|| panic!("{page}")).1;
        let shown: Vec<&String> = [&first, &second, &theirs]
            .into_iter()
            .filter(|one| asked_before.contains(&format!("/console/approvals/{one}")))
            .collect();
        assert_eq!(shown, before, "{asked_before}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_is_judged_by_its_hints_however_many_there_are() {
    let desk = Desk::with(|files| files.policy = files.policy.replace("[\"*__echo\",", "[\"*__echo\", \"*__x*\",")).await;
    let tool = |n: usize| json!({"name": format!("x{n:03}"), "inputSchema": {"type": "object"}, "annotations": {"destructiveHint": true}});
    let tools: Value = (0..450).map(tool).collect();
    desk.gate.up.behave(move |seen| modern_with(seen, &tools));
    desk.call("alice", "up__x000", "{}").await;
    desk.call("alice", "old__echo", "{}").await;
    let root = desk.api_token("root", &[]);
    for name in ["up__x000", "up__x399", "up__x400", "up__x449"] {
        let target = format!("/api/v1/policy/explain?as=sub=alice,groups=eng&call={name}");
        let why = desk.api(&root, "GET", &target, None).await.json();
        assert_eq!(why["class"], "destructive", "{why}");
    }
    for (query, some, cut) in
        [("", None, true), ("?upstream=up", Some("up__x000"), true), ("?upstream=old", Some("old__echo"), false)]
    {
        let matrix = desk.api(&root, "GET", &format!("/api/v1/policy/access{query}"), None).await.json();
        let rows = matrix["rows"].as_array().unwrap();
        assert_eq!((matrix["cut"].as_bool(), rows.len() == 400), (Some(cut), cut), "{query}: {}", rows.len());
        assert!(some.is_none_or(|name| rows.iter().any(|row| row["name"] == name)), "{query}: {rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_page_is_of_the_same_tool() {
    let desk = Desk::start().await;
    desk.ask("alice", "up__mirror", "{}").await;
    for n in 0..51 {
        desk.ask(&format!("person-{n}"), "up__delete", "{}").await;
    }
    let vera = desk.person("vera", &["staff"]).await;
    let page = vera.get("/console/approvals?tool=up__delete").await.text();
    let older = page.rsplit_once("\">Older</a>").unwrap_or_else(|| panic!("{page}")).0.rsplit_once("href=\"").unwrap().1;
    let next = vera.get(&older.replace("&amp;", "&")).await.text();
    assert_eq!(next.matches("<li class=\"card\">").count(), 1, "{next}");
    assert!(next.contains("up__delete") && !next.contains("up__mirror"), "{next}");
}

/// Probes learn whether to send work here. Whoever may look learns that an older configuration goes on, and that nothing is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_says_more_to_whoever_may_look() {
    let desk = Desk::start().await;
    let (vera, mallory) = (desk.api_token("vera", &["staff"]), desk.api_token("mallory", &["other"]));
    let person = desk.person("vera", &["staff"]).await;
    let seen = async |token: &str| {
        let answer = desk.api(token, "GET", "/readyz", None).await;
        assert_eq!(answer.status, 200, "{}", answer.whole());
        answer.text()
    };
    let bare = async || {
        for text in [desk.gate.admin("/readyz").await.text(), seen(&mallory).await, seen("no-token").await] {
            assert_eq!(text, "ready");
        }
    };
    assert_eq!(seen(&vera).await, "ready");
    let policy = std::fs::read_to_string(desk.gate.dir.path().join("policy.yaml")).unwrap();
    let broken = |text: &str| desk.gate.reload("policy.yaml", text);
    broken("version: 1\nrules: [{ id: x }, { id: y }]\n");
    soon_async(async || seen(&vera).await != "ready").await;
    let first = seen(&vera).await;
    let since = first
        .strip_prefix("ready\nreload: refused since ")
        .and_then(|rest| rest.split_once(": "))
        .unwrap_or_else(|| panic!("{first}"));
    assert!(since.0.parse::<jiff::Timestamp>().is_ok() && since.1.contains(" problems, "), "{first}");
    assert_eq!(person.get("/readyz").await.text(), first);
    bare().await;
    broken("version: 2\n");
    soon_async(async || seen(&vera).await.contains(": 1 problem, ")).await;
    assert!(seen(&vera).await.contains(since.0), "since the first");
    desk.gate.reload("policy.yaml", &policy);
    soon_async(async || seen(&vera).await == "ready").await;
    let observing = async || seen(&vera).await.starts_with("ready\nobserve_only: ");
    desk.reload("portcullis.yaml", "version: 1\n", "version: 1\ndanger_observe_only: true\n", observing).await;
    bare().await;
}

async fn soon_async(done: impl AsyncFn() -> bool) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::wire::SOON, waiting).await.expect("soon");
}
