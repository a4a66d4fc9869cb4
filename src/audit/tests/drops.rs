//! One record per request, and intents before their effects.

use proptest::prelude::*;

use super::*;

#[test]
fn every_way_to_drop_leaves_exactly_one_record() {
    let bed = Bed::new();
    let audit = Arc::new(bed.open());
    let mut expect = Vec::new();
    // ended, then dropped
    let mut slot = audit.reserve().unwrap();
    done(&mut slot, 0);
    drop(slot);
    expect.push("completed");
    // vanished
    drop(audit.reserve().unwrap());
    expect.push("cancelled");
    // shared by a handler, a body and a task, the last of which ends it
    let handle = audit.reserve().unwrap().into_handle();
    let (body, task) = (handle.clone(), handle.clone());
    drop(handle);
    let task = std::thread::spawn(move || drop(task));
    task.join().unwrap();
    until("the rest is written, one is held", || audit.queue.room_used() == 1);
    body.with(|draft| draft.outcome = Some(OutcomeNote::new(Status::Denied, Reason::NoRule)));
    drop(body);
    expect.push("denied");
    // a panic in the handler
    for held_by in ["slot", "handle"] {
        let audit = audit.clone();
        let thread = std::thread::spawn(move || {
            let slot = audit.reserve().unwrap();
            let _kept = if held_by == "slot" { (Some(slot), None) } else { (None, Some(slot.into_handle())) };
            panic!("expected by the test");
        });
        assert!(thread.join().is_err());
        expect.push("panicked");
    }
    // a future that is dropped half-way
    let slot = audit.reserve().unwrap();
    let future = async move {
        let _slot = slot;
        std::future::pending::<()>().await;
    };
    wait(async { tokio::time::timeout(Duration::from_millis(1), future).await }).unwrap_err();
    expect.push("cancelled");
    audit.close(PATIENCE).unwrap();
    let records = bed.records();
    let statuses: Vec<&str> = records.iter().map(|r| r["outcome"]["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, expect);
    assert_eq!(records[3]["outcome"]["reason"], "internal");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    /// Whatever is done with slots, on whatever threads, each leaves one record, and the chain has no gap.
    #[test]
    fn one_record_per_slot(plans in prop::collection::vec((0_u8..5, 0_u8..3), 1..60)) {
        let bed = Bed::new();
        let audit = bed.open();
        let mut ids = Vec::new();
        std::thread::scope(|scope| {
            for (number, (ending, clones)) in plans.iter().enumerate() {
                let mut slot = audit.reserve().unwrap();
                ids.push(slot.draft().id().to_string());
                match ending {
                    0 => drop(slot),
                    1 => done(&mut slot, number),
                    2 => { scope.spawn(move || drop(slot)); }
                    _ => {
                        let handle = slot.into_handle();
                        for _ in 0..*clones {
                            let clone = handle.clone();
                            scope.spawn(move || clone.with(|draft| draft.set_name("x")));
                        }
                    }
                }
            }
        });
        audit.close(PATIENCE).unwrap();
        let records = bed.records();
        prop_assert_eq!(records.len(), plans.len());
        let mut found: Vec<String> = records.iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect();
        found.sort();
        ids.sort();
        prop_assert_eq!(found, ids);
    }
}

#[test]
fn the_queue_is_bounded_and_room_comes_back() {
    let mut bed = Bed::new();
    bed.settings.queue_max = 3;
    let audit = bed.open();
    let mut slots: Vec<Slot> = (0..3).map(|_| audit.reserve().unwrap()).collect();
    assert!(audit.reserve().is_err());
    let fault = wait(audit.intent(&slots[0].draft().clone(), soon())).err().unwrap();
    assert_eq!(fault.kind, FaultKind::Audit, "intents are bounded too");
    slots.pop();
    until("the record is written and its room free", || audit.queue.room_used() == 2);
    wait(audit.intent(&slots[0].draft().clone(), soon())).unwrap();
    slots.push(audit.reserve().unwrap());
    assert!(audit.reserve().is_err());
    drop(slots);
    audit.close(PATIENCE).unwrap();
    assert_eq!((audit.reserve().err(), audit.queue_depth()), (Some(Full), 0), "closed");
    assert_eq!(bed.records().len(), 5);
}

#[test]
fn an_intent_is_in_the_file_before_it_is_acknowledged() {
    let bed = Bed::new();
    let audit = bed.open();
    let mut slot = audit.reserve().unwrap();
    slot.draft().set_name("files__delete");
    // The first record is a checkpoint, and there may be others.
    let mut before = 1;
    for _ in 1..=20 {
        let seq = wait(audit.intent(&slot.draft().clone(), soon())).unwrap();
        let last = bed.records().pop().unwrap();
        assert_eq!((last["seq"].as_u64(), last["kind"].as_str()), (seq.get(), Some("intent")));
        assert!(seq.get().unwrap() > before);
        before = seq.get().unwrap();
        assert!(last.get("outcome").is_none());
    }
}

#[test]
fn without_durability_nobody_waits_and_the_final_record_still_points_back() {
    let mut bed = Bed::new();
    bed.settings.durability = Durability::DangerNone;
    let audit = bed.open();
    let handle = audit.reserve().unwrap().into_handle();
    let _receipt = wait(audit.intent_for(&handle, soon())).unwrap();
    drop(handle);
    audit.close(PATIENCE).unwrap();
    let records = bed.records();
    assert_eq!((records[0]["kind"].as_str(), records[1]["intent"].as_u64()), (Some("intent"), Some(2)));
}

#[test]
fn many_threads_lose_nothing() {
    let bed = Bed::new();
    let audit = bed.open();
    let served: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let audit = &audit;
                scope.spawn(move || {
                    let mut served = 0;
                    for number in 0..1_000 {
                        if let Ok(mut slot) = audit.reserve() {
                            done(&mut slot, thread * 1_000 + number);
                            served += 1;
                        }
                    }
                    served
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    audit.close(PATIENCE).unwrap();
    let mut ids: Vec<String> = bed.records().iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), served);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), served);
}
