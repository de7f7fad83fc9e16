//! What virtual machines need: the processor's help, QEMU, libvirt. What is not there and does not come with the file fails,
//! unless it is to come later: the agent starts without any of it and says what is missing. Where their disks lie is in
//! `direct_io.rs`.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::glibc::Version;
use super::os::Family;
use super::probe::{errno, first_line, program};
use super::report::Finding;
use super::{Hypervisor, Subject};

/// libvirt's sockets below its folder: the modular daemon for QEMU, and the older one for everything.
const LIBVIRT_SOCKETS: [&str; 2] = ["virtqemud-sock", "libvirt-sock"];

/// The oldest QEMU that Cairn is tried with.
const QEMU: &str = "7.2";

/// The oldest libvirt.
const LIBVIRT: &str = "9.0";

/// Whether virtual machines run on the processor itself. Both signs are needed: some machines have a `/dev/kvm` without
/// the processor's extensions, and Linux guests hang under it.
pub(super) fn kvm(_: &Subject) -> Vec<Finding> {
    let machine = rustix::system::uname().machine().to_string_lossy().into_owned();
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let device = Path::new("/dev/kvm");
    let opened = OpenOptions::new().read(true).write(true).open(device).map(drop);
    vec![kvm_finding(extension(&cpuinfo, &machine), &opened)]
}

fn kvm_finding(extension: Option<&str>, opened: &io::Result<()>) -> Finding {
    let emulated = |reason: String, remedy: &str| {
        Finding::warn(
            format!("{reason}; virtual machines will be emulated in software, which is slow"),
            remedy,
        )
    };
    match (extension, opened) {
        (Some(extension), Ok(())) => {
            Finding::pass(format!("the processor has {extension}, and `/dev/kvm` opens"))
        }
        (None, Ok(())) => emulated(
            "`/dev/kvm` opens, but the processor shows neither `vmx` nor `svm`".into(),
            "turn on virtualization in the firmware, or nested virtualization where this is a virtual machine",
        ),
        (Some(extension), Err(error)) => emulated(
            format!("the processor has {extension}, but `/dev/kvm` does not open ({})", errno(error)),
            "run `modprobe kvm_intel` or `modprobe kvm_amd`, and look at the permissions of `/dev/kvm`",
        ),
        (None, Err(error)) => emulated(
            format!(
                "the processor shows neither `vmx` nor `svm`, and `/dev/kvm` does not open ({})",
                errno(error)
            ),
            "turn on virtualization in the firmware, or nested virtualization where this is a virtual machine",
        ),
    }
}

/// The extension that the processor announces. Only x86 announces one; elsewhere the device alone decides.
fn extension(cpuinfo: &str, machine: &str) -> Option<&'static str> {
    if machine != "x86_64" {
        return Some("virtualization");
    }
    let flags =
        cpuinfo.lines().find_map(|line| line.strip_prefix("flags")?.trim_start().strip_prefix(':'))?;
    flags.split_whitespace().find_map(|flag| match flag {
        "vmx" => Some("`vmx`"),
        "svm" => Some("`svm`"),
        _ => None,
    })
}

/// Whether there is a QEMU for this machine.
pub(super) fn qemu(subject: &Subject) -> Vec<Finding> {
    let machine = rustix::system::uname().machine().to_string_lossy().into_owned();
    let system = format!("qemu-system-{machine}");
    vec![tool_finding(&[&system, "qemu-kvm"], subject.hypervisor, family(subject))]
}

/// Whether the tool that makes images is there.
pub(super) fn qemu_img(subject: &Subject) -> Vec<Finding> {
    vec![tool_finding(&["qemu-img"], subject.hypervisor, family(subject))]
}

fn family(subject: &Subject) -> Family {
    Family::of(subject.layout.root())
}

fn tool_finding(names: &[&str], hypervisor: Hypervisor, family: Family) -> Finding {
    let Some(path) = program(names) else {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        return absent(format!("there is no {}", names.join(" or ")), hypervisor, family);
    };
    match first_line(&path, &["--version"]) {
        Ok(line) => version_finding(format!("`{}`: {line}", path.display()), &line, QEMU),
        Err(error) => Finding::warn(
            format!("`{} --version` does not run ({})", path.display(), errno(&error)),
            "install it again from the distribution's packages",
        ),
    }
}

/// What is missing, by where it is to come from.
fn absent(seen: String, hypervisor: Hypervisor, family: Family) -> Finding {
    let remedy = family.hypervisor_remedy();
    match hypervisor {
        Hypervisor::Brought => Finding::pass(format!("{seen}; the file brings it")),
        Hypervisor::Later => Finding::warn(seen, remedy),
        Hypervisor::Needed => Finding::fail(
            seen,
            format!(
                "{remedy}, take a file that carries it (built with `--os`), or add `--no-packages` to do without for now"
            ),
        ),
    }
}

/// What is there, and whether it is as new as what Cairn is tried with.
fn version_finding(seen: String, line: &str, minimum: &str) -> Finding {
    let version = line.split_whitespace().find_map(Version::starting);
    match (version, Version::starting(minimum)) {
        (Some(version), Some(least)) if version < least => Finding::warn(
            format!("{seen}; Cairn is tried with {minimum} and newer"),
            "upgrade the operating system, or try it where a failure costs little first",
        ),
        _ => Finding::pass(seen),
    }
}

/// Whether libvirt answers.
pub(super) fn libvirt(subject: &Subject) -> Vec<Finding> {
    let daemon = program(&["virtqemud", "libvirtd"]);
    let version = daemon.and_then(|daemon| first_line(&daemon, &["--version"]).ok());
    vec![libvirt_finding(Path::new("/run/libvirt"), version, subject.hypervisor, family(subject))]
}

fn libvirt_finding(
    folder: &Path,
    version: Option<String>,
    hypervisor: Hypervisor,
    family: Family,
) -> Finding {
    let mut refusals = Vec::new();
    for socket in LIBVIRT_SOCKETS.map(|name| folder.join(name)).into_iter().filter(|socket| socket.exists()) {
        match UnixStream::connect(&socket) {
            Ok(_) => {
                let version = version.unwrap_or_else(|| "its daemon is not among the programs".into());
                let seen = format!("`{}` accepts a connection; {version}", socket.display());
                return version_finding(seen, &version, LIBVIRT);
            }
            Err(error) => {
                refusals.push(format!("`{}` does not answer ({})", socket.display(), errno(&error)));
            }
        }
    }
    let start = "start it with `systemctl start virtqemud.socket` or `systemctl start libvirtd.socket`";
    if !refusals.is_empty() {
        return Finding::warn(refusals.join(", "), start);
    }
    let names = LIBVIRT_SOCKETS.map(|name| format!("`{name}`")).join(" nor ");
    let seen = format!("`{}` holds neither {names}", folder.display());
    match version {
        Some(version) => Finding::warn(format!("{seen}, though it is installed: {version}"), start),
        None => absent(seen, hypervisor, family),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::super::report::State;
    use super::*;

    #[test]
    fn flags_are_whole_words_of_the_right_line() {
        let of = |flags: &str| {
            extension(&format!("model name\t: x svm\nflags\t\t: {flags}\nvmx flags\t: vmx\n"), "x86_64")
        };
        assert_eq!(of("fpu vme svm"), Some("`svm`"));
        assert_eq!(of("fpu vmx ept"), Some("`vmx`"));
        assert_eq!(of("fpu svm_lock vmxish"), None);
        assert_eq!(extension("", "x86_64"), None);
        assert!(extension("", "aarch64").is_some());
    }

    #[test]
    fn the_processor_and_the_device_are_both_needed() {
        let absent = || Err(io::ErrorKind::NotFound.into());
        assert_eq!(kvm_finding(Some("`vmx`"), &Ok(())).state, State::Pass);
        for (extension, opened) in [(None, Ok(())), (Some("`vmx`"), absent()), (None, absent())] {
            let finding = kvm_finding(extension, &opened);
            assert_eq!(finding.state, State::Warn);
            assert!(finding.evidence.ends_with("emulated in software, which is slow"));
        }
    }

    #[test]
    fn what_is_missing_is_judged_by_where_it_comes_from() {
        let finding = |hypervisor| tool_finding(&["not-a-program-at-all"], hypervisor, Family::Debian);
        let brought = finding(Hypervisor::Brought);
        assert_eq!((brought.state, brought.remedy), (State::Pass, None));
        assert!(brought.evidence.ends_with("the file brings it"), "{}", brought.evidence);
        for (hypervisor, state) in [(Hypervisor::Later, State::Warn), (Hypervisor::Needed, State::Fail)] {
            let finding = finding(hypervisor);
            let remedy = finding.remedy.unwrap();
            assert_eq!(finding.state, state);
            assert!(remedy.contains("apt-get install qemu-system-x86"), "{remedy}");
            assert_eq!(remedy.contains("`--no-packages`"), state == State::Fail, "{remedy}");
        }
    }

    #[test]
    fn versions_are_compared_with_what_was_tried() {
        for (line, minimum, state) in [
            ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)", QEMU, State::Pass),
            ("QEMU emulator version 10.0.2", QEMU, State::Pass),
            ("QEMU emulator version 5.2.0 (Debian 1:5.2)", QEMU, State::Warn),
            ("qemu-img version 6.0.0", QEMU, State::Warn),
            ("libvirtd (libvirt) 9.0.0", LIBVIRT, State::Pass),
            ("virtqemud (libvirt) 11.3.0", LIBVIRT, State::Pass),
            ("libvirtd (libvirt) 7.0.0", LIBVIRT, State::Warn),
            ("a build of our own", LIBVIRT, State::Pass),
        ] {
            assert_eq!(version_finding(line.into(), line, minimum).state, state, "{line}");
        }
    }

    #[test]
    fn libvirt_is_asked_by_connecting() {
        let folder = tempfile::tempdir().unwrap();
        let finding = |version: Option<&str>| {
            libvirt_finding(folder.path(), version.map(str::to_owned), Hypervisor::Needed, Family::Other)
        };
        let missing = finding(None);
        assert!(missing.state == State::Fail && missing.remedy.unwrap().starts_with("install QEMU"));
        let asleep = finding(Some("libvirtd (libvirt) 9.0.0"));
        assert_eq!((asleep.state, asleep.evidence.contains("it is installed")), (State::Warn, true));
        let listener = UnixListener::bind(folder.path().join("libvirt-sock")).unwrap();
        assert_eq!(finding(Some("libvirtd (libvirt) 9.0.0")).state, State::Pass);
        assert_eq!(finding(Some("libvirtd (libvirt) 8.10.0")).state, State::Warn);
        drop(listener);
        let refused = finding(None);
        assert_eq!((refused.state, refused.evidence.contains("does not answer")), (State::Warn, true));
    }
}
