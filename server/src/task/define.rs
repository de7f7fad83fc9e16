//! A virtual machine, and how its disks are to be opened, as its agent is told of it: made from what is stored.

use agent_protocol::vm::{CachePlan, CdromDrive, Disk, DiskCache, Interface, Vm};
use server_api::vm::DiskBus;

use crate::agents::{evidence, words};
use crate::cache::{Asked, Modes};
use crate::store::{self, Connection, Id, StoreError};

/// The whole machine. None if a disk of it has no place, which is never written.
pub async fn vm(db: &mut Connection, row: &store::vm::Vm, cache: &Modes) -> Result<Option<Vm>, StoreError> {
    let volumes = store::volume::of_vm(db, row.id).await?;
    let disks: Option<Vec<_>> =
        volumes.iter().map(|volume| Some(self::disk(volume, volume.bus?.0, cache.of(volume.id)))).collect();
    let Some(disks) = disks else { return Ok(None) };
    let choice = evidence::request(cache.drives());
    let drive = |drive: store::vm::Cdrom| CdromDrive { cache: choice, media: drive.image_path };
    let cdroms = store::vm::cdroms(db, row.id).await?;
    let nics = store::vm::nics(db, row.id).await?;
    Ok(Some(Vm {
        uuid: row.id.0,
        name: row.name.clone(),
        memory_bytes: row.memory_bytes.cast_unsigned(),
        vcpus: u32::try_from(row.vcpus).unwrap_or(u32::MAX),
        machine: words::machine(row.machine.0),
        firmware: words::firmware(row.firmware.0),
        accel: words::accel_choice(row.accel.0),
        guest: words::guest(row.guest.0),
        boot: row.boot().into_iter().map(words::boot).collect(),
        disks,
        cdroms: cdroms.into_iter().map(drive).collect(),
        interfaces: nics
            .into_iter()
            .map(|nic| Interface { mac: nic.mac, bridge: nic.bridge, model: words::model(nic.model.0) })
            .collect(),
    }))
}

/// A disk.
pub fn disk(volume: &store::volume::Volume, bus: DiskBus, asked: Asked) -> Disk {
    Disk {
        volume: volume.id.0,
        path: volume.path.clone(),
        format: words::format_to_agent(volume.format.0),
        bus: words::bus(bus),
        cache: evidence::request(asked),
        sector: evidence::sector(volume.sector_bytes()),
    }
}

/// What is asked of the disks that a change names.
pub fn change(cache: &Modes) -> Vec<DiskCache> {
    let ask = |volume: Id| DiskCache { volume: volume.0, cache: evidence::request(cache.of(volume)) };
    cache.volumes().map(ask).collect()
}

/// What is asked of all disks of a virtual machine when it is turned on, also of those that an earlier choice made. The
/// task holds it: nobody adds a disk or takes one before it ends.
pub async fn plan(db: &mut Connection, vm: Id, cache: &Modes) -> Result<CachePlan, StoreError> {
    let volumes = store::volume::of_vm(db, vm).await?;
    let disks = volumes.iter();
    let disks =
        disks.map(|volume| DiskCache { volume: volume.id.0, cache: evidence::request(cache.of(volume.id)) });
    Ok(CachePlan { disks: disks.collect(), cdroms: evidence::request(cache.drives()) })
}
