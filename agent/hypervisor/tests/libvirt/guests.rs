//! Guests that run: what they say, what they write, and how they take their power button.

use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent_hypervisor::libvirt::Libvirt;
use agent_hypervisor::lifecycle::{Action, Start};
use agent_hypervisor::spec::{CacheChoice, CacheMode, CdromDrive, Machine};
use agent_hypervisor::state::State;
use agent_hypervisor::{Attempt, Domains, Error, Kind as ErrorKind};
use agent_libvirt::{Direction, Procedure, SeenFrame};
use xtask_testbed::guest::Kind;
use xtask_testbed::libvirt::{Inside, qemu_pid};

use super::room::{self, DIRECT, PATIENCE, disk, guest, said, spec, start, virsh};

/// Longer than a test may take.
const FOR_EVER: Duration = Duration::from_secs(3600);

#[test]
fn the_power_button_is_answered_on_both_boards() {
    room::run("the_power_button_is_answered_on_both_boards", &Inside::default(), async || {
        let libvirt = room::libvirt();
        for machine in [Machine::Q35, Machine::I440fx] {
            let mut vm = spec(
                machine.as_str(),
                disk(&guest(DIRECT, machine.as_str(), Kind::Answering), CacheMode::None),
            );
            vm.machine = machine;
            start(&libvirt, &vm).await.unwrap();
            said(&libvirt, vm.uuid, "GUEST-UP").await;
            let reboot = Action::Reboot { patience: PATIENCE };
            let pid = qemu_pid(machine.as_str()).unwrap();
            assert_eq!(libvirt.act(vm.uuid, reboot, Attempt::First).await.unwrap().state, State::Running);
            assert_ne!(qemu_pid(machine.as_str()).unwrap(), pid, "it was off and on");
            let twice = async {
                while said(&libvirt, vm.uuid, "GUEST-UP").await.matches("GUEST-UP").count() < 2 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            tokio::time::timeout(PATIENCE, twice).await.expect("it started over");
            let shutdown = Action::Shutdown { patience: PATIENCE };
            assert_eq!(libvirt.act(vm.uuid, shutdown, Attempt::First).await.unwrap().state, State::Shutoff);
            assert_eq!(virsh(["domstate", machine.as_str()]), "shut off");
        }
    });
}

#[test]
fn a_guest_that_does_not_answer_is_told_and_not_killed() {
    room::run("a_guest_that_does_not_answer_is_told_and_not_killed", &Inside::default(), async || {
        let libvirt = room::libvirt();
        let vm = spec("deaf", disk(&guest(DIRECT, "deaf", Kind::Silent), CacheMode::None));
        start(&libvirt, &vm).await.unwrap();
        said(&libvirt, vm.uuid, "GUEST-UP").await;
        let pid = qemu_pid("deaf").unwrap();
        let patience = Duration::from_secs(2);
        for action in [Action::Shutdown { patience }, Action::Reboot { patience }] {
            let error = libvirt.act(vm.uuid, action, Attempt::First).await.unwrap_err();
            let Error::GuestSilent { name, .. } = &error else { panic!("{error}") };
            assert_eq!(name, "deaf");
            assert!(
                error.to_string().contains("within 2 seconds, and runs on; wait and try again, or force it")
            );
            assert_eq!(libvirt.domain(vm.uuid).await.unwrap().state, State::Running);
            assert_eq!(qemu_pid("deaf").unwrap(), pid);
        }
        libvirt.act(vm.uuid, Action::Destroy, Attempt::First).await.unwrap();
    });
}

#[test]
fn vnc_answers_on_its_socket() {
    room::run("vnc_answers_on_its_socket", &Inside::default(), async || {
        let libvirt = room::libvirt();
        let vm = spec("vm", disk(&guest(DIRECT, "vm", Kind::Answering), CacheMode::None));
        let socket = start(&libvirt, &vm).await.unwrap().vnc_socket.expect("a socket");
        let mut greeting = [0; 12];
        UnixStream::connect(&socket).unwrap().read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"RFB 003.008\n");
        let off = libvirt.act(vm.uuid, Action::Destroy, Attempt::First).await.unwrap();
        assert_eq!(off.vnc_socket, None);
    });
}

#[test]
fn whose_power_is_cut_nobody_waits_for() {
    room::run("whose_power_is_cut_nobody_waits_for", &Inside::default(), async || {
        let presses = Arc::new(AtomicUsize::new(0));
        let mut options = room::options();
        let counter = Arc::clone(&presses);
        options.connect.observer = Some(Arc::new(move |frame: SeenFrame| {
            let pressed = frame.known() == Some(Procedure::DomainShutdownFlags);
            if pressed && frame.direction == Direction::In {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }));
        let libvirt = Arc::new(Libvirt::start(options));
        for action in [Action::Reboot { patience: FOR_EVER }, Action::Shutdown { patience: FOR_EVER }] {
            let vm = spec("deaf", disk(&guest(DIRECT, "deaf", Kind::Silent), CacheMode::None));
            start(libvirt.as_ref(), &vm).await.unwrap();
            said(libvirt.as_ref(), vm.uuid, "GUEST-UP").await;
            let (on, uuid) = (libvirt.clone(), vm.uuid);
            let before = presses.load(Ordering::SeqCst);
            let waiting = tokio::spawn(async move { on.act(uuid, action, Attempt::First).await });
            let pressed = async {
                while presses.load(Ordering::SeqCst) == before {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(PATIENCE, pressed).await.expect("a press");
            virsh(["destroy", "deaf"]);
            let ended = tokio::time::timeout(PATIENCE, waiting).await.expect("an end").unwrap();
            match action {
                Action::Shutdown { .. } => assert_eq!(ended.unwrap().state, State::Shutoff),
                _ => assert_eq!(ended.unwrap_err().kind(), ErrorKind::Conflict),
            }
            libvirt.undefine(vm.uuid, Attempt::First).await.unwrap();
        }
    });
}

/// QEMU as libvirt starts it, which for a guest waits for a word.
const HELD: &str = "#!/bin/sh\ncase \"$*\" in *guest=*) while [ ! -e /root/go ]; do sleep 0.05; done;; esac\n\
                    exec /usr/bin/qemu \"$@\"\n";

#[test]
fn what_is_being_started_is_forced_off() {
    room::run("what_is_being_started_is_forced_off", &Inside::default(), async || {
        let run =
            |words: &[&str]| assert!(Command::new(words[0]).args(&words[1..]).status().unwrap().success());
        run(&["cp", "/usr/bin/qemu-system-x86_64", "/usr/bin/qemu"]);
        std::fs::write("/usr/bin/held", HELD).unwrap();
        std::fs::set_permissions("/usr/bin/held", Permissions::from_mode(0o755)).unwrap();
        run(&["mount", "--bind", "/usr/bin/held", "/usr/bin/qemu-system-x86_64"]);
        let mut options = room::options();
        options.connect.observer = Some(Arc::new(|frame: SeenFrame| {
            // Once libvirt is about to hear of it.
            if frame.known() == Some(Procedure::DomainDestroyFlags) && frame.direction == Direction::Out {
                std::fs::write("/root/go", "").unwrap();
            }
        }));
        let libvirt = Arc::new(Libvirt::start(options));
        let vm = spec("vm", disk(&guest(DIRECT, "vm", Kind::Silent), CacheMode::None));
        libvirt.define(&vm, Attempt::First).await.unwrap();
        let order = |action| {
            let (on, uuid) = (libvirt.clone(), vm.uuid);
            tokio::spawn(async move { on.act(uuid, action, Attempt::First).await })
        };
        let starting = order(Action::Start(Start::Running));
        let held = async {
            while !virsh(["domstate", "vm", "--reason"]).contains("starting up") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, held).await.expect("it is being started");
        assert_eq!(order(Action::Destroy).await.unwrap().unwrap().state, State::Shutoff);
        starting.await.unwrap().unwrap_err();
        assert_eq!(virsh(["domstate", "vm"]), "shut off");
    });
}

/// Firmware that looks for something to boot resets the channels of its drives. One that does so between libvirt's opening of the
/// tray and the change of the medium leaves libvirt with a tray that it takes for open.
#[test]
fn a_tray_that_was_closed_unseen_is_opened_again() {
    room::run("a_tray_that_was_closed_unseen_is_opened_again", &Inside::default(), async || {
        let libvirt = room::libvirt();
        let mut vm = spec("vm", disk(&guest(DIRECT, "vm", Kind::Answering), CacheMode::None));
        vm.machine = Machine::I440fx;
        vm.cdroms = vec![CdromDrive::empty(CacheChoice::Writeback)];
        libvirt.define(&vm, Attempt::First).await.unwrap();
        libvirt.act(vm.uuid, Action::Start(Start::Paused), Attempt::First).await.unwrap();
        let media = guest(DIRECT, "cd", Kind::Answering);
        for inserting in [true, false] {
            let eject = r#"{"execute": "blockdev-open-tray", "arguments": {"id": "ua-cdrom-0"}}"#;
            virsh(["qemu-monitor-command", "vm", eject]);
            let opened = async {
                while !virsh(["dumpxml", "vm"]).contains("tray='open'") {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(PATIENCE, opened).await.expect("libvirt does not hear of the tray");
            for (control, bits) in [("0x3f6", "4"), ("0x3f6", "0"), ("0x376", "4"), ("0x376", "0")] {
                virsh(["qemu-monitor-command", "vm", "--hmp", &format!("o /b {control} {bits}")]);
            }
            assert!(virsh(["dumpxml", "vm"]).contains("tray='open'"), "libvirt has heard of it");
            let changed = match inserting {
                true => libvirt.insert_media(vm.uuid, 0, &media, Attempt::First).await,
                false => libvirt.eject_media(vm.uuid, 0, Attempt::First).await,
            };
            assert_eq!(changed.unwrap().cdroms[0].media.is_some(), inserting);
            assert_eq!(virsh(["domblklist", "vm"]).contains("cd.raw"), inserting);
        }
    });
}
