//! What waits for approvers, as they see it on a terminal.

use serde_json::Value;

use super::shown::{json, portcullis, run};
use super::strings::{Hostile, all};
use super::token_of;
use crate::console::Desk;
use crate::keys;

/// Of a string, in a reason. What is hostile in those that are longer is at their end.
const PART_CHARS_MAX: usize = 80;

/// What one request for approval is made of, and the reason that an approver gives.
#[derive(Default)]
struct Pack {
    texts: Vec<String>,
    reason: String,
}

/// Every string once, and as many in one request as fit into one reason. What a command line cannot have is left out of it.
fn packs(strings: &[Hostile]) -> Vec<Pack> {
    let mut packs = vec![Pack::default()];
    for text in strings.iter().filter_map(|hostile| hostile.text.as_ref()) {
        let from = text.char_indices().nth_back(PART_CHARS_MAX - 1).map_or(0, |(at, _)| at);
        let part = text[from..].replace('\0', "");
        let last = packs.last().unwrap();
        if last.texts.len() == 16 || last.reason.chars().count() + part.chars().count() > 480 {
            packs.push(Pack::default());
        }
        let last = packs.last_mut().unwrap();
        last.texts.push(text.clone());
        last.reason += &part;
    }
    packs
}

/// Requests for approval, with every string among them as an argument, its key, and part of who asks.
async fn asked(desk: &Desk, packs: &[Pack]) -> Vec<String> {
    let mut ids = Vec::new();
    for (n, pack) in packs.iter().enumerate() {
        let texts: Vec<&String> = pack.texts.iter().filter(|text| text.len() < 4096).collect();
        // A key with a NUL is refused before anybody is asked.
        let key = |at: usize, text: &str| format!("{at}{}", text.replace('\0', ""));
        let members: serde_json::Map<String, Value> =
            texts.iter().enumerate().map(|(at, text)| (key(at, text), Value::from(text.as_str()))).collect();
        let who: String = texts.iter().flat_map(|text| text.chars().take(8)).filter(|c| !c.is_control()).collect();
        let mut claims = keys::claims(&desk.gate.url("/mcp").into(), &format!("{n}{who}"), &["eng"]);
        claims["iss"] = desk.idp.issuer().into();
        claims["client_id"] = texts.iter().flat_map(|text| text.chars().take(8)).chain(['x']).collect::<String>().into();
        let token = token_of(claims.to_string().as_bytes());
        let call = desk.gate.call("/mcp", &token, "up__delete", &Value::from(members).to_string());
        let told = desk.gate.reach.send(&call).await;
        let denial = &told.json()["result"]["_meta"]["dev.portcullis/denial"];
        ids.push(denial["approval_id"].as_str().unwrap_or_else(|| panic!("{}", told.whole())).to_owned());
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approvers_see_nothing_raw() {
    let desk = Desk::start().await;
    let packs = packs(&all());
    let ids = asked(&desk, &packs).await;
    let (origin, token) = (desk.origin(), desk.api_token("sven", &["sre"]));
    let log = desk.gate.dir.path().join("data/audit");
    let tried = tokio::task::spawn_blocking(move || {
        let approvals = |args: &[&str]| {
            let mut command = portcullis(&["approvals"]);
            command.args(args).args(["--admin", &origin]).env("PORTCULLIS_TOKEN", &token);
            run(&mut command, &[0])
        };
        let shown = approvals(&["list", "--limit", "1000"]);
        assert_eq!(shown.lines().count(), ids.len() + 1, "a line each: {shown}");
        let listed = json(&approvals(&["list", "--limit", "1000", "--json"]));
        assert_eq!(listed["items"].as_array().unwrap().len(), ids.len());
        for (n, id) in ids.iter().enumerate() {
            let read = json(&approvals(&["show", id, "--json"]));
            let sub = read["requester"]["sub"].as_str().unwrap();
            assert!(sub.starts_with(&n.to_string()), "{read}");
            let reason = format!("--reason=because {}", packs[n].reason);
            match n % 3 {
                0 => approvals(&["deny", id, &reason]),
                1 => approvals(&["approve", id, &reason]),
                _ => approvals(&["approve", id, &reason, "--lease", "5m", "--uses", "2"]),
            };
            approvals(&["show", id]);
        }
        approvals(&["leases"]);
        json(&approvals(&["leases", "--json"]));
        approvals(&["list", "--state", "all"]);
        run(&mut portcullis(&["audit", "show", "--log", log.to_str().unwrap(), "--kind", "approval"]), &[0]);
        ids.len()
    });
    assert!(tried.await.unwrap() >= 15);
}
