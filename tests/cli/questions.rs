//! `audit show` and `audit stats` as a shell sees them.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use portcullis::telemetry::escape::is_unsafe;
use serde_json::Value;

use super::{command, portcullis};

/// What stands in a record besides number, time, id and kind.
fn record(seq: u64, id: &str, kind: &str, rest: &str) -> String {
    format!("{{\"v\":1,\"seq\":{seq},\"time\":\"2026-11-22T04:00:{seq:02}.000Z\",\"id\":\"{id}\",\"kind\":\"{kind}\"{rest}}}\n")
}

/// A call that was asked for, approved, made, and one that was refused; then what nobody but a hostile client would send.
fn log(dir: &Path) -> PathBuf {
    let who = |sub: &str| format!(",\"principal\":{{\"iss\":\"https://idp\",\"sub\":\"{sub}\",\"groups\":[],\"scopes\":[]}}");
    let call = |tool: &str| {
        format!(",\"route\":\"/mcp\",\"upstream\":\"files\",\"method\":\"tools/call\",\"name\":\"{tool}\",\"class\":\"write\"")
    };
    let decision = |effect: &str, reason: &str, rule: &str| {
        format!(
            ",\"decision\":{{\"effect\":\"{effect}\",\"mode\":\"enforce\",\"reason\":\"{reason}\",\"rules\":[\"{rule}\"],\"obligations\":[],\"policy\":\"sha256:aa\"}}"
        )
    };
    let ended = |status: &str, reason: &str| {
        format!(
            ",\"outcome\":{{\"status\":\"{status}\",\"reason\":\"{reason}\",\"http\":200,\"upstream_ms\":5.000,\"total_ms\":7.250,\"bytes_in\":1,\"bytes_out\":4000}}"
        )
    };
    let approval =
        |state: &str| format!(",\"approval\":{{\"id\":\"ap1\",\"state\":\"{state}\",\"by\":[],\"arguments\":\"sha256:00\"}}");
    let (alice, write) = (who("alice"), call("files__write"));
    let allowed = decision("allow", "allowed", "writers");
    let hostile = "\\u001b[31m\u{202e}gnp.exe";
    let lines = [
        record(1, "a1", "approval", &format!("{alice}{write}{}{}", approval("pending"), ended("completed", "allowed"))),
        record(2, "a2", "approval", &format!("{}{write}{}{}", who("sre"), approval("approved"), ended("completed", "allowed"))),
        record(3, "w1", "intent", &format!("{alice}{write}{allowed}{}", approval("approved"))),
        record(
            4,
            "w1",
            "outcome",
            &format!("{alice}{write}{allowed}{}{},\"intent\":3", approval("used"), ended("completed", "allowed")),
        ),
        record(
            5,
            "d1",
            "outcome",
            &format!(
                "{}{}{}{}",
                who("bob"),
                call("files__delete"),
                decision("deny", "rule_denied", "no-deletes"),
                ended("denied", "rule_denied")
            ),
        ),
        record(6, "h1", "outcome", &format!("{}{}{}", who(hostile), call(hostile), ended("faulted", hostile))),
        "\u{1b}[2J no record\n".to_owned(),
        record(7, "w2", "intent", &format!("{alice}{write}{allowed}")),
    ];
    let dir = dir.join("audit");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("audit.jsonl"), lines.concat()).unwrap();
    dir
}

#[test]
fn the_first_questions_are_answered() {
    let temp = tempfile::tempdir().unwrap();
    let dir = log(temp.path());
    let path = dir.display().to_string();
    let ran = portcullis(&["audit", "stats", &path]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let words = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        "7 records from 2026-11-22T04:00:01.000Z to 2026-11-22T04:00:07.000Z (2 approval, 2 intent, 3 outcome)",
        "1 lines are no records",
        "alice files__write",
        "rule_denied no-deletes files__delete",
        "approvals: 1 approved, 1 pending",
        "intents without an outcome: 1",
        "record 7 alice files__write",
        "sha256:aa",
    ] {
        assert!(words.contains(said), "{said}: {words}");
    }
    let grouped = portcullis(&["audit", "stats", &path, "--by", "principal,reason", "--since", "2026-11-22T04:00:05Z", "--json"]);
    let report: Value = serde_json::from_str(&grouped.stdout).unwrap();
    let keys: Vec<&str> = report["groups"].as_array().unwrap().iter().filter_map(|group| group["keys"][0].as_str()).collect();
    assert_eq!((grouped.code, report["records"].as_u64(), keys.len()), (0, Some(3), 2));
    assert!(keys.contains(&"https://idp#bob"));
    for args in [
        vec!["audit", "stats", "/nonexistent"],
        vec!["audit", "stats", &path, "--by", "colour"],
        vec!["audit", "stats", &path, "--since", "soon"],
        vec!["audit", "show", "--log", &path, "--kind", "colour"],
        vec!["audit", "show", "w1", "--log", &path, "--denied"],
    ] {
        assert_eq!(portcullis(&args).code, 2, "{args:?}");
    }
}

#[test]
fn a_record_is_shown_with_what_belongs_to_it_and_lists_begin_with_the_newest() {
    let temp = tempfile::tempdir().unwrap();
    let path = log(temp.path()).display().to_string();
    let seqs = |args: &[&str]| {
        let ran = portcullis(&[&["audit", "show", "--log", &path, "--json"], args].concat());
        let seq = |line: &str| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap();
        (ran.code, ran.stdout.lines().map(seq).collect::<Vec<_>>())
    };
    for (args, expected) in [
        (vec!["w1"], vec![1, 2, 3, 4]),
        (vec!["4"], vec![1, 2, 3, 4]),
        (vec!["d1"], vec![5]),
        (vec!["--denied"], vec![5]),
        (vec!["--principal", "alice", "--limit", "2"], vec![7, 4]),
        (vec!["--principal", "https://idp#a*", "--kind", "intent"], vec![7, 3]),
        (vec!["--rule", "writers", "--until", "2026-11-22T04:00:04Z"], vec![3]),
        (vec!["--tool", "files__w*", "--status", "completed"], vec![4, 2, 1]),
    ] {
        assert_eq!(seqs(&args), (0, expected), "{args:?}");
    }
    for args in [vec!["99"], vec!["nobody"], vec!["--principal", "mallory"]] {
        assert_eq!(seqs(&args), (1, vec![]), "{args:?}");
    }
    let story = portcullis(&["audit", "show", "w1", "--log", &path]).stdout;
    for said in [
        "record 3  intent  2026-11-22T04:00:03.000Z",
        "principal.sub          alice",
        "approval.state         approved",
        "intent                 3",
    ] {
        assert!(story.contains(said), "{said}: {story}");
    }
}

#[test]
fn a_log_is_named_as_for_the_other_verbs() {
    let temp = tempfile::tempdir().unwrap();
    let path = log(temp.path()).display().to_string();
    let file = format!("{path}/audit.jsonl");
    for (args, code, said) in [
        (vec![path.as_str()], 0, "no-deletes"),
        (vec![&path, "--denied"], 0, "rule_denied by no-deletes"),
        (vec![&file, "--kind", "approval"], 0, "a2"),
        (vec![&path, "w1"], 0, "record 3  intent"),
        (vec![&path, "4"], 0, "record 4  outcome"),
        (vec!["w1", "--log", &path], 0, "record 3  intent"),
        // A log that is there is the log, however it is called.
        (vec!["audit", "w1"], 0, "record 3  intent"),
        (vec!["audit"], 0, "no-deletes"),
        (vec![&path, "nobody"], 1, "there is no record nobody"),
        (vec![&path, "w1", "--denied"], 2, "--denied"),
        (vec![&path, "w1", "--log", &path], 2, "named twice"),
        (vec!["./gone"], 2, "gone"),
    ] {
        let ran = command(&["audit", "show"]).args(&args).current_dir(temp.path()).output().unwrap();
        let text = [ran.stdout, ran.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(ran.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(said), "{args:?}: {text}");
    }
}

#[test]
fn nothing_of_a_record_reaches_a_terminal_as_it_is() {
    let temp = tempfile::tempdir().unwrap();
    let path = log(temp.path()).display().to_string();
    for args in [
        vec!["audit", "stats", &path],
        vec!["audit", "stats", &path, "--by", "principal,tool,reason"],
        vec!["audit", "show", "--log", &path],
        vec!["audit", "show", "--log", &path, "--json"],
        vec!["audit", "show", "h1", "--log", &path],
    ] {
        let ran = portcullis(&args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.stderr);
        assert!(ran.stdout.contains("gnp.exe"), "{args:?}: {}", ran.stdout);
        let all = ran.stdout + &ran.stderr;
        assert!(!all.replace('\n', "").chars().any(is_unsafe), "{args:?}: {all:?}");
    }
}

#[test]
fn a_log_is_followed() {
    let temp = tempfile::tempdir().unwrap();
    let dir = log(temp.path());
    let path = dir.display().to_string();
    let args = ["audit", "show", "--log", &path, "--follow", "--json", "--principal", "bob"];
    let mut child = command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("\"seq\":5"));
    let mut file = fs::OpenOptions::new().append(true).open(dir.join("audit.jsonl")).unwrap();
    let who = |sub: &str| format!(",\"principal\":{{\"iss\":\"https://idp\",\"sub\":\"{sub}\"}}");
    let more = record(8, "x", "list", &who("alice")) + &record(9, "y", "list", &who("bob"));
    file.write_all(more.as_bytes()).unwrap();
    let next = lines.next().unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(next.contains("\"seq\":9"), "{next}");
}

/// What cannot be read is missing in the answers, and they say so.
#[test]
fn the_end_of_a_file_that_is_damaged_is_missed_aloud() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("audit");
    fs::create_dir(&dir).unwrap();
    let line = |seq: u64| {
        let hard_to_compress = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        record(seq % 60, &format!("r{hard_to_compress:x}"), "list", "")
            .replace(&format!("\"seq\":{}", seq % 60), &format!("\"seq\":{seq}"))
    };
    let (first, second): (String, String) = ((1..=2_000).map(line).collect(), (2_001..=2_010).map(line).collect());
    fs::write(dir.join("audit.jsonl"), second).unwrap();
    let name = "audit-00000000000000000001.jsonl";
    let path = dir.display().to_string();
    let zipped = |damage: bool| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(first.as_bytes()).unwrap();
        let mut bytes = out.finish().unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 8].iter_mut().for_each(|byte| *byte ^= if damage { 0xff } else { 0 });
        bytes
    };
    for (file, bytes, is_cut) in [
        (format!("{name}.gz"), zipped(false), false),
        (format!("{name}.gz"), zipped(true), true),
        (name.to_owned(), first.as_bytes().to_vec(), false),
        (name.to_owned(), first.as_bytes()[..first.len() - 1].to_vec(), true),
    ] {
        fs::write(dir.join(&file), bytes).unwrap();
        // With a fresh index, with that one, and with none.
        for round in 0..3 {
            if round == 2 {
                fs::remove_dir_all(dir.join("index")).unwrap();
                fs::write(dir.join("index"), "").unwrap();
            }
            for words in [vec!["audit", "stats", &path, "--json"], vec!["audit", "show", "--log", &path]] {
                let ran = portcullis(&words);
                assert_eq!(ran.code, 0, "{file}: {}", ran.stderr);
                let said = ran.stderr.contains(&format!("{file} cannot be read from byte "));
                assert_eq!(said, is_cut, "{file}, {round}: {}", ran.stderr);
                if words.contains(&"stats") {
                    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
                    let cut = report["cut"].as_array().cloned().unwrap_or_default();
                    assert_eq!((cut.len(), report["records_ever"] == 2_010), (usize::from(is_cut), !is_cut), "{file}: {report}");
                    assert!(cut.iter().all(|cut| cut["file"] == *file && cut["byte"].as_u64().unwrap() > 0), "{cut:?}");
                }
            }
        }
        fs::remove_file(dir.join("index")).unwrap();
        fs::remove_file(dir.join(&file)).unwrap();
    }
}
