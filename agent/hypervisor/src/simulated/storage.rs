//! Volumes, as `qemu-img` and the kernel would treat them.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use super::Simulated;
use super::file::File;
use super::point::Call;
use super::world::World;
use crate::cache::Layer;
use crate::cache::evidence::Tried;
use crate::check::{check_path, check_size, check_volume};
use crate::error::Error;
use crate::interface::{Attempt, Storage};
use crate::spec::Format;
use crate::storage::{Folder, Image, Volume, VolumeSpec};
use crate::survey::{Flush, Latency, Survey};

#[async_trait]
impl Storage for Simulated {
    async fn create_volume(&self, spec: &VolumeSpec, attempt: Attempt) -> Result<Volume, Error> {
        self.call(Call::CreateVolume, |world| world.create_volume(spec, attempt)).await
    }

    async fn resize_volume(
        &self,
        path: &Path,
        format: Format,
        size_bytes: u64,
        _: Attempt,
    ) -> Result<Volume, Error> {
        self.call(Call::ResizeVolume, |world| world.resize_volume(path, format, size_bytes)).await
    }

    async fn delete_volume(&self, path: &Path, attempt: Attempt) -> Result<(), Error> {
        self.call(Call::DeleteVolume, |world| world.delete_volume(path, attempt)).await
    }

    async fn volume(&self, path: &Path, format: Format) -> Result<Volume, Error> {
        self.call(Call::Volume, |world| world.file(path)?.volume_as(path, format)).await
    }

    async fn import_image(&self, source: &Path, path: &Path, attempt: Attempt) -> Result<Image, Error> {
        let placed = self.world().files.contains_key(source);
        let real = if self.real_files && !placed { Some(real_file(source).await?) } else { None };
        self.call(Call::ImportImage, |world| world.import_image(source, real, path, attempt)).await
    }

    async fn folder(&self, path: &Path) -> Result<Folder, Error> {
        self.call(Call::Folder, |world| world.folder(path)).await
    }

    async fn survey(&self, path: &Path) -> Result<Survey, Error> {
        self.call(Call::Survey, |world| world.survey(path)).await
    }
}

/// Looks at a file of this machine, which may take long.
async fn real_file(path: &Path) -> Result<File, Error> {
    let owned = path.to_owned();
    let read = tokio::task::spawn_blocking(move || File::read(&owned)).await;
    read.unwrap_or_else(|ended| {
        Err(Error::Failed {
            what: format!("read `{}`", path.display()),
            cause: ended.to_string(),
            remedy: "try again".to_owned(),
        })
    })
}

fn invalid(what: String, remedy: &str) -> Error {
    Error::Invalid { what, remedy: remedy.to_owned() }
}

impl World {
    fn create_volume(&mut self, spec: &VolumeSpec, attempt: Attempt) -> Result<Volume, Error> {
        check_volume(spec)?;
        if attempt == Attempt::First && self.files.contains_key(&spec.path) {
            return Err(Error::VolumeExists { path: spec.path.clone() });
        }
        let backing = match &spec.backing {
            None => None,
            Some(backing) => Some((backing, self.file(&backing.path)?)),
        };
        let under = backing.map_or(0, |(_, file)| file.size_bytes);
        let size_bytes = spec.size_bytes.unwrap_or(under);
        if let Some((backing, file)) = backing {
            let shown = backing.path.display();
            if file.format != backing.format {
                return Err(invalid(
                    format!("`{shown}` is no `{}` image", backing.format),
                    "name the format that it has",
                ));
            }
            if size_bytes < under {
                return Err(invalid(
                    format!("`{size_bytes}` bytes are fewer than the {under} of `{shown}` under it"),
                    "choose at least as many",
                ));
            }
        }
        let path = spec.backing.as_ref().map(|backing| backing.path.clone());
        let file = File::blank(spec.format, size_bytes, path);
        let wanted = file.volume(&spec.path);
        match self.files.get(&spec.path) {
            // A volume is made as a whole: one that is as asked for is that of an earlier attempt.
            Some(there) if attempt == Attempt::Again && there.volume(&spec.path) == wanted => Ok(wanted),
            Some(_) => Err(Error::VolumeExists { path: spec.path.clone() }),
            None => {
                self.add(&spec.path, file)?;
                Ok(wanted)
            }
        }
    }

    /// Adds a file to a folder that is there and has room.
    fn add(&mut self, path: &Path, file: File) -> Result<(), Error> {
        if self.missing_folders.iter().any(|folder| path.starts_with(folder)) {
            return Err(no_folder_above(path));
        }
        self.space(path, file.allocated_bytes)?;
        self.files.insert(path.to_owned(), file);
        Ok(())
    }

    fn resize_volume(&mut self, path: &Path, format: Format, size_bytes: u64) -> Result<Volume, Error> {
        check_size(path, size_bytes)?;
        let file = self.file(path)?.clone();
        let volume = file.volume_as(path, format)?;
        if size_bytes < volume.size_bytes {
            return Err(Error::Shrink {
                path: path.to_owned(),
                size_bytes: volume.size_bytes,
                wanted_bytes: size_bytes,
            });
        }
        let more_bytes = match format {
            Format::Raw => size_bytes - volume.size_bytes,
            Format::Qcow2 => 0,
        };
        self.space(path, more_bytes)?;
        let file = File { size_bytes, allocated_bytes: file.allocated_bytes + more_bytes, ..file };
        let volume = file.volume(path);
        self.files.insert(path.to_owned(), file);
        Ok(volume)
    }

    fn delete_volume(&mut self, path: &Path, attempt: Attempt) -> Result<(), Error> {
        check_path(path)?;
        if let Some(name) = self.user(path) {
            return Err(Error::InUse { path: path.to_owned(), name });
        }
        if attempt == Attempt::Again && !self.files.contains_key(path) {
            return Ok(());
        }
        self.file(path)?;
        self.files.remove(path);
        Ok(())
    }

    fn import_image(
        &mut self,
        source: &Path,
        real: Option<File>,
        path: &Path,
        attempt: Attempt,
    ) -> Result<Image, Error> {
        check_path(source)?;
        check_path(path)?;
        if attempt == Attempt::First && self.files.contains_key(path) {
            return Err(Error::VolumeExists { path: path.to_owned() });
        }
        let file = match real {
            Some(file) => file,
            None => self.file(source)?.clone(),
        };
        file.found().format(source)?;
        let image = Image { volume: file.volume(path), sha256: file.sha256.clone() };
        match self.files.get(path) {
            Some(there) if attempt == Attempt::Again && there.sha256 == file.sha256 => Ok(image),
            Some(_) => Err(Error::VolumeExists { path: path.to_owned() }),
            None => {
                self.add(path, file)?;
                Ok(image)
            }
        }
    }

    fn folder(&mut self, path: &Path) -> Result<Folder, Error> {
        check_path(path)?;
        let above = path.parent().unwrap_or(path);
        if self.missing_folders.iter().any(|folder| above.starts_with(folder)) {
            return Err(no_folder_above(path));
        }
        if self.files.contains_key(path) {
            return Err(invalid(format!("`{}` is no folder", path.display()), "choose another path"));
        }
        self.missing_folders.remove(path);
        let (capacity_bytes, available_bytes) = self.file_system(path);
        let file_system = "simulated".to_owned();
        Ok(Folder { path: path.to_owned(), file_system, capacity_bytes, available_bytes })
    }
}

/// What a flush takes here, each time.
const FLUSH: Duration = Duration::from_millis(1);

impl World {
    fn survey(&self, path: &Path) -> Result<Survey, Error> {
        check_path(path)?;
        if self.missing_folders.iter().any(|folder| path.starts_with(folder)) {
            return Err(Error::NoVolume { path: path.to_owned() });
        }
        let (capacity_bytes, available_bytes) = self.file_system(path);
        let latency = Latency { samples: 64, median: FLUSH, percentile_99: FLUSH };
        let layer = Layer { path: path.to_owned(), folder: path.to_owned(), ..self.layer(path) };
        Ok(Survey {
            path: path.to_owned(),
            layer,
            capacity_bytes,
            available_bytes,
            inodes: 0,
            free_inodes: 0,
            flush: Flush::Sampled(latency),
            hole_punching: Tried::Worked,
            reflink: Tried::Worked,
        })
    }
}

fn no_folder_above(path: &Path) -> Error {
    let what = format!("there is no folder for `{}`", path.display());
    invalid(what, "make the folder above it, or choose another path")
}
