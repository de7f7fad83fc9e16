//! Entries as streams: all of a section, or some of them out of their members alone.
//!
//! **What is hashed, and when.** [`Archive::verify`] compares every byte of the file with the digest in its trailer, which is
//! what a signature is over, and the table that was read when the file was opened with the one that lies there now. From then
//! on the table is to be trusted, and each entry is compared with the SHA-256 that it has there while it is handed out. So
//! bytes that somebody changes between the check and the reading, in a file that is open all the while, are noticed as well,
//! and hashing the members in between would tell nothing more. Where the file was not verified, each member that is read is
//! compared with its SHA-256 in the table first: that finds damage in it before it is decompressed. [`Archive::verify_contents`]
//! does so too: for whoever makes or publishes a file, every word of its table has to be true.

use std::io::{self, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;
use sha2::{Digest as _, Sha256};

use crate::manifest::{Entry, MANIFEST};
use crate::read::{damaged, read_at};
use crate::trailer::{hex, sha256_hex};
use crate::{Archive, Error, header};

/// What is done with an entry: its content is a stream that ends with an error if it is not what the table promises.
pub(crate) type Visitor<'a> = dyn FnMut(&Entry, &mut dyn Read) -> Result<(), Error> + 'a;

impl Archive {
    /// Hands every entry of `section` to `visitor`, in order, as a stream that ends with an error if the bytes are not
    /// those that the manifest promises. An entry that the visitor does not read to its end is read for it.
    ///
    /// # Errors
    /// Those of the visitor, and [`Error::Damaged`] or [`Error::Unsafe`] for the archive's own.
    pub fn visit(&self, section: &str, visitor: &mut Visitor<'_>) -> Result<(), Error> {
        self.visit_members(self.members(section, 0), section, visitor)
    }

    /// Reads all of it, members and entries, and compares each with the table.
    pub(crate) fn check_contents(&self) -> Result<(), Error> {
        for section in &self.manifest().sections {
            let members = Members { is_hashed: true, ..self.members(&section.name, 0) };
            self.visit_members(members, &section.name, &mut |_, _| Ok(()))?;
        }
        let mut end = Vec::new();
        let mut members = Members { is_hashed: true, ..self.members("", 0) };
        members.read_to_end(&mut end).map_err(|source| self.stream_error(source))?;
        // Anything else would be an entry for programs that know no table.
        if end.iter().all(|&byte| byte == 0) {
            Ok(())
        } else {
            Err(self.broken_rule("it does not end as a tar file".into()))
        }
    }

    fn visit_members(
        &self,
        members: Members<'_>,
        section: &str,
        visitor: &mut Visitor<'_>,
    ) -> Result<(), Error> {
        let entries: Vec<&Entry> =
            self.manifest().entries.iter().filter(|entry| entry.section == section).collect();
        let mut tar = tar::Archive::new(members);
        let read = |source: io::Error| self.stream_error(source);
        let mut headers = tar.entries().map_err(read)?.raw(true);
        for entry in entries {
            let found = headers.next().ok_or_else(|| self.lie(entry, "it is not there"))?;
            self.hand_out(entry, found.map_err(read)?, visitor)?;
        }
        match headers.next() {
            None => Ok(()),
            Some(_) => Err(self.broken_rule("it holds an entry that its manifest does not list".into())),
        }
    }

    /// Hands those entries to `visitor` that `wanted` says, in order, and reads the members that hold them and nothing else
    /// of the file.
    ///
    /// # Errors
    /// As for [`Archive::visit`].
    pub fn pick(&self, wanted: &dyn Fn(&Entry) -> bool, visitor: &mut Visitor<'_>) -> Result<(), Error> {
        // Entries that begin in one member lie side by side.
        for group in self.manifest().entries.chunk_by(|a, b| a.member == b.member) {
            let Some(last) = group.iter().rposition(wanted) else { continue };
            let mut tar = tar::Archive::new(self.members(&group[last].section, group[last].member));
            let read = |source: io::Error| self.stream_error(source);
            let mut headers = tar.entries().map_err(read)?.raw(true);
            for entry in &group[..=last] {
                let found =
                    headers.next().ok_or_else(|| self.lie(entry, "it is not there"))?.map_err(read)?;
                if wanted(entry) {
                    self.hand_out(entry, found, visitor)?;
                } else {
                    header::check(found.header(), entry).map_err(|what| self.lie(entry, &what))?;
                }
            }
        }
        Ok(())
    }

    /// Writes the content of one entry to `sink`, reading only the members that hold it.
    ///
    /// # Errors
    /// [`Error::NoEntry`] with the nearest name, or as for [`Archive::visit`].
    pub fn read_entry(&self, name: &str, sink: &mut dyn io::Write) -> Result<(), Error> {
        if name == MANIFEST {
            return sink.write_all(self.manifest_json()).map_err(Error::io("write", Path::new(name)));
        }
        let entry = self.manifest().entry(name).ok_or_else(|| self.no_entry(name))?;
        self.pick(&|other| other.path == entry.path, &mut |_, content| {
            io::copy(content, sink).map(|_| ()).map_err(Error::io("extract", Path::new(name)))
        })
    }

    pub(crate) fn no_entry(&self, name: &str) -> Error {
        let names = self.manifest().entries.iter().map(|entry| entry.path.as_str());
        let nearest =
            names.max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
        Error::NoEntry {
            path: self.path().to_owned(),
            entry: name.to_owned(),
            nearest: nearest.map(str::to_owned),
        }
    }

    fn hand_out(
        &self,
        entry: &Entry,
        mut content: tar::Entry<'_, impl Read>,
        visitor: &mut Visitor<'_>,
    ) -> Result<(), Error> {
        header::check(content.header(), entry).map_err(|what| self.lie(entry, &what))?;
        let mut checked =
            Checked { inner: &mut content, hash: Sha256::new(), archive: self, entry, ended: false };
        visitor(entry, &mut checked).map_err(|error| self.unwrap_stream(error))?;
        io::copy(&mut checked, &mut io::sink()).map(|_| ()).map_err(|source| self.stream_error(source))
    }

    /// The uncompressed bytes of the members of `section` from the one with this index on.
    fn members(&self, section: &str, from: usize) -> Members<'_> {
        let all = &self.manifest().members;
        let indices: Vec<usize> = (from..all.len()).filter(|&index| all[index].section == section).collect();
        Members {
            archive: self,
            is_hashed: !self.is_verified(),
            indices: indices.into_iter(),
            compressed: Vec::new(),
            raw: Vec::new(),
            at: 0,
        }
    }

    fn lie(&self, entry: &Entry, what: &str) -> Error {
        self.broken_rule(format!("its manifest lists `{}`, but {what}", entry.path))
    }

    fn broken_rule(&self, what: String) -> Error {
        Error::Unsafe { path: self.path().to_owned(), what }
    }

    /// Our own error where one travelled through `io::Error`, else a fault of the tar stream.
    fn stream_error(&self, source: io::Error) -> Error {
        match source.downcast::<Error>() {
            Ok(error) => error,
            Err(source) => self.broken_rule(format!("its tar stream is broken ({source})")),
        }
    }

    fn unwrap_stream(&self, error: Error) -> Error {
        match error {
            Error::Io { source, .. }
                if source.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Error>) =>
            {
                self.stream_error(source)
            }
            other => other,
        }
    }
}

/// Decompresses one gzip member that fills `compressed` and holds exactly as many bytes as `raw` has room for.
fn inflate_all(compressed: &[u8], raw: &mut [u8]) -> Result<(), String> {
    let mut decoder = GzDecoder::new(compressed);
    let broken = |error: io::Error| format!("does not decompress to what its table says ({error})");
    decoder.read_exact(raw).map_err(broken)?;
    // The checksum behind the content is looked at when the end is read.
    if decoder.read(&mut [0]).map_err(broken)? != 0 {
        return Err(format!("holds more than the {} bytes that its table says", raw.len()));
    }
    if !decoder.into_inner().is_empty() {
        return Err("ends before its table says".into());
    }
    Ok(())
}

/// The uncompressed bytes of some members, one after another, one in memory at a time.
struct Members<'a> {
    archive: &'a Archive,
    /// Whether each is compared with its SHA-256.
    is_hashed: bool,
    indices: std::vec::IntoIter<usize>,
    compressed: Vec<u8>,
    raw: Vec<u8>,
    at: usize,
}

impl Members<'_> {
    /// Reads a member. Both buffers are bounded by what a manifest lets a member have.
    fn inflate(&mut self, index: usize) -> Result<(), Error> {
        let (archive, member) = (self.archive, &self.archive.manifest().members[index]);
        let (start, size) = archive.member_range(index);
        self.at = 0;
        self.raw.clear();
        self.compressed.resize(size as usize, 0);
        read_at(archive.file(), archive.path(), &mut self.compressed, start)?;
        if self.is_hashed && sha256_hex(&self.compressed) != member.sha256 {
            let what = format!("the member at byte {start} has another SHA-256 than its table says");
            return Err(match archive.is_verified() {
                true => archive.broken_rule(what),
                false => damaged(archive.path(), what),
            });
        }
        self.raw.resize(member.raw_size as usize, 0);
        let inflated = inflate_all(&self.compressed, &mut self.raw);
        inflated.map_err(|what| archive.broken_rule(format!("the member at byte {start} {what}")))
    }
}

impl Read for Members<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.raw.len() {
            let Some(index) = self.indices.next() else { return Ok(0) };
            self.inflate(index).map_err(io::Error::other)?;
        }
        let count = buffer.len().min(self.raw.len() - self.at);
        buffer[..count].copy_from_slice(&self.raw[self.at..][..count]);
        self.at += count;
        Ok(count)
    }
}

/// An entry's content, compared with its SHA-256 when it ends.
struct Checked<'a, R> {
    inner: R,
    hash: Sha256,
    archive: &'a Archive,
    entry: &'a Entry,
    ended: bool,
}

impl<R: Read> Read for Checked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        if count == 0 && !buffer.is_empty() && !self.ended {
            self.ended = true;
            if hex(&std::mem::take(&mut self.hash).finalize()) != self.entry.sha256 {
                let lie = self.archive.lie(self.entry, "its content has another SHA-256");
                return Err(io::Error::other(lie));
            }
        }
        Ok(count)
    }
}
