//! What fuzzing found once holds from then on, and what it starts from holds as well.
#![expect(clippy::panic, clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

#[expect(unreachable_pub, dead_code, reason = "a library elsewhere")]
#[path = "../fuzz/src/lib.rs"]
mod fuzzed;

use fuzzed::Watch;

#[expect(dead_code, reason = "a part of another test")]
#[path = "policy_model/random.rs"]
mod random;

use random::Random;

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

#[test]
fn logs() {
    replay("audit_reader", |data, _| fuzzed::audit_reader(data));
}

/// A slice of the search: the seeds, changed at random in the ways in which a fuzzer begins. `PORTCULLIS_MUTATIONS` says how many of
/// each.
#[test]
fn messages_that_are_nearly_right() {
    let times = std::env::var("PORTCULLIS_MUTATIONS").map_or(30, |text| text.parse().expect("a number"));
    let seeds: Vec<Vec<u8>> = inputs("dialect").iter().map(|path| fs::read(path).unwrap()).collect();
    let words = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/dialect.dict")).unwrap();
    let words: Vec<String> = words.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(words.len() > 50);
    for (at, seed) in seeds.iter().enumerate() {
        for time in 0..times {
            let mut random = Random::new((at as u64) << 32 | time);
            let mut input = seed.clone();
            for _ in 0..=random.below(3) {
                mutate(&mut input, &seeds, &words, &mut random);
            }
            let fine = std::panic::catch_unwind(|| fuzzed::dialect(&input)).is_ok();
            assert!(fine, "{}", String::from_utf8_lossy(&input));
        }
    }
}

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[String], random: &mut Random) {
    let start = random.below(input.len().max(1));
    let end = (start + random.below(24)).min(input.len());
    match random.below(6) {
        0 => input.get_mut(start).into_iter().for_each(|byte| *byte ^= 1 << random.below(8)),
        1 => drop(input.drain(start.min(end)..end)),
        2 => {
            let again = input[start.min(end)..end].to_vec();
            drop(input.splice(end..end, again));
        }
        3 => drop(input.splice(end..end, random.pick(words).into_bytes())),
        // A value in another's place.
        4 => {
            let from = [b':', b','].map(|mark| input.iter().skip(start).position(|byte| *byte == mark));
            if let [Some(colon), Some(comma)] = from
                && colon < comma
            {
                let with = random.pick(&["null", "[]", "{}", "1", "\"\"", "[{}]", "true", "1e999"]);
                drop(input.splice(start + colon + 1..start + comma, with.bytes()));
            }
        }
        _ => {
            let other = random.pick(seeds);
            let from = random.below(other.len());
            input.truncate(end);
            input.extend_from_slice(&other[from..]);
        }
    }
}
