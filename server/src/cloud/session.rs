//! Sessions, so that a restart of the server ends none of them.

use std::time::Duration;

use super::{Cloud, CloudError};
use crate::login::{Entry, Login};
use crate::secret;
use crate::store::session::{self, Session};
use crate::store::{StoreError, now_ms};

impl Cloud {
    /// Keeps a session that has begun.
    pub async fn remember_session(&self, entry: &Entry) -> Result<(), CloudError> {
        let lasts_ms = i64::try_from(entry.lasts.as_millis()).unwrap_or(i64::MAX);
        let session = Session {
            digest: secret::digest(&entry.token),
            who: entry.user.clone(),
            credential: entry.credential.clone(),
            expires_ms: now_ms().saturating_add(lasts_ms),
        };
        let mut db = self.store.write().await?;
        session::insert(&mut db, &session).await?;
        Ok(db.commit().await?)
    }

    /// Forgets a session that was ended.
    pub async fn forget_session(&self, token: &str) -> Result<(), CloudError> {
        let mut db = self.store.write().await?;
        session::delete(&mut db, &secret::digest(token)).await?;
        Ok(db.commit().await?)
    }

    /// Lets those in again who were in when the last server ended, unless the password is another since.
    pub async fn resume_sessions(&self, login: &Login) -> Result<(), StoreError> {
        for session in session::all(&mut *self.store.read().await?, &login.credential()).await? {
            let left = u64::try_from(session.expires_ms - now_ms()).unwrap_or(0);
            login.resume(&session.digest, &session.who, Duration::from_millis(left));
        }
        Ok(())
    }
}
