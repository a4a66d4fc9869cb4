//! A disk that is full: a small one of memory, mounted for the gateway alone.

use std::process::Command;
use std::time::{Duration, Instant};

use super::log::Log;
use super::{Came, came, can, done, intends, numbered, watch, write};
use crate::gate::{Gate, Run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_lets_nothing_out_until_there_is_room() {
    let here = tempfile::tempdir().unwrap();
    let mut try_it = Command::new("unshare");
    if !can("a mount of one's own", try_it.args(["-m", "mount", "-t", "tmpfs", "none"]).arg(here.path())) {
        return;
    }
    let script = "mkdir -p \"$0\" && mount -t tmpfs -o size=768k none \"$0\" && dd if=/dev/zero of=\"$0/filler\" bs=1k count=256 status=none && exec \"$@\"";
    let wrap = |dir: &std::path::Path| {
        let audit = dir.join("data/audit");
        ["unshare", "-m", "bash", "-c", script, audit.to_str().unwrap()].map(str::to_owned).to_vec()
    };
    let gate = Gate::wrapped(wrap, numbered).await;
    let token = gate.token("alice", &["eng"]);
    let Run::Process(process) = &gate.run else { panic!("runs here") };
    // Where the gateway sees it.
    let dir = gate.dir.path().join("data/audit");
    let dir = std::path::Path::new(&format!("/proc/{}/root", process.pid)).join(dir.strip_prefix("/").unwrap());
    let file = dir.join("audit.jsonl");
    let without = watch(&gate, move |n| std::fs::read_to_string(&file).unwrap().lines().any(|line| intends(line, n)));
    let mut passed = std::collections::BTreeSet::new();
    let mut n = 0;
    while came(&gate.reach.send(&write(&gate, &token, n, 1_900)).await) == Came::Done {
        passed.insert(n);
        n += 1;
        assert!(n < 1_000, "it is never full");
    }
    for _ in 0..3 {
        n += 1;
        assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 1_900)).await), Came::Refused);
    }
    assert_eq!(gate.admin("/readyz").await.status, 503);
    let read = gate.reach.send(&gate.call("/mcp", &token, "up__echo", "{}")).await;
    assert!(read.text().contains("did"), "reads go on: {}", read.whole());
    std::fs::remove_file(dir.join("filler")).unwrap();
    let until = Instant::now() + crate::wire::SOON;
    while gate.admin("/readyz").await.status != 200 {
        assert!(Instant::now() < until, "it does not recover: {}", gate.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    n += 1;
    assert_eq!(came(&gate.reach.send(&write(&gate, &token, n, 0)).await), Came::Done);
    passed.insert(n);
    assert_eq!((done(&gate), without.lock().len()), (passed.clone(), 0));
    let log = Log::read(&dir);
    assert!(log.intents().is_superset(&passed) && log.torn == 0 && log.failed == 0);
}
