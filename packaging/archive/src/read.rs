//! Reading: the trailer, the manifest, the digest, and the entries of a section as a stream.
//!
//! Nothing here trusts a number of the file: sizes are bounded, names are parsed, and what a table says is compared with
//! what lies there. One file descriptor is kept from opening to extracting, so that what was checked is what is read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use sha2::{Digest as _, Sha256};

use crate::delta::DELTA_FORMAT;
use crate::manifest::{Entry, FORMAT, Fault, HELPER, MANIFEST, Manifest, Member};
use crate::signature::{PublicKey, Signature};
use crate::trailer::{Digest, TRAILER_BYTES, Trailer, hex, sha256_hex};
use crate::{BLOCK_BYTES, Error};

/// Uncompressed bytes that one member may hold. The builder stays far below; a bomb does not.
pub(crate) const MAX_MEMBER_BYTES: u64 = 64 << 20;

/// Bytes of the script. Ours has one block of them.
const MAX_STUB_BYTES: u64 = 1 << 20;

/// An archive whose table of contents has been read and found plausible.
#[derive(Debug)]
pub struct Archive {
    file: File,
    path: PathBuf,
    trailer: Trailer,
    manifest: Manifest,
    manifest_json: Vec<u8>,
}

impl Archive {
    /// Reads trailer, stub and manifest, and nothing else of the file: the cost does not grow with the file's size. A
    /// signature is compared with the digest that the trailer names, which [`Archive::verify`] compares with the bytes.
    ///
    /// # Errors
    /// [`Error::Signature`], [`Error::Damaged`], [`Error::Unsafe`] or [`Error::Format`] if the file is not an archive that this program reads,
    /// [`Error::Io`] if it cannot be read at all.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        Self::of(file, path)
    }

    /// The same for a file that is open. `path` is what it is called in messages.
    ///
    /// # Errors
    /// As for [`Archive::open`].
    pub fn of(file: File, path: PathBuf) -> Result<Self, Error> {
        let metadata = file.metadata().map_err(Error::io("read", &path))?;
        if !metadata.is_file() {
            return Err(damaged(&path, "it is not a regular file"));
        }
        let length = metadata.len();
        if length < BLOCK_BYTES + TRAILER_BYTES as u64 {
            return Err(damaged(&path, format!("{length} bytes are too few for an archive")));
        }
        let mut bytes = vec![0; TRAILER_BYTES];
        read_at(&file, &path, &mut bytes, length - TRAILER_BYTES as u64)?;
        let trailer = Trailer::parse(&bytes, length).map_err(|what| damaged(&path, what))?;
        if let Some(signature) = trailer.signature.filter(|signature| !signature.holds(&trailer.digest)) {
            return Err(Error::Signature { path, fingerprint: signature.key().fingerprint() });
        }
        match read_manifest(&file, &path, &trailer) {
            Ok((manifest, manifest_json)) => Ok(Self { file, path, trailer, manifest, manifest_json }),
            // A table that makes no sense in a file that is not whole says nothing of who wrote it.
            Err(error) if error.is_damage() => match check_digest(&file, &path, &trailer, &mut |_| ()) {
                Ok(()) => Err(error),
                Err(broken) => Err(broken),
            },
            Err(error) => Err(error),
        }
    }

    /// Where the file is, or what it is called if it has no name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is inside.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest's own bytes, which an installation keeps beside the files.
    #[must_use]
    pub fn manifest_json(&self) -> &[u8] {
        &self.manifest_json
    }

    /// Sizes and digest of the file.
    #[must_use]
    pub fn trailer(&self) -> &Trailer {
        &self.trailer
    }

    /// The key that has signed the file, if one has.
    #[must_use]
    pub fn signer(&self) -> Option<&PublicKey> {
        self.trailer.signature.as_ref().map(Signature::key)
    }

    /// Reads the whole file and compares its digest, stub included. `progress` is told of each piece's bytes.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a bit differs.
    pub fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<(), Error> {
        check_digest(&self.file, &self.path, &self.trailer, progress)
    }

    /// [`Archive::verify`], and every entry unpacked in memory and compared with the table of contents.
    ///
    /// # Errors
    /// As for [`Archive::verify`]; [`Error::Unsafe`] for a table that does not describe the file.
    pub fn verify_contents(&self, progress: &mut dyn FnMut(u64)) -> Result<(), Error> {
        self.verify(&mut *progress)?;
        for section in &self.manifest.sections {
            self.visit(&section.name, &mut |_, content| {
                io::copy(content, &mut io::sink()).map(|_| ()).map_err(Error::io("read", &self.path))
            })?;
        }
        Ok(())
    }

    /// Writes the file as it is to `sink`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn copy_to(&self, sink: &mut dyn io::Write) -> Result<(), Error> {
        let (mut bytes, mut buffer) = (self.range(0, self.trailer.file_bytes), vec![0; 1 << 20]);
        loop {
            let count = bytes.read(&mut buffer).map_err(Error::io("read", &self.path))?;
            if count == 0 {
                return Ok(());
            }
            sink.write_all(&buffer[..count]).map_err(Error::io("copy", &self.path))?;
        }
    }

    /// Bytes of the file, as a stream.
    pub(crate) fn range(&self, offset: u64, size: u64) -> Range<'_> {
        Range { archive: self, at: offset, left: size }
    }

    /// First byte and size of a member, counted from the beginning of the file.
    pub(crate) fn member_range(&self, index: usize) -> (u64, u64) {
        let member = &self.manifest.members[index];
        (self.trailer.stub_bytes + self.trailer.head_bytes + member.offset, member.size)
    }

    /// Hands every entry of `section` to `visitor`, in order, as a stream that ends with an error if the bytes are not
    /// those that the manifest promises. An entry that the visitor does not read to its end is read for it.
    ///
    /// # Errors
    /// Those of the visitor, and [`Error::Damaged`] or [`Error::Unsafe`] for the archive's own.
    pub fn visit(
        &self,
        section: &str,
        visitor: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let indices: Vec<usize> = (0..self.manifest.members.len())
            .filter(|&index| self.manifest.members[index].section == section)
            .collect();
        let entries = self.manifest.entries.iter().filter(|entry| entry.section == section);
        self.visit_members(&indices, entries, visitor)
    }

    /// Writes the content of one entry to `sink`, reading only the members that hold it.
    ///
    /// # Errors
    /// [`Error::NoEntry`] with the nearest name, or as for [`Archive::visit`].
    pub fn read_entry(&self, name: &str, sink: &mut dyn io::Write) -> Result<(), Error> {
        if name == MANIFEST {
            return sink.write_all(&self.manifest_json).map_err(Error::io("write", Path::new(name)));
        }
        let entry = self.manifest.entry(name).ok_or_else(|| self.no_entry(name))?;
        let mut found = false;
        let indices: Vec<usize> = (entry.member..self.manifest.members.len())
            .take_while(|&index| self.manifest.members[index].section == entry.section)
            .collect();
        let entries = self
            .manifest
            .entries
            .iter()
            .filter(|other| other.section == entry.section && other.member >= entry.member);
        let result = self.visit_members(&indices, entries, &mut |other, content| {
            if other.path != entry.path {
                return Ok(());
            }
            io::copy(content, sink).map_err(Error::io("extract", Path::new(name)))?;
            found = true;
            // The members behind it are of no interest: an end that is not an error for the caller.
            Err(self.no_entry(name))
        });
        if found { Ok(()) } else { result }
    }

    fn no_entry(&self, name: &str) -> Error {
        let nearest = self
            .manifest
            .entries
            .iter()
            .map(|entry| entry.path.as_str())
            .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
        Error::NoEntry {
            path: self.path.clone(),
            entry: name.to_owned(),
            nearest: nearest.map(str::to_owned),
        }
    }

    fn visit_members<'a>(
        &self,
        indices: &[usize],
        entries: impl Iterator<Item = &'a Entry>,
        visitor: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let stream = Members { archive: self, indices: indices.iter(), raw: io::Cursor::new(Vec::new()) };
        let mut tar = tar::Archive::new(stream);
        let read = |source: io::Error| self.stream_error(source);
        let mut headers = tar.entries().map_err(read)?.raw(true);
        for entry in entries {
            let mut content =
                headers.next().ok_or_else(|| self.lie(entry, "it is not there"))?.map_err(read)?;
            check_header(content.header(), entry).map_err(|what| self.lie(entry, &what))?;
            let mut checked =
                Checked { inner: &mut content, hash: Sha256::new(), archive: self, entry, ended: false };
            visitor(entry, &mut checked).map_err(|error| self.unwrap_stream(error))?;
            io::copy(&mut checked, &mut io::sink()).map_err(read)?;
        }
        match headers.next() {
            None => Ok(()),
            Some(_) => Err(self.broken_rule("it holds an entry that its manifest does not list".into())),
        }
    }

    fn member_bytes(&self, member: &Member) -> Result<Vec<u8>, Error> {
        if member.size > MAX_MEMBER_BYTES * 2 || member.raw_size > MAX_MEMBER_BYTES {
            return Err(self.broken_rule(format!("a member of {} bytes is too big", member.raw_size)));
        }
        let mut compressed = vec![0; member.size as usize];
        let start = self.trailer.stub_bytes + self.trailer.head_bytes + member.offset;
        read_at(&self.file, &self.path, &mut compressed, start)?;
        if sha256_hex(&compressed) != member.sha256 {
            return Err(damaged(
                &self.path,
                format!("the member at byte {start} has another SHA-256 than its table says"),
            ));
        }
        inflate(&compressed, member.raw_size)
            .map_err(|what| self.broken_rule(format!("the member at byte {start} {what}")))
    }

    fn lie(&self, entry: &Entry, what: &str) -> Error {
        self.broken_rule(format!("its manifest lists `{}`, but {what}", entry.path))
    }

    fn broken_rule(&self, what: String) -> Error {
        Error::Unsafe { path: self.path.clone(), what }
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

/// The uncompressed bytes of some members, one after another, one in memory at a time.
struct Members<'a> {
    archive: &'a Archive,
    indices: std::slice::Iter<'a, usize>,
    raw: io::Cursor<Vec<u8>>,
}

impl Read for Members<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.raw.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let Some(&index) = self.indices.next() else { return Ok(0) };
            let member = &self.archive.manifest.members[index];
            self.raw = io::Cursor::new(self.archive.member_bytes(member).map_err(io::Error::other)?);
        }
    }
}

/// A run of bytes of the file.
pub(crate) struct Range<'a> {
    archive: &'a Archive,
    at: u64,
    left: u64,
}

impl Read for Range<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.archive.file.read_at(&mut buffer[..room], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
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
                return Err(io::Error::other(
                    self.archive.lie(self.entry, "its content has another SHA-256"),
                ));
            }
        }
        Ok(count)
    }
}

fn check_header(header: &tar::Header, entry: &Entry) -> Result<(), String> {
    if header.entry_type() != tar::EntryType::Regular {
        return Err("what lies there is not a regular file".into());
    }
    if header.path_bytes().as_ref() != entry.path.as_str().as_bytes() {
        return Err(format!("`{}` lies there", String::from_utf8_lossy(&header.path_bytes())));
    }
    let (size, mode) = (header.size().ok(), header.mode().ok());
    if size != Some(entry.size) || mode != Some(entry.mode.bits()) {
        return Err(format!("with size {size:?} and mode {mode:?} instead"));
    }
    Ok(())
}

fn read_manifest(file: &File, path: &Path, trailer: &Trailer) -> Result<(Manifest, Vec<u8>), Error> {
    if trailer.head_bytes > MAX_MEMBER_BYTES || trailer.stub_bytes > MAX_STUB_BYTES {
        return Err(damaged(path, "its head is too big"));
    }
    // The script is text and ends where the first gzip member begins. A signature covers the bytes and not the numbers of
    // the trailer: this keeps somebody from naming another beginning, with another manifest behind it.
    let mut stub = vec![0; trailer.stub_bytes as usize];
    read_at(file, path, &mut stub, 0)?;
    if !stub.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n')) {
        return Err(damaged(path, "its script holds what is no text"));
    }
    let mut head = vec![0; trailer.head_bytes as usize];
    read_at(file, path, &mut head, trailer.stub_bytes)?;
    let raw = inflate_some(&head).map_err(|what| damaged(path, format!("its manifest {what}")))?;
    let json = manifest_entry(&raw).ok_or_else(|| damaged(path, "its first entry is not a manifest"))?;

    #[derive(serde::Deserialize)]
    struct Generation {
        format: u32,
    }
    let unreadable = |error: serde_json::Error| Error::Unsafe {
        path: path.to_owned(),
        what: format!("its manifest cannot be read ({error})"),
    };
    let generation: Generation = serde_json::from_slice(json).map_err(unreadable)?;
    if ![FORMAT, DELTA_FORMAT].contains(&generation.format) {
        return Err(Error::Format { path: path.to_owned(), found: generation.format, known: FORMAT });
    }
    let manifest: Manifest = serde_json::from_slice(json).map_err(unreadable)?;
    let data_bytes = trailer.file_bytes - TRAILER_BYTES as u64 - trailer.stub_bytes - trailer.head_bytes;
    manifest.check(data_bytes).map_err(|fault| match fault {
        Fault::Lie(what) | Fault::Rule(what) => Error::Unsafe { path: path.to_owned(), what },
    })?;
    if manifest.entries.first().is_none_or(|first| first.path.as_str() != HELPER || first.member != 0) {
        return Err(Error::Unsafe {
            path: path.to_owned(),
            what: format!("its first entry is not `{HELPER}`"),
        });
    }
    let json = json.to_vec();
    Ok((manifest, json))
}

fn manifest_entry(raw: &[u8]) -> Option<&[u8]> {
    let (header, rest) = raw.split_at_checked(512)?;
    let header = tar::Header::from_byte_slice(header);
    let size = usize::try_from(header.size().ok()?).ok()?;
    if header.path_bytes().as_ref() != MANIFEST.as_bytes()
        || rest.len() != size.checked_next_multiple_of(512)?
    {
        return None;
    }
    rest.get(..size)
}

fn check_digest(
    file: &File,
    path: &Path,
    trailer: &Trailer,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Error> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let (mut at, end) = (0, trailer.file_bytes - TRAILER_BYTES as u64);
    while at < end {
        let piece = &mut buffer[..usize::try_from(end - at).map_or(1 << 20, |left| left.min(1 << 20))];
        read_at(file, path, piece, at)?;
        hash.update(&*piece);
        at += piece.len() as u64;
        progress(piece.len() as u64);
    }
    let digest: Digest = hash.finalize().into();
    if digest != trailer.digest {
        return Err(damaged(path, format!("its SHA-256 is {}, not {}", hex(&digest), hex(&trailer.digest))));
    }
    Ok(())
}

/// The content of one gzip member that fills `compressed` and holds exactly `raw_size` bytes.
fn inflate(compressed: &[u8], raw_size: u64) -> Result<Vec<u8>, String> {
    let raw = inflate_some(compressed)?;
    if raw.len() as u64 != raw_size {
        return Err(format!("holds {} bytes, its table says {raw_size}", raw.len()));
    }
    Ok(raw)
}

fn inflate_some(compressed: &[u8]) -> Result<Vec<u8>, String> {
    let mut decoder = GzDecoder::new(compressed);
    let mut raw = Vec::new();
    (&mut decoder)
        .take(MAX_MEMBER_BYTES + 1)
        .read_to_end(&mut raw)
        .map_err(|error| format!("does not decompress ({error})"))?;
    if raw.len() as u64 > MAX_MEMBER_BYTES {
        return Err("decompresses to more than any member may hold".into());
    }
    if !decoder.into_inner().is_empty() {
        return Err("ends before its table says".into());
    }
    Ok(raw)
}

fn read_at(file: &File, path: &Path, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
    file.read_exact_at(buffer, offset).map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => damaged(path, "it ends too early"),
        _ => Error::Io { action: "read", path: path.to_owned(), source },
    })
}

fn damaged(path: &Path, what: impl Into<String>) -> Error {
    Error::Damaged { path: path.to_owned(), what: what.into() }
}
