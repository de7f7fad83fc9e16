//! Operations without a network: what a record means to the agent that finds it.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn order(operation: Uuid) -> Order {
    let arguments = agent_protocol::vm::VmRequest { vm: Uuid::from_u128(1) };
    Order::new(operation, "vm-reset", &arguments).unwrap()
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
        let arguments = agent_protocol::vm::VmRequest { vm: Uuid::from_u128(1) };
        let reused = Order::new(Uuid::from_u128(done), "vm-suspend", &arguments).unwrap();
        let reused = operations.run(reused, never).await;
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
    Operations::new(folder.path().to_owned()).look_back();
    let there = |id: u128| folder.path().join(format!("{}.json", Uuid::from_u128(id))).exists();
    assert_eq!([begun, old, away, young].map(there), [true, false, false, true]);
    assert!(!folder.path().join(".half.json.new").exists());
    assert!(folder.path().join("notes").exists(), "what is not ours is only complained about");
}

#[tokio::test]
async fn there_are_never_more_answers_than_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let operations = Operations::new(folder.path().to_owned());
    // As if there were so many already, all of them younger than none.
    let others = (0..KEPT as u128).map(|id| (now(), Uuid::from_u128(id + 100)));
    lock(&operations.ended).extend(others);
    let first = Uuid::from_u128(1);
    operations.run(order(first), told).await;
    operations.idle().await;
    assert!(lock(&operations.ended).take_old(0, KEPT).is_empty());
}
