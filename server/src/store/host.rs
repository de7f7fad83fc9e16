//! Hosts.

use agent_protocol::host::Facts;
use server_api::event::Kind;
use server_api::host::LinkState;

use super::{Connection, Document, Id, Result, Word, Write, named, now_ms};

/// A host.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Host {
    /// Its identity.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// Address and port of its agent, as numbers.
    pub address: String,
    /// True for the host that the server runs on.
    pub is_local: bool,
    /// Whether its agent answers.
    pub link: Word<LinkState>,
    /// Since when.
    pub link_since_ms: i64,
    /// Why it does not.
    pub link_reason: Option<String>,
    /// What its agent said of it.
    pub facts: Option<String>,
    /// When it was added.
    pub created_ms: i64,
}

impl Host {
    /// A host whose agent has not been asked yet.
    #[must_use]
    pub fn new(id: Id, name: &str, address: &str, is_local: bool) -> Self {
        let now = now_ms();
        Self {
            id,
            name: name.to_owned(),
            address: address.to_owned(),
            is_local,
            link: Word(LinkState::Unknown),
            link_since_ms: now,
            link_reason: None,
            facts: None,
            created_ms: now,
        }
    }

    /// What its agent said, unless another version wrote it down.
    #[must_use]
    pub fn facts(&self) -> Option<Facts> {
        serde_json::from_str(self.facts.as_deref()?).ok()
    }
}

named!(Host, "hosts", "SELECT hosts.* FROM hosts");

/// The one that the server runs on.
pub async fn local(db: &mut Connection) -> Result<Option<Host>> {
    Ok(sqlx::query_as("SELECT * FROM hosts WHERE is_local = 1").fetch_optional(db).await?)
}

/// Adds one.
pub async fn insert(db: &mut Write, host: &Host) -> Result<()> {
    sqlx::query(
        "INSERT INTO hosts (id, name, address, is_local, link, link_since_ms, link_reason, facts, created_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(host.id)
    .bind(&host.name)
    .bind(&host.address)
    .bind(i64::from(host.is_local))
    .bind(host.link)
    .bind(host.link_since_ms)
    .bind(&host.link_reason)
    .bind(&host.facts)
    .bind(host.created_ms)
    .execute(&mut **db)
    .await?;
    db.changed(Kind::Host, host.id);
    Ok(())
}

/// Notes where its agent is now.
pub async fn move_to(db: &mut Write, id: Id, address: &str) -> Result<()> {
    sqlx::query("UPDATE hosts SET address = $2 WHERE id = $1")
        .bind(id)
        .bind(address)
        .execute(&mut **db)
        .await?;
    db.changed(Kind::Host, id);
    Ok(())
}

/// Notes that its agent answers, and what it says.
pub async fn connected(db: &mut Write, id: Id, facts: &Facts) -> Result<()> {
    sqlx::query(
        "UPDATE hosts SET facts = $2, link_reason = NULL,
         link_since_ms = CASE WHEN link = $3 THEN link_since_ms ELSE $4 END, link = $3 WHERE id = $1",
    )
    .bind(id)
    .bind(Document(facts.clone()))
    .bind(Word(LinkState::Connected))
    .bind(now_ms())
    .execute(&mut **db)
    .await?;
    db.changed(Kind::Host, id);
    Ok(())
}

/// Notes that its agent does not answer, and why.
pub async fn disconnected(db: &mut Write, id: Id, reason: &str) -> Result<()> {
    sqlx::query(
        "UPDATE hosts SET link_reason = $2,
         link_since_ms = CASE WHEN link = $3 THEN link_since_ms ELSE $4 END, link = $3 WHERE id = $1",
    )
    .bind(id)
    .bind(reason)
    .bind(Word(LinkState::Disconnected))
    .bind(now_ms())
    .execute(&mut **db)
    .await?;
    db.changed(Kind::Host, id);
    Ok(())
}

/// Notes that nobody has been asked yet: what was known of links ended with the server that knew it.
pub async fn forget_links(db: &mut Write) -> Result<()> {
    sqlx::query("UPDATE hosts SET link = $1, link_since_ms = $2, link_reason = NULL")
        .bind(Word(LinkState::Unknown))
        .bind(now_ms())
        .execute(&mut **db)
        .await?;
    Ok(())
}

/// What lies on one: kind, identity and name.
pub async fn all_on(db: &mut Connection, id: Id) -> Result<Vec<(Kind, Id, String)>> {
    let mut found = Vec::new();
    for (kind, statement) in [
        (Kind::Storage, "SELECT id, name FROM storages WHERE host_id = $1"),
        (Kind::Vm, "SELECT id, name FROM vms WHERE host_id = $1"),
        (
            Kind::Image,
            "SELECT id, name FROM images WHERE storage_id IN (SELECT id FROM storages WHERE host_id = $1)",
        ),
        (
            Kind::Volume,
            "SELECT id, name FROM volumes WHERE storage_id IN (SELECT id FROM storages WHERE host_id = $1)",
        ),
    ] {
        let rows: Vec<(Id, String)> = sqlx::query_as(statement).bind(id).fetch_all(&mut *db).await?;
        found.extend(rows.into_iter().map(|(id, name)| (kind, id, name)));
    }
    Ok(found)
}

/// Forgets all that lies on one, whatever refers to it.
pub async fn forget_all_on(db: &mut Write, id: Id) -> Result<()> {
    for (_, subject, _) in all_on(db, id).await? {
        super::cache::forget(db, subject).await?;
    }
    for statement in [
        "DELETE FROM nics WHERE vm_id IN (SELECT id FROM vms WHERE host_id = $1)",
        "DELETE FROM cdroms WHERE vm_id IN (SELECT id FROM vms WHERE host_id = $1)",
        "DELETE FROM volumes WHERE storage_id IN (SELECT id FROM storages WHERE host_id = $1)",
        "DELETE FROM vms WHERE host_id = $1",
        "DELETE FROM images WHERE storage_id IN (SELECT id FROM storages WHERE host_id = $1)",
        "DELETE FROM storages WHERE host_id = $1",
    ] {
        sqlx::query(statement).bind(id).execute(&mut **db).await?;
    }
    Ok(())
}

/// Removes one. Fails, too, if something lies on it.
pub async fn delete(db: &mut Write, id: Id) -> Result<()> {
    sqlx::query("DELETE FROM hosts WHERE id = $1").bind(id).execute(&mut **db).await?;
    db.changed(Kind::Host, id);
    Ok(())
}
