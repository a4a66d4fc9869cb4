mod faults;

use bytes::Bytes;

use super::*;
use crate::mcp::RawJson;
use crate::telemetry::escape::is_unsafe;
use crate::vocab::{Class, Digest};

fn gate() -> Gate {
    Gate { rule: "r".into(), from: vec!["group:sre".to_owned()], quorum: 1, requester: false }
}

fn bound() -> Bound {
    Bound {
        iss: "https://idp.example.com".into(),
        sub: "alice".into(),
        client: Some("agent".into()),
        actors: vec!["robot".into()],
        method: "tools/call".into(),
        route: "/mcp".into(),
        upstream: "up".into(),
        server: Digest([2; 32]),
        name: "up__write".into(),
        definition: "sha256:00".into(),
        arguments: Digest([1; 32]),
        class: Class::Write,
        policy: "sha256:11".into(),
        gates: vec![gate()],
    }
}

#[test]
fn every_part_of_a_call_is_in_its_digest() {
    type Change = fn(&mut Bound);
    let changes: Vec<(&str, Change)> = vec![
        ("iss", |b| b.iss = "https://other.example.com".into()),
        ("sub", |b| b.sub = "bob".into()),
        ("sub moved into iss", |b| (b.iss, b.sub) = ("https://idp.example.coma".into(), "lice".into())),
        ("client", |b| b.client = Some("other".into())),
        ("no client", |b| b.client = None),
        ("an empty client", |b| b.client = Some("".into())),
        ("server", |b| b.server = Digest([3; 32])),
        ("no actor", |b| b.actors.clear()),
        ("two actors", |b| b.actors.push("robot".into())),
        ("an actor in two", |b| b.actors = vec!["rob".into(), "ot".into()]),
        ("method", |b| b.method = "prompts/get".into()),
        ("route", |b| b.route = "/bare".into()),
        ("upstream", |b| b.upstream = "old".into()),
        ("name", |b| b.name = "up__delete".into()),
        ("definition", |b| b.definition = "sha256:01".into()),
        ("no definition", |b| b.definition = "".into()),
        ("arguments", |b| b.arguments = Digest([2; 32])),
        ("class", |b| b.class = Class::Read),
        ("policy", |b| b.policy = "sha256:12".into()),
        ("no gate", |b| b.gates.clear()),
        ("two gates", |b| b.gates.push(gate())),
        ("rule", |b| b.gates = vec![Gate { rule: "s".into(), ..gate() }]),
        ("from", |b| b.gates = vec![Gate { from: vec!["group:sec".to_owned()], ..gate() }]),
        ("from in two", |b| b.gates = vec![Gate { from: vec!["group:".to_owned(), "sre".to_owned()], ..gate() }]),
        ("quorum", |b| b.gates = vec![Gate { quorum: 2, ..gate() }]),
        ("requester", |b| b.gates = vec![Gate { requester: true, ..gate() }]),
    ];
    let mut seen = std::collections::HashMap::from([(bound().digest(), "nothing")]);
    for (what, change) in changes {
        let mut changed = bound();
        change(&mut changed);
        assert_eq!(seen.insert(changed.digest(), what), None, "{what}");
    }
    assert_eq!(bound().digest(), bound().digest());
}

fn no_of(sub: &str) -> Vote {
    let (iss, sub) = (bound().iss, sub.into());
    Vote { iss, sub, name: "".into(), yes: false, gates: vec![0], reason: "".into(), at_unix_ms: 1_500 }
}

fn request(state: State) -> Request {
    let bound = bound();
    Request {
        id: RequestId::mint().unwrap(),
        digest: bound.digest(),
        bound,
        requester_name: None,
        excerpt: "{}".into(),
        record: "r".into(),
        asked_unix_ms: 1_000,
        expires_unix_s: 61,
        votes: if state == State::Denied { vec![no_of("sven")] } else { Vec::new() },
        state,
        ended_unix_ms: None,
        told: false,
        set_apart: false,
        lease: None,
    }
}

#[test]
fn a_row_reads_back_and_one_that_was_changed_does_not() {
    let request = request(State::Approved);
    let row = row::write(&request);
    assert_eq!(row::read(&row), Some(request));
    let text = String::from_utf8(row).unwrap();
    for (from, to) in [("alice", "bob"), ("up__write", "up__delete"), ("\"write\"", "\"read\""), ("apr_", "apx_"), ("{", "")] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        assert_eq!(row::read(changed.as_bytes()), None, "{from}");
    }
}

#[test]
fn what_is_open_expires_and_what_is_over_does_not() {
    for (state, after) in [
        (State::Pending, State::Expired),
        (State::Approved, State::Expired),
        (State::Denied, State::Denied),
        (State::Withdrawn, State::Withdrawn),
        (State::Used, State::Used),
    ] {
        let request = request(state);
        assert_eq!((request.state_at(60), request.state_at(61)), (state, after));
        assert_eq!(State::parse(state.as_str()), Some(state));
    }
}

#[test]
fn a_request_without_gates_or_votes_is_not_met() {
    let mut bare = request(State::Pending);
    assert!(!bare.is_met());
    bare.bound.gates.clear();
    assert!(!bare.is_met());
    bare.bound.gates = vec![Gate { quorum: 0, ..gate() }];
    assert!(!bare.is_met());
}

#[test]
fn ids_are_ids_and_nothing_else() {
    let id = RequestId::mint().unwrap();
    assert_eq!((RequestId::parse(id.as_str()), id.as_str().len()), (Some(id.clone()), RequestId::BYTES));
    for wrong in
        ["", "apr_", "apr_AAAA", "APR_AAAAAAAAAAAAAAAAAAAAAA", "apr_AAAAAAAAAAAAAAAAAAAAAA==", "apr_AAAAAAAAAAAAAAAAAAAA/A"]
    {
        assert_eq!(RequestId::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn arguments_are_shown_with_nothing_hidden_and_bounded() {
    let raw = |text: &str| RawJson::parse(Bytes::copy_from_slice(text.as_bytes()), 64).unwrap();
    let shown = Shown::of(&raw("{\"a\":\"\u{202e}x\\u001b[31m\",\"b\":[1.0,{}],\"\u{200b}k\":null,\"e\":[]}"));
    let expect =
        "{\n  \"a\": \"\\u202ex\\u001b[31m\",\n  \"b\": [\n    1.0,\n    {}\n  ],\n  \"\\u200bk\": null,\n  \"e\": []\n}";
    assert_eq!(shown.text, expect);
    let long = Shown::of(&raw(&format!("[\"{}\"]", "\u{202e}\u{e4}".repeat(100_000))));
    let long = Shown { masked: 3, unverified: 2, ..long };
    assert!(long.text.len() <= 64 * 1024 && long.left_out_bytes > 700_000);
    assert!(!long.text.chars().any(|c| c != '\n' && is_unsafe(c)));
    assert_eq!(Shown::read(&long.write()), Some(long));
    // Masked as widely as records are: whoever decides by that is told so.
    let before = Shown::read(br#"{"text":"\"[redacted: cookie]\"","left_out_bytes":0,"masked":1}"#).unwrap();
    assert_eq!((before.masked, before.unverified), (1, 1));
}

/// A request that is read from the store, and then one that is made while clocks say that it is earlier.
#[test]
fn a_call_finds_the_request_made_last_whatever_clocks_say() {
    let mut index = Index::default();
    let old = Arc::new(Request { asked_unix_ms: 9_000, ..request(State::Used) });
    let new = Arc::new(Request { asked_unix_ms: 1_000, ..request(State::Pending) });
    index.put(old.clone());
    index.put_latest(new.clone());
    index.put(Arc::new(Request { told: true, ..Request::clone(&old) }));
    assert_eq!(index.of_call(&new.digest).map(|found| found.id.clone()), Some(new.id.clone()));
    let approved = Arc::new(Request { state: State::Approved, ..Request::clone(&new) });
    index.put(approved.clone());
    assert_eq!(index.of_call(&new.digest), Some(approved));
}

/// Whoever asks can make as many requests that are over as they like: none drives out what keeps a call from running under a lease.
#[test]
fn a_no_is_not_driven_out_while_a_lease_is_in_force() {
    let mut index = Index::default();
    let put = |index: &mut Index, arguments: u8, change: fn(&mut Request)| {
        let mut bound = bound();
        bound.arguments = Digest([arguments; 32]);
        let mut made = Request { id: RequestId::mint().unwrap(), digest: bound.digest(), bound, ..request(State::Withdrawn) };
        made.ended_unix_ms = Some(2_000);
        change(&mut made);
        let made = Arc::new(made);
        index.put_latest(made.clone());
        made.id.clone()
    };
    let denied = put(&mut index, 1, |request| {
        (request.state, request.told, request.asked_unix_ms) = (State::Denied, true, 1);
        request.votes = vec![no_of("sven")];
    });
    let before = put(&mut index, 2, |request| (request.set_apart, request.asked_unix_ms) = (true, 2));
    let apart = put(&mut index, 2, |request| (request.set_apart, request.asked_unix_ms) = (true, 3));
    let lease = Lease { minutes: 1, uses: 1, used: 0, within: None, rest: Digest([3; 32]) };
    let leased = put(&mut index, 3, |request| (request.state, request.asked_unix_ms) = (State::Approved, 4));
    let leased = Request { lease: Some(lease), ..Request::clone(&index.get(&leased).unwrap()) };
    index.put(Arc::new(leased));
    let over = put(&mut index, 4, |request| request.asked_unix_ms = 5);
    let own = put(&mut index, 6, |request| {
        (request.state, request.told, request.asked_unix_ms) = (State::Denied, true, 6);
        request.votes = vec![no_of(&request.bound.sub)];
    });
    while index.requests().count() < APPROVALS_KEPT_MAX {
        put(&mut index, 5, |request| (request.state, request.ended_unix_ms) = (State::Pending, None));
    }
    // What is no more than a step on the way goes, then others; a no stays while there is a lease.
    assert_eq!(index.makes_room(60), Some(Some(before)));
    put(&mut index, 5, |request| (request.state, request.ended_unix_ms) = (State::Pending, None));
    for gone in [over, own] {
        assert_eq!(index.makes_room(60), Some(Some(gone)));
        put(&mut index, 5, |request| (request.state, request.ended_unix_ms) = (State::Pending, None));
    }
    assert_eq!(index.makes_room(60), None);
    // Once that is over as well the oldest goes.
    assert_eq!(index.makes_room(61), Some(Some(denied)));
    put(&mut index, 5, |request| (request.state, request.ended_unix_ms) = (State::Pending, None));
    assert_eq!(index.makes_room(61), Some(Some(apart)));
}

/// A lease that is given while a no is kept as long as others are lasts a day at most.
#[test]
fn a_no_is_kept_longer_than_the_leases_that_it_stands_above() {
    let day_s = 24 * 3_600;
    for (state, set_apart, days) in [
        (State::Denied, false, 2),
        (State::Withdrawn, true, 2),
        (State::Expired, true, 2),
        (State::Withdrawn, false, 1),
        (State::Used, true, 1),
    ] {
        let over = Request { set_apart, ended_unix_ms: Some(5_000), ..request(state) };
        assert_eq!(row::kept_until_s(&over), 5 + days * day_s, "{state:?} {set_apart}");
        let mut index = Index::default();
        index.put(Arc::new(over));
        index.late(4 + days * day_s, 10);
        assert_eq!(index.requests().count(), 1, "{state:?} {set_apart}");
        index.late(5 + days * day_s, 10);
        assert_eq!(index.requests().count(), 0, "{state:?} {set_apart}");
    }
}
