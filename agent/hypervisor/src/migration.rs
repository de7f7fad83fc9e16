//! Whether a domain may migrate as its disks are open: what libvirt would say (`qemuMigrationSrcIsSafe` in
//! qemu_migration.c), found before it is asked, by the modes that are in force and not by those that libvirt was told.
//!
//! What a host keeps in its page cache the other one does not see. With O_DIRECT there is nothing; without, QEMU drops what
//! it read as it hands over (`drop-cache`), from version 4.0 on.

use std::fmt;
use std::path::Path;

use crate::spec::CacheMode;
use crate::state::Domain;

/// The first version of QEMU that drops its cache.
const DROPS_CACHE_SINCE: (u64, u64) = (4, 0);

/// File systems that several hosts have, as the kernel names them: those that libvirt counts (`virFileIsSharedFS`).
const SHARED: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "afs",
    "gpfs",
    "acfs",
    "beegfs",
    "fuse.glusterfs",
    "fuse.quobyte",
];

/// Those among them that keep page caches in step (`virFileIsClusterFS`).
const COHERENT: &[&str] = &["gfs2", "ocfs2", "ceph", "fuse.ceph"];

/// Whether a domain may migrate as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its disks and drives, each with what is to be said of it.
    pub disks: Vec<(Opened, Verdict)>,
    /// Whether this QEMU drops what it keeps.
    pub drops_cache: bool,
}

/// Where a disk lies, as far as the other host is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// On this host alone.
    Local,
    /// On a file system that both hosts have.
    Shared,
    /// On one that keeps the page caches of its hosts in step: GFS2, OCFS2, CephFS.
    Coherent,
    /// Over the network, by QEMU itself: RBD, iSCSI.
    Network,
}

/// A disk, as a migration sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What people call it.
    pub name: String,
    /// The mode that is in force.
    pub mode: CacheMode,
    /// Where it lies.
    pub reach: Reach,
    /// Whether nothing lies in it: an empty drive.
    pub empty: bool,
    /// Whether the guest can only read it.
    pub readonly: bool,
    /// Whether several domains may write to it at once.
    pub shareable: bool,
    /// Whether the migration copies it to the other host.
    pub copied: bool,
}

/// Why a disk is no obstacle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safe {
    /// Nothing is read or written there.
    Empty,
    /// It is only read, so both hosts see the same.
    ReadOnly,
    /// It goes along.
    Copied,
    /// What both hosts see is the same.
    Coherent,
    /// It is made for several writers.
    Shareable,
    /// This host keeps nothing of it.
    Direct,
    /// QEMU drops what it keeps.
    DropsCache,
}

/// Why a disk is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsafe {
    /// The other host does not see it.
    NotShared,
    /// This QEMU does not drop what it keeps.
    KeepsCache,
    /// Nobody writes to disk what the guest has flushed.
    NeverFlushed,
}

/// Whether a disk may migrate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Safe(Safe),
    /// It may not.
    Unsafe(Unsafe),
}

/// Whether `disk` may migrate. `drops_cache`: QEMU has `drop-cache` on both sides, as since 4.0.
///
/// libvirt lets `unsafe` pass where QEMU drops its cache. We do not: what the guest flushed has never been made to leave
/// this host.
#[must_use]
pub fn verdict(disk: &Opened, drops_cache: bool) -> Verdict {
    if disk.empty {
        return Verdict::Safe(Safe::Empty);
    }
    if disk.readonly {
        return Verdict::Safe(Safe::ReadOnly);
    }
    if disk.copied {
        return Verdict::Safe(Safe::Copied);
    }
    match (disk.reach, disk.mode) {
        (Reach::Local, _) => Verdict::Unsafe(Unsafe::NotShared),
        (Reach::Coherent | Reach::Network, _) => Verdict::Safe(Safe::Coherent),
        (Reach::Shared, _) if disk.shareable => Verdict::Safe(Safe::Shareable),
        (Reach::Shared, CacheMode::None | CacheMode::Directsync) => Verdict::Safe(Safe::Direct),
        (Reach::Shared, CacheMode::Unsafe) => Verdict::Unsafe(Unsafe::NeverFlushed),
        (Reach::Shared, CacheMode::Writeback | CacheMode::Writethrough) if drops_cache => {
            Verdict::Safe(Safe::DropsCache)
        }
        (Reach::Shared, CacheMode::Writeback | CacheMode::Writethrough) => {
            Verdict::Unsafe(Unsafe::KeepsCache)
        }
    }
}

impl Migration {
    /// Of these disks and drives.
    #[must_use]
    pub fn of(disks: Vec<Opened>, drops_cache: bool) -> Self {
        let judged = disks.into_iter().map(|disk| {
            let verdict = verdict(&disk, drops_cache);
            (disk, verdict)
        });
        Self { disks: judged.collect(), drops_cache }
    }

    /// Whether it may.
    #[must_use]
    pub fn may(&self) -> bool {
        self.disks.iter().all(|(_, verdict)| matches!(verdict, Verdict::Safe(_)))
    }
}

/// The disks and drives of a domain, as a migration sees them. `reach` tells where a file lies.
#[must_use]
pub fn opened(domain: &Domain, reach: impl Fn(&Path) -> Reach) -> Vec<Opened> {
    let disk = |name: &str, mode, path: Option<&Path>, readonly, shareable| Opened {
        name: name.to_owned(),
        mode,
        reach: path.map_or(Reach::Local, &reach),
        empty: path.is_none(),
        readonly,
        shareable,
        copied: false,
    };
    let disks = domain.disks.iter();
    let disks =
        disks.map(|one| disk(&one.target, one.cache.mode, Some(&one.source), one.readonly, one.shareable));
    let drives = domain.cdroms.iter();
    let drives = drives.map(|one| {
        let media = one.media.as_ref();
        disk(&one.target, one.cache, media.map(|media| media.source.as_path()), true, false)
    });
    disks.chain(drives).collect()
}

/// Where a disk on a file system of this type lies.
#[must_use]
pub fn reach(file_system: &str) -> Reach {
    if COHERENT.contains(&file_system) {
        Reach::Coherent
    } else if SHARED.contains(&file_system) {
        Reach::Shared
    } else {
        Reach::Local
    }
}

/// Whether a QEMU of this version drops what the page cache has of a disk as it hands over.
#[must_use]
pub fn drops_cache(major: u64, minor: u64) -> bool {
    (major, minor) >= DROPS_CACHE_SINCE
}

/// Why a domain with these disks may not migrate: a sentence for each disk that is in the way. Empty: it may.
#[must_use]
pub fn obstacles(disks: &[Opened], drops_cache: bool) -> Vec<String> {
    let obstacle = |disk: &Opened| match verdict(disk, drops_cache) {
        Verdict::Safe(_) => None,
        Verdict::Unsafe(why) => Some(format!("`{}` {why}; {}", disk.name, why.remedy())),
    };
    disks.iter().filter_map(obstacle).collect()
}

impl Unsafe {
    /// What to do.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::NotShared => "move it to a storage that both hosts have, or have it copied along",
            Self::KeepsCache => "set its cache mode to `none` and reboot, or upgrade QEMU to 4.0 or newer",
            Self::NeverFlushed => "set its cache mode to `none` or `writeback` and reboot",
        }
    }
}

impl fmt::Display for Unsafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotShared => "lies on this host alone",
            Self::KeepsCache => "is kept in part in this host's page cache, and this QEMU does not drop it",
            Self::NeverFlushed => {
                "is open with `unsafe`: what its guest has flushed may be in this host's page cache alone"
            }
        })
    }
}

impl fmt::Display for Safe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "has nothing in it",
            Self::ReadOnly => "is only read",
            Self::Copied => "goes along",
            Self::Coherent => "is the same for all hosts that have it",
            Self::Shareable => "is made for several writers",
            Self::Direct => "is not in this host's page cache",
            Self::DropsCache => "is safe because QEMU drops what this host's page cache has of it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REACHES: [Reach; 4] = [Reach::Local, Reach::Shared, Reach::Coherent, Reach::Network];

    fn disk(mode: CacheMode, reach: Reach) -> Opened {
        let name = "vda".to_owned();
        Opened { name, mode, reach, empty: false, readonly: false, shareable: false, copied: false }
    }

    #[test]
    fn the_table_of_modes() {
        let mut table = String::new();
        for drops_cache in [true, false] {
            for reach in REACHES {
                let shown =
                    CacheMode::ALL.iter().map(|mode| match verdict(&disk(*mode, reach), drops_cache) {
                        Verdict::Safe(why) => format!("{why:?}"),
                        Verdict::Unsafe(why) => format!("!{why:?}"),
                    });
                let drops = if drops_cache { "drops" } else { "keeps" };
                table += &format!("{reach:?} {drops}: {}\n", shown.collect::<Vec<_>>().join(" "));
            }
        }
        // Columns: none, writeback, writethrough, directsync, unsafe.
        let expected = "\
            Local drops: !NotShared !NotShared !NotShared !NotShared !NotShared\n\
            Shared drops: Direct DropsCache DropsCache Direct !NeverFlushed\n\
            Coherent drops: Coherent Coherent Coherent Coherent Coherent\n\
            Network drops: Coherent Coherent Coherent Coherent Coherent\n\
            Local keeps: !NotShared !NotShared !NotShared !NotShared !NotShared\n\
            Shared keeps: Direct !KeepsCache !KeepsCache Direct !NeverFlushed\n\
            Coherent keeps: Coherent Coherent Coherent Coherent Coherent\n\
            Network keeps: Coherent Coherent Coherent Coherent Coherent\n";
        assert_eq!(table, expected);
    }

    /// `qemuMigrationSrcIsSafe`, line by line.
    fn libvirt_says(disk: &Opened, drops_cache: bool) -> bool {
        if disk.empty || disk.readonly {
            return true;
        }
        if disk.copied {
            return true;
        }
        let mut without_shared_storage = false;
        match disk.reach {
            Reach::Local => without_shared_storage = true,
            Reach::Shared => {}
            Reach::Coherent | Reach::Network => return true,
        }
        if without_shared_storage {
            return false;
        }
        if disk.shareable || matches!(disk.mode, CacheMode::None | CacheMode::Directsync) {
            return true;
        }
        drops_cache
    }

    #[test]
    fn libvirt_agrees_but_for_unsafe() {
        let mut compared = 0;
        for bits in 0..32_u8 {
            let is = |bit: u8| bits & (1 << bit) != 0;
            for (reach, mode) in
                REACHES.iter().flat_map(|reach| CacheMode::ALL.iter().map(|mode| (*reach, *mode)))
            {
                let disk = Opened {
                    empty: is(0),
                    readonly: is(1),
                    shareable: is(2),
                    copied: is(3),
                    ..disk(mode, reach)
                };
                let ours = verdict(&disk, is(4));
                let stricter = ours == Verdict::Unsafe(Unsafe::NeverFlushed);
                assert_eq!(
                    matches!(ours, Verdict::Safe(_)) || stricter && is(4),
                    libvirt_says(&disk, is(4)),
                    "{disk:?} {}",
                    is(4)
                );
                compared += 1;
            }
        }
        assert_eq!(compared, 640);
    }

    #[test]
    fn every_obstacle_has_a_way_out() {
        let disks = [
            disk(CacheMode::None, Reach::Shared),
            disk(CacheMode::Writeback, Reach::Shared),
            disk(CacheMode::Unsafe, Reach::Shared),
            disk(CacheMode::None, Reach::Local),
        ];
        assert_eq!(obstacles(&disks[..2], true), [] as [&str; 0]);
        assert_eq!(
            obstacles(&disks, false),
            [
                "`vda` is kept in part in this host's page cache, and this QEMU does not drop it; set its cache mode to `none` \
                 and reboot, or upgrade QEMU to 4.0 or newer",
                "`vda` is open with `unsafe`: what its guest has flushed may be in this host's page cache alone; set its cache \
                 mode to `none` or `writeback` and reboot",
                "`vda` lies on this host alone; move it to a storage that both hosts have, or have it copied along",
            ]
        );
    }
}
