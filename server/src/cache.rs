//! How QEMU is to open the file of a disk. Every path that makes a disk, or lays an image into a CD-ROM drive, asks
//! here and nowhere else; what people are told of it is said here, too.

use agent_protocol::vm::CacheMode;

/// The mode that is asked for.
#[must_use]
pub fn requested() -> CacheMode {
    CacheMode::None
}

/// How the mode of a file came about: what this server did, and what its host says of it.
#[must_use]
pub fn reason(host: &str) -> String {
    format!("fixed in this release; {host}")
}

/// What to do where the file system of a storage does not take the mode.
pub const REFUSED: &str = "use a storage on a file system that supports O_DIRECT: `cairn storage create NAME --path \
    /a/folder/elsewhere`; or install a release whose cache mode can be set";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_begins_with_what_this_server_did() {
        assert_eq!(
            reason("set to `none`; QEMU (process 12) has the file open with O_DIRECT"),
            "fixed in this release; set to `none`; QEMU (process 12) has the file open with O_DIRECT"
        );
    }
}
