//! Events: those that are not asked for, and those that are nonsense. What real ones look like is shown with libvirt.

use super::daemon::{CONNECT_CLOSE, Fake, MESSAGE, OK, Peer, REMOTE, Wire, text, within, words};
use agent_libvirt::{Connection, Delivery, End, Error, Event, EventKind, Subscription};

fn reboot(name: &str) -> Vec<u8> {
    [words(&[1]), text(name), vec![7; 16], words(&[1])].concat()
}

fn message(procedure: u32, body: Vec<u8>) -> Wire {
    Wire { program: REMOTE, procedure, kind: MESSAGE, serial: 0, status: OK, body }
}

async fn subscribed(connection: &Connection, peer: &mut Peer) -> Subscription {
    let (events, ()) = tokio::join!(connection.subscribe(&[EventKind::Reboot]), async {
        let call = peer.call(316).await;
        assert_eq!(call.body, words(&[1, 0]));
        // It may come before libvirt has told that it will.
        peer.write(&message(319, reboot("early"))).await;
        peer.write(&call.reply(words(&[5]))).await;
    });
    events.expect("events")
}

#[tokio::test]
async fn an_event_that_overtakes_its_registration_is_not_lost() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let mut events = subscribed(&connection, &mut peer).await;
    // Of a kind nobody asked for, and of one nobody knows.
    peer.write(&message(318, [reboot("other"), words(&[0, 0])].concat())).await;
    peer.write(&message(9999, b"whatever".to_vec())).await;
    peer.write(&message(319, reboot("late"))).await;
    for name in ["early", "late"] {
        let Delivery::Event(event) = within(events.next()).await.unwrap() else { panic!("lagged") };
        assert_eq!((event.domain.name.as_str(), &event.event), (name, &Event::Reboot));
    }
    let (closed, ()) = tokio::join!(within(events.close()), async {
        let call = peer.call(317).await;
        assert_eq!(call.body, words(&[5]));
        peer.write(&call.reply(Vec::new())).await;
    });
    closed.unwrap();
    peer.answers(&connection).await;
}

/// Takes leave as libvirt does, if that is all that comes.
async fn takes_leave_of(mut peer: Peer) {
    let leave = peer.call(CONNECT_CLOSE).await;
    peer.nothing_more().await;
    peer.write(&leave.reply(Vec::new())).await;
}

#[tokio::test]
async fn leave_is_taken_only_when_nothing_is_being_deregistered() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let events = subscribed(&connection, &mut peer).await;
    let deregistered = tokio::spawn(events.close());
    let call = peer.call(317).await;
    let (closed, ()) = tokio::join!(within(connection.close()), async {
        peer.nothing_more().await;
        peer.write(&call.reply(Vec::new())).await;
        takes_leave_of(peer).await;
    });
    closed.unwrap();
    deregistered.await.unwrap().unwrap();
}

#[tokio::test]
async fn nothing_is_deregistered_once_leave_is_taken() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let events = subscribed(&connection, &mut peer).await;
    let (closed, ()) = tokio::join!(within(connection.close()), async {
        drop(events);
        takes_leave_of(peer).await;
    });
    closed.unwrap();
}

#[tokio::test]
async fn what_came_before_the_end_is_still_delivered() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    let mut events = subscribed(&connection, &mut peer).await;
    drop(peer);
    within(connection.ended()).await;
    assert!(matches!(within(events.next()).await, Ok(Delivery::Event(_))));
    assert!(matches!(within(events.next()).await, Err(Error::Ended(End::ByPeer))));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_ends_the_connection() {
    let fake = Fake::new();
    let (connection, mut peer) = fake.connected(&fake.options()).await;
    peer.write(&message(319, vec![0; 5])).await;
    let end = within(connection.ended()).await;
    assert!(matches!(&end, End::Protocol(why) if why.contains("DOMAIN_EVENT_CALLBACK_REBOOT")), "{end}");
}
