//! The real program, killed at any moment around the yes and the call: what was approved runs at most once, and is on record.

use std::time::Duration;

use serde_json::{Value, json};

use super::{RULES, World, did};
use crate::gate::Gate;

const TOOL: &str = "up__two__parts";
const KEY: &str = "dev.portcullis/approval";

fn kills() -> u64 {
    std::env::var("PORTCULLIS_APPROVAL_KILLS").map_or(8, |kills| kills.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_runs_nothing_twice() {
    let policy = RULES.to_owned();
    let mut world = World::of(
        Gate::program(|files| {
            files.policy = policy;
            files.config.push_str("approvals: { wait: 0s, pending_per_principal: 1000 }\n");
        })
        .await,
    );
    let caps = json!({"elicitation": {}});
    let mut dice = std::collections::hash_map::RandomState::new();
    for round in 0..kills() {
        let arguments = json!({"round": round});
        let asked = world.gate.reach.send(&world.calling(TOOL, &arguments, &caps, &json!({}))).await.json();
        let state = asked["result"]["requestState"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned();
        let yes = json!({"requestState": state, "inputResponses": {KEY: {"action": "accept", "content": {"approve": true}}}});
        let retry = world.calling(TOOL, &arguments, &caps, &yes);
        let mut conn = world.gate.reach.open().await;
        conn.write(&retry.bytes()).await;
        tokio::time::sleep(Duration::from_micros(random(&mut dice, 12_000))).await;
        world = world.again().await;
        let first = executions(&world, round);
        assert!(first <= 1, "round {round}");
        // Nothing runs by itself when it comes back.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(executions(&world, round), first, "round {round}");
        // Whoever calls tries again: by then the yes may be known and unused, and then this uses it.
        for _ in 0..2 {
            let answer = world.gate.reach.send(&world.calling(TOOL, &arguments, &json!({}), &json!({}))).await;
            assert!(!(first == 1 && did(&answer)), "round {round}: ran again: {}", answer.whole());
        }
        assert!(executions(&world, round) <= 1, "round {round}");
    }
    // Every call that was asked for is on record, and what ran has its intent.
    let records = world.gate.records();
    let asks = records.iter().filter(|record| record["method"] == "approval/ask").count() as u64;
    assert!(asks >= kills(), "{asks}");
    let intents = records.iter().filter(|record| record["kind"] == "intent").count();
    assert!(intents >= world.gate.up.calls().len());
}

/// How often the upstream was asked to do what this round is about.
fn executions(world: &World, round: u64) -> usize {
    let about = |call: &Value| call["params"]["arguments"]["round"] == round;
    world.gate.up.calls().iter().filter(|call| about(&call.json())).count()
}

fn random(dice: &mut std::collections::hash_map::RandomState, below: u64) -> u64 {
    use std::hash::BuildHasher as _;
    *dice = std::collections::hash_map::RandomState::new();
    dice.hash_one(0_u8) % below
}
