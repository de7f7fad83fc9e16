//! Following libvirt: each event is a reason to look at one domain, each new connection one to look at all.

use std::sync::Arc;

use agent_libvirt::{ConnectError, Connection, Error, Event, ListFlags, Notice, Notices};

use super::look;
use super::registry::Registry;

/// Follows until the connection is given up for good.
pub async fn run(registry: Arc<Registry>, mut notices: Notices) {
    let mut connection = None;
    while let Some(notice) = notices.next().await {
        match notice {
            Notice::Connected(new) => {
                tracing::info!("connected to libvirt at `{}`", new.path().display());
                registry.set_synced(false);
                let synced = look_at_all(&registry, &new).await;
                registry.set_synced(synced);
                connection = Some(new);
            }
            Notice::Disconnected(why) => {
                // The first attempt is told of like any other state, and is no reason to worry.
                if !matches!(&*why, Error::Connect(why) if matches!(&**why, ConnectError::NotYet)) {
                    tracing::warn!("no connection to libvirt: {why}");
                }
                registry.set_synced(false);
                connection = None;
            }
            Notice::Lagged { missed } => {
                tracing::warn!(
                    "{missed} events of libvirt came faster than they could be followed; looking at all"
                );
                if let Some(connection) = &connection {
                    registry.set_synced(false);
                    let synced = look_at_all(&registry, connection).await;
                    registry.set_synced(synced);
                }
            }
            Notice::Event(event) => {
                let Some(connection) = &connection else { continue };
                tracing::debug!("`{}`: {:?}", event.domain.name, event.event);
                look_at(&registry, connection, &event.domain).await;
                if event.event == Event::Reboot {
                    registry.rebooted(event.domain.uuid);
                }
            }
        }
    }
}

/// Looks at all domains. False if that cannot be done; then the connection is about to end, or has.
async fn look_at_all(registry: &Registry, connection: &Connection) -> bool {
    let domains = match connection.list_all_domains(ListFlags::empty()).await {
        Ok(domains) => domains,
        Err(error) => {
            tracing::warn!("cannot list the domains: {error}");
            return false;
        }
    };
    registry.keep_only(&domains.iter().map(|domain| domain.uuid).collect::<Vec<_>>());
    for domain in &domains {
        look_at(registry, connection, domain).await;
    }
    true
}

async fn look_at(registry: &Registry, connection: &Connection, domain: &agent_libvirt::Domain) {
    if let Err(error) = look::at(registry, connection, domain).await {
        tracing::warn!("cannot look at the domain `{}`: {error}", domain.name);
    }
}
