//! The private half: made, kept in PKCS#8, and signing. Signatures are those of RFC 6979: the same key and the same bytes
//! give the same signature, so that a signed file can be built again.

use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};
use pkcs8::der::pem::PemLabel as _;
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};

use crate::signature::{KeyError, PublicKey, Signature};
use crate::trailer::Digest;

/// How often a passphrase is hashed, for PBKDF2 with HMAC-SHA256. Every OpenSSL reads that; scrypt with a useful cost is
/// beyond the memory that OpenSSL allows it.
const ROUNDS: u32 = 600_000;

/// A key that signs archives. It prints nothing of itself.
pub struct PrivateKey(SigningKey);

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey({})", self.public().fingerprint())
    }
}

impl PrivateKey {
    /// A new key.
    ///
    /// # Errors
    /// [`KeyError::NotMade`] if the system has no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        loop {
            let mut secret = [0; 32];
            random(&mut secret)?;
            // One in four billion is too big a number for the curve.
            if let Ok(key) = SigningKey::from_slice(&secret) {
                return Ok(Self(key));
            }
        }
    }

    /// Whether a text is a private key that needs a passphrase.
    #[must_use]
    pub fn is_encrypted(pem: &str) -> bool {
        pem.contains(EncryptedPrivateKeyInfoRef::PEM_LABEL)
    }

    /// Reads a key in PKCS#8, encrypted or not.
    ///
    /// # Errors
    /// Any [`KeyError`] about a private key.
    pub fn from_pem(pem: &str, passphrase: Option<&str>) -> Result<Self, KeyError> {
        let pem = pem.trim_start();
        if !Self::is_encrypted(pem) {
            return SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|_| KeyError::NotPrivate);
        }
        let passphrase = passphrase.ok_or(KeyError::NeedsPassphrase)?;
        let (_, document) = pkcs8::SecretDocument::from_pem(pem).map_err(|_| KeyError::NotPrivate)?;
        let encrypted: EncryptedPrivateKeyInfoRef<'_> =
            document.decode_msg().map_err(|_| KeyError::NotPrivate)?;
        let plain = encrypted.decrypt(passphrase).map_err(|_| KeyError::WrongPassphrase)?;
        // With the wrong passphrase, one in a few hundred decrypts to something.
        SigningKey::from_pkcs8_der(plain.as_bytes()).map(Self).map_err(|_| KeyError::WrongPassphrase)
    }

    /// The key in PKCS#8, encrypted if there is a passphrase.
    ///
    /// # Errors
    /// [`KeyError::NotMade`].
    pub fn to_pem(&self, passphrase: Option<&str>) -> Result<String, KeyError> {
        let failed = |error: pkcs8::Error| KeyError::NotMade(error.to_string());
        let Some(passphrase) = passphrase else {
            return Ok(self.0.to_pkcs8_pem(LineEnding::LF).map_err(failed)?.to_string());
        };
        let plain = self.0.to_pkcs8_der().map_err(failed)?;
        let info: PrivateKeyInfoRef<'_> =
            plain.decode_msg().map_err(|error: pkcs8::der::Error| failed(error.into()))?;
        let (mut salt, mut start) = ([0; 16], [0; 16]);
        random(&mut salt)?;
        random(&mut start)?;
        let parameters = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ROUNDS, &salt, start)
            .map_err(|error| failed(error.into()))?;
        let encrypted = info.encrypt_with_params(parameters, passphrase).map_err(failed)?;
        let pem = encrypted.to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF);
        Ok(pem.map_err(|error| failed(error.into()))?.to_string())
    }

    /// The half that others check with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }

    /// Signs a SHA-256.
    ///
    /// # Errors
    /// [`KeyError::NotMade`], which no digest gives.
    pub fn sign(&self, digest: &Digest) -> Result<Signature, KeyError> {
        let numbers: p256::ecdsa::Signature =
            self.0.sign_prehash(digest).map_err(|error| KeyError::NotMade(error.to_string()))?;
        Ok(Signature { key: self.public(), numbers: numbers.normalize_s() })
    }
}

fn random(bytes: &mut [u8]) -> Result<(), KeyError> {
    getrandom::fill(bytes).map_err(|error| KeyError::NotMade(error.to_string()))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// The key of RFC 6979, appendix A.2.5, and what it signs there with SHA-256.
    const SECRET: &str = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
    const SIGNED: [(&[u8], &str, &str); 2] = [
        (
            b"sample",
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
            "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        ),
        (
            b"test",
            "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367",
            "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
        ),
    ];

    fn rfc_key() -> PrivateKey {
        let secret: [u8; 32] = crate::signature::unhex(SECRET).unwrap();
        PrivateKey(SigningKey::from_slice(&secret).unwrap())
    }

    #[test]
    fn signatures_are_those_of_rfc_6979() {
        for (text, r, s) in SIGNED {
            let digest: Digest = Sha256::digest(text).into();
            let signature = rfc_key().sign(&digest).unwrap();
            let raw: [u8; 64] = crate::signature::unhex(&format!("{r}{s}")).unwrap();
            let expected = p256::ecdsa::Signature::from_slice(&raw).unwrap();
            assert_eq!(signature.numbers, expected.normalize_s());
            assert!(signature.holds(&digest));
            // The other number that would do is not our spelling.
            let ours = expected == signature.numbers;
            assert_eq!(Signature { numbers: expected, ..signature }.holds(&digest), ours);
        }
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let key = PrivateKey::generate().unwrap();
        for passphrase in [None, Some("a passphrase")] {
            let pem = key.to_pem(passphrase).unwrap();
            assert_eq!(PrivateKey::is_encrypted(&pem), passphrase.is_some());
            assert_eq!(PrivateKey::from_pem(&pem, passphrase).unwrap().public(), key.public());
        }
        let pem = key.to_pem(Some("right")).unwrap();
        assert!(matches!(PrivateKey::from_pem(&pem, None), Err(KeyError::NeedsPassphrase)));
        assert!(matches!(PrivateKey::from_pem(&pem, Some("wrong")), Err(KeyError::WrongPassphrase)));
        let public = key.public();
        let pem = public.to_pem().unwrap();
        assert_eq!(PublicKey::from_pem(&pem).unwrap(), public);
        assert!(matches!(PrivateKey::from_pem(&pem, None), Err(KeyError::NotPrivate)));
        assert!(matches!(PublicKey::from_pem("no key"), Err(KeyError::NotPublic)));
        assert!(!format!("{key:?}").contains(&key.to_pem(None).unwrap()[60..100]));
    }

    #[test]
    fn the_fingerprint_is_that_of_the_key_in_der() {
        use p256::pkcs8::EncodePublicKey as _;
        let public = rfc_key().public();
        let der = public.0.to_public_key_der().unwrap();
        assert_eq!(public.fingerprint().to_string(), crate::trailer::sha256_hex(der.as_bytes()));
    }
}
