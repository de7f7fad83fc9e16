//! Sessions: who is in, for how long. They live in memory, by the hash of their token: whoever reads it cannot use
//! what he reads. That they outlive the process is seen to elsewhere.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::secret;

/// Sessions at a time. One more ends the oldest.
const LIMIT: usize = 1024;

/// Bytes of a token.
const TOKEN_BYTES: usize = 32;

/// SHA-256 of a token, in hexadecimal.
type Key = String;

/// All sessions of a server.
#[derive(Debug)]
pub struct Sessions {
    lasts: Duration,
    open: Mutex<HashMap<Key, Session>>,
}

#[derive(Debug)]
struct Session {
    user: String,
    ends: Instant,
}

impl Sessions {
    /// No sessions. Each will last for `lasts`.
    #[must_use]
    pub fn new(lasts: Duration) -> Self {
        Self { lasts, open: Mutex::default() }
    }

    /// How long a session lasts.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        self.lasts
    }

    /// Begins a session of `user` and returns its token.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn open(&self, user: &str, now: Instant) -> Result<String, getrandom::Error> {
        let mut token = [0; TOKEN_BYTES];
        getrandom::fill(&mut token)?;
        let token = token.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let mut open = self.lock();
        open.retain(|_, session| session.ends > now);
        if open.len() >= LIMIT {
            let oldest = open.iter().min_by_key(|(_, session)| session.ends).map(|(key, _)| key.clone());
            oldest.and_then(|key| open.remove(&key));
        }
        open.insert(key(&token), Session { user: user.to_owned(), ends: now + self.lasts });
        Ok(token)
    }

    /// Goes on with a session that began earlier: `key` is the digest of its token.
    pub fn resume(&self, key: &str, user: &str, ends: Instant) {
        self.lock().insert(key.to_owned(), Session { user: user.to_owned(), ends });
    }

    /// Whose session `token` is at `now`.
    #[must_use]
    pub fn user(&self, token: &str, now: Instant) -> Option<String> {
        let open = self.lock();
        let session = open.get(&key(token))?;
        (session.ends > now).then(|| session.user.clone())
    }

    /// Ends the session of `token`, if there is one.
    pub fn close(&self, token: &str) {
        self.lock().remove(&key(token));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Session>> {
        // No code that holds the lock can leave the map half changed.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(token: &str) -> Key {
    secret::digest(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_itself_or_when_told() {
        let (sessions, now) = (Sessions::new(Duration::from_secs(60)), Instant::now());
        let token = sessions.open("admin", now).unwrap();
        assert_eq!(token.len(), 2 * TOKEN_BYTES);
        assert_eq!(sessions.user(&token, now + Duration::from_secs(59)).as_deref(), Some("admin"));
        assert_eq!(sessions.user(&token, now + Duration::from_secs(60)), None);
        assert_eq!(sessions.user("", now), None);
        sessions.close(&token);
        assert_eq!(sessions.user(&token, now), None);
    }

    #[test]
    fn there_is_a_limit_and_the_oldest_goes_first() {
        let (sessions, now) = (Sessions::new(Duration::from_secs(60)), Instant::now());
        let first = sessions.open("admin", now).unwrap();
        let later = now + Duration::from_secs(1);
        let second = sessions.open("admin", later).unwrap();
        for _ in 0..LIMIT - 1 {
            sessions.open("admin", later + Duration::from_secs(1)).unwrap();
        }
        assert_eq!(sessions.user(&first, later), None);
        assert!(sessions.user(&second, later).is_some());
    }
}
