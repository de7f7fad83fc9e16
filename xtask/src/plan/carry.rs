//! Packages of an operating system, in a section of their own that only its hosts unpack.

use anyhow::Result;
use packaging_archive::{EntryPath, Mode, OS_SECTION};

use super::{BUNDLE_TIME, Origin, Packages, Staged, Step};
use crate::failure::Failure;
use crate::os;

/// The section, and the roles that need it: those for which packages are named.
pub fn section(packages: &Packages) -> (String, Vec<String>) {
    let roles = packages.roles.iter().filter(|(_, named)| !named.is_empty());
    (format!("{OS_SECTION}{}", packages.os), roles.map(|(role, _)| role.clone()).collect())
}

/// What is done to pack them, once they are in the cache.
pub fn steps(packages: &Packages) -> Result<[Step; 2]> {
    let (os, section) = (&packages.os, section(packages).0);
    let path = |name: &str| EntryPath::new(format!("{}/{os}/{name}", os::FOLDER)).map_err(Failure::usage);
    let files = packages.packages.iter().map(|package| {
        let to = path(&package.file_name())?;
        Ok(Staged { from: format!("{}.deb", package.sha256), to, mode: Mode::File })
    });
    let stage = Step::Stage {
        component: os.clone(),
        from: Origin::Packages,
        section: section.clone(),
        mtime: BUNDLE_TIME,
        files: files.collect::<Result<_>>()?,
    };
    let (index, record) = (path(os::INDEX)?, path(os::RECORD)?);
    Ok([stage, Step::Catalogue { os: os.clone(), section, index, record }])
}
