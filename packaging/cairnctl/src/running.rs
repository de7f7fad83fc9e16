//! Virtual machines of Cairn's that run on this host, found without server, agent and libvirt: libvirt keeps the state of
//! each that runs in a file, and Cairn's carry its mark in their description.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::exit::{Code, Exit};
use crate::layout::Layout;

/// The namespace of the mark, as the agent writes it.
const MARK: &str = "urn:cairn:vm:1";

/// How long QEMU may take to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(20);

/// A virtual machine that runs.
#[derive(Debug, PartialEq, Eq)]
pub struct Vm {
    /// Its name.
    pub name: String,
    pid: Pid,
}

/// Those that run, by name.
pub fn all(layout: &Layout) -> Vec<Vm> {
    let folder = layout.root().join("run/libvirt/qemu");
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let states =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "xml"));
    let mut all: Vec<Vm> = states.filter_map(|state| of(&state)).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

fn of(state: &Path) -> Option<Vm> {
    if !fs::read_to_string(state).ok()?.contains(MARK) {
        return None;
    }
    let name = state.file_stem()?.to_str()?.to_owned();
    let pid = fs::read_to_string(state.with_extension("pid")).ok()?;
    let pid = Pid::from_raw(pid.trim().parse().ok()?)?;
    // What a host that lost its power has left names another process by now, or none.
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
    let guest = format!("guest={name}");
    line.windows(guest.len()).any(|part| part == guest.as_bytes()).then_some(Vm { name, pid })
}

/// Names of virtual machines and containers that libvirt knows here and that are not Cairn's, whether they run or not.
pub fn others(layout: &Layout) -> BTreeSet<String> {
    let folders = ["etc/libvirt", "run/libvirt"]
        .into_iter()
        .flat_map(|folder| ["qemu", "lxc", "libxl"].map(|driver| layout.root().join(folder).join(driver)));
    let files = folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    files
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "xml"))
        .filter(|path| !fs::read_to_string(path).is_ok_and(|text| text.contains(MARK)))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect()
}

/// What libvirt knows of Cairn's virtual machines, by name: of those that run as they run, of the others as they are defined.
pub fn definitions(layout: &Layout) -> Vec<(String, String)> {
    let mut found = std::collections::BTreeMap::new();
    for folder in ["etc/libvirt/qemu", "run/libvirt/qemu"] {
        let entries = fs::read_dir(layout.root().join(folder)).into_iter().flatten().flatten();
        for path in
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "xml"))
        {
            let (Some(name), Ok(xml)) = (path.file_stem(), fs::read_to_string(&path)) else { continue };
            if xml.contains(MARK) {
                found.insert(name.to_string_lossy().into_owned(), xml);
            }
        }
    }
    found.into_iter().collect()
}

/// Their names, for people.
pub fn names(all: &[Vm]) -> String {
    all.iter().map(|vm| format!("`{}`", vm.name)).collect::<Vec<_>>().join(", ")
}

/// Cuts a virtual machine's power, as libvirt does: QEMU is told to end, and then made to.
///
/// # Errors
/// Exit code 7 if it cannot be.
pub fn turn_off(vm: &Vm) -> Result<()> {
    let Ok(process) = pidfd_open(vm.pid, PidfdFlags::empty()) else { return Ok(()) };
    for signal in [Signal::TERM, Signal::KILL] {
        if pidfd_send_signal(&process, signal).is_err() {
            return Ok(());
        }
        let limit = Timespec::try_from(PATIENCE).context("cannot wait")?;
        if poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit))? > 0 {
            return Ok(());
        }
    }
    let sentence = format!(
        "`{}` cannot be turned off; see what its QEMU, process {}, waits for",
        vm.name,
        vm.pid.as_raw_nonzero()
    );
    Err(Exit::error(Code::Failed, sentence))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command, Stdio};

    use super::*;

    #[test]
    fn machines_of_others_are_known_by_what_libvirt_keeps() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        assert!(others(&layout).is_empty());
        for (path, text) in [
            ("etc/libvirt/qemu/web.xml", format!("<domain><x xmlns='{MARK}'/></domain>")),
            ("etc/libvirt/qemu/desktop.xml", "<domain/>".to_owned()),
            ("etc/libvirt/qemu/networks/default.xml", "<network/>".to_owned()),
            ("etc/libvirt/lxc/box.xml", "<domain/>".to_owned()),
            ("run/libvirt/qemu/passing.xml", "<domstatus/>".to_owned()),
            ("run/libvirt/qemu/passing.pid", "1".to_owned()),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        assert_eq!(others(&layout).into_iter().collect::<Vec<_>>(), ["box", "desktop", "passing"]);
    }

    #[test]
    fn those_of_cairn_that_run_are_found_and_turned_off() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("run/libvirt/qemu");
        fs::create_dir_all(&folder).unwrap();
        let qemu = |name: &str| {
            let child =
                Command::new("sleep").arg0(format!("guest={name}")).arg("600").stdout(Stdio::null()).spawn();
            let child = child.unwrap();
            // It has been started before its words can be read.
            while fs::read(format!("/proc/{}/cmdline", child.id())).unwrap().is_empty() {
                std::thread::yield_now();
            }
            child
        };
        let state = |name: &str, mark: &str, pid: u32| {
            fs::write(
                folder.join(format!("{name}.xml")),
                format!("<domstatus><x xmlns='{mark}'/></domstatus>"),
            )
            .unwrap();
            fs::write(folder.join(format!("{name}.pid")), format!("{pid}\n")).unwrap();
        };
        let mut running: Vec<Child> = ["web", "other"].map(qemu).into();
        state("web", MARK, running[0].id());
        state("other", "urn:else", running[1].id());
        // Left over by a host that lost its power.
        state("gone", MARK, std::process::id());
        let layout = Layout::new(root.path());
        let all = super::all(&layout);
        assert_eq!(names(&all), "`web`");
        turn_off(&all[0]).unwrap();
        running[0].wait().unwrap();
        assert_eq!(super::all(&layout), []);
        assert!(running[1].try_wait().unwrap().is_none(), "what is not Cairn's is left alone");
        running[1].kill().unwrap();
        running[1].wait().unwrap();
        turn_off(&all[0]).unwrap();
    }
}
