//! Calls: several at once, and callers that give up.

use super::daemon::{ERROR, Fake, GET_HOSTNAME, REPLY, Wire, error, text, vm, within, words};
use agent_libvirt::{
    AffectFlags, CreateFlags, DefineFlags, EncodeError, Error, ErrorCode, Options, TypedParameter, TypedValue,
};
use std::collections::HashSet;
use std::time::Duration;

#[tokio::test]
async fn replies_find_their_callers_in_any_order() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { connection.hostname().await })
        })
        .collect();
    let mut calls = Vec::new();
    for _ in 0..3 {
        calls.push(peer.call(GET_HOSTNAME).await);
    }
    let serials: HashSet<u32> = calls.iter().map(|call| call.serial).collect();
    assert_eq!(serials.len(), 3);
    for call in calls.iter().rev() {
        peer.write(&call.reply(text(&call.serial.to_string()))).await;
    }
    let mut told = HashSet::new();
    for caller in callers {
        told.insert(within(caller).await.unwrap().unwrap().parse::<u32>().unwrap());
    }
    assert_eq!(told, serials);
}

#[tokio::test]
async fn libvirt_is_given_no_more_calls_at_once_than_allowed() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&Options { calls_in_flight: 2, ..fake.options() }).await;
    for _ in 0..6 {
        let connection = connection.clone();
        tokio::spawn(async move { connection.hostname().await });
    }
    let first = peer.call(GET_HOSTNAME).await;
    let mut last = peer.call(GET_HOSTNAME).await;
    assert_eq!(connection.open_calls_and_streams().0, 2);
    // Each reply lets one more through.
    peer.write(&first.reply(text("a"))).await;
    for _ in 0..4 {
        let next = peer.call(GET_HOSTNAME).await;
        assert!(connection.open_calls_and_streams().0 <= 2);
        peer.write(&last.reply(text("a"))).await;
        last = next;
    }
}

#[tokio::test]
async fn a_caller_who_gives_up_leaves_nothing_behind() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&Options { calls_in_flight: 1, ..fake.options() }).await;
    let caller = tokio::spawn({
        let connection = connection.clone();
        async move { connection.hostname().await }
    });
    let call = peer.call(GET_HOSTNAME).await;
    // One that waits for its turn is never sent.
    let never = connection.domain_lookup_by_name("never");
    assert!(tokio::time::timeout(std::time::Duration::from_millis(1), never).await.is_err());
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    // libvirt still works on it: its turn is not over, and its late reply is not a stranger's.
    assert_eq!(connection.open_calls_and_streams(), (1, 0));
    peer.write(&call.reply(text("late"))).await;
    peer.answers(&connection).await;
    assert_eq!(connection.open_calls_and_streams(), (0, 0));
}

#[tokio::test]
async fn callers_who_give_up_while_libvirt_does_not_read_leave_whole_frames() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&Options { calls_in_flight: 100, ..fake.options() }).await;
    // More than the socket holds, more than the queue holds.
    let xml = "x".repeat(1 << 20);
    let callers: Vec<_> = (0..90)
        .map(|_| {
            let (connection, xml) = (connection.clone(), xml.clone());
            tokio::spawn(
                async move { connection.domain_define_xml(&xml, DefineFlags::empty()).await.map(drop) },
            )
        })
        .collect();
    within(async {
        while connection.open_calls_and_streams().0 < 60 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for caller in callers {
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
    }
    let waiting = connection.open_calls_and_streams().0;
    assert!((60..90).contains(&waiting), "{waiting}: those that were not queued are not sent");
    for _ in 0..waiting {
        let call = peer.call(350).await;
        assert_eq!(call.body.len(), 4 + (1 << 20) + 4);
        peer.write(&Wire { status: ERROR, ..call.reply(error(1, "no")) }).await;
    }
    peer.answers(&connection).await;
    assert_eq!(connection.open_calls_and_streams(), (0, 0));
}

#[tokio::test]
async fn errors_come_with_all_their_parts() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let (reply, ()) = tokio::join!(connection.domain_lookup_by_name("vm"), async {
        let call = peer.call(23).await;
        assert_eq!(call.body, text("vm"));
        peer.write(&Wire { status: ERROR, ..call.reply(error(42, "Domain not found")) }).await;
    });
    let told = reply.unwrap_err();
    assert_eq!(told.to_string(), "libvirt: Domain not found");
    assert_eq!(told.remote().unwrap().code, ErrorCode::NoDomain);
}

#[tokio::test]
async fn a_reply_of_another_layout_fails_its_call_alone() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    for body in [vec![], vec![0; 3], vec![0xff; 4], vec![0; 8]] {
        let (reply, ()) = tokio::join!(connection.hostname(), async {
            let call = peer.call(GET_HOSTNAME).await;
            peer.write(&Wire { kind: REPLY, ..call.reply(body) }).await;
        });
        assert!(matches!(reply, Err(Error::Reply { .. })), "{reply:?}");
    }
    peer.answers(&connection).await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_here() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let error = connection.domain_lookup_by_name("a\0b").await.unwrap_err();
    assert!(matches!(error, Error::Arguments { why: EncodeError::ZeroByte { at: 1 }, .. }), "{error}");
    assert!(error.to_string().starts_with("cannot call `DOMAIN_LOOKUP_BY_NAME`: "), "{error}");
    // Each string is short enough, and all of them are not.
    let group = |number| {
        let value = TypedValue::String("x".repeat(4 << 20));
        TypedParameter::new(format!("group_{number}"), value)
    };
    let tune: Vec<_> = (0..8).map(group).collect();
    let vm = vm();
    let set = connection.domain_set_block_io_tune(&vm, "vda", &tune, AffectFlags::LIVE);
    let error = set.await.unwrap_err();
    assert!(matches!(error, Error::Arguments { why: EncodeError::ArgumentsTooLong { .. }, .. }), "{error}");
    // Nothing was sent.
    peer.answers(&connection).await;
}

#[tokio::test]
async fn a_look_that_is_not_answered_is_given_up_and_a_change_is_not() {
    let fake = Fake::new();
    let options = Options { calls_in_flight: 2, answer_timeout: Duration::from_millis(50), ..fake.options() };
    let (connection, mut peer) = fake.connected(&options).await;
    let creating = tokio::spawn({
        let connection = connection.clone();
        async move { connection.domain_create(&vm(), CreateFlags::empty()).await }
    });
    let create = peer.call(196).await;
    let vm = vm();
    let (state, call) = tokio::join!(within(connection.domain_state(&vm)), peer.call(212));
    let told = state.unwrap_err();
    assert!(matches!(told, Error::NoAnswer { waited_ms: 50, .. }), "{told}");
    assert!(
        told.to_string().starts_with("libvirt gave no answer to `DOMAIN_GET_STATE` within 50 ms; "),
        "{told}"
    );
    // libvirt is still at both: what comes now finds no turn, whatever it is.
    assert_eq!(connection.open_calls_and_streams(), (2, 0));
    let told = within(connection.domain_create(&vm, CreateFlags::empty())).await.unwrap_err();
    assert!(matches!(told, Error::Busy { waited_ms: 50, before: 2, .. }), "{told}");
    assert!(told.to_string().starts_with("`DOMAIN_CREATE_WITH_FLAGS` was not sent within 50 ms"), "{told}");
    let told = within(connection.hostname()).await.unwrap_err();
    assert!(matches!(told, Error::Busy { .. }), "{told}");
    // Answers that come late do no harm, and the change gets its own.
    peer.write(&call.reply(words(&[1, 1]))).await;
    peer.write(&Wire { status: ERROR, ..create.reply(error(1, "no")) }).await;
    assert!(matches!(within(creating).await.unwrap(), Err(Error::Remote(_))));
    assert_eq!(connection.open_calls_and_streams(), (0, 0));
}
