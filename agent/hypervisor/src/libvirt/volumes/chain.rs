//! The images under a volume, as the headers of qcow2 files name them (QEMU's docs/interop/qcow2.txt). Read here and not
//! asked of `qemu-img`, which would be a process for each disk of the host.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use super::of_io;
use crate::error::Error;

/// `QFI` and a byte that is no letter.
const MAGIC: [u8; 4] = *b"QFI\xfb";

/// The longest name of a file that a header may hold, in bytes.
const NAME_LIMIT: u32 = 1023;

/// How long a file system has to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longer chains are loops.
const DEPTH: usize = 256;

/// The images under `path`, the nearest first. Nothing under a file that is not there, or is no qcow2.
pub async fn below(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let owned = path.to_owned();
    let walk = tokio::task::spawn_blocking(move || walk(&owned));
    let read = match tokio::time::timeout(PATIENCE, walk).await {
        Ok(read) => read.map_err(std::io::Error::other).and_then(|read| read),
        Err(_) => Err(std::io::Error::other(format!("no answer within {} seconds", PATIENCE.as_secs()))),
    };
    read.map_err(|error| of_io(&error, path, "read the header of"))
}

fn walk(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let (mut chain, mut top) = (Vec::new(), path.to_owned());
    while chain.len() < DEPTH {
        let Some(name) = backing(&top)? else { break };
        // A relative name counts from the folder of the file that holds it.
        top = top.parent().unwrap_or(Path::new("/")).join(name);
        chain.push(top.clone());
    }
    Ok(chain)
}

/// The name in the header of one file.
fn backing(path: &Path) -> std::io::Result<Option<PathBuf>> {
    // A name in a header can be that of a pipe, which would keep us waiting.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = match std::fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut head = [0; 20];
    match file.read_exact(&mut head) {
        Err(error) if [ErrorKind::UnexpectedEof, ErrorKind::WouldBlock].contains(&error.kind()) => {
            return Ok(None);
        }
        read => read?,
    }
    let [magic @ .., o0, o1, o2, o3, o4, o5, o6, o7, s0, s1, s2, s3] = head;
    let (offset, size) =
        (u64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]), u32::from_be_bytes([s0, s1, s2, s3]));
    if !magic.starts_with(&MAGIC) || offset == 0 || size == 0 || size > NAME_LIMIT {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut name = Vec::new();
    file.take(size.into()).read_to_end(&mut name)?;
    Ok(Some(PathBuf::from(OsStr::from_bytes(&name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qcow2(backing: &str) -> Vec<u8> {
        let size = u32::try_from(backing.len()).unwrap();
        let head = [&MAGIC[..], &3_u32.to_be_bytes(), &104_u64.to_be_bytes(), &size.to_be_bytes()].concat();
        [head, vec![0; 84], backing.as_bytes().to_vec()].concat()
    }

    #[test]
    fn the_chain_is_followed_and_a_loop_ends() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        put("top", &qcow2("middle"));
        put("middle", &qcow2("/nowhere/base"));
        put("raw", b"no header");
        put("loop", &qcow2("loop"));
        put("odd", &qcow2(&"x".repeat(2000)));
        let below = |name: &str| walk(&folder.path().join(name)).unwrap();
        assert_eq!(below("top"), [folder.path().join("middle"), "/nowhere/base".into()]);
        assert_eq!(below("raw"), [] as [&Path; 0]);
        assert_eq!(below("missing"), [] as [&Path; 0]);
        assert_eq!(below("odd"), [] as [&Path; 0]);
        assert_eq!(below("loop").len(), DEPTH);
    }
}
