//! In which mode QEMU opens a disk: what is asked for, what the file system takes, and what that comes to.
//!
//! `decide` is the only place that makes a mode of a choice. It is a pure function; where it has to know whether a file
//! system takes O_DIRECT, it says so: this host looks ([`settle`], by [`probe`]), the simulated one asks its strings
//! ([`settle_with`]). Every path that makes a disk goes through one of them.
//!
//! Not here: how QEMU really has a file open, which its descriptors tell afterwards ([`crate::libvirt`]).

mod decide;
pub(crate) mod probe;

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::spec::{CacheChoice, CacheMode, DiskId};

pub(crate) use decide::decide;

/// What is asked of the disks of a domain whenever it is turned on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePlan {
    /// What is asked of which disk. A disk that is not named keeps the mode that it has.
    pub disks: Vec<(DiskId, CacheChoice)>,
    /// What is asked of all CD-ROM drives.
    pub cdroms: CacheChoice,
}

/// What is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device<'a> {
    /// A disk on this file.
    Disk(&'a Path),
    /// A CD-ROM drive, and the file that lies in it.
    Drive(Option<&'a Path>),
}

/// Whether a folder's file system takes O_DIRECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The folder that was looked at.
    pub(crate) folder: PathBuf,
    /// Where its file system is mounted.
    pub(crate) mount: PathBuf,
    /// The type of its file system: `ext4`.
    pub(crate) file_system: String,
    /// None: it takes O_DIRECT. Otherwise the kernel's refusal, in words.
    pub(crate) refusal: Option<String>,
}

/// A mode, and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What was asked for.
    pub choice: CacheChoice,
    /// What that is here.
    pub mode: CacheMode,
    /// The beginning of a sentence that says why: "asked for `auto`, which is `none` here: ...".
    pub why: String,
}

/// What [`decide`] comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// This.
    Decided(Decision),
    /// It has to know whether the folder of this file takes O_DIRECT.
    Ask(PathBuf),
}

/// The modes of all disks and drives of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decisions {
    /// Of its disks, in their order.
    pub disks: Vec<Decision>,
    /// Of its drives, in their order.
    pub drives: Vec<Decision>,
}

impl Decision {
    /// What was asked for in as many words.
    #[must_use]
    pub fn explicit(mode: CacheMode) -> Self {
        Self { choice: mode.into(), mode, why: format!("asked for `{mode}`") }
    }

    /// Whether the mode alone tells all of it.
    #[must_use]
    pub fn is_explicit(&self) -> bool {
        self.choice == self.mode.into()
    }
}

/// The mode of one device of this host, whose file systems are looked at.
///
/// # Errors
/// [`Error::RefusesDirectIo`], or what keeps [`probe`] from knowing.
pub(crate) async fn settle(choice: CacheChoice, device: Device<'_>) -> Result<Decision, Error> {
    let mut answer = None;
    loop {
        match decide(choice, device, answer.as_ref())? {
            Verdict::Decided(decision) => return Ok(decision),
            Verdict::Ask(file) => answer = Some(probe::look(&file).await?),
        }
    }
}

/// The mode of one device of a host of which `ask` knows at once.
///
/// # Errors
/// [`Error::RefusesDirectIo`], or that of `ask`.
pub(crate) fn settle_with(
    choice: CacheChoice,
    device: Device<'_>,
    ask: impl Fn(&Path) -> Result<Answer, Error>,
) -> Result<Decision, Error> {
    let mut answer = None;
    loop {
        match decide(choice, device, answer.as_ref())? {
            Verdict::Decided(decision) => return Ok(decision),
            Verdict::Ask(file) => answer = Some(ask(&file)?),
        }
    }
}
