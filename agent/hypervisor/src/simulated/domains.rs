//! Domains, as libvirt would treat them.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::Simulated;
use super::file::GuestKind;
use super::point::{Call, Moment};
use super::vm::Vm;
use super::world::World;
use crate::accel::Kvm;
use crate::cache::live::{Way, way};
use crate::cache::{CachePlan, Decision, Decisions, Device, Question, Supposed, settle_with};
use crate::check::{check, check_disk, check_path};
use crate::domain::{self, Surroundings};
use crate::error::Error;
use crate::interface::{Attempt, Domains};
use crate::lifecycle::{Action, Start, Verdict, judge};
use crate::migration::{self, Migration, Reach};
use crate::spec::{Accel, AccelChoice, CacheRequest, CdromDrive, Disk, DiskBus, DiskId, DomainSpec};
use crate::state::{Change, ConsoleLog, Domain, Host, State};

/// How long a guest has to let go of a disk. Nobody waits for it here.
const DETACH_PATIENCE: Duration = Duration::from_secs(30);

#[async_trait]
impl Domains for Simulated {
    async fn host(&self) -> Host {
        let world = self.world();
        let hypervisor = match &world.unavailable {
            Some(cause) => Err(cause.clone()),
            None => world.host.hypervisor.clone(),
        };
        Host { hypervisor, ..world.host.clone() }
    }

    async fn domains(&self) -> Result<Vec<Domain>, Error> {
        self.call(Call::Domains, |world| {
            let mut domains: Vec<Domain> = world.domains.values().map(Vm::domain).collect();
            domains.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(domains)
        })
        .await
    }

    async fn domain(&self, uuid: Uuid) -> Result<Domain, Error> {
        self.call(Call::Domain, |world| Ok(world.vm(uuid)?.domain())).await
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.world().changes.subscribe()
    }

    async fn define(&self, spec: &DomainSpec, attempt: Attempt) -> Result<Domain, Error> {
        self.call(Call::Define, |world| world.define(spec, attempt)).await
    }

    async fn act(&self, uuid: Uuid, action: Action, attempt: Attempt) -> Result<Domain, Error> {
        self.call(Call::of(action), |world| world.act(uuid, action, attempt)).await
    }

    async fn settle_cache(&self, uuid: Uuid, plan: &CachePlan, _: Attempt) -> Result<Domain, Error> {
        self.call(Call::SettleCache, |world| world.settle_cache(uuid, plan)).await
    }

    async fn change_cache(
        &self,
        uuid: Uuid,
        disks: &[(DiskId, CacheRequest)],
        _: Attempt,
    ) -> Result<Domain, Error> {
        self.call(Call::ChangeCache, |world| world.change_cache(uuid, disks)).await
    }

    async fn suppose(&self, disks: &[Supposed]) -> Vec<Result<Decision, Error>> {
        let judged = self.call(Call::Suppose, |world| {
            Ok(disks.iter().map(|disk| world.settle(disk.question())).collect::<Vec<_>>())
        });
        match judged.await {
            Ok(judged) => judged,
            Err(error) => disks.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn migration(&self, uuid: Uuid) -> Result<Migration, Error> {
        self.call(Call::Migration, |world| world.migration(uuid)).await
    }

    async fn undefine(&self, uuid: Uuid, attempt: Attempt) -> Result<(), Error> {
        self.call(Call::Undefine, |world| world.undefine(uuid, attempt)).await
    }

    async fn attach_disk(&self, uuid: Uuid, disk: &Disk, attempt: Attempt) -> Result<Domain, Error> {
        self.call(Call::AttachDisk, |world| world.attach_disk(uuid, disk, attempt)).await
    }

    async fn detach_disk(&self, uuid: Uuid, disk: DiskId, attempt: Attempt) -> Result<Domain, Error> {
        self.call(Call::DetachDisk, |world| world.detach_disk(uuid, disk, attempt)).await
    }

    async fn insert_media(
        &self,
        uuid: Uuid,
        drive: u8,
        media: &Path,
        attempt: Attempt,
    ) -> Result<Domain, Error> {
        self.call(Call::InsertMedia, |world| world.insert_media(uuid, drive, media, attempt)).await
    }

    async fn eject_media(&self, uuid: Uuid, drive: u8, attempt: Attempt) -> Result<Domain, Error> {
        self.call(Call::EjectMedia, |world| world.eject_media(uuid, drive, attempt)).await
    }

    async fn console_log(&self, uuid: Uuid, offset: u64, limit: u64) -> Result<ConsoleLog, Error> {
        self.call(Call::ConsoleLog, |world| {
            let console = &world.vm(uuid)?.console;
            // Beyond the end is where an older log ended: all of this one is new.
            let offset = usize::try_from(offset).ok().filter(|offset| *offset <= console.len()).unwrap_or(0);
            let limit = usize::try_from(limit.min(ConsoleLog::LIMIT_BYTES)).unwrap_or(usize::MAX);
            let bytes = console.iter().skip(offset).take(limit).copied().collect();
            Ok(ConsoleLog { offset: offset as u64, bytes, size: console.len() as u64 })
        })
        .await
    }

    // What is given up here is gone with its future.
    async fn leave(&self) {}
}

impl Simulated {
    /// A call: all of it happens at once, between its two moments.
    pub(super) async fn call<T: Send>(
        &self,
        call: Call,
        body: impl FnOnce(&mut World) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.pass(call, Moment::Before).await?;
        let done = body(&mut self.world())?;
        self.pass(call, Moment::After).await?;
        Ok(done)
    }
}

impl World {
    fn define(&mut self, spec: &DomainSpec, attempt: Attempt) -> Result<Domain, Error> {
        check(spec)?;
        let accel = self.accel(spec.accel)?;
        let (uuid, name) = (spec.uuid, spec.name.clone());
        if let Some(name) = self.foreign.get(&uuid) {
            return Err(Error::Foreign { name: name.clone() });
        }
        if let Some(old) = self.domains.get(&uuid) {
            match attempt {
                // What an earlier attempt defined someone may have started since.
                Attempt::Again if old.spec.name == name && old.state.is_active() => return Ok(old.domain()),
                Attempt::Again if old.spec.name == name => {}
                Attempt::First | Attempt::Again => {
                    return Err(Error::DomainExists { uuid, name: old.spec.name.clone() });
                }
            }
        }
        let bears = |vm: &Vm| vm.spec.name == name && vm.spec.uuid != uuid;
        if self.domains.values().any(bears) || self.foreign.values().any(|other| *other == name) {
            return Err(Error::NameTaken { name });
        }
        let cache = self.settle_all(spec)?;
        // Nobody reads the description. But what cannot be described is refused, in the same words.
        let console_log = "/var/log/simulated/console".into();
        domain::xml(spec, &Surroundings { accel, console_log, uefi: self.host.uefi, cache: cache.clone() })?;
        self.domains.insert(uuid, Vm::new(spec, accel, cache));
        self.change(uuid, |_| ())
    }

    /// How a device is opened here.
    fn settle(&self, question: Question<'_>) -> Result<Decision, Error> {
        settle_with(question, |file| self.direct_io(file))
    }

    fn settle_all(&self, spec: &DomainSpec) -> Result<Decisions, Error> {
        let disks = spec.disks.iter().map(|disk| self.settle(Question::of_disk(disk)));
        let disks = disks.collect::<Result<_, _>>()?;
        let drives = spec.cdroms.iter();
        let drives = drives.map(|CdromDrive { cache, media }| {
            self.settle(Question::new(*cache, Device::Drive(media.as_deref())))
        });
        Ok(Decisions { disks, drives: drives.collect::<Result<_, _>>()? })
    }

    fn settle_cache(&mut self, uuid: Uuid, plan: &CachePlan) -> Result<Domain, Error> {
        let vm = self.ours(uuid)?;
        let (mut spec, mut next) = (vm.spec.clone(), vm.next.clone());
        for (disk, decided) in spec.disks.iter_mut().zip(&mut next.disks) {
            if let Some((_, choice)) = plan.disks.iter().find(|(id, _)| *id == disk.id) {
                *decided = self.settle(Question::again(*choice, Device::disk(disk), decided))?;
                disk.cache = *choice;
            }
        }
        for (drive, decided) in spec.cdroms.iter_mut().zip(&mut next.drives) {
            let device = Device::Drive(drive.media.as_deref());
            *decided = self.settle(Question::again(plan.cdroms, device, decided))?;
            drive.cache = plan.cdroms;
        }
        self.change(uuid, |vm| (vm.spec, vm.next) = (spec, next))
    }

    fn change_cache(&mut self, uuid: Uuid, plan: &[(DiskId, CacheRequest)]) -> Result<Domain, Error> {
        let vm = self.ours(uuid)?;
        let (name, state, mut spec, next) =
            (vm.spec.name.clone(), vm.state, vm.spec.clone(), vm.next.clone());
        if ![State::Running, State::Paused].contains(&state) {
            return Err(Error::NotNow { name, verb: "change the cache mode of", state });
        }
        let (mut next, mut changed) = (next, Vec::new());
        for (id, choice) in plan {
            let vm = self.vm(uuid)?;
            let Some(at) = vm.spec.disks.iter().position(|disk| disk.id == *id) else {
                return Err(Error::NoDisk { name, disk: *id });
            };
            let (target, now, disk) = vm.disk(at);
            let wanted = self.settle(Question::again(*choice, Device::disk(&disk), &now))?;
            let way = way(&now, &wanted);
            if let Way::Restart(obstacle) = way {
                let (from, to, obstacle) = (now.mode, wanted.mode, obstacle.to_string());
                return Err(Error::NeedsRestart { name, target, from, to, obstacle });
            }
            if way == Way::Live {
                self.open(&disk.source, wanted.mode)?;
            }
            spec.disks[at].cache = *choice;
            next.disks[at] = wanted.clone();
            changed.push((*id, wanted, way == Way::Live));
        }
        self.change(uuid, |vm| {
            (vm.spec, vm.next) = (spec, next);
            changed.into_iter().for_each(|(id, wanted, live)| vm.change_mode(id, wanted, live));
        })
    }

    fn migration(&mut self, uuid: Uuid) -> Result<Migration, Error> {
        let domain = self.vm(uuid)?.domain();
        let opened = migration::opened(&domain, |path| {
            let shared = self.shared.iter().any(|above| path.starts_with(above));
            if shared { Reach::Shared } else { Reach::Local }
        });
        Ok(Migration::of(opened, true))
    }

    /// What is to run a domain, if this host can.
    fn accel(&self, choice: AccelChoice) -> Result<Accel, Error> {
        let usable = self.host.accel == Accel::Kvm;
        Kvm { usable, reason: self.host.accel_reason.clone() }.decide(choice)
    }

    /// What boots from the root disk of a domain.
    fn guest_of(&mut self, uuid: Uuid) -> Result<Option<GuestKind>, Error> {
        let root = self.ours(uuid)?.spec.disks.first().map(|disk| disk.source.clone());
        Ok(root.and_then(|root| self.guest(&root)))
    }

    pub(super) fn act(&mut self, uuid: Uuid, action: Action, attempt: Attempt) -> Result<Domain, Error> {
        let guest = self.guest_of(uuid)?;
        let vm = self.ours(uuid)?;
        let name = vm.spec.name.clone();
        let state = vm.state;
        match judge(&name, state, action, attempt)? {
            Verdict::AlreadySo => return Ok(vm.domain()),
            Verdict::Do => {}
        }
        let silent = |what, patience| match guest {
            Some(GuestKind::Answering) => Ok(()),
            Some(GuestKind::Silent) | None => Err(Error::GuestSilent { name: name.clone(), what, patience }),
        };
        match action {
            // An earlier attempt got as far as to start it paused.
            Action::Start(Start::Running) if state.is_active() => self.change(uuid, Vm::run),
            Action::Start(how) => self.start(uuid, how, guest),
            Action::Shutdown { patience } => {
                silent("turn itself off", patience)?;
                self.change(uuid, |vm| vm.stop(State::Shutoff))
            }
            Action::Destroy => self.change(uuid, |vm| vm.stop(State::Shutoff)),
            // An earlier attempt got as far as to see it off.
            Action::Reboot { .. } if !state.is_active() => self.start(uuid, Start::Running, guest),
            Action::Reboot { patience } => {
                silent("turn itself off to start over", patience)?;
                self.change(uuid, |vm| vm.stop(State::Shutoff))?;
                self.start(uuid, Start::Running, guest)
            }
            Action::Reset => self.change(uuid, |vm| vm.boot(guest)),
            Action::Suspend => self.change(uuid, |vm| vm.state = State::Paused),
            Action::Resume => self.change(uuid, Vm::run),
        }
    }

    fn start(&mut self, uuid: Uuid, how: Start, guest: Option<GuestKind>) -> Result<Domain, Error> {
        let vm = self.vm(uuid)?;
        let (spec, next) = (vm.spec.clone(), vm.next.clone());
        // It stays what it was defined with, whether the host still has it or not.
        if vm.accel == Accel::Kvm {
            self.accel(AccelChoice::Kvm)?;
        }
        for (disk, decided) in spec.disks.iter().zip(&next.disks) {
            self.open(&disk.source, decided.mode)?;
        }
        for (drive, decided) in spec.cdroms.iter().zip(&next.drives) {
            drive.media.as_deref().map_or(Ok(()), |media| self.open(media, decided.mode))?;
        }
        self.change(uuid, |vm| vm.start(how, guest))
    }

    pub(super) fn undefine(&mut self, uuid: Uuid, attempt: Attempt) -> Result<(), Error> {
        let vm = match (self.ours(uuid), attempt) {
            (Err(Error::NoDomain { .. }), Attempt::Again) => return Ok(()),
            (found, _) => found?,
        };
        if vm.state.is_active() {
            return Err(Error::NotNow { name: vm.spec.name.clone(), verb: "undefine", state: vm.state });
        }
        self.domains.remove(&uuid);
        self.tell(Change::Gone(uuid));
        Ok(())
    }

    fn attach_disk(&mut self, uuid: Uuid, disk: &Disk, attempt: Attempt) -> Result<Domain, Error> {
        check_disk(disk)?;
        let vm = self.ours(uuid)?;
        let (name, state) = (vm.spec.name.clone(), vm.state);
        if let Some(there) = vm.spec.disks.iter().find(|there| there.id == disk.id) {
            return match attempt {
                Attempt::Again if there.is_same(disk) => Ok(vm.domain()),
                Attempt::First | Attempt::Again => Err(Error::DiskExists { name, disk: there.id }),
            };
        }
        if vm.sources().any(|source| source == disk.source) {
            return Err(Error::InUse { path: disk.source.clone(), name });
        }
        if state.is_active() && disk.bus == DiskBus::Sata {
            return Err(Error::unpluggable(&name, "attached to", state));
        }
        let decided = self.settle(Question::of_disk(disk))?;
        if state.is_active() {
            self.open(&disk.source, decided.mode)?;
        }
        self.change(uuid, |vm| vm.attach(disk, &decided))
    }

    fn detach_disk(&mut self, uuid: Uuid, disk: DiskId, attempt: Attempt) -> Result<Domain, Error> {
        let guest = self.guest_of(uuid)?;
        let vm = self.vm(uuid)?;
        let name = vm.spec.name.clone();
        let Some(there) = vm.spec.disks.iter().find(|there| there.id == disk) else {
            return match attempt {
                Attempt::First => Err(Error::NoDisk { name, disk }),
                Attempt::Again => Ok(vm.domain()),
            };
        };
        if vm.state.is_active() {
            if there.bus == DiskBus::Sata {
                return Err(Error::unpluggable(&name, "detached from", vm.state));
            }
            if guest != Some(GuestKind::Answering) {
                return Err(Error::GuestSilent {
                    name,
                    what: "let go of the disk",
                    patience: DETACH_PATIENCE,
                });
            }
        }
        self.change(uuid, |vm| vm.detach(disk))
    }

    fn insert_media(
        &mut self,
        uuid: Uuid,
        drive: u8,
        media: &Path,
        attempt: Attempt,
    ) -> Result<Domain, Error> {
        check_path(media)?;
        let vm = self.ours(uuid)?;
        let (name, active) = (vm.spec.name.clone(), vm.state.is_active());
        let cdrom = vm.spec.cdroms.get(usize::from(drive)).zip(vm.drive(usize::from(drive)));
        let (cdrom, decided) = cdrom.ok_or_else(|| Error::NoDrive { name: name.clone(), drive })?;
        let mode = decided.mode;
        match &cdrom.media {
            None => {}
            Some(there) if attempt == Attempt::Again && there == media => return Ok(vm.domain()),
            Some(there) => return Err(Error::DriveFull { name, drive, media: there.clone() }),
        }
        // The drive keeps its mode.
        self.settle(Question::new(mode, Device::Drive(Some(media))))?;
        if active {
            self.open(media, mode)?;
        }
        self.change(uuid, |vm| vm.lay(drive, Some(media.to_owned())))
    }

    fn eject_media(&mut self, uuid: Uuid, drive: u8, attempt: Attempt) -> Result<Domain, Error> {
        let vm = self.ours(uuid)?;
        let name = vm.spec.name.clone();
        let cdrom = vm.spec.cdroms.get(usize::from(drive)).ok_or(Error::NoDrive { name, drive })?;
        if cdrom.media.is_none() {
            return match attempt {
                Attempt::First => Err(Error::DriveEmpty { name: vm.spec.name.clone(), drive }),
                Attempt::Again => Ok(vm.domain()),
            };
        }
        self.change(uuid, |vm| vm.lay(drive, None))
    }
}
