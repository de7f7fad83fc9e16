//! Following libvirt: each event is a reason to look at one domain, each new connection one to look at all.

use std::sync::Arc;
use std::time::Duration;

use agent_libvirt::{ConnectError, Connection, Error, ListFlags, Notice, Notices};

use super::look;
use super::registry::Registry;

/// How long to wait before what could not be looked at is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Follows until the connection is given up for good.
pub async fn run(registry: Arc<Registry>, mut notices: Notices) {
    let mut follower = Follower { registry, connection: None, untold: Vec::new() };
    loop {
        let notice = if follower.is_behind() {
            match tokio::time::timeout(LOOK_AGAIN, notices.next()).await {
                Ok(notice) => notice,
                Err(_) => {
                    follower.look_again().await;
                    continue;
                }
            }
        } else {
            notices.next().await
        };
        match notice {
            Some(notice) => follower.take(notice).await,
            None => return,
        }
    }
}

struct Follower {
    registry: Arc<Registry>,
    connection: Option<Connection>,
    /// Domains of which libvirt has just refused to tell. They are known as they were, and hold up no others.
    untold: Vec<agent_libvirt::Domain>,
}

impl Follower {
    /// Whether there is a connection, and what is kept is not what there is.
    fn is_behind(&self) -> bool {
        self.connection.is_some() && (!self.registry.is_synced() || !self.untold.is_empty())
    }

    async fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Connected(connection) => {
                tracing::info!("connected to libvirt at `{}`", connection.path().display());
                self.connection = Some(connection);
                self.look_at_all().await;
            }
            Notice::Disconnected(why) => {
                // The first attempt is told of like any other state, and is no reason to worry.
                if !matches!(&*why, Error::Connect(why) if matches!(&**why, ConnectError::NotYet)) {
                    tracing::warn!("no connection to libvirt: {why}");
                }
                self.registry.set_synced(false);
                self.untold.clear();
                self.connection = None;
            }
            Notice::Lagged { missed } => {
                tracing::warn!(
                    "{missed} events of libvirt came faster than they could be followed; looking at all"
                );
                self.look_at_all().await;
            }
            Notice::Event(event) => {
                let Some(connection) = self.connection.clone() else { return };
                tracing::debug!("`{}`: {:?}", event.domain.name, event.event);
                if let Err(why) = self.look_at(&connection, &event.domain).await {
                    tracing::warn!("{why}; looking again");
                    self.registry.set_synced(false);
                }
            }
        }
    }

    /// Looks at what was not seen.
    async fn look_again(&mut self) {
        let Some(connection) = self.connection.clone().filter(|_| self.registry.is_synced()) else {
            return self.look_at_all().await;
        };
        for domain in std::mem::take(&mut self.untold) {
            if let Err(why) = self.look_at(&connection, &domain).await {
                tracing::warn!("{why}; looking again");
                self.registry.set_synced(false);
            }
        }
    }

    /// Looks at all domains. If their list cannot be had, or libvirt does not answer, all are looked at again soon.
    async fn look_at_all(&mut self) {
        let Some(connection) = self.connection.clone() else { return };
        self.registry.set_synced(false);
        self.untold.clear();
        let looked = async {
            let domains = connection.list_all_domains(ListFlags::empty()).await;
            let domains = domains.map_err(|error| format!("cannot list the domains: {error}"))?;
            let uuids: Vec<_> = domains.iter().map(|domain| domain.uuid).collect();
            self.registry.keep_only(&uuids).await;
            for domain in &domains {
                self.look_at(&connection, domain).await?;
            }
            Ok::<_, String>(())
        };
        match looked.await {
            Ok(()) => self.registry.set_synced(true),
            Err(why) => tracing::warn!("{why}; looking again"),
        }
    }

    /// Looks at one. What libvirt itself refuses to tell of it is noted.
    async fn look_at(
        &mut self,
        connection: &Connection,
        domain: &agent_libvirt::Domain,
    ) -> Result<(), String> {
        let Err(error) = look::at(&self.registry, connection, domain).await else { return Ok(()) };
        let why = format!("cannot look at the domain `{}`: {error}", domain.name);
        if error.remote().is_none() {
            return Err(why);
        }
        tracing::warn!("{why}; looking again");
        self.untold.retain(|untold| untold.uuid != domain.uuid);
        self.untold.push(domain.clone());
        Ok(())
    }
}
