//! Who made a file: an ECDSA signature on P-256 over a SHA-256, and the public key that it is checked with.
//!
//! A signature travels with its key, so that one that is damaged is told from one by somebody else without any key at
//! hand. Whether that key is trusted is not for the archive to say. Both have one spelling: the key a compressed point, the
//! signature with the smaller of the two numbers that would do (anybody can make one from the other).

use std::fmt;

use p256::ecdsa::VerifyingKey;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use sha2::{Digest as _, Sha256};

use crate::trailer::{Digest, hex};

/// The public half of a key that signs archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey(pub(crate) VerifyingKey);

/// The SHA-256 of a public key's SubjectPublicKeyInfo in DER, what people compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(Digest);

/// A signature, and the key that it claims to be by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    pub(crate) key: PublicKey,
    pub(crate) numbers: p256::ecdsa::Signature,
}

/// Why a text is not a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No public key of this curve.
    #[error("it is no P-256 public key in PEM (`-----BEGIN PUBLIC KEY-----`)")]
    NotPublic,
    /// No private key of this curve.
    #[error(
        "it is no P-256 private key in PKCS#8 PEM; make one with `cargo xtask keygen`, or convert it with `openssl pkcs8 -topk8`"
    )]
    NotPrivate,
    /// An encrypted private key, and no passphrase.
    #[error("it is encrypted, and there is no passphrase")]
    NeedsPassphrase,
    /// An encrypted private key, and not its passphrase.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// The system gave no random numbers, or the key could not be written down.
    #[error("no key could be made ({0})")]
    NotMade(String),
}

impl PublicKey {
    /// Reads a key as `openssl ec -pubout` writes it.
    ///
    /// # Errors
    /// [`KeyError::NotPublic`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        VerifyingKey::from_public_key_pem(pem.trim_start()).map(Self).map_err(|_| KeyError::NotPublic)
    }

    /// The key as `openssl` reads it.
    ///
    /// # Errors
    /// [`KeyError::NotMade`], which no key that was read or made gives.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        self.0
            .to_public_key_pem(p256::pkcs8::LineEnding::LF)
            .map_err(|error| KeyError::NotMade(error.to_string()))
    }

    /// What people compare.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        // SubjectPublicKeyInfo of a P-256 key: always these bytes, then the point, uncompressed.
        let mut hash = Sha256::new_with_prefix(SPKI);
        hash.update(self.0.to_sec1_point(false).as_bytes());
        Fingerprint(hash.finalize().into())
    }

    pub(crate) fn digits(&self) -> String {
        hex(self.0.to_sec1_point(true).as_bytes())
    }

    pub(crate) fn from_digits(digits: &str) -> Option<Self> {
        let point: [u8; KEY_BYTES] = unhex(digits)?;
        VerifyingKey::from_sec1_bytes(&point).ok().map(Self)
    }
}

/// Bytes of a compressed point.
const KEY_BYTES: usize = 33;

/// A sequence: the algorithm (EC public key on P-256), then a bit string of 65 bytes.
const SPKI: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl Signature {
    /// The key that it claims to be by.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Whether the key has signed this digest with it.
    #[must_use]
    pub fn holds(&self, digest: &Digest) -> bool {
        self.numbers.normalize_s() == self.numbers && self.key.0.verify_prehash(digest, &self.numbers).is_ok()
    }

    /// In DER, as `openssl dgst -signature` reads it.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        self.numbers.to_der().as_bytes().to_vec()
    }

    pub(crate) fn digits(&self) -> String {
        hex(&self.numbers.to_bytes())
    }

    pub(crate) fn from_digits(key: &str, numbers: &str) -> Option<Self> {
        let numbers: [u8; 64] = unhex(numbers)?;
        let numbers = p256::ecdsa::Signature::from_slice(&numbers).ok()?;
        Some(Self { key: PublicKey::from_digits(key)?, numbers })
    }
}

/// Bytes from twice as many hexadecimal digits.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(bytes)
}
