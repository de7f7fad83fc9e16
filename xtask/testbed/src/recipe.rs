//! What the roots consist of, as data, and the key under which a built root is cached.
//!
//! `host` is a bare Debian host as an operator without a network has it. `virt` and `browser` are layers on top of it, with
//! QEMU and libvirt, with Chromium, and with a kernel: built only when a test asks for one, and holding only what it adds. `debian` roots
//! are of each release that programs are tried on, and have little more than a C library. `later` is what `host` and `virt` are
//! together, of the release after theirs.

use sha2::{Digest, Sha256};

/// The Debian release that all roots but those of a release are made of.
pub(crate) const SUITE: &str = "bookworm";

/// The latest Debian release whose QEMU and libvirt tests run beside.
pub(crate) const LATER_RELEASE: Release = Release::Trixie;

/// Raise this when the way a root is built changes and the lists below do not: a root built the old way is then
/// no longer found.
pub(crate) const RECIPE_VERSION: u32 = 1;

/// Where a static busybox lies in every root: outside PATH and unknown to dpkg, so that the host still looks bare.
pub(crate) const BUSYBOX: &str = "usr/lib/testbed/busybox";

/// The package that brings that busybox.
pub(crate) const BUSYBOX_PACKAGE: &str = "busybox-static";

/// A release of Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Debian 11, with glibc 2.31.
    Bullseye,
    /// Debian 12, with glibc 2.36.
    Bookworm,
    /// Debian 13, with glibc 2.41.
    Trixie,
}

impl Release {
    /// All of them, the oldest first.
    pub const ALL: [Self; 3] = [Self::Bullseye, Self::Bookworm, Self::Trixie];

    /// As mirrors call it.
    pub fn suite(self) -> &'static str {
        match self {
            Self::Bullseye => "bullseye",
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

/// A root, by what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipe {
    /// minbase and what a host booted by systemd has; no QEMU, no libvirt, no curl, no python.
    Host,
    /// `Host` with QEMU, libvirt and the tools that tests of them use.
    Virt,
    /// The same as `Virt`, of [`LATER_RELEASE`]; a root of its own.
    LaterVirt,
    /// `Host` with Chromium, its driver and a few fonts.
    Browser,
    /// `Host` with Debian's kernel for virtual machines, and what starts it.
    Kernel,
    /// Minbase of a release and modules that look names up, as hosts have them; no systemd.
    Debian(Release),
}

impl Recipe {
    /// The Debian packages this recipe adds to what it stands on.
    pub(crate) fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Host => &["dbus", "iproute2", "kmod", "procps", "systemd-sysv", "udev"],
            Self::Virt => &[
                "btrfs-progs", // with xfsprogs, for volumes on file systems of each kind
                "busybox-static",
                "curl",
                "dash",
                "dnsmasq-base",
                "libvirt-clients",
                "libvirt-daemon-system",
                "libxml2-utils", // `xmllint`, with which `virt-xml-validate` works
                "openssl",
                "ovmf", // UEFI firmware, with the descriptions by which libvirt finds it
                "qemu-system-x86",
                "qemu-utils",
                "xfsprogs",
            ],
            Self::LaterVirt => &[
                "btrfs-progs",
                "busybox-static",
                "curl",
                "dash",
                "dbus",
                "dnsmasq-base",
                "e2fsprogs", // the least of Debian 12 has it
                "iproute2",
                "kmod",
                "libvirt-clients",
                "libvirt-daemon-system",
                "libxml2-utils",
                "openssl",
                "ovmf",
                "procps",
                "qemu-system-x86",
                "qemu-utils",
                "systemd-sysv",
                "udev",
                "xfsprogs",
            ],
            Self::Browser => &["chromium", "chromium-driver", "fonts-dejavu-core"],
            Self::Kernel => &["linux-image-cloud-amd64"],
            Self::Debian(_) => &["iproute2", "libnss-myhostname", "libnss-systemd"],
        }
    }

    /// About how much building it downloads and keeps, and how long that takes on two cores, in words.
    pub(crate) fn price(self) -> &'static str {
        match self {
            Self::Host => "downloads about 75 MB, keeps about 240 MB, takes about a minute",
            Self::Virt => "downloads about 70 MB, keeps about 250 MB, takes about a minute",
            Self::LaterVirt => "downloads about 150 MB, keeps about 470 MB, takes about a minute",
            Self::Browser => "downloads about 200 MB, keeps about 730 MB, takes about a minute",
            Self::Kernel => "downloads about 35 MB, keeps about 150 MB, takes about a minute",
            Self::Debian(_) => "downloads about 45 MB, keeps about 180 MB, takes about a minute",
        }
    }

    /// The name of the folder a built root is cached under: a word for people and a hash of all that decides what
    /// is in it.
    pub(crate) fn key(self) -> String {
        match self {
            Self::Host => key("host", SUITE, self.packages(), RECIPE_VERSION),
            // A layer fits only the root it was made on.
            Self::Virt => key("virt", &Self::Host.key(), self.packages(), RECIPE_VERSION),
            Self::LaterVirt => key("later", LATER_RELEASE.suite(), self.packages(), RECIPE_VERSION),
            Self::Browser => key("browser", &Self::Host.key(), self.packages(), RECIPE_VERSION),
            Self::Kernel => key("kernel", &Self::Host.key(), self.packages(), RECIPE_VERSION),
            Self::Debian(release) => key("debian", release.suite(), self.packages(), RECIPE_VERSION),
        }
    }
}

pub(crate) fn key(word: &str, base: &str, packages: &[&str], version: u32) -> String {
    let text =
        format!("testbed {version}\n{base}\n{arch}\n{}\n", packages.join(" "), arch = std::env::consts::ARCH);
    let digest = Sha256::digest(text.as_bytes());
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{word}-{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_follows_everything_that_decides_the_content() {
        let same = key("host", "bookworm", &["a", "b"], 1);
        assert_eq!(same, key("host", "bookworm", &["a", "b"], 1));
        for other in [
            key("host", "trixie", &["a", "b"], 1),
            key("host", "bookworm", &["a", "c"], 1),
            key("host", "bookworm", &["a"], 1),
            key("host", "bookworm", &["a", "b"], 2),
        ] {
            assert_ne!(same, other);
        }
    }

    #[test]
    fn the_key_is_a_plain_folder_name() {
        for (recipe, word) in [
            (Recipe::Host, "host-"),
            (Recipe::Virt, "virt-"),
            (Recipe::LaterVirt, "later-"),
            (Recipe::Browser, "browser-"),
            (Recipe::Kernel, "kernel-"),
            (Recipe::Debian(Release::Trixie), "debian-"),
        ] {
            let key = recipe.key();
            assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{key}");
            assert_eq!(key.strip_prefix(word).map(str::len), Some(16), "{key}");
        }
    }

    #[test]
    fn packages_are_sorted_and_listed_once() {
        for recipe in [
            Recipe::Host,
            Recipe::Virt,
            Recipe::LaterVirt,
            Recipe::Browser,
            Recipe::Kernel,
            Recipe::Debian(Release::Bullseye),
        ] {
            assert!(recipe.packages().is_sorted_by(|one, next| one < next), "{recipe:?}");
        }
    }

    #[test]
    fn both_roots_with_libvirt_are_made_of_the_same() {
        let mut layered: Vec<_> = [Recipe::Host, Recipe::Virt].map(Recipe::packages).concat();
        layered.push("e2fsprogs");
        layered.sort_unstable();
        assert_eq!(Recipe::LaterVirt.packages(), layered);
    }
}
