//! The distribution: its name, and how its people install packages. A root other than `/` is asked itself if it holds a
//! system; an empty folder is not one, and then the host answers for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Subject;
use super::report::Finding;

/// Where a distribution describes itself, below the root, first found first.
const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

/// Distributions with the same package client and the same names of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Debian,
    Fedora,
    Suse,
    Other,
}

impl Family {
    /// The family of the system below `root`.
    pub(super) fn of(root: &Path) -> Self {
        Self::from_release(&release(root))
    }

    fn from_release(release: &BTreeMap<String, String>) -> Self {
        let words = ["ID", "ID_LIKE"]
            .into_iter()
            .filter_map(|key| release.get(key))
            .flat_map(|v| v.split_whitespace());
        for word in words {
            match word {
                "debian" | "ubuntu" => return Self::Debian,
                "fedora" | "rhel" | "centos" => return Self::Fedora,
                "suse" | "opensuse" | "sles" => return Self::Suse,
                _ => {}
            }
        }
        Self::Other
    }

    /// A clause that says how to get QEMU with its tools, and libvirt.
    pub(super) fn hypervisor_remedy(self) -> &'static str {
        match self {
            Self::Debian => "run `apt-get install qemu-system-x86 qemu-utils libvirt-daemon-system`",
            Self::Fedora => "run `dnf install qemu-kvm qemu-img libvirt`",
            Self::Suse => "run `zypper install qemu-x86 qemu-tools libvirt-daemon-qemu`",
            Self::Other => "install QEMU for this processor, `qemu-img` and libvirt's QEMU driver",
        }
    }
}

/// The root whose system the binaries will meet: `root` if it holds a system, else the host's.
pub(super) fn system_root(root: &Path) -> &Path {
    if OS_RELEASE.iter().any(|file| root.join(file).exists()) { root } else { Path::new("/") }
}

/// The distribution's name. Any that has systemd and glibc should do; Debian and its kin are what is tried.
pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    vec![finding(&release(subject.layout.root()))]
}

fn finding(release: &BTreeMap<String, String>) -> Finding {
    let name = release.get("PRETTY_NAME").or_else(|| release.get("ID"));
    match (name, Family::from_release(release)) {
        (Some(name), Family::Debian) => Finding::pass(name),
        (Some(name), Family::Fedora | Family::Suse) => Finding::fail(
            format!("{name}, whose packages are of the kind rpm; Cairn was never tried on such a host"),
            "use a host with Debian 12",
        ),
        (Some(name), _) => Finding::warn(
            format!("{name}, which is not Debian or of its kin; Cairn is not tried there"),
            "try it where a failure costs little first",
        ),
        (None, _) => {
            Finding::warn("there is no `/etc/os-release`", "try it where a failure costs little first")
        }
    }
}

/// What the packages for the system below `root` are called after: ID and VERSION_ID, such as `debian-12`.
pub fn id_and_version(root: &Path) -> String {
    let release = release(root);
    let word = |key: &str| release.get(key).map_or("unknown", String::as_str);
    format!("{}-{}", word("ID"), word("VERSION_ID"))
}

fn release(root: &Path) -> BTreeMap<String, String> {
    let root = system_root(root);
    let text = OS_RELEASE.iter().find_map(|file| fs::read_to_string(root.join(file)).ok());
    parse(&text.unwrap_or_default())
}

/// Reads `os-release(5)`: assignments of a shell, without its expansions.
fn parse(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), unquote(value.trim())))
        .collect()
}

fn unquote(value: &str) -> String {
    if let Some(inner) = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return inner.to_owned();
    }
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let mut plain = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::report::State;
    use super::*;

    #[test]
    fn quotes_and_escapes_are_taken_off() {
        let release = parse("# x=y\nID=debian\nPRETTY_NAME=\"A \\\"b\\\" c\"\nNAME='d e'\nEMPTY=\nno line\n");
        assert_eq!(release["PRETTY_NAME"], "A \"b\" c");
        assert_eq!(
            (release["ID"].as_str(), release["NAME"].as_str(), release["EMPTY"].as_str()),
            ("debian", "d e", "")
        );
        assert_eq!(release.len(), 4);
    }

    #[test]
    fn kin_is_recognised() {
        let family = |text| Family::from_release(&parse(text));
        assert_eq!(family("ID=linuxmint\nID_LIKE=\"ubuntu debian\""), Family::Debian);
        assert_eq!(family("ID=rocky\nID_LIKE=\"rhel centos fedora\""), Family::Fedora);
        assert_eq!(family("ID=opensuse-leap\nID_LIKE=\"suse opensuse\""), Family::Suse);
        assert_eq!(family("ID=alpine"), Family::Other);
    }

    #[test]
    fn others_than_debian_are_told_so_and_those_of_rpm_refused() {
        assert_eq!(finding(&parse("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"")).state, State::Pass);
        assert_eq!(finding(&parse("ID=arch")).state, State::Warn);
        for rpm in ["ID=rocky\nID_LIKE=\"rhel centos fedora\"", "ID=opensuse-leap\nID_LIKE=\"suse opensuse\""]
        {
            assert_eq!(finding(&parse(rpm)).state, State::Fail, "{rpm}");
        }
        assert_eq!(finding(&parse("")).state, State::Warn);
    }

    #[test]
    fn an_empty_root_is_not_a_system() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(system_root(root.path()), Path::new("/"));
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/os-release"), "ID=fedora\n").unwrap();
        assert_eq!(system_root(root.path()), root.path());
        assert_eq!(Family::of(root.path()), Family::Fedora);
        assert_eq!(id_and_version(root.path()), "fedora-unknown");
        fs::write(root.path().join("etc/os-release"), "ID=debian\nVERSION_ID=\"12\"\n").unwrap();
        assert_eq!(id_and_version(root.path()), "debian-12");
    }
}
