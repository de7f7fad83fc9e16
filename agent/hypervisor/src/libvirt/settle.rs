//! Settling the cache modes of a domain's next start.

use agent_libvirt::{Connection, DefineFlags, XmlFlags};
use uuid::Uuid;

use super::{Libvirt, refusal};
use crate::cache::{self, CachePlan, Device, Question};
use crate::domain::{self, Described, Since};
use crate::error::Error;
use crate::spec::{CacheRequest, DiskId};
use crate::state::Domain;

impl Libvirt {
    /// Decides first, and changes the configuration in one piece then: nothing is half settled, whenever it ends.
    pub(super) async fn settle(&self, uuid: Uuid, plan: &CachePlan) -> Result<Domain, Error> {
        let connection = self.connection().await?;
        let handle = self.ours(&connection, uuid).await?;
        let xml = self.configuration(&connection, &handle).await?;
        let before = self.read(&handle, &xml)?;
        let mut after = self.decided(&before, &plan.disks).await?;
        for at in &mut after.drives {
            let question = Question::again(plan.cdroms, Device::Drive(at.media.as_deref()), &at.decided);
            at.decided = cache::settle(&self.prober, question).await?;
        }
        if after != before {
            self.configure(&connection, &handle, &domain::rewrite(&xml, &after)?).await?;
        }
        self.looked_at(&connection, &handle).await
    }

    /// A configuration with other modes for some disks. What was done to a running domain is none of its.
    pub(super) async fn decided(
        &self,
        before: &Described,
        disks: &[(DiskId, CacheRequest)],
    ) -> Result<Described, Error> {
        let mut after = before.clone();
        for (id, choice) in disks {
            if let Some(at) = after.disks.iter_mut().find(|at| at.disk.id == *id) {
                let question = Question::again(*choice, Device::disk(&at.disk), &at.decided);
                let decided = cache::settle(&self.prober, question).await?;
                at.decide(decided);
            }
        }
        after.disks.iter_mut().for_each(|at| at.since = Since::default());
        Ok(after)
    }

    /// Has libvirt keep another configuration.
    pub(super) async fn configure(
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
    pub(super) async fn configuration(
        &self,
        connection: &Connection,
        handle: &agent_libvirt::Domain,
    ) -> Result<String, Error> {
        let xml = connection.domain_xml_desc(handle, XmlFlags::INACTIVE | XmlFlags::SECURE).await;
        let what = || format!("read the description of `{}`", handle.name);
        xml.map_err(|error| refusal::plain(&error, handle.uuid, what()))
    }
}
