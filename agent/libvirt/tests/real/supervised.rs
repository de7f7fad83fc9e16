//! libvirtd is killed and comes back; the domain does not notice.

use super::room::{Host, root, within};
use agent_libvirt::{
    Backoff, Connection, CreateFlags, DomainState, Error, Event, EventKind, Lifecycle, Notice, Notices,
    StoppedDetail, Supervised,
};
use std::time::Duration;

async fn connected(notices: &mut Notices) -> Connection {
    loop {
        match within(notices.next()).await.expect("a notice") {
            Notice::Connected(connection) => return connection,
            other => eprintln!("passed over: {other:?}"),
        }
    }
}

async fn disconnected(notices: &mut Notices) {
    loop {
        match within(notices.next()).await.expect("a notice") {
            Notice::Disconnected(why) => return eprintln!("disconnected: {why}"),
            other => eprintln!("passed over: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_was_killed_is_found_again() {
    let root = root();
    let host = Host::start(&root, &[]);
    let backoff = Backoff { first: Duration::from_millis(20), longest: Duration::from_millis(100) };
    let supervised = Supervised::start(host.options(), vec![EventKind::Lifecycle], backoff);
    let mut notices = supervised.notices();
    let first = connected(&mut notices).await;
    let vm = host.define(&first, "vm", "").await;
    let vm = supervised.connection().unwrap().domain_create(&vm, CreateFlags::empty()).await.unwrap();
    let pid = || host.libvirtd.qemu_pid("vm").unwrap().to_string();
    let before = pid();

    host.libvirtd.kill().unwrap();
    disconnected(&mut notices).await;
    let error = supervised.connection().unwrap_err();
    assert!(matches!(error, Error::Disconnected { .. }), "{error}");
    assert!(error.to_string().starts_with("not connected to libvirt: "), "{error}");
    assert!(matches!(first.hostname().await, Err(Error::NotSent { .. })), "the old one stays over");

    host.libvirtd.start_again().unwrap();
    let second = connected(&mut notices).await;
    assert_eq!(pid(), before, "the same QEMU");
    assert_eq!(host.sh("kill -0 $1 && echo runs", [&before]), "runs");
    assert!(matches!(second.domain_state(&vm).await.unwrap(), DomainState::Running(_)));
    assert_eq!(host.virsh(["domid", "vm"]), vm.id.unwrap().to_string());

    // Its events are registered again.
    host.virsh(["destroy", "vm"]);
    let stopped = Event::Lifecycle(Lifecycle::Stopped(StoppedDetail::Destroyed));
    within(async {
        loop {
            match notices.next().await.expect("a notice") {
                Notice::Event(event) if event.event == stopped => return,
                other => eprintln!("passed over: {other:?}"),
            }
        }
    })
    .await;

    drop(supervised);
    within(async { while notices.next().await.is_some() {} }).await;
}
