//! The root that an installation lies below: found, made where it is not there, and held against a second run.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::host::{self, Lock};
use crate::layout::Layout;

/// A root that is held. One that was made for this run goes away with it, unless something lies there now.
pub struct Root {
    layout: Layout,
    made: Vec<std::path::PathBuf>,
    _lock: Lock,
}

impl Root {
    /// Finds or makes the root, and holds it.
    ///
    /// # Errors
    /// If it is no folder and cannot become one. Exit code 5 while another run holds it.
    pub fn make(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).with_context(|| format!("cannot find `{}`", path.display()))?;
        let made = host::make_folders(&path)?;
        Self::hold(&path, made)
    }

    /// Holds the root if there is one.
    ///
    /// # Errors
    /// As [`Root::make`].
    pub fn find(path: &Path) -> Result<Option<Self>> {
        if path.symlink_metadata().is_err() { Ok(None) } else { Self::hold(path, Vec::new()).map(Some) }
    }

    fn hold(path: &Path, made: Vec<std::path::PathBuf>) -> Result<Self> {
        let layout = layout(path)?;
        let lock = host::lock(layout.root())?;
        Ok(Self { layout, made, _lock: lock })
    }

    /// Where things lie below it.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether it was made for this run.
    pub fn is_new(&self) -> bool {
        !self.made.is_empty()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // Only empty folders can be removed so.
        for folder in self.made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The layout below a root that is there, with all links in its path resolved.
///
/// # Errors
/// If it is not there.
pub fn layout(path: &Path) -> Result<Layout> {
    let root = path.canonicalize().with_context(|| format!("cannot use `{}` as a root", path.display()))?;
    Ok(Layout::new(root))
}
