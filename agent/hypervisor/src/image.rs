//! What an image from elsewhere is. It is found out once, when the image is imported, by the rules here and not by QEMU's; from
//! then on its format is what was recorded, whatever anybody writes into it.
//!
//! A file is qcow2 if it begins like one. It is refused if it begins like another format of QEMU's, or names another file: a
//! guest could read any file of the host through it. Everything else is raw. Sources: QEMU's docs/interop/qcow2.txt, and
//! the first bytes by which the drivers in its `block` folder know their formats.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::chain::{DATA_FILE, MAGIC, be32, be64, exactly, extension, name_at, open};
use crate::error::Error;
use crate::spec::Format;

/// How the formats begin that are not taken, after what stands at which byte.
const OTHERS: &[(usize, &[u8], &str)] = &[
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vpc"),
    (0x40, b"\x7f\x10\xda\xbe", "vdi"),
    (0, b"QED\0", "qed"),
    (0, b"WithoutFreeSpace", "parallels"),
    (0, b"WithouFreSpacExt", "parallels"),
    (0, b"LUKS\xba\xbe", "luks"),
    (0, b"Bochs Virtual HD Image", "bochs"),
    (0, b"#!/bin/sh\n#V2.0 Format\n", "cloop"),
];

/// How much of a file is looked at for that.
const HEAD_BYTES: u64 = 128;

/// The bit of a qcow2 header that says that its sectors lie in another file.
const HAS_DATA_FILE: u64 = 1 << 2;

/// What an image was found to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It stands alone, and has this format.
    Alone(Format),
    /// It names this other file.
    Naming(PathBuf),
    /// It has a format that is not taken.
    Other(String),
}

impl Found {
    /// The format; `source` is how people call the image.
    ///
    /// # Errors
    /// That it is not taken, and why.
    pub(crate) fn format(self, source: &Path) -> Result<Format, Error> {
        let source = source.display();
        match self {
            Self::Alone(format) => Ok(format),
            Self::Naming(other) => Err(Error::Invalid {
                what: format!("the image `{source}` names another file, `{}`", other.display()),
                remedy: "make one file of them with `qemu-img convert`".to_owned(),
            }),
            Self::Other(format) => Err(Error::Unsupported {
                what: format!("`{source}` is in the format `{format}`"),
                remedy: "convert it to qcow2 or raw with `qemu-img convert`".to_owned(),
            }),
        }
    }
}

/// Looks at an image.
///
/// # Errors
/// That it cannot be read.
pub(crate) fn look(path: &Path) -> io::Result<Found> {
    let mut file = open(path)?;
    let mut head = Vec::new();
    (&mut file).take(HEAD_BYTES).read_to_end(&mut head)?;
    if head.starts_with(&MAGIC) && head.len() >= 24 {
        return qcow2(&mut file, &head);
    }
    let other =
        OTHERS.iter().find(|(at, begin, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(begin)));
    Ok(other.map_or(Found::Alone(Format::Raw), |(_, _, name)| Found::Other((*name).to_owned())))
}

fn qcow2(file: &mut std::fs::File, head: &[u8]) -> io::Result<Found> {
    let (version, offset, size) = (be32(&head[4..]), be64(&head[8..]), be32(&head[16..]));
    if !matches!(version, 2 | 3) {
        return Ok(Found::Other(format!("qcow, version {version}")));
    }
    if offset != 0 {
        return Ok(Found::Naming(name_at(file, offset, size)?));
    }
    if version == 3 {
        file.seek(SeekFrom::Start(72))?;
        let features = exactly::<8>(file)?.map_or(0, |features| be64(&features));
        if features & HAS_DATA_FILE != 0 {
            let name = extension(file, version, DATA_FILE)?.unwrap_or_default();
            return Ok(Found::Naming(PathBuf::from(String::from_utf8_lossy(&name).into_owned())));
        }
    }
    Ok(Found::Alone(Format::Qcow2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> Found {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        std::fs::write(&path, bytes).unwrap();
        look(&path).unwrap()
    }

    /// A header of 104 bytes, and what follows it.
    fn header(version: u32, backing: (u64, u32), features: u64, rest: &[u8]) -> Vec<u8> {
        let mut bytes =
            [&MAGIC[..], &version.to_be_bytes(), &backing.0.to_be_bytes(), &backing.1.to_be_bytes()].concat();
        bytes.resize(104, 0);
        bytes[72..80].copy_from_slice(&features.to_be_bytes());
        bytes[100..104].copy_from_slice(&104_u32.to_be_bytes());
        [&bytes, rest].concat()
    }

    #[test]
    fn a_qcow2_image_that_stands_alone_is_taken() {
        for version in [2, 3] {
            assert_eq!(found(&header(version, (0, 0), 0, b"")), Found::Alone(Format::Qcow2));
        }
        // Dirty, which concerns nobody here.
        assert_eq!(found(&header(3, (0, 0), 1, b"")), Found::Alone(Format::Qcow2));
        // In version 2 other things lie where the features are.
        assert_eq!(found(&header(2, (0, 0), HAS_DATA_FILE, b"")), Found::Alone(Format::Qcow2));
        assert_eq!(found(&header(1, (0, 0), 0, b"")), Found::Other("qcow, version 1".to_owned()));
    }

    #[test]
    fn one_that_names_another_file_is_not() {
        let naming = |path: &str| Found::Naming(path.into());
        assert_eq!(found(&header(3, (104, 11), 0, b"/etc/shadow")), naming("/etc/shadow"));
        assert_eq!(found(&header(2, (104, 99), 0, b"json:{}")), naming("json:{}"));
        // A place with nothing there is still a name to QEMU of another version.
        assert_eq!(found(&header(3, (4096, 0), 0, b"")), naming(""));
        let extension = [&DATA_FILE.to_be_bytes()[..], &7_u32.to_be_bytes(), b"/a/data\0"].concat();
        assert_eq!(found(&header(3, (0, 0), HAS_DATA_FILE, &extension)), naming("/a/data"));
        let refused = naming("/etc/shadow").format(Path::new("/srv/a.img")).unwrap_err().to_string();
        assert!(
            refused.starts_with("the image `/srv/a.img` names another file, `/etc/shadow`; "),
            "{refused}"
        );
    }

    #[test]
    fn what_begins_like_something_else_is_refused_and_all_the_rest_is_raw() {
        for (at, begin, name) in OTHERS {
            let bytes = [&vec![0; *at][..], begin, &[0; 600]].concat();
            assert_eq!(found(&bytes), Found::Other((*name).to_owned()));
        }
        let refused = Found::Other("vmdk".to_owned()).format(Path::new("/v/a.vmdk")).unwrap_err().to_string();
        assert!(refused.starts_with("`/v/a.vmdk` is in the format `vmdk`; convert it"), "{refused}");
        for bytes in [&b""[..], b"QFI", &MAGIC, &[0; 4096], b"\x55\xaa", b" KDMV"] {
            assert_eq!(found(bytes), Found::Alone(Format::Raw), "{bytes:?}");
        }
    }
}
