//! Files that are moved away, deleted or cut while they are written, and what is told of them at the next start.

use super::*;

fn intent(audit: &Audit, name: &str) -> bool {
    let mut slot = audit.reserve().unwrap();
    slot.draft().set_name(name);
    wait(audit.intent(&slot.draft().clone(), soon())).is_ok()
}

/// Everything in the directory that has a name.
fn all(bed: &Bed) -> String {
    let dir = bed.dir.path().join("audit");
    bed.names().iter().map(|name| fs::read_to_string(dir.join(name)).unwrap()).collect()
}

fn intends(text: &str, name: &str) -> bool {
    text.lines().any(|line| line.contains("\"kind\":\"intent\"") && line.contains(&format!("\"name\":\"{name}\"")))
}

type Harm = fn(&Path);

#[test]
fn an_intent_is_in_a_file_that_has_a_name_whatever_becomes_of_the_file() {
    let harms: [(&str, Harm); 4] = [
        ("deleted", |file| fs::remove_file(file).unwrap()),
        ("moved", |file| fs::rename(file, file.with_extension("1")).unwrap()),
        ("moved, and an empty one made", |file| {
            fs::rename(file, file.with_extension("1")).unwrap();
            fs::write(file, "").unwrap();
        }),
        ("copied and cut", |file| {
            fs::copy(file, file.with_extension("1")).unwrap();
            fs::OpenOptions::new().write(true).open(file).unwrap().set_len(0).unwrap();
        }),
    ];
    for durability in [Durability::Sync, Durability::Write] {
        for (what, harm) in harms {
            let mut bed = Bed::new();
            bed.settings.durability = durability;
            let audit = bed.open();
            assert!(intent(&audit, "before"), "{what}");
            harm(&bed.file());
            let told: Vec<String> = (0..5).map(|n| format!("after-{n}")).filter(|name| intent(&audit, name)).collect();
            let text = all(&bed);
            for name in &told {
                assert!(intends(&text, name), "{what}, {durability:?}: {name} was told to be on record, and no file has it");
            }
            assert_eq!(told.len(), 5, "{what}, {durability:?}: nothing is in the way of going on");
            assert!(what == "deleted" || intends(&text, "before"), "{what}, {durability:?}");
            assert!(audit.healthy());
            audit.close(PATIENCE).unwrap();
            chained(&fs::read_to_string(bed.file()).unwrap());
            bed.open().close(PATIENCE).unwrap();
        }
    }
}

/// With what is in the place of the file there is no going on: nobody is told that anything is on record.
#[test]
fn intents_are_refused_while_another_file_is_in_the_place() {
    let mut bed = Bed::new();
    // A checkpoint between the two steps would begin the next file.
    bed.settings.checkpoints.every = Duration::from_secs(3600);
    let audit = bed.open();
    assert!(intent(&audit, "before"));
    fs::rename(bed.file(), bed.file().with_extension("1")).unwrap();
    fs::write(bed.file(), "dear diary\n").unwrap();
    assert!(!intent(&audit, "refused"));
    until("unhealthy", || !audit.healthy());
    assert_eq!(fs::read_to_string(bed.file()).unwrap(), "dear diary\n");
    fs::remove_file(bed.file()).unwrap();
    until("healthy", || audit.healthy());
    assert!(intent(&audit, "after"));
    assert!(intends(&fs::read_to_string(bed.file()).unwrap(), "after"));
}

/// Going on behind the file before it would give numbers a second time.
#[test]
fn nothing_goes_on_behind_a_file_whose_successor_is_gone() {
    let mut bed = Bed::new();
    bed.settings.rotate.bytes = 2_000;
    let audit = bed.open();
    until("closed", || intent(&audit, "x") && bed.names().len() > 1);
    audit.close(PATIENCE).unwrap();
    let moved = bed.dir.path().join("audit.jsonl");
    fs::rename(bed.file(), &moved).unwrap();
    let before = bed.names();
    let error = Audit::open(&bed.settings, Clock::system()).err().expect("the log would fork");
    assert!(error.to_string().contains("the audit file that followed this one is gone"), "{error}");
    assert_eq!(bed.names(), before);
    fs::rename(&moved, bed.file()).unwrap();
    bed.open().close(PATIENCE).unwrap();
    // A process that ended between closing that file and beginning the next leaves it under its other name.
    let text = fs::read_to_string(bed.file()).unwrap();
    let first = chain::seq_of(text.as_bytes()).unwrap();
    fs::rename(bed.file(), bed.file().with_file_name(format!("audit-{first:020}.jsonl"))).unwrap();
    let audit = bed.open();
    assert!(intent(&audit, "on"));
    audit.close(PATIENCE).unwrap();
    let next = chain::seq_of(fs::read_to_string(bed.file()).unwrap().as_bytes());
    assert_eq!(next, Some(first + text.lines().count() as u64));
}
