//! A guest that runs: its serial line, its keyboard, its buttons.

use super::room::{Host, event, root, within};
use agent_libvirt::{
    Connection, ConsoleFlags, CreateFlags, Domain, DomainState, Error, Event, EventKind, Keycodes, Lifecycle,
    Procedure, RebootFlags, ShutdownFlags, ShutoffReason, StoppedDetail, Stream,
};
use std::time::Duration;
use xtask_testbed::guest::BANNER;

/// Reads until the text ends so.
async fn until(stream: &Stream, wanted: &str) -> String {
    let mut text = String::new();
    within(async {
        while !text.ends_with(wanted) {
            let data = stream.read(4096).await.expect("the stream").expect("more");
            text.push_str(&String::from_utf8_lossy(&data));
        }
    })
    .await;
    text
}

async fn running_with_console(connection: &Connection, domain: &Domain) -> Stream {
    connection.domain_create(domain, CreateFlags::PAUSED).await.expect("done");
    let console = connection.domain_open_console(domain, None, ConsoleFlags::empty()).await.expect("done");
    connection.domain_resume(domain).await.expect("done");
    assert!(until(&console, BANNER).await.ends_with(BANNER));
    console
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_heard_and_spoken_to() {
    let root = root();
    let host = Host::start(&root, &[]);
    let connection = host.connect().await;
    let vm = host.define(&connection, "vm", "").await;
    let console = running_with_console(&connection, &vm).await;

    console.write(b"echo").await.unwrap();
    until(&console, "echo").await;
    // A and Enter; virsh presses B.
    connection.domain_send_key(&vm, Keycodes::Linux, Duration::from_millis(50), &[30]).await.unwrap();
    until(&console, "a").await;
    host.virsh(["send-key", "vm", "KEY_B"]);
    until(&console, "b").await;
    // One key by its number in each of the sets, another one each time.
    for (codes, key, letter) in [
        (Keycodes::Xt, 0x2e, "c"),
        (Keycodes::AtSet1, 0x20, "d"),
        (Keycodes::AtSet2, 0x24, "e"),
        (Keycodes::AtSet3, 0x2b, "f"),
        (Keycodes::Osx, 0x05, "g"),
        (Keycodes::XtKbd, 0x23, "h"),
        (Keycodes::Usb, 0x0c, "i"),
        (Keycodes::Win32, 0x4a, "j"),
        (Keycodes::Qnum, 0x25, "k"),
    ] {
        connection.domain_send_key(&vm, codes, Duration::from_millis(50), &[key]).await.unwrap();
        until(&console, letter).await;
    }
    host.shown(&[Procedure::DomainOpenConsole, Procedure::DomainSendKey]);

    // One at a time; by force the other one loses it.
    let busy = connection.domain_open_console(&vm, None, ConsoleFlags::empty()).await.unwrap_err();
    assert!(matches!(busy, Error::Remote(_)), "{busy}");
    assert_eq!(connection.open_calls_and_streams(), (0, 1));
    let second = connection.domain_open_console(&vm, Some("serial0"), ConsoleFlags::FORCE).await.unwrap();
    let lost = within(async {
        loop {
            match console.read(4096).await {
                Ok(Some(_)) => {}
                lost => return lost,
            }
        }
    })
    .await;
    assert!(matches!(lost, Ok(None) | Err(Error::Remote(_))), "{lost:?}");
    drop(console);
    second.write(b"again").await.unwrap();
    until(&second, "again").await;
    within(second.finish()).await.unwrap();
    // And it is free again.
    let third = connection.domain_open_console(&vm, None, ConsoleFlags::SAFE).await.unwrap();
    third.abort();
    within(async {
        while connection.open_calls_and_streams() != (0, 0) {
            connection.hostname().await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buttons_are_pressed() {
    let root = root();
    let host = Host::start(&root, &[]);
    let connection = host.connect().await;
    let mut events = connection.subscribe(&[EventKind::Lifecycle, EventKind::Reboot]).await.unwrap();
    let vm = host.define(&connection, "vm", "").await;
    let console = running_with_console(&connection, &vm).await;
    let id = host.virsh(["domid", "vm"]);

    connection.domain_reset(&vm).await.unwrap();
    until(&console, BANNER).await;
    event(&mut events, |event| event.event == Event::Reboot && event.domain.uuid == vm.uuid).await;
    host.shown(&[Procedure::DomainReset, Procedure::DomainEventCallbackReboot]);

    // The guest turns itself off, and libvirt turns it on again: the same QEMU.
    connection.domain_reboot(&vm, RebootFlags::ACPI_POWER_BTN).await.unwrap();
    until(&console, BANNER).await;
    event(&mut events, |event| event.event == Event::Reboot).await;
    assert_eq!(host.virsh(["domid", "vm"]), id);
    assert_eq!(host.virsh(["domstate", "vm"]), "running");
    host.shown(&[Procedure::DomainReboot]);

    connection.domain_shutdown(&vm, ShutdownFlags::ACPI_POWER_BTN).await.unwrap();
    let off = Event::Lifecycle(Lifecycle::Stopped(StoppedDetail::Shutdown));
    event(&mut events, |event| event.event == off).await;
    assert_eq!(host.virsh(["domstate", "vm", "--reason"]), "shut off (shutdown)");
    let state = connection.domain_state(&vm).await.unwrap();
    assert_eq!(state, DomainState::Shutoff(ShutoffReason::Shutdown));
    host.shown(&[Procedure::DomainShutdownFlags]);
}
