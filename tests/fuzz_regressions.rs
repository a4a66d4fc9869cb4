//! What fuzzing found once holds from then on, and what it starts from holds as well.
#![expect(clippy::panic, clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

#[expect(unreachable_pub, dead_code, reason = "a library elsewhere")]
#[path = "../fuzz/src/lib.rs"]
mod fuzzed;

use fuzzed::Watch;

/// The inputs that are under version control: regressions, and the seeds of the search.
fn inputs(target: &str) -> Vec<PathBuf> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let files = |dir: &str| fs::read_dir(fuzz.join(dir).join(target)).into_iter().flatten().map(|entry| entry.unwrap().path());
    let seeds = files("corpus").filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("seed-"));
    let mut inputs: Vec<PathBuf> = files("regressions").chain(seeds).collect();
    inputs.sort();
    inputs
}

fn replay(target: &str, run: fn(&[u8], Watch)) {
    let inputs = inputs(target);
    assert!(inputs.len() > 20, "{inputs:?}");
    for input in inputs {
        let bytes = fs::read(&input).unwrap();
        assert!(std::panic::catch_unwind(|| run(&bytes, Watch::patient())).is_ok(), "{}", input.display());
    }
}

#[test]
fn policy_files() {
    replay("policy_file", fuzzed::policy_file);
}

#[test]
fn conditions() {
    replay("when", fuzzed::when);
}

#[test]
fn messages() {
    replay("dialect", |data, _| fuzzed::dialect(data));
}
