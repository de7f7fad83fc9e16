//! Secrets that are given away once: random, and kept as a digest only.

use sha2::{Digest, Sha256};

/// The longest time that a secret lasts, in seconds: a hundred years.
const LONGEST_SECONDS: u64 = 100 * 365 * 24 * 60 * 60;

/// A secret that was made now.
pub struct Secret {
    /// What is given away.
    pub text: String,
    /// What is kept: SHA-256 of the text, in hexadecimal.
    pub digest: String,
}

/// Makes a secret of 256 bits whose text starts with `prefix`.
///
/// # Errors
/// If the system has no random bytes.
pub fn make(prefix: &str) -> Result<Secret, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    let text = format!("{prefix}{}", hex(&bytes));
    Ok(Secret { digest: digest(&text), text })
}

/// What is kept of a secret.
#[must_use]
pub fn digest(secret: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(secret))
}

/// When a secret that lasts for `seconds` ends; none if nobody could mean that.
#[must_use]
pub fn expiry(now_ms: i64, seconds: u64) -> Option<i64> {
    let seconds = Some(seconds).filter(|seconds| (1..=LONGEST_SECONDS).contains(seconds))?;
    now_ms.checked_add_unsigned(seconds.checked_mul(1000)?)
}

/// In hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
