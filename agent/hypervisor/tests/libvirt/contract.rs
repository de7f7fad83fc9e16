//! The contract, kept by libvirt and QEMU: the cases that the simulated twin is held to as well. One room and one libvirtd
//! for all of them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use agent_hypervisor::Hypervisor;
use agent_hypervisor::contract::{self, Fixture, ImageFile};
use agent_hypervisor::libvirt::{Libvirt, Options};
use agent_hypervisor::simulated::{GuestKind, Outside};
use agent_hypervisor::spec::Format;
use async_trait::async_trait;
use xtask_testbed::libvirt::{File, Inside};
use xtask_testbed::{Device, Mount, guest};

use super::room::{self, DIRECT, PATIENCE, RAM, virsh};

/// Holds what the names of the cases to be run have in common: `CAIRN_CONTRACT_CASE`, or nothing.
const CASES: &str = "/root/cases";

#[test]
fn libvirt_keeps_the_contract() {
    let mounts = vec![Mount::ramfs(RAM), Device::Tun.into()];
    // The room passes no environment on.
    let content = std::env::var("CAIRN_CONTRACT_CASE").unwrap_or_default().into_bytes();
    let files = vec![File { path: CASES.into(), mode: 0o644, content }];
    let options = Inside { mounts, files, limit: Duration::from_secs(1500), ..Inside::default() };
    room::run("libvirt_keeps_the_contract", &options, async || {
        run("ip", &["link", "add", "name", "br0", "type", "bridge"]);
        let filter = std::fs::read_to_string(CASES).unwrap();
        contract::run(Arc::new(Real), &filter).await;
        assert_eq!(virsh(["list", "--all", "--name"]), "", "no domain is left");
        super::direct_io::nothing_left();
    });
}

/// Lays a header over the beginning of a disk, as QEMU makes it.
fn forge(volume: &Path, names: &Path) {
    let (header, file) = ("/root/forged.qcow2", std::fs::OpenOptions::new().write(true).open(volume));
    run(
        "qemu-img",
        &["create", "-q", "-u", "-f", "qcow2", "-b", names.to_str().unwrap(), "-F", "raw", header, "1G"],
    );
    file.unwrap().write_all(&std::fs::read(header).unwrap()).unwrap();
    // QEMU, if one lets it guess, takes it for what it is not.
    let told = run("qemu-img", &["info", "-U", volume.to_str().unwrap()]);
    assert!(told.contains("file format: qcow2") && told.contains(names.to_str().unwrap()), "{told}");
}

struct Real;

#[async_trait]
impl Fixture for Real {
    async fn hypervisor(&self) -> Arc<dyn Hypervisor> {
        let options = Options { release_patience: Duration::from_secs(6), ..room::options() };
        Arc::new(Libvirt::start(options))
    }

    fn folder(&self) -> PathBuf {
        DIRECT.into()
    }

    fn folder_without_direct_io(&self) -> PathBuf {
        RAM.into()
    }

    async fn guest(&self, path: &Path, guest: GuestKind) {
        let kind = match guest {
            GuestKind::Answering => guest::Kind::Answering,
            GuestKind::Silent => guest::Kind::Silent,
        };
        std::fs::write(path, guest::disk(kind)).unwrap();
    }

    async fn image(&self) -> ImageFile {
        let path = Path::new(DIRECT).join("image.qcow2");
        run("qemu-img", &["create", "-q", "-f", "qcow2", path.to_str().unwrap(), "16M"]);
        let sum = run("sha256sum", &[path.to_str().unwrap()]);
        let sha256 = sum.split(' ').next().unwrap().to_owned();
        ImageFile { path, format: Format::Qcow2, size_bytes: 16 << 20, sha256 }
    }

    async fn outside(&self, what: Outside) {
        match what {
            Outside::Start(uuid) => virsh(["start", &uuid.to_string()]),
            Outside::Destroy(uuid) => virsh(["destroy", &uuid.to_string()]),
            Outside::Suspend(uuid) => virsh(["suspend", &uuid.to_string()]),
            Outside::Resume(uuid) => virsh(["resume", &uuid.to_string()]),
            Outside::Undefine(uuid) => virsh(["undefine", &uuid.to_string()]),
            Outside::Define { uuid, name } => {
                let xml = format!(
                    "<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>32</memory>\
                     <os><type arch='x86_64'>hvm</type></os></domain>"
                );
                std::fs::write("/root/other.xml", xml).unwrap();
                virsh(["define", "/root/other.xml"])
            }
            Outside::Forge { volume, names } => {
                forge(&volume, &names);
                String::new()
            }
        };
    }

    fn bridge(&self) -> Option<String> {
        Some("br0".to_owned())
    }

    /// A guest of one sector knows nothing of slots.
    fn lets_go(&self) -> bool {
        false
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}

fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
