//! Events, most of them caused by `virsh`, and who gets them.

use super::room::{Host, event, root, shown_in, within};
use agent_libvirt::{
    Connection, DefinedDetail, Delivery, Event, EventKind, Lifecycle, Options, Procedure, ResumedDetail,
    StartedDetail, StoppedDetail, SuspendedDetail, UndefinedDetail,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_life_is_told_in_order() {
    let root = root();
    let host = Host::start(&root, &[]);
    let connection = host.connect().await;
    let mut events = connection.subscribe(&[EventKind::Lifecycle, EventKind::Lifecycle]).await.unwrap();
    let vm = host.define(&connection, "vm", "").await;
    host.sh("for what in 'start --paused' resume suspend destroy undefine; do virsh -q $what vm; done", []);
    for wanted in [
        Lifecycle::Defined(DefinedDetail::Added),
        Lifecycle::Started(StartedDetail::Booted),
        Lifecycle::Suspended(SuspendedDetail::Paused),
        Lifecycle::Resumed(ResumedDetail::Unpaused),
        Lifecycle::Suspended(SuspendedDetail::Paused),
        Lifecycle::Stopped(StoppedDetail::Destroyed),
        Lifecycle::Undefined(UndefinedDetail::Removed),
    ] {
        // Whether QEMU's own farewell is told before its end is left to chance.
        let farewell = |event: &Event| matches!(event, Event::Lifecycle(Lifecycle::Shutdown(_)));
        let told = event(&mut events, |told| !farewell(&told.event)).await;
        assert_eq!((told.domain.uuid, &told.event), (vm.uuid, &Event::Lifecycle(wanted)));
    }
    host.shown(&[Procedure::ConnectDomainEventCallbackRegisterAny, Procedure::DomainEventCallbackLifecycle]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_while_someone_listens() {
    let root = root();
    let host = Host::start(&root, &[]);
    let connection = host.connect().await;
    let registered = Procedure::ConnectDomainEventCallbackRegisterAny;
    let deregistered = Procedure::ConnectDomainEventCallbackDeregisterAny;
    let count = |procedure| {
        let frames = host.frames();
        frames.iter().filter(|frame| frame.known() == Some(procedure)).count()
    };

    let (first, second) = tokio::join!(
        connection.subscribe(&[EventKind::Lifecycle]),
        connection.subscribe(&[EventKind::Reboot, EventKind::Lifecycle]),
    );
    let (first, mut second) = (first.unwrap(), second.unwrap());
    assert_eq!(count(registered), 4, "two kinds, call and reply of each");
    first.close().await.unwrap();
    assert_eq!(count(deregistered), 0, "someone still listens");
    let vm = host.define(&connection, "vm", "").await;
    event(&mut second, |event| event.domain.uuid == vm.uuid).await;
    second.close().await.unwrap();
    host.virsh(["undefine", "vm"]);
    // All that libvirt had to say came before this reply.
    connection.hostname().await.unwrap();
    let frames = host.frames();
    shown_in(&frames, &[Procedure::ConnectDomainEventCallbackDeregisterAny]);
    let after = frames.iter().rposition(|frame| frame.known() == Some(deregistered)).unwrap();
    let told = Some(Procedure::DomainEventCallbackLifecycle);
    assert!(!frames[after..].iter().any(|frame| frame.known() == told), "{frames:?}");
    assert!(frames[..after].iter().any(|frame| frame.known() == told), "{frames:?}");

    // Dropped, not closed.
    drop(connection.subscribe(&[EventKind::BlockJob]).await.unwrap());
    within(async {
        while count(deregistered) == 0 {
            connection.hostname().await.unwrap();
        }
    })
    .await;
    let mut again = connection.subscribe(&[EventKind::Lifecycle]).await.unwrap();
    host.define(&connection, "vm", "").await;
    event(&mut again, |event| event.domain.name == "vm").await;
    host.shown(&[registered]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeper_learns_that_he_missed_something() {
    let root = root();
    let host = Host::start(&root, &[]);
    let options = Options { events: 2, ..host.options() };
    let connection = Connection::open(&options).await.unwrap();
    let mut events = connection.subscribe(&[EventKind::Lifecycle]).await.unwrap();
    host.define(&connection, "vm", "").await;
    host.sh("for what in start suspend resume destroy undefine; do virsh -q $what vm; done", []);
    connection.hostname().await.unwrap();
    let first = within(events.next()).await.unwrap();
    let Delivery::Lagged { missed } = first else { panic!("{first:?}") };
    assert!(missed >= 3, "{missed}");
    let last =
        event(&mut events, |event| matches!(event.event, Event::Lifecycle(Lifecycle::Undefined(_)))).await;
    assert_eq!(last.domain.name, "vm");
}
