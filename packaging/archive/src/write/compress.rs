//! Entries to compressed members, on several threads, with a bounded number of chunks in memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};

use super::deflate::Deflate;
use super::layout::groups;
use super::produce::{Part, Producer, Sources, key_of};
use super::{Compressed, Content, Input, cache};
use crate::manifest::{Entry, HELPER, MANIFEST, MAX_MEMBER_BYTES, Member, Section, needs};
use crate::trailer::Digest;
use crate::{EntryPath, Error};

/// More threads than this would hold more chunks than there is to be memory for, each one as it was and compressed.
const MAX_THREADS: usize = 12;

/// Chunks that wait for a thread.
const WAITING: usize = 4;

/// Compresses `inputs`, the helper first, then section by section in the order of `sections` (name and the roles that
/// need it). Members go to and come from `cache`, a folder. What files hold is remembered there too, so that those that
/// have not changed are not read again.
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
    let sources = Sources::new(inputs, sizes);

    let threads = threads.clamp(1, MAX_THREADS);
    let (sender, receiver) = sync_channel::<Chunk>(WAITING.min(threads));
    let receiver = Mutex::new(receiver);
    let done = Mutex::new(Vec::<Done>::new());
    let (produced, producer) = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| work(&receiver, &sources, cache, &done, progress))).collect();
        let mut producer = Producer::new(&sources, cache, sender, progress);
        let produced = producer.run(&groups);
        producer.stop();
        let worked = workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        // A worker that failed makes the producer fail too, with less to say.
        (worked.and(produced), producer)
    });
    produced?;

    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (entries, found) = producer.finish(&done);
    done.extend(found);
    let reused = done.iter().filter(|done| done.reused).count();
    done.sort_by_key(|done| done.index);
    let (sections, members) = tables(&done, &entries, sections);
    let packed =
        done.into_iter().map(|Done { cached, part, key, .. }| Packed { cached, part, key }).collect();
    Ok(Compressed { sections, entries, members, packed, sources, reused })
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
    refuse_names(inputs)?;
    let reordered: Vec<Input> = order.iter().map(|&index| inputs[index].clone()).collect();
    inputs.clone_from_slice(&reordered);
    Ok(order.iter().map(|&index| sized[index].0).collect())
}

/// Refuses what a reader would: two entries of one name, and a file where another needs a folder.
fn refuse_names(inputs: &[Input]) -> Result<(), Error> {
    let mut names = std::collections::BTreeSet::from([MANIFEST]);
    let refuse = |name: &str, what: String| Err(Error::Input { path: name.into(), what });
    for input in inputs {
        if !names.insert(input.path.as_str()) {
            return refuse(input.path.as_str(), "two entries have this name".into());
        }
    }
    for name in &names {
        for (at, _) in name.match_indices('/') {
            if names.contains(&name[..at]) {
                return refuse(name, format!("`{}` is a file, and this lies in it", &name[..at]));
            }
        }
    }
    Ok(())
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

/// A member that is to be made.
pub(super) struct Chunk {
    /// Its place in the order.
    pub(super) index: usize,
    pub(super) section: String,
    pub(super) part: Part,
    /// What it is kept by in the cache. `None` for the SHA-256 of its bytes, if that has to be made first.
    pub(super) key: Option<Digest>,
    /// Its bytes, if they were read already.
    pub(super) raw: Option<Vec<u8>>,
}

/// A member that is there.
pub(super) struct Done {
    pub(super) index: usize,
    pub(super) section: String,
    pub(super) part: Part,
    pub(super) key: Digest,
    pub(super) raw_size: u64,
    pub(super) cached: cache::Cached,
    pub(super) reused: bool,
}

/// Where a member is, and what it is made of.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    pub(crate) cached: cache::Cached,
    pub(super) part: Part,
    pub(super) key: Digest,
}

impl Packed {
    /// Fills `buffer` with the member. One that is not what it was is made again.
    pub(super) fn load(&self, sources: &Sources, buffer: &mut Vec<u8>) -> Result<(), Error> {
        if cache::load(&self.cached, buffer) {
            return Ok(());
        }
        let raw = sources.read(&self.part, Some(&self.key))?;
        *buffer = deflated(&mut Deflate::new(), &self.part, &raw);
        let again = cache::store(self.cached.file.clone(), buffer)?;
        if again.sha256 != self.cached.sha256 {
            let what = "it was made by another compressor; remove it and build again".into();
            return Err(Error::Input { path: self.cached.file.clone(), what });
        }
        Ok(())
    }
}

fn work(
    chunks: &Mutex<Receiver<Chunk>>,
    sources: &Sources,
    cache: &Path,
    done: &Mutex<Vec<Done>>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(), Error> {
    let mut deflate = Deflate::new();
    loop {
        let received = chunks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
        let Ok(chunk) = received else { return Ok(()) };
        match make(chunk, sources, cache, &mut deflate) {
            Ok(made) => {
                progress(made.raw_size);
                done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(made);
            }
            Err(error) => {
                // Let the producer and the other workers run dry instead of waiting for a reader that is gone.
                while chunks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv().is_ok() {}
                return Err(error);
            }
        }
    }
}

fn make(chunk: Chunk, sources: &Sources, cache: &Path, deflate: &mut Deflate) -> Result<Done, Error> {
    let Chunk { index, section, part, key, raw } = chunk;
    let raw = match raw {
        Some(raw) => raw,
        None => sources.read(&part, key.as_ref())?,
    };
    let (key, is_new) = match key {
        Some(key) => (key, true),
        None => (key_of(&raw), false),
    };
    let raw_size = raw.len() as u64;
    let place = cache::place(cache, &key);
    let found = if is_new { None } else { cache::look_up(place.clone()) };
    let reused = found.is_some();
    let cached = match found {
        Some(cached) => cached,
        None => cache::store(place, &deflated(deflate, &part, &raw))?,
    };
    Ok(Done { index, section, part, key, raw_size, cached, reused })
}

fn deflated(deflate: &mut Deflate, part: &Part, raw: &[u8]) -> Vec<u8> {
    match part {
        Part::Group(helper) if helper.start == 0 => Deflate::best(raw),
        Part::Group(_) | Part::Header(_) | Part::Content { .. } | Part::End => deflate.member(raw),
    }
}

fn tables(
    done: &[Done],
    entries: &[Entry],
    sections: &[(String, Vec<String>)],
) -> (Vec<Section>, Vec<Member>) {
    let mut offset = 0;
    let members = done.iter().map(|Done { section, raw_size, cached, .. }| {
        let (size, sha256) = (cached.size, cached.sha256.clone());
        let member = Member { offset, size, raw_size: *raw_size, sha256, section: section.clone() };
        offset += size;
        member
    });
    let members = members.collect();
    let sections = sections.iter().map(|(name, roles)| {
        let own = entries.iter().filter(|entry| entry.section == *name);
        Section { name: name.clone(), roles: roles.clone(), needs: needs(own) }
    });
    (sections.collect(), members)
}
