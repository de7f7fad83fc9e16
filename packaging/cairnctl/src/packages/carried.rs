//! The packages that an archive carries for this host's operating system, and their way to a folder here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use packaging_archive::Section;
use serde::Deserialize;

use crate::exit::{Code, Exit};
use crate::host;
use crate::role::Role;
use crate::source::Source;

/// Where packages lie in an archive, below a folder that is called after the operating system.
const FOLDER: &str = "share/os";

/// What is carried, as the archive records it. Fields that this program has no use for are left out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Record {
    /// The operating system and its release.
    pub os: String,
    /// What hosts are given, by role.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Every package.
    pub packages: Vec<Package>,
}

/// One package.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its file, beside the record.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Room that it takes on a host, in KiB.
    pub installed_kib: u64,
}

/// The packages for one operating system.
pub struct Carried<'a> {
    source: &'a Source,
    section: &'a Section,
    /// What they are.
    pub record: Record,
}

impl<'a> Carried<'a> {
    /// Those for `os`, ID and VERSION_ID of os-release(5), if the archive has any.
    ///
    /// # Errors
    /// Exit code 2 if their record cannot be read.
    pub fn find(source: &'a Source, os: &str) -> Result<Option<Self>> {
        let manifest = source.manifest();
        let Some(section) = manifest.sections.iter().find(|section| section.os() == Some(os)) else {
            return Ok(None);
        };
        let path = format!("{FOLDER}/{os}/packages.json");
        let damaged = |what: &str| Exit::error(Code::Damaged, format!("`{path}` {what}; get the file again"));
        let entry = manifest.entry(&path).ok_or_else(|| damaged("is missing"))?;
        let record: Record = serde_json::from_slice(&source.read(entry)?)
            .map_err(|error| damaged(&format!("cannot be read ({error})")))?;
        Ok(Some(Self { source, section, record }))
    }

    /// Names of the packages that a host of this role is given.
    pub fn named(&self, role: Role) -> Vec<&str> {
        let roles = self.record.roles.iter().filter(|(name, _)| {
            (role.server() && *name == Role::Server.as_str())
                || (role.agent() && *name == Role::Agent.as_str())
        });
        roles.flat_map(|(_, named)| named).map(String::as_str).collect()
    }

    /// Writes index and packages into `folder`, which must be absent, and says in which folder they lie there.
    ///
    /// # Errors
    /// Exit code 2 for damage, 4 for a full disk.
    pub fn unpack(&self, folder: &Path) -> Result<PathBuf> {
        let own = PathBuf::from(FOLDER).join(&self.record.os);
        match self.source {
            Source::Archive(archive) => {
                archive.extract(folder, &|name| name == self.section.name, &mut |_| ())?;
            }
            Source::Folder { .. } => {
                let entries = self.source.manifest().entries.iter();
                host::make_folders(&folder.join(&own))?;
                for entry in entries.filter(|entry| entry.section == self.section.name) {
                    let to = entry.path.below(folder);
                    fs::write(&to, self.source.read(entry)?)
                        .with_context(|| format!("cannot write `{}`", to.display()))?;
                }
            }
        }
        Ok(folder.join(own))
    }
}
