//! A connection that comes back, with a daemon that does not make it easy.

use super::daemon::{Fake, MESSAGE, OK, Peer, REMOTE, Wire, text, within, words};
use agent_libvirt::{Backoff, Error, EventKind, Notice, Options, Supervised};
use std::time::Duration;

const SOON: Backoff = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(5) };

async fn registered(fake: &Fake) -> Peer {
    let mut peer = fake.welcome().await;
    for id in [0, 1] {
        let call = peer.call(316).await;
        assert_eq!(call.body, words(&[id, 0]));
        peer.write(&call.reply(words(&[id + 100]))).await;
    }
    peer
}

#[tokio::test]
async fn events_are_registered_on_every_connection() {
    let fake = Fake::new();
    let supervised = Supervised::start(fake.options(), vec![EventKind::Lifecycle, EventKind::Reboot], SOON);
    let mut notices = supervised.notices();
    assert!(matches!(within(notices.next()).await, Some(Notice::Disconnected(_))));
    let error = supervised.connection().unwrap_err().to_string();
    assert!(error.starts_with("not connected to libvirt: "), "{error}");

    for round in 0..3 {
        let mut peer = registered(&fake).await;
        let Some(Notice::Connected(connection)) = within(notices.next()).await else {
            panic!("round {round}")
        };
        peer.answers(&supervised.connection().unwrap()).await;
        let body = [words(&[101]), text("vm"), vec![7; 16], words(&[1])].concat();
        peer.write(&Wire { program: REMOTE, procedure: 319, kind: MESSAGE, serial: 0, status: OK, body })
            .await;
        assert!(
            matches!(within(notices.next()).await, Some(Notice::Event(event)) if event.domain.name == "vm")
        );
        // Whoever comes later learns the state first.
        assert!(matches!(supervised.notices().next().await, Some(Notice::Connected(_))));
        drop(peer);
        within(connection.ended()).await;
        // At once, not only after the notice.
        assert!(matches!(supervised.connection(), Err(Error::Disconnected { .. })));
        assert!(matches!(within(notices.next()).await, Some(Notice::Disconnected(_))));
    }
}

#[tokio::test]
async fn failed_attempts_are_told_once_and_go_on() {
    let fake = Fake::new();
    let supervised = Supervised::start(fake.options(), vec![EventKind::Lifecycle, EventKind::Reboot], SOON);
    let mut notices = supervised.notices();
    for _ in 0..5 {
        drop(fake.accept().await);
    }
    let _peer = registered(&fake).await;
    let mut told = Vec::new();
    loop {
        match within(notices.next()).await.expect("a notice") {
            Notice::Disconnected(why) => told.push(why.to_string()),
            Notice::Connected(_) => break,
            other => panic!("{other:?}"),
        }
    }
    // That it has not yet been tried, and that it failed.
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].contains("is not libvirt"), "{told:?}");
}

#[tokio::test]
async fn who_does_not_take_notices_learns_that_and_the_present_state() {
    let fake = Fake::new();
    let options = Options { events: 2, ..fake.options() };
    let supervised = Supervised::start(options, vec![EventKind::Lifecycle, EventKind::Reboot], SOON);
    let mut sleeper = supervised.notices();
    for _ in 0..3 {
        let peer = registered(&fake).await;
        let mut waker = supervised.notices();
        while !matches!(within(waker.next()).await, Some(Notice::Connected(_))) {}
        drop(peer);
        while !matches!(within(waker.next()).await, Some(Notice::Disconnected(_))) {}
    }
    assert!(matches!(within(sleeper.next()).await, Some(Notice::Disconnected(_))), "what it was when asked");
    assert!(matches!(within(sleeper.next()).await, Some(Notice::Lagged { missed }) if missed >= 3));
    assert!(matches!(within(sleeper.next()).await, Some(Notice::Disconnected(_))), "what it is now");
    // Nobody has taken the notice that holds the connection; it ends all the same.
    let mut peer = registered(&fake).await;
    while supervised.connection().is_err() {
        tokio::task::yield_now().await;
    }
    drop(supervised);
    assert_eq!(within(peer.read_or_end()).await, None);
    while within(sleeper.next()).await.is_some() {}
}
