//! Streams, seen from libvirt's side.

use super::daemon::{CONTINUE, ERROR, Fake, OK, OPEN_CONSOLE, Peer, STREAM, Wire, error, vm, within};
use agent_libvirt::{Connection, ConsoleFlags, End, Error, Options, Stream};

async fn open(connection: &Connection, peer: &mut Peer) -> (Stream, Wire) {
    let vm = vm();
    let (stream, call) =
        tokio::join!(connection.domain_open_console(&vm, None, ConsoleFlags::empty()), async {
            let call = peer.call(OPEN_CONSOLE).await;
            // What the guest says may overtake the reply.
            peer.write(&call.stream(CONTINUE, b"early")).await;
            peer.write(&call.reply(Vec::new())).await;
            call
        });
    let stream = stream.expect("a stream");
    assert_eq!(within(stream.read(99)).await.expect("data").expect("more"), b"early");
    (stream, call)
}

#[tokio::test]
async fn bytes_go_both_ways_and_the_end_is_agreed_on() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let (stream, call) = open(&connection, &mut peer).await;

    stream.write(b"to the guest").await.unwrap();
    assert_eq!(peer.read().await, call.stream(CONTINUE, b"to the guest"));
    peer.write(&call.stream(CONTINUE, b"from the guest")).await;
    assert_eq!(within(stream.read(4)).await.unwrap().unwrap(), b"from");
    assert_eq!(within(stream.read(99)).await.unwrap().unwrap(), b" the guest");

    // More than one frame carries.
    let long = vec![7; 600_000];
    let (sent, got) = tokio::join!(stream.write(&long), async {
        let mut got = Vec::new();
        while got.len() < 600_000 {
            let frame = peer.read().await;
            assert!(frame.kind == STREAM && frame.status == CONTINUE && frame.body.len() <= 262_120);
            got.extend(frame.body);
        }
        got
    });
    sent.unwrap();
    assert_eq!(got, long);

    // Nothing more to read; writing still goes.
    peer.write(&call.stream(CONTINUE, b"")).await;
    assert_eq!(within(stream.read(99)).await.unwrap(), None);
    stream.write(b"x").await.unwrap();
    assert_eq!(peer.read().await.body, b"x");
    let (finished, ()) = tokio::join!(within(stream.finish()), async {
        assert_eq!(peer.read().await, call.stream(OK, b""));
        peer.write(&call.stream(OK, b"")).await;
    });
    finished.unwrap();
    assert_eq!(connection.open_calls_and_streams(), (0, 0));
    peer.answers(&connection).await;
}

#[tokio::test]
async fn a_stream_that_fails_says_why() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let (stream, call) = open(&connection, &mut peer).await;
    peer.write(&call.stream(ERROR, &error(39, "the guest is gone"))).await;
    let told = within(stream.read(99)).await.unwrap_err();
    assert_eq!(told.to_string(), "libvirt: the guest is gone");
    assert!(matches!(stream.write(b"x").await, Err(Error::Remote(_))));
    drop(stream);
    // Nothing is aborted that is over.
    peer.answers(&connection).await;
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_aborted_and_forgotten_when_libvirt_agrees() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    for confirmed in [OK, ERROR] {
        let (stream, call) = open(&connection, &mut peer).await;
        drop(stream);
        assert_eq!(peer.read().await, call.stream(ERROR, b""));
        assert_eq!(connection.open_calls_and_streams(), (0, 1));
        // What was on its way passes.
        peer.write(&call.stream(CONTINUE, b"late")).await;
        let body = if confirmed == ERROR { error(39, "aborted") } else { Vec::new() };
        peer.write(&call.stream(confirmed, &body)).await;
        peer.answers(&connection).await;
        assert_eq!(connection.open_calls_and_streams(), (0, 0));
    }
}

#[tokio::test]
async fn a_stream_that_nobody_waits_for_any_more_is_aborted() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let caller = tokio::spawn({
        let connection = connection.clone();
        async move { connection.domain_open_console(&vm(), None, ConsoleFlags::empty()).await.map(drop) }
    });
    let call = peer.call(OPEN_CONSOLE).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    peer.write(&call.reply(Vec::new())).await;
    assert_eq!(peer.read().await, call.stream(ERROR, b""));
    peer.write(&call.stream(OK, b"")).await;
    peer.answers(&connection).await;
    assert_eq!(connection.open_calls_and_streams(), (0, 0));
}

#[tokio::test]
async fn a_stream_that_is_given_up_between_its_reply_and_the_look_at_it_is_aborted() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let vm = vm();
    let mut opening = Box::pin(connection.domain_open_console(&vm, None, ConsoleFlags::empty()));
    let call = tokio::select! {
        biased;
        _ = &mut opening => panic!("nothing was answered"),
        call = peer.call(OPEN_CONSOLE) => call,
    };
    peer.write(&call.reply(Vec::new())).await;
    within(async {
        while connection.open_calls_and_streams() != (0, 1) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(opening);
    assert_eq!(peer.read().await, call.stream(ERROR, b""));
    peer.write(&call.stream(OK, b"")).await;
    peer.answers(&connection).await;
    assert_eq!(connection.open_calls_and_streams(), (0, 0));
}

#[tokio::test]
async fn streams_that_are_dropped_all_at_once_are_all_aborted() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(open(&connection, &mut peer).await);
    }
    let (streams, calls): (Vec<_>, Vec<_>) = streams.into_iter().unzip();
    drop(streams);
    for call in calls {
        assert_eq!(peer.read().await, call.stream(ERROR, b""));
    }
}

#[tokio::test]
async fn a_finish_that_is_given_up_aborts_the_stream() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let (stream, call) = open(&connection, &mut peer).await;
    let finishing = tokio::spawn(stream.finish());
    assert_eq!(peer.read().await, call.stream(OK, b""));
    finishing.abort();
    assert!(finishing.await.unwrap_err().is_cancelled());
    assert_eq!(peer.read().await, call.stream(ERROR, b""));
}

#[tokio::test]
async fn a_call_that_fails_opens_no_stream() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let vm = vm();
    let (stream, ()) =
        tokio::join!(connection.domain_open_console(&vm, None, ConsoleFlags::empty()), async {
            let call = peer.call(OPEN_CONSOLE).await;
            peer.write(&Wire { status: ERROR, ..call.reply(error(55, "busy")) }).await;
        });
    assert!(matches!(stream, Err(Error::Remote(_))));
    assert_eq!(connection.open_calls_and_streams(), (0, 0));
}

#[tokio::test]
async fn a_reader_who_sleeps_loses_his_stream_and_nobody_else_anything() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&Options { stream_bytes: 10, ..fake.options() }).await;
    let (stream, call) = open(&connection, &mut peer).await;
    peer.write(&call.stream(CONTINUE, b"12345678")).await;
    peer.write(&call.stream(CONTINUE, b"too much")).await;
    assert_eq!(peer.read().await, call.stream(ERROR, b""));
    peer.answers(&connection).await;
    assert_eq!(within(stream.read(99)).await.unwrap().unwrap(), b"12345678");
    let told = within(stream.read(99)).await.unwrap_err();
    assert!(matches!(told, Error::StreamOverflow { limit_bytes: 10 }), "{told}");
    peer.write(&call.stream(OK, b"")).await;
    peer.answers(&connection).await;
    assert_eq!(connection.open_calls_and_streams(), (0, 0));
}

#[tokio::test]
async fn a_stream_ends_with_its_connection() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let (stream, _) = open(&connection, &mut peer).await;
    // It keeps the connection.
    drop(connection);
    stream.write(b"x").await.unwrap();
    assert_eq!(peer.read().await.body, b"x");
    drop(peer);
    assert!(matches!(within(stream.read(99)).await, Err(Error::Ended(End::ByPeer))));
    assert!(matches!(within(stream.finish()).await, Err(Error::Ended(End::ByPeer))));
}
