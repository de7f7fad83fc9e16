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
    let mut follower = Follower { registry, connection: None };
    loop {
        let notice = if follower.is_behind() {
            match tokio::time::timeout(LOOK_AGAIN, notices.next()).await {
                Ok(notice) => notice,
                Err(_) => {
                    follower.look_at_all().await;
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
}

impl Follower {
    /// Whether there is a connection, and what is kept is not what there is.
    fn is_behind(&self) -> bool {
        self.connection.is_some() && !self.registry.is_synced()
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
                self.connection = None;
            }
            Notice::Lagged { missed } => {
                tracing::warn!(
                    "{missed} events of libvirt came faster than they could be followed; looking at all"
                );
                self.look_at_all().await;
            }
            Notice::Event(event) => {
                let Some(connection) = &self.connection else { return };
                tracing::debug!("`{}`: {:?}", event.domain.name, event.event);
                if let Err(error) = look::at(&self.registry, connection, &event.domain).await {
                    tracing::warn!(
                        "cannot look at the domain `{}`: {error}; looking again",
                        event.domain.name
                    );
                    self.registry.set_synced(false);
                }
            }
        }
    }

    /// Looks at all domains. If one of them, or their list, cannot be looked at, all are looked at again soon.
    async fn look_at_all(&self) {
        let Some(connection) = &self.connection else { return };
        self.registry.set_synced(false);
        let looked = async {
            let domains = connection.list_all_domains(ListFlags::empty()).await;
            let domains = domains.map_err(|error| format!("cannot list the domains: {error}"))?;
            let uuids: Vec<_> = domains.iter().map(|domain| domain.uuid).collect();
            self.registry.keep_only(&uuids).await;
            for domain in &domains {
                let looked = look::at(&self.registry, connection, domain).await;
                looked.map_err(|error| format!("cannot look at the domain `{}`: {error}", domain.name))?;
            }
            Ok::<_, String>(())
        };
        match looked.await {
            Ok(()) => self.registry.set_synced(true),
            Err(why) => tracing::warn!("{why}; looking again"),
        }
    }
}
