//! Requests for approval on a terminal. Nothing that anybody else wrote reaches it as it is.

use serde_json::Value;

use crate::cli::out::Out;
pub(super) use crate::telemetry::escape::visible;

/// A line per request.
pub(super) fn list(value: &Value, out: &mut Out) {
    let items = value.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        out.note("nothing waits");
        return;
    }
    out.line(format_args!("{:<26}  {:<9}  {:<24}  {:<11}  {:<24}  WHAT", "ID", "STATE", "UNTIL", "CLASS", "WHO"));
    for item in items {
        let text = |key: &str| visible(item.get(key).and_then(Value::as_str).unwrap_or_default());
        let state = if item.get("void") == Some(&Value::Bool(true)) { "void".to_owned() } else { text("state") };
        let (id, until, class, what) = (text("id"), text("expires_at"), text("class"), text("name"));
        out.line(format_args!("{id:<26}  {state:<9}  {until:<24}  {class:<11}  {:<24}  {what}", who(item)));
    }
}

/// A line per lease.
pub(super) fn leases(value: &Value, out: &mut Out) {
    let items = array(value, "items");
    if items.is_empty() {
        out.note("no lease is in force");
        return;
    }
    out.line(format_args!("{:<26}  {:<7}  {:<24}  {:<24}  {:<24}  WHERE", "ID", "CALLS", "UNTIL", "WHO", "WHAT"));
    for item in items {
        let text = |key: &str| visible(item.get(key).and_then(Value::as_str).unwrap_or_default());
        let calls = item.get("lease").map(calls).unwrap_or_default();
        let (id, until, what) = (text("id"), text("expires_at"), text("name"));
        let within = item.get("lease").map(within).unwrap_or_default();
        out.line(format_args!("{id:<26}  {calls:<7}  {until:<24}  {:<24}  {what:<24}  {within}", who(item)));
    }
}

/// All of one.
pub(super) fn whole(value: &Value, out: &mut Out) {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(visible);
    let mut row = |word: &str, text: Option<String>| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            out.line(format_args!("{word:<17} {text}"));
        }
    };
    row("id", text("id"));
    row("state", text("state"));
    if value.get("void") == Some(&Value::Bool(true)) {
        row("void", Some("the policy has changed since: nobody can decide on it".to_owned()));
    }
    let issuer = value.get("requester").and_then(|who| who.get("iss")).and_then(Value::as_str).map(visible);
    row("who", Some(who(value)));
    row("issuer", issuer);
    for key in ["client", "method", "name", "upstream", "route", "class"] {
        row(key, text(key));
    }
    for actor in array(value, "actors") {
        row("actor", actor.as_str().map(visible));
    }
    for gate in array(value, "gates") {
        row("why", Some(why(gate)));
    }
    for vote in array(value, "votes") {
        row("said", Some(said(vote)));
    }
    if let Some(lease) = value.get("lease") {
        let minutes = lease.get("minutes").and_then(Value::as_u64).unwrap_or_default();
        row("lease", Some(format!("{} calls made, within {minutes} minutes, where {}", calls(lease), within(lease))));
    }
    for (word, key) in [("asked", "asked_at"), ("until", "expires_at"), ("ended", "ended_at"), ("record", "record")] {
        row(word, text(key));
    }
    for (word, key) in
        [("definition", "definition"), ("policy", "policy"), ("digest", "digest"), ("arguments digest", "arguments_digest")]
    {
        row(word, text(key));
    }
    row("may decide", value.get("may_decide").and_then(Value::as_bool).map(|may| if may { "yes" } else { "no" }.to_owned()));
    row("why not", text("why_not"));
    arguments(value.get("arguments"), out);
}

/// What came of a decision.
pub(super) fn decided(value: &Value, out: &mut Out) {
    let text = |key: &str| visible(value.get(key).and_then(Value::as_str).unwrap_or_default());
    out.line(format_args!("{} {}", text("id"), text("state")));
}

fn arguments(shown: Option<&Value>, out: &mut Out) {
    let Some(shown) = shown.filter(|shown| shown.is_object()) else { return };
    out.line("arguments");
    // Its line breaks are ours; what is in the lines is made visible once more, whoever answered.
    for line in shown.get("text").and_then(Value::as_str).unwrap_or_default().split('\n') {
        out.line(format_args!("    {}", visible(line)));
    }
    let hidden = "of these are not verified: anything may be hidden there";
    for (key, words) in [("left_out_bytes", "bytes are not shown"), ("masked", "secrets are masked"), ("unverified", hidden)] {
        if let Some(count) = shown.get(key).and_then(Value::as_u64).filter(|count| *count > 0) {
            out.line(format_args!("    ({count} {words})"));
        }
    }
}

fn array<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Calls made under a lease, of how many.
fn calls(lease: &Value) -> String {
    let number = |key: &str| lease.get(key).and_then(Value::as_u64).unwrap_or_default();
    format!("{}/{}", number("used"), number("uses"))
}

fn within(lease: &Value) -> String {
    lease.get("where").map_or_else(|| "the arguments are the same".to_owned(), |within| visible(&within.to_string()))
}

fn who(value: &Value) -> String {
    person(value.get("requester"))
}

fn person(person: Option<&Value>) -> String {
    let text = |key: &str| person.and_then(|person| person.get(key)?.as_str()).map(visible);
    match (text("name"), text("sub").unwrap_or_default()) {
        (Some(name), sub) if name != sub => format!("{name} ({sub})"),
        (_, sub) => sub,
    }
}

fn why(gate: &Value) -> String {
    let text = |key: &str| visible(gate.get(key).and_then(Value::as_str).unwrap_or_default());
    let number = |key: &str| gate.get(key).and_then(Value::as_u64).unwrap_or_default();
    let from: Vec<String> = array(gate, "from").iter().filter_map(Value::as_str).map(visible).collect();
    format!("rule {}: {} of {} yes, from {}", text("rule"), number("yes"), number("quorum"), from.join(", "))
}

fn said(vote: &Value) -> String {
    let yes = if vote.get("yes") == Some(&Value::Bool(true)) { "yes" } else { "no" };
    let reason = vote.get("reason").and_then(Value::as_str).map(visible).filter(|reason| !reason.is_empty());
    let because = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{} {yes}{because}", person(vote.get("by")))
}
