//! From entries to the members that are to be made: which are in the cache, which have to be compressed.
//!
//! A tar header lies with other headers and small contents, or by itself in front of an entry that is cut into chunks. So a
//! chunk holds content alone: another time, mode or name of an entry changes a small member and no big one.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::mpsc::SyncSender;

use sha2::{Digest as _, Sha256};

use super::cache;
use super::compress::{Chunk, Done};
use super::index::{Identity, Index, Known, identity};
use super::layout::{CHUNK_BYTES, Group};
use super::{Content, Input};
use crate::Error;
use crate::header::{END_BYTES, HEADER_BYTES, header};
use crate::manifest::Entry;
use crate::signature::unhex;
use crate::trailer::{Digest, hex};

/// What a member is made of. Inputs are named by their place.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// Headers and contents of these.
    Group(Range<usize>),
    /// The header of this one.
    Header(usize),
    /// Bytes of the content of this one, and what pads the last of them.
    Content { input: usize, offset: u64, size: u64 },
    /// The end of the tar stream.
    End,
}

/// What a member of these bytes is kept by in the cache, unless it is a group.
pub(super) fn key_of(raw: &[u8]) -> Digest {
    Sha256::new().chain_update(b"bytes\n").chain_update(raw).finalize().into()
}

/// What is packed, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    inputs: Vec<Input>,
    sizes: Vec<u64>,
}

impl Sources {
    pub(super) fn new(inputs: Vec<Input>, sizes: Vec<u64>) -> Self {
        Self { inputs, sizes }
    }

    /// The uncompressed bytes of a member. With a `key`, those alone that it stands for.
    pub(super) fn read(&self, part: &Part, key: Option<&Digest>) -> Result<Vec<u8>, Error> {
        let mut raw = Vec::new();
        match part {
            Part::Group(range) => {
                let mut hash = GroupHash::new();
                for input in range.clone() {
                    let content = self.content(input, 0, self.sizes[input])?;
                    let header = self.header(input)?;
                    hash.add(&header, &Sha256::digest(&content).into());
                    append(&mut raw, &header, &content);
                }
                let found = hash.key();
                if key.is_some_and(|key| *key != found) {
                    return Err(self.changed(range.start));
                }
            }
            Part::Content { input, offset, size } => {
                raw = self.content(*input, *offset, *size)?;
                pad(&mut raw);
                if key.is_some_and(|key| *key != key_of(&raw)) {
                    return Err(self.changed(*input));
                }
            }
            Part::Header(input) => raw = self.header(*input)?,
            Part::End => raw.resize(END_BYTES as usize, 0),
        }
        Ok(raw)
    }

    fn header(&self, index: usize) -> Result<Vec<u8>, Error> {
        let input = &self.inputs[index];
        let name = input.path.as_str();
        let header = header(name, self.sizes[index], input.mode, input.mtime);
        Ok(header.map_err(Error::io("pack", Path::new(name)))?.as_bytes().to_vec())
    }

    fn content(&self, index: usize, offset: u64, size: u64) -> Result<Vec<u8>, Error> {
        match &self.inputs[index].content {
            Content::Bytes(bytes) => Ok(bytes[offset as usize..][..size as usize].to_vec()),
            Content::File(path) => {
                let file = File::open(path).map_err(Error::io("open", path))?;
                let mut bytes = vec![0; size as usize];
                file.read_exact_at(&mut bytes, offset).map_err(|_| self.changed(index))?;
                Ok(bytes)
            }
        }
    }

    fn changed(&self, index: usize) -> Error {
        let what = "it changed while it was read; build again".to_owned();
        Error::Input { path: self.inputs[index].path.as_str().into(), what }
    }
}

/// The key of a group is made of headers and digests, so that nothing needs to be read where those are known.
struct GroupHash(Sha256);

impl GroupHash {
    fn new() -> Self {
        Self(Sha256::new().chain_update(b"group\n"))
    }

    fn add(&mut self, header: &[u8], content: &Digest) {
        self.0.update(header);
        self.0.update(content);
    }

    fn key(self) -> Digest {
        self.0.finalize().into()
    }
}

fn append(raw: &mut Vec<u8>, header: &[u8], content: &[u8]) {
    raw.extend_from_slice(header);
    raw.extend_from_slice(content);
    pad(raw);
}

fn pad(raw: &mut Vec<u8>) {
    raw.resize(raw.len().next_multiple_of(HEADER_BYTES as usize), 0);
}

/// A file that was read and that the next build need not read.
struct Learnt {
    identity: Identity,
    sha256: String,
    members: Range<usize>,
}

/// What the producer knows of an input before it reads it.
struct Looked {
    known: Option<Known>,
    /// Who it is, if it is to be remembered.
    identity: Option<Identity>,
}

/// Goes through the inputs, once.
pub(super) struct Producer<'a> {
    sources: &'a Sources,
    cache: &'a Path,
    chunks: Option<SyncSender<Chunk>>,
    progress: &'a (dyn Fn(u64) + Sync),
    index: Index,
    learnt: Vec<Learnt>,
    entries: Vec<Entry>,
    found: Vec<Done>,
    next: usize,
}

impl<'a> Producer<'a> {
    pub(super) fn new(
        sources: &'a Sources,
        cache: &'a Path,
        chunks: SyncSender<Chunk>,
        progress: &'a (dyn Fn(u64) + Sync),
    ) -> Self {
        Self {
            sources,
            cache,
            chunks: Some(chunks),
            progress,
            index: Index::open(cache),
            learnt: Vec::new(),
            entries: Vec::new(),
            found: Vec::new(),
            next: 0,
        }
    }

    /// Finds or sends off every member.
    pub(super) fn run(&mut self, groups: &[Group]) -> Result<(), Error> {
        for group in groups {
            match group {
                Group::Shared(range) => self.shared(range.clone())?,
                Group::Alone(input) => self.alone(*input)?,
            }
        }
        self.small(String::new(), Part::End)
    }

    /// Nothing more comes.
    pub(super) fn stop(&mut self) {
        self.chunks = None;
    }

    /// The entries, and the members that were found. What was read is remembered, by what the workers have `done`.
    pub(super) fn finish(mut self, done: &[Done]) -> (Vec<Entry>, Vec<Done>) {
        let keys: std::collections::BTreeMap<usize, &Digest> =
            done.iter().map(|done| (done.index, &done.key)).collect();
        for Learnt { identity, sha256, members } in self.learnt {
            let chunks = members.filter_map(|member| keys.get(&member).map(|key| hex(*key))).collect();
            self.index.remember(identity, Known { sha256, chunks });
        }
        self.index.save();
        (self.entries, self.found)
    }

    fn shared(&mut self, range: Range<usize>) -> Result<(), Error> {
        let mut hash = GroupHash::new();
        let (mut raw, mut whole, mut raw_size) = (Vec::new(), true, 0);
        for input in range.clone() {
            let looked = self.look(input)?;
            let header = self.sources.header(input)?;
            let digest = match looked.known.as_ref().and_then(|known| unhex(&known.sha256)) {
                Some(digest) => {
                    whole = false;
                    digest
                }
                None => {
                    let content = self.sources.content(input, 0, self.sources.sizes[input])?;
                    self.refuse_more(input)?;
                    let digest: Digest = Sha256::digest(&content).into();
                    if whole {
                        append(&mut raw, &header, &content);
                    }
                    self.learn(input, looked.identity, &hex(&digest), 0..0)?;
                    digest
                }
            };
            hash.add(&header, &digest);
            raw_size += (HEADER_BYTES + self.sources.sizes[input]).next_multiple_of(HEADER_BYTES);
            self.entry(input, hex(&digest));
        }
        let section = self.sources.inputs[range.start].section.clone();
        self.member(section, Part::Group(range), hash.key(), raw_size, whole.then_some(raw))
    }

    fn alone(&mut self, input: usize) -> Result<(), Error> {
        let (section, size) = (self.sources.inputs[input].section.clone(), self.sources.sizes[input]);
        let looked = self.look(input)?;
        let place = self.entries.len();
        self.entry(input, String::new());
        self.small(section.clone(), Part::Header(input))?;
        let pieces = (0..size).step_by(CHUNK_BYTES as usize).map(|offset| {
            let size = CHUNK_BYTES.min(size - offset);
            (Part::Content { input, offset, size }, size)
        });
        let count = size.div_ceil(CHUNK_BYTES);
        let known = looked.known.and_then(|known| {
            let keys: Option<Vec<Digest>> = known.chunks.iter().map(|key| unhex(key)).collect();
            Some((known.sha256, keys.filter(|keys| keys.len() as u64 == count)?))
        });
        self.entries[place].sha256 = match known {
            Some((sha256, keys)) => {
                for ((part, size), key) in pieces.zip(keys) {
                    let raw_size = size.next_multiple_of(HEADER_BYTES);
                    self.member(section.clone(), part, key, raw_size, None)?;
                }
                sha256
            }
            None => {
                let first = self.next;
                let mut hash = Sha256::new();
                for (part, size) in pieces {
                    let mut raw = self.sources.read(&part, None)?;
                    hash.update(&raw[..size as usize]);
                    pad(&mut raw);
                    self.send(section.clone(), part, None, Some(raw))?;
                }
                self.refuse_more(input)?;
                let sha256 = hex(&hash.finalize());
                self.learn(input, looked.identity, &sha256, first..self.next)?;
                sha256
            }
        };
        Ok(())
    }

    /// A member whose bytes cost nothing to make.
    fn small(&mut self, section: String, part: Part) -> Result<(), Error> {
        let raw = self.sources.read(&part, None)?;
        let key = key_of(&raw);
        self.member(section, part, key, raw.len() as u64, Some(raw))
    }

    /// Takes the member with this key from the cache, or sends it off.
    fn member(
        &mut self,
        section: String,
        part: Part,
        key: Digest,
        raw_size: u64,
        raw: Option<Vec<u8>>,
    ) -> Result<(), Error> {
        let Some(cached) = cache::look_up(cache::place(self.cache, &key)) else {
            return self.send(section, part, Some(key), raw);
        };
        let index = self.next;
        self.next += 1;
        self.found.push(Done { index, section, part, key, raw_size, cached, reused: true });
        (self.progress)(raw_size);
        Ok(())
    }

    fn send(
        &mut self,
        section: String,
        part: Part,
        key: Option<Digest>,
        raw: Option<Vec<u8>>,
    ) -> Result<(), Error> {
        let index = self.next;
        self.next += 1;
        let chunk = Chunk { index, section, part, key, raw };
        let sent = self.chunks.as_ref().is_some_and(|chunks| chunks.send(chunk).is_ok());
        if sent {
            return Ok(());
        }
        Err(Error::Input { path: "members".into(), what: "the compressing threads have stopped".into() })
    }

    /// Appends an entry whose tar header lies in the next member.
    fn entry(&mut self, index: usize, sha256: String) {
        let input = &self.sources.inputs[index];
        self.entries.push(Entry {
            path: input.path.clone(),
            section: input.section.clone(),
            mode: input.mode,
            size: self.sources.sizes[index],
            sha256,
            member: self.next,
        });
    }

    fn look(&mut self, index: usize) -> Result<Looked, Error> {
        let Some(metadata) = self.metadata(index)? else { return Ok(Looked { known: None, identity: None }) };
        let (identity, is_settled) = identity(&metadata);
        let known = self.index.find(&identity);
        Ok(Looked { known, identity: is_settled.then_some(identity) })
    }

    /// Remembers what was read, if it is still the file that it was.
    fn learn(
        &mut self,
        index: usize,
        before: Option<Identity>,
        sha256: &str,
        members: Range<usize>,
    ) -> Result<(), Error> {
        let (Some(before), Some(metadata)) = (before, self.metadata(index)?) else { return Ok(()) };
        if identity(&metadata).0 == before {
            self.learnt.push(Learnt { identity: before, sha256: sha256.to_owned(), members });
        }
        Ok(())
    }

    /// An input that has grown since its size was taken is not what it was.
    fn refuse_more(&self, index: usize) -> Result<(), Error> {
        match self.metadata(index)? {
            Some(metadata) if metadata.len() != self.sources.sizes[index] => Err(self.sources.changed(index)),
            _ => Ok(()),
        }
    }

    fn metadata(&self, index: usize) -> Result<Option<fs::Metadata>, Error> {
        match &self.sources.inputs[index].content {
            Content::Bytes(_) => Ok(None),
            Content::File(path) => fs::metadata(path).map(Some).map_err(Error::io("read", path)),
        }
    }
}
