//! Where files of our own may lie that have names: noted before one is made, so that an agent that starts after one that was
//! killed knows where to look. A note is a file whose content is a folder.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// The notes, in a folder of their own. It is made with the first one.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    folder: Option<PathBuf>,
}

/// That a file may lie in a folder, as long as this is there. One that is killed stays noted.
#[derive(Debug)]
pub(crate) struct Note {
    path: Option<PathBuf>,
}

impl Drop for Note {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // What stays is looked at once more, and nothing is found.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Notes {
    /// Notes in `folder`; None: nothing is noted, and what is left is found by the next look where it lies.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// Notes that a file may lie in `place` from now on. Where that cannot be written it is not noted: a disk that is full here
    /// is no reason not to look there.
    pub(crate) fn note(&self, place: &Path) -> Note {
        let Some(folder) = &self.folder else { return Note { path: None } };
        let path = folder.join(Uuid::new_v4().simple().to_string());
        let written = std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&path, place.as_os_str().as_bytes()));
        if let Err(error) = written {
            tracing::warn!("cannot note in `{}` where a file is tried: {error}", folder.display());
        }
        Note { path: Some(path) }
    }

    /// The notes of those that were killed, each with its folder. Only who has noted nothing yet may ask: notes of one that is
    /// under way are among them.
    pub(crate) fn left(&self) -> Vec<(Note, PathBuf)> {
        let entries = self.folder.as_deref().and_then(|folder| std::fs::read_dir(folder).ok());
        let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
        let read = |path: PathBuf| {
            let place = PathBuf::from(OsString::from_vec(std::fs::read(&path).ok()?));
            // What was cut short was written before there was a file.
            Some((Note { path: Some(path) }, place)).filter(|(_, place)| place.is_absolute())
        };
        paths.filter_map(read).collect()
    }
}

impl Note {
    /// It stays: nobody could look.
    pub(crate) fn keep(mut self) {
        self.path = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_outlives_who_is_killed_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes::new(Some(folder.path().join("notes")));
        assert!(notes.left().is_empty());
        let (first, killed) = (notes.note(Path::new("/srv/a")), notes.note(Path::new("/srv/b")));
        drop(first);
        killed.keep();
        std::fs::write(folder.path().join("notes/cut-short"), "").unwrap();
        let (note, place) = notes.left().remove(0);
        assert_eq!(place, Path::new("/srv/b"));
        note.keep();
        let left = notes.left();
        assert_eq!(left.len(), 1, "{left:?}");
        drop(left);
        assert_eq!(std::fs::read_dir(folder.path().join("notes")).unwrap().count(), 0);
        // Without a place for them, or where it cannot be written, one looks all the same.
        drop(Notes::new(None).note(Path::new("/srv/a")));
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let nowhere = Notes::new(Some(file.clone()));
        drop(nowhere.note(Path::new("/srv/a")));
        assert!(nowhere.left().is_empty() && file.is_file());
    }
}
