//! The administrator's credential: a name and the hash of a password, in a file that only root can read.

use std::path::{Path, PathBuf};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Who may log in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Name.
    pub user: String,
    /// Argon2id hash of the password with its salt and parameters, as a PHC string.
    pub password_hash: String,
}

/// Why there is no credential.
#[derive(Debug, Error)]
pub enum CredentialError {
    /// The file is missing or cannot be read.
    #[error("cannot read `{path}`: {cause}; run `cairn-server bootstrap`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("`{path}` is not valid: {cause}; restore it, or move it away and run `cairn-server bootstrap`")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The complaint.
        cause: String,
    },
    /// A password cannot be hashed.
    #[error("cannot hash the password: {0}; see that this host has memory and a random source")]
    Hash(String),
}

impl Credential {
    /// A credential for `user` with `password`, with the parameters of argon2's authors.
    ///
    /// # Errors
    /// [`CredentialError::Hash`].
    pub fn new(user: &str, password: &str) -> Result<Self, CredentialError> {
        Self::with_params(user, password, Params::default())
    }

    /// As [`Credential::new`], with parameters of one's own: a test need not take long.
    ///
    /// # Errors
    /// [`CredentialError::Hash`].
    pub fn with_params(user: &str, password: &str, params: Params) -> Result<Self, CredentialError> {
        let failed = |error: &dyn std::fmt::Display| CredentialError::Hash(error.to_string());
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| failed(&error))?;
        let salt = SaltString::encode_b64(&salt).map_err(|error| failed(&error))?;
        let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password(password.as_bytes(), &salt)
            .map_err(|error| failed(&error))?;
        Ok(Self { user: user.to_owned(), password_hash: hash.to_string() })
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// See [`CredentialError`].
    pub fn load(path: &Path) -> Result<Self, CredentialError> {
        let invalid = |cause: String| CredentialError::Invalid { path: path.to_owned(), cause };
        let text = std::fs::read_to_string(path)
            .map_err(|cause| CredentialError::Unreadable { path: path.to_owned(), cause })?;
        let credential: Self = serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        PasswordHash::new(&credential.password_hash).map_err(|error| invalid(error.to_string()))?;
        Ok(credential)
    }

    /// What tells this credential from another, and from which nobody gets it back.
    #[must_use]
    pub fn digest(&self) -> String {
        crate::secret::digest(format!("{} {}", self.user, self.password_hash))
    }

    /// True if both are right. An unknown user costs as much time as a wrong password. Takes long: not for a thread
    /// that others wait for.
    #[must_use]
    pub fn verify(&self, user: &str, password: &str) -> bool {
        let right = PasswordHash::new(&self.password_hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
        right & (user == self.user)
    }
}

/// Without the hash.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_name_with_the_right_password_gets_in() {
        let cheap = Params::new(8, 1, 1, None).unwrap();
        let credential = Credential::with_params("admin", "correct horse", cheap).unwrap();
        assert!(credential.verify("admin", "correct horse"));
        assert!(!credential.verify("admin", "correct Horse"));
        assert!(!credential.verify("root", "correct horse"));
        assert!(!credential.verify("", ""));
    }

    #[test]
    fn what_is_stored_is_argon2id_with_good_parameters_and_no_password() {
        let credential = Credential::new("admin", "correct horse").unwrap();
        assert!(credential.password_hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(!format!("{credential:?}").contains("argon2id"));
    }

    #[test]
    fn a_damaged_file_is_refused_when_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.json");
        assert!(matches!(Credential::load(&path), Err(CredentialError::Unreadable { .. })));
        std::fs::write(&path, r#"{"user":"admin","password_hash":"plain"}"#).unwrap();
        assert!(matches!(Credential::load(&path), Err(CredentialError::Invalid { .. })));
    }
}
