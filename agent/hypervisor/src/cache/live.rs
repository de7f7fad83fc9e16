//! Which cache modes a running QEMU can go over to. A pure function: whoever wants to know what would happen asks it, and so
//! does whoever makes it happen.
//!
//! QEMU opens the images of a disk anew while the guest runs (`blockdev-reopen`), with O_DIRECT or without, and with the
//! guest's flushes honoured or not. Two things stay as they were when it was started: whether the guest's disk has a write
//! cache, which the guest is told when it starts, and how QEMU waits for the host.

use std::fmt;

use super::Decision;
use crate::spec::{Aio, CacheMode};

/// What it takes to go from one mode to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Nothing: they are the same.
    Same,
    /// QEMU opens the images anew.
    Live,
    /// Another QEMU.
    Restart(Obstacle),
}

/// What keeps a running QEMU from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The guest would have to be told that its disk has a write cache, or has none.
    WriteCache {
        /// Whether it has one now.
        has: bool,
    },
    /// `io='native'` works with O_DIRECT alone, and stays.
    NativeAio,
    /// QEMU would have to wait for the host in another way.
    OtherAio,
}

/// What it takes to go over from what is in force to what is wanted.
#[must_use]
pub fn way(now: &Decision, wanted: &Decision) -> Way {
    if now.mode == wanted.mode {
        return Way::Same;
    }
    if has_write_cache(now.mode) != has_write_cache(wanted.mode) {
        return Way::Restart(Obstacle::WriteCache { has: has_write_cache(now.mode) });
    }
    if now.aio == Some(Aio::Native) && !wanted.mode.is_direct() {
        return Way::Restart(Obstacle::NativeAio);
    }
    if now.aio != wanted.aio {
        return Way::Restart(Obstacle::OtherAio);
    }
    Way::Live
}

/// The modes that a running QEMU can go over to from what is in force, whatever the file system says of them.
#[must_use]
pub fn reachable(now: &Decision) -> Vec<CacheMode> {
    let wanted = |mode| Decision { mode, ..now.clone() };
    let modes = CacheMode::ALL.iter().copied();
    modes.filter(|mode| way(now, &wanted(*mode)) == Way::Live).collect()
}

/// Whether the guest sees a write cache, which it then flushes.
const fn has_write_cache(mode: CacheMode) -> bool {
    match mode {
        CacheMode::None | CacheMode::Writeback | CacheMode::Unsafe => true,
        CacheMode::Writethrough | CacheMode::Directsync => false,
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WriteCache { has: true } => {
                "its guest was told when it started that the disk has a write cache, and would have to be told that it has none"
            }
            Self::WriteCache { has: false } => {
                "its guest was told when it started that the disk has no write cache, and would have to be told that it has one"
            }
            Self::NativeAio => "its `io='native'` works with O_DIRECT alone, and stays until QEMU ends",
            Self::OtherAio => "QEMU would have to wait for the host in another way, which stays until it ends",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CacheMode::{Directsync, None, Unsafe, Writeback, Writethrough};

    fn decided(mode: CacheMode, aio: Option<Aio>) -> Decision {
        Decision { aio, ..Decision::explicit(mode) }
    }

    #[test]
    fn what_the_guest_sees_stays() {
        let of = |mode| reachable(&decided(mode, Option::None));
        assert_eq!(of(None), [Writeback, Unsafe]);
        assert_eq!(of(Writeback), [None, Unsafe]);
        assert_eq!(of(Unsafe), [None, Writeback]);
        assert_eq!((of(Writethrough), of(Directsync)), (vec![Directsync], vec![Writethrough]));
    }

    #[test]
    fn how_qemu_waits_stays() {
        for aio in [Aio::Threads, Aio::IoUring] {
            assert_eq!(reachable(&decided(None, Some(aio))), [Writeback, Unsafe]);
        }
        assert_eq!(reachable(&decided(None, Some(Aio::Native))), []);
        assert_eq!(reachable(&decided(Directsync, Some(Aio::Native))), []);
        let native = decided(None, Some(Aio::Native));
        let threads = decided(Writeback, Some(Aio::Threads));
        assert_eq!(way(&native, &threads), Way::Restart(Obstacle::NativeAio));
        assert_eq!(way(&threads, &native), Way::Restart(Obstacle::OtherAio));
        // Nothing changes: how it came about is no concern of QEMU's.
        assert_eq!(way(&native, &decided(None, Option::None)), Way::Same);
    }

    #[test]
    fn an_obstacle_is_a_sentence_of_its_own() {
        let has = |mode, wanted| match way(&decided(mode, Option::None), &decided(wanted, Option::None)) {
            Way::Restart(obstacle) => obstacle.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(has(None, Writethrough).ends_with("would have to be told that it has none"));
        assert!(has(Directsync, Unsafe).ends_with("would have to be told that it has one"));
    }
}
