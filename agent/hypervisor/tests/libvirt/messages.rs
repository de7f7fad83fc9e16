//! What this libvirt and this QEMU really say when they are provoked is explained.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use agent_hypervisor::lesson::{self, Code};
use xtask_testbed::Mount;
use xtask_testbed::guest::Kind;
use xtask_testbed::libvirt::Inside;

use super::room::{self, DIRECT, RAM, guest, virsh};

/// A domain with these devices, of this type and on this board.
fn domain(kind: &str, os: &str, devices: &str) -> String {
    format!(
        "<domain type='{kind}'><name>odd</name><memory unit='MiB'>32</memory>{os}<features><acpi/></features>\
         <devices>{devices}</devices></domain>"
    )
}

const PC: &str = "<os><type arch='x86_64' machine='pc'>hvm</type></os>";

fn disk(driver: &str, path: &Path) -> String {
    format!(
        "<disk type='file'><driver name='qemu' {driver}/><source file='{}'/><target dev='vda' bus='virtio'/></disk>",
        path.display()
    )
}

/// What is said when it is defined and started.
fn said(xml: &str) -> String {
    std::fs::write("/root/odd.xml", xml).unwrap();
    let call = |words: &[&str]| xtask_testbed::libvirt::virsh(words.iter().copied());
    let error = call(&["define", "/root/odd.xml"]).and_then(|_| call(&["start", "odd"])).unwrap_err();
    let _ = call(&["undefine", "odd"]);
    format!("{error:#}")
}

fn qemu_img(words: &[&str]) {
    assert!(Command::new("qemu-img").args(words).status().unwrap().success());
}

/// Somebody who has an image open.
struct Holder(Child);

impl Holder {
    fn of(path: &Path) -> Self {
        let mut child = Command::new("qemu-io")
            .args(["-f", "raw", path.to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It prompts when the image is open.
        let mut prompt = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut prompt).unwrap();
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn what_is_really_said_is_explained() {
    let options = Inside { mounts: vec![Mount::ramfs(RAM)], ..Inside::default() };
    room::run("what_is_really_said_is_explained", &options, async || {
        let (good, ram) = (guest(DIRECT, "good", Kind::Answering), guest(RAM, "ram", Kind::Answering));
        let place = |name: &str| Path::new(DIRECT).join(name);
        let (over, held) = (place("over.qcow2"), guest(DIRECT, "held", Kind::Silent));
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        qemu_img(&["create", "-q", "-f", "qcow2", "-F", "raw", "-b", &text(&ram), &text(&over)]);
        let _holder = Holder::of(&held);
        let on = |driver: &str, path: &Path| domain("qemu", PC, &disk(driver, path));
        let card = "<interface type='bridge'><source bridge='br9'/></interface>";
        let machine = "<os><type arch='x86_64' machine='pc-q35-99.0'>hvm</type></os>";
        let firmware = "<os firmware='efi'><type arch='x86_64' machine='pc'>hvm</type></os>";
        // As if the package were not installed.
        std::fs::rename("/usr/share/qemu/firmware", "/usr/share/qemu/firmware.away").unwrap();
        let provoked = [
            (Code::DirectIo, on("type='raw' cache='none'", &ram)),
            (Code::DirectIo, on("type='qcow2' cache='directsync'", &over)),
            (Code::NativeAio, on("type='raw' cache='writeback' io='native'", &good)),
            (Code::BadImage, on("type='qcow2'", &good)),
            (Code::Locked, on("type='raw'", &held)),
            (Code::MissingFile, on("type='raw'", &place("missing.raw"))),
            (Code::BadDescription, on("type='raw' cache='bogus'", &good)),
            (Code::BadMachine, domain("qemu", machine, "")),
            (Code::NoFirmware, domain("qemu", firmware, "")),
            (Code::NoTun, domain("qemu", PC, card)),
        ];
        for (code, xml) in provoked {
            let said = said(&xml);
            println!("{code:?}: {said}");
            let lesson = lesson::of(&said).unwrap_or_else(|| panic!("nobody explains: {said}"));
            assert_eq!(lesson.code, code, "{said}");
        }
        assert_eq!(virsh(["list", "--all", "--name"]), "");
    });
}
