//! Copying an image into a storage, and finding out what it is.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::partial::Partial;
use super::{blocking, exists, of_io, qemu_img};
use crate::check::check_path;
use crate::error::Error;
use crate::interface::Attempt;
use crate::spec::Format;
use crate::storage::Image;

/// Copies `source` to `path`.
pub async fn import(source: &Path, path: &Path, attempt: Attempt) -> Result<Image, Error> {
    check_path(source)?;
    check_path(path)?;
    if exists(path).await? {
        return existing(source, path, attempt).await;
    }
    // Before the copy, which may take long; and after it, of what was copied.
    let owned = source.to_owned();
    blocking(source, move |path| format(path, &owned)).await?;
    let partial = blocking(path, Partial::begin).await?;
    let (from, to) = (source.to_owned(), partial.path().to_owned());
    blocking(path, move |_| copy(&from, &to)).await?;
    let owned = source.to_owned();
    let format = blocking(partial.path(), move |path| format(path, &owned)).await?;
    // All of it has to reach the disk first.
    blocking(path, |_| partial.publish()).await?;
    Ok(Image { volume: qemu_img::inspect(path, format).await?, sha256: sha256(path).await? })
}

/// What is there may be what an earlier attempt made. It is looked into only if it is the same, byte for byte.
async fn existing(source: &Path, path: &Path, attempt: Attempt) -> Result<Image, Error> {
    let there = Error::VolumeExists { path: path.to_owned() };
    if attempt == Attempt::First {
        return Err(there);
    }
    let sums = (sha256(source).await?, sha256(path).await?);
    if sums.0 != sums.1 {
        return Err(there);
    }
    let owned = source.to_owned();
    let format = blocking(path, move |path| format(path, &owned)).await?;
    Ok(Image { volume: qemu_img::inspect(path, format).await?, sha256: sums.1 })
}

/// What is in the file at `path`, which is `source` or a copy of it.
fn format(path: &Path, source: &Path) -> Result<Format, Error> {
    crate::image::look(path).map_err(|error| of_io(&error, path, "read"))?.format(source)
}

/// Copies what is in a file. What is a hole in it is one in the copy.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let source = File::open(from).map_err(|error| of_io(&error, from, "read"))?;
    let target = File::create_new(to).map_err(|error| of_io(&error, to, "make"))?;
    copy_data(&source, &target).map_err(|error| of_io(&error, to, "write"))
}

fn copy_data(mut source: &File, mut target: &File) -> io::Result<()> {
    // Most file systems that know no holes say that all of a file is data; a few do not know the question.
    if let Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) = seek(source, SeekFrom::Data(0)) {
        source.rewind()?;
        return io::copy(&mut source, &mut target).map(drop);
    }
    let mut end = 0;
    while let Some(start) = next(source, SeekFrom::Data(end))? {
        end = next(source, SeekFrom::Hole(start))?.unwrap_or(start);
        source.seek(io::SeekFrom::Start(start))?;
        target.seek(io::SeekFrom::Start(start))?;
        // The kernel shares the blocks where the file system can, and keeps the copy within itself otherwise.
        let copied = io::copy(&mut source.take(end - start), &mut target)?;
        // It has become shorter meanwhile.
        if copied < end - start {
            break;
        }
    }
    // What is a hole at its end was not written.
    target.set_len(source.seek(io::SeekFrom::End(0))?)
}

/// Where the next stretch of data, or hole, begins. None: there is no data any more.
fn next(file: &File, from: SeekFrom) -> io::Result<Option<u64>> {
    match seek(file, from) {
        Ok(at) => Ok(Some(at)),
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn sha256(path: &Path) -> Result<String, Error> {
    blocking(path, digest).await
}

fn digest(path: &Path) -> Result<String, Error> {
    let mut file = File::open(path).map_err(|error| of_io(&error, path, "read"))?;
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let length = file.read(&mut buffer).map_err(|error| of_io(&error, path, "read"))?;
        if length == 0 {
            return Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        digest.update(&buffer[..length]);
    }
}
