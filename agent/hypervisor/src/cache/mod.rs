//! In which mode QEMU opens a disk: what is asked for, what the file systems under it are worth, and what that comes to.
//!
//! `decide` is the only place that makes a mode of a choice. It is a pure function; where it has to know what O_DIRECT is
//! worth under a disk, it says so: this host looks ([`settle`], by [`probe`]), the simulated one asks its strings
//! ([`settle_with`]). Every path that makes a disk goes through one of them.
//!
//! Which modes a running QEMU can go over to is [`live`].
//!
//! Not here: how QEMU really has a file open, which its descriptors tell afterwards ([`crate::libvirt`]).

mod decide;
pub mod evidence;
pub(crate) mod left;
pub mod live;
pub(crate) mod own;
pub(crate) mod probe;
mod trial;

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::spec::{Aio, CacheChoice, CacheMode, CacheRequest, DiskBus, DiskId, Format, Origin, Sector};

pub use decide::{Question, Ruling, Source, Verdict, Warning, decide};
use evidence::{Answer, Evidence};
pub(crate) use probe::Prober;

/// What is asked of the disks of a domain whenever it is turned on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePlan {
    /// What is asked of which disk. A disk that is not named keeps the mode that it has.
    pub disks: Vec<(DiskId, CacheRequest)>,
    /// What is asked of all CD-ROM drives.
    pub cdroms: CacheRequest,
}

/// What would be asked of a disk that there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supposed {
    /// Its file.
    pub file: PathBuf,
    /// What is in it.
    pub format: Format,
    /// How the guest sees it.
    pub bus: DiskBus,
    /// What is asked for.
    pub cache: CacheRequest,
    /// The sector that its guest sees.
    pub sector: Sector,
}

/// What is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device<'a> {
    /// A disk on this file.
    Disk {
        /// The file.
        file: &'a Path,
        /// What is in it.
        format: Format,
        /// How the guest sees it.
        bus: DiskBus,
    },
    /// A CD-ROM drive, and the file that lies in it.
    Drive(Option<&'a Path>),
}

/// What QEMU does with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// It reads and writes.
    Write,
    /// It only reads.
    Read,
}

/// What O_DIRECT is worth at one file of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The file.
    pub path: PathBuf,
    /// The folder that it really lies in.
    pub folder: PathBuf,
    /// What was found out.
    pub evidence: Evidence,
    /// What it means.
    pub answer: Answer,
}

/// A mode, and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What was asked for.
    pub choice: CacheChoice,
    /// Where that was set, if it is known.
    pub origin: Option<Origin>,
    /// What that is here.
    pub mode: CacheMode,
    /// The beginning of a sentence that says why: "asked for `auto`, which is `none` here: ...".
    pub why: String,
    /// How QEMU waits for the host's reads and writes. None: as it likes.
    pub aio: Option<Aio>,
    /// The sector that the guest sees, in bytes. None: QEMU's, which is 512.
    pub sector_bytes: Option<u32>,
    /// What one should know; the reason ends with it.
    pub warnings: Vec<String>,
    /// What O_DIRECT was found to be worth at the file and at every image under it, if somebody looked.
    pub layers: Vec<Layer>,
    /// Which of them decided: that where O_DIRECT is worth least. None: it is worth all everywhere.
    pub weakest: Option<usize>,
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
    /// That `choice` comes to `mode`, and nothing else is said.
    #[must_use]
    pub fn new(choice: CacheChoice, mode: CacheMode, why: impl Into<String>) -> Self {
        Self {
            choice,
            origin: None,
            mode,
            why: why.into(),
            aio: None,
            sector_bytes: None,
            warnings: Vec::new(),
            layers: Vec::new(),
            weakest: None,
        }
    }

    /// What was asked for in as many words.
    #[must_use]
    pub fn explicit(mode: CacheMode) -> Self {
        let label = match mode {
            CacheMode::Unsafe => ", with which a crash of the host loses what is on the disk",
            CacheMode::None | CacheMode::Writeback | CacheMode::Writethrough | CacheMode::Directsync => "",
        };
        Self::new(mode.into(), mode, format!("asked for `{mode}`{label}"))
    }

    /// Whether the mode alone tells all of how it came about.
    #[must_use]
    pub fn is_explicit(&self) -> bool {
        let Self { choice, origin, mode, why, aio: _, sector_bytes: _, warnings, layers, weakest: _ } = self;
        let told = Self::explicit(*mode);
        (*choice, origin.is_none(), why) == (told.choice, true, &told.why)
            && warnings.is_empty()
            && layers.is_empty()
    }
}

impl Supposed {
    /// What is asked.
    #[must_use]
    pub fn question(&self) -> Question<'_> {
        let device = Device::Disk { file: &self.file, format: self.format, bus: self.bus };
        Question { sector: self.sector, ..Question::new(self.cache, device) }
    }
}

impl<'a> Device<'a> {
    /// A disk as it is asked for.
    #[must_use]
    pub fn disk(disk: &'a crate::spec::Disk) -> Self {
        Self::Disk { file: &disk.source, format: disk.format, bus: disk.bus }
    }

    /// The file that is opened, what is in it, and what QEMU does with it.
    fn opened(self) -> Option<(&'a Path, Format, Access)> {
        match self {
            Self::Disk { file, format, .. } => Some((file, format, Access::Write)),
            Self::Drive(media) => media.map(|file| (file, Format::Raw, Access::Read)),
        }
    }
}

/// The mode of one device of this host, whose file systems are looked at.
///
/// # Errors
/// [`Error::RefusesDirectIo`], or what keeps [`probe`] from knowing.
pub(crate) async fn settle(prober: &Prober, question: Question<'_>) -> Result<Decision, Error> {
    let layers = match (decide(&question, None)?, question.device.opened()) {
        (Verdict::Decided(ruling), _) => return Ok(ruling.told()),
        (Verdict::Ask, Some((file, format, access))) => prober.chain(file, format, access).await?,
        (Verdict::Ask, None) => Vec::new(),
    };
    layers.iter().for_each(
        |layer| tracing::debug!(path = %layer.path.display(), evidence = %layer.evidence, "direct I/O"),
    );
    known(&question, &layers)
}

/// The mode of one device of a host of which `ask` knows at once what O_DIRECT is worth under a file.
///
/// # Errors
/// [`Error::RefusesDirectIo`], or that of `ask`.
pub(crate) fn settle_with(
    question: Question<'_>,
    ask: impl Fn(&Path) -> Result<Vec<Layer>, Error>,
) -> Result<Decision, Error> {
    let layers = match (decide(&question, None)?, question.device.opened()) {
        (Verdict::Decided(ruling), _) => return Ok(ruling.told()),
        (Verdict::Ask, Some((file, ..))) => ask(file)?,
        (Verdict::Ask, None) => Vec::new(),
    };
    known(&question, &layers)
}

fn known(question: &Question<'_>, layers: &[Layer]) -> Result<Decision, Error> {
    match decide(question, Some(layers))? {
        Verdict::Decided(ruling) => Ok(ruling.told()),
        Verdict::Ask => Err(Error::Failed {
            what: "choose a cache mode".to_owned(),
            cause: "what was found out is not enough".to_owned(),
            remedy: "report this".to_owned(),
        }),
    }
}
