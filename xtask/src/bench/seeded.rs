//! Bytes that are the same on every machine, for a part of the payload that no release holds.

use std::num::NonZeroU64;

/// Bytes that are written anew or repeated together.
const RUN_BYTES: usize = 64;

/// How far back a repetition may lie.
const WINDOW_BYTES: u64 = 1 << 20;

/// Numbers that follow from a seed: `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next one, below `limit`.
    fn below(&mut self, limit: NonZeroU64) -> u64 {
        self.next() % limit
    }

    /// Bytes of a package: mostly small, some a thousand times bigger, none more than a quarter of all of them.
    pub fn package_bytes(&mut self, total: u64) -> u64 {
        let scale = 16_384_u64 << (self.next() % 10);
        (scale + self.next() % scale).min(total.div_ceil(4)).max(1)
    }

    /// So many bytes that a compressor makes a fifth smaller: seven bits in each, and some runs that were there before.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + RUN_BYTES);
        while bytes.len() < count {
            let back = NonZeroU64::new(WINDOW_BYTES.min(bytes.len() as u64))
                .filter(|_| self.next().is_multiple_of(8));
            match back {
                Some(back) => {
                    let at = bytes.len() - 1 - self.below(back) as usize;
                    bytes.extend_from_within(at..bytes.len().min(at + RUN_BYTES));
                }
                None => {
                    for _ in 0..RUN_BYTES / 8 {
                        bytes.extend((self.next() & 0x7f7f_7f7f_7f7f_7f7f).to_le_bytes());
                    }
                }
            }
        }
        bytes.truncate(count);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest;

    #[test]
    fn the_same_seed_gives_the_same_bytes_everywhere() {
        let of = |seed: u64, count: usize| digest::hex_of(Seeded::new(seed).bytes(count));
        assert_eq!(of(1, 100_000), "8bdae090f27f6bf2befa0ff2ade66664ed9a56c34db27830ac20d26825842d27");
        assert_eq!(of(1, 100_000), of(1, 100_000));
        assert_ne!(of(1, 100_000), of(2, 100_000));
        assert_eq!(Seeded::new(1).bytes(777).len(), 777);
        // The first number of the reference implementation for the seed 0.
        assert_eq!(Seeded::new(0).next(), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn packages_have_sizes_of_all_scales() {
        let mut seeded = Seeded::new(1);
        let sizes: Vec<u64> = (0..1000).map(|_| seeded.package_bytes(100_000_000)).collect();
        assert!(sizes.iter().all(|size| (16_384..=16 << 20).contains(size)));
        assert!(sizes.iter().any(|size| *size < 40_000) && sizes.iter().any(|size| *size > 8 << 20));
        assert!((0..1000).all(|_| seeded.package_bytes(100) <= 25));
    }
}
