//! Room on the file systems that an installation goes to. Whether they take a file at all is in `writable.rs`, whether
//! programs run from them in `executable.rs`, how their files take direct I/O in `direct_io.rs`.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use packaging_archive::Needs;
use rustix::fs::{StatVfs, statvfs};

use super::Subject;
use super::mounts;
use super::probe::{Probe, errno, nearest};
use super::report::Finding;
use super::writable::remedy_for;
use crate::layout::Layout;
use crate::packages;

const MIB: u64 = 1 << 20;

/// One folder, and what will be put into it.
struct Want {
    folder: PathBuf,
    needs: Needs,
}

/// One file system, and what will be put onto it.
struct Room {
    device: u64,
    /// The folders that lie on it.
    folders: Vec<PathBuf>,
    needs: Needs,
    /// The nearest existing ancestor of the first folder.
    at: PathBuf,
    total_bytes: u64,
    total_inodes: u64,
    /// What is free for an ordinary user. `None`: the file system has no such limit, as ramfs, or inodes on btrfs.
    free_bytes: Option<u64>,
    free_inodes: Option<u64>,
}

/// What goes where. A new version lies beside its staged copy for a moment, hence twice; the archive is kept.
fn wants(subject: &Subject) -> Vec<Want> {
    let layout = &subject.layout;
    let want = |folder, bytes, inodes| Want { folder, needs: Needs { bytes, inodes } };
    let unpacked = subject.unpacked;
    let mut wants = vec![
        want(layout.prefix(), unpacked.bytes.saturating_mul(2), unpacked.inodes.saturating_mul(2)),
        want(layout.configuration(), MIB, 64),
        // Beside the archive: the stub and the manifest, the database, and the journal of the installation.
        want(layout.state(), subject.archive_bytes.saturating_add(64 * MIB), 256),
        want(layout.logs(), 16 * MIB, 64),
    ];
    if let Some(needs) = subject.packages {
        // The packages themselves; what they unpack to is known when they are looked at.
        wants.push(want(PathBuf::from(packages::FOLDER), needs.bytes.saturating_add(MIB), needs.inodes + 16));
    }
    if let Some(folder) = roomiest(&subject.scratch) {
        wants.push(want(folder.clone(), subject.helper_bytes.saturating_add(MIB), 8));
    }
    wants
}

/// Of the folders that take a file the one with most room, and of equal ones the first: the helper needs any of them.
fn roomiest(folders: &[PathBuf]) -> Option<&PathBuf> {
    let free = |folder: &PathBuf| statvfs(folder).map_or(0, |fs| free_bytes(&fs).unwrap_or(u64::MAX));
    folders
        .iter()
        .rev()
        .filter(|folder| Probe::create(folder, 0o600).is_ok())
        .max_by_key(|folder| free(folder))
}

/// Whether every file system has the bytes.
pub(super) fn space(subject: &Subject) -> Vec<Finding> {
    over_rooms(subject, |room| {
        limit(room, "", size, room.needs.bytes, whole_mib(room), "files, or enlarge it")
    })
}

/// Whether every file system has the inodes.
pub(super) fn inodes(subject: &Subject) -> Vec<Finding> {
    let count = |number: u64| number.to_string();
    over_rooms(subject, |room| {
        limit(room, " inodes", count, room.needs.inodes, room.free_inodes, "many small files")
    })
}

/// What is free in whole MiB, so that what lacks shows in the numbers.
fn whole_mib(room: &Room) -> Option<u64> {
    room.free_bytes.map(|bytes| bytes / MIB * MIB)
}

fn limit(
    room: &Room,
    unit: &str,
    show: fn(u64) -> String,
    need: u64,
    free: Option<u64>,
    what: &str,
) -> Finding {
    let place = place(room);
    match free {
        None => Finding::pass(format!("{place}: no limit")),
        Some(free) if free >= need => {
            Finding::pass(format!("{place}: {} of {}{unit} free are needed", show(need), show(free)))
        }
        Some(free) => Finding::no_room(
            format!("{place}: {}{unit} are needed, {} free", show(need), show(free)),
            format!("make room for {}{unit} more on that file system: remove {what}", show(need - free)),
        ),
    }
}

fn on(at: &Path) -> String {
    mounts::of(at)
        .map_or_else(|| "one file system".into(), |m| format!("the {} at `{}`", m.kind, m.point.display()))
}

/// How much room is left where an installation writes from day to day, whatever another installation would need.
pub fn left(layout: &Layout) -> Vec<Finding> {
    let nothing = || Needs { bytes: 0, inodes: 0 };
    let folders = [
        layout.state(),
        layout.backups(),
        layout.archives(),
        layout.images(),
        layout.volumes(),
        layout.logs(),
        layout.configuration(),
        layout.prefix(),
    ];
    let wants = folders.into_iter().map(|folder| Want { folder, needs: nothing() }).collect();
    let (rooms, mut findings) = rooms(wants);
    findings.extend(rooms.iter().map(judge_left));
    findings
}

/// Full below the first, nearly full below the second: what a database, its log and a backup take, and a day of them.
const FULL_BYTES: u64 = 64 * MIB;
const SCARCE_BYTES: u64 = 1024 * MIB;
/// With more left than this, a small part of the whole is no trouble.
const AMPLE_BYTES: u64 = 20 * 1024 * MIB;
const FULL_INODES: u64 = 256;

fn judge_left(room: &Room) -> Finding {
    let (bytes, inodes) = (room.free_bytes, room.free_inodes);
    let mut parts = vec![match bytes {
        Some(free) => format!("{} of {} free", size(free), size(room.total_bytes)),
        None => "no limit".to_owned(),
    }];
    parts.extend(inodes.map(|free| format!("{free} of {} inodes", room.total_inodes)));
    let evidence = format!("{}: {}", place(room), parts.join(", "));
    let is_full =
        bytes.is_some_and(|free| free < FULL_BYTES) || inodes.is_some_and(|free| free < FULL_INODES);
    let is_scarce = |free: u64| free < SCARCE_BYTES || (free < AMPLE_BYTES && free < room.total_bytes / 10);
    let is_scarce = bytes.is_some_and(is_scarce) || inodes.is_some_and(|free| free < room.total_inodes / 20);
    let remedy = "remove what is not needed there (`cairnctl backup list` names backups), or enlarge it: once it is full, the \
                  server writes nothing more and virtual machines stop";
    match (is_full, is_scarce) {
        (true, _) => Finding::fail(evidence, remedy),
        (false, true) => Finding::warn(evidence, remedy),
        (false, false) => Finding::pass(evidence),
    }
}

fn place(room: &Room) -> String {
    let folders: Vec<String> = room.folders.iter().map(|folder| format!("`{}`", folder.display())).collect();
    format!("{} on {}", folders.join(", "), on(&room.at))
}

fn over_rooms(subject: &Subject, judge: impl Fn(&Room) -> Finding) -> Vec<Finding> {
    let (rooms, mut findings) = rooms(wants(subject));
    findings.extend(rooms.iter().map(judge));
    findings
}

/// Sums up what is wanted by file system. A folder that cannot be looked at is a finding already.
fn rooms(wants: Vec<Want>) -> (Vec<Room>, Vec<Finding>) {
    let (mut rooms, mut findings): (Vec<Room>, Vec<Finding>) = (Vec::new(), Vec::new());
    for Want { folder, needs } in wants {
        let at = nearest(&folder);
        match look(&at) {
            Ok((device, fs)) => match rooms.iter_mut().find(|room| room.device == device) {
                Some(room) => {
                    room.needs.bytes = room.needs.bytes.saturating_add(needs.bytes);
                    room.needs.inodes = room.needs.inodes.saturating_add(needs.inodes);
                    room.folders.push(folder);
                }
                None => rooms.push(Room {
                    device,
                    folders: vec![folder],
                    needs,
                    at,
                    total_bytes: fs.f_blocks.saturating_mul(fs.f_frsize),
                    total_inodes: fs.f_files,
                    free_bytes: free_bytes(&fs),
                    free_inodes: (fs.f_files > 0).then_some(fs.f_favail),
                }),
            },
            Err(error) => findings.push(cannot_look(&at, &error)),
        }
    }
    (rooms, findings)
}

fn look(at: &Path) -> io::Result<(u64, StatVfs)> {
    let device = at.metadata().map(|metadata: Metadata| metadata.dev())?;
    Ok((device, statvfs(at)?))
}

fn free_bytes(fs: &StatVfs) -> Option<u64> {
    (fs.f_blocks > 0).then(|| fs.f_bavail.saturating_mul(fs.f_frsize))
}

fn cannot_look(at: &Path, error: &io::Error) -> Finding {
    Finding::fail(format!("`{}` cannot be looked at: {}", at.display(), errno(error)), remedy_for(at, error))
}

/// Bytes for people: in MiB below one GiB, rounded up, so that what is needed is never said too small.
fn size(bytes: u64) -> String {
    if bytes < 1024 * MIB {
        format!("{} MiB", bytes.div_ceil(MIB))
    } else {
        let tenths = bytes / MIB * 10 / 1024;
        format!("{}.{} GiB", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::{Check, Group, Report, State};
    use super::super::tests::subject;
    use super::*;

    fn room(free_bytes: Option<u64>, free_inodes: Option<u64>) -> Room {
        let needs = Needs { bytes: 300 * MIB, inodes: 40 };
        let folders = vec![PathBuf::from("/opt/cairn"), PathBuf::from("/etc/cairn")];
        let (total_bytes, total_inodes) = (100 * 1024 * MIB, 10_000);
        let at = PathBuf::from("/not/there");
        Room { device: 1, folders, needs, at, total_bytes, total_inodes, free_bytes, free_inodes }
    }

    #[test]
    fn what_is_left_is_told_before_it_is_gone() {
        let left = |bytes, inodes| judge_left(&room(bytes, inodes));
        for (bytes, inodes, state) in [
            (None, None, State::Pass),
            (Some(FULL_BYTES - 1), None, State::Fail),
            (Some(FULL_BYTES), None, State::Warn),
            (Some(SCARCE_BYTES), None, State::Warn),
            (Some(10 * 1024 * MIB), None, State::Pass),
            (Some(10 * 1024 * MIB - 1), Some(10_000), State::Warn),
            (Some(50 * 1024 * MIB), Some(FULL_INODES - 1), State::Fail),
            (Some(50 * 1024 * MIB), Some(499), State::Warn),
            (Some(50 * 1024 * MIB), Some(500), State::Pass),
        ] {
            assert_eq!(left(bytes, inodes).state, state, "{bytes:?} {inodes:?}");
        }
        // On a large one, a small part is much.
        let large = Room { total_bytes: 1 << 50, ..room(Some(AMPLE_BYTES), None) };
        assert_eq!(judge_left(&large).state, State::Pass);
        let scarce = left(Some(SCARCE_BYTES), Some(600));
        let said =
            "`/opt/cairn`, `/etc/cairn` on one file system: 1.0 GiB of 100.0 GiB free, 600 of 10000 inodes";
        assert_eq!((scarce.evidence.as_str(), scarce.remedy.is_some()), (said, true));
    }

    #[test]
    fn room_is_compared_and_told() {
        let bytes = |free| limit(&room(free, None), "", size, 300 * MIB, free, "files");
        assert_eq!(bytes(None).state, State::Pass);
        assert_eq!(bytes(Some(300 * MIB)).state, State::Pass);
        let lacking = bytes(Some(299 * MIB));
        assert_eq!(
            (lacking.state, lacking.evidence.as_str()),
            (State::Fail, "`/opt/cairn`, `/etc/cairn` on one file system: 300 MiB are needed, 299 MiB free")
        );
        let report = Report { checks: vec![Check::new(Group::Storage, "space", lacking)] };
        assert_eq!(report.code(), Some(crate::exit::Code::NoSpace));
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!((size(0), size(1), size(MIB)), ("0 MiB".into(), "1 MiB".into(), "1 MiB".into()));
        assert_eq!((size(1024 * MIB), size(2 * 1024 * MIB - 1)), ("1.0 GiB".into(), "1.9 GiB".into()));
    }

    #[test]
    fn one_file_system_is_one_room() {
        let root = tempfile::tempdir().unwrap();
        let mut subject = subject(root.path());
        subject.scratch = vec![root.path().to_owned()];
        let (rooms, findings) = rooms(wants(&subject));
        assert!(findings.is_empty());
        assert_eq!((rooms.len(), rooms[0].folders.len()), (1, 5));
        assert!(
            rooms[0].needs.bytes >= 2 * subject.unpacked.bytes + subject.archive_bytes + subject.helper_bytes
        );
        subject.packages = Some(Needs { bytes: u64::MAX, inodes: 1 });
        let packages = wants(&subject).into_iter().find(|want| want.folder == Path::new(packages::FOLDER));
        assert!(packages.is_some_and(|want| want.needs.bytes == u64::MAX));
        subject.packages = None;
        subject.unpacked.bytes = u64::MAX;
        assert_eq!(space(&subject)[0].state, State::Fail);
        assert_eq!(inodes(&subject)[0].state, State::Pass);
    }
}
