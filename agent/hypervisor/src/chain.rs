//! The images under a volume, as the headers of qcow2 files name them (QEMU's docs/interop/qcow2.txt). Read here and not
//! asked of `qemu-img`, which would be a process for each disk of the host.
//!
//! What is in a file is taken from what was recorded of it, never from how the file begins: a guest writes what it likes
//! into the first sector of a raw disk, a header that names any file of the host too.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::spec::Format;
use crate::storage::Backing;

/// `QFI` and a byte that is no letter.
pub(crate) const MAGIC: [u8; 4] = *b"QFI\xfb";

/// The longest name of a file that a header may hold, in bytes.
const NAME_LIMIT: u32 = 1023;

/// The header extension that holds the format of the image under a file, the one that holds the name of the file with its
/// sectors, and the one that ends the extensions.
const BACKING_FORMAT: u32 = 0xe279_2aca;
pub(crate) const DATA_FILE: u32 = 0x4441_5441;
const END: u32 = 0;

/// Where the extensions begin in version 2; version 3 tells it at byte 100.
const V2_HEADER_BYTES: u32 = 72;

/// How many extensions are looked at. QEMU writes a handful.
const EXTENSIONS: usize = 32;

/// Longer chains are loops.
pub(crate) const DEPTH: usize = 256;

/// The images under `path`, the nearest first, each with what was recorded of it. Nothing under a file that is not there, or
/// is raw. An image of which no format was recorded is told as raw: libvirt takes it for nothing else.
///
/// # Errors
/// That a file cannot be read.
pub(crate) fn below(path: &Path, format: Format) -> io::Result<Vec<Backing>> {
    let mut chain: Vec<Backing> = Vec::new();
    let (mut top, mut format) = (path.to_owned(), format);
    while chain.len() < DEPTH && format == Format::Qcow2 {
        let Some(under) = backing(&top)? else { break };
        (top, format) = (under.path.clone(), under.format);
        chain.push(under);
    }
    Ok(chain)
}

/// What the header of one qcow2 file names, with what was recorded of it. None where there is no such file or nothing under
/// it.
///
/// # Errors
/// That it cannot be read.
pub(crate) fn backing(path: &Path) -> io::Result<Option<Backing>> {
    let mut file = match open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(head) = exactly::<20>(&mut file)? else { return Ok(None) };
    let (version, offset, size) = (be32(&head[4..]), be64(&head[8..]), be32(&head[16..]));
    if !head.starts_with(&MAGIC) || offset == 0 || size == 0 || size > NAME_LIMIT {
        return Ok(None);
    }
    let word = extension(&mut file, version, BACKING_FORMAT)?;
    let word = word.map(|word| String::from_utf8_lossy(&word).into_owned());
    // Raw where there is none, or none of ours.
    let format = word.and_then(|word| word.parse().ok()).unwrap_or(Format::Raw);
    let name = name_at(&mut file, offset, size)?;
    // A relative name counts from the folder of the file that holds it.
    let path = path.parent().unwrap_or(Path::new("/")).join(name);
    Ok(Some(Backing { path, format }))
}

/// Opens a file to read its header. A name in a header can be that of a pipe, which would keep us waiting.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    std::fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path)
}

/// The name of `size` bytes at `offset`; no more of it than a header may hold.
pub(crate) fn name_at(file: &mut File, offset: u64, size: u32) -> io::Result<PathBuf> {
    file.seek(SeekFrom::Start(offset))?;
    let mut name = Vec::new();
    file.take(u64::from(size.min(NAME_LIMIT))).read_to_end(&mut name)?;
    Ok(PathBuf::from(OsStr::from_bytes(&name)))
}

/// The content of the first extension of a header that is of that kind.
pub(crate) fn extension(file: &mut File, version: u32, wanted: u32) -> io::Result<Option<Vec<u8>>> {
    let mut at = u64::from(V2_HEADER_BYTES);
    if version >= 3 {
        file.seek(SeekFrom::Start(100))?;
        let Some(length) = exactly::<4>(file)? else { return Ok(None) };
        at = u64::from(be32(&length));
    }
    for _ in 0..EXTENSIONS {
        file.seek(SeekFrom::Start(at))?;
        let Some(head) = exactly::<8>(file)? else { break };
        let (kind, size) = (be32(&head), be32(&head[4..]));
        if kind == END {
            break;
        }
        if kind == wanted {
            let mut content = Vec::new();
            file.take(u64::from(size.min(NAME_LIMIT))).read_to_end(&mut content)?;
            return Ok(Some(content));
        }
        // Each is padded to a multiple of eight bytes.
        at = at.saturating_add(8).saturating_add(u64::from(size).next_multiple_of(8));
    }
    Ok(None)
}

/// The next bytes; None where the file ends before, or is a pipe.
pub(crate) fn exactly<const N: usize>(file: &mut File) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    match file.read_exact(&mut bytes) {
        Err(error) if [ErrorKind::UnexpectedEof, ErrorKind::WouldBlock].contains(&error.kind()) => Ok(None),
        read => read.map(|()| Some(bytes)),
    }
}

pub(crate) fn be32(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}

pub(crate) fn be64(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extension(kind: u32, data: &[u8]) -> Vec<u8> {
        let size = u32::try_from(data.len()).unwrap();
        let padding = vec![0; data.len().next_multiple_of(8) - data.len()];
        [&kind.to_be_bytes()[..], &size.to_be_bytes(), data, &padding].concat()
    }

    /// As QEMU writes it: header, extensions, name.
    fn qcow2(version: u32, backing: &str, format: Option<&str>) -> Vec<u8> {
        let length: u32 = if version >= 3 { 104 } else { 72 };
        let mut extensions = extension(0x6803_f857, &[7; 50]);
        extensions.extend(format.iter().flat_map(|word| extension(BACKING_FORMAT, word.as_bytes())));
        extensions.extend(extension(END, b""));
        let size = u32::try_from(backing.len()).unwrap();
        let offset = u64::from(length) + u64::try_from(extensions.len()).unwrap();
        let mut head =
            [&MAGIC[..], &version.to_be_bytes(), &offset.to_be_bytes(), &size.to_be_bytes()].concat();
        head.resize(length as usize, 0);
        if version >= 3 {
            head[100..104].copy_from_slice(&length.to_be_bytes());
        }
        [head, extensions, backing.as_bytes().to_vec()].concat()
    }

    #[test]
    fn the_chain_is_followed_by_recorded_formats_and_a_loop_ends() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let put = |name: &str, bytes: &[u8]| std::fs::write(at(name), bytes).unwrap();
        put("top", &qcow2(3, "middle", Some("qcow2")));
        put("middle", &qcow2(2, "/nowhere/base", Some("raw")));
        put("raw", b"no header");
        put("loop", &qcow2(3, "loop", Some("qcow2")));
        put("odd", &qcow2(3, &"x".repeat(2000), Some("raw")));
        let below = |name: &str, format| {
            let chain = below(&at(name), format).unwrap();
            chain.into_iter().map(|under| (under.path, under.format)).collect::<Vec<_>>()
        };
        let qcow = Format::Qcow2;
        let expected = [(at("middle"), Format::Qcow2), ("/nowhere/base".into(), Format::Raw)];
        assert_eq!(below("top", qcow), expected);
        for name in ["raw", "missing", "odd"] {
            assert_eq!(below(name, qcow), []);
        }
        assert_eq!(below("loop", qcow).len(), DEPTH);
    }

    #[test]
    fn what_a_guest_can_write_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("forged"), qcow2(3, "/etc/shadow", Some("raw"))).unwrap();
        assert_eq!(below(&at("forged"), Format::Raw).unwrap(), []);
        for recorded in [Some("raw"), None, Some("vmdk")] {
            std::fs::write(at("top"), qcow2(3, "forged", recorded)).unwrap();
            let chain = below(&at("top"), Format::Qcow2).unwrap();
            assert_eq!(chain, [Backing { path: at("forged"), format: Format::Raw }], "{recorded:?}");
        }
    }
}
