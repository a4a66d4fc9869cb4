use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;

use super::*;

fn ask(upto: u64, records_max: u64) -> Ask {
    Ask { upto, records_max, bytes_max: 1 << 20 }
}

/// Everything up to `upto`, in stretches of `records` records; the numbers, and how many were skipped.
fn all(follower: &mut Follower, log: LogId, upto: u64, records: u64) -> Result<(Vec<u64>, u64), FollowError> {
    let (mut at, mut numbers, mut skipped) = (Position::start(log), Vec::new(), 0);
    while let Some(stretch) = follower.read(&at, ask(upto, records))? {
        assert!(stretch.records() <= records && stretch.lines().count() as u64 == stretch.records());
        let seqs: Vec<u64> = stretch.lines().map(|line| chain::check(line).unwrap().seq).collect();
        assert_eq!(seqs, (stretch.first..=stretch.end.seq).collect::<Vec<_>>());
        numbers.extend(seqs);
        skipped += stretch.skipped;
        at = stretch.end;
    }
    Ok((numbers, skipped))
}

/// A log of several files, one of them compressed, one failed, and the one that is written.
fn files() -> (Bed, LogId, u64) {
    let mut bed = Bed::new();
    bed.settings.rotate = Rotate { bytes: 4_000, every: None };
    let audit = bed.open();
    for number in 0..60 {
        let mut slot = audit.reserve().unwrap();
        done(&mut slot, number);
        wait(audit.intent(&slot.draft().clone(), soon())).unwrap();
    }
    audit.close(PATIENCE).unwrap();
    let state = audit.state();
    let dir = bed.dir.path().join("audit");
    let sealed: Vec<String> = bed.names().into_iter().filter(|name| name.starts_with("audit-")).collect();
    assert!(sealed.len() > 6, "{sealed:?}");
    assert!(Command::new("gzip").arg(dir.join(&sealed[1])).status().unwrap().success());
    // The disk failed the third, and the fifth: those after them have their ends again, of which the failed ones have something or other.
    for (at, damaged) in [(2, false), (4, true)] {
        let (failed, mut next) = (dir.join(&sealed[at]), fs::read(dir.join(&sealed[at + 1])).unwrap());
        next.truncate(next.len() / 2);
        if damaged {
            next[..200].fill(0);
            next.extend_from_slice(b"\n{}\n\n");
        }
        let text = fs::read(&failed).unwrap();
        fs::write(dir.join(sealed[at].clone() + ".failed"), [&text[..], &next[..]].concat()).unwrap();
        fs::remove_file(&failed).unwrap();
    }
    (bed, state.log.unwrap(), state.seq)
}

#[test]
fn a_log_of_many_files_is_one_log_wherever_reading_begins() {
    let (bed, log, last) = files();
    for records in [1, 7, 1_000] {
        let (numbers, skipped) = all(&mut Follower::new(&bed.file()), log, last, records).unwrap();
        assert_eq!((numbers, skipped), ((1..=last).collect(), 0));
    }
    // Another process goes on where one was, with and without its hint.
    let (mut follower, mut at) = (Follower::new(&bed.file()), Position::start(log));
    while let Some(stretch) = follower.read(&at, ask(last, 5)).unwrap() {
        at = stretch.end.clone();
        for hint in [at.clone(), Position { file: 0, offset: 0, ..at.clone() }, Position { offset: at.offset + 3, ..at.clone() }]
        {
            let next = Follower::new(&bed.file()).read(&hint, ask(last, 1)).unwrap();
            assert_eq!(next.map(|next| next.first), (at.seq < last).then_some(at.seq + 1));
        }
    }
    assert_eq!(at.seq, last);
    assert!(follower.read(&at, ask(last + 1, 1)).is_err(), "what is not there is not nothing");
    let refused = follower.read(&at, ask(last - 1, 1));
    assert!(matches!(refused, Err(FollowError::Unsound { seq, .. }) if seq == last), "the log became shorter");
}

#[test]
fn nothing_is_read_that_is_not_asked_for() {
    let (bed, log, last) = files();
    let mut follower = Follower::new(&bed.file());
    let (numbers, _) = all(&mut follower, log, last - 1, 1_000).unwrap();
    assert_eq!(numbers.last(), Some(&(last - 1)));
    // What lay behind it is taken back, and another record written.
    let text = fs::read_to_string(bed.file()).unwrap();
    let (whole, _) = text.trim_end().rsplit_once('\n').unwrap();
    let mut written = format!("{whole}\n").into_bytes();
    let prev = chain::check(whole.lines().last().unwrap().as_bytes()).unwrap().hash;
    let start = written.len();
    written.extend_from_slice(format!("{{\"v\":1,\"seq\":{last},\"kind\":\"other\"").as_bytes());
    chain::seal(&mut written, start, prev);
    fs::write(bed.file(), &written).unwrap();
    let at = Position { log, seq: last - 1, hash: prev, file: 0, offset: 0 };
    let stretch = follower.read(&at, ask(last, 1)).unwrap().unwrap();
    assert!(String::from_utf8(stretch.bytes).unwrap().contains("other"));
}

#[test]
fn files_that_were_deleted_are_skipped_and_changes_are_not() {
    let (bed, log, last) = files();
    let dir = bed.dir.path().join("audit");
    let first = bed.names().into_iter().find(|name| name.starts_with("audit-")).unwrap();
    fs::remove_file(dir.join(first)).unwrap();
    let (numbers, skipped) = all(&mut Follower::new(&bed.file()), log, last, 10).unwrap();
    assert_eq!(numbers, (skipped + 1..=last).collect::<Vec<_>>());
    assert!(skipped > 0);
    // The oldest that is left is there twice, as one that failed and as the one that has it again.
    let oldest = bed.names().into_iter().find(|name| name.ends_with(".jsonl") && name.starts_with("audit-")).unwrap();
    for name in bed.names().iter().filter(|name| name.starts_with("audit-") && **name < oldest) {
        fs::remove_file(dir.join(name)).unwrap();
    }
    fs::copy(dir.join(&oldest), dir.join(format!("{oldest}.failed"))).unwrap();
    let (numbers, skipped) = all(&mut Follower::new(&bed.file()), log, last, 10).unwrap();
    assert_eq!(numbers, (skipped + 1..=last).collect::<Vec<_>>());
    // A record that is not the one after it.
    let at = Position { log, seq: last - 1, hash: Link::from_bytes([1; 32]), file: 0, offset: 0 };
    let refused = Follower::new(&bed.file()).read(&at, ask(last, 1));
    assert!(matches!(refused, Err(FollowError::Unsound { seq, .. }) if seq == last));
    // A record that was changed, one that is too long, and one that is cut off.
    let text = fs::read_to_string(bed.file()).unwrap();
    for bad in [text.replace("\"kind\":\"checkpoint\"", "\"kind\":\"checkpoinT\""), format!("{}{text}", "x".repeat(2 << 20))] {
        fs::write(bed.file(), bad).unwrap();
        let begun = all(&mut Follower::new(&bed.file()), log, last, 1_000);
        assert!(begun.is_err());
    }
    let (most, end) = text.split_at(text.len() - 10);
    fs::write(bed.file(), most).unwrap();
    assert!(
        matches!(all(&mut Follower::new(&bed.file()), log, last, 1_000), Err(FollowError::Unsound { seq, .. }) if seq == last)
    );
    let mut file = OpenOptions::new().append(true).open(bed.file()).unwrap();
    file.write_all(end.as_bytes()).unwrap();
    assert!(all(&mut Follower::new(&bed.file()), log, last, 1_000).is_ok());
}

#[test]
fn no_more_bytes_are_handed_out_than_are_asked_for_but_for_one_record() {
    let (bed, log, last) = files();
    for bytes_max in [1, 1_000, 3_000] {
        let (mut follower, mut at, mut seqs) = (Follower::new(&bed.file()), Position::start(log), Vec::new());
        while let Some(stretch) = follower.read(&at, Ask { upto: last, records_max: 1_000, bytes_max }).unwrap() {
            assert!(stretch.bytes.len() <= bytes_max || stretch.records() == 1, "{} of {bytes_max}", stretch.bytes.len());
            seqs.extend(stretch.first..=stretch.end.seq);
            at = stretch.end;
        }
        assert_eq!(seqs, (1..=last).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_sound_is_not_held_up_by_what_comes_after_it() {
    let (bed, log, last) = files();
    let text = fs::read_to_string(bed.file()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() > 2);
    let first = chain::check(lines[0].as_bytes()).unwrap().seq;
    fs::write(bed.file(), format!("{}\n{}\n", lines[0], "\0".repeat(4_096))).unwrap();
    let (mut follower, mut at) = (Follower::new(&bed.file()), Position::start(log));
    let refused = loop {
        match follower.read(&at, ask(last, 1_000)) {
            Ok(stretch) => at = stretch.unwrap().end,
            Err(error) => break error,
        }
    };
    assert_eq!(at.seq, first);
    assert!(matches!(refused, FollowError::Unsound { seq, .. } if seq == first + 1));
}
