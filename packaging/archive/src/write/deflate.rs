//! Bytes to one gzip member.

use libdeflater::{CompressionLvl, Compressor};

/// libdeflate's level: about as small as `gzip -9` on binaries, at a sixth of its time. `cargo xtask bench` has the bounds of both.
const LEVEL: i32 = 5;

/// The same for the helper, which goes in front of every file and into every delta: its bytes count twice, its time once.
const BEST_LEVEL: i32 = 12;

/// Content is stored when it does not shrink below this many hundredths: a reader's time is worth more.
const WORTHWHILE_PERCENT: usize = 97;

/// Pieces that are tried before all of it is, evenly spread, first and last bytes among them. Content that shrinks only in
/// places is found as long as such a place is not much shorter than the way between two samples.
const SAMPLES: usize = 16;
const SAMPLE_BYTES: usize = 4 << 10;

/// What is smaller than this is compressed without trying.
const TRIED_BYTES: usize = 4 * SAMPLES * SAMPLE_BYTES;

/// A compressor with what it keeps between members.
pub(super) struct Deflate {
    full: Compressor,
    quick: Compressor,
    stored: Compressor,
    sample: Vec<u8>,
}

impl Deflate {
    pub(super) fn new() -> Self {
        Self { full: compressor(LEVEL), quick: compressor(1), stored: compressor(0), sample: Vec::new() }
    }

    /// One gzip member: no name, no time, system "unknown", so that only the content decides its bytes.
    pub(super) fn member(&mut self, raw: &[u8]) -> Vec<u8> {
        if self.shrinks(raw) {
            let bytes = gzip(&mut self.full, raw);
            if raw.len() < TRIED_BYTES || is_worthwhile(bytes.len(), raw.len()) {
                return bytes;
            }
        }
        gzip(&mut self.stored, raw)
    }

    /// The same as small as can be, whatever time it takes.
    pub(super) fn best(raw: &[u8]) -> Vec<u8> {
        gzip(&mut compressor(BEST_LEVEL), raw)
    }

    /// Whether some of the content shrinks.
    fn shrinks(&mut self, raw: &[u8]) -> bool {
        if raw.len() < TRIED_BYTES {
            return true;
        }
        let last = raw.len() - SAMPLE_BYTES;
        let mut bytes = 0;
        for index in 0..SAMPLES {
            let sample = &raw[last * index / (SAMPLES - 1)..][..SAMPLE_BYTES];
            self.sample.resize(self.quick.deflate_compress_bound(SAMPLE_BYTES), 0);
            // What does not fit into the bound has not shrunk.
            bytes += self.quick.deflate_compress(sample, &mut self.sample).unwrap_or(SAMPLE_BYTES);
        }
        is_worthwhile(bytes, SAMPLES * SAMPLE_BYTES)
    }
}

fn compressor(level: i32) -> Compressor {
    Compressor::new(CompressionLvl::new(level).unwrap_or_default())
}

fn is_worthwhile(size: usize, raw: usize) -> bool {
    size * 100 < raw * WORTHWHILE_PERCENT
}

fn gzip(compressor: &mut Compressor, raw: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; compressor.gzip_compress_bound(raw.len())];
    // The bound is what libdeflate promises to stay within.
    let size = compressor
        .gzip_compress(raw, &mut bytes)
        .unwrap_or_else(|_| unreachable!("the bound is an upper bound"));
    bytes.truncate(size);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that do not shrink.
    fn noise(count: usize) -> Vec<u8> {
        let mut state = 1u64;
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    fn is_stored(raw: &[u8]) -> bool {
        Deflate::new().member(raw).len() > raw.len()
    }

    #[test]
    fn what_does_not_shrink_is_stored() {
        assert!(is_stored(&noise(4 << 20)));
        assert!(!is_stored(&vec![7; 4 << 20]));
    }

    #[test]
    fn what_shrinks_in_part_is_compressed_wherever_that_part_lies() {
        let (text, noise) = (b"compressible ".repeat(40_000), noise(3 << 20));
        assert!(!is_stored(&[&text[..], &noise].concat()), "in front");
        assert!(!is_stored(&[&noise[..], &text].concat()), "at the end");
        assert!(!is_stored(&[&noise[..1 << 20], &text, &noise[1 << 20..]].concat()), "in between");
    }

    #[test]
    fn samples_that_promise_too_much_do_not_matter() {
        let mut raw = noise(4 << 20);
        let last = raw.len() - SAMPLE_BYTES;
        for index in 0..SAMPLES {
            raw[last * index / (SAMPLES - 1)..][..SAMPLE_BYTES].fill(0);
        }
        assert!(is_stored(&raw), "1 part in 64 is not worthwhile");
    }
}
