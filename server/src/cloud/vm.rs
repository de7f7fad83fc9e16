//! Virtual machines: shown, and worked on by tasks. What a new one is made of is in `vm_order`.

use std::sync::Arc;
use std::time::Duration;

use agent_protocol::call::VmConsole;
use agent_protocol::vm::{ConsoleRequest, VmRequest};
use server_api::event::Kind;
use server_api::host::LinkState;
use server_api::task::{Action, Task};
use server_api::vm::{
    AttachRequest, ConsoleReply, DiskBus, InsertRequest, Nic, Vm, VmCdrom, VmDisk, VmList, VmMigration,
    VmState, VmTask,
};
use server_api::volume::Phase;
use uuid::Uuid;

use super::host::QUESTION;
use super::{Begun, Cloud, CloudError, Order, Plan, find, free, image, of_host, volume};
use crate::agents::{evidence, words};
use crate::cache::impact::pending;
use crate::cache::{self, Modes};
use crate::setting::VM_SHUTDOWN_PATIENCE;
use crate::store::{self, Connection, Id, Write};
use crate::task::step::Step;

find!(find: vm, Vm, Vm);

/// A button of a virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Button {
    /// Turns it on.
    Start,
    /// Asks its guest to turn it off.
    Shutdown,
    /// Cuts its power.
    ForceOff,
    /// Asks its guest to turn it off, and turns it on again.
    Reboot,
    /// Starts it over without asking its guest.
    Reset,
    /// Stops its processors.
    Pause,
    /// Lets them go on.
    Resume,
}

impl Button {
    fn action(self) -> Action {
        match self {
            Self::Start => Action::VmStart,
            Self::Shutdown => Action::VmShutdown,
            Self::ForceOff => Action::VmForceOff,
            Self::Reboot => Action::VmReboot,
            Self::Reset => Action::VmReset,
            Self::Pause => Action::VmPause,
            Self::Resume => Action::VmResume,
        }
    }

    /// `patience` is how long a guest has for it, `cache` how disks are to be opened.
    fn step(self, vm: Id, patience: Duration, cache: Modes, may_be_off: bool) -> Step {
        let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        match self {
            Self::Start => Step::StartVm { vm, cache },
            Self::Shutdown => Step::ShutdownVm { vm, patience_ms },
            Self::ForceOff => Step::DestroyVm { vm, may_be_off },
            Self::Reboot => Step::RebootVm { vm, patience_ms, cache },
            Self::Reset => Step::ResetVm { vm },
            Self::Pause => Step::SuspendVm { vm },
            Self::Resume => Step::ResumeVm { vm },
        }
    }
}

impl Cloud {
    /// All virtual machines.
    pub async fn vms(&self) -> Result<VmList, CloudError> {
        let mut db = self.store.read().await?;
        let mut vms = Vec::new();
        for vm in store::vm::all(&mut db).await? {
            vms.push(show(&mut db, vm).await?);
        }
        Ok(VmList { vms })
    }

    /// One virtual machine.
    pub async fn vm(&self, vm: &str) -> Result<Vm, CloudError> {
        let mut db = self.store.read().await?;
        let vm = find(&mut db, vm).await?;
        show(&mut db, vm).await
    }

    /// Presses a button of a virtual machine. Cutting its power is always possible: it ends a task that waits for its
    /// guest.
    pub async fn press(
        self: &Arc<Self>,
        order: &Order,
        vm: &str,
        button: Button,
    ) -> Result<Task, CloudError> {
        let mut db = match self.begin(order).await? {
            Begun::Answered(task) => return Ok(task),
            Begun::Fresh(db) => db,
        };
        let vm = find(&mut db, vm).await?;
        let mut ended = None;
        if button == Button::ForceOff {
            ended = end_waiting(&mut db, &vm).await?;
        }
        present(&mut db, &vm).await?;
        let patience = VM_SHUTDOWN_PATIENCE.value(&mut db).await?;
        let disks = store::volume::of_vm(&mut db, vm.id).await?;
        let cache = cache::requested(&mut db, vm.id, &disks).await?;
        // The guest may have turned it off in the last moment: that is what was waited for.
        let step = button.step(vm.id, patience, cache, ended.is_some());
        let plan = plan(button.action(), vm.id, vm.name, vec![step]);
        let task = self.plan(db, order, plan).await?;
        if let Some(ended) = ended {
            self.tasks.cancel(ended);
        }
        Ok(task)
    }

    /// Removes a virtual machine; its power is cut. With its volumes, or without.
    pub async fn delete_vm(
        self: &Arc<Self>,
        order: &Order,
        vm: &str,
        with_volumes: bool,
    ) -> Result<Task, CloudError> {
        let mut db = match self.begin(order).await? {
            Begun::Answered(task) => return Ok(task),
            Begun::Fresh(db) => db,
        };
        let vm = find(&mut db, vm).await?;
        free(&mut db, Kind::Vm, vm.id, &vm.name).await?;
        // Whether it is off is for its host to say: what is known here may be old.
        let mut steps = vec![
            Step::DestroyVm { vm: vm.id, may_be_off: true },
            Step::UndefineVm { vm: vm.id, was: vm.phase.0 },
        ];
        let mut plan = plan(Action::VmDelete, vm.id, vm.name, Vec::new());
        for volume in store::volume::of_vm(&mut db, vm.id).await? {
            if with_volumes {
                store::volume::stands(&mut db, volume.id, Phase::Deleting).await?;
                steps.push(Step::DeleteVolume { volume: volume.id, was: volume.phase.0 });
            }
            plan.holds.push((Kind::Volume, volume.id, volume.name));
        }
        plan.steps = steps;
        store::vm::stands(&mut db, vm.id, Phase::Deleting).await?;
        self.plan(db, order, plan).await
    }

    /// Adds a volume that is a disk of nobody.
    pub async fn attach_volume(
        self: &Arc<Self>,
        order: &Order,
        vm: &str,
        request: &AttachRequest,
    ) -> Result<Task, CloudError> {
        let mut db = match self.begin(order).await? {
            Begun::Answered(task) => return Ok(task),
            Begun::Fresh(db) => db,
        };
        let vm = find(&mut db, vm).await?;
        present(&mut db, &vm).await?;
        let volume = volume::usable(&mut db, &request.volume).await?;
        if let Some(other) = volume.vm_name {
            let message = format!("volume `{}` is a disk of `{other}` already", volume.name);
            return Err(CloudError::conflict(message, "detach it there first"));
        }
        if volume.host_id != vm.host_id {
            let message = format!("volume `{}` is not on the host of `{}`", volume.name, vm.name);
            return Err(CloudError::invalid(message, "choose one in a storage of that host"));
        }
        let bus = request.bus.unwrap_or(DiskBus::Virtio);
        let cache = cache::requested(&mut db, vm.id, [&volume]).await?;
        let step = Step::AttachVolume { vm: vm.id, volume: volume.id, bus, cache };
        let mut plan = plan(Action::VmAttachVolume, vm.id, vm.name, vec![step]);
        plan.holds.push((Kind::Volume, volume.id, volume.name));
        self.plan(db, order, plan).await
    }

    /// Takes a volume that is not its root disk.
    pub async fn detach_volume(
        self: &Arc<Self>,
        order: &Order,
        vm: &str,
        volume: &str,
    ) -> Result<Task, CloudError> {
        let mut db = match self.begin(order).await? {
            Begun::Answered(task) => return Ok(task),
            Begun::Fresh(db) => db,
        };
        let vm = find(&mut db, vm).await?;
        present(&mut db, &vm).await?;
        let volume = volume::find(&mut db, volume).await?;
        free(&mut db, Kind::Volume, volume.id, &volume.name).await?;
        if volume.vm_id != Some(vm.id) {
            let message = format!("volume `{}` is no disk of `{}`", volume.name, vm.name);
            return Err(CloudError::conflict(message, "see its disks: `cairn vm show`"));
        }
        if volume.position == Some(0) {
            let message = format!("volume `{}` is the root disk of `{}`", volume.name, vm.name);
            return Err(CloudError::conflict(message, "delete the virtual machine and keep its volumes"));
        }
        let step = Step::DetachVolume { vm: vm.id, volume: volume.id };
        let mut plan = plan(Action::VmDetachVolume, vm.id, vm.name, vec![step]);
        plan.holds.push((Kind::Volume, volume.id, volume.name));
        self.plan(db, order, plan).await
    }

    /// Lays an image into a CD-ROM drive, whatever lies in it; `None` empties it.
    pub async fn load(
        self: &Arc<Self>,
        order: &Order,
        vm: &str,
        drive: u8,
        request: Option<&InsertRequest>,
    ) -> Result<Task, CloudError> {
        let mut db = match self.begin(order).await? {
            Begun::Answered(task) => return Ok(task),
            Begun::Fresh(db) => db,
        };
        let vm = find(&mut db, vm).await?;
        present(&mut db, &vm).await?;
        let drives = store::vm::cdroms(&mut db, vm.id).await?;
        if !drives.iter().any(|found| found.drive == i64::from(drive)) {
            let message = format!("`{}` has no CD-ROM drive {drive}", vm.name);
            return Err(CloudError::invalid(message, "the first drive is 0"));
        }
        let eject = |may_be_empty| Step::EjectMedia { vm: vm.id, drive, may_be_empty };
        let Some(request) = request else {
            let plan = plan(Action::VmEjectMedia, vm.id, vm.name, vec![eject(false)]);
            return self.plan(db, order, plan).await;
        };
        let image = image::ready(&mut db, &request.image).await?;
        check_media(&image, vm.host_id)?;
        let known = drives.iter().any(|found| found.drive == i64::from(drive) && found.image_id.is_some());
        let seen = vm.observed().is_some_and(|seen| {
            seen.cdroms.iter().any(|found| found.drive == drive && found.media.is_some())
        });
        let mut steps = Vec::new();
        if known || seen {
            steps.push(eject(true));
        }
        steps.push(Step::InsertMedia { vm: vm.id, drive, image: image.id });
        let mut plan = plan(Action::VmInsertMedia, vm.id, vm.name, steps);
        // So that nobody removes it meanwhile.
        plan.holds.push((Kind::Image, image.id, image.name));
        self.plan(db, order, plan).await
    }

    /// Whether a virtual machine may migrate as its disks are open, and why not.
    pub async fn migration(&self, vm: &str) -> Result<VmMigration, CloudError> {
        let mut db = self.store.read().await?;
        let vm = find(&mut db, vm).await?;
        let gone = || CloudError::NotFound { kind: Kind::Host, name: vm.host_name.clone() };
        let host = store::host::by_id(&mut db, vm.host_id).await?.ok_or_else(gone)?;
        drop(db);
        let agent = self.agents.of(&host).map_err(of_host(&host.name))?;
        let judged = agent.call::<agent_protocol::call::VmMigration>(
            Uuid::new_v4(),
            VmRequest { vm: vm.id.0 },
            QUESTION,
        );
        Ok(evidence::migration(judged.await.map_err(of_host(&host.name))?))
    }

    /// What a guest wrote to its first serial line.
    pub async fn console(&self, vm: &str, offset: u64, limit: u64) -> Result<ConsoleReply, CloudError> {
        let mut db = self.store.read().await?;
        let vm = find(&mut db, vm).await?;
        let gone = || CloudError::NotFound { kind: Kind::Host, name: vm.host_name.clone() };
        let host = store::host::by_id(&mut db, vm.host_id).await?.ok_or_else(gone)?;
        drop(db);
        let agent = self.agents.of(&host).map_err(of_host(&host.name))?;
        let request = ConsoleRequest { vm: vm.id.0, offset, limit };
        let reply = agent.call::<VmConsole>(Uuid::new_v4(), request, QUESTION).await;
        let reply = reply.map_err(of_host(&host.name))?;
        Ok(ConsoleReply {
            offset: reply.offset,
            text: reply.text,
            next_offset: reply.next_offset,
            size_bytes: reply.size,
        })
    }
}

/// A plan about one virtual machine.
pub(super) fn plan(action: Action, id: Id, name: String, steps: Vec<Step>) -> Plan {
    Plan { action, kind: Kind::Vm, id, name, steps, holds: Vec::new() }
}

/// Refuses a virtual machine that is not there yet, or not any more, or that a task works on.
pub(super) async fn present(db: &mut Connection, vm: &store::vm::Vm) -> Result<(), CloudError> {
    free(db, Kind::Vm, vm.id, &vm.name).await?;
    if vm.phase.0 == Phase::Ready {
        return Ok(());
    }
    let message = format!("virtual machine `{}` is {}", vm.name, vm.phase.0);
    Err(CloudError::conflict(message, "delete it and make another"))
}

/// Ends a task that waits for the guest of `vm`: what it waited for will not come.
async fn end_waiting(db: &mut Write, vm: &store::vm::Vm) -> Result<Option<Id>, CloudError> {
    let Some(task) = store::task::holder(db, vm.id).await? else { return Ok(None) };
    if !matches!(task.action.0, Action::VmShutdown | Action::VmReboot) {
        return Ok(None);
    }
    store::task::cancel(db, task.id).await?;
    store::task::let_go(db, task.id).await?;
    Ok(Some(task.id))
}

/// Refuses an image that no CD-ROM drive of that host takes.
pub(super) fn check_media(image: &store::image::Image, host: Id) -> Result<(), CloudError> {
    if image.host_id != host {
        let message = format!("image `{}` is not on the host of the virtual machine", image.name);
        return Err(CloudError::invalid(message, "import it into a storage of that host first"));
    }
    if image.format.map(|format| format.0) != Some(server_api::volume::Format::Raw) {
        let message = format!("image `{}` is no raw image", image.name);
        return Err(CloudError::invalid(message, "a CD-ROM drive takes raw images, such as ISO files"));
    }
    Ok(())
}

/// What a virtual machine does, as far as is known.
pub(super) async fn state(db: &mut Connection, vm: &store::vm::Vm) -> Result<VmState, CloudError> {
    Ok(stands(db, vm, vm.observed().as_ref()).await?.0)
}

/// The same, with why it is unknown or missing. `seen` is what its host said of it last.
async fn stands(
    db: &mut Connection,
    vm: &store::vm::Vm,
    seen: Option<&agent_protocol::vm::VmState>,
) -> Result<(VmState, Option<String>), CloudError> {
    let host = store::host::by_id(db, vm.host_id).await?;
    Ok(match (seen, host.map(|host| (host.link.0, host.link_reason))) {
        (_, Some((LinkState::Disconnected, why))) => {
            let why = why.unwrap_or_default();
            (VmState::Unknown, Some(format!("its host `{}` does not answer: {why}", vm.host_name)))
        }
        (Some(seen), _) => (words::state(seen.state), None),
        (None, Some((LinkState::Connected, _))) if vm.phase.0 == Phase::Ready => {
            (VmState::Missing, Some(format!("its host `{}` does not have it", vm.host_name)))
        }
        (None, _) => (VmState::Unknown, None),
    })
}

/// A virtual machine as the public sees it.
async fn show(db: &mut Connection, vm: store::vm::Vm) -> Result<Vm, CloudError> {
    let seen = vm.observed();
    let (state, reason) = stands(db, &vm, seen.as_ref()).await?;
    let drives = cache::of_drives(db, vm.id).await?;
    let mut disks = Vec::new();
    for volume in store::volume::of_vm(db, vm.id).await? {
        let disk = seen.iter().flat_map(|seen| &seen.disks).find(|disk| disk.volume == volume.id.0);
        let now = cache::levels(db, volume.id, volume.storage_id, Some(vm.id)).await?.resolve();
        disks.push(VmDisk {
            volume: volume.id.0,
            volume_name: volume.name,
            target: disk.map(|disk| disk.target.clone()),
            bus: volume.bus.map_or(DiskBus::Virtio, |bus| bus.0),
            size_bytes: volume.size_bytes.map(i64::cast_unsigned),
            cache: disk.map(|disk| evidence::effective(disk.cache.clone(), now)),
            pending: pending(state, disk, now.mode),
        });
    }
    let mut cdroms = Vec::new();
    for cdrom in store::vm::cdroms(db, vm.id).await? {
        let drive = u8::try_from(cdrom.drive).unwrap_or(u8::MAX);
        let found = seen.iter().flat_map(|seen| &seen.cdroms).find(|found| found.drive == drive);
        let media = found.and_then(|found| found.media.as_ref());
        cdroms.push(VmCdrom {
            drive,
            image: cdrom.image_id.map(|id| id.0),
            image_name: cdrom.image_name,
            cache: media.map(|media| evidence::effective(media.cache.clone(), drives)),
        });
    }
    let nics = store::vm::nics(db, vm.id).await?;
    let task = store::task::holder(db, vm.id).await?;
    Ok(Vm {
        boot: vm.boot(),
        id: vm.id.0,
        name: vm.name,
        host: vm.host_id.0,
        host_name: vm.host_name,
        state,
        reason,
        phase: vm.phase.0,
        task: task.map(|task| VmTask { id: task.id.0, action: task.action.0 }),
        memory_bytes: vm.memory_bytes.cast_unsigned(),
        vcpus: u32::try_from(vm.vcpus).unwrap_or(u32::MAX),
        machine: vm.machine.0,
        firmware: vm.firmware.0,
        accel: vm.accel.0,
        effective_accel: seen.as_ref().map(|seen| words::accel(seen.accel)),
        guest: vm.guest.0,
        cache: store::cache::set(db, vm.id).await?,
        disks,
        cdroms,
        nics: nics
            .into_iter()
            .map(|nic| Nic { mac: nic.mac, bridge: nic.bridge, model: nic.model.0 })
            .collect(),
        taints: seen.map(|seen| seen.taints).unwrap_or_default(),
        created_at_ms: vm.created_ms,
    })
}
