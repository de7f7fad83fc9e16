//! The audit log, as the public reads it. What is written into it comes from the requests themselves and from tasks that
//! end; nothing in it is a secret.

use server_api::audit::{AuditEntry, AuditList};
use uuid::Uuid;

use super::{Cloud, CloudError};
use crate::store::audit::{self, Entry};
use crate::store::{Id, StoreError};

/// Entries in one answer, if nobody says otherwise.
const PAGE: u32 = 100;

/// The most.
const LONGEST_PAGE: u32 = 1000;

impl Cloud {
    /// Entries, the newest first, before the one that has the id `before`.
    pub async fn audit(&self, before: Option<Uuid>, limit: Option<u32>) -> Result<AuditList, CloudError> {
        let limit = limit.unwrap_or(PAGE);
        if !(1..=LONGEST_PAGE).contains(&limit) {
            return Err(CloudError::invalid(
                format!("{limit} is no number of entries"),
                format!("give 1 to {LONGEST_PAGE}"),
            ));
        }
        let entries = audit::page(&mut *self.store.read().await?, before.map(Id), limit).await?;
        Ok(AuditList { entries: entries.into_iter().map(encode).collect() })
    }

    /// Adds an entry.
    pub async fn note(&self, entry: &Entry) -> Result<(), StoreError> {
        let mut db = self.store.write().await?;
        audit::insert(&mut db, entry).await?;
        db.commit().await
    }
}

fn encode(entry: Entry) -> AuditEntry {
    AuditEntry {
        id: entry.id.0,
        at_ms: entry.at_ms,
        who: entry.who,
        address: entry.address,
        action: entry.action,
        subject: entry.subject,
        outcome: entry.outcome,
    }
}
