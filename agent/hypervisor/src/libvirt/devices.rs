//! Disks and CD-ROMs of domains, also while they run.

use std::path::Path;

use agent_libvirt::{Connection, DeviceFlags, ErrorCode, XmlFlags};
use uuid::Uuid;

use super::power::silent;
use super::refusal::{self, Log, Opened};
use super::{Libvirt, look};
use crate::check::{check_disk, check_media};
use crate::domain::{self, Described, DriveAt};
use crate::error::Error;
use crate::interface::Attempt;
use crate::spec::{Disk, DiskBus, DiskId, Media};
use crate::state::{Domain, State};

/// A domain, with its present and its next description. While it is off they are one.
struct Both {
    handle: agent_libvirt::Domain,
    state: State,
    live: Described,
    config: Described,
}

impl Both {
    fn flags(&self) -> DeviceFlags {
        if self.state.is_active() { DeviceFlags::LIVE | DeviceFlags::CONFIG } else { DeviceFlags::CONFIG }
    }
}

impl Libvirt {
    pub(super) async fn attach(&self, uuid: Uuid, disk: &Disk, attempt: Attempt) -> Result<Domain, Error> {
        check_disk(disk)?;
        let connection = self.connection().await?;
        let both = self.both(&connection, uuid).await?;
        let there =
            |described: &Described| described.disks.iter().find(|one| one.disk.id == disk.id).cloned();
        let (live, config) = (there(&both.live), there(&both.config));
        let present: Vec<_> = live.iter().chain(&config).collect();
        if present.iter().any(|one| attempt == Attempt::First || one.disk != *disk) {
            return Err(Error::DiskExists { name: both.handle.name, disk: disk.id });
        }
        // An earlier attempt may have got half way, if libvirt ended in its middle.
        let mut flags = DeviceFlags::empty();
        flags.set(DeviceFlags::LIVE, both.state.is_active() && live.is_none());
        flags.set(DeviceFlags::CONFIG, config.is_none());
        if flags.is_empty() {
            return self.looked_at(&connection, &both.handle).await;
        }
        let has_file =
            || [&both.live, &both.config].iter().any(|described| has_file(described, &disk.source));
        if present.is_empty() && has_file() {
            return Err(Error::InUse { path: disk.source.clone(), name: both.handle.name });
        }
        if both.state.is_active() && disk.bus == DiskBus::Sata {
            return Err(Error::unpluggable(&both.handle.name, "attached to", both.state));
        }
        let free = || domain::free_target(disk.bus, targets(&both.live).chain(targets(&both.config)));
        let target = present.first().map_or_else(free, |one| one.target.clone());
        let xml = domain::disk_xml(disk, &target)?;
        let what = format!("attach `{}` to `{}`", disk.source.display(), both.handle.name);
        let opened = Opened { source: disk.source.clone(), cache: disk.cache };
        self.change(&connection, &both, ChangeOf::Attach(flags), &xml, &[opened], what).await?;
        self.looked_at(&connection, &both.handle).await
    }

    pub(super) async fn detach(&self, uuid: Uuid, disk: DiskId, attempt: Attempt) -> Result<Domain, Error> {
        let connection = self.connection().await?;
        let both = self.both(&connection, uuid).await?;
        let find = |described: &Described| described.disks.iter().find(|one| one.disk.id == disk).cloned();
        let (live, config) = (find(&both.live), find(&both.config));
        if live.is_none() && config.is_none() && attempt == Attempt::First {
            return Err(Error::NoDisk { name: both.handle.name, disk });
        }
        let what = || format!("detach `{disk}` from `{}`", both.handle.name);
        if both.state.is_active()
            && let Some(live) = live
        {
            if live.disk.bus == DiskBus::Sata {
                return Err(Error::unpluggable(&both.handle.name, "detached from", both.state));
            }
            let xml = domain::disk_xml(&live.disk, &live.target)?;
            let asked = connection.domain_detach_device(&both.handle, &xml, DeviceFlags::LIVE).await;
            match asked {
                Ok(()) => {}
                // The guest was asked before, and has not let go.
                Err(error) if is_being_unplugged(&error) => {}
                Err(error) => return Err(refusal::plain(&error, uuid, what())),
            }
            let patience = self.options.release_patience;
            let released = self.registry.wait(uuid, patience, |seen| {
                seen.is_none_or(|seen| seen.described.disks.iter().all(|one| one.disk.id != disk))
            });
            // The event may have been before the wait, or before libvirt's answer.
            self.looked_at(&connection, &both.handle).await?;
            if !released.await {
                return Err(silent(&both.handle, "let go of the disk", patience));
            }
        }
        if let Some(config) = config {
            let xml = domain::disk_xml(&config.disk, &config.target)?;
            let removed = connection.domain_detach_device(&both.handle, &xml, DeviceFlags::CONFIG).await;
            removed.map_err(|error| refusal::plain(&error, uuid, what()))?;
        }
        self.looked_at(&connection, &both.handle).await
    }

    pub(super) async fn insert(
        &self,
        uuid: Uuid,
        drive: u8,
        media: &Media,
        attempt: Attempt,
    ) -> Result<Domain, Error> {
        check_media(media)?;
        let connection = self.connection().await?;
        let both = self.both(&connection, uuid).await?;
        let place = find_drive(&both, drive)?;
        let name = || both.handle.name.clone();
        if let Some(lying) = place.media() {
            if attempt == Attempt::Again && lying == *media {
                return self.looked_at(&connection, &both.handle).await;
            }
            return Err(Error::DriveFull { name: name(), drive, media: lying.source });
        }
        if both.state.is_active() && place.cache != media.cache {
            return Err(Error::DriveMode { name: name(), drive, mode: place.cache, wanted: media.cache });
        }
        let laid = DriveAt { cache: media.cache, media: Some(media.source.clone()), ..place.clone() };
        let xml = domain::cdrom_xml(&laid)?;
        let what =
            format!("insert `{}` into drive {drive} of `{}`", media.source.display(), both.handle.name);
        let opened = Opened { source: media.source.clone(), cache: media.cache };
        self.change(&connection, &both, ChangeOf::Update, &xml, &[opened], what).await?;
        self.looked_at(&connection, &both.handle).await
    }

    pub(super) async fn eject(&self, uuid: Uuid, drive: u8, attempt: Attempt) -> Result<Domain, Error> {
        let connection = self.connection().await?;
        let both = self.both(&connection, uuid).await?;
        let place = find_drive(&both, drive)?;
        if place.media.is_none() {
            return match attempt {
                Attempt::Again => self.looked_at(&connection, &both.handle).await,
                Attempt::First => Err(Error::DriveEmpty { name: both.handle.name, drive }),
            };
        }
        let xml = domain::cdrom_xml(&DriveAt { media: None, ..place.clone() })?;
        let what = format!("eject from drive {drive} of `{}`", both.handle.name);
        self.change(&connection, &both, ChangeOf::Update, &xml, &[], what).await?;
        self.looked_at(&connection, &both.handle).await
    }

    async fn both(&self, connection: &Connection, uuid: Uuid) -> Result<Both, Error> {
        let handle = self.ours(connection, uuid).await?;
        let state = self.state(connection, &handle).await?;
        let config = self.describe(connection, &handle, XmlFlags::INACTIVE).await?;
        let live = match state.is_active() {
            true => self.describe(connection, &handle, XmlFlags::empty()).await?,
            false => config.clone(),
        };
        Ok(Both { handle, state, live, config })
    }

    async fn describe(
        &self,
        connection: &Connection,
        handle: &agent_libvirt::Domain,
        flags: XmlFlags,
    ) -> Result<Described, Error> {
        let what = || format!("read the description of `{}`", handle.name);
        let xml = connection.domain_xml_desc(handle, flags).await;
        let xml = xml.map_err(|error| refusal::plain(&error, handle.uuid, what()))?;
        domain::read(&xml).map_err(|error| Error::Failed {
            what: what(),
            cause: error.to_string(),
            remedy: "look at it with `virsh dumpxml`".to_owned(),
        })
    }

    async fn change(
        &self,
        connection: &Connection,
        both: &Both,
        change: ChangeOf,
        xml: &str,
        opened: &[Opened],
        what: String,
    ) -> Result<(), Error> {
        let log = Log::mark(&self.options.log_folder, &both.handle.name).await;
        let done = match change {
            ChangeOf::Attach(flags) => connection.domain_attach_device(&both.handle, xml, flags).await,
            ChangeOf::Update => connection.domain_update_device(&both.handle, xml, both.flags()).await,
        };
        let Err(error) = done else { return Ok(()) };
        // It may have been looked at in the middle, and that it failed gives no event.
        let _ = look::at(&self.registry, connection, &both.handle).await;
        Err(refusal::of_disks(&error, &both.handle, what, opened, &log.since().await))
    }
}

#[derive(Debug, Clone, Copy)]
enum ChangeOf {
    /// A new device, in these descriptions.
    Attach(DeviceFlags),
    /// Another medium, in all of them.
    Update,
}

fn targets(described: &Described) -> impl Iterator<Item = &str> {
    let disks = described.disks.iter().map(|disk| disk.target.as_str());
    disks.chain(described.drives.iter().map(|drive| drive.target.as_str()))
}

fn has_file(described: &Described, path: &Path) -> bool {
    let media = described.drives.iter().filter_map(|drive| drive.media.as_deref());
    described.disks.iter().map(|disk| disk.disk.source.as_path()).chain(media).any(|source| source == path)
}

fn find_drive(both: &Both, drive: u8) -> Result<&DriveAt, Error> {
    let found = both.live.drives.iter().find(|one| one.drive == drive);
    found.ok_or_else(|| Error::NoDrive { name: both.handle.name.clone(), drive })
}

fn is_being_unplugged(error: &agent_libvirt::Error) -> bool {
    error.remote().is_some_and(|error| {
        error.code == ErrorCode::InternalError && error.message.contains("already in the process of unplug")
    })
}
