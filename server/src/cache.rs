//! How QEMU is to open the file of a disk. Every path that makes a disk, or lays an image into a CD-ROM drive, asks
//! here and nowhere else.

use agent_protocol::vm::CacheMode;

/// The mode that is asked for.
#[must_use]
pub fn requested() -> CacheMode {
    CacheMode::None
}
