//! Making a delta: which members of the new file the old one has, by their SHA-256, and everything else as bytes.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::assemble::{Hashed, manifest, write};
use super::cache;
use super::{Compressed, Content, Description, Input, PrivateKey, compress};
use crate::delta::{Base, DATA, DELTA_FORMAT, Delta, Piece, SECTION};
use crate::manifest::{HELPER, Mode};
use crate::path::EntryPath;
use crate::trailer::{Digest, Trailer, hex};
use crate::{Archive, Error};

/// The section of the helper.
const CORE: &str = "core";

/// Writes to `out` the delta that makes `new` of `old`, signed if there is a `key`; `stub` is as for
/// [`assemble`](crate::assemble). Its helper is that of `new`, so that the delta is applied by the newer program. Returns
/// the trailer and the SHA-256 of the whole delta.
///
/// # Errors
/// [`Error::Input`] for files that no delta can be between; those of [`Archive::verify_contents`] for both; [`Error::Io`]
/// or [`Error::Key`]. `out` is then as it was.
pub fn make_delta(
    old: &Archive,
    new: &Archive,
    stub: &str,
    key: Option<&PrivateKey>,
    out: &Path,
) -> Result<(Trailer, Digest), Error> {
    refuse_strangers(old, new)?;
    for archive in [old, new] {
        archive.verify_contents(&mut |_| ())?;
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let scratch = tempfile::tempdir_in(folder).map_err(Error::io("write to", folder))?;

    let pieces = pieces(old, new);
    let data = scratch.path().join("data");
    write_data(new, &pieces, &data)?;
    let compressed = members(new, &data, scratch.path())?;
    let theirs = new.manifest();
    let description = Description {
        product: theirs.product.clone(),
        version: theirs.version.clone(),
        created: theirs.created,
        toolchain: theirs.toolchain.clone(),
        build: theirs.build.clone(),
        components: theirs.components.clone(),
    };
    let mut manifest = manifest(description, &compressed);
    manifest.format = DELTA_FORMAT;
    manifest.delta = Some(Delta {
        base: Base {
            version: old.manifest().version.clone(),
            size: old.trailer().file_bytes,
            digest: hex(&old.trailer().digest),
        },
        size: new.trailer().file_bytes,
        sha256: sha256(new)?,
        pieces: pieces.into_iter().map(|(_, piece)| piece).collect(),
    });
    write(stub, &manifest, &compressed, key, out)
}

fn refuse_strangers(old: &Archive, new: &Archive) -> Result<(), Error> {
    let refuse =
        |archive: &Archive, what: String| Err(Error::Input { path: archive.path().to_owned(), what });
    let (theirs, ours) = (old.manifest(), new.manifest());
    for archive in [old, new] {
        if archive.delta().is_some() {
            return refuse(archive, "it is a delta itself; name two whole files".into());
        }
    }
    if theirs.product != ours.product {
        return refuse(
            new,
            format!(
                "it is {}, and `{}` is {}; name two files of one product",
                ours.product,
                old.path().display(),
                theirs.product
            ),
        );
    }
    if theirs.build.target != ours.build.target {
        return refuse(
            new,
            format!(
                "it is for {}, and `{}` is for {}; name two files for one machine",
                ours.build.target,
                old.path().display(),
                theirs.build.target
            ),
        );
    }
    if old.trailer() == new.trailer() {
        return refuse(
            new,
            "both files are the same, and there is nothing to carry; name the older file first".into(),
        );
    }
    if ours.entries.get(1).is_some_and(|second| second.member == 0) {
        return refuse(new, format!("`{HELPER}` does not lie in it alone; pack it with this toolchain"));
    }
    Ok(())
}

/// Where the bytes of `new` come from, each piece with its place in `new`.
fn pieces(old: &Archive, new: &Archive) -> Vec<(u64, Piece)> {
    let mut known: HashMap<_, Vec<u64>> = HashMap::new();
    for (index, member) in old.manifest().members.iter().enumerate() {
        let offsets = known.entry((member.sha256.as_str(), member.size)).or_default();
        offsets.push(old.member_range(index).0);
    }
    let head = new.trailer().stub_bytes + new.trailer().head_bytes;
    let mut pieces = vec![(0, Piece::Data { size: head })];
    for (index, member) in new.manifest().members.iter().enumerate() {
        let (at, size) = new.member_range(index);
        // Of members that are alike, the one that goes on where the last piece ended.
        let wanted = match pieces.last() {
            Some((_, Piece::Base { offset, size })) => Some(offset + size),
            _ => None,
        };
        let offset = known
            .get(&(member.sha256.as_str(), size))
            .and_then(|offsets| offsets.iter().find(|&&offset| Some(offset) == wanted).or(offsets.first()));
        let piece = match offset {
            _ if index == 0 => Piece::Helper,
            Some(&offset) => Piece::Base { offset, size },
            None => Piece::Data { size },
        };
        push(&mut pieces, at, piece);
    }
    let end = new.content_bytes();
    push(&mut pieces, end, Piece::Data { size: new.trailer().file_bytes - end });
    pieces
}

/// Appends a piece, or makes the last one longer.
fn push(pieces: &mut Vec<(u64, Piece)>, at: u64, piece: Piece) {
    match (pieces.last_mut().map(|(_, last)| last), piece) {
        (Some(Piece::Data { size: before }), Piece::Data { size }) => *before += size,
        (Some(Piece::Base { offset: start, size: before }), Piece::Base { offset, size })
            if *start + *before == offset =>
        {
            *before += size;
        }
        _ => pieces.push((at, piece)),
    }
}

fn write_data(new: &Archive, pieces: &[(u64, Piece)], to: &Path) -> Result<(), Error> {
    let write = || -> io::Result<()> {
        let mut file = BufWriter::new(File::create_new(to)?);
        for (at, piece) in pieces {
            if let Piece::Data { size } = piece {
                io::copy(&mut new.range(*at, *size), &mut file)?;
            }
        }
        file.flush()
    };
    write().map_err(Error::io("write", to))
}

/// Helper and data, compressed. The helper's member is then replaced by the one of `new`, byte for byte, whatever
/// compressor has made that.
fn members(new: &Archive, data: &Path, scratch: &Path) -> Result<Compressed, Error> {
    let mut helper = Vec::new();
    new.read_entry(HELPER, &mut helper)?;
    let input = |path: &str, section: &str, mode, content| {
        let path = EntryPath::new(path).map_err(|what| Error::Input { path: path.into(), what })?;
        Ok(Input { path, section: section.to_owned(), mode, mtime: new.manifest().created, content })
    };
    let inputs = vec![
        input(HELPER, CORE, new.manifest().entries[0].mode, Content::Bytes(helper))?,
        input(DATA, SECTION, Mode::File, Content::File(data.to_owned()))?,
    ];
    let sections = [CORE, SECTION].map(|name| (name.to_owned(), Vec::new()));
    let mut compressed = compress(inputs, &sections, &scratch.join("members"), 1, &|_| ())?;

    let (at, size) = new.member_range(0);
    let mut member = Vec::new();
    new.range(at, size).read_to_end(&mut member).map_err(Error::io("read", new.path()))?;
    let theirs = &new.manifest().members[0];
    let own = &mut compressed.members[0];
    (own.size, own.raw_size, own.sha256) = (theirs.size, theirs.raw_size, theirs.sha256.clone());
    compressed.packed[0].cached = cache::store(scratch.join("helper"), &member)?;
    let mut offset = 0;
    for member in &mut compressed.members {
        member.offset = offset;
        offset += member.size;
    }
    Ok(compressed)
}

fn sha256(archive: &Archive) -> Result<String, Error> {
    let mut sink = Hashed { inner: io::sink(), hash: Sha256::new() };
    archive.copy_to(&mut sink)?;
    Ok(hex(&sink.hash.finalize()))
}
