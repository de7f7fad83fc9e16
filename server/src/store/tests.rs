//! Opening, migrating and writing.

use std::task::Poll;

use super::*;
use server_api::host::LinkState;
use server_api::task::{Action, TaskState};
use server_api::volume::Phase;

use crate::task::step::Step;

async fn scratch() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("cairn.db")).await.unwrap();
    (folder, store)
}

#[tokio::test]
async fn what_is_committed_is_there_after_a_restart_and_the_rest_is_not() {
    let (folder, store) = scratch().await;
    let kept = host::Host::new(Id::new(), "kept", "127.0.0.1:7070", true);
    let mut write = store.write().await.unwrap();
    host::insert(&mut write, &kept).await.unwrap();
    write.commit().await.unwrap();
    let mut write = store.write().await.unwrap();
    host::insert(&mut write, &host::Host::new(Id::new(), "lost", "127.0.0.1:1", false)).await.unwrap();
    drop(write);
    store.close().await;

    let store = Store::open(&folder.path().join("cairn.db")).await.unwrap();
    let hosts = host::all(&mut store.read().await.unwrap()).await.unwrap();
    assert_eq!(hosts.len(), 1);
    assert_eq!((hosts[0].id, hosts[0].is_local, hosts[0].link.0), (kept.id, true, LinkState::Unknown));
}

#[tokio::test]
async fn a_change_is_told_when_it_holds() {
    let (_folder, store) = scratch().await;
    let mut follower = store.follow();
    let host = host::Host::new(Id::new(), "node1", "127.0.0.1:7070", false);
    let mut write = store.write().await.unwrap();
    host::insert(&mut write, &host).await.unwrap();
    host::disconnected(&mut write, host.id, "no connection").await.unwrap();
    assert!(follower.try_recv().is_err());
    write.commit().await.unwrap();
    assert_eq!(follower.try_recv().unwrap(), Changed { kind: Kind::Host, id: host.id.0 });
    assert!(follower.try_recv().is_err(), "twice");
}

#[tokio::test]
async fn a_commit_that_nobody_waits_for_is_told_too() {
    let (_folder, store) = scratch().await;
    let mut follower = store.follow();
    let host = host::Host::new(Id::new(), "node1", "127.0.0.1:7070", false);
    let mut write = store.write().await.unwrap();
    host::insert(&mut write, &host).await.unwrap();
    let mut commit = Box::pin(write.commit());
    let begun = std::future::poll_fn(|context| Poll::Ready(commit.as_mut().poll(context).is_pending()));
    assert!(begun.await);
    drop(commit);
    let told = tokio::time::timeout(Duration::from_secs(60), follower.recv()).await;
    assert_eq!(told.unwrap().unwrap(), Changed { kind: Kind::Host, id: host.id.0 });
    assert!(host::by_id(&mut store.read().await.unwrap(), host.id).await.unwrap().is_some());
}

#[tokio::test]
async fn names_are_taken_once_and_what_is_referred_to_stays() {
    let (_folder, store) = scratch().await;
    let host = host::Host::new(Id::new(), "node1", "127.0.0.1:7070", false);
    let mut write = store.write().await.unwrap();
    host::insert(&mut write, &host).await.unwrap();
    let twin = host::Host::new(Id::new(), "node1", "127.0.0.1:7071", false);
    assert!(host::insert(&mut write, &twin).await.unwrap_err().is_taken());
    let storage = storage::Storage {
        survey: None,
        surveyed_ms: None,
        survey_failure: None,
        id: Id::new(),
        name: "default".into(),
        host_id: host.id,
        host_name: String::new(),
        path: "/srv".into(),
        file_system: "ext4".into(),
        capacity_bytes: 1,
        available_bytes: 1,
        seen_ms: now_ms(),
        created_ms: now_ms(),
    };
    storage::insert(&mut write, &storage).await.unwrap();
    assert!(host::delete(&mut write, host.id).await.unwrap_err().is_referred_to());
}

#[tokio::test]
async fn a_database_of_a_newer_server_is_refused_and_left_alone() {
    let (folder, store) = scratch().await;
    let path = folder.path().join("cairn.db");
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', 1, x'00', 0)",
    )
    .execute(&store.writer)
    .await
    .unwrap();
    store.close().await;
    let before = std::fs::read(&path).unwrap();
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 9999, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("cairn.db` was written by a newer server") && text.contains("; install"), "{text}");
    assert_eq!(applied(&path).await.unwrap(), Some(9999));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_database_has_one_server_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cairn.db");
    let store = Store::open(&path).await.unwrap();
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Taken { .. }), "{error}");
    // The first is none the worse for it.
    store.write().await.unwrap().commit().await.unwrap();
    store.close().await;
    let next = Store::open(&path).await.unwrap();
    // Also once the first is gone altogether.
    drop(store);
    assert!(matches!(Store::open(&path).await.unwrap_err(), StoreError::Taken { .. }));
    drop(next);
    Store::open(&path).await.unwrap();
}

#[tokio::test]
async fn what_is_no_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cairn.db");
    std::fs::write(&path, "x".repeat(4096)).unwrap();
    let error = Store::open(&path).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot open the database `") && error.contains("cairn.db"), "{error}");
    let error = Store::open(&folder.path().join("no/cairn.db")).await.unwrap_err().to_string();
    assert!(error.contains("; see that its folder is there"), "{error}");
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten_with_its_steps_and_the_rest_is_not() {
    let (_folder, store) = scratch().await;
    let mut write = store.write().await.unwrap();
    let subject = Id::new();
    let mut tasks = Vec::new();
    for _ in 0..2 {
        let task = task::Task {
            id: Id::new(),
            action: Word(Action::VolumeDelete),
            subject_kind: Word(Kind::Volume),
            subject_id: subject,
            subject_name: "data".into(),
            state: Word(TaskState::Running),
            waits_for: None,
            error: None,
            cancel_requested: false,
            created_by: "admin".into(),
            created_ms: now_ms(),
            finished_ms: None,
        };
        let step = Step::DeleteVolume { volume: subject, was: Phase::Ready };
        task::insert(&mut write, &task, &[step]).await.unwrap();
        tasks.push(task.id);
    }
    task::hold(&mut write, tasks[0], subject).await.unwrap();
    assert!(task::hold(&mut write, tasks[1], subject).await.unwrap_err().is_taken());
    task::finished(&mut write, tasks[0], TaskState::Succeeded).await.unwrap();
    assert!(task::holder(&mut write, subject).await.unwrap().is_none());

    assert!(!task::forget(&mut write, now_ms() - 1000).await.unwrap(), "too early");
    assert!(task::forget(&mut write, now_ms() + 1000).await.unwrap());
    assert!(task::steps(&mut write, tasks[0]).await.unwrap().is_empty());
    assert_eq!(task::unfinished(&mut write).await.unwrap(), [tasks[1]]);
    assert_eq!(task::steps(&mut write, tasks[1]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_copy_lets_nobody_in() {
    let (folder, store) = scratch().await;
    let mut write = store.write().await.unwrap();
    let digest = "5e".repeat(32);
    let session = session::Session {
        digest: digest.clone(),
        who: "admin".to_owned(),
        credential: "c".to_owned(),
        expires_ms: i64::MAX,
    };
    session::insert(&mut write, &session).await.unwrap();
    let token = join_token::JoinToken {
        id: Id::new(),
        digest: digest.clone(),
        created_by: "admin".to_owned(),
        created_ms: 1,
        expires_ms: i64::MAX,
        host_id: None,
        used_ms: None,
        used_key: None,
        used_host_id: None,
    };
    join_token::insert(&mut write, &token, 0).await.unwrap();
    write.commit().await.unwrap();
    let (path, to) = (folder.path().join("cairn.db"), folder.path().join("copy.db"));
    assert_eq!(copy(&path, &to).await.unwrap(), applied(&path).await.unwrap());
    let bytes = std::fs::read(&to).unwrap();
    assert!(!bytes.windows(digest.len()).any(|window| window == digest.as_bytes()));
    assert_eq!(
        std::fs::read_dir(folder.path())
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("copy.db") })
            .count(),
        1
    );
    let copied = Store::open(&to).await.unwrap();
    let mut read = copied.read().await.unwrap();
    assert!(session::all(&mut read, "c").await.unwrap().is_empty());
    assert!(join_token::by_id(&mut read, token.id).await.unwrap().is_none());
    // Where it was copied from, they are.
    let mut read = store.read().await.unwrap();
    assert_eq!(session::all(&mut read, "c").await.unwrap().len(), 1);
    assert!(join_token::by_id(&mut read, token.id).await.unwrap().is_some());
}
