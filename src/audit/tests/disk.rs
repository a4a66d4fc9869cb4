//! Disks that fail, files that are closed, and what is found of them at the next start.

use std::process::Command;

use super::*;

fn sealed(number: u64) -> String {
    format!("audit-{number:020}.jsonl")
}

/// The first record of every file, in the order of the files.
fn whole(bed: &Bed) -> String {
    let dir = bed.dir.path().join("audit");
    let names = bed.names().into_iter().filter(|name| name.ends_with(".jsonl") && name != "audit.jsonl");
    let mut text: String = names.map(|name| fs::read_to_string(dir.join(name)).unwrap()).collect();
    text.push_str(&fs::read_to_string(bed.file()).unwrap());
    text
}

#[test]
fn files_are_closed_and_the_chain_goes_on_in_the_next() {
    let mut bed = Bed::new();
    bed.settings.rotate.bytes = 2_000;
    for round in 0..3 {
        let audit = bed.open();
        for number in 0..10 {
            let mut slot = audit.reserve().unwrap();
            done(&mut slot, round * 10 + number);
            wait(audit.intent(&slot.draft().clone(), soon())).unwrap();
        }
        audit.close(PATIENCE).unwrap();
        let files = bed.names();
        assert!(files.len() > 3 * round + 2, "{files:?}");
        assert_eq!(files[0], sealed(1), "the first is named after its first record, not at a start: {files:?}");
    }
    let records = chained(&whole(&bed));
    assert_eq!(records.iter().filter(|r| r["kind"] == "outcome").count(), 30);
    for name in bed.names() {
        let text = fs::read_to_string(bed.dir.path().join("audit").join(&name)).unwrap();
        chained(&text);
        let last = text.lines().last().unwrap();
        assert!(name == "audit.jsonl" || record::is_checkpoint(last.as_bytes()), "{name} ends with {last}");
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert!(name == "audit.jsonl" || name == sealed(first["seq"].as_u64().unwrap()), "{name}");
    }
}

/// A process that ended between closing a file and beginning the next.
#[test]
fn the_chain_goes_on_behind_a_file_that_was_closed_or_failed() {
    for ending in ["", ".failed"] {
        let bed = Bed::new();
        let audit = bed.open();
        (0..5).for_each(|number| done(&mut audit.reserve().unwrap(), number));
        audit.close(PATIENCE).unwrap();
        let before = fs::read_to_string(bed.file()).unwrap();
        let old = bed.dir.path().join("audit").join(sealed(1) + ending);
        fs::rename(bed.file(), &old).unwrap();
        fs::write(bed.dir.path().join("audit/audit.jsonl.new"), "half").unwrap();
        let audit = bed.open();
        done(&mut audit.reserve().unwrap(), 5);
        audit.close(PATIENCE).unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), before);
        let now = fs::read_to_string(bed.file()).unwrap();
        // What the disk may not have is written again with the same bytes.
        let all = if ending.is_empty() { before + &now } else { now };
        assert_eq!(chained(&all).iter().filter(|r| r["kind"] == "outcome").count(), 6, "{ending}");
        assert!(all.contains("\"seq\":1,"));
    }
}

#[test]
fn a_checkpoint_follows_what_came_within_the_time_and_the_number() {
    let mut bed = Bed::new();
    bed.settings.checkpoints.records = 10;
    let audit = bed.open();
    (0..35).for_each(|number| done(&mut audit.reserve().unwrap(), number));
    until("the last records are signed, and on disk", || {
        let state = audit.state();
        state.checkpoint.is_some_and(|checkpoint| checkpoint.seq == state.seq && state.seq > 35) && state.unsynced == 0
    });
    let checkpoints = audit.checkpoints();
    let published = checkpoints.borrow().clone().unwrap();
    assert_eq!(published.statement.size + 1, audit.state().seq);
    let text = fs::read_to_string(bed.file()).unwrap();
    let kinds: Vec<bool> = text.lines().map(|line| record::is_checkpoint(line.as_bytes())).collect();
    assert!(kinds.split(|is| *is).all(|run| run.len() <= 10), "{kinds:?}");
    let key = PublicKey::from_pem(&fs::read(bed.dir.path().join("keys/checkpoint.pub")).unwrap()).unwrap();
    for line in text.lines().filter(|line| record::is_checkpoint(line.as_bytes())) {
        assert_eq!(Checkpoint::read(line.as_bytes()).unwrap().0.signature(&[key]), Signature::Holds);
    }
    audit.close(PATIENCE).unwrap();
    assert_eq!(fs::read_to_string(bed.file()).unwrap(), text, "there is nothing new to sign at the end");
}

#[test]
fn closed_files_are_compressed_and_deleted_and_both_is_told() {
    let mut bed = Bed::new();
    bed.settings.rotate.bytes = 2_000;
    bed.settings.compress = true;
    bed.settings.retain = Some(Retain { time: None, bytes: Some(6_000), exported: true });
    let audit = bed.open();
    let fill = |count: usize| {
        for number in 0..count {
            let mut slot = audit.reserve().unwrap();
            done(&mut slot, number);
            wait(audit.intent(&slot.draft().clone(), soon())).unwrap();
        }
    };
    fill(40);
    // Files are taken care of when the next one is closed.
    until("compressed", || {
        fill(1);
        bed.names().iter().filter(|name| name.ends_with(".gz")).count() > 6
    });
    assert_eq!(bed.names()[0], sealed(1) + ".gz", "nothing was exported: nothing is deleted");
    let gz = bed.dir.path().join("audit").join(sealed(1) + ".gz");
    let unpacked = Command::new("gzip").arg("-dc").arg(&gz).output().unwrap();
    assert!(unpacked.status.success());
    chained(std::str::from_utf8(&unpacked.stdout).unwrap());
    let exporter = audit.exporter("elsewhere", "http", 0);
    exporter.took(audit.state().seq);
    until("deleted", || {
        fill(1);
        exporter.took(audit.state().seq);
        !gz.exists()
    });
    until("on record", || {
        fill(1);
        // None while one file is closed and the next not there yet.
        let text = fs::read_to_string(bed.file()).unwrap_or_default();
        text.contains("audit/delete")
            || bed.names().iter().any(|name| {
                let path = bed.dir.path().join("audit").join(name);
                let unpacked = Command::new("gzip").args(["-dcf"]).arg(&path).output().unwrap();
                String::from_utf8_lossy(&unpacked.stdout).contains("audit/delete")
            })
    });
    audit.close(PATIENCE).unwrap();
}
