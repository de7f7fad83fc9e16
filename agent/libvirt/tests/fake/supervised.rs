//! A connection that comes back, with a daemon that does not make it easy.

use super::daemon::{
    CONNECT_CLOSE, ERROR, Fake, GET_HOSTNAME, MESSAGE, OK, Peer, REMOTE, Wire, error, text, vm, within, words,
};
use agent_libvirt::{Backoff, CreateFlags, End, Error, EventKind, Notice, Options, Supervised};
use std::time::Duration;

const SOON: Backoff = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(5) };

/// Takes both its sockets: that of looks and events, and that of calls that may hang.
async fn registered(fake: &Fake) -> (Peer, Peer) {
    let mut peer = fake.welcome().await;
    let slow = fake.welcome().await;
    for id in [0, 1] {
        let call = peer.call(316).await;
        assert_eq!(call.body, words(&[id, 0]));
        peer.write(&call.reply(words(&[id + 100]))).await;
    }
    (peer, slow)
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
        let (mut peer, slow) = registered(&fake).await;
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
        // Whichever ends, both do.
        if round == 1 {
            drop(slow);
        } else {
            drop(peer);
        }
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
    assert!(told[1].contains("ended while it was being opened"), "{told:?}");
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
    let (mut peer, mut slow) = registered(&fake).await;
    while supervised.connection().is_err() {
        tokio::task::yield_now().await;
    }
    drop(supervised);
    assert_eq!(within(peer.read_or_end()).await, None);
    assert_eq!(within(slow.read_or_end()).await, None);
    while within(sleeper.next()).await.is_some() {}
}

#[tokio::test]
async fn calls_that_hang_keep_no_look_and_no_event_back() {
    let fake = Fake::new();
    let supervised = Supervised::start(fake.options(), vec![EventKind::Lifecycle, EventKind::Reboot], SOON);
    let mut notices = supervised.notices();
    let (mut peer, mut slow) = registered(&fake).await;
    let connection = within(async {
        loop {
            if let Some(Notice::Connected(connection)) = notices.next().await {
                return connection;
            }
        }
    })
    .await;
    let mut hanging = Vec::new();
    let mut calls = Vec::new();
    for _ in 0..4 {
        let connection = connection.clone();
        let create = async move { connection.domain_create(&vm(), CreateFlags::empty()).await };
        hanging.push(tokio::spawn(create));
        calls.push(slow.call(196).await);
    }
    // Also what is asked of a QEMU that may hang goes with them: it would take the turns of the looks.
    let vm = vm();
    let query = connection.qemu_monitor_command(&vm, "query-block", None);
    assert!(tokio::time::timeout(Duration::from_millis(1), query).await.is_err());
    for _ in 0..10 {
        peer.answers(&connection).await;
    }
    let body = [words(&[101]), text("vm"), vec![7; 16], words(&[1])].concat();
    peer.write(&Wire { program: REMOTE, procedure: 319, kind: MESSAGE, serial: 0, status: OK, body }).await;
    assert!(matches!(within(notices.next()).await, Some(Notice::Event(_))));
    // They are waited for, for as long as they take.
    for (caller, call) in hanging.into_iter().zip(calls) {
        slow.write(&Wire { status: ERROR, ..call.reply(error(1, "no")) }).await;
        assert!(matches!(within(caller).await.unwrap(), Err(Error::Remote(_))));
    }
    let (closed, ()) = tokio::join!(within(connection.close()), async {
        peer.call(CONNECT_CLOSE).await;
        slow.call(CONNECT_CLOSE).await;
        drop((peer, slow));
    });
    closed.unwrap();
}

#[tokio::test]
async fn events_that_libvirt_does_not_register_are_not_waited_for_for_ever() {
    let fake = Fake::new();
    let options = Options { answer_timeout: Duration::from_millis(20), ..fake.options() };
    let supervised = Supervised::start(options, vec![EventKind::Lifecycle], SOON);
    let mut notices = supervised.notices();
    for _ in 0..2 {
        let (mut peer, mut slow) = (fake.welcome().await, fake.welcome().await);
        let _unanswered = peer.call(316).await;
        assert_eq!(within(peer.read_or_end()).await, None);
        assert_eq!(within(slow.read_or_end()).await, None);
    }
    let Some(Notice::Disconnected(_)) = within(notices.next()).await else { panic!("not yet tried") };
    let Some(Notice::Disconnected(why)) = within(notices.next()).await else { panic!("not failed") };
    let said = why.to_string();
    assert!(
        said.contains("no answer to `CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY` within 20 ms"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_deregisters_nothing_on_its_way_out() {
    let fake = Fake::new();
    for round in 0..500 {
        let kinds = vec![EventKind::Lifecycle, EventKind::Reboot];
        let supervised = Supervised::start(fake.options(), kinds, SOON);
        let mut notices = supervised.notices();
        let (mut peer, mut slow) = registered(&fake).await;
        while !matches!(within(notices.next()).await, Some(Notice::Connected(_))) {}
        drop(supervised);
        assert_eq!(within(peer.read_or_end()).await, None, "round {round}");
        assert_eq!(within(slow.read_or_end()).await, None, "round {round}");
    }
}

#[tokio::test]
async fn its_end_is_waited_for_until_all_is_answered() {
    let fake = Fake::new();
    let supervised = Supervised::start(fake.options(), vec![EventKind::Lifecycle, EventKind::Reboot], SOON);
    let mut notices = supervised.notices();
    let (mut peer, mut slow) = registered(&fake).await;
    while !matches!(within(notices.next()).await, Some(Notice::Connected(_))) {}
    let connection = supervised.connection().unwrap();
    let caller = tokio::spawn(async move { connection.hostname().await });
    let call = peer.call(GET_HOSTNAME).await;
    let mut ends = Box::pin(supervised.end());
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut ends).await.is_err());
    // Who asks learns it at once.
    assert!(matches!(within(caller).await.unwrap(), Err(Error::Ended(End::Closed))));
    assert!(matches!(supervised.connection(), Err(Error::Disconnected { .. })));
    peer.write(&call.reply(text("too late"))).await;
    within(ends).await;
    for peer in [&mut peer, &mut slow] {
        assert_eq!(within(peer.read_or_end()).await, None);
    }
}
