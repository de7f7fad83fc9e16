//! Hosts: shown and removed. How they come in is in `join`; the host of the server comes in by itself.

use std::net::SocketAddr;
use std::time::Duration;

use agent_protocol::host::Facts;
use server_api::about::Component;
use server_api::event::Kind;
use server_api::host::{AutoAccel, Host, HostFacts, HostList, Hypervisor, Link, LinkState};

use super::{Begun, Cloud, CloudError, Order, find, finish, free};
use crate::agents::words;
use crate::bootstrap::names;
use crate::local_agent;
use crate::store::{self, Id};

/// How long an agent has for a question that somebody waits for.
pub(super) const QUESTION: Duration = Duration::from_secs(10);

find!(find: host, Host, Host);

impl Cloud {
    /// All hosts.
    pub async fn hosts(&self) -> Result<HostList, CloudError> {
        let hosts = store::host::all(&mut *self.store.read().await?).await?;
        Ok(HostList { hosts: hosts.into_iter().map(encode).collect() })
    }

    /// One host.
    pub async fn host(&self, host: &str) -> Result<Host, CloudError> {
        Ok(encode(find(&mut *self.store.read().await?, host).await?))
    }

    /// Removes a host: its identity is nobody's any more, and no token brings it back. Its agent is not told: nobody talks to
    /// it. What lies on it stands in the way, unless `forget` says its name: then the server forgets all of it, on a host that
    /// is gone.
    pub async fn delete_host(
        &self,
        order: &Order,
        host: &str,
        forget: Option<&str>,
    ) -> Result<(), CloudError> {
        let mut db = match self.begin(order).await? {
            Begun::Answered(()) => return Ok(()),
            Begun::Fresh(db) => db,
        };
        let host = find(&mut db, host).await?;
        if host.is_local {
            return Err(CloudError::conflict(
                format!("`{}` is the host that the server runs on", host.name),
                "it stays; to have no agent there, uninstall it and move `agent.pem` and `agent.key` away",
            ));
        }
        let storages = store::storage::of_host(&mut db, host.id).await?;
        if let Some(storage) = storages.first() {
            let Some(name) = forget else {
                let vms = store::vm::of_host(&mut db, host.id).await?;
                let vms: Vec<String> = vms.iter().map(|vm| format!("`{}`", vm.name)).collect();
                let by = match vms.join(", ") {
                    none if none.is_empty() => format!("storage `{}` lies on it", storage.name),
                    names => format!("storage `{}` lies on it, and virtual machines: {names}", storage.name),
                };
                return Err(CloudError::InUse { kind: Kind::Host, name: host.name, by });
            };
            may_forget(&host, name)?;
            for (kind, id, name) in store::host::all_on(&mut db, host.id).await? {
                free(&mut db, kind, id, &name).await?;
                db.changed(kind, id);
            }
            store::host::forget_all_on(&mut db, host.id).await?;
        }
        store::host::delete(&mut db, host.id).await?;
        finish(db, order, &()).await?;
        self.links.leave(host.id);
        Ok(())
    }

    /// Takes in the host that the server runs on, if it was set up with an agent.
    pub(super) async fn take_in_local_host(&self, address: SocketAddr) -> Result<(), store::StoreError> {
        let mut db = self.store.write().await?;
        store::host::forget_links(&mut db).await?;
        match store::host::local(&mut db).await? {
            Some(host) => store::host::move_to(&mut db, host.id, &address.to_string()).await?,
            None if local_agent::is_configured(&self.layout) => {
                let wanted = names::host().map_or("local".to_owned(), |name| name.to_string());
                let name = free_name(&mut db, &wanted).await?;
                let host = store::host::Host::new(Id::new(), &name, &address.to_string(), true);
                store::host::insert(&mut db, &host).await?;
            }
            None => {}
        }
        db.commit().await
    }
}

/// Whether all that the server knows of a host may be forgotten: somebody said its name, and it is gone.
fn may_forget(host: &store::host::Host, name: &str) -> Result<(), CloudError> {
    if name != host.name {
        let message = format!("`{name}` is not the name of the host `{}`", host.name);
        return Err(CloudError::invalid(
            message,
            "say the name of the host whose things are to be forgotten",
        ));
    }
    if host.link.0 == LinkState::Connected {
        let message = format!("the agent of `{}` answers: what lies on it is there", host.name);
        return Err(CloudError::conflict(
            message,
            "remove what lies on it, or turn the host off for good first",
        ));
    }
    Ok(())
}

/// A name that no host has: the one that is wanted, or that with a number.
pub(super) async fn free_name(db: &mut store::Connection, wanted: &str) -> Result<String, store::StoreError> {
    let wanted = if super::names::check(wanted).is_ok() { wanted } else { "host" };
    let mut name = wanted.to_owned();
    for number in 2u32.. {
        if store::host::by_name(db, &name).await?.is_none() {
            break;
        }
        name = format!("{}-{number}", wanted.get(..50).unwrap_or(wanted));
    }
    Ok(name)
}

fn encode(host: store::host::Host) -> Host {
    Host {
        facts: host.facts().map(facts),
        id: host.id.0,
        name: host.name,
        address: host.address,
        local: host.is_local,
        link: Link { state: host.link.0, since_ms: host.link_since_ms, reason: host.link_reason },
        created_at_ms: host.created_ms,
    }
}

/// What an agent says, as the public hears it.
#[must_use]
pub fn facts(facts: Facts) -> HostFacts {
    HostFacts {
        agent: Component {
            reference: facts.agent.reference,
            commit: facts.agent.commit,
            dirty: facts.agent.dirty,
        },
        agent_uptime_seconds: facts.agent.uptime_seconds,
        name: facts.host_name,
        kernel: facts.kernel,
        uptime_seconds: facts.uptime_seconds,
        cpu_model: facts.cpu.model,
        cpu_count: facts.cpu.count,
        memory_bytes: facts.memory_bytes,
        libvirt_socket: facts.libvirt_socket,
        hypervisor: Hypervisor { version: facts.hypervisor.version, reason: facts.hypervisor.reason },
        accel: AutoAccel { auto: words::accel(facts.accel.auto), reason: facts.accel.reason },
        uefi: facts.uefi,
    }
}
