//! What a command works on: a manifest, the sources that it names, and which ref each component is meant at.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::all_in_one::tree;
use crate::buildfile::{self, BuildFile};
use crate::cache::Cache;
use crate::cli::{Choice, OsArgs};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::reach::Reach;
use crate::refs::Wanted;
use crate::version::Version;

/// A manifest that was read, and where it lies.
pub struct Chosen {
    /// What it says.
    pub file: BuildFile,
    /// The file itself.
    pub manifest: PathBuf,
    /// Its folder.
    pub folder: PathBuf,
    /// Where sources with a relative path lie.
    pub source_root: PathBuf,
}

impl Choice {
    /// Reads the manifest.
    ///
    /// # Errors
    /// If it is not there, or says something that cannot be.
    pub fn read(&self) -> Result<Chosen> {
        let manifest = self.manifest.clone().unwrap_or_else(|| tree().join(buildfile::NAME));
        let file = BuildFile::read(&manifest)?;
        let manifest =
            manifest.canonicalize().with_context(|| format!("cannot find `{}`", manifest.display()))?;
        let folder = manifest.parent().unwrap_or(Path::new("/")).to_owned();
        let source_root = self.source_root.clone().unwrap_or_else(|| folder.clone());
        Ok(Chosen { file, manifest, folder, source_root })
    }

    /// What was asked for, with `version` as what all components are meant at.
    ///
    /// # Errors
    /// If a component is asked for at two refs.
    pub fn wanted(&self, version: Option<&Version>) -> Result<Wanted> {
        let mut wanted = Wanted { version: version.map(ToString::to_string), ..Wanted::default() };
        for (name, reference) in &self.component {
            if wanted
                .overrides
                .insert(name.clone(), reference.clone())
                .is_some_and(|earlier| earlier != *reference)
            {
                return Err(Failure::usage(format!(
                    "--component names `{name}` twice with different refs; keep one"
                )));
            }
        }
        Ok(wanted)
    }

    /// The command that brings everything that a build of this needs.
    pub fn fetch_command(&self, os: &OsArgs, version: Option<&Version>, reach: Reach) -> String {
        let mut words = vec!["cargo xtask fetch".to_owned()];
        words.extend(version.map(|version| format!("--version {version}")));
        words.extend(os.os.iter().map(|name| format!("--os {name}")));
        words.extend(os.guest.then(|| "--guest".to_owned()));
        words.extend(os.os_unlocked.then(|| "--os-unlocked".to_owned()));
        words
            .extend(self.component.iter().map(|(name, reference)| format!("--component {name}={reference}")));
        words.extend(reach.native.then(|| "--native".to_owned()));
        words.extend(reach.portable.then(|| "--portable".to_owned()));
        for (option, path) in
            [("manifest", &self.manifest), ("source-root", &self.source_root), ("cache", &self.cache)]
        {
            words.extend(path.iter().map(|path| format!("--{option} {}", path.display())));
        }
        words.join(" ")
    }

    /// Opens the cache folder for `what`, and says so while another build holds it.
    ///
    /// # Errors
    /// If it cannot be made or locked.
    pub fn open_cache(&self, what: &str, progress: &Progress) -> Result<Cache> {
        Cache::open(self.cache.as_deref(), what, &|owner, folder| {
            progress.say(&format!("waiting for {owner} to leave `{}`", folder.display()));
            progress.emit(&json!({"event": "waiting", "for": owner, "folder": folder}));
        })
    }
}
