//! Entries to compressed members, on several threads, with a bounded number of chunks in memory.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use libdeflater::{CompressionLvl, Compressor};
use sha2::{Digest as _, Sha256};

use super::layout::{CHUNK_BYTES, Group, groups};
use super::{Compressed, Content, Input, cache};
use crate::manifest::{Entry, HELPER, Member, Needs, Section};
use crate::read::MAX_MEMBER_BYTES;
use crate::trailer::hex;
use crate::{EntryPath, Error};

/// libdeflate's level: as small as `gzip -9` on binaries, at a fifth of its time.
const LEVEL: i32 = 6;

/// Content is stored when a sample does not shrink below this many hundredths.
const WORTHWHILE_PERCENT: usize = 97;
const SAMPLE_BYTES: usize = 64 << 10;

/// Compresses `inputs`, the helper first, then section by section in the order of `sections` (name and the roles that
/// need it). Members go to and come from `cache`, a folder.
/// `progress` is told of each member's uncompressed bytes.
///
/// # Errors
/// [`Error::Input`] for an entry that cannot be packed: a second one of its name, a section that is not listed, a
/// missing helper; [`Error::Io`] for a file that cannot be read or a cache that cannot be written.
pub fn compress(
    mut inputs: Vec<Input>,
    sections: &[(String, Vec<String>)],
    cache: &Path,
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Compressed, Error> {
    fs::create_dir_all(cache).map_err(Error::io("create", cache))?;
    let sizes = sort(&mut inputs, sections)?;
    let shapes: Vec<(&str, u64)> =
        inputs.iter().zip(&sizes).map(|(input, &size)| (input.section.as_str(), size)).collect();
    let groups = groups(&shapes);

    let (chunk_sender, chunk_receiver) = sync_channel::<Chunk>(threads.max(1));
    let chunk_receiver = Mutex::new(chunk_receiver);
    let done = Mutex::new(Vec::<(usize, Done)>::new());
    let mut entries = Vec::with_capacity(inputs.len());
    let produced = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1))
            .map(|_| scope.spawn(|| work(&chunk_receiver, cache, &done, progress)))
            .collect();
        let mut producer = Producer { inputs: &inputs, sizes: &sizes, chunks: chunk_sender, next: 0 };
        let produced = producer.run(&groups, &mut entries);
        drop(producer);
        let worked = workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        // A worker that failed makes the producer fail too, with less to say.
        worked.and(produced)
    });
    produced?;

    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    Ok(tables(done, entries, sections))
}

/// Puts the inputs into the order of the file and returns their sizes.
fn sort(inputs: &mut [Input], sections: &[(String, Vec<String>)]) -> Result<Vec<u64>, Error> {
    let refuse = |path: &EntryPath, what: String| Error::Input { path: PathBuf::from(path.as_str()), what };
    let mut sized = Vec::with_capacity(inputs.len());
    for input in inputs.iter() {
        let size = size_of(input)?;
        let Some(section) = sections.iter().position(|(name, _)| *name == input.section) else {
            return Err(refuse(&input.path, format!("its section `{}` is not listed", input.section)));
        };
        let helper = input.path.as_str() == HELPER;
        if helper && (section != 0 || size + 1024 > MAX_MEMBER_BYTES) {
            return Err(refuse(
                &input.path,
                "the helper belongs in the first section and in one member".into(),
            ));
        }
        sized.push((size, (!helper, section, size >= super::layout::GROUP_BYTES, input.path.clone())));
    }
    let mut order: Vec<usize> = (0..inputs.len()).collect();
    order.sort_by(|&a, &b| sized[a].1.cmp(&sized[b].1));
    if order.first().is_none_or(|&first| inputs[first].path.as_str() != HELPER) {
        return Err(Error::Input { path: HELPER.into(), what: "the archive needs its helper".into() });
    }
    for pair in order.windows(2) {
        if inputs[pair[0]].path == inputs[pair[1]].path {
            return Err(refuse(&inputs[pair[0]].path, "two entries have this name".into()));
        }
    }
    let reordered: Vec<Input> = order.iter().map(|&index| inputs[index].clone()).collect();
    inputs.clone_from_slice(&reordered);
    Ok(order.iter().map(|&index| sized[index].0).collect())
}

fn size_of(input: &Input) -> Result<u64, Error> {
    match &input.content {
        Content::Bytes(bytes) => Ok(bytes.len() as u64),
        Content::File(path) => {
            let metadata = fs::symlink_metadata(path).map_err(Error::io("read", path))?;
            if !metadata.is_file() {
                let what = "it is not a regular file; pack what it points to instead".to_owned();
                return Err(Error::Input { path: path.clone(), what });
            }
            Ok(metadata.len())
        }
    }
}

/// Uncompressed bytes of one member, with their place in the order.
struct Chunk {
    index: usize,
    section: String,
    raw: Vec<u8>,
}

struct Done {
    section: String,
    raw_size: u64,
    cached: cache::Cached,
}

struct Producer<'a> {
    inputs: &'a [Input],
    sizes: &'a [u64],
    chunks: SyncSender<Chunk>,
    next: usize,
}

impl Producer<'_> {
    fn run(&mut self, groups: &[Group], entries: &mut Vec<Entry>) -> Result<(), Error> {
        for group in groups {
            match group {
                Group::Shared(range) => {
                    let mut raw = Vec::new();
                    for index in range.clone() {
                        self.entry(index, &mut raw, entries, u64::MAX)?;
                    }
                    self.send(range.start, raw)?;
                }
                Group::Alone(index) => {
                    let mut raw = Vec::new();
                    self.entry(*index, &mut raw, entries, CHUNK_BYTES)?;
                    self.send(*index, raw)?;
                }
            }
        }
        // Two blocks of zeros end a tar file.
        self.chunk(String::new(), vec![0; 1024])
    }

    /// Appends header, content and padding of an entry to `raw`, and sends `raw` off whenever it reaches `limit`.
    fn entry(
        &mut self,
        index: usize,
        raw: &mut Vec<u8>,
        entries: &mut Vec<Entry>,
        limit: u64,
    ) -> Result<(), Error> {
        let (input, size) = (&self.inputs[index], self.sizes[index]);
        let member = self.next;
        raw.extend_from_slice(header(input, size)?.as_bytes());
        let mut reader: Box<dyn Read> = match &input.content {
            Content::Bytes(bytes) => Box::new(&bytes[..]),
            Content::File(path) => Box::new(File::open(path).map_err(Error::io("open", path))?),
        };
        let name = Path::new(input.path.as_str());
        let (mut hash, mut left) = (Sha256::new(), size);
        while left > 0 {
            let room = limit.saturating_sub(raw.len() as u64).min(left).min(CHUNK_BYTES);
            let at = raw.len();
            (&mut reader).take(room).read_to_end(raw).map_err(Error::io("read", name))?;
            if (raw.len() - at) as u64 != room {
                return Err(changed(&input.path));
            }
            hash.update(&raw[at..]);
            left -= room;
            if raw.len() as u64 == limit && left > 0 {
                self.send(index, std::mem::take(raw))?;
            }
        }
        if reader.read(&mut [0]).map_err(Error::io("read", name))? != 0 {
            return Err(changed(&input.path));
        }
        raw.resize(raw.len().next_multiple_of(512), 0);
        entries.push(Entry {
            path: input.path.clone(),
            section: input.section.clone(),
            mode: input.mode,
            size,
            sha256: hex(&hash.finalize()),
            member,
        });
        Ok(())
    }

    fn send(&mut self, input: usize, raw: Vec<u8>) -> Result<(), Error> {
        self.chunk(self.inputs[input].section.clone(), raw)
    }

    fn chunk(&mut self, section: String, raw: Vec<u8>) -> Result<(), Error> {
        let index = self.next;
        self.next += 1;
        self.chunks.send(Chunk { index, section, raw }).map_err(|_| Error::Input {
            path: "members".into(),
            what: "the compressing threads have stopped".into(),
        })
    }
}

fn changed(path: &EntryPath) -> Error {
    Error::Input { path: path.as_str().into(), what: "it changed while it was read; build again".into() }
}

fn header(input: &Input, size: u64) -> Result<tar::Header, Error> {
    let mut header = tar::Header::new_ustar();
    let name = input.path.as_str();
    header.set_path(name).map_err(Error::io("pack", Path::new(name)))?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(input.mode.bits());
    header.set_mtime(input.mtime);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Ok(header)
}

fn work(
    chunks: &Mutex<Receiver<Chunk>>,
    cache: &Path,
    done: &Mutex<Vec<(usize, Done)>>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(), Error> {
    loop {
        let received = chunks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
        let Ok(chunk) = received else { return Ok(()) };
        let cached = cache::member(cache, &Sha256::digest(&chunk.raw), || deflate(&chunk.raw));
        let cached = match cached {
            Ok(cached) => cached,
            Err(error) => {
                // Let the producer and the other workers run dry instead of waiting for a reader that is gone.
                while chunks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv().is_ok() {}
                return Err(error);
            }
        };
        let raw_size = chunk.raw.len() as u64;
        progress(raw_size);
        let result = Done { section: chunk.section, raw_size, cached };
        done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((chunk.index, result));
    }
}

/// One gzip member: no name, no time, system "unknown", so that only the content decides its bytes.
fn deflate(raw: &[u8]) -> Vec<u8> {
    let level = if shrinks(raw) { LEVEL } else { 0 };
    gzip(raw, level)
}

fn gzip(raw: &[u8], level: i32) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::new(level).unwrap_or_default());
    let mut bytes = vec![0; compressor.gzip_compress_bound(raw.len())];
    // The bound is what libdeflate promises to stay within.
    let size = compressor
        .gzip_compress(raw, &mut bytes)
        .unwrap_or_else(|_| unreachable!("the bound is an upper bound"));
    bytes.truncate(size);
    bytes
}

/// Whether compressing is worth the reader's time, judged by the middle of the content.
fn shrinks(raw: &[u8]) -> bool {
    if raw.len() < SAMPLE_BYTES {
        return true;
    }
    let middle = &raw[(raw.len() - SAMPLE_BYTES) / 2..][..SAMPLE_BYTES];
    gzip(middle, 1).len() * 100 < SAMPLE_BYTES * WORTHWHILE_PERCENT
}

fn tables(done: Vec<(usize, Done)>, entries: Vec<Entry>, sections: &[(String, Vec<String>)]) -> Compressed {
    let (mut members, mut files, mut offset, mut reused) = (Vec::new(), Vec::new(), 0, 0);
    for (_, Done { section, raw_size, cached }) in done {
        members.push(Member { offset, size: cached.size, raw_size, sha256: cached.sha256, section });
        offset += cached.size;
        reused += usize::from(cached.reused);
        files.push(cached.file);
    }
    let sections = sections
        .iter()
        .map(|(name, roles)| {
            let own = entries.iter().filter(|entry| entry.section == *name);
            Section { name: name.clone(), roles: roles.clone(), needs: needs(own) }
        })
        .collect();
    Compressed { sections, entries, members, files, reused }
}

/// Room that `entries` take: their bytes, and one inode for each file and each folder.
pub(crate) fn needs<'a>(entries: impl Iterator<Item = &'a Entry>) -> Needs {
    let mut folders = std::collections::BTreeSet::new();
    let mut needs = Needs::default();
    for entry in entries {
        needs.bytes += entry.size;
        needs.inodes += 1;
        let path = entry.path.as_str();
        folders.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
    }
    needs.inodes += folders.len() as u64;
    needs
}
