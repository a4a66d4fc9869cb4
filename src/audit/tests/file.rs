//! Files that are torn, full, hung or not ours.

use std::io::{Read, Write};
use std::process::Command;

use super::*;

#[test]
fn the_chain_goes_on_and_a_torn_tail_is_kept_beside() {
    for torn in ["", "{\"v\":1,\"seq\":42,\"ti", "{\"v\":1,\"seq\":42}", "{\"v\":1,\"seq\":42}\n\0\0\0\n\0"] {
        let bed = Bed::new();
        let audit = bed.open();
        (0..3).for_each(|number| done(&mut audit.reserve().unwrap(), number));
        audit.close(PATIENCE).unwrap();
        let before = fs::read_to_string(bed.file()).unwrap();
        fs::write(bed.file(), before.clone() + torn).unwrap();
        let audit = bed.open();
        done(&mut audit.reserve().unwrap(), 3);
        audit.close(PATIENCE).unwrap();
        assert!(fs::read_to_string(bed.file()).unwrap().starts_with(&before), "{torn:?}");
        let records = bed.records();
        let methods: Vec<&str> = records.iter().filter_map(|r| r["method"].as_str()).collect();
        assert_eq!(methods, if torn.is_empty() { vec![] } else { vec!["audit/recover"] }, "what was put aside is on record");
        assert_eq!(records.len(), 4 + methods.len());
        let beside = fs::read_to_string(bed.dir.path().join("audit/audit.jsonl.torn")).unwrap_or_default();
        assert_eq!(beside.trim_end(), torn);
        assert_eq!(
            audit.state().log.unwrap().to_string(),
            serde_json::from_str::<Value>(before.lines().next().unwrap()).unwrap()["checkpoint"]["log"]
        );
    }
}

/// Nothing is appended to a file that is not as it was left.
#[test]
fn a_file_that_was_changed_is_refused() {
    let bed = Bed::new();
    let audit = bed.open();
    (0..4).for_each(|number| done(&mut audit.reserve().unwrap(), number));
    audit.close(PATIENCE).unwrap();
    let text = fs::read_to_string(bed.file()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let (last, without) = lines.split_last().unwrap();
    let joined = |lines: &[&str]| lines.join("\n") + "\n";
    let swapped = [lines[0], lines[2], lines[1]];
    for (what, changed) in [
        ("a record", text.replacen("\"rpc_id\":\"1\"", "\"rpc_id\":\"9\"", 1)),
        ("the last record", joined(without) + &last.replacen("checkpoint\"", "checkpoinT\"", 1) + "\n"),
        ("the order", joined(&swapped)),
        ("a hole", joined(&[lines[0], lines[1], lines[3]])),
        ("the first", joined(&lines[1..3])),
        ("something between", joined(&[lines[0], "x", lines[1]])),
    ] {
        assert_ne!(changed, text, "{what}");
        fs::write(bed.file(), &changed).unwrap();
        let error = Audit::open(&bed.settings, Clock::system()).err().unwrap_or_else(|| panic!("{what} is taken"));
        assert!(error.to_string().contains("portcullis audit verify"), "{what}: {error}");
        assert_eq!(fs::read_to_string(bed.file()).unwrap(), changed, "{what}");
    }
    fs::write(bed.file(), &text).unwrap();
    bed.open().close(PATIENCE).unwrap();
}

#[test]
fn a_file_that_is_no_audit_file_or_is_in_use_is_refused() {
    let bed = Bed::new();
    fs::create_dir_all(bed.file().parent().unwrap()).unwrap();
    fs::write(bed.file(), "dear diary\n").unwrap();
    assert!(Audit::open(&bed.settings, Clock::system()).is_err());
    assert_eq!(fs::read_to_string(bed.file()).unwrap(), "dear diary\n");
    let bed = Bed::new();
    let _first = bed.open();
    assert!(Audit::open(&bed.settings, Clock::system()).is_err());
}

#[test]
fn a_full_disk_refuses_intents_at_once_and_keeps_records() {
    let mut bed = Bed::at("/dev/full");
    bed.settings.queue_max = 5;
    let audit = bed.open();
    let mut slot = audit.reserve().unwrap();
    let fault = wait(audit.intent(&slot.draft().clone(), soon())).err().unwrap();
    assert_eq!(fault.kind, FaultKind::Audit);
    drop(slot);
    until("unhealthy", || !audit.healthy());
    until("the refused intent's room is free", || audit.queue_depth() == 1);
    // Reads go on until the queue is full.
    let mut served = 0;
    while audit.reserve().is_ok() {
        served += 1;
        assert!(served <= 5);
    }
    assert_eq!(served, 4, "one record waits already");
    assert_eq!(audit.queue_depth(), 5);
    assert_eq!(audit.close(Duration::from_millis(1)), Err(Unwritten { records: 5 }));
}

#[test]
fn a_sink_that_recovers_gets_every_record_once() {
    let bed = Bed::at("/unused");
    let path = bed.dir.path().join("sink.jsonl");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let settings = Settings { path: path.clone(), ..bed.settings.clone() };
    let audit = Audit::open(&settings, Clock::system()).unwrap();
    for number in 0..700 {
        done(&mut audit.reserve().unwrap(), number);
    }
    until("unhealthy", || !audit.healthy());
    fs::remove_file(&path).unwrap();
    until("healthy", || audit.healthy());
    let mut slot = audit.reserve().unwrap();
    wait(audit.intent(&slot.draft().clone(), soon())).unwrap();
    done(&mut slot, 700);
    drop(slot);
    audit.close(PATIENCE).unwrap();
    let records = chained(&fs::read_to_string(&path).unwrap());
    let numbers: Vec<&str> = records.iter().filter_map(|r| r["rpc_id"].as_str()).collect();
    assert_eq!(numbers, (0..=700).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_nobody() {
    let bed = Bed::at("/unused");
    let path = bed.dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let audit = Audit::open(&Settings { path: path.clone(), queue_max: 4, ..bed.settings.clone() }, Clock::system()).unwrap();
    assert!(!audit.healthy());
    let mut slot = audit.reserve().unwrap();
    assert!(wait(audit.intent(&slot.draft().clone(), soon())).is_err());
    done(&mut slot, 1);
    drop(slot);
    assert_eq!(audit.close(Duration::from_millis(1)), Err(Unwritten { records: 1 }));
    // A reader comes: what waited arrives.
    let mut text = String::new();
    fs::File::open(&path).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(chained(&text)[0]["rpc_id"], "1");
}

#[test]
fn what_is_no_file_cannot_be_synced() {
    let mut bed = Bed::at("/dev/null");
    bed.settings.durability = Durability::Sync;
    let error = Audit::open(&bed.settings, Clock::system()).err().unwrap();
    assert!(error.to_string().contains("audit.durability"), "{error}");
}

/// An intent is asked for while nothing can be written: how long that took until it was refused. It is never written.
fn refused_by_a_full_pipe(intent_timeout: Duration, deadline: Duration) -> Duration {
    let mut bed = Bed::at("/unused");
    bed.settings.intent_timeout = intent_timeout;
    let path = bed.dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut reader = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let settings = Settings { path, queue_max: 2_000, ..bed.settings.clone() };
    let audit = Audit::open(&settings, Clock::system()).unwrap();
    until("open", || audit.healthy());
    reader.write_all(&vec![b'\n'; 60 * 1024]).unwrap();
    for number in 0..300 {
        done(&mut audit.reserve().unwrap(), number);
    }
    until("the pipe is full", || audit.queue.is_writing());
    let mut slot = audit.reserve().unwrap();
    slot.draft().set_name("delete-it");
    let start = Instant::now();
    let fault = wait(audit.intent(&slot.draft().clone(), Deadline::after(deadline))).err().unwrap();
    let took = start.elapsed();
    assert_eq!(fault.kind, FaultKind::Audit);
    done(&mut slot, 300);
    drop(slot);
    let drained = std::thread::spawn(move || {
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&text).contains("\"rpc_id\":\"300\"") {
            let count = reader.read(&mut chunk).unwrap();
            text.extend_from_slice(&chunk[..count]);
        }
        String::from_utf8(text).unwrap()
    });
    let text = drained.join().unwrap();
    assert_eq!(text.matches("\"kind\":\"outcome\"").count(), 301);
    assert_eq!(text.matches("\"kind\":\"intent\"").count(), 0, "the call was refused: no record says it was about to leave");
    audit.close(PATIENCE).unwrap();
    took
}

#[test]
fn intents_wait_for_a_full_pipe_no_longer_than_their_call_or_the_config_lets_them() {
    let short = Duration::from_millis(50);
    assert!((short..PATIENCE / 2).contains(&refused_by_a_full_pipe(PATIENCE, short)), "the call's time is over");
    assert!(refused_by_a_full_pipe(short, PATIENCE) < PATIENCE / 2, "intents have less time than the call");
}

/// A write that the file takes only in part (here: at its size limit) leaves whole records, and nothing is written twice.
///
/// The limit is one of a whole process, so the test runs itself again in a process of its own, told where by the environment.
#[test]
fn a_write_cut_short_leaves_whole_records() {
    if let Some(dir) = std::env::var_os("AUDIT_TEST_DIR") {
        return fill_a_file_to_its_limit(std::path::Path::new(&dir));
    }
    let bed = Bed::new();
    let script = "trap '' XFSZ; ulimit -f 4; exec \"$0\" --exact audit::tests::file::a_write_cut_short_leaves_whole_records";
    let child = Command::new("bash")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env("AUDIT_TEST_DIR", bed.dir.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    let before = bed.records().len() as u64;
    assert!(before > 0 && fs::metadata(bed.file()).unwrap().len() < 4096);
    let audit = bed.open();
    drop(audit.reserve().unwrap());
    audit.close(PATIENCE).unwrap();
    assert_eq!(bed.records().len() as u64, before + 1);
    assert!(!bed.dir.path().join("audit/audit.jsonl.torn").exists());
}

fn fill_a_file_to_its_limit(dir: &std::path::Path) {
    let settings = Settings::new(dir.join("audit"), &dir.join("keys"), 1_000);
    let audit = Audit::open(&settings, Clock::system()).unwrap();
    let mut slot = audit.reserve().unwrap();
    slot.draft().set_name("x".repeat(50));
    let refused = (0..100).map(|_| wait(audit.intent(&slot.draft().clone(), soon()))).find_map(Result::err);
    assert_eq!(refused.map(|fault| fault.kind), Some(FaultKind::Audit));
    assert!(!audit.healthy());
}
