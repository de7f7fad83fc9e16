//! Volumes as files, made and looked at by `qemu-img`. A volume appears by renaming, whole or not at all.

mod folder;
mod import;
mod partial;
mod qemu_img;
mod users;

use std::path::Path;

use super::{Libvirt, refusal};
use crate::chain;
use crate::check::check_volume;
use crate::error::Error;
use crate::interface::Attempt;
use crate::spec::Format;
use crate::storage::{Backing, Volume, VolumeSpec};
use partial::Partial;

/// How long a file system has to answer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// That a path leads nowhere.
fn no_folder_above(path: &Path) -> Error {
    Error::Invalid {
        what: format!("there is no folder for `{}`", path.display()),
        remedy: "make the folder above it, or choose another path".to_owned(),
    }
}

pub use folder::folder;
pub use import::import;
pub use qemu_img::inspect;

/// Makes a volume.
pub async fn create(spec: &VolumeSpec, attempt: Attempt) -> Result<Volume, Error> {
    check_volume(spec)?;
    if exists(&spec.path).await? {
        return existing(spec, attempt).await;
    }
    let size = match &spec.backing {
        None => None,
        Some(backing) => {
            let under = inspect(&backing.path, backing.format).await?;
            if let Some(wanted) = spec.size_bytes.filter(|wanted| *wanted < under.size_bytes) {
                return Err(Error::Invalid {
                    what: format!(
                        "`{}` would have {wanted} bytes, less than the {} bytes of the image under it, `{}`",
                        spec.path.display(),
                        under.size_bytes,
                        backing.path.display()
                    ),
                    remedy: "ask for at least as many".to_owned(),
                });
            }
            Some(under.size_bytes)
        }
    };
    let partial = blocking(&spec.path, Partial::begin).await?;
    let size = spec.size_bytes.or(size);
    qemu_img::create(partial.path(), &spec.path, spec.format, size, spec.backing.as_ref()).await?;
    blocking(&spec.path, |_| partial.publish()).await?;
    inspect(&spec.path, spec.format).await
}

/// What is there may be what an earlier attempt made.
async fn existing(spec: &VolumeSpec, attempt: Attempt) -> Result<Volume, Error> {
    let there = Error::VolumeExists { path: spec.path.clone() };
    if attempt == Attempt::First {
        return Err(there);
    }
    let volume = inspect(&spec.path, spec.format).await?;
    let backing = spec.backing.as_ref().map(|backing| &backing.path);
    // A raw file of nothing looks like any other raw file; what is in it is the guest's.
    let same =
        volume.backing.as_ref() == backing && spec.size_bytes.is_none_or(|size| size == volume.size_bytes);
    if same { Ok(volume) } else { Err(there) }
}

/// Does what may take long or hang on a file system, where it holds nobody up.
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let owned = path.to_owned();
    let done = tokio::task::spawn_blocking(move || work(&owned)).await;
    done.unwrap_or_else(|error| Err(of_io(&std::io::Error::other(error), path, "work on")))
}

/// The images under a volume.
async fn below(path: &Path, format: Format) -> Result<Vec<Backing>, Error> {
    let read = move |path: &Path| {
        chain::below(path, format).map_err(|error| of_io(&error, path, "read the header of"))
    };
    match tokio::time::timeout(PATIENCE, blocking(path, read)).await {
        Ok(read) => read,
        Err(_) => {
            let silent = std::io::Error::other(format!("no answer within {} seconds", PATIENCE.as_secs()));
            Err(of_io(&silent, path, "read the header of"))
        }
    }
}

/// Whether something is at `path`, a link that leads nowhere included.
async fn exists(path: &Path) -> Result<bool, Error> {
    match tokio::fs::symlink_metadata(path).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(of_io(&error, path, "look at")),
    }
}

/// An error of the kernel about a file.
fn of_io(error: &std::io::Error, path: &Path, verb: &str) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            Error::NoSpace { path: path.to_owned(), cause: error.to_string() }
        }
        std::io::ErrorKind::NotFound => Error::NoVolume { path: path.to_owned() },
        _ => Error::Failed {
            what: format!("{verb} `{}`", path.display()),
            cause: error.to_string(),
            remedy: "look at the file, its folder and their permissions".to_owned(),
        },
    }
}

impl Libvirt {
    /// The domain that has a file as a disk or in a drive, whether it is active, and the name of the file there.
    fn user_of(&self, path: &Path) -> Option<(agent_libvirt::Domain, bool, String)> {
        self.registry.all_seen().into_iter().find_map(|seen| {
            let disks = seen.described.disks.iter().map(|at| (Some(&at.disk.source), &at.target));
            let drives = seen.described.drives.iter().map(|at| (at.media.as_ref(), &at.target));
            let (_, target) =
                disks.chain(drives).find(|(source, _)| source.is_some_and(|source| source == path))?;
            let target = target.clone();
            Some((seen.handle, seen.state.is_active(), target))
        })
    }

    pub(super) async fn resize(&self, path: &Path, format: Format, size_bytes: u64) -> Result<Volume, Error> {
        crate::check::check_size(path, size_bytes)?;
        let volume = inspect(path, format).await?;
        if size_bytes < volume.size_bytes {
            let (size_bytes, wanted_bytes) = (volume.size_bytes, size_bytes);
            return Err(Error::Shrink { path: path.to_owned(), size_bytes, wanted_bytes });
        }
        if size_bytes == volume.size_bytes {
            return Ok(volume);
        }
        // Who has it is known only while libvirt is.
        let connection = self.connection().await?;
        match self.user_of(path) {
            // Nobody else may write to a file that QEMU has open.
            Some((handle, true, target)) => {
                let flags = agent_libvirt::BlockResizeFlags::BYTES;
                let resized = connection.domain_block_resize(&handle, &target, size_bytes, flags).await;
                resized.map_err(|error| {
                    refusal::plain(&error, handle.uuid, format!("resize `{}`", path.display()))
                })?;
            }
            Some((_, false, _)) | None => qemu_img::resize(path, format, size_bytes).await?,
        }
        inspect(path, format).await
    }

    pub(super) async fn delete(&self, path: &Path, attempt: Attempt) -> Result<(), Error> {
        crate::check::check_path(path)?;
        // Who has it is known only while libvirt is.
        if let Some(name) = users::user(&self.connection().await?, path).await? {
            return Err(Error::InUse { path: path.to_owned(), name });
        }
        blocking(path, |path| Partial::of(path)?.clear()).await?;
        match tokio::fs::remove_file(path).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && attempt == Attempt::Again => Ok(()),
            Err(error) => Err(of_io(&error, path, "delete")),
        }
    }
}

/// `qemu-img`'s word for a format.
fn format_word(format: Format) -> &'static str {
    format.as_str()
}
