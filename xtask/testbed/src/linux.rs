//! The Linux guest: Debian's cloud kernel, busybox and two scripts of ours, `scripts/linux/init` and `device`, in
//! an initial RAM disk. It boots by its kernel, or from a disk of its own, which BIOS and UEFI both start.
//!
//! On the first serial line it says, each on a line of its own:
//!
//! - `DISK vda SIZE` for a disk that is there, comes or grows, with its size in bytes; `DISK vda gone` when it went;
//! - `NET eth0 MAC` for a network card, which it brings up: it answers pings to its link-local address;
//! - `WROTE vda` when it has written what [`Write`] asked for, and flushed it;
//! - `LINUX-UP RELEASE` when it has come to all that was there when it started, and heeds its power button;
//! - `LINUX-DOWN` when that was pressed; then it turns itself off.
//!
//! It has drivers for virtio, NVMe and the IDE of the machine `pc`, not for SATA. By BIOS 192 MiB of memory are
//! enough for it, by UEFI 512. Disks on IDE or SCSI are looked for in the background and may come after `LINUX-UP`.

use crate::build;
use crate::invocation::Invocation;
use crate::recipe::{self, RECIPE_VERSION};
use crate::root::Root;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// What the build installs, beside what the root `host` has.
const PACKAGES: [&str; 4] = ["fdisk", "grub-common", "grub-pc-bin", "mtools"];

/// The package that depends on the kernel's.
const KERNEL: &str = "linux-image-cloud-amd64";

const BUILD: &str = include_str!("scripts/linux/build.sh");

/// What the build finds beside itself: name and content.
const FILES: [(&str, &str); 4] = [
    ("init", include_str!("scripts/linux/init")),
    ("device", include_str!("scripts/linux/device")),
    ("modules", include_str!("scripts/linux/modules")),
    ("grub.cfg", include_str!("scripts/linux/grub.cfg")),
];

/// Where it is built.
const FOLDER: &str = "/root/guest";

/// The words on the kernel's command line that vary. On the cached disk so many of [`PLACE`] stand for them.
const OPTIONS_BYTES: usize = 200;

/// No text holds it so many times in a row.
const PLACE: u8 = b'@';

/// About how much building it downloads and keeps, and how long that takes on two cores, in words.
pub(crate) const PRICE: &str = "downloads about 40 MB, keeps about 56 MB, takes about half a minute";

/// The name of the folder it is cached under.
pub(crate) fn key() -> String {
    let mut parts = vec![KERNEL, BUILD];
    parts.extend(PACKAGES);
    parts.extend(FILES.iter().flat_map(|(name, content)| [*name, *content]));
    recipe::key("linux", recipe::SUITE, &parts, RECIPE_VERSION)
}

/// Builds it in the folder `work`, in a clone of `host`.
pub(crate) fn build(host: &Root, work: &Path) -> Result<()> {
    let clone = build::layer(host, &PACKAGES)?;
    for (name, content) in FILES {
        clone.write(Path::new(FOLDER).join(name), 0o644, content)?;
    }
    let words = [KERNEL.to_owned(), format!("/{}", recipe::BUSYBOX), OPTIONS_BYTES.to_string()];
    build::run_with_network(&clone, Invocation::sh(BUILD).args(words).dir(FOLDER))?;
    for name in ["vmlinuz", "initrd", "disk.raw"] {
        let path = work.join(name);
        fs::write(&path, clone.read(Path::new(FOLDER).join(name))?)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

/// The guest's files, in the cache.
#[derive(Clone, Debug)]
pub struct LinuxGuest {
    folder: PathBuf,
}

/// What the guest is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinuxOptions {
    /// What it writes.
    pub write: Option<Write>,
    /// How it takes its power button.
    pub power: Power,
    /// Whether a shell runs each line that comes on the serial line once it is up; then it says `DONE` and
    /// the exit code.
    pub shell: bool,
}

/// A disk to which the guest writes [`LinuxGuest::WRITTEN`] as soon as it sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// As the guest calls it, `vdb`.
    pub disk: String,
    /// Where, in blocks of 4096 bytes. On the disk that it boots from, blocks 128 to 255 are free.
    pub block: u64,
}

/// How the guest takes its power button.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Power {
    /// It turns itself off.
    #[default]
    Answering,
    /// It takes no notice.
    Deaf,
}

impl LinuxOptions {
    /// The words on the kernel's command line.
    fn words(&self) -> String {
        let mut words = Vec::new();
        if let Some(Write { disk, block }) = &self.write {
            words.push(format!("write={disk}:{block}"));
        }
        match self.power {
            Power::Answering => {}
            Power::Deaf => words.push("deaf".to_owned()),
        }
        if self.shell {
            words.push("shell".to_owned());
        }
        words.join(" ")
    }
}

impl LinuxGuest {
    /// What it says when it is up.
    pub const BANNER: &str = "LINUX-UP";

    /// The line that it writes, over and over, until a block of 4096 bytes is full.
    pub const WRITTEN: &str = "The guest wrote this.\n";

    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The kernel, for a domain that boots by it.
    pub fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The initial RAM disk, with the whole system in it.
    pub fn initrd(&self) -> PathBuf {
        self.folder.join("initrd")
    }

    /// The kernel's command line for one that boots by it.
    pub fn command_line(&self, options: &LinuxOptions) -> String {
        format!("console=ttyS0 quiet {}", options.words())
    }

    /// A raw disk of 40 MiB that boots it, by BIOS or by UEFI, with Secure Boot or without.
    pub fn disk(&self, options: &LinuxOptions) -> Result<Vec<u8>> {
        let path = self.folder.join("disk.raw");
        let mut disk = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        tell(&mut disk, &options.words()).with_context(|| format!("`{}`", path.display()))?;
        Ok(disk)
    }
}

/// Puts the words where the disk has a place for them.
fn tell(disk: &mut [u8], words: &str) -> Result<()> {
    if words.len() > OPTIONS_BYTES {
        bail!("`{words}` is longer than the {OPTIONS_BYTES} bytes that the guest's disk has for it");
    }
    let place = [PLACE; OPTIONS_BYTES];
    let Some(at) = disk.windows(OPTIONS_BYTES).position(|window| window == place) else {
        bail!("the disk has no place for options");
    };
    disk[at..at + OPTIONS_BYTES].fill(b' ');
    disk[at..at + words.len()].copy_from_slice(words.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_stand_in_their_place() {
        let options = LinuxOptions {
            write: Some(Write { disk: "vdb".to_owned(), block: 2 }),
            power: Power::Deaf,
            shell: true,
        };
        let mut disk = [&b"before"[..], &[PLACE; OPTIONS_BYTES], b"behind"].concat();
        tell(&mut disk, &options.words()).expect("a place");
        let text = String::from_utf8(disk.clone()).expect("text");
        assert!(text.starts_with("beforewrite=vdb:2 deaf shell  ") && text.ends_with(" behind"), "{text}");
        assert!(tell(&mut disk, "").expect_err("no place").to_string().contains("no place"));
        assert!(tell(&mut disk, &"x".repeat(201)).expect_err("too long").to_string().contains("longer"));
        assert_eq!(LinuxOptions::default().words(), "");
    }

    #[test]
    fn the_scripts_write_what_is_said_here() {
        assert!(FILES.iter().any(|(_, content)| content.contains(LinuxGuest::WRITTEN.trim_end())));
        assert!(FILES.iter().any(|(_, content)| content.contains(LinuxGuest::BANNER)));
    }
}
