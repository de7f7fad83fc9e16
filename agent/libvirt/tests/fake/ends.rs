//! How connections end, and what those who wait learn.

use super::daemon::{
    CALL, CONNECT_CLOSE, CONTINUE, ERROR, Fake, GET_HOSTNAME, KEEPALIVE, MESSAGE, OK, Peer, REMOTE, REPLY,
    STREAM, Wire, text, within, words,
};
use agent_libvirt::{Connection, Direction, End, Error, Keepalive, Options, SeenFrame};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Lets several callers wait, lets the daemon do `deed` with one of their calls, and returns the one end that all of
/// them must have got.
async fn end_by(deed: impl AsyncFnOnce(Peer, Wire)) -> End {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { connection.hostname().await })
        })
        .collect();
    let call = peer.call(GET_HOSTNAME).await;
    deed(peer, call).await;
    let end = within(connection.ended()).await;
    for caller in callers {
        let error = within(caller).await.expect("a caller").expect_err("an end");
        assert_eq!(error.to_string(), Error::Ended(end.clone()).to_string());
    }
    let late = connection.hostname().await.expect_err("an end");
    assert!(matches!(late, Error::NotSent { .. }), "{late}");
    assert_eq!(connection.open_calls_and_streams(), (0, 0));
    end
}

#[tokio::test]
async fn a_peer_that_leaves_fails_all_calls() {
    assert!(matches!(end_by(async |peer, _| drop(peer)).await, End::ByPeer));
}

#[tokio::test]
async fn frames_that_make_no_sense_end_the_connection() {
    let known = Wire {
        program: REMOTE,
        procedure: GET_HOSTNAME,
        kind: REPLY,
        serial: 0,
        status: OK,
        body: text("x"),
    };
    type Change = fn(&mut Wire);
    let changes: [(&str, Change); 11] = [
        ("as 4711, which was not called", |frame| frame.serial = 4711),
        ("procedure 7 as", |frame| frame.procedure = 7),
        ("procedure 9999 as", |frame| frame.procedure = 9999),
        ("program 0x20008088", |frame| frame.program = REMOTE + 2),
        ("to procedure 59 as", |frame| frame.program = REMOTE + 1),
        ("a `Call`", |frame| frame.kind = CALL),
        ("a `CallWithFds`", |frame| frame.kind = 4),
        ("a `ReplyWithFds`", |frame| frame.kind = 5),
        ("a `StreamHole`", |frame| frame.kind = 6),
        ("to be continued", |frame| frame.status = CONTINUE),
        ("an error that cannot be read", |frame| frame.status = ERROR),
    ];
    for (said, change) in changes {
        let end = end_by(async |mut peer, call| {
            let mut frame = Wire { serial: call.serial, ..known.clone() };
            change(&mut frame);
            peer.write(&frame).await;
            // It stays open on this side.
            peer.read_or_end().await;
        });
        let end = end.await;
        assert!(matches!(&end, End::Protocol(why) if why.contains(said)), "{said}: {end}");
    }
}

#[tokio::test]
async fn a_reply_comes_once() {
    let end = end_by(async |mut peer, call| {
        // The number of the call that opened the connection, which was answered long ago.
        peer.write(&Wire { serial: call.serial - 1, procedure: 1, ..call.reply(Vec::new()) }).await;
        peer.read_or_end().await;
    });
    let end = end.await;
    assert!(matches!(&end, End::Protocol(why) if why.contains("procedure 1 as")), "{end}");
}

#[tokio::test]
async fn bytes_that_are_no_frames_end_the_connection() {
    let nonsense = [
        (words(&[27]), "a frame of 27 bytes"),
        (words(&[u32::MAX]), "a frame of 4294967295 bytes"),
        (words(&[32 << 20 | 5]), "a frame of 33554437 bytes"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "a frame of 1213486160 bytes"),
        (words(&[28, REMOTE, 1, 59, 77, 1, 0]), "a message type"),
        (words(&[28, REMOTE, 1, 59, 1, 1, 77]), "a message status"),
    ];
    for (bytes, said) in nonsense {
        let end = end_by(async |mut peer, _| {
            peer.write_bytes(&bytes).await;
            peer.read_or_end().await;
        });
        let end = end.await;
        assert!(matches!(&end, End::Garbage(_)) && end.to_string().contains(said), "{said}: {end}");
    }
    let cut = end_by(async |mut peer, call| {
        // What a closed socket has not read resets the connection.
        peer.call(GET_HOSTNAME).await;
        peer.call(GET_HOSTNAME).await;
        peer.write_bytes(&call.reply(text("x")).bytes()[..30]).await;
    });
    let cut = cut.await;
    assert!(matches!(&cut, End::Protocol(why) if why.contains("within a frame")), "{cut}");
    let version = end_by(async |mut peer, call| {
        let mut bytes = call.reply(text("x")).bytes();
        bytes[11] = 2;
        peer.write_bytes(&bytes).await;
        peer.read_or_end().await;
    });
    assert!(version.await.to_string().contains("version 2"));
}

#[tokio::test]
async fn frames_of_streams_that_are_over_are_let_pass() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    for status in [OK, ERROR, CONTINUE] {
        let (program, procedure) = (REMOTE, 201);
        peer.write(&Wire { program, procedure, kind: STREAM, serial: 9, status, body: vec![1, 2] }).await;
    }
    peer.answers(&connection).await;
}

#[tokio::test]
async fn a_silent_peer_is_asked_and_then_given_up() {
    let fake = Fake::new();
    let seen = Arc::new(Mutex::new(Vec::<SeenFrame>::new()));
    let observer = {
        let seen = Arc::clone(&seen);
        move |frame| seen.lock().unwrap().push(frame)
    };
    let keepalive = Keepalive { interval: Duration::from_millis(20), count: 3 };
    let options =
        Options { keepalive: Some(keepalive), observer: Some(Arc::new(observer)), ..fake.options() };
    let (connection, mut peer) = fake.connected(&options).await;
    seen.lock().unwrap().clear();
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { connection.hostname().await }
    });
    let _unanswered = peer.call(GET_HOSTNAME).await;
    let ping =
        Wire { program: KEEPALIVE, procedure: 1, kind: MESSAGE, serial: 0, status: OK, body: Vec::new() };
    // As long as it answers, it lives.
    for _ in 0..6 {
        assert_eq!(peer.read().await, ping);
        peer.write(&Wire { procedure: 2, ..ping.clone() }).await;
    }
    let end = within(connection.ended()).await;
    assert!(matches!(end, End::Dead { silent_ms: 80 }), "{end}");
    assert!(matches!(within(waiting).await.unwrap(), Err(Error::Ended(End::Dead { .. }))));
    let mut pings = 0;
    while let Some(frame) = peer.read_or_end().await {
        assert_eq!(frame, ping);
        pings += 1;
    }
    // One more where the last answer met a question that was on its way.
    assert!((3..=4).contains(&pings), "{pings}");
    let seen = seen.lock().unwrap();
    let others = seen.iter().filter(|frame| !frame.is_keepalive()).count();
    assert_eq!(others, 1, "the one call: {seen:?}");
    assert_eq!(seen.iter().filter(|frame| frame.direction == Direction::In).count(), 6);
}

#[tokio::test]
async fn a_question_for_a_sign_of_life_is_answered_before_all_that_waits() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let ping =
        Wire { program: KEEPALIVE, procedure: 1, kind: MESSAGE, serial: 0, status: OK, body: Vec::new() };
    peer.write(&ping).await;
    assert_eq!(peer.read().await, Wire { procedure: 2, ..ping });
    peer.answers(&connection).await;
}

#[tokio::test]
async fn the_last_clone_takes_the_connection_with_it() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let clone: Connection = connection.clone();
    drop(connection);
    peer.answers(&clone).await;
    drop(clone);
    assert_eq!(within(peer.read_or_end()).await, None);
}

#[tokio::test]
async fn a_leave_that_libvirt_does_not_take_is_told_and_taken_all_the_same() {
    let fake = Fake::new();
    let options = Options { answer_timeout: Duration::from_millis(50), ..fake.options() };
    for answered in [false, true] {
        let (connection, mut peer) = fake.connected(&options).await;
        let (left, ()) = tokio::join!(within(connection.close()), async {
            let call = peer.call(CONNECT_CLOSE).await;
            if answered {
                // And does not close the connection, as libvirt would.
                peer.write(&call.reply(Vec::new())).await;
            }
            assert_eq!(within(peer.read_or_end()).await, None);
        });
        let error = left.unwrap_err();
        assert!(matches!(error, Error::NoAnswer { waited_ms: 50, .. }), "{error}");
    }
    // In order, it closes the connection; its reply may be lost.
    for answered in [false, true] {
        let (connection, mut peer) = fake.connected(&fake.options()).await;
        let (left, ()) = tokio::join!(within(connection.close()), async {
            let call = peer.call(CONNECT_CLOSE).await;
            if answered {
                peer.write(&call.reply(Vec::new())).await;
            }
            drop(peer);
        });
        left.unwrap();
    }
}

#[tokio::test]
async fn a_leave_that_is_given_up_ends_the_connection() {
    let fake = Fake::new();
    let options = Options { answer_timeout: Duration::from_millis(50), ..fake.options() };
    let (connection, mut peer) = fake.connected(&options).await;
    let another = connection.clone();
    let leaving = tokio::spawn(connection.close());
    peer.call(CONNECT_CLOSE).await;
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    assert_eq!(within(peer.read_or_end()).await, None);
    assert!(matches!(another.end(), Some(End::Closed)));
}

#[tokio::test]
async fn the_socket_stays_until_what_was_asked_is_answered() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { connection.hostname().await })
        })
        .collect();
    let calls = [peer.call(GET_HOSTNAME).await, peer.call(GET_HOSTNAME).await];
    // One has given up waiting, and all go.
    callers.into_iter().for_each(|caller| caller.abort());
    drop(connection);
    for call in calls {
        peer.nothing_more().await;
        let event = Wire { kind: MESSAGE, serial: 0, procedure: 9999, body: Vec::new(), ..call.clone() };
        peer.write(&event).await;
        peer.write(&call.reply(text("too late"))).await;
    }
    assert_eq!(within(peer.read_or_end()).await, None);
}

#[tokio::test]
async fn the_socket_does_not_stay_for_an_answer_that_never_comes() {
    let fake = Fake::new();
    let options = Options { answer_timeout: Duration::from_millis(50), ..fake.options() };
    let (connection, mut peer) = fake.connected(&options).await;
    let (asked, call) = tokio::join!(connection.hostname(), peer.call(GET_HOSTNAME));
    assert!(matches!(asked, Err(Error::NoAnswer { .. })));
    peer.nothing_more().await;
    drop(connection);
    assert_eq!(within(peer.read_or_end()).await, None, "after {call:?}");
}
