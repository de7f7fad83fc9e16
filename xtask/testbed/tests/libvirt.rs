//! libvirt in a room: its daemons seen from outside, and tests that run inside.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::{left_over, testbed};
use xtask_testbed::libvirt::{self, File, Inside, Libvirtd, Start, inside, virsh};
use xtask_testbed::{Device, Invocation, Mount, guest};

/// Waits until a domain is in this state. $1: the domain, $2: the state.
const STATE: &str = r#"until [ "$(virsh --quiet domstate "$1")" = "$2" ]; do sleep 0.1; done"#;

/// Waits until a guest has said something. $1: the log of its serial line, $2: what.
const SAID: &str = r#"until grep -q "$2" "$1"; do sleep 0.1; done"#;

fn within(command: Invocation) -> Invocation {
    command.limit(Duration::from_secs(120))
}

fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().expect(program);
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_guest_outlives_libvirtd_and_only_one_kind_answers_its_power_button() {
    let virt = testbed().virt(&|line| eprintln!("{line}")).expect("the root");
    let clone = libvirt::clone(&virt).expect("clone");
    let log = |name: &str| format!("/var/log/libvirt/{name}.log");
    for (name, kind) in [("answering", guest::Kind::Answering), ("silent", guest::Kind::Silent)] {
        let devices = format!("<console type='file'><source path='{}'/></console>", log(name));
        let xml = guest::domain(name, &devices).replace("<serial type='pty'/>", "");
        clone.write(guest::image(name), 0o644, guest::disk(kind)).expect("disk");
        clone.write(format!("/root/{name}.xml"), 0o644, xml).expect("definition");
    }
    let libvirtd = Libvirtd::start(&clone, &[]).expect("libvirtd");
    let offered =
        libvirtd.virsh(["domcapabilities", "--virttype", "qemu", "--machine", "q35"]).expect("offer");
    assert!(offered.contains("<value>efi</value>") && offered.contains("OVMF_CODE"), "no UEFI: {offered}");
    let again = libvirtd.start_again().expect_err("a second one");
    assert!(format!("{again:#}").contains("libvirtd"), "{again:#}");
    for name in ["answering", "silent"] {
        libvirtd.virsh(["create", &format!("/root/{name}.xml")]).expect("created");
        let said = within(Invocation::sh(SAID).args([&log(name), "GUEST-UP"]));
        libvirtd.room().run(said).expect("run").checked().expect("the banner");
    }
    let qemu = libvirtd.qemu_pid("answering").expect("its number");
    libvirtd.kill().expect("killed");
    assert!(libvirtd.virsh(["version"]).is_err());
    libvirtd.start_again().expect("started again");
    assert_eq!(libvirtd.qemu_pid("answering").expect("its number"), qemu);
    for name in ["silent", "answering"] {
        libvirtd.virsh(["shutdown", name]).expect("asked");
    }
    // It is transient: gone when it is off.
    let gone = "while virsh --quiet domstate answering >/dev/null 2>&1; do sleep 0.1; done";
    libvirtd.room().run(within(Invocation::sh(gone))).expect("run").checked().expect("off");
    assert_eq!(libvirtd.virsh(["domstate", "silent"]).expect("state"), "running");
    let running = within(Invocation::sh(STATE).args(["silent", "running"]));
    libvirtd.room().run(running).expect("run").checked().expect("runs");
    let name = clone.name().to_owned();
    drop(libvirtd);
    drop(clone);
    assert_eq!(left_over(&name), Vec::<String>::new());
}

mod within_a_module {
    use super::*;

    #[test]
    fn a_test_runs_beside_libvirtd() {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/scripts/enter.sh");
        let options = Inside {
            mounts: vec![
                Mount::ramfs("/mnt/ramfs"),
                Mount::tmpfs("/mnt/small").size_bytes(1 << 20),
                Device::Tun.into(),
            ],
            files: vec![File {
                path: guest::image("vm").into(),
                mode: 0o600,
                content: guest::disk(guest::Kind::Silent),
            }],
            executables: vec![program.clone()],
            ..Inside::default()
        };
        inside("a_test_runs_beside_libvirtd", &options, || {
            std::fs::write("/root/vm.xml", guest::domain("vm", "")).expect("file");
            virsh(["create", "/root/vm.xml"]).expect("created");
            let pid = libvirt::qemu_pid("vm").expect("its number");
            let image = Path::new(&guest::image("vm")).to_owned();
            let open =
                std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its files").filter_map(Result::ok);
            let links = open.filter_map(|file| std::fs::read_link(file.path()).ok());
            assert!(links.into_iter().any(|link| link == image), "QEMU has no disk");
            libvirt::kill_libvirtd().expect("killed");
            assert!(virsh(["version"]).is_err());
            libvirt::start_libvirtd().expect("started again");
            assert_eq!(virsh(["domstate", "vm"]).expect("state"), "running");
            assert_eq!(libvirt::qemu_pid("vm").expect("its number"), pid);
            assert!(run("qemu-img", &["info", "-U", &guest::image("vm")]).contains("file format: raw"));

            // A network of its own, in which bridges can be made.
            run("ip", &["link", "add", "br0", "type", "bridge"]);
            run("ip", &["addr", "add", "fd00::1/64", "dev", "br0", "nodad"]);
            run("ip", &["link", "set", "br0", "up"]);
            let interface =
                "<interface type='bridge'><source bridge='br0'/><model type='virtio'/></interface>";
            std::fs::write("/root/nic.xml", interface).expect("file");
            virsh(["attach-device", "vm", "/root/nic.xml"]).expect("attached");
            assert!(run("bridge", &["link"]).contains("master br0"));
            let listener = std::net::TcpListener::bind("[::1]:0").expect("loopback is up");
            std::net::TcpStream::connect(listener.local_addr().expect("its address")).expect("reached");

            std::fs::write("/mnt/ramfs/file", vec![0; 2 << 20]).expect("no limit");
            std::fs::write("/mnt/small/file", vec![0; 2 << 20]).expect_err("1 MiB at most");
            assert!(run("sh", &[program.to_str().expect("text"), "--", "echo", "ran"]).contains("ran"));
            let folder = std::env::current_exe().expect("this").with_file_name("new");
            std::fs::write(folder, "").expect_err("the program's folder is not to be written");
        });
    }
}

#[test]
fn a_room_may_be_without_libvirtd() {
    let options = Inside { start: Start::Nothing, ..Inside::default() };
    inside("a_room_may_be_without_libvirtd", &options, || {
        assert!(virsh(["version"]).is_err());
        libvirt::start_libvirtd().expect("started");
        assert_eq!(virsh(["list", "--all", "--name"]).expect("list"), "");
    });
}

#[test]
#[should_panic(expected = "in its room: it failed")]
fn what_fails_inside_fails_outside() {
    let options = Inside { start: Start::Nothing, ..Inside::default() };
    inside("what_fails_inside_fails_outside", &options, || std::process::exit(3));
}

#[test]
#[should_panic(expected = "has no test `nobody`")]
fn a_wrong_name_is_not_a_success() {
    inside("nobody", &Inside::default(), || ());
}
