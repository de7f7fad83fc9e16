//! From what is asked for, and what O_DIRECT is worth under a disk, to how QEMU opens it.

use std::fmt;
use std::path::Path;

use super::evidence::{Answer, Evidence, PAGE_BYTES, SECTOR_BYTES, words};
use super::{Decision, Device, Layer};
use crate::error::Error;
use crate::spec::{Aio, CacheChoice, CacheMode, CacheRequest, DiskBus, Origin, Sector};

/// What a disk lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A file.
    File,
    /// A block device.
    Block,
    /// An image in a Ceph cluster, which QEMU reaches by librbd.
    Rbd,
    /// A unit of an iSCSI target, which QEMU reaches by libiscsi.
    Iscsi,
}

/// All that a decision depends on, but for what is under the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// What is asked for.
    pub choice: CacheChoice,
    /// Where that was set.
    pub origin: Option<Origin>,
    /// Whether whoever set it accepts that a crash of the host loses what is on the disk.
    pub accepts_loss: bool,
    /// Of what.
    pub device: Device<'a>,
    /// What it lies on.
    pub source: Source,
    /// How QEMU is to wait for the host's reads and writes; what an operator wrote, if anything.
    pub aio: Option<Aio>,
    /// What the guest sees.
    pub sector: Sector,
    /// Whether this QEMU can wait by `io_uring`.
    pub io_uring: bool,
}

/// Something that works, and that one should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// It is asked for O_DIRECT, and the page cache is in the way all the same.
    StillBuffered,
    /// What the guest writes is smaller than a block below: each such write is a read and a write.
    SmallWrites {
        /// The blocks below, in bytes.
        bytes: u32,
    },
    /// A guest that changes its memory while it is written leaves a block whose checksum is wrong.
    Checksums,
    /// `io='native'` works with O_DIRECT alone, and threads were put in its place.
    NativeNeedsDirect,
    /// QEMU has no `io_uring`, and threads were put in its place.
    NoIoUring,
    /// How to wait means nothing over a network, and was left out.
    NoAioOverNetwork,
}

/// What a question comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// How QEMU opens it, and why.
    pub decision: Decision,
    /// What one should know.
    pub warnings: Vec<Warning>,
}

/// What [`decide`] comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// This.
    Decided(Ruling),
    /// It has to know what O_DIRECT is worth under the disk.
    Ask,
}

impl<'a> Question<'a> {
    /// What is asked of a device on a file of which nothing else is known.
    #[must_use]
    pub fn new(request: impl Into<CacheRequest>, device: Device<'a>) -> Self {
        let CacheRequest { choice, origin, accepts_loss } = request.into();
        let (source, sector) = (Source::File, Sector::Fixed(None));
        // What stands in a description libvirt has taken, which asked QEMU.
        Self { choice, origin, accepts_loss, device, source, aio: None, sector, io_uring: true }
    }

    /// What is asked of a disk that is new to a domain.
    #[must_use]
    pub fn of_disk(disk: &'a crate::spec::Disk) -> Self {
        Self { sector: disk.sector, ..Self::new(disk.cache, Device::disk(disk)) }
    }

    /// The same of a device that has been decided about before: what its guest knows of it stays.
    #[must_use]
    pub fn again(request: impl Into<CacheRequest>, device: Device<'a>, before: &Decision) -> Self {
        let sector = Sector::Fixed(before.sector_bytes);
        Self { aio: before.aio, sector, ..Self::new(request, device) }
    }
}

impl Ruling {
    /// As it is kept and shown: the reason ends with what one should know.
    #[must_use]
    pub fn told(self) -> Decision {
        let Self { mut decision, warnings } = self;
        for warning in warnings {
            decision.why += &format!("; beware: {warning}");
            decision.warnings.push(warning.to_string());
        }
        decision
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StillBuffered => f.write_str("the host's page cache is used all the same"),
            Self::SmallWrites { bytes } => {
                write!(f, "each write of less than {bytes} bytes is a read and a write there")
            }
            Self::Checksums => {
                f.write_str("what a guest changes while it is written gets a checksum that is wrong")
            }
            Self::NativeNeedsDirect => {
                f.write_str("`io='native'` works with O_DIRECT alone, `threads` is used in its place")
            }
            Self::NoIoUring => f.write_str("this QEMU has no `io_uring`, `threads` is used in its place"),
            Self::NoAioOverNetwork => f.write_str("`io` means nothing over a network and is left out"),
        }
    }
}

/// How QEMU opens a device, or what has to be known first. `layers` is what O_DIRECT is worth at the device's file and at
/// every image under it, the file first; None: nobody has looked.
///
/// `writethrough` is never chosen: it costs a flush for each write, and keeps nothing that the guest's own flushes do not
/// keep. `unsafe` is never chosen either, and taken for a disk only from somebody who accepts the loss.
///
/// # Errors
/// [`Error::RefusesDirectIo`] if a mode is asked for in as many words that a file system under the device does not take,
/// [`Error::LossNotAccepted`] if `unsafe` is.
pub fn decide(question: &Question<'_>, layers: Option<&[Layer]>) -> Result<Verdict, Error> {
    let mut ruling = match (question.choice, question.device, question.source) {
        (CacheChoice::Auto, Device::Drive(_), _) => {
            // Nothing is lost by it: a drive is only read. And it is open to whatever is laid into it later, when its mode
            // cannot be changed any more.
            automatic(
                CacheMode::Writeback,
                "for a CD-ROM drive: it is only read, and takes images from every file system",
            )
        }
        (CacheChoice::Auto, Device::Disk { .. }, Source::Rbd) => automatic(
            CacheMode::Writeback,
            "over RBD: its client has a cache of its own, and flushes it when the guest does",
        ),
        (CacheChoice::Auto, Device::Disk { .. }, Source::Iscsi) => {
            automatic(CacheMode::None, "over iSCSI: QEMU speaks it itself, past the page cache")
        }
        (CacheChoice::Auto, Device::Disk { .. }, Source::File | Source::Block) => {
            let Some(layers) = layers else { return Ok(Verdict::Ask) };
            let mut ruling = by_layers(question, layers);
            ruling.decision.layers = layers.to_vec();
            ruling
        }
        (CacheChoice::None, ..) => return explicit(CacheMode::None, question, layers),
        (CacheChoice::Directsync, ..) => return explicit(CacheMode::Directsync, question, layers),
        (CacheChoice::Writeback, ..) => ruled(Decision::explicit(CacheMode::Writeback)),
        (CacheChoice::Writethrough, ..) => ruled(Decision::explicit(CacheMode::Writethrough)),
        (CacheChoice::Unsafe, Device::Disk { file, .. }, _) if !question.accepts_loss => {
            return Err(Error::LossNotAccepted { path: file.to_owned(), origin: question.origin });
        }
        (CacheChoice::Unsafe, ..) => ruled(Decision::explicit(CacheMode::Unsafe)),
    };
    finish(question, &mut ruling);
    Ok(Verdict::Decided(ruling))
}

/// A mode with O_DIRECT that was asked for in as many words.
fn explicit(mode: CacheMode, question: &Question<'_>, layers: Option<&[Layer]>) -> Result<Verdict, Error> {
    let mut ruling = ruled(Decision::explicit(mode));
    let local = matches!(question.source, Source::File | Source::Block);
    if let Some((file, ..)) = question.device.opened().filter(|_| local) {
        let Some(layers) = layers else { return Ok(Verdict::Ask) };
        ruling.decision.layers = layers.to_vec();
        if let Some((at, worth)) = weakest(layers, question.sector) {
            ruling.decision.weakest = Some(at);
            match worth {
                Worth::Refuses(refusal) => {
                    return Err(refused(question.device, file, mode, &layers[at], &refusal));
                }
                Worth::Buffers => ruling.warnings.push(Warning::StillBuffered),
                Worth::Larger(bytes) if can_show(bytes, question) => {
                    ruling.decision.sector_bytes = Some(bytes);
                }
                Worth::Larger(bytes) => ruling.warnings.push(Warning::SmallWrites { bytes }),
                Worth::Checksums => ruling.warnings.push(Warning::Checksums),
            }
        }
    }
    finish(question, &mut ruling);
    Ok(Verdict::Decided(ruling))
}

fn refused(device: Device<'_>, file: &Path, mode: CacheMode, weak: &Layer, refusal: &str) -> Error {
    let Evidence { mount, file_system, .. } = &weak.evidence;
    Error::RefusesDirectIo {
        path: weak.path.clone(),
        top: (file != weak.path).then(|| file.into()),
        mode,
        mount: mount.clone(),
        file_system: file_system.as_str().into(),
        refusal: refusal.into(),
        remedy: match device {
            Device::Disk { .. } => {
                "ask for `auto` or `writeback`, or move it to a file system that supports O_DIRECT"
            }
            Device::Drive(_) => {
                "ask for `auto` or `writeback` for CD-ROM drives, which counts from the next start on, or choose an image \
                 on a file system that supports O_DIRECT"
            }
        },
    }
}

/// O_DIRECT where it is worth something all the way down, and the page cache elsewhere.
fn by_layers(question: &Question<'_>, layers: &[Layer]) -> Ruling {
    let Some((at, worth)) = weakest(layers, question.sector) else {
        let at = layers.first().map_or_else(String::new, |top| {
            format!("`{}` on {} takes O_DIRECT", top.folder.display(), top.evidence.file_system)
        });
        return automatic(CacheMode::None, &format!("here: {at}"));
    };
    let weak = &layers[at];
    let Evidence { mount, file_system, .. } = &weak.evidence;
    let place = format!("`{}` ({file_system})", mount.display());
    let place = match at == 0 {
        true => place,
        false => format!("{place}, where the image `{}` under it lies,", weak.path.display()),
    };
    let (mode, sector_bytes, because) = match worth {
        Worth::Refuses(refusal) => (CacheMode::Writeback, None, format!("refuses O_DIRECT ({refusal})")),
        Worth::Buffers => {
            (CacheMode::Writeback, None, "accepts O_DIRECT and uses the page cache all the same".to_owned())
        }
        Worth::Larger(bytes) if can_show(bytes, question) => {
            let because = format!("takes O_DIRECT in blocks of {bytes} bytes, and so does the guest");
            (CacheMode::None, Some(bytes), because)
        }
        Worth::Larger(bytes) => {
            let seen = sector_bytes_of(question.sector);
            let because = format!("takes O_DIRECT in blocks of {bytes} bytes, and the guest's are of {seen}");
            (CacheMode::Writeback, None, because)
        }
        Worth::Checksums => {
            let because = "takes O_DIRECT, but keeps checksums, which a guest that changes what is being written makes \
                           wrong; ask for `none` to go without the page cache all the same";
            (CacheMode::Writeback, None, because.to_owned())
        }
    };
    let mut ruling = automatic(mode, &format!("here: {place} {because}"));
    ruling.decision.sector_bytes = sector_bytes;
    ruling.decision.weakest = Some(at);
    ruling
}

/// Whether the guest can be shown sectors of this many bytes: it has seen no others, and takes them. An AHCI disk has sectors
/// of 512 bytes and no others, and few guests take more than a page.
fn can_show(bytes: u32, question: &Question<'_>) -> bool {
    let takes = match question.device {
        Device::Disk { bus: DiskBus::Virtio | DiskBus::Scsi, .. } => bytes <= PAGE_BYTES,
        Device::Disk { bus: DiskBus::Sata, .. } | Device::Drive(_) => false,
    };
    takes && question.sector == Sector::Free
}

/// What keeps O_DIRECT from being all that it is elsewhere.
enum Worth {
    Refuses(String),
    Buffers,
    Larger(u32),
    Checksums,
}

/// The layer where O_DIRECT is worth least, the topmost of such; None: it is worth all everywhere.
fn weakest(layers: &[Layer], sector: Sector) -> Option<(usize, Worth)> {
    let worth = |layer: &Layer| match layer.answer {
        Answer::Refused(errno) => Some((4, Worth::Refuses(words(errno)))),
        Answer::Buffered => Some((3, Worth::Buffers)),
        Answer::Larger { bytes } if bytes > sector_bytes_of(sector) => Some((2, Worth::Larger(bytes))),
        Answer::Direct | Answer::Larger { .. } => {
            layer.evidence.has_checksums().then_some((1, Worth::Checksums))
        }
    };
    let mut weakest: Option<(u8, usize, Worth)> = None;
    for (at, layer) in layers.iter().enumerate() {
        if let Some((rank, found)) = worth(layer)
            && weakest.as_ref().is_none_or(|(least, ..)| rank > *least)
        {
            weakest = Some((rank, at, found));
        }
    }
    weakest.map(|(_, at, worth)| (at, worth))
}

fn sector_bytes_of(sector: Sector) -> u32 {
    match sector {
        Sector::Fixed(bytes) => bytes.unwrap_or(SECTOR_BYTES),
        Sector::Free => SECTOR_BYTES,
    }
}

fn ruled(decision: Decision) -> Ruling {
    Ruling { decision, warnings: Vec::new() }
}

fn automatic(mode: CacheMode, because: &str) -> Ruling {
    let why = format!("asked for `auto`, which is `{mode}` {because}");
    ruled(Decision::new(CacheChoice::Auto, mode, why))
}

/// What does not depend on where the mode comes from.
fn finish(question: &Question<'_>, ruling: &mut Ruling) {
    let Ruling { decision, warnings } = ruling;
    decision.origin = question.origin;
    decision.aio = match (question.aio, question.source) {
        (None, _) => None,
        (Some(_), Source::Rbd | Source::Iscsi) => {
            warnings.push(Warning::NoAioOverNetwork);
            None
        }
        (Some(Aio::Native), Source::File | Source::Block) if !decision.mode.is_direct() => {
            warnings.push(Warning::NativeNeedsDirect);
            Some(Aio::Threads)
        }
        (Some(Aio::IoUring), Source::File | Source::Block) if !question.io_uring => {
            warnings.push(Warning::NoIoUring);
            Some(Aio::Threads)
        }
        (Some(aio), Source::File | Source::Block) => Some(aio),
    };
    if let Sector::Fixed(bytes) = question.sector {
        decision.sector_bytes = bytes;
    }
}

#[cfg(test)]
mod tests;
