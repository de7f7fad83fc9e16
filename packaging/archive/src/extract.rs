//! Extracting sections into a folder.
//!
//! The folder is written by nobody else meanwhile: it is new, or made by this call. Files are created exclusively, so
//! that nothing is written through a link that lies in the way, and modes are set whatever the umask.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::manifest::{MANIFEST, Mode};
use crate::{Archive, Error};

impl Archive {
    /// Writes the sections that `wanted` names, and the manifest, into `folder`, which must be empty or absent.
    /// `progress` is told of each file's bytes.
    ///
    /// # Errors
    /// Those of [`Archive::visit`], and [`Error::Io`] for the folder. What was written stays: the caller knows whether
    /// the folder was its own.
    pub fn extract(
        &self,
        folder: &Path,
        wanted: &dyn Fn(&str) -> bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        let mut folders = BTreeSet::new();
        make_folder(folder)?;
        if fs::read_dir(folder).map_err(Error::io("read", folder))?.next().is_some() {
            let source =
                io::Error::new(io::ErrorKind::DirectoryNotEmpty, "the folder is not empty; name another");
            return Err(Error::Io { action: "extract to", path: folder.to_owned(), source });
        }
        write_file(&folder.join(MANIFEST), Mode::File, &mut &self.manifest_json()[..])?;
        for section in self.manifest().sections.iter().filter(|section| wanted(&section.name)) {
            self.visit(&section.name, &mut |entry, content| {
                for (at, _) in entry.path.as_str().match_indices('/') {
                    let parent = &entry.path.as_str()[..at];
                    if folders.insert(parent.to_owned()) {
                        make_folder(&folder.join(parent))?;
                    }
                }
                write_file(&entry.path.below(folder), entry.mode, content)?;
                progress(entry.size);
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn make_folder(path: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o755).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o755))
            .map_err(Error::io("set the mode of", path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(Error::io("create", path)(error)),
    }
}

fn write_file(path: &Path, mode: Mode, content: &mut dyn Read) -> Result<(), Error> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode.bits())
        .open(path)
        .map_err(Error::io("create", path))?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = content.read(&mut buffer).map_err(Error::io("read the content of", path))?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count]).map_err(Error::io("write", path))?;
    }
    file.set_permissions(Permissions::from_mode(mode.bits())).map_err(Error::io("set the mode of", path))
}
