//! Packages of the host's operating system that the archive carries, and their way onto the host: through its own package manager,
//! from a local folder, without a network.
//!
//! `carried` finds them in the archive, `apt` asks the package manager what installing them would do and lets it do so, `judge`
//! refuses what would remove anything or make it older, `lock` waits for others who work on the host's packages. There is no undo:
//! packages only go forward, and a run that was interrupted is finished by the next.

mod apt;
mod carried;
mod command;
mod judge;
mod lock;
mod version;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::exit::{Code, Exit};
use crate::host;
use crate::role::Role;
use crate::source::Source;
use apt::Apt;
use carried::Carried;

pub use command::command;
pub use judge::Plan;

/// Where packages are put for the time of their installation: on a disk, where apt keeps its own.
const FOLDER: &str = "/var/cache/cairn-packages";

/// What is carried for this host and its role, unpacked, with what installing it would do. All of it goes away when this does.
pub struct Packages {
    apt: Apt,
    named: Vec<String>,
    /// What will be done.
    pub plan: Plan,
    record: carried::Record,
    _folder: Folder,
}

impl Packages {
    /// Looks what installing the packages for `os` (ID and VERSION_ID of os-release(5)) and `role` would do. `None` if the archive
    /// carries nothing for them. Somebody else may work on the host's packages for `patience`.
    ///
    /// # Errors
    /// Exit code 3 if they do not go with what is there, 8 if something would be removed or become older, 5 if another run is here.
    pub fn prepare(source: &Source, os: &str, role: Role, patience: Duration) -> Result<Option<Self>> {
        let Some(carried) = Carried::find(source, os)? else { return Ok(None) };
        let named: Vec<String> = carried.named(role).into_iter().map(str::to_owned).collect();
        if named.is_empty() {
            return Ok(None);
        }
        let folder = Folder::make(Path::new(FOLDER))?;
        let packages = carried.unpack(&folder.path.join("carried"))?;
        let own = folder.path.join("apt");
        host::make_folder(&own, 0o755)?;
        let apt = Apt::new(&own, &packages, patience)?;
        let mut prepared =
            Self { apt, named, plan: Plan::default(), record: carried.record, _folder: folder };
        prepared.plan = prepared.look()?;
        Ok(Some(prepared))
    }

    fn look(&self) -> Result<Plan> {
        judge::judge(&self.apt.simulate(&self.names())?, &self.record, apt::unfinished()?)
    }

    fn names(&self) -> Vec<&str> {
        self.named.iter().map(String::as_str).collect()
    }

    /// Does what was planned. It is done when the host's package manager finds nothing wrong and nothing left to do.
    ///
    /// # Errors
    /// Exit code 4 if there is no room, 5 if somebody else works on the host's packages, 7 if the package manager fails. Running it
    /// again goes on where it ended.
    pub fn install(&self) -> Result<()> {
        self.refuse_without_room()?;
        if self.plan.unfinished {
            self.apt.finish()?;
        }
        self.apt.install(&self.names())?;
        let wrong = apt::audit()?;
        let left = self.look()?;
        if !wrong.is_empty() || !left.is_empty() {
            let sentence = format!(
                "packages were installed, and not all is well ({wrong}{left}); run `dpkg --audit` to see more"
            );
            return Err(Exit::error(Code::Failed, sentence));
        }
        Ok(())
    }

    fn refuse_without_room(&self) -> Result<()> {
        let system = rustix::fs::statvfs("/usr").context("cannot ask how much room `/usr` has")?;
        let free = system.f_bavail * system.f_frsize;
        if free < self.plan.bytes {
            let megabytes = |bytes: u64| bytes / 1_000_000;
            let sentence = format!(
                "`/usr` has {} MB free, and the packages take {} MB; make room there",
                megabytes(free),
                megabytes(self.plan.bytes)
            );
            return Err(Exit::error(Code::NoSpace, sentence));
        }
        Ok(())
    }
}

/// The folder, held against a second run, gone at the end. What a run that was killed has left is removed by the next.
struct Folder {
    path: PathBuf,
    _lock: host::Lock,
}

impl Folder {
    fn make(path: &Path) -> Result<Self> {
        if path.symlink_metadata().is_err() {
            host::make_folder(path, 0o755)?;
        }
        let lock = host::lock(path)?;
        for entry in path.read_dir().with_context(|| format!("cannot read `{}`", path.display()))? {
            host::remove_tree(&entry?.path())?;
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = host::remove_tree(&self.path);
        // Whoever looks at this folder's parent afterwards sees that it is gone, also after a power cut.
        let _ = self.path.parent().map(File::open).map(|parent| parent.and_then(|parent| parent.sync_all()));
    }
}
