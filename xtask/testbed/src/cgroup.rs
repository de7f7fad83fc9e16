//! A control group of its own for every machine, in every hierarchy that systemd in the machine looks at: the one
//! of cgroup v2, or the two of a machine with the hybrid layout.

use crate::process;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const ENTER: &str = include_str!("scripts/enter.sh");

const MOUNT: &str = "/sys/fs/cgroup";

/// How long a group may stay busy after the last process in it has ended.
const EMPTY: Duration = Duration::from_secs(10);

/// Creates an empty group of this name in each hierarchy, and returns their folders. What an earlier machine of
/// that name left is taken away first.
pub(crate) fn create(name: &str) -> Result<Vec<PathBuf>> {
    remove(name)?;
    let hierarchies = hierarchies(Path::new(MOUNT));
    if hierarchies.is_empty() {
        bail!("no control groups at `{MOUNT}`; mount cgroup2 there");
    }
    let groups: Vec<PathBuf> = hierarchies.iter().map(|hierarchy| hierarchy.join(name)).collect();
    for group in &groups {
        fs::create_dir(group).with_context(|| {
            format!("cannot create the control group `{}`; is `{MOUNT}` writable?", group.display())
        })?;
    }
    Ok(groups)
}

/// Creates, in each of these groups of a machine, the one that commands run in which no unit of the machine started. A
/// process outside the machine's groups would see its own as `/../..`, as no process on a host does.
pub(crate) fn create_for_commands(groups: &[PathBuf]) -> Result<Vec<PathBuf>> {
    // systemd-nspawn keeps the machine's processes in `payload`, which is `/` to them, and itself beside it.
    let groups: Vec<PathBuf> = groups.iter().map(|group| group.join("payload/testbed")).collect();
    for group in &groups {
        fs::create_dir(group)
            .with_context(|| format!("cannot create the control group `{}`", group.display()))?;
    }
    Ok(groups)
}

/// A command that enters these groups and becomes `program`, with a plain umask.
pub(crate) fn command(groups: &[PathBuf], program: &str) -> Command {
    let mut command = process::plain("sh");
    command.args(["-c", ENTER, "testbed"]).args(groups).args(["--", program]);
    command
}

/// Removes the groups of this name and all below them. No process may be left in them.
pub(crate) fn remove(name: &str) -> Result<()> {
    for hierarchy in hierarchies(Path::new(MOUNT)) {
        let group = hierarchy.join(name);
        let mut last = None;
        // A group stays busy for a moment after its last process was reaped.
        let gone = process::until(EMPTY, || {
            last = remove_tree(&group).err();
            Ok(last.is_none())
        })?;
        if let (false, Some(error)) = (gone, last) {
            return Err(error).with_context(|| format!("cannot remove `{}`", group.display()));
        }
    }
    Ok(())
}

/// A control group has files that cannot be removed, and folders that go by rmdir alone, the innermost first.
fn remove_tree(group: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn hierarchies(mount: &Path) -> Vec<PathBuf> {
    if mount.join("cgroup.controllers").exists() {
        return vec![mount.to_owned()];
    }
    ["systemd", "unified"].iter().map(|name| mount.join(name)).filter(|path| path.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_are_known() {
        let dir = tempfile::tempdir().expect("folder");
        assert!(hierarchies(dir.path()).is_empty());
        for name in ["cpu", "systemd", "unified"] {
            fs::create_dir(dir.path().join(name)).expect("hierarchy");
        }
        assert_eq!(hierarchies(dir.path()), [dir.path().join("systemd"), dir.path().join("unified")]);
        fs::write(dir.path().join("cgroup.controllers"), "").expect("file");
        assert_eq!(hierarchies(dir.path()), [dir.path().to_owned()]);
    }
}
