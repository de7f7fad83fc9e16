//! Packages of the host's operating system that the archive carries, and their way onto the host: through its own package manager,
//! from a local folder, without a network.
//!
//! `carried` finds them in the archive, `apt` asks the package manager what installing them would do and lets it do so, `judge`
//! refuses what would remove anything or make it older, `lock` waits for others who work on the host's packages, `added` keeps
//! what came. There is no undo: packages only go forward, and a run that was interrupted is finished by the next. They go on
//! demand alone, by `removal`.

mod added;
mod apt;
mod carried;
mod command;
mod judge;
mod lock;
mod removal;
mod version;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::exit::{Code, Exit};
use crate::host;
use crate::layout::Layout;
use crate::preflight;
use crate::role::Role;
use crate::say::{self, say};
use crate::source::Source;
use crate::transaction::fault;
use apt::Apt;
use carried::Carried;

pub use added::Added;
pub use command::command;
pub use judge::Plan;
pub use removal::Removal;

/// Where packages are put for the time of their installation: on a disk, where apt keeps its own.
pub const FOLDER: &str = "/var/cache/cairn-packages";

/// What is carried for this host and its role, unpacked, with what installing it would do. All of it goes away when this does.
pub struct Packages {
    apt: Apt,
    named: Vec<String>,
    /// What will be done.
    pub plan: Plan,
    record: carried::Record,
    /// What they come with, and for whom.
    product: (String, String, Role),
    _folder: Folder,
}

impl Packages {
    /// Those that go to the host with an installation below `layout`, as [`Packages::prepare`]. `None` also for another root, which
    /// is no host, and where nothing is left to do.
    ///
    /// # Errors
    /// As [`Packages::prepare`], and exit code 4 if there is no room for them.
    pub fn with(
        source: &Source,
        layout: &Layout,
        role: Role,
        leave_out: bool,
        patience: Duration,
    ) -> Result<Option<Self>> {
        if leave_out || !layout.is_host() {
            return Ok(None);
        }
        let prepared = Self::prepare(source, &preflight::id_and_version(Path::new("/")), role, patience)?;
        let prepared = prepared.filter(|packages| !packages.plan.is_empty());
        if let Some(packages) = &prepared {
            packages.refuse_without_room()?;
        }
        Ok(prepared)
    }

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
        let apt = Apt::new(&own, Some(&packages), patience)?;
        let manifest = source.manifest();
        let mut prepared = Self {
            apt,
            named,
            plan: Plan::default(),
            record: carried.record,
            product: (manifest.product.clone(), manifest.version.clone(), role),
            _folder: folder,
        };
        prepared.plan = prepared.look()?;
        Ok(Some(prepared))
    }

    fn look(&self) -> Result<Plan> {
        judge::judge(&self.apt.simulate(&self.names())?, &self.record, apt::unfinished()?)
    }

    fn names(&self) -> Vec<&str> {
        self.named.iter().map(String::as_str).collect()
    }

    /// Shows what will be done, for a plan that is shown.
    pub fn tell(&self) {
        self.plan.to_string().lines().for_each(|line| say!("  {line}"));
    }

    /// Says what is done, and how it ended, around [`Packages::install`].
    ///
    /// # Errors
    /// As that.
    pub fn install_aloud(&self, layout: &Layout, quiet: bool) -> Result<()> {
        if !quiet {
            say::begin(format_args!("  {} ... ", self.plan.summary()));
        }
        let done = self.install(layout);
        if !quiet {
            say!("{}", if done.is_ok() { "ok" } else { "failed" });
        }
        done
    }

    /// Does what was planned, and writes into the receipt what comes. It is done when the host's package manager finds nothing
    /// wrong and nothing left to do.
    ///
    /// # Errors
    /// Exit code 4 if there is no room, 5 if somebody else works on the host's packages, 7 if the package manager fails. Running it
    /// again goes on where it ended.
    pub fn install(&self, layout: &Layout) -> Result<()> {
        self.refuse_without_room()?;
        self.apt.wait()?;
        fault::point()?;
        let (product, version, role) = &self.product;
        added::note(layout, &self.plan, product, version, *role)?;
        fault::point()?;
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
        fault::point()
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
