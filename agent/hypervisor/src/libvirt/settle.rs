//! Settling the cache modes of a domain's next start.

use agent_libvirt::{Connection, DefineFlags, XmlFlags};
use uuid::Uuid;

use super::{Libvirt, refusal};
use crate::cache::{self, CachePlan, Device, Question};
use crate::domain::{self, Described, Since};
use crate::error::Error;
use crate::spec::{CacheRequest, DiskId};
use crate::state::Domain;

/// How often a configuration is decided on anew that somebody changed meanwhile.
const TRIES: usize = 5;

impl Libvirt {
    pub(super) async fn settle(&self, uuid: Uuid, plan: &CachePlan) -> Result<Domain, Error> {
        let connection = self.connection().await?;
        let handle = self.ours(&connection, uuid).await?;
        self.reconfigure(&connection, &handle, &plan.disks, Some(plan.cdroms)).await?;
        self.looked_at(&handle).await
    }

    /// Decides first, and changes the configuration in one piece then: nothing is half settled, whenever it ends. Returns it as
    /// it was before, if it had to be changed.
    ///
    /// To decide takes file systems' time, in which others may change the configuration or undefine the domain. They win: it is
    /// decided anew.
    pub(super) async fn reconfigure(
        &self,
        connection: &Connection,
        handle: &agent_libvirt::Domain,
        disks: &[(DiskId, CacheRequest)],
        cdroms: Option<CacheRequest>,
    ) -> Result<Option<Described>, Error> {
        let mut xml = self.configuration(connection, handle).await?;
        for _ in 0..TRIES {
            let before = self.read(handle, &xml)?;
            let after = self.decided(&before, disks, cdroms).await?;
            if after == before {
                return Ok(None);
            }
            let now = self.configuration(connection, handle).await?;
            if now == xml {
                self.configure(connection, handle, &domain::rewrite(&xml, &after)?).await?;
                return Ok(Some(before));
            }
            xml = now;
        }
        Err(Error::Failed {
            what: format!("settle the cache modes of `{}`", handle.name),
            cause: "somebody else keeps changing its configuration".to_owned(),
            remedy: "try again when they have done".to_owned(),
        })
    }

    /// A configuration with other modes for some disks, and for all drives. What was done to a running domain is none of its.
    async fn decided(
        &self,
        before: &Described,
        disks: &[(DiskId, CacheRequest)],
        cdroms: Option<CacheRequest>,
    ) -> Result<Described, Error> {
        let mut after = before.clone();
        for (id, choice) in disks {
            if let Some(at) = after.disks.iter_mut().find(|at| at.disk.id == *id) {
                let question = Question::again(*choice, Device::disk(&at.disk), &at.decided);
                let decided = cache::settle(&self.prober, question).await?;
                at.decide(decided);
            }
        }
        for (at, choice) in after.drives.iter_mut().zip(cdroms.into_iter().cycle()) {
            let question = Question::again(choice, Device::Drive(at.media.as_deref()), &at.decided);
            at.decided = cache::settle(&self.prober, question).await?;
        }
        after.disks.iter_mut().for_each(|at| at.since = Since::default());
        Ok(after)
    }

    /// Puts back what was decided of these disks before, into whatever the configuration is by now.
    pub(super) async fn put_back(
        &self,
        connection: &Connection,
        handle: &agent_libvirt::Domain,
        disks: &[(DiskId, CacheRequest)],
        before: &Described,
    ) -> Result<(), Error> {
        let xml = self.configuration(connection, handle).await?;
        let mut back = self.read(handle, &xml)?;
        for at in back.disks.iter_mut().filter(|at| disks.iter().any(|(id, _)| *id == at.disk.id)) {
            if let Some(old) = before.disks.iter().find(|old| old.disk.id == at.disk.id) {
                at.decide(old.decided.clone());
            }
        }
        self.configure(connection, handle, &domain::rewrite(&xml, &back)?).await
    }

    /// Has libvirt keep another configuration.
    async fn configure(
        &self,
        connection: &Connection,
        handle: &agent_libvirt::Domain,
        xml: &str,
    ) -> Result<(), Error> {
        let defined = connection.domain_define_xml(xml, DefineFlags::empty()).await;
        let what = || format!("settle the cache modes of `{}`", handle.name);
        defined.map(drop).map_err(|error| refusal::plain(&error, handle.uuid, what()))
    }

    /// What a domain is started from, with its passwords: it is given back.
    async fn configuration(
        &self,
        connection: &Connection,
        handle: &agent_libvirt::Domain,
    ) -> Result<String, Error> {
        let xml = connection.domain_xml_desc(handle, XmlFlags::INACTIVE | XmlFlags::SECURE).await;
        let what = || format!("read the description of `{}`", handle.name);
        xml.map_err(|error| refusal::plain(&error, handle.uuid, what()))
    }
}
