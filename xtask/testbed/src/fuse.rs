//! A file system in this process, by FUSE: one folder of files, and of empty folders, in memory. It can refuse O_DIRECT, it can stop answering, as one
//! does whose server is away, and it tells what it is asked, before it does that.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, FUSE_ROOT_ID, FileAttr, FileType, Filesystem, MountOption, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request,
    TimeOrNow,
};
use rustix::fs::{OFlags, RenameFlags};
use rustix::io::Errno;

/// The kernel asks each time.
const TTL: Duration = Duration::ZERO;

/// What it does when a file is opened with O_DIRECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direct {
    /// It does so.
    Accepted,
    /// It says EINVAL.
    Refused,
}

/// Hears what is asked, in FUSE's word, and says whether it is done.
type Hook = Box<dyn FnMut(&'static str) -> bool + Send>;

/// A file system that is mounted as long as this is there.
pub struct Mounted {
    gate: Gate,
    _session: BackgroundSession,
}

#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<Entrance>, Condvar)>);

#[derive(Default)]
struct Entrance {
    closed: bool,
    hook: Option<Hook>,
}

struct Memory {
    direct: Direct,
    gate: Gate,
    files: BTreeMap<u64, (String, FileAttr, Vec<u8>)>,
    next: u64,
}

/// Mounts one that everybody may use.
///
/// # Errors
/// If the kernel does not mount it.
pub fn mount(at: &Path, direct: Direct) -> std::io::Result<Mounted> {
    std::fs::create_dir_all(at)?;
    let gate = Gate::default();
    let memory = Memory { direct, gate: gate.clone(), files: BTreeMap::new(), next: FUSE_ROOT_ID + 1 };
    let options =
        [MountOption::AllowOther, MountOption::DefaultPermissions, MountOption::FSName("memory".to_owned())];
    let session = fuser::spawn_mount2(memory, at, &options)?;
    Ok(Mounted { gate, _session: session })
}

impl Mounted {
    /// From now on it answers, or it does not.
    pub fn answers(&self, answers: bool) {
        self.gate.entrance().closed = !answers;
        self.gate.0.1.notify_all();
    }

    /// From now on this hears of each thing that is asked, in FUSE's word, before it is done; where it says false, that is not
    /// done and fails.
    pub fn each(&self, hook: impl FnMut(&'static str) -> bool + Send + 'static) {
        self.gate.entrance().hook = Some(Box::new(hook));
    }

    /// From now on nobody hears of it.
    pub fn unheard(&self) {
        self.gate.entrance().hook = None;
    }
}

impl std::fmt::Debug for Mounted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mounted").finish_non_exhaustive()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Or it could not be unmounted.
        self.unheard();
        self.answers(true);
    }
}

impl Gate {
    fn entrance(&self) -> MutexGuard<'_, Entrance> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it answers. Whether it does what it is asked.
    fn pass(&self, what: &'static str) -> bool {
        let waited = self.0.1.wait_while(self.entrance(), |entrance| entrance.closed);
        let mut entrance = waited.unwrap_or_else(PoisonError::into_inner);
        entrance.hook.as_mut().is_none_or(|hook| hook(what))
    }
}

fn attributes(ino: u64, kind: FileType, perm: u16) -> FileAttr {
    FileAttr {
        ino,
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

const fn number(errno: Errno) -> i32 {
    errno.raw_os_error()
}

impl Memory {
    fn named(&self, name: &OsStr) -> Option<u64> {
        self.files.iter().find(|(_, (own, ..))| OsStr::new(own) == name).map(|(ino, _)| *ino)
    }

    fn attr(&self, ino: u64) -> Option<FileAttr> {
        if ino == FUSE_ROOT_ID {
            return Some(attributes(ino, FileType::Directory, 0o755));
        }
        let (_, attr, bytes) = self.files.get(&ino)?;
        let size = bytes.len() as u64;
        Some(FileAttr { size, blocks: size.div_ceil(512), ..*attr })
    }

    fn add(&mut self, request: &Request<'_>, name: &OsStr, kind: FileType, mode: u32) -> FileAttr {
        let ino = self.next;
        self.next += 1;
        let attr = attributes(ino, kind, (mode & 0o7777) as u16);
        let attr = FileAttr { uid: request.uid(), gid: request.gid(), ..attr };
        self.files.insert(ino, (name.to_string_lossy().into_owned(), attr, Vec::new()));
        attr
    }

    fn refuses(&self, flags: i32) -> bool {
        self.direct == Direct::Refused
            && OFlags::from_bits_retain(flags.cast_unsigned()).contains(OFlags::DIRECT)
    }
}

impl Filesystem for Memory {
    fn lookup(&mut self, _: &Request<'_>, _: u64, name: &OsStr, reply: ReplyEntry) {
        if !self.gate.pass("lookup") {
            return reply.error(number(Errno::IO));
        }
        match self.named(name).and_then(|ino| self.attr(ino)) {
            Some(attr) => reply.entry(&TTL, &attr, 0),
            None => reply.error(number(Errno::NOENT)),
        }
    }

    fn getattr(&mut self, _: &Request<'_>, ino: u64, _: Option<u64>, reply: ReplyAttr) {
        if !self.gate.pass("getattr") {
            return reply.error(number(Errno::IO));
        }
        match self.attr(ino) {
            Some(attr) => reply.attr(&TTL, &attr),
            None => reply.error(number(Errno::NOENT)),
        }
    }

    fn setattr(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<std::time::SystemTime>,
        _: Option<u64>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<u32>,
        reply: ReplyAttr,
    ) {
        if !self.gate.pass("setattr") {
            return reply.error(number(Errno::IO));
        }
        if let Some((_, attr, bytes)) = self.files.get_mut(&ino) {
            attr.uid = uid.unwrap_or(attr.uid);
            attr.gid = gid.unwrap_or(attr.gid);
            attr.perm = mode.map_or(attr.perm, |mode| (mode & 0o7777) as u16);
            bytes.resize(size.map_or(bytes.len(), |size| size as usize), 0);
        }
        match self.attr(ino) {
            Some(attr) => reply.attr(&TTL, &attr),
            None => reply.error(number(Errno::NOENT)),
        }
    }

    fn open(&mut self, _: &Request<'_>, _: u64, flags: i32, reply: ReplyOpen) {
        if !self.gate.pass("open") {
            return reply.error(number(Errno::IO));
        }
        match self.refuses(flags) {
            true => reply.error(number(Errno::INVAL)),
            false => reply.opened(0, 0),
        }
    }

    fn create(
        &mut self,
        request: &Request<'_>,
        _: u64,
        name: &OsStr,
        mode: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        if !self.gate.pass("create") {
            return reply.error(number(Errno::IO));
        }
        if self.refuses(flags) {
            return reply.error(number(Errno::INVAL));
        }
        let attr = self.add(request, name, FileType::RegularFile, mode);
        reply.created(&TTL, &attr, 0, 0, 0);
    }

    fn read(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        _: u64,
        offset: i64,
        size: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyData,
    ) {
        if !self.gate.pass("read") {
            return reply.error(number(Errno::IO));
        }
        let Some((.., bytes)) = self.files.get(&ino) else { return reply.error(number(Errno::NOENT)) };
        let start = (offset as usize).min(bytes.len());
        reply.data(&bytes[start..(start + size as usize).min(bytes.len())]);
    }

    fn write(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        _: u64,
        offset: i64,
        data: &[u8],
        _: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyWrite,
    ) {
        if !self.gate.pass("write") {
            return reply.error(number(Errno::IO));
        }
        let Some((.., bytes)) = self.files.get_mut(&ino) else { return reply.error(number(Errno::NOENT)) };
        let (start, end) = (offset as usize, offset as usize + data.len());
        bytes.resize(bytes.len().max(end), 0);
        bytes[start..end].copy_from_slice(data);
        reply.written(data.len() as u32);
    }

    fn unlink(&mut self, _: &Request<'_>, _: u64, name: &OsStr, reply: ReplyEmpty) {
        if !self.gate.pass("unlink") {
            return reply.error(number(Errno::IO));
        }
        // An open file without a name is renamed by the kernel until it is closed; that, too, needs no more than this.
        match self.named(name).and_then(|ino| self.files.remove(&ino)) {
            Some(_) => reply.ok(),
            None => reply.error(number(Errno::NOENT)),
        }
    }

    fn mkdir(&mut self, request: &Request<'_>, _: u64, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        if !self.gate.pass("mkdir") {
            return reply.error(number(Errno::IO));
        }
        if self.named(name).is_some() {
            return reply.error(number(Errno::EXIST));
        }
        let attr = self.add(request, name, FileType::Directory, mode);
        reply.entry(&TTL, &attr, 0);
    }

    fn rmdir(&mut self, _: &Request<'_>, _: u64, name: &OsStr, reply: ReplyEmpty) {
        if !self.gate.pass("rmdir") {
            return reply.error(number(Errno::IO));
        }
        match self.named(name).and_then(|ino| self.files.remove(&ino)) {
            Some(_) => reply.ok(),
            None => reply.error(number(Errno::NOENT)),
        }
    }

    fn rename(
        &mut self,
        _: &Request<'_>,
        _: u64,
        name: &OsStr,
        _: u64,
        new: &OsStr,
        flags: u32,
        reply: ReplyEmpty,
    ) {
        if !self.gate.pass("rename") {
            return reply.error(number(Errno::IO));
        }
        let there = self.named(new);
        if there.is_some() && RenameFlags::from_bits_retain(flags).contains(RenameFlags::NOREPLACE) {
            return reply.error(number(Errno::EXIST));
        }
        let Some(ino) = self.named(name) else { return reply.error(number(Errno::NOENT)) };
        there.map(|there| self.files.remove(&there));
        if let Some((own, ..)) = self.files.get_mut(&ino) {
            *own = new.to_string_lossy().into_owned();
        }
        reply.ok();
    }

    fn readdir(&mut self, _: &Request<'_>, of: u64, _: u64, offset: i64, mut reply: ReplyDirectory) {
        if !self.gate.pass("readdir") {
            return reply.error(number(Errno::IO));
        }
        // A folder in it is empty.
        let files = self.files.iter().filter(|_| of == FUSE_ROOT_ID);
        for (at, (ino, (name, attr, _))) in files.enumerate().skip(offset as usize) {
            if reply.add(*ino, at as i64 + 1, attr.kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn flush(&mut self, _: &Request<'_>, _: u64, _: u64, _: u64, reply: ReplyEmpty) {
        if !self.gate.pass("flush") {
            return reply.error(number(Errno::IO));
        }
        reply.ok();
    }

    fn fsync(&mut self, _: &Request<'_>, _: u64, _: u64, _: bool, reply: ReplyEmpty) {
        if !self.gate.pass("fsync") {
            return reply.error(number(Errno::IO));
        }
        reply.ok();
    }

    fn statfs(&mut self, _: &Request<'_>, _: u64, reply: ReplyStatfs) {
        if !self.gate.pass("statfs") {
            return reply.error(number(Errno::IO));
        }
        reply.statfs(1 << 20, 1 << 19, 1 << 19, 1 << 10, 1 << 9, 4096, 255, 4096);
    }
}
