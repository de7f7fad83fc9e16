//! The overlay a clone consists of: its folder's layout and the holder that mounts it.

use crate::holder::Holder;
use crate::process;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const SCRIPT: &str = include_str!("scripts/overlay.sh");

/// The number by which statfs knows an overlayfs, which cannot itself carry the upper layer of another.
const OVERLAYFS_MAGIC: u64 = 0x794c_7630;

/// A mounted overlay in a folder of its own. Dropping it unmounts and leaves the folder.
#[derive(Debug)]
pub(crate) struct Overlay {
    holder: Holder,
    dir: PathBuf,
}

impl Overlay {
    /// Mounts `layers` (top first) below a fresh upper layer, in the empty folder `dir`. With `memory_bytes` the
    /// upper layer is a tmpfs of at most that size.
    pub(crate) fn mount(dir: &Path, layers: &[PathBuf], memory_bytes: Option<u64>) -> Result<Self> {
        for folder in ["disk", "disk/upper", "disk/work", "root"] {
            let path = dir.join(folder);
            fs::create_dir(&path).with_context(|| format!("cannot create `{}`", path.display()))?;
            // Independent of the umask: the upper layer's folder becomes the clone's `/`.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                .with_context(|| format!("cannot set the mode of `{}`", path.display()))?;
        }
        let mut names = Vec::new();
        for (number, layer) in layers.iter().rev().enumerate() {
            let name = format!("lower{number}");
            symlink(layer, dir.join(&name)).with_context(|| format!("cannot link `{}`", layer.display()))?;
            names.insert(0, name);
        }
        let mut command = process::plain("unshare");
        command.args(["--mount", "--propagation=slave", "--pid", "--fork", "--kill-child"]);
        command.args(["sh", "-c", SCRIPT, "testbed"]).arg(dir).arg(names.join(":"));
        command.arg(memory_bytes.map(|bytes| bytes.to_string()).unwrap_or_default());
        let holder = Holder::start(command, &format!("an overlay in `{}`", dir.display()))
            .context("a clone needs the superuser and overlayfs on a disk that carries it")?;
        Ok(Self { holder, dir: dir.to_owned() })
    }

    /// The mounted tree as this process sees it: through the holder, since it is mounted nowhere else.
    pub(crate) fn path(&self) -> PathBuf {
        let mut path = PathBuf::from(format!("/proc/{}/root", self.holder.outer()));
        path.push(self.inner_path().strip_prefix("/").unwrap_or(&self.dir));
        path
    }

    /// The mounted tree as processes in the holder's namespace see it.
    pub(crate) fn inner_path(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// The same command, in the holder's mount and process namespaces.
    pub(crate) fn enter(&self, command: &Command) -> Command {
        let mut entered = process::plain("nsenter");
        entered.arg(format!("--target={}", self.holder.first())).args(["--mount", "--pid", "--"]);
        entered.arg(command.get_program()).args(command.get_args());
        entered
    }
}

/// Whether `dir` can hold the upper layer of an overlay.
pub(crate) fn can_carry(dir: &Path) -> Result<bool> {
    let found = rustix::fs::statfs(dir).with_context(|| format!("cannot look at `{}`", dir.display()))?;
    Ok(u64::try_from(found.f_type).is_ok_and(|magic| magic != OVERLAYFS_MAGIC))
}
