//! Copying an image into a storage.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::partial::Partial;
use super::{blocking, exists, of_io, qemu_img};
use crate::check::check_path;
use crate::error::Error;
use crate::interface::Attempt;
use crate::storage::Image;

/// Copies `source` to `path`.
pub async fn import(source: &Path, path: &Path, attempt: Attempt) -> Result<Image, Error> {
    check_path(source)?;
    check_path(path)?;
    if exists(path).await? {
        return existing(source, path, attempt).await;
    }
    // Before the copy, which may take long; and after it, of what was copied.
    alone(source, source).await?;
    let partial = blocking(path, Partial::begin).await?;
    let (from, to) = (source.to_owned(), partial.path().to_owned());
    blocking(path, move |_| copy(&from, &to)).await?;
    alone(partial.path(), source).await?;
    // All of it has to reach the disk first.
    blocking(path, |_| partial.publish()).await?;
    describe(path).await
}

/// What is there may be what an earlier attempt made.
async fn existing(source: &Path, path: &Path, attempt: Attempt) -> Result<Image, Error> {
    let there = Error::VolumeExists { path: path.to_owned() };
    if attempt == Attempt::First {
        return Err(there);
    }
    let image = describe(path).await?;
    if sha256(source).await? == image.sha256 { Ok(image) } else { Err(there) }
}

async fn describe(path: &Path) -> Result<Image, Error> {
    Ok(Image { volume: qemu_img::inspect(path).await?, sha256: sha256(path).await? })
}

/// Refuses an image that names another file: a guest could read any file of this host through it.
async fn alone(path: &Path, source: &Path) -> Result<(), Error> {
    let info = qemu_img::info(path).await?;
    if let Some(other) = info.other_file() {
        return Err(Error::Invalid {
            what: format!("the image `{}` names another file, `{}`", source.display(), other.display()),
            remedy: "make one file of them with `qemu-img convert`".to_owned(),
        });
    }
    info.volume(source).map(drop)
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let mut source = File::open(from).map_err(|error| of_io(&error, from, "read"))?;
    let mut target = File::create_new(to).map_err(|error| of_io(&error, to, "make"))?;
    // The kernel shares the blocks where the file system can, and keeps the copy within itself otherwise.
    std::io::copy(&mut source, &mut target).map_err(|error| of_io(&error, to, "write"))?;
    Ok(())
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
