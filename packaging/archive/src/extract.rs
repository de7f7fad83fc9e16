//! Extracting sections, or some entries, into a folder.
//!
//! The folder is written by nobody else meanwhile: it is new, or made by this call. Files are created exclusively, so
//! that nothing is written through a link that lies in the way, and modes are set whatever the umask.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::manifest::{Entry, MANIFEST, Mode};
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
        let mut out = Folder::new(folder)?;
        write_file(&folder.join(MANIFEST), Mode::File, &mut &self.manifest_json()[..])?;
        for section in self.manifest().sections.iter().filter(|section| wanted(&section.name)) {
            self.visit(&section.name, &mut |entry, content| {
                out.write(entry, content)?;
                progress(entry.size);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Writes the entries called as one of `names`, or lying below a folder of that name, into `folder`, which must be
    /// empty or absent. Reads the members that hold them and nothing else of the file. Returns how many files that made.
    ///
    /// # Errors
    /// [`Error::NoEntry`] for a name that is nobody's, and then there is no folder either; as for [`Archive::pick`], and
    /// [`Error::Io`] for the folder.
    pub fn extract_only(&self, folder: &Path, names: &[String]) -> Result<usize, Error> {
        let is_below = |path: &str, name: &str| {
            let rest = path.strip_prefix(name.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let paths = || self.manifest().entries.iter().map(|entry| entry.path.as_str()).chain([MANIFEST]);
        for name in names {
            if !paths().any(|path| is_below(path, name)) {
                return Err(self.no_entry(name));
            }
        }
        let is_wanted = |path: &str| names.iter().any(|name| is_below(path, name));
        let mut out = Folder::new(folder)?;
        let mut count = 0;
        if is_wanted(MANIFEST) {
            write_file(&folder.join(MANIFEST), Mode::File, &mut &self.manifest_json()[..])?;
            count += 1;
        }
        self.pick(&|entry| is_wanted(entry.path.as_str()), &mut |entry, content| {
            count += 1;
            out.write(entry, content)
        })?;
        Ok(count)
    }
}

/// The folder that is written to, and the folders in it that were made.
struct Folder<'a> {
    path: &'a Path,
    made: BTreeSet<String>,
}

impl<'a> Folder<'a> {
    fn new(path: &'a Path) -> Result<Self, Error> {
        make_folder(path)?;
        if fs::read_dir(path).map_err(Error::io("read", path))?.next().is_some() {
            let source =
                io::Error::new(io::ErrorKind::DirectoryNotEmpty, "the folder is not empty; name another");
            return Err(Error::Io { action: "extract to", path: path.to_owned(), source });
        }
        Ok(Self { path, made: BTreeSet::new() })
    }

    fn write(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), Error> {
        for (at, _) in entry.path.as_str().match_indices('/') {
            let parent = &entry.path.as_str()[..at];
            if self.made.insert(parent.to_owned()) {
                make_folder(&self.path.join(parent))?;
            }
        }
        write_file(&entry.path.below(self.path), entry.mode, content)
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
