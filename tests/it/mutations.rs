//! Policy files broken in every way that editors, merges and disks break them, put in force under load.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portcullis::mcp::RawJson;
use portcullis::policy::{Asked, Effect, Facts, Hints, Kind, PolicySet, compile, decide};
use portcullis::vocab::{Principal, Problem};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::gate::{Gate, POLICY, Run, soon};
use crate::wire::{Conn, Req, Resp};

/// How many files are tried, and what decides which.
const MUTATIONS: usize = 500;
const SEED: u64 = 3;

/// Calls that run while each of them is put in force: enough to be in every moment of it sooner or later.
const CALLS_EACH: usize = 6;

/// More of the language than the policy of the other tests has.
const MORE: &str = r#"
  # Remarks and blank lines mean nothing.
  - id: small-orders
    effect: allow
    principals: ["group:ops"]
    tools: ["up__echo", "old__echo"]
    when: |
      route == "/mcp" &&
      args.amount <= 100 && args.to.all(x, x.endsWith("@example.com"))
  - { id: fetch, effect: allow, principals: ["group:guests"], tools: ["old__echo"], arguments: { /url: { url: { scheme: [https], host: ["*.example.com"], address: name } } } }
  - { id: inside, effect: deny, tools: ["old__*"], arguments: { /ip: { cidr: [10.0.0.0/8, "::1"] }, /n: { min: 1, max: 99 } } }
  - { id: tried, effect: deny, principals: ["group:guests"], tools: ["*"], mode: shadow }
"#;

/// Who asks what: (subject, group, tool, arguments). Each subject asks one thing, so that a record tells what was asked.
const PROBES: [(&str, &str, &str, &str); 9] = [
    ("eng-plain", "eng", "up__echo", "{}"),
    ("eng-etc", "eng", "up__echo", r#"{"path":"/etc/passwd"}"#),
    ("eng-writes", "eng", "old__write", "{}"),
    ("guest-path", "guests", "up__echo", r#"{"path":"/srv/a"}"#),
    ("guest-url", "guests", "old__echo", r#"{"url":"https://a.example.com/","ip":"10.1.2.3","n":100}"#),
    ("ops-orders", "ops", "up__echo", r#"{"amount":100,"to":["a@example.com"]}"#),
    ("ops-inside", "ops", "old__echo", r#"{"amount":1,"to":[],"ip":"10.1.2.3","n":7}"#),
    ("guest-deletes", "guests", "up__delete", "{}"),
    ("stranger", "none", "up__write", "{}"),
];

/// The last of [`PROBES`] that no mutation of a few bytes can let through.
const NEVER: [&str; 2] = ["guest-deletes", "stranger"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_policy_files_under_load_change_nothing() {
    let base = format!("{POLICY}{MORE}");
    let mut gate = Gate::program(|files| files.policy = base.clone()).await;
    let turns = Arc::new(Semaphore::new(0));
    let load: Vec<_> =
        (0..2).map(|first| tokio::spawn(call_until(turns.clone(), requests(&gate), gate.reach.clone(), first))).collect();
    let mut sets: HashMap<String, PolicySet> = HashMap::new();
    let mut in_force = good(&base).map(|set| remember(&mut sets, set)).unwrap();
    let mut conn = gate.reach.open().await;
    let own = gate.call("/mcp", &gate.token("own", &["eng"]), "up__echo", "{}").bytes();
    let mut expected = Vec::with_capacity(MUTATIONS);
    let (mut dice, mut broken, mut read) = (Dice(SEED), 0, 0);
    for number in 0..MUTATIONS {
        let text = mutated(&mut dice, base.as_bytes());
        turns.add_permits(CALLS_EACH);
        put(&gate, &text);
        let context = || format!("mutation {number}: {}", String::from_utf8_lossy(&text));
        let compiled = good_bytes(&text);
        let success = if compiled.is_ok() { "1" } else { "0" };
        match compiled {
            Ok(set) => {
                in_force = remember(&mut sets, set);
                assert_eq!(told(&gate, &mut read, 1).await, [in_force.as_str()], "{}", context());
            }
            Err(problems) => {
                broken += 1;
                let told = told(&gate, &mut read, problems.len()).await;
                let at_its_place = |(line, problem): (&String, &Problem)| line.starts_with(&place(&gate, problem));
                assert!(told.iter().zip(&problems).all(at_its_place), "{told:#?} {problems:#?} {}", context());
            }
        }
        assert_eq!(gate.metric("portcullis_config_last_reload_success").await, success, "{}", context());
        conn.write(&own).await;
        let answer = conn.response().await;
        assert_eq!(verdict(&answer), allowed(&sets[&in_force], "own", "eng", "up__echo", "{}"), "{}", context());
        expected.push(in_force.clone());
    }
    turns.close();
    let mut asked = MUTATIONS;
    for task in load {
        asked += task.await.unwrap();
    }
    assert!((MUTATIONS / 2..=MUTATIONS * 9 / 10).contains(&broken), "{broken} of {MUTATIONS} mutations are broken");
    assert!(sets.len() > 20 && asked > 2 * MUTATIONS, "{} sets, {asked} calls", sets.len());
    let records = gate.settled(asked).await;
    judge(&gate, &records, &sets, &expected);
    assert_eq!(gate.terminate().await, Some(0));
}

/// Every record says what the set that it names says, and only what one of them allowed was done.
fn judge(gate: &Gate, records: &[Value], sets: &HashMap<String, PolicySet>, expected: &[String]) {
    let digest = |record: &Value| record["decision"]["policy"].as_str().unwrap_or("none").to_owned();
    let outcomes: Vec<&Value> = records.iter().filter(|record| record["kind"] != "intent").collect();
    let own = outcomes.iter().filter(|record| record["principal"]["sub"] == "own").map(|record| digest(record));
    assert!(own.eq(expected.iter().cloned()), "calls after a reload are decided by what it left in force");
    let mut done = 0;
    for record in outcomes {
        let sub = record["principal"]["sub"].as_str().unwrap();
        let set = sets.get(&digest(record)).unwrap_or_else(|| panic!("decided by no good set: {record}"));
        let yes = record["decision"]["effect"] == "allow";
        assert!(!(yes && NEVER.contains(&sub)), "{record}");
        done += usize::from(yes && record["outcome"]["status"] == "completed");
        if let Some((sub, group, tool, arguments)) = PROBES.iter().find(|probe| probe.0 == sub) {
            assert_eq!(yes, allowed(set, sub, group, tool, arguments), "{record}");
        }
    }
    assert_eq!(gate.up.calls().len() + gate.old.calls().len(), done, "what was allowed was done, and nothing else");
}

/// What `set` says of one call.
fn allowed(set: &PolicySet, sub: &str, group: &str, tool: &str, arguments: &str) -> bool {
    let who = Principal {
        iss: "https://idp.example.com".into(),
        sub: sub.into(),
        client_id: None,
        scopes: vec!["mcp:read".into()],
        claims: json!({ "groups": [group] }).as_object().unwrap().clone(),
        expires_at_s: None,
        key_id: None,
        anonymous: false,
    };
    let arguments = RawJson::parse(Bytes::copy_from_slice(arguments.as_bytes()), 64).unwrap();
    let kind = Kind::Tool { name: tool, class: set.class_of(tool, Hints::default()), arguments: Some(&arguments) };
    decide(set, &who, &Asked { kind, known: true, now_unix_ms: 1_795_269_600_000, route: "/mcp" }).effect() == Effect::Allow
}

fn good(text: &str) -> Result<PolicySet, Vec<Problem>> {
    let upstreams = ["up", "old"].map(str::to_owned);
    let issuers = ["https://idp.example.com".to_owned()];
    compile(&[("policy.yaml".to_owned(), text.to_owned())], &Facts { upstreams: &upstreams, issuers: &issuers })
}

/// As [`good`]; bytes that are no text have one problem, which is at no line.
fn good_bytes(bytes: &[u8]) -> Result<PolicySet, Vec<Problem>> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let (line, column) = (0, 0);
        let [file, path, value, message, hint] = ["policy.yaml", "", "", "cannot be read", ""].map(str::to_owned);
        return Err(vec![Problem { file, line, column, path, value, message, hint }]);
    };
    good(text)
}

fn remember(sets: &mut HashMap<String, PolicySet>, set: PolicySet) -> String {
    let digest = set.digest().to_string();
    sets.insert(digest.clone(), set);
    digest
}

/// Replaces the file as a whole, and says so.
fn put(gate: &Gate, text: &[u8]) {
    let Run::Process(process) = &gate.run else { panic!("runs in process") };
    fs::write(gate.dir.path().join("policy.new"), text).unwrap();
    fs::rename(gate.dir.path().join("policy.new"), gate.dir.path().join("policy.yaml")).unwrap();
    kill(Pid::from_raw(i32::try_from(process.pid).unwrap()), Signal::SIGHUP).unwrap();
}

fn requests(gate: &Gate) -> Vec<Vec<u8>> {
    let request = |(sub, group, tool, arguments): &(&str, &str, &str, &str)| -> Req {
        gate.call("/mcp", &gate.token(sub, &[group]), tool, arguments)
    };
    PROBES.iter().map(request).map(|request| request.bytes()).collect()
}

/// Asks all things in turn on one connection, one for each turn it gets; how often it asked.
async fn call_until(turns: Arc<Semaphore>, requests: Vec<Vec<u8>>, reach: crate::wire::Reach, first: usize) -> usize {
    let mut conn: Conn = reach.open().await;
    for (asked, request) in requests.iter().cycle().skip(first).enumerate() {
        let Ok(turn) = turns.acquire().await else { return asked };
        turn.forget();
        conn.write(request).await;
        let answer = conn.response().await;
        verdict(&answer);
        if answer.closes() {
            conn = reach.open().await;
        }
    }
    unreachable!("the requests are asked for ever")
}

/// Whether a call was let through; fails for whatever is neither an answer nor a refusal by policy.
fn verdict(answer: &Resp) -> bool {
    let body = answer.json();
    let done = body["result"]["content"][0]["text"].as_str().is_some_and(|text| text.starts_with("did"));
    let reason = &body["result"]["_meta"]["dev.portcullis/denial"]["reason"];
    let denied = ["rule_denied", "no_rule", "indeterminate"].iter().any(|word| reason == word) || answer.code() == -32602;
    assert!(answer.status == 200 && done != denied, "{}", answer.whole());
    done
}

/// The next `count` things that the log says of reloads: the digest that is in force from now on, or a problem. `read` counts those
/// that were read before.
async fn told(gate: &Gate, read: &mut usize, count: usize) -> Vec<String> {
    let words = ["configuration reloaded", "reload refused; the running configuration stays"];
    let is_reload = |line: &&str| words.iter().any(|word| line.contains(word));
    let whole = || gate.log().rsplit_once('\n').map_or(String::new(), |(whole, _)| whole.to_owned());
    soon("the log", || whole().lines().filter(is_reload).count() >= *read + count).await;
    let told = whole().lines().filter(is_reload).skip(*read).take(count).map(of_event).collect();
    *read += count;
    told
}

fn of_event(line: &str) -> String {
    let event: Value = serde_json::from_str(line).unwrap();
    let what = event.get("policy").or_else(|| event.get("problem"));
    what.and_then(Value::as_str).unwrap().to_owned()
}

/// The start of what is said of a problem: the file as the gateway knows it, and the place in it.
fn place(gate: &Gate, problem: &Problem) -> String {
    let file = gate.dir.path().join("policy.yaml");
    let Problem { line, column, .. } = problem;
    if *line == 0 { format!("{}: ", file.display()) } else { format!("{}:{line}:{column}: ", file.display()) }
}

/// Numbers that look random and are the same every time (splitmix64).
struct Dice(u64);

impl Dice {
    /// Less than `sides`, of which there is at least one.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap() % sides
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.roll(items.len())]
    }
}

const STRAY: [&str; 10] = ["\u{feff}", "\u{202e}", "\u{2028}", "\u{a0}", "\u{85}", "\t", "\r", "\0", "\u{ffff}", "\u{1f600}"];
const TYPES: [&str; 10] = ["7", "true", "null", "[]", "{}", "\"\"", "[[x]]", "{ a: 1 }", ".inf", "!!binary aGk="];
const HUGE: [&str; 5] = ["99999999999999999999", "1e999", "-1", "0x7fffffffffffffff", "18446744073709551616"];
const KEYS: [&str; 4] = ["unknown: 1", "efect: deny", "<<: *x", "\"\": x"];

/// `base`, broken or changed in one place.
fn mutated(dice: &mut Dice, base: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(base).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let at = dice.roll(lines.len());
    let indent = |line: &str| line.len() - line.trim_start().len();
    let (bytes, place) = (base.to_vec(), dice.roll(base.len()));
    let kind = dice.roll(16);
    match kind {
        0 => return bytes.iter().enumerate().map(|(i, b)| if i == place { b ^ (1 << dice.roll(8)) } else { *b }).collect(),
        1 => return bytes[..place].to_vec(),
        2 => return [&bytes[..place], &[dice.of(&[0xff, 0xc0, 0x80])], &bytes[place..]].concat(),
        3 => return [&bytes[..place], dice.of(&STRAY).as_bytes(), &bytes[place..]].concat(),
        4 => return without_one(text, dice, &['"', '\'', '[', ']', '{', '}', ',', ':']).into(),
        5 => return swapped_word(text, dice).into(),
        6 => return without_number(text, dice).into(),
        7 | 8 => drop(lines.remove(at)),
        9 => lines.insert(at, lines[at]),
        10 => lines.swap(at, (at + 1) % text.lines().count()),
        _ => {}
    }
    let other = dice.roll(lines.len());
    let at = at.min(lines.len() - 1);
    let (mine, its) = (indent(lines[at]), indent(lines[other]));
    let changed = match kind {
        11 => format!("{}{}", &lines[other][..its], lines[at].trim_start()),
        12 => lines[at].rsplit_once(": ").map_or_else(|| "7".to_owned(), |(key, _)| format!("{key}: {}", dice.of(&TYPES))),
        13 => format!("{}\n{}{}", lines[at], " ".repeat(mine), dice.of(&KEYS)),
        14 => format!("{} # a remark", lines[at]),
        15 => format!("\n{}", lines[at]),
        _ => lines[at].to_owned(),
    };
    lines[at] = &changed;
    (lines.join("\n") + "\n").into()
}

/// Without one of the signs.
fn without_one(text: &str, dice: &mut Dice, signs: &[char]) -> String {
    let places: Vec<usize> = text.match_indices(signs).map(|(at, _)| at).collect();
    let at = dice.of(&places);
    format!("{}{}", &text[..at], &text[at + 1..])
}

/// With one word in the place of another.
fn swapped_word(text: &str, dice: &mut Dice) -> String {
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() > 1).collect();
    let (from, to) = (dice.of(&words), dice.of(&words));
    let places: Vec<usize> = text.match_indices(from).map(|(at, _)| at).collect();
    let at = dice.of(&places);
    format!("{}{to}{}", &text[..at], &text[at + from.len()..])
}

/// With a huge number, or none at all, in the place of one.
fn without_number(text: &str, dice: &mut Dice) -> String {
    let places: Vec<usize> = text.match_indices(|c: char| c.is_ascii_digit()).map(|(at, _)| at).collect();
    let at = dice.of(&places);
    format!("{}{}{}", &text[..at], dice.of(&HUGE), &text[at + 1..])
}
