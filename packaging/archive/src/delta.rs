//! A delta: what a file lacks that has another one already, and how to put it together from both.
//!
//! A delta is an archive with a [`Delta`] in its manifest and the format [`DELTA_FORMAT`], so that a program that knows
//! nothing of deltas refuses it and names the one that does: the helper inside, which is the new file's own. Its only other
//! entry, [`DATA`], holds the bytes that are not members of the base. [`Piece`]s say in which order both are joined.
//!
//! The digest of the delta says that it is undamaged, not that it is honest: every number is bounded when the manifest is
//! read, before anything is written, and what comes out is compared with the SHA-256 of the whole new file.

use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::manifest::{Fault, HELPER, Manifest};
use crate::path::EntryPath;
use crate::trailer::{TRAILER_BYTES, hex};
use crate::{Archive, Error};

/// The generation of the format of a delta. Packages and deltas count on together: no number means two things.
pub const DELTA_FORMAT: u32 = 2;

/// The entry with the bytes that the base lacks.
pub const DATA: &str = "delta/data";

/// The section that it lies in, which holds nothing else.
pub(crate) const SECTION: &str = "delta";

/// More pieces than any file has members that we build.
const MAX_PIECES: usize = 1 << 16;

/// A new file may be so many times as big as what it is put together from. A bomb would be bigger.
const MAX_GROWTH: u64 = 4;

/// What a delta makes of what. The product and the new version are those of the manifest that it lies in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// The file that has to be there.
    pub base: Base,
    /// Bytes of the new file.
    pub size: u64,
    /// SHA-256 of the whole new file, trailer included, 64 hexadecimal digits.
    pub sha256: String,
    /// Where the bytes of the new file come from, in their order.
    pub pieces: Vec<Piece>,
}

/// The file that a delta starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Its version.
    pub version: String,
    /// Its bytes, trailer included.
    pub size: u64,
    /// The digest in its trailer, 64 hexadecimal digits: whether it was signed afterwards makes no difference.
    pub digest: String,
}

/// A run of bytes of the new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "lowercase", deny_unknown_fields)]
pub enum Piece {
    /// These bytes of the base.
    Base {
        /// The first of them.
        offset: u64,
        /// How many.
        size: u64,
    },
    /// The next bytes of [`DATA`].
    Data {
        /// How many.
        size: u64,
    },
    /// The member with the helper, which is the same in the delta.
    Helper,
}

impl Delta {
    /// Checks what can be checked without the base. `manifest` is the delta's own.
    pub(crate) fn check(&self, manifest: &Manifest) -> Result<(), Fault> {
        let rule = |what: String| Err(Fault::Rule(what));
        for version in [&self.base.version, &manifest.version] {
            if version.contains('/') || EntryPath::new(version.as_str()).is_err() {
                return rule(format!("the version `{}` is no name of a file", version.escape_default()));
            }
        }
        let is_digest =
            |text: &str| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_digest(&self.base.digest) || !is_digest(&self.sha256) {
            return rule("a digest of it is not spelt as one".into());
        }
        let names: Vec<&str> = manifest.entries.iter().map(|entry| entry.path.as_str()).collect();
        if names != [HELPER, DATA]
            || manifest.entries[1].section != SECTION
            || manifest.entries[0].section == SECTION
        {
            return rule(format!("a delta holds `{HELPER}` and `{DATA}` and nothing else"));
        }
        if self.pieces.len() > MAX_PIECES {
            return rule(format!("{} pieces are more than any file has", self.pieces.len()));
        }
        self.check_sizes(manifest.members[0].size, manifest.entries[1].size)
    }

    fn check_sizes(&self, helper: u64, data: u64) -> Result<(), Fault> {
        let lie = |what: String| Err(Fault::Lie(what));
        let (mut total, mut used) = (0u64, 0u64);
        for piece in &self.pieces {
            let size = piece.size(helper);
            if size == 0 {
                return lie("one of its pieces is empty".into());
            }
            if let Piece::Base { offset, size } = *piece
                && offset.checked_add(size).is_none_or(|end| end > self.base.size)
            {
                return lie(format!(
                    "it takes {size} bytes at {offset} of a base of {} bytes",
                    self.base.size
                ));
            }
            if let Piece::Data { size } = piece {
                used = used.saturating_add(*size);
            }
            total = total.saturating_add(size);
        }
        if total != self.size || used != data {
            return lie(format!(
                "its pieces make {total} bytes with {used} of its own, it says {} and holds {data}",
                self.size
            ));
        }
        let made_from = self.base.size.saturating_add(helper).saturating_add(data);
        if self.size > made_from.saturating_mul(MAX_GROWTH) {
            return lie(format!("it makes {} bytes out of {made_from}", self.size));
        }
        Ok(())
    }
}

impl Piece {
    /// Bytes of it; `helper` are those of the member with the helper.
    pub(crate) fn size(&self, helper: u64) -> u64 {
        match self {
            Self::Base { size, .. } | Self::Data { size } => *size,
            Self::Helper => helper,
        }
    }
}

/// Whether `delta` starts from `base`. Looks at what both say of themselves, which [`Archive::verify`] compares with their
/// bytes.
///
/// # Errors
/// [`Error::NotApplicable`], with both versions and digests.
pub fn fits(delta: &Archive, base: &Archive) -> Result<(), Error> {
    let refuse = |what: String| Err(Error::NotApplicable { path: delta.path().to_owned(), what });
    let (manifest, found, file) = (delta.manifest(), base.manifest(), base.path().display());
    let Some(wanted) = delta.delta().map(|delta| &delta.base) else {
        return refuse("it is no delta but a whole file; run it as it is".into());
    };
    let product = &manifest.product;
    let digest = hex(&base.trailer().digest);
    let wanted_text = format!("{product} {} with the digest {}", wanted.version, wanted.digest);
    if base.delta().is_some() {
        return refuse(format!(
            "it starts from {wanted_text}, and `{file}` is a delta itself; name a whole file"
        ));
    }
    if found.product != *product {
        return refuse(format!(
            "it is a delta of {product}, which starts from {wanted_text}, and `{file}` is {} {} with the digest {digest}; name a file of {product}",
            found.product, found.version
        ));
    }
    if digest != wanted.digest || base.trailer().file_bytes != wanted.size {
        return refuse(format!(
            "it starts from {wanted_text}, and `{file}` is {} {} with the digest {digest}; name the file that it starts from, or get the delta that starts from yours, or the whole file of {}",
            found.product, found.version, manifest.version
        ));
    }
    Ok(())
}

/// Writes to `out` the file that `delta` makes of `base`. Both should have been verified. A few hundred kilobytes are in
/// memory at once, and of the delta's own bytes one member. `progress` is told of each piece's bytes.
///
/// # Errors
/// [`Error::NotApplicable`] as [`fits`]; [`Error::Unsafe`] if something else came out than the delta promises: what was
/// written is then worth nothing. What `out` says is about the path `name`.
pub fn apply(
    delta: &Archive,
    base: &Archive,
    out: &mut dyn Write,
    name: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Error> {
    fits(delta, base)?;
    let Some(plan) = delta.delta() else { return Ok(()) };
    let mut out = Joined { out, name, hash: Sha256::new(), buffer: vec![0; 256 << 10], progress };
    delta.visit(SECTION, &mut |_, data| {
        for piece in &plan.pieces {
            match *piece {
                Piece::Base { offset, size } => out.take(&mut base.range(offset, size), size, base.path())?,
                Piece::Data { size } => out.take(&mut data.take(size), size, delta.path())?,
                Piece::Helper => {
                    let (offset, size) = delta.member_range(0);
                    out.take(&mut delta.range(offset, size), size, delta.path())?;
                }
            }
        }
        Ok(())
    })?;
    let found = hex(&out.hash.finalize());
    if found != plan.sha256 {
        return Err(Error::Unsafe {
            path: delta.path().to_owned(),
            what: format!(
                "what it makes of `{}` has the SHA-256 {found}, it promises {}",
                base.path().display(),
                plan.sha256
            ),
        });
    }
    Ok(())
}

/// What is written, and its digest so far.
struct Joined<'a> {
    out: &'a mut dyn Write,
    name: &'a Path,
    hash: Sha256,
    buffer: Vec<u8>,
    progress: &'a mut dyn FnMut(u64),
}

impl Joined<'_> {
    /// Appends exactly `size` bytes of `from`, which is about the path `source`.
    fn take(&mut self, from: &mut dyn Read, size: u64, source: &Path) -> Result<(), Error> {
        let (mut left, buffer) = (size, &mut self.buffer);
        while left > 0 {
            let room = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let count = match from.read(&mut buffer[..room]) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                other => other,
            };
            let count = count.map_err(Error::io("read", source))?;
            self.out.write_all(&buffer[..count]).map_err(Error::io("write", self.name))?;
            self.hash.update(&buffer[..count]);
            (self.progress)(count as u64);
            left -= count as u64;
        }
        Ok(())
    }
}

impl Archive {
    /// What it makes of what, if it is a delta. A delta is no package: nothing can be installed from it.
    #[must_use]
    pub fn delta(&self) -> Option<&Delta> {
        self.manifest().delta.as_ref()
    }

    /// Bytes of the content that the trailer's digest covers.
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        self.trailer().file_bytes - TRAILER_BYTES as u64
    }
}
