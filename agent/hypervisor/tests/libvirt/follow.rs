//! State follows libvirt's events, whoever acts, and outlives libvirt.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_hypervisor::libvirt::{Libvirt, Options};
use agent_hypervisor::lifecycle::{Action, Start};
use agent_hypervisor::spec::CacheMode;
use agent_hypervisor::state::{Change, State};
use agent_hypervisor::{Attempt, Domains, Kind};
use agent_libvirt::{Direction, Keepalive, Procedure, Program, SeenFrame};
use xtask_testbed::guest::Kind as GuestKind;
use xtask_testbed::libvirt::{Inside, kill_libvirtd, qemu_pid, start_libvirtd};

use super::room::{self, DIRECT, PATIENCE, becomes, disk, guest, spec, start, virsh};

#[test]
fn what_virsh_does_is_seen_without_asking() {
    room::run("what_virsh_does_is_seen_without_asking", &Inside::default(), async || {
        let frames: Arc<Mutex<Vec<SeenFrame>>> = Arc::default();
        let mut options = room::options();
        let recorder = Arc::clone(&frames);
        options.connect.observer = Some(Arc::new(move |frame| recorder.lock().unwrap().push(frame)));
        // Often enough that some are seen.
        options.connect.keepalive = Some(Keepalive { interval: Duration::from_millis(500), count: 100 });
        let libvirt = Libvirt::start(options);
        let vm = spec("vm", disk(&guest(DIRECT, "vm", GuestKind::Answering), CacheMode::None));
        start(&libvirt, &vm).await.unwrap();
        let mut changes = libvirt.changes();

        virsh(["suspend", "vm"]);
        becomes(&mut changes, vm.uuid, State::Paused).await;
        assert_eq!(libvirt.domain(vm.uuid).await.unwrap().state, State::Paused);
        // What follows an event is over when nothing but signs of life has come for a while.
        settle(&frames).await;
        frames.lock().unwrap().clear();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let between = std::mem::take(&mut *frames.lock().unwrap());
        let other: Vec<_> =
            between.iter().filter(|frame| frame.program != Program::Keepalive.number()).collect();
        assert!(other.is_empty(), "asked while nothing happened: {other:?}");
        assert!(between.iter().any(|frame| frame.direction == Direction::In), "no sign of life: {between:?}");

        virsh(["resume", "vm"]);
        becomes(&mut changes, vm.uuid, State::Running).await;
        assert_eq!(libvirt.domain(vm.uuid).await.unwrap().state, State::Running);
    });
}

/// Waits until a second has brought nothing but signs of life.
async fn settle(frames: &Mutex<Vec<SeenFrame>>) {
    let quiet = async {
        loop {
            frames.lock().unwrap().clear();
            tokio::time::sleep(Duration::from_secs(1)).await;
            let keepalive = |frame: &SeenFrame| frame.program == Program::Keepalive.number();
            if frames.lock().unwrap().iter().all(keepalive) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, quiet).await.expect("quiet at last");
}

#[test]
fn a_domain_outlives_libvirt_and_is_followed_again() {
    room::run("a_domain_outlives_libvirt_and_is_followed_again", &Inside::default(), async || {
        let libvirt = room::libvirt();
        let vm = spec("vm", disk(&guest(DIRECT, "vm", GuestKind::Answering), CacheMode::Writeback));
        start(&libvirt, &vm).await.unwrap();
        let pid = qemu_pid("vm").unwrap();
        let mut changes = libvirt.changes();

        kill_libvirtd().unwrap();
        let away = async {
            while libvirt.domain(vm.uuid).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            libvirt.domain(vm.uuid).await.unwrap_err()
        };
        let away = tokio::time::timeout(PATIENCE, away).await.unwrap();
        assert_eq!(away.kind(), Kind::Unavailable, "{away}");
        assert!(away.to_string().starts_with("libvirt cannot be reached: "), "{away}");

        start_libvirtd().unwrap();
        let back = async {
            while libvirt.domain(vm.uuid).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, back).await.unwrap();
        // Who listens was told to look at everything anew, both times.
        let told = std::iter::from_fn(|| changes.try_recv().ok());
        assert_eq!(told.filter(|change| *change == Change::Resync).count(), 2);
        assert_eq!(qemu_pid("vm").unwrap(), pid, "the guest ran on");
        assert_eq!(libvirt.domain(vm.uuid).await.unwrap().state, State::Running);
        virsh(["suspend", "vm"]);
        becomes(&mut changes, vm.uuid, State::Paused).await;
        libvirt.act(vm.uuid, Action::Resume, Attempt::First).await.unwrap();

        // Another one, as after a restart of the agent, knows as much.
        let before = libvirt.domain(vm.uuid).await.unwrap();
        drop(libvirt);
        let libvirt = room::libvirt();
        assert_eq!(libvirt.domain(vm.uuid).await.unwrap(), before);
        assert_eq!(qemu_pid("vm").unwrap(), pid);
    });
}

#[test]
fn what_waits_for_a_guest_outlives_libvirt() {
    room::run("what_waits_for_a_guest_outlives_libvirt", &Inside::default(), async || {
        let presses = Arc::new(AtomicUsize::new(0));
        let mut options = Options { press_again_after: Duration::from_millis(300), ..room::options() };
        let counter = Arc::clone(&presses);
        options.connect.observer = Some(Arc::new(move |frame: SeenFrame| {
            let pressed = frame.known() == Some(Procedure::DomainShutdownFlags);
            if pressed && frame.direction == Direction::In {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }));
        let libvirt = Arc::new(Libvirt::start(options));
        let for_ever = Duration::from_secs(3600);
        for action in [Action::Shutdown { patience: for_ever }, Action::Reboot { patience: for_ever }] {
            let vm = spec("deaf", disk(&guest(DIRECT, "deaf", GuestKind::Silent), CacheMode::None));
            start(libvirt.as_ref(), &vm).await.unwrap();
            let (on, uuid) = (libvirt.clone(), vm.uuid);
            let waiting = tokio::spawn(async move { on.act(uuid, action, Attempt::First).await });
            let pressed = async |more: usize| {
                let wanted = presses.load(Ordering::SeqCst) + more;
                let pressed = async {
                    while presses.load(Ordering::SeqCst) < wanted {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                };
                tokio::time::timeout(PATIENCE, pressed).await.expect("a press");
            };
            pressed(1).await;
            kill_libvirtd().unwrap();
            start_libvirtd().unwrap();
            // By the next connection.
            pressed(2).await;
            virsh(["destroy", "deaf"]);
            let ended = tokio::time::timeout(PATIENCE, waiting).await.expect("an end").unwrap();
            match action {
                Action::Shutdown { .. } => assert_eq!(ended.unwrap().state, State::Shutoff),
                _ => assert_eq!(ended.unwrap_err().kind(), Kind::Conflict, "somebody has cut its power"),
            }
            libvirt.undefine(vm.uuid, Attempt::First).await.unwrap();
        }
    });
}

#[test]
fn what_others_made_is_left_alone() {
    room::run("what_others_made_is_left_alone", &Inside::default(), async || {
        let libvirt = room::libvirt();
        let xml = "<domain type='qemu'><name>theirs</name><uuid>11111111-2222-3333-4444-555555555555</uuid>\
                   <memory unit='MiB'>32</memory><os><type arch='x86_64'>hvm</type></os></domain>";
        std::fs::write("/root/theirs.xml", xml).unwrap();
        virsh(["define", "/root/theirs.xml"]);
        let uuid = "11111111-2222-3333-4444-555555555555".parse().unwrap();
        assert_eq!(libvirt.domains().await.unwrap(), []);
        for refused in [
            libvirt.act(uuid, Action::Start(Start::Running), Attempt::First).await.map(drop),
            libvirt.undefine(uuid, Attempt::Again).await,
        ] {
            let error = refused.unwrap_err();
            assert!(error.to_string().contains("`theirs` was not defined by this agent"), "{error}");
        }
        let mut ours = spec("theirs", disk(&guest(DIRECT, "vm", GuestKind::Answering), CacheMode::None));
        assert_eq!(libvirt.define(&ours, Attempt::First).await.unwrap_err().kind(), Kind::Exists);
        (ours.name, ours.uuid) = ("ours".to_owned(), uuid);
        let error = libvirt.define(&ours, Attempt::Again).await.unwrap_err();
        assert!(error.to_string().contains("`theirs` was not defined by this agent"), "{error}");
        assert_eq!(virsh(["list", "--all", "--name"]), "theirs");
    });
}
