//! The last member: an empty gzip member whose extra field is one line of text of fixed length.
//!
//! It is text, because the stub reads it with `tail` and `head` where the helper cannot run. It has one valid spelling:
//! a reader parses it, writes it again, and compares the bytes, so that no bit of it is without effect.
//!
//! What is signed is the digest of every byte before the trailer. The sizes beside it need no signature: readers see to it
//! that those bytes allow only one (where the script ends, and how long the gzip member behind it is).

use sha2::{Digest as _, Sha256};

use crate::BLOCK_BYTES;
use crate::signature::{Signature, unhex};

/// SHA-256 as bytes.
pub type Digest = [u8; 32];

const TEXT_BYTES: usize = 16 + 16 + 16 + 22 + 72 + 71 + 133;

/// Digits of a key and of a signature; as many dashes stand for an archive that is not signed.
const KEY_DIGITS: usize = 66;
const SIGNATURE_DIGITS: usize = 128;
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];
const TAIL: [u8; 10] = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Bytes of the last member; the text starts 16 bytes in and ends 10 bytes before the end of the file.
pub const TRAILER_BYTES: usize = HEAD.len() + 6 + TEXT_BYTES + TAIL.len();

/// What the trailer says of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Bytes of the stub, a multiple of [`BLOCK_BYTES`].
    pub stub_bytes: u64,
    /// Compressed bytes of member 0.
    pub head_bytes: u64,
    /// Bytes of the whole file, the trailer included.
    pub file_bytes: u64,
    /// SHA-256 of every byte before the trailer.
    pub digest: Digest,
    /// The signature over `digest`, and the key that it is by.
    pub signature: Option<Signature>,
}

impl Trailer {
    /// The one spelling.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let (key, signature) = match &self.signature {
            Some(signature) => (signature.key().digits(), signature.digits()),
            None => ("-".repeat(KEY_DIGITS), "-".repeat(SIGNATURE_DIGITS)),
        };
        let text = format!(
            "cairn-archive 1 stub={:010} head={:010} size={:016} sha256={} key={key} sig={signature}\n",
            self.stub_bytes,
            self.head_bytes,
            self.file_bytes,
            hex(&self.digest),
        );
        debug_assert_eq!(text.len(), TEXT_BYTES, "{text}");
        let mut bytes = Vec::with_capacity(TRAILER_BYTES);
        bytes.extend(HEAD);
        bytes.extend((TEXT_BYTES as u16 + 4).to_le_bytes());
        bytes.extend(b"CN");
        bytes.extend((TEXT_BYTES as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(TAIL);
        bytes
    }

    /// Reads the last [`TRAILER_BYTES`] of a file of `file_bytes` bytes.
    ///
    /// # Errors
    /// What is wrong, as a clause.
    pub fn parse(bytes: &[u8], file_bytes: u64) -> Result<Self, String> {
        let trailer = Self::read(bytes).ok_or("it does not end with a trailer")?;
        if trailer.bytes() != bytes {
            return Err("its trailer is not spelt as one".into());
        }
        if trailer.file_bytes != file_bytes {
            return Err(format!("it is {file_bytes} bytes long and should be {}", trailer.file_bytes));
        }
        let before = trailer.stub_bytes.checked_add(trailer.head_bytes);
        let limit = file_bytes - TRAILER_BYTES as u64;
        if !trailer.stub_bytes.is_multiple_of(BLOCK_BYTES) || before.is_none_or(|before| before > limit) {
            return Err("its trailer counts more bytes than there are".into());
        }
        Ok(trailer)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != TRAILER_BYTES {
            return None;
        }
        let text = std::str::from_utf8(&bytes[HEAD.len() + 6..][..TEXT_BYTES]).ok()?;
        let field = |name: &str| {
            text.split_ascii_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        Some(Self {
            stub_bytes: field("stub")?.parse().ok()?,
            head_bytes: field("head")?.parse().ok()?,
            file_bytes: field("size")?.parse().ok()?,
            digest: unhex(field("sha256")?)?,
            signature: match (field("key")?, field("sig")?) {
                (key, signature) if key.starts_with('-') && signature.starts_with('-') => None,
                (key, signature) => Some(Signature::from_digits(key, signature)?),
            },
        })
    }

    /// The same, signed.
    #[cfg(feature = "write")]
    pub(crate) fn signed(mut self, key: &crate::PrivateKey) -> Result<Self, crate::KeyError> {
        self.signature = Some(key.sign(&self.digest)?);
        Ok(self)
    }
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 of `bytes` as 64 hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Trailer {
        Trailer {
            stub_bytes: 4096,
            head_bytes: 300,
            file_bytes: 123_456,
            digest: [0xab; 32],
            signature: None,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = sample().bytes();
        assert_eq!(bytes.len(), TRAILER_BYTES);
        assert_eq!(Trailer::parse(&bytes, 123_456).unwrap(), sample());
    }

    #[test]
    fn every_bit_matters() {
        let bytes = sample().bytes();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // A digit of the digest gives another valid trailer, which the bytes of the file then contradict.
            if let Ok(other) = Trailer::parse(&flipped, 123_456) {
                assert_ne!(other, sample(), "bit {bit}");
            }
        }
    }

    #[test]
    fn every_bit_of_a_signature_matters() {
        let trailer = sample().signed(&crate::PrivateKey::generate().unwrap()).unwrap();
        let bytes = trailer.bytes();
        assert_eq!(Trailer::parse(&bytes, 123_456).unwrap(), trailer);
        let start = bytes.windows(5).position(|window| window == b" key=").unwrap();
        for bit in start * 8..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = Trailer::parse(&flipped, 123_456) {
                assert!(!other.signature.unwrap().holds(&other.digest), "bit {bit}");
            }
        }
    }

    #[test]
    fn another_length_is_refused() {
        assert!(Trailer::parse(&sample().bytes(), 123_457).unwrap_err().contains("should be 123456"));
    }

    #[test]
    fn it_is_an_empty_gzip_member() {
        let bytes = sample().bytes();
        let mut decoder = flate2::read::GzDecoder::new(&bytes[..]);
        assert_eq!(std::io::copy(&mut decoder, &mut std::io::sink()).unwrap(), 0);
        assert!(std::str::from_utf8(decoder.header().unwrap().extra().unwrap()).unwrap().contains("sha256="));
    }
}
