//! A new virtual machine: judged, given its disks, network cards and identity, and stored with the task that makes it.

use std::sync::Arc;

use server_api::cache::CacheLevel;
use server_api::event::Kind;
use server_api::task::{Action, Task};
use server_api::vm::{
    AccelChoice, BootDevice, DiskBus, DiskRequest, Firmware, Guest, Machine, NicModel, NicRequest, VmRequest,
};

use super::cache::{consent, set_first};
use super::volume::{SECTOR_BYTES, Wish, design};
use super::{Begun, Cloud, CloudError, Order, image, names, vm};
use crate::cache;
use crate::store::vm::{NewVm, Nic};
use crate::store::{self, Connection, Id, Word, now_ms};
use crate::task::step::Step;

const MIB: u64 = 1 << 20;

/// The longest name of a bridge that Linux takes, in bytes.
const LONGEST_BRIDGE: usize = 15;

impl Cloud {
    /// Makes a virtual machine with its disks, and starts it if that is asked for.
    pub async fn create_vm(self: &Arc<Self>, order: &Order, request: VmRequest) -> Result<Task, CloudError> {
        judge(&request)?;
        let mut db = match self.begin(order).await? {
            Begun::Answered(task) => return Ok(task),
            Begun::Fresh(db) => db,
        };
        let id = Id::new();
        let mut volumes = Vec::new();
        for (number, disk) in std::iter::once(&request.root).chain(&request.data).enumerate() {
            let name = if number == 0 {
                format!("{}-root", request.name)
            } else {
                format!("{}-data{number}", request.name)
            };
            // Data disks lie beside the root disk unless they say otherwise.
            let beside = volumes.first().map(|root: &store::volume::Volume| root.storage_id.to_string());
            let storage = disk.storage.as_deref().or(beside.as_deref());
            let wish = Wish { image: disk.image.as_deref(), storage, size_bytes: disk.size_bytes };
            let mut volume = design(&mut db, &name, &wish).await?;
            volume.vm_id = Some(id);
            volume.position = i64::try_from(number).ok();
            volume.bus = Some(Word(disk.bus.unwrap_or(DiskBus::Virtio)));
            if number == 0 {
                // Firmware boots from no others.
                volume.sector_bytes = Some(SECTOR_BYTES);
            }
            volumes.push(volume);
        }
        let host_id = volumes[0].host_id;
        if let Some(other) = volumes.iter().find(|volume| volume.host_id != host_id) {
            let message = format!("storage `{}` is on another host than the root disk", other.storage_name);
            return Err(CloudError::invalid(message, "choose storages of one host"));
        }
        let cdrom = match &request.cdrom {
            Some(image) => {
                let image = image::ready(&mut db, image).await?;
                vm::check_media(&image, host_id)?;
                Some(image.id)
            }
            None => None,
        };
        let boot = request.boot.unwrap_or_else(|| match cdrom {
            Some(_) => vec![BootDevice::Cdrom, BootDevice::Hd],
            None => vec![BootDevice::Hd],
        });
        if store::vm::by_name(&mut db, &request.name).await?.is_some() {
            return Err(CloudError::NameTaken { kind: Kind::Vm, name: request.name });
        }
        let nics = nics(&mut db, request.nics).await?;
        let new = NewVm {
            id,
            name: request.name.clone(),
            host_id,
            memory_bytes: request.memory_bytes,
            vcpus: request.vcpus,
            machine: request.machine.unwrap_or(Machine::Q35),
            firmware: request.firmware.unwrap_or(Firmware::Bios),
            accel: request.accel.unwrap_or(AccelChoice::Auto),
            guest: request.guest.unwrap_or(Guest::Linux),
            boot,
            nics,
            cdrom,
            created_ms: now_ms(),
        };
        store::vm::insert(&mut db, &new).await?;
        set_first(&mut db, order, CacheLevel::Vm, id, request.cache).await?;
        let mut steps = Vec::new();
        let mut holds = Vec::new();
        let own = std::iter::once(&request.root).chain(&request.data).map(|disk| disk.cache);
        for (volume, set) in volumes.iter().zip(own) {
            let inserted = store::volume::insert(&mut db, volume).await;
            inserted.map_err(names::taken(Kind::Volume, &volume.name))?;
            set_first(&mut db, order, CacheLevel::Volume, volume.id, set).await?;
            steps.push(Step::CreateVolume { volume: volume.id });
            holds.push((Kind::Volume, volume.id, volume.name.clone()));
        }
        let cache = cache::requested(&mut db, id, &volumes).await?;
        steps.push(Step::DefineVm { vm: id, cache: cache.clone() });
        if request.start {
            steps.push(Step::StartVm { vm: id, cache });
        }
        let mut plan = vm::plan(Action::VmCreate, id, request.name, steps);
        plan.holds = holds;
        self.plan(db, order, plan).await
    }
}

/// Refuses what makes no sense wherever it runs.
fn judge(request: &VmRequest) -> Result<(), CloudError> {
    names::check(&request.name)?;
    if request.memory_bytes == 0
        || !request.memory_bytes.is_multiple_of(MIB)
        || i64::try_from(request.memory_bytes).is_err()
    {
        let message = format!("{} bytes is no memory of a virtual machine", request.memory_bytes);
        return Err(CloudError::invalid(message, "give a multiple of 1 MiB (1048576 bytes)"));
    }
    if !(1..=255).contains(&request.vcpus) {
        return Err(CloudError::invalid(
            format!("{} is no number of processors", request.vcpus),
            "give 1 to 255",
        ));
    }
    let boot = request.boot.as_deref().unwrap_or_default();
    let twice = (1..boot.len()).any(|at| boot[..at].contains(&boot[at]));
    if twice || request.boot.as_ref().is_some_and(Vec::is_empty) {
        return Err(CloudError::invalid(
            "the boot order is empty or names something twice",
            "name each once",
        ));
    }
    let disks: Vec<&DiskRequest> = std::iter::once(&request.root).chain(&request.data).collect();
    disks.iter().filter_map(|disk| disk.cache).chain(request.cache).try_for_each(consent)?;
    match disks.iter().filter_map(|disk| disk.size_bytes).map(names::check_size).find(Result::is_err) {
        Some(refused) => refused,
        None => Ok(()),
    }
}

/// Network cards, each with an address that no other has.
async fn nics(db: &mut Connection, requests: Vec<NicRequest>) -> Result<Vec<Nic>, CloudError> {
    let mut nics: Vec<Nic> = Vec::with_capacity(requests.len());
    for request in requests {
        let drawn = request.mac.is_none();
        let mut nic = nic(request)?;
        while nics.iter().any(|other| other.mac == nic.mac) || store::vm::has_mac(db, &nic.mac).await? {
            if !drawn {
                let message = format!("another network card has the hardware address {}", nic.mac);
                return Err(CloudError::conflict(message, "give another, or none to have one made"));
            }
            nic.mac = random_mac().map_err(|error| CloudError::Broken(error.to_string()))?;
        }
        nics.push(nic);
    }
    Ok(nics)
}

/// A network card with an address.
fn nic(request: NicRequest) -> Result<Nic, CloudError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let bridge = request.bridge;
    if bridge.is_empty() || bridge.len() > LONGEST_BRIDGE || !bridge.bytes().all(plain) {
        return Err(CloudError::invalid(
            format!("`{bridge}` is no bridge"),
            "give the name of one on the host",
        ));
    }
    let mac = match request.mac {
        Some(mac) => mac.to_ascii_lowercase(),
        None => random_mac().map_err(|error| CloudError::Broken(error.to_string()))?,
    };
    let parts: Vec<_> = mac.split(':').map(|part| (part.len(), u8::from_str_radix(part, 16))).collect();
    let six = parts.len() == 6 && parts.iter().all(|(length, byte)| *length == 2 && byte.is_ok());
    // The lowest bit of the first byte marks addresses of groups.
    let single = parts.first().is_some_and(|(_, byte)| byte.as_ref().is_ok_and(|byte| byte & 1 == 0));
    if !six || !single {
        let message = format!("`{mac}` is no hardware address of a network card");
        return Err(CloudError::invalid(message, "give one like `52:54:00:12:34:56`"));
    }
    Ok(Nic { mac, bridge, model: Word(request.model.unwrap_or(NicModel::Virtio)) })
}

/// An address of those that QEMU's virtual machines have.
fn random_mac() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 3];
    getrandom::fill(&mut bytes)?;
    Ok(format!("52:54:00:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(mac: Option<&str>, bridge: &str) -> NicRequest {
        NicRequest { bridge: bridge.to_owned(), mac: mac.map(str::to_owned), model: None }
    }

    #[test]
    fn a_network_card_has_an_address_of_its_own() {
        let (one, two) = (nic(request(None, "br0")).unwrap(), nic(request(None, "br0")).unwrap());
        assert!(one.mac.starts_with("52:54:00:") && one.mac != two.mac);
        assert_eq!(nic(request(Some("52:54:00:AA:bb:01"), "br0")).unwrap().mac, "52:54:00:aa:bb:01");
        for wrong in ["", "52:54:00:aa:bb", "53:54:00:aa:bb:01", "52-54-00-aa-bb-01", "52:54:00:aa:bb:1"] {
            assert!(nic(request(Some(wrong), "br0")).is_err(), "{wrong}");
        }
        assert!(nic(request(None, "a/b")).is_err() && nic(request(None, &"b".repeat(16))).is_err());
    }
}
