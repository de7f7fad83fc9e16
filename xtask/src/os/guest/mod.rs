//! The guest image: a disk of Debian's kernel, busybox and two scripts of ours (`init`, `boot`), which the first virtual machine
//! needs nothing besides. It is made of packages, by programs of packages: the same packages give the same bytes.
//!
//! It boots by BIOS from a virtio disk, says `login:` on its first serial line, brings its network cards up, writes to its disk and
//! heeds its power button.

mod cpio;
mod disk;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use flate2::{Compression, GzBuilder};

use super::lock::Package;
use crate::environment;
use crate::plan::Packages;
use cpio::{Cpio, Kind};

/// The set that it is made of.
pub const SET: &str = "debian-12-guest";

/// Drivers, in the order in which they need each other.
const MODULES: [&str; 11] = [
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci",
    "drivers/block/virtio_blk",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
    "drivers/acpi/button",
    "drivers/input/evdev",
];

/// What `grub-mkimage` is linked with.
const LIBRARIES: [&str; 6] =
    ["libc6", "libdevmapper1.02.1", "liblzma5", "libpcre2-8-0", "libselinux1", "libudev1"];

/// The packages of a set whose bytes are in the image.
pub fn inside(packages: &[Package]) -> impl Iterator<Item = &Package> {
    packages.iter().filter(|package| {
        let name = package.name.as_str();
        name.starts_with("linux-image-") || ["busybox-static", "grub-pc-bin"].contains(&name)
    })
}

/// Makes the image of packages that lie in `cache` under their SHA-256, with `folder` for what passes.
///
/// # Errors
/// If a package lacks what it should hold, or does not fit.
pub fn make(planned: &Packages, cache: &Path, folder: &Path) -> Result<Vec<u8>> {
    let tree = folder.join("guest");
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| format!("cannot remove `{}`", tree.display()))?;
    }
    let is_tool = |package: &&Package| package.name == "grub-common" || LIBRARIES.contains(&&*package.name);
    for package in inside(&planned.packages).chain(planned.packages.iter().filter(is_tool)) {
        extract(&cache.join(format!("{}.deb", package.sha256)), &tree)?;
    }
    let kernel = read(&only(&tree.join("boot"), "vmlinuz-")?)?;
    let memory = memory(&tree)?;
    let commands = tree.join("commands");
    fs::write(&commands, disk::commands(&kernel, &memory))?;
    let loader = tree.join("usr/lib/grub/i386-pc");
    let core = core(&tree, &loader, &commands)?;
    let disk = disk::disk(&read(&loader.join("boot.img"))?, &core, &kernel, &memory)?;
    fs::remove_dir_all(&tree).with_context(|| format!("cannot remove `{}`", tree.display()))?;
    Ok(disk)
}

fn extract(package: &Path, tree: &Path) -> Result<()> {
    let mut command = Command::new("dpkg-deb");
    environment::restrict(&mut command);
    run(command.arg("--extract").arg(package).arg(tree))
}

/// The system that lies in memory.
fn memory(tree: &Path) -> Result<Vec<u8>> {
    let modules = only(&tree.join("lib/modules"), "")?.join("kernel");
    let mut cpio = Cpio::default();
    let folders = [
        "bin",
        "dev",
        "etc",
        "etc/acpi",
        "etc/acpi/PWRF",
        "lib",
        "lib/modules",
        "mnt",
        "proc",
        "root",
        "run",
        "sys",
        "tmp",
    ];
    folders.iter().for_each(|name| cpio.add(name, Kind::Folder, b""));
    cpio.add("dev/console", Kind::Device(5, 1), b"");
    cpio.add("bin/busybox", Kind::Program, &read(&tree.join("bin/busybox"))?);
    cpio.add("init", Kind::Program, include_bytes!("init"));
    cpio.add("etc/boot", Kind::Program, include_bytes!("boot"));
    cpio.add("etc/inittab", Kind::File, include_bytes!("inittab"));
    cpio.add("etc/passwd", Kind::File, b"root::0:0:root:/root:/bin/sh\n");
    cpio.add("etc/group", Kind::File, b"root:x:0:\n");
    cpio.add("etc/acpi/PWRF/00000080", Kind::Program, b"#!/bin/sh\npoweroff\n");
    let mut list = String::new();
    for module in MODULES {
        let name = module.rsplit('/').next().unwrap_or(module);
        list += &format!("{name}\n");
        cpio.add(
            &format!("lib/modules/{name}.ko"),
            Kind::File,
            &read(&modules.join(format!("{module}.ko")))?,
        );
    }
    cpio.add("etc/modules", Kind::File, list.as_bytes());
    let mut gzip = GzBuilder::new().operating_system(255).write(Vec::new(), Compression::best());
    gzip.write_all(&cpio.finish())?;
    Ok(gzip.finish()?)
}

/// The boot loader with its commands, by the program of its own package and with libraries of packages.
fn core(tree: &Path, loader: &Path, commands: &Path) -> Result<Vec<u8>> {
    let (libraries, out) = (tree.join("lib/x86_64-linux-gnu"), tree.join("core.img"));
    let path = format!("{}:{}", libraries.display(), tree.join("usr/lib/x86_64-linux-gnu").display());
    let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
    environment::restrict(&mut command);
    command.args(["--library-path", &path]).arg(tree.join("usr/bin/grub-mkimage"));
    command.args(["--format=i386-pc", "--prefix=(hd0)"]).arg("--directory").arg(loader);
    command.arg("--config").arg(commands).arg("--output").arg(&out).args(["biosdisk", "linux"]);
    run(&mut command)?;
    read(&out)
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run `{program}`"))?;
    if !output.status.success() {
        bail!("`{program}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path)
        .with_context(|| format!("cannot read `{}`, which a package of {SET} should hold", path.display()))
}

/// The only entry of a folder whose name begins so.
fn only(folder: &Path, beginning: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    let begins =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning));
    let found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(begins).collect();
    match <[PathBuf; 1]>::try_from(found) {
        Ok([path]) => Ok(path),
        Err(found) => {
            bail!("`{}` holds {} of `{beginning}*`, and should hold one", folder.display(), found.len())
        }
    }
}
