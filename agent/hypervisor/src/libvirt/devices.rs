//! Disks and CD-ROMs of domains, also while they run.

use std::path::Path;
use std::time::{Duration, Instant};

use agent_libvirt::{AffectFlags, Connection, DeviceFlags, ErrorCode, XmlFlags};
use uuid::Uuid;

use super::power::silent;
use super::refusal::{self, Log, Opened};
use super::{Libvirt, look};
use crate::cache::{self, Device, Question};
use crate::check::{check_disk, check_path};
use crate::domain::{self, Described, DiskAt, DriveAt, Since};
use crate::error::Error;
use crate::interface::Attempt;
use crate::spec::{Disk, DiskBus, DiskId};
use crate::state::{Domain, State};

/// How long a guest that has closed its tray is left alone.
const TRAY_AGAIN: Duration = Duration::from_millis(200);

/// A domain, with its present and its next description. While it is off they are one.
struct Both {
    handle: agent_libvirt::Domain,
    state: State,
    live: Described,
    config: Described,
}

impl Both {
    /// A drive in each description that has it: now, if the domain is active, and from its next start on.
    fn places(&self, drive: u8) -> Vec<(DeviceFlags, &DriveAt)> {
        let live = self.state.is_active().then_some((DeviceFlags::LIVE, &self.live));
        let parts = live.into_iter().chain([(DeviceFlags::CONFIG, &self.config)]);
        let drives = parts.flat_map(|(flag, described)| described.drives.iter().map(move |at| (flag, at)));
        drives.filter(|(_, at)| at.drive == drive).collect()
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
        if present.iter().any(|one| attempt == Attempt::First || !one.disk.is_same(disk)) {
            return Err(Error::DiskExists { name: both.handle.name, disk: disk.id });
        }
        // An earlier attempt may have got half way, if libvirt ended in its middle.
        let mut flags = DeviceFlags::empty();
        flags.set(DeviceFlags::LIVE, both.state.is_active() && live.is_none());
        flags.set(DeviceFlags::CONFIG, config.is_none());
        if flags.is_empty() {
            return self.looked_at(&both.handle).await;
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
        // What an earlier attempt decided half of it holds.
        let decided = match present.first() {
            Some(one) => one.decided.clone(),
            None => cache::settle(&self.prober, Question::of_disk(disk)).await?,
        };
        let disk_as_decided = Disk { cache: decided.choice.into(), ..disk.clone() };
        let at = DiskAt {
            disk: disk_as_decided,
            target,
            readonly: false,
            shareable: false,
            decided,
            since: Since::default(),
        };
        let xml = domain::disk_xml(&at)?;
        self.remember(&connection, &both, &at).await?;
        let what = format!("attach `{}` to `{}`", disk.source.display(), both.handle.name);
        let opened = Opened { source: disk.source.clone(), cache: at.decided.mode };
        self.change(&connection, &both, ChangeOf::Attach(flags), &xml, &[opened], what).await?;
        self.looked_at(&both.handle).await
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
            let xml = domain::disk_xml(&live)?;
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
            self.looked_at(&both.handle).await?;
            if !released.await {
                return Err(silent(&both.handle, "let go of the disk", patience));
            }
        }
        if let Some(config) = config {
            let xml = domain::disk_xml(&config)?;
            let removed = connection.domain_detach_device(&both.handle, &xml, DeviceFlags::CONFIG).await;
            removed.map_err(|error| refusal::plain(&error, uuid, what()))?;
        }
        self.looked_at(&both.handle).await
    }

    pub(super) async fn insert(
        &self,
        uuid: Uuid,
        drive: u8,
        media: &Path,
        attempt: Attempt,
    ) -> Result<Domain, Error> {
        check_path(media)?;
        let connection = self.connection().await?;
        let both = self.both(&connection, uuid).await?;
        let place = find_drive(&both, drive)?;
        // An earlier attempt may have got half way.
        let mut empty = Vec::new();
        for (flag, at) in both.places(drive) {
            match &at.media {
                None => empty.push((flag, at)),
                Some(lying) if attempt == Attempt::Again && lying == media => {}
                Some(lying) => {
                    let (name, media) = (both.handle.name.clone(), lying.clone());
                    return Err(Error::DriveFull { name, drive, media });
                }
            }
        }
        if empty.is_empty() {
            return self.looked_at(&both.handle).await;
        }
        // The drive keeps its mode. What was asked for it decides whether the image can be opened so.
        let question = Question::again(place.mode(), Device::Drive(Some(media)), &place.decided);
        cache::settle(&self.prober, question).await?;
        let what = format!("insert `{}` into drive {drive} of `{}`", media.display(), both.handle.name);
        let opened = Opened { source: media.to_owned(), cache: place.mode() };
        for (flags, xml) in laid(&empty, Some(media))? {
            let opened = std::slice::from_ref(&opened);
            self.change(&connection, &both, ChangeOf::Update(flags), &xml, opened, what.clone()).await?;
        }
        self.looked_at(&both.handle).await
    }

    pub(super) async fn eject(&self, uuid: Uuid, drive: u8, attempt: Attempt) -> Result<Domain, Error> {
        let connection = self.connection().await?;
        let both = self.both(&connection, uuid).await?;
        find_drive(&both, drive)?;
        let mut full = both.places(drive);
        full.retain(|(_, at)| at.media.is_some());
        if full.is_empty() {
            return match attempt {
                Attempt::Again => self.looked_at(&both.handle).await,
                Attempt::First => Err(Error::DriveEmpty { name: both.handle.name, drive }),
            };
        }
        let what = format!("eject from drive {drive} of `{}`", both.handle.name);
        for (flags, xml) in laid(&full, None)? {
            self.change(&connection, &both, ChangeOf::Update(flags), &xml, &[], what.clone()).await?;
        }
        self.looked_at(&both.handle).await
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
        self.read(handle, &xml)
    }

    pub(super) fn read(&self, handle: &agent_libvirt::Domain, xml: &str) -> Result<Described, Error> {
        domain::read(xml).map_err(|error| Error::Failed {
            what: format!("read the description of `{}`", handle.name),
            cause: error.to_string(),
            remedy: "look at it with `virsh dumpxml`".to_owned(),
        })
    }

    /// Keeps with the domain what was asked of a disk that is about to be attached, in place of what was kept of it before. It
    /// comes first, so that the disk is never seen without it; a record of a disk that is not there means nothing.
    async fn remember(&self, connection: &Connection, both: &Both, disk: &DiskAt) -> Result<(), Error> {
        let mut descriptions = vec![(&both.config, AffectFlags::CONFIG)];
        if both.state.is_active() {
            descriptions.push((&both.live, AffectFlags::LIVE));
        }
        for (described, flag) in descriptions {
            let others = described.disks.iter().filter(|at| at.disk.id != disk.disk.id);
            let disks: Vec<DiskAt> = others.chain([disk]).cloned().collect();
            let Some(mark) = described.mark else { continue };
            let what = format!("note the cache mode of `{}`", disk.disk.source.display());
            let element = domain::mark_xml(mark, &disks, &described.drives)?;
            note(connection, &both.handle, &element, flag, what).await?;
        }
        Ok(())
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
        let end = Instant::now() + self.options.release_patience;
        let error = loop {
            let done = match change {
                ChangeOf::Attach(flags) => connection.domain_attach_device(&both.handle, xml, flags).await,
                ChangeOf::Update(flags) => connection.domain_update_device(&both.handle, xml, flags).await,
            };
            match done {
                Ok(()) => return Ok(()),
                Err(error) if is_closed_again(&error) && Instant::now() < end => {
                    tracing::info!("cannot {what}: {error}; trying again");
                    // A reset of the guest closes trays without a word: libvirt would take this one for open for ever.
                    if let Err(error) = connection.domain_migrate_begin(&both.handle).await {
                        tracing::info!(
                            "libvirt may not have looked at the drives of `{}`: {error}",
                            both.handle.name
                        );
                    }
                    tokio::time::sleep(TRAY_AGAIN).await;
                }
                Err(error) => break error,
            }
        };
        // It may have been looked at in the middle, and that it failed gives no event.
        let _ = look::at(&self.registry, connection, &both.handle).await;
        Err(refusal::of_disks(&error, &both.handle, what, opened, &log.since().await))
    }
}

/// Keeps our mark with a domain.
pub(super) async fn note(
    connection: &Connection,
    handle: &agent_libvirt::Domain,
    mark: &str,
    flag: AffectFlags,
    what: String,
) -> Result<(), Error> {
    let set = connection.domain_set_metadata(handle, mark, domain::PREFIX, domain::NAMESPACE, flag);
    set.await.map_err(|error| refusal::plain(&error, handle.uuid, what))
}

#[derive(Debug, Clone, Copy)]
enum ChangeOf {
    /// A new device, in these descriptions.
    Attach(DeviceFlags),
    /// Another medium, in these.
    Update(DeviceFlags),
}

/// A drive with something else in it, as libvirt is to be told, where it is to change. While the domain is active, its
/// configuration may have another mode already, which is kept.
fn laid(
    places: &[(DeviceFlags, &DriveAt)],
    media: Option<&Path>,
) -> Result<Vec<(DeviceFlags, String)>, Error> {
    let mut told: Vec<(DeviceFlags, String)> = Vec::new();
    for (flag, at) in places {
        let xml = domain::cdrom_xml(&DriveAt { media: media.map(Path::to_owned), ..(*at).clone() })?;
        match told.iter_mut().find(|(_, other)| *other == xml) {
            Some((flags, _)) => *flags |= *flag,
            None => told.push((*flag, xml)),
        }
    }
    Ok(told)
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

/// A guest has closed the tray that libvirt had just opened for it, as firmware does that looks for something to boot.
fn is_closed_again(error: &agent_libvirt::Error) -> bool {
    error.remote().is_some_and(|error| tells_of_a_closed_tray(&error.message))
}

/// QEMU names the device where a medium is taken out, and does not where one is laid in (`block/qapi-sysemu.c`).
fn tells_of_a_closed_tray(message: &str) -> bool {
    message.contains("Tray of ") && message.contains(" is not open")
}

fn is_being_unplugged(error: &agent_libvirt::Error) -> bool {
    error.remote().is_some_and(|error| {
        error.code == ErrorCode::InternalError && error.message.contains("already in the process of unplug")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tray_is_closed_whether_a_medium_comes_or_goes() {
        let of_qemu = |command: &str, said: &str| {
            format!("internal error: unable to execute QEMU command '{command}': {said}")
        };
        for (command, said, closed) in [
            ("blockdev-insert-medium", "Tray of the device is not open", true),
            ("blockdev-remove-medium", "Tray of device 'ua-cdrom-1' is not open", true),
            (
                "blockdev-open-tray",
                "Device 'ua-cdrom-1' is locked and force was not specified, wait for tray to open and try again",
                false,
            ),
        ] {
            assert_eq!(tells_of_a_closed_tray(&of_qemu(command, said)), closed, "{command}");
        }
    }
}
