//! What the kernel says and does about O_DIRECT at one place, and what that means. Nothing is looked at here.

use std::fmt;
use std::path::PathBuf;

use rustix::io::Errno;

/// The sector that a guest sees unless it is told otherwise, in bytes.
pub const SECTOR_BYTES: u32 = 512;

/// A whole sector of a disk with large sectors, and a page, in bytes.
pub const PAGE_BYTES: u32 = 4096;

/// What a file's offsets and memory have to be multiples of for O_DIRECT, as statx(2) tells with `STATX_DIOALIGN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alignment {
    /// Of memory, in bytes; 0 where O_DIRECT goes through the page cache.
    pub memory_bytes: u32,
    /// Of offsets and lengths, in bytes; 0 where O_DIRECT goes through the page cache.
    pub offset_bytes: u32,
}

/// How one attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// Nobody tried.
    Not,
    /// It worked.
    Worked,
    /// The kernel refused.
    Failed(Errno),
}

/// How the attempts were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// By writing to a file of our own.
    Writing,
    /// By reading the file itself, which is only read, or beside which nothing can be written.
    Reading,
}

/// All that was found out about O_DIRECT at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Where the file system is mounted; a block device itself.
    pub mount: PathBuf,
    /// Its type, as the kernel names it: `ext4`; or `block device`.
    pub file_system: String,
    /// The number of its device: `254:0`.
    pub device: String,
    /// What the kernel tells of itself. None: it is silent, as before 6.1 and of many file systems.
    pub statx: Option<Alignment>,
    /// Opening a file with O_DIRECT.
    pub open: Tried,
    /// How the next two were made.
    pub by: By,
    /// 512 bytes at an aligned place.
    pub sector: Tried,
    /// 4096 bytes at an aligned place.
    pub page: Tried,
}

/// What O_DIRECT is worth at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It goes past the page cache, also for single sectors.
    Direct,
    /// It is accepted, and goes through the page cache all the same.
    Buffered,
    /// It is refused.
    Refused(Errno),
    /// It takes blocks of this many bytes and no smaller ones.
    Larger {
        /// More than [`SECTOR_BYTES`].
        bytes: u32,
    },
}

impl Tried {
    /// The refusal of O_DIRECT itself; not that of a full disk, for example.
    #[must_use]
    pub const fn refusal(self) -> Option<Errno> {
        match self {
            Self::Failed(errno @ (Errno::INVAL | Errno::OPNOTSUPP)) => Some(errno),
            Self::Not | Self::Worked | Self::Failed(_) => None,
        }
    }
}

impl Evidence {
    /// What it means. None: nothing can be said.
    #[must_use]
    pub fn answer(&self) -> Option<Answer> {
        if let Some(errno) = self.open.refusal() {
            return Some(Answer::Refused(errno));
        }
        // What is done counts more than what is said.
        match (self.sector.refusal(), self.page) {
            (Some(errno), Tried::Failed(_)) if self.page.refusal().is_some() => {
                let larger = self.statx.map_or(0, |told| told.offset_bytes);
                return Some(match larger > PAGE_BYTES {
                    true => Answer::Larger { bytes: larger },
                    false => Answer::Refused(errno),
                });
            }
            (Some(_), Tried::Worked) => {
                let told = self.statx.map_or(0, |told| told.offset_bytes);
                return Some(Answer::Larger { bytes: told.max(PAGE_BYTES) });
            }
            _ => {}
        }
        match self.statx {
            Some(Alignment { offset_bytes: 0, .. }) => Some(Answer::Buffered),
            Some(Alignment { offset_bytes: bytes, .. }) if bytes > SECTOR_BYTES => {
                Some(Answer::Larger { bytes })
            }
            Some(_) => Some(Answer::Direct),
            None if self.open == Tried::Worked && self.has_nothing_else() => Some(Answer::Buffered),
            None if (self.sector, self.page) == (Tried::Worked, Tried::Worked) => Some(Answer::Direct),
            None => None,
        }
    }

    /// Whether the kernel takes O_DIRECT there and has nothing to go past the page cache with. These do not tell.
    fn has_nothing_else(&self) -> bool {
        let kind = self.file_system.as_str();
        ["tmpfs", "zfs", "fuse", "fuseblk"].contains(&kind) || kind.starts_with("fuse.")
    }

    /// Whether it keeps checksums of what it writes, so that a guest that changes its memory meanwhile leaves a block whose
    /// checksum is wrong.
    #[must_use]
    pub fn has_checksums(&self) -> bool {
        ["btrfs", "zfs", "bcachefs"].contains(&self.file_system.as_str())
    }
}

/// The kernel's words, without its number, which says nothing to people.
#[must_use]
pub fn words(errno: Errno) -> String {
    errno.to_string().split(" (os error").next().unwrap_or_default().to_owned()
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Not => f.write_str("not tried"),
            Self::Worked => f.write_str("works"),
            Self::Failed(errno) => f.write_str(&words(*errno)),
        }
    }
}

/// "statx: memory 4, offset 512 bytes; open: works; write of 512 bytes: works; write of 4096 bytes: works".
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.statx {
            None => f.write_str("statx: silent")?,
            Some(Alignment { memory_bytes, offset_bytes }) => {
                write!(f, "statx: memory {memory_bytes}, offset {offset_bytes} bytes")?;
            }
        }
        let how = match self.by {
            By::Writing => "write",
            By::Reading => "read",
        };
        let Self { open, sector, page, .. } = self;
        write!(
            f,
            "; open: {open}; {how} of {SECTOR_BYTES} bytes: {sector}; {how} of {PAGE_BYTES} bytes: {page}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKED: Tried = Tried::Worked;
    const INVALID: Tried = Tried::Failed(Errno::INVAL);
    const UNKNOWN: Tried = Tried::Failed(Errno::OPNOTSUPP);
    const FULL: Tried = Tried::Failed(Errno::NOSPC);

    fn of(kind: &str, statx: Option<u32>, [open, sector, page]: [Tried; 3]) -> Evidence {
        Evidence {
            mount: "/srv".into(),
            file_system: kind.to_owned(),
            device: "254:0".to_owned(),
            statx: statx.map(|bytes| Alignment { memory_bytes: bytes.min(512), offset_bytes: bytes }),
            open,
            by: By::Writing,
            sector,
            page,
        }
    }

    #[test]
    fn each_answer_has_its_evidence() {
        let (direct, buffered) = (Some(Answer::Direct), Some(Answer::Buffered));
        let (larger, refused) = (|bytes| Some(Answer::Larger { bytes }), Some(Answer::Refused(Errno::INVAL)));
        let table = [
            ("ext4", Some(512), [WORKED, WORKED, WORKED], direct),
            ("xfs", Some(4096), [WORKED, INVALID, WORKED], larger(4096)),
            // ext4 with data=journal: only the kernel knows.
            ("ext4", Some(0), [WORKED, WORKED, WORKED], buffered),
            ("ramfs", None, [INVALID, Tried::Not, Tried::Not], refused),
            ("fuse.odd", None, [UNKNOWN, Tried::Not, Tried::Not], Some(Answer::Refused(Errno::OPNOTSUPP))),
            ("tmpfs", None, [WORKED, WORKED, WORKED], buffered),
            ("fuse.sshfs", None, [WORKED, WORKED, WORKED], buffered),
            ("fuseblk", None, [WORKED, WORKED, WORKED], buffered),
            ("zfs", None, [WORKED, WORKED, WORKED], buffered),
            ("btrfs", None, [WORKED, WORKED, WORKED], direct),
            ("nfs4", None, [WORKED, WORKED, WORKED], direct),
            // A kernel from before 6.1 on a disk with large sectors; ZFS 2.3 is alike.
            ("ext4", None, [WORKED, INVALID, WORKED], larger(4096)),
            ("zfs", None, [WORKED, INVALID, WORKED], larger(4096)),
            ("ext4", Some(16384), [WORKED, INVALID, INVALID], larger(16384)),
            ("stacked", None, [WORKED, INVALID, INVALID], refused),
            ("stacked", Some(512), [WORKED, INVALID, INVALID], refused),
            // A full disk says nothing, and the kernel or the type may.
            ("ext4", Some(512), [WORKED, FULL, FULL], direct),
            ("ext4", Some(4096), [WORKED, FULL, FULL], larger(4096)),
            ("tmpfs", None, [WORKED, FULL, FULL], buffered),
            ("nfs4", None, [WORKED, FULL, FULL], None),
            ("ext4", Some(512), [Tried::Not, Tried::Not, Tried::Not], direct),
            ("nfs4", None, [Tried::Not, Tried::Not, Tried::Not], None),
        ];
        for (kind, statx, tried, expected) in table {
            let evidence = of(kind, statx, tried);
            assert_eq!(evidence.answer(), expected, "{kind}: {evidence}");
        }
    }

    #[test]
    fn evidence_is_told_in_one_line() {
        assert_eq!(
            of("xfs", Some(4096), [WORKED, INVALID, FULL]).to_string(),
            "statx: memory 512, offset 4096 bytes; open: works; write of 512 bytes: Invalid argument; write of 4096 bytes: \
             No space left on device"
        );
        let silent = Evidence { by: By::Reading, ..of("ramfs", None, [INVALID, Tried::Not, Tried::Not]) };
        assert_eq!(
            silent.to_string(),
            "statx: silent; open: Invalid argument; read of 512 bytes: not tried; read of 4096 bytes: not tried"
        );
    }
}
