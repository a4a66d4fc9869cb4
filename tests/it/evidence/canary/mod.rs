//! Secrets of every kind are sent through everything that takes a text, and looked for in everything that is written: logs at their most
//! talkative, records and the files beside them, sinks, traces, metrics, pages, the answers of others, the command line.
//!
//! What a secret may do is said with its path. Some things nobody can do:
//!
//! | where | what stays | why |
//! |---|---|---|
//! | JSON-RPC id, resource URI, client id of a sign-in, values that a rule puts on record | a secret that no shape and no name tells | they are what a record is for; random ids are usual |
//! | arguments that people are asked to approve | a secret that no shape and no name tells | people decide about what they see |
//! | issuer, subject, client, groups and scopes of a verified token | all | a record says who it was in the words of the issuer |
//! | names of tools in the lists of upstreams | all | everybody may see them |
//! | the answer to whoever sent it | the JSON-RPC id and the progress token | the protocol wants them back |
//! | error output of a process (log: debug) | a secret that no shape and no name tells | it is the operator's own program, and they asked for its words |

mod client;
mod configured;
mod kinds;
mod place;
mod search;
mod upstream;

use self::client::May;
use self::kinds::Secret;
use self::place::{IDENTITY_PROVIDER, Place};
use self::search::{Hit, Search};
use crate::peer::modern;
use crate::wire::{Reach, Req, Resp};

/// Sends everything that a client can, and keeps the answers.
struct Run {
    search: Search,
    hits: Vec<Hit>,
    /// Secrets that may be seen by upstreams and in answers.
    reach: std::collections::BTreeSet<&'static str>,
    returned: std::collections::BTreeSet<&'static str>,
    sent: usize,
}

impl Run {
    fn new() -> Self {
        Self { search: Search::default(), hits: Vec::new(), reach: Default::default(), returned: Default::default(), sent: 0 }
    }

    fn plant(&mut self, path: &'static str, may: May, secret: &Secret) {
        self.search.plant(path, secret);
        match may {
            May::Vanish => {}
            May::Reach => drop(self.reach.insert(path)),
            May::Return => drop((self.reach.insert(path), self.returned.insert(path))),
        }
    }

    async fn send(&mut self, reach: &Reach, request: &Req) -> Resp {
        let answer = reach.send(request).await;
        self.sent += 1;
        self.answered(&answer);
        answer
    }

    /// A request by each of `paths`, with a secret of its own.
    fn prepare<'p>(
        &mut self,
        paths: impl Iterator<Item = &'p (&'static str, May, client::Make)>,
        place: &Place,
        mint: impl Fn() -> Secret,
    ) -> Vec<Req> {
        let one = |(path, may, make): &'p (&'static str, May, client::Make)| {
            let secret = mint();
            self.plant(path, *may, &secret);
            make(place, &secret.text)
        };
        paths.map(one).collect()
    }

    /// Sends them at once.
    async fn send_all(&mut self, reach: &Reach, requests: &[Req]) {
        let answers = futures_util::future::join_all(requests.iter().map(|request| reach.send(request))).await;
        self.sent += answers.len();
        for answer in answers {
            self.answered(&answer);
        }
    }

    fn answered(&mut self, answer: &Resp) {
        let found = self.search.look("the answer", answer.whole().as_bytes());
        self.hits.extend(found.into_iter().filter(|hit| !self.returned.contains(hit.path)));
    }

    /// Looks through everything; whatever was found anywhere.
    async fn end(mut self, place: &mut Place) -> Vec<Hit> {
        let upstreams: Vec<_> = [&place.gate.up, &place.gate.old].iter().flat_map(|peer| peer.seen()).collect();
        for seen in upstreams {
            let found = self.search.look("an upstream", seen.whole().as_bytes());
            self.hits.extend(found.into_iter().filter(|hit| !self.reach.contains(hit.path)));
        }
        for (name, text) in place.end().await {
            let found = self.search.look(&name, &text);
            self.hits.extend(found.into_iter().filter(|hit| name != IDENTITY_PROVIDER || !self.reach.contains(hit.path)));
        }
        self.report();
        self.hits
    }

    #[expect(clippy::print_stderr, reason = "how much was looked at")]
    fn report(&self) {
        let (secrets, kinds, mib) = (self.search.planted(), kinds::COUNT, self.search.bytes >> 20);
        eprintln!(
            "{secrets} secrets of {kinds} kinds in {} requests, looked for in {mib} MiB: {} found",
            self.sent,
            self.hits.len()
        );
    }
}

/// None, but for each place and path the first few.
fn assert_none(mut hits: Vec<Hit>) {
    hits.sort();
    let total = hits.len();
    let mut pairs: Vec<(String, Vec<&str>, String)> = Vec::new();
    for Hit { path, kind, place, near } in hits {
        match pairs.iter_mut().find(|(pair, ..)| *pair == format!("{path} -> {place}")) {
            Some((_, kinds, _)) => kinds.push(kind),
            None => pairs.push((format!("{path} -> {place}"), vec![kind], near)),
        }
    }
    let shown: Vec<String> = pairs.iter().map(|(pair, kinds, near)| format!("{pair}: {kinds:?}\n    {near:?}")).collect();
    assert!(total == 0, "{total} secrets were found:\n{}", shown.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_of_a_client_is_written_down() {
    let mut place = Place::start("json", |_| {}).await;
    let mut run = Run::new();
    for secret in kinds::all() {
        let agents = client::HEAD.iter().chain(client::BODY);
        let requests = run.prepare(agents, &place, || kinds::again(&secret));
        run.send_all(&place.gate.reach, &requests).await;
        let requests = run.prepare(client::ADMIN.iter(), &place, || kinds::again(&secret));
        run.send_all(&place.gate.admin, &requests).await;
    }
    for secret in kinds::all() {
        let asked = place.gate.reach.send(&place.gate.call("/mcp", &place.eager(""), "up__delete", "{}")).await.json();
        let id = asked["result"]["_meta"]["dev.portcullis/denial"]["approval_id"].as_str().unwrap().to_owned();
        run.plant("reason of an approver", May::Vanish, &secret);
        let (body, reach) = (serde_json::json!({"reason": secret.text}).to_string(), place.gate.admin.clone());
        let decision = place.operator("POST", &format!("/api/v1/approvals/{id}/deny")).add("Content-Type", "application/json");
        let answer = run.send(&reach, &decision.body(body)).await;
        assert_eq!(answer.status, 200, "{}", answer.whole());
    }
    // What has no shape is known where nothing is kept of what a client says, or where nobody knows the name.
    let agents = client::HEAD.iter().chain(client::BODY).filter(|(path, ..)| !NEED_A_SHAPE.contains(path));
    let requests = run.prepare(agents, &place, kinds::shapeless);
    run.send_all(&place.gate.reach, &requests).await;
    // The credential that was good.
    let token = place.token.clone();
    run.search.plant(
        "a good token",
        &Secret { kind: "jwt", text: token.clone(), pieces: vec![token.rsplit_once('.').unwrap().1.to_owned()] },
    );
    assert_none(run.end(&mut place).await);
}

/// Where a secret that no shape and no name tells is on record, as the table above says.
const NEED_A_SHAPE: &[&str] = &[
    "id",
    "answer to no question",
    "authorization request",
    "argument of a call that people approve",
    "uri",
    "uri that rules allow",
    "subscription",
    "argument on record",
    "argument on record, nested",
    "argument on record, escaped",
    "argument on record, long",
    "argument on record by a rule",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_of_an_upstream_is_written_down() {
    let said = kinds::all();
    let words: Vec<String> = said.iter().map(|secret| serde_json::Value::from(&*secret.text).to_string()).collect();
    let dead = crate::peer::Peer::start(|_| crate::peer::Answer::Raw(b"not TLS at all".to_vec())).await;
    let mut place = Place::start("text", |files| {
        let talker = serde_json::Value::from(place::TALKER).to_string();
        let args = format!("[\"-c\", {talker}, \"sh\", {}]", words.join(", ")).replace("${", "$${");
        files.config = files.config.replace(
            "policies:",
            &format!(
                "  - {{ name: talks, stdio: {{ command: sh, args: {args}, danger_unsandboxed: true }}, timeout: 1s }}\n  - {{ name: dead, http: {{ url: \"https://{}/mcp\" }} }}\npolicies:",
                dead.addr
            ),
        );
        files.config = files.config.replace("upstreams: [up, old] }", "upstreams: [up, old, talks, dead] }");
    })
    .await;
    let mut run = Run::new();
    for secret in &said {
        run.plant("words of a process", May::Vanish, secret);
    }
    let (reach, token) = (place.gate.reach.clone(), place.token.clone());
    for name in ["talks__x", "dead__x"] {
        run.send(&reach, &place.gate.call("/mcp", &token, name, "{}")).await;
    }
    for kind in kinds::all() {
        let planted: Vec<Secret> = upstream::PATHS.iter().map(|_| kinds::again(&kind)).collect();
        for ((path, may, _), secret) in upstream::PATHS.iter().zip(&planted) {
            run.plant(path, *may, secret);
        }
        place.gate.up.behave(move |seen| match seen.json()["params"]["arguments"]["n"].as_u64() {
            Some(n) => upstream::PATHS[n as usize].2(seen, &planted[n as usize].text),
            None => modern(seen),
        });
        let call = |n: usize| place.gate.call("/mcp", &token, "up__echo", &format!("{{\"n\":{n}}}"));
        let calls: Vec<Req> = (0..upstream::PATHS.len()).map(call).collect();
        run.send_all(&reach, &calls).await;
        // Whatever it did, it is not left alone for that.
        let answer = run.send(&reach, &place.gate.call("/mcp", &token, "up__echo", "{}")).await;
        assert!(answer.text().contains("did"), "{}", answer.whole());
    }
    let heard = place.gate.log();
    assert!(heard.contains("stderr: [redacted: github-token]") && heard.contains("request failed"), "something was said");
    assert_none(run.end(&mut place).await);
}
