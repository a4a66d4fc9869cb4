//! What a decision costs as the number of rules grows: time, and heap allocations. See `benches/README.md`.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a program for developers, run by hand")]

mod shapes;

use std::hint::black_box;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use bytes::Bytes;
use portcullis::mcp::RawJson;
use portcullis::policy::{Asked, Facts, Hints, Kind, Moment, PolicySet, Subject, compile, decide_for, visible_for};
use portcullis::vocab::{Principal, Reason};
use shapes::{Expect, SHAPES, Shape, TOOLS_OF_A_LIST, UPSTREAMS};

/// Numbers of rules.
const SIZES: [usize; 5] = [1, 10, 100, 1_000, 10_000];
/// The size that others are compared to.
const BASE: usize = 10;
/// Batches measured; the middle one counts.
const BATCHES: usize = 201;
/// How long a batch should take.
const BATCH: Duration = Duration::from_micros(300);
/// A Saturday, 2026-11-21T14:00:00Z.
const NOW: Moment<'static> = Moment { now_unix_ms: 1_795_269_600_000, route: "/mcp" };

fn main() {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| name.contains(only));
    println!("{:<16} {:>7} {:>12} {:>8} {:>7} {:>10}", "shape", "rules", "median ns", "ratio", "allocs", "bytes");
    for shape in SHAPES.iter().filter(|shape| wanted(shape.name)) {
        decisions(shape);
    }
    if wanted("list") {
        lists();
    }
    if wanted("compile") {
        for shape in SHAPES {
            compiling(shape);
        }
    }
}

/// Decisions on calls of one shape, each size in a line.
fn decisions(shape: &Shape) {
    let who = shapes::principal();
    let raw = RawJson::parse(Bytes::from_static(shape.arguments.as_bytes()), 64).expect("arguments");
    let mut base = None;
    for size in SIZES {
        let set = compiled(shape, size);
        let subject = set.subject(&who);
        let names = (shape.names)(size);
        let calls: Vec<Asked<'_>> = names.iter().map(|name| call(&set, name, &raw)).collect();
        for asked in &calls {
            let reason = decide_for(&set, &subject, &who, asked).reason();
            assert_eq!(reason == Reason::Allowed, shape.expect == Expect::Allowed, "{} {size}: {reason:?} {asked:?}", shape.name);
        }
        let mut at = 0;
        let mut one = || {
            let asked = calls.get(at).expect("a call");
            at = (at + 1) % calls.len();
            drop(black_box(decide_for(&set, &subject, &who, black_box(asked))));
        };
        line(shape.name, size, &mut base, &mut one);
    }
}

fn call<'a>(set: &PolicySet, name: &'a str, raw: &'a RawJson) -> Asked<'a> {
    let kind = Kind::Tool { name, class: set.class_of(name, Hints::default()), arguments: Some(raw) };
    Asked { kind, known: true, now_unix_ms: NOW.now_unix_ms, route: NOW.route }
}

/// Filtering a list of a hundred tools, classes included; each size in a line.
fn lists() {
    let (who, names) = (shapes::principal(), shapes::listed());
    assert_eq!(names.len(), TOOLS_OF_A_LIST);
    for shape in SHAPES.iter().filter(|shape| shape.is_listed) {
        let mut base = None;
        for size in SIZES {
            let set = compiled(shape, size);
            let subject = set.subject(&who);
            let mut one = || {
                black_box(names.iter().filter(|name| is_shown(&set, &subject, &who, name)).count());
            };
            line(&format!("list {}", shape.name), size, &mut base, &mut one);
        }
    }
}

fn is_shown(set: &PolicySet, subject: &Subject, who: &Principal, name: &str) -> bool {
    let kind = Kind::Tool { name, class: set.class_of(name, Hints::default()), arguments: None };
    visible_for(set, subject, who, &kind, NOW)
}

/// What it takes to compile the largest set, and to work out which of its rules are about somebody.
fn compiling(shape: &Shape) {
    let size = SIZES.into_iter().max().unwrap_or(BASE);
    let (who, text) = (shapes::principal(), shapes::policy(shape, size));
    let (mut set, mut subject) = (None, None);
    let start = Instant::now();
    let memory = measure(|| set = Some(compile_text(&text)));
    let took = start.elapsed();
    let Some(set) = set else { return };
    let start = Instant::now();
    let share = measure(|| subject = Some(set.subject(&who)));
    let subject_took = start.elapsed();
    drop(subject);
    println!(
        "compile {:<12} {size:>7} rules: {:>6.1} ms, {:>6.1} MiB kept, {:>6.1} MiB at most; a subject: {:>6.1} us, {:>6} bytes",
        shape.name,
        took.as_secs_f64() * 1e3,
        mebibytes(memory.bytes_current),
        mebibytes(i64::try_from(memory.bytes_max).unwrap_or(i64::MAX)),
        subject_took.as_secs_f64() * 1e6,
        share.bytes_current,
    );
}

#[expect(clippy::cast_precision_loss, reason = "printed with one decimal")]
fn mebibytes(bytes: i64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn compiled(shape: &Shape, size: usize) -> PolicySet {
    compile_text(&shapes::policy(shape, size))
}

fn compile_text(text: &str) -> PolicySet {
    let upstreams: Vec<String> = (0..UPSTREAMS).map(|n| format!("up{n}")).chain(["files".to_owned()]).collect();
    let files = [("bench.yaml".to_owned(), text.to_owned())];
    compile(&files, &Facts { upstreams: &upstreams, issuers: &[] }).expect("a policy")
}

fn line(name: &str, size: usize, base: &mut Option<f64>, one: &mut dyn FnMut()) {
    let median = median_ns(one);
    if size == BASE {
        *base = Some(median);
    }
    let ratio = base.map_or_else(String::new, |base| format!("{:.2}", median / base));
    let (runs, mut count, mut bytes) = (64, 0, 0);
    for _ in 0..runs {
        let heap = measure(&mut *one);
        count += heap.count_total;
        bytes += heap.bytes_total;
    }
    println!("{name:<16} {size:>7} {median:>12.0} {ratio:>8} {:>7} {:>10}", count / runs, bytes / runs);
}

/// Nanoseconds of one run: the middle of many batches, after a warm-up.
fn median_ns(one: &mut dyn FnMut()) -> f64 {
    let mut runs = 1_u32;
    while batch(one, runs) < BATCH {
        runs = runs.saturating_mul(2);
    }
    let mut times: Vec<Duration> = (0..BATCHES).map(|_| batch(one, runs)).collect();
    times.sort_unstable();
    times.get(BATCHES / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1e9 / f64::from(runs))
}

fn batch(one: &mut dyn FnMut(), runs: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..runs {
        one();
    }
    start.elapsed()
}
