//! What virtual machines need: the processor's help, QEMU, libvirt. Nothing here fails: the agent starts without any of it
//! and says what is missing, and packages can come later. Where their disks lie is in `direct_io.rs`.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::Subject;
use super::os::Family;
use super::probe::{errno, first_line, program};
use super::report::Finding;

/// libvirt's sockets below its folder: the modular daemon for QEMU, and the older one for everything.
const LIBVIRT_SOCKETS: [&str; 2] = ["virtqemud-sock", "libvirt-sock"];

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
    vec![tool_finding(&[&system, "qemu-kvm"], family(subject))]
}

/// Whether the tool that makes images is there.
pub(super) fn qemu_img(subject: &Subject) -> Vec<Finding> {
    vec![tool_finding(&["qemu-img"], family(subject))]
}

fn family(subject: &Subject) -> Family {
    Family::of(subject.layout.root())
}

fn tool_finding(names: &[&str], family: Family) -> Finding {
    let Some(path) = program(names) else {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        return Finding::warn(format!("there is no {}", names.join(" or ")), family.hypervisor_remedy());
    };
    match first_line(&path, &["--version"]) {
        Ok(line) => Finding::pass(format!("`{}`: {line}", path.display())),
        Err(error) => Finding::warn(
            format!("`{} --version` does not run ({})", path.display(), errno(&error)),
            "install it again from the distribution's packages",
        ),
    }
}

/// Whether libvirt answers.
pub(super) fn libvirt(subject: &Subject) -> Vec<Finding> {
    vec![libvirt_finding(Path::new("/run/libvirt"), family(subject))]
}

fn libvirt_finding(folder: &Path, family: Family) -> Finding {
    let mut refusals = Vec::new();
    for socket in LIBVIRT_SOCKETS.map(|name| folder.join(name)).into_iter().filter(|socket| socket.exists()) {
        match UnixStream::connect(&socket) {
            Ok(_) => return Finding::pass(format!("`{}` accepts a connection", socket.display())),
            Err(error) => {
                refusals.push(format!("`{}` does not answer ({})", socket.display(), errno(&error)));
            }
        }
    }
    if refusals.is_empty() {
        let names = LIBVIRT_SOCKETS.map(|name| format!("`{name}`")).join(" nor ");
        Finding::warn(format!("`{}` holds neither {names}", folder.display()), family.hypervisor_remedy())
    } else {
        Finding::warn(
            refusals.join(", "),
            "start it with `systemctl start virtqemud` or `systemctl start libvirtd`",
        )
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
    fn a_missing_tool_names_the_packages() {
        let finding = tool_finding(&["not-a-program-at-all"], Family::Debian);
        assert_eq!(finding.state, State::Warn);
        assert!(finding.remedy.unwrap().contains("apt-get install qemu-system-x86"));
    }

    #[test]
    fn libvirt_is_asked_by_connecting() {
        let folder = tempfile::tempdir().unwrap();
        let finding = || libvirt_finding(folder.path(), Family::Other);
        assert!(finding().remedy.unwrap().starts_with("install QEMU"));
        let listener = UnixListener::bind(folder.path().join("libvirt-sock")).unwrap();
        assert_eq!(finding().state, State::Pass);
        drop(listener);
        let refused = finding();
        assert_eq!((refused.state, refused.evidence.contains("does not answer")), (State::Warn, true));
    }
}
