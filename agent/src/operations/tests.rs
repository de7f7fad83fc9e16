//! Operations without a network: what a record means to the agent that finds it.

use std::sync::atomic::AtomicUsize;

use agent_protocol::call::{VmReset, VmSuspend};

use super::*;

fn order(operation: Uuid) -> Order {
    ordered::<VmReset>(operation)
}

fn ordered<C: About<Request = agent_protocol::vm::VmRequest>>(operation: Uuid) -> Order {
    Order::new::<C>(operation, &agent_protocol::vm::VmRequest { vm: Uuid::from_u128(1) }).unwrap()
}

/// Work that answers with the attempt that it was told of.
async fn told(attempt: Attempt) -> Outcome {
    let text = serde_json::to_string(&format!("{attempt:?}")).unwrap();
    Outcome::Reply(serde_json::value::RawValue::from_string(text).unwrap())
}

fn reply(outcome: Outcome) -> String {
    match outcome {
        Outcome::Reply(reply) => reply.get().to_owned(),
        Outcome::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn record(operation: Uuid, progress: Progress) -> Record {
    let Order { request_sha256, .. } = order(operation);
    let call = Record::call("vm-reset");
    Record { format: FORMAT, operation, call, request_sha256, started_at: 1, progress }
}

#[tokio::test]
async fn what_an_agent_that_died_had_begun_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (begun, postponed, new) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    let store = Store::new(folder.path().to_owned());
    store.save(&record(begun, Progress::Started)).unwrap();
    store.save(&record(postponed, Progress::Postponed { at: now() })).unwrap();
    let operations = Operations::new(folder.path().to_owned());
    operations.look_back();
    assert_eq!(reply(operations.run(order(begun), told).await), "\"Again\"");
    assert_eq!(reply(operations.run(order(postponed), told).await), "\"Again\"");
    assert_eq!(reply(operations.run(order(new), told).await), "\"First\"");
    // From now on all three have their answer.
    let never = |_| async { unreachable!() };
    assert_eq!(reply(operations.run(order(begun), never).await), "\"Again\"");
    assert_eq!(reply(Operations::new(folder.path().to_owned()).run(order(new), never).await), "\"First\"");
}

#[tokio::test]
async fn what_an_agent_of_another_version_left_is_compared_by_its_call_and_tried_again() {
    let answer = Outcome::Reply(serde_json::value::RawValue::from_string("\"of old\"".to_owned()).unwrap());
    // Those of versions 1 and 2, and of one to come, from which a host went back.
    for call in ["vm-reset", "vm-reset@4"] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned());
        let save = |id, progress| {
            let record = record(Uuid::from_u128(id), progress);
            store
                .save(&Record { call: call.to_owned(), request_sha256: "other".to_owned(), ..record })
                .unwrap();
        };
        let (begun, postponed, done, refused) = (1, 2, 3, 4);
        save(begun, Progress::Started);
        save(postponed, Progress::Postponed { at: now() });
        save(done, Progress::Finished { at: now(), outcome: answer.clone() });
        let refusal = Refusal::new(FailureCode::Exists, "somebody else's");
        save(refused, Progress::Finished { at: now(), outcome: Outcome::Refused(refusal) });
        let operations = Operations::new(folder.path().to_owned());
        operations.look_back();
        for id in [begun, postponed, done] {
            for _ in 0..2 {
                assert_eq!(reply(operations.run(order(Uuid::from_u128(id)), told).await), "\"Again\"");
                operations.idle().await;
            }
            // For an agent of that version it is its own record still, of an order to be tried again.
            let left = store.load(Uuid::from_u128(id)).unwrap().unwrap();
            assert_eq!((left.call.as_str(), left.request_sha256.as_str()), (call, "other"));
            assert!(matches!(left.progress, Progress::Postponed { .. }), "{left:?}");
        }
        // Tried again, it would be taken for ours.
        let never = |_| async { unreachable!() };
        let again = operations.run(order(Uuid::from_u128(refused)), never).await;
        assert!(matches!(again, Outcome::Refused(refusal) if refusal.code == FailureCode::Exists));
        let reused = operations.run(ordered::<VmSuspend>(Uuid::from_u128(done)), never).await;
        assert!(matches!(reused, Outcome::Refused(refusal) if refusal.code == FailureCode::OperationReused));
    }
}

#[tokio::test]
async fn work_that_panics_is_an_answer_for_those_who_wait_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let operations = Operations::new(folder.path().to_owned());
    let operation = Uuid::from_u128(1);
    let refused = operations.run(order(operation), |_| async { panic!("meant to") }).await;
    assert!(matches!(refused, Outcome::Refused(refusal) if refusal.code == FailureCode::Internal));
    operations.idle().await;
    assert_eq!(reply(operations.run(order(operation), told).await), "\"Again\"");
}

#[tokio::test]
async fn many_who_order_the_same_at_once_get_one_answer() {
    let folder = tempfile::tempdir().unwrap();
    let operations = Operations::new(folder.path().to_owned());
    let count = Arc::new(AtomicUsize::new(0));
    let orders: Vec<_> = (0..50)
        .map(|_| {
            let (operations, count) = (operations.clone(), count.clone());
            tokio::spawn(async move {
                let work = move |attempt| {
                    count.fetch_add(1, Ordering::SeqCst);
                    told(attempt)
                };
                reply(operations.run(order(Uuid::from_u128(1)), work).await)
            })
        })
        .collect();
    for order in orders {
        assert_eq!(order.await.unwrap(), "\"First\"");
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_old_goes_and_what_was_cut_short_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().to_owned());
    let (begun, old, away, young) = (1, 2, 3, 4);
    let outcome = || Outcome::Refused(Refusal::new(FailureCode::Conflict, "no"));
    let long_ago = now() - KEPT_FOR.as_secs() - 60;
    let save = |id, progress| store.save(&record(Uuid::from_u128(id), progress)).unwrap();
    save(begun, Progress::Started);
    save(old, Progress::Finished { at: long_ago, outcome: outcome() });
    save(away, Progress::Postponed { at: long_ago });
    save(young, Progress::Finished { at: now(), outcome: outcome() });
    std::fs::write(folder.path().join(".half.json.new"), "{").unwrap();
    std::fs::write(folder.path().join("notes"), "mine").unwrap();
    // The last ones stay however old they are.
    for id in 0..KEPT_ALWAYS as u128 - 1 {
        let progress = Progress::Finished { at: long_ago + 1, outcome: outcome() };
        save(id + 100, progress);
    }
    Operations::new(folder.path().to_owned()).look_back();
    let there = |id: u128| folder.path().join(format!("{}.json", Uuid::from_u128(id))).exists();
    assert_eq!([begun, old, away, young, 100].map(there), [true, false, false, true, true]);
    assert!(!folder.path().join(".half.json.new").exists());
    assert!(folder.path().join("notes").exists(), "what is not ours is only complained about");
}

#[tokio::test]
async fn of_what_nobody_repeats_the_newest_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().to_owned());
    for id in 1..=KEPT_BEGUN as u64 + 2 {
        let record = record(Uuid::from_u128(id.into()), Progress::Started);
        let text = serde_json::to_vec(&Record { started_at: id, ..record }).unwrap();
        std::fs::write(folder.path().join(format!("{}.json", Uuid::from_u128(id.into()))), text).unwrap();
    }
    Operations::new(folder.path().to_owned()).look_back();
    let there = |id| store.load(Uuid::from_u128(id)).unwrap().is_some();
    assert_eq!([1, 2, 3, KEPT_BEGUN as u128 + 2].map(there), [false, false, true, true]);
}

#[tokio::test]
async fn what_is_refused_for_its_id_stays_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let operation = Uuid::from_u128(1);
    let store = Store::new(folder.path().to_owned());
    store.save(&record(operation, Progress::Postponed { at: 5 })).unwrap();
    let operations = Operations::new(folder.path().to_owned());
    operations.look_back();
    let never = |_| async { unreachable!() };
    let reused = operations.run(ordered::<VmSuspend>(operation), never).await;
    assert!(matches!(reused, Outcome::Refused(refusal) if refusal.code == FailureCode::OperationReused));
    assert_eq!(lock(&operations.ended).take_old(6, 0, KEPT), [operation]);
}

#[tokio::test]
async fn nothing_begins_once_the_agent_is_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let operations = Operations::new(folder.path().to_owned());
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let (begun, go) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let running = tokio::spawn({
        let (operations, begun, go) = (operations.clone(), begun.clone(), go.clone());
        async move {
            let work = move |attempt| {
                let (begun, go) = (begun.clone(), go.clone());
                async move {
                    begun.notify_one();
                    go.notified().await;
                    told(attempt).await
                }
            };
            operations.run(order(first), work).await
        }
    });
    begun.notified().await;
    let waiting = tokio::spawn({
        let operations = operations.clone();
        async move { operations.run(order(second), |_| async { unreachable!() }).await }
    });
    // It is in, and cannot go on as long as the first one does not.
    operations.busy.subscribe().wait_for(|busy| *busy == 2).await.unwrap();
    operations.end();
    go.notify_one();
    assert_eq!(reply(running.await.unwrap()), "\"First\"");
    let refused = waiting.await.unwrap();
    assert!(matches!(refused, Outcome::Refused(refusal) if refusal.code == FailureCode::Unavailable));
    operations.idle().await;
    // For the next one it is new.
    let next = Operations::new(folder.path().to_owned());
    assert_eq!(reply(next.run(order(second), told).await), "\"First\"");
}

#[tokio::test]
async fn there_are_never_more_answers_than_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let operations = Operations::new(folder.path().to_owned());
    // As if there were so many already, the oldest of them by one.
    let (oldest, first) = (Uuid::from_u128(100), Uuid::from_u128(1));
    let others = (0..KEPT as u128).map(|id| (now(), Uuid::from_u128(id + 100)));
    lock(&operations.ended).extend(others);
    operations.store.save(&record(oldest, Progress::Postponed { at: now() })).unwrap();
    operations.run(order(first), told).await;
    operations.idle().await;
    assert!(lock(&operations.ended).take_old(0, 0, KEPT).is_empty());
    let there = |operation| operations.store.load(operation).unwrap().is_some();
    assert_eq!([oldest, first].map(there), [false, true]);
}
