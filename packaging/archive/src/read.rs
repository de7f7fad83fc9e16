//! Reading: the trailer, the manifest, and the digest of all bytes.
//!
//! Nothing here trusts a number of the file: sizes are bounded, names are parsed, and what a table says is compared with
//! what lies there. One file descriptor is kept from opening to extracting, so that what was checked is what is read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use flate2::bufread::GzDecoder;
use sha2::{Digest as _, Sha256};

use crate::delta::DELTA_FORMAT;
use crate::header;
use crate::manifest::{FORMAT, Fault, HELPER, MANIFEST, Manifest, Mode};
use crate::signature::{PublicKey, Signature};
use crate::trailer::{Digest, TRAILER_BYTES, Trailer, hex};
use crate::{BLOCK_BYTES, Error};

/// Bytes of the manifest, which is the one thing that is in memory as a whole: a hundred thousand entries.
const MAX_HEAD_BYTES: u64 = 32 << 20;

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
    /// SHA-256 of member 0 as it was read.
    head_digest: Digest,
    verified: OnceLock<()>,
}

/// What member 0 holds.
struct Head {
    manifest: Manifest,
    json: Vec<u8>,
    digest: Digest,
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
            Ok(Head { manifest, json, digest }) => Ok(Self {
                file,
                path,
                trailer,
                manifest,
                manifest_json: json,
                head_digest: digest,
                verified: OnceLock::new(),
            }),
            // A table that makes no sense in a file that is not whole says nothing of who wrote it.
            Err(error) if error.is_damage() => {
                match check_digest(&file, &path, &trailer, None, &mut |_| ()) {
                    Ok(()) => Err(error),
                    Err(broken) => Err(broken),
                }
            }
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

    /// Reads the whole file and compares its digest, stub included, and its table with the one that was read before.
    /// `progress` is told of each piece's bytes.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a bit differs.
    pub fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<(), Error> {
        check_digest(&self.file, &self.path, &self.trailer, Some(&self.head_digest), progress)?;
        self.verified.get_or_init(|| ());
        Ok(())
    }

    /// [`Archive::verify`], and every member and entry unpacked in memory and compared with the table of contents.
    ///
    /// # Errors
    /// As for [`Archive::verify`]; [`Error::Unsafe`] for a table that does not describe the file.
    pub fn verify_contents(&self, progress: &mut dyn FnMut(u64)) -> Result<(), Error> {
        self.verify(&mut *progress)?;
        self.check_contents()
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

    /// The open file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Whether [`Archive::verify`] has found every byte as it should be.
    pub(crate) fn is_verified(&self) -> bool {
        self.verified.get().is_some()
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

fn read_manifest(file: &File, path: &Path, trailer: &Trailer) -> Result<Head, Error> {
    if trailer.head_bytes > MAX_HEAD_BYTES || trailer.stub_bytes > MAX_STUB_BYTES {
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
    Ok(Head { manifest, json: json.to_vec(), digest: Sha256::digest(&head).into() })
}

fn manifest_entry(raw: &[u8]) -> Option<&[u8]> {
    let (header, rest) = raw.split_at_checked(512)?;
    let header = tar::Header::from_byte_slice(header);
    let size = usize::try_from(header.size().ok()?).ok()?;
    if !header::is_spelt(header, MANIFEST, size as u64, Mode::File)
        || rest.len() != size.checked_next_multiple_of(512)?
    {
        return None;
    }
    let (json, padding) = rest.split_at_checked(size)?;
    padding.iter().all(|&byte| byte == 0).then_some(json)
}

/// Compares the digest of the file, and of member 0 within it with `head`.
fn check_digest(
    file: &File,
    path: &Path,
    trailer: &Trailer,
    head: Option<&Digest>,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Error> {
    let (mut hash, mut head_hash) = (Sha256::new(), Sha256::new());
    let mut buffer = vec![0; 1 << 20];
    let head_end = trailer.stub_bytes + trailer.head_bytes;
    let mut at = 0;
    for (end, is_head) in
        [(trailer.stub_bytes, false), (head_end, true), (trailer.file_bytes - TRAILER_BYTES as u64, false)]
    {
        while at < end {
            let piece = &mut buffer[..usize::try_from(end - at).map_or(1 << 20, |left| left.min(1 << 20))];
            read_at(file, path, piece, at)?;
            hash.update(&*piece);
            if is_head {
                head_hash.update(&*piece);
            }
            at += piece.len() as u64;
            progress(piece.len() as u64);
        }
    }
    let digest: Digest = hash.finalize().into();
    if digest != trailer.digest {
        return Err(damaged(path, format!("its SHA-256 is {}, not {}", hex(&digest), hex(&trailer.digest))));
    }
    if head.is_some_and(|head| *head != Digest::from(head_hash.finalize())) {
        return Err(damaged(path, "it changed while it was read"));
    }
    Ok(())
}

fn inflate_some(compressed: &[u8]) -> Result<Vec<u8>, String> {
    let mut decoder = GzDecoder::new(compressed);
    let mut raw = Vec::new();
    (&mut decoder)
        .take(MAX_HEAD_BYTES + 1)
        .read_to_end(&mut raw)
        .map_err(|error| format!("does not decompress ({error})"))?;
    if raw.len() as u64 > MAX_HEAD_BYTES {
        return Err("decompresses to more than a manifest may hold".into());
    }
    if !decoder.into_inner().is_empty() {
        return Err("ends before its table says".into());
    }
    Ok(raw)
}

pub(crate) fn read_at(file: &File, path: &Path, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
    file.read_exact_at(buffer, offset).map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => damaged(path, "it ends too early"),
        _ => Error::Io { action: "read", path: path.to_owned(), source },
    })
}

pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Error {
    Error::Damaged { path: path.to_owned(), what: what.into() }
}
