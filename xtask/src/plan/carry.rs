//! Packages of an operating system, in a section of their own that only its hosts unpack.

use anyhow::Result;
use packaging_archive::{EntryPath, Mode, OS_SECTION};

use super::{BUNDLE_TIME, Origin, Packages, Staged, Step};
use crate::failure::Failure;
use crate::os;

/// The guest image's section, and where the image lies in the file.
const GUEST: &str = "guest";
const IMAGE: &str = "share/images/cairn-guest.raw";

/// The section, and the roles that need it: those for which packages are named. The guest image is imported on the server's host.
pub fn section(packages: &Packages) -> (String, Vec<String>) {
    if packages.os == os::guest::SET {
        return (GUEST.to_owned(), vec!["server".to_owned()]);
    }
    let roles = packages.roles.iter().filter(|(_, named)| !named.is_empty());
    (format!("{OS_SECTION}{}", packages.os), roles.map(|(role, _)| role.clone()).collect())
}

/// What is done to pack them, once they are in the cache.
pub fn steps(packages: &Packages) -> Result<Vec<Step>> {
    let (os, section) = (&packages.os, section(packages).0);
    if *os == os::guest::SET {
        let image = EntryPath::new(IMAGE).map_err(Failure::usage)?;
        return Ok(vec![Step::Guest { set: os.clone(), section, image }]);
    }
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
    Ok(vec![stage, Step::Catalogue { os: os.clone(), section, index, record }])
}
