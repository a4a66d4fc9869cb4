//! `reads: sync`: calls that only read wait for an intent of theirs too.

use crate::gate::Gate;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_have_an_intent_and_are_refused_without_where_the_operator_asks() {
    for (reads, intents) in [("sync", 1), ("queued", 0)] {
        let gate = Gate::with(|files| files.config.push_str(&format!("audit: {{ reads: {reads} }}\n"))).await;
        let token = gate.token("alice", &["eng"]);
        let answer = gate.reach.send(&gate.call("/mcp", &token, "up__echo", "{}")).await;
        assert!(answer.text().contains("did"), "{}", answer.whole());
        let records = gate.settled(1).await;
        let found: Vec<_> = records.iter().filter(|record| record["kind"] == "intent").collect();
        assert_eq!(found.len(), intents, "{reads}");
        let outcome = records.iter().find(|record| record["kind"] == "outcome").unwrap();
        assert_eq!(outcome["intent"].as_u64(), found.first().map(|intent| intent["seq"].as_u64().unwrap()));

        let full = format!("audit: {{ durability: write, reads: {reads}, sinks: [{{ file: /dev/full }}] }}\n");
        let gate = Gate::with(|files| files.config.push_str(&full)).await;
        let token = gate.token("alice", &["eng"]);
        let answer = gate.reach.send(&gate.call("/mcp", &token, "up__echo", "{}")).await;
        assert_eq!(answer.text().contains("audit_unavailable"), intents == 1, "{reads}: {}", answer.whole());
        assert_eq!(gate.up.calls().len(), 1 - intents, "{reads}");
    }
}
