//! Who gets in: the administrator, by password, for a session. Guessing is slowed down per address.
//!
//! Here is the whole decision; the parts know nothing of each other.

pub mod credential;
pub mod sessions;
pub mod throttle;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::Semaphore;

use credential::Credential;
use sessions::Sessions;
use throttle::Throttle;

/// Passwords verified at a time. Each costs 19 MiB and a good part of a processor, by design.
const VERIFICATIONS: usize = 2;

/// The door of the API.
#[derive(Debug)]
pub struct Login {
    credential: Arc<Credential>,
    throttle: Throttle,
    sessions: Sessions,
    places: Arc<Semaphore>,
}

/// A session has begun.
#[derive(Debug)]
pub struct Entry {
    /// What further requests show.
    pub token: String,
    /// Who is in.
    pub user: String,
    /// How long.
    pub lasts: Duration,
    /// Which credential let them in: its digest.
    pub credential: String,
}

/// Why somebody is not let in.
#[derive(Debug, Error)]
pub enum LoginError {
    /// Name or password is wrong; which of the two is nobody's business.
    #[error("user or password is wrong")]
    Wrong,
    /// Too many failures from this address.
    #[error("too many failed logins from this address")]
    TooMany {
        /// When to try again.
        wait: Duration,
    },
    /// The check itself failed.
    #[error("cannot check the password: {0}")]
    Broken(String),
}

impl Login {
    /// A door that `credential` opens for `session`.
    #[must_use]
    pub fn new(credential: Credential, session: Duration) -> Self {
        Self {
            credential: Arc::new(credential),
            throttle: Throttle::default(),
            sessions: Sessions::new(session),
            places: Arc::new(Semaphore::new(VERIFICATIONS)),
        }
    }

    /// Lets `user` in, who asks from `address`.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn enter(&self, user: String, password: String, address: IpAddr) -> Result<Entry, LoginError> {
        let broken = |error: &dyn std::fmt::Display| LoginError::Broken(error.to_string());
        self.throttle
            .admit(address, Instant::now())
            .map_err(|wait| LoginError::TooMany { wait })
            .inspect_err(|_| tracing::warn!("too many failed logins from {address}"))?;
        let place = self.places.clone().acquire_owned().await.map_err(|error| broken(&error))?;
        let (credential, name) = (self.credential.clone(), user.clone());
        let right = tokio::task::spawn_blocking(move || {
            // Given back when the work ends, even if nobody waits for it any more.
            let _place = place;
            credential.verify(&name, &password)
        })
        .await
        .map_err(|error| broken(&error))?;
        if !right {
            tracing::warn!("refused a login from {address}");
            return Err(LoginError::Wrong);
        }
        self.throttle.forgive(address);
        let token = self.sessions.open(&user, Instant::now()).map_err(|error| broken(&error))?;
        tracing::info!("`{user}` logged in from {address}");
        Ok(Entry { token, user, lasts: self.sessions.lasts(), credential: self.credential.digest() })
    }

    /// True if `user` is somebody who can come in.
    #[must_use]
    pub fn knows(&self, user: &str) -> bool {
        self.credential.user == user
    }

    /// The digest of the credential that lets people in.
    #[must_use]
    pub fn credential(&self) -> String {
        self.credential.digest()
    }

    /// Goes on with a session from before: `key` is the digest of its token.
    pub fn resume(&self, key: &str, user: &str, left: Duration) {
        self.sessions.resume(key, user, Instant::now() + left);
    }

    /// Whose session `token` is.
    #[must_use]
    pub fn user(&self, token: &str) -> Option<String> {
        self.sessions.user(token, Instant::now())
    }

    /// Ends the session of `token`.
    pub fn leave(&self, token: &str) {
        self.sessions.close(token);
    }
}
