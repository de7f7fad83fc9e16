//! What the virtual machines and files of the played agent look like.

use agent_protocol::cache::{CacheRequest, EffectiveCache, Judgement, Question, Sector};
use agent_protocol::envelope::FailureCode;
use agent_protocol::vm::{
    Accel, AccelChoice, CacheChoice, CacheMode, CachePlan, CdromDrive, CdromState, Disk, DiskCache,
    DiskState, MediaState, State, Vm, VmState,
};
use agent_protocol::volume::Volume;

use crate::agent::Outcome;

/// What comes of a choice on a host whose file systems all take O_DIRECT.
pub fn cache(request: CacheRequest) -> EffectiveCache {
    EffectiveCache {
        requested: request.choice,
        origin: Some(request.origin),
        mode: mode(request),
        direct: None,
        reason: "`/srv` takes O_DIRECT".to_owned(),
        warnings: Vec::new(),
        io: None,
        sector_bytes: 512,
        evidence: Vec::new(),
    }
}

fn mode(request: CacheRequest) -> CacheMode {
    match request.choice {
        CacheChoice::Auto | CacheChoice::None => CacheMode::None,
        CacheChoice::Writeback => CacheMode::Writeback,
        CacheChoice::Writethrough => CacheMode::Writethrough,
        CacheChoice::Directsync => CacheMode::Directsync,
        CacheChoice::Unsafe => CacheMode::Unsafe,
    }
}

/// What comes of a disk, on a host on which nothing below `/srv/ram` takes O_DIRECT.
pub fn judge(question: &Question) -> Judgement {
    let refused = question.path.starts_with("/srv/ram");
    let mut cache = cache(question.cache);
    match question.cache.choice {
        CacheChoice::None | CacheChoice::Directsync if refused => {
            let message = format!("`{}` cannot be opened with O_DIRECT; ask for `auto`", question.path);
            return Judgement::Refused { message };
        }
        CacheChoice::Auto if refused => cache.mode = CacheMode::Writeback,
        _ => {}
    }
    cache.sector_bytes = sector_bytes(question.sector);
    Judgement::Decided(cache)
}

/// What a guest sees, on a host whose disks have large sectors.
fn sector_bytes(sector: Sector) -> u32 {
    match sector {
        Sector::Free => 4096,
        Sector::Fixed { bytes } => bytes,
    }
}

pub fn disk_state(number: usize, disk: Disk) -> DiskState {
    DiskState {
        volume: disk.volume,
        target: format!("vd{}", char::from(b'a' + u8::try_from(number).unwrap())),
        path: disk.path,
        format: disk.format,
        bus: disk.bus,
        cache: EffectiveCache { sector_bytes: sector_bytes(disk.sector), ..cache(disk.cache) },
        live: Vec::new(),
    }
}

pub fn defined(vm: Vm) -> VmState {
    let cdrom = |(drive, cdrom): (u8, CdromDrive)| CdromState {
        drive,
        target: "sda".into(),
        cache: mode(cdrom.cache),
        media: cdrom.media.map(|path| MediaState { path, cache: cache(cdrom.cache) }),
    };
    VmState {
        uuid: vm.uuid,
        name: vm.name,
        state: State::Shutoff,
        memory_bytes: vm.memory_bytes,
        vcpus: vm.vcpus,
        machine: vm.machine,
        firmware: vm.firmware,
        accel: if vm.accel == AccelChoice::Kvm { Accel::Kvm } else { Accel::Tcg },
        disks: vm.disks.into_iter().enumerate().map(|(number, disk)| disk_state(number, disk)).collect(),
        cdroms: (0..).zip(vm.cdroms).map(cdrom).collect(),
        interfaces: vm.interfaces,
        vnc_socket: None,
        taints: Vec::new(),
    }
}

/// Opens all that the plan names as it says.
pub fn reopen(vm: &mut VmState, plan: &CachePlan) -> Outcome<()> {
    for planned in &plan.disks {
        let disk = vm.disks.iter_mut().find(|disk| disk.volume == planned.volume);
        let disk = disk.ok_or(FailureCode::NotFound)?;
        disk.cache = EffectiveCache { sector_bytes: disk.cache.sector_bytes, ..cache(planned.cache) };
    }
    for drive in &mut vm.cdroms {
        drive.cache = mode(plan.cdroms);
        if let Some(media) = &mut drive.media {
            media.cache = cache(plan.cdroms);
        }
    }
    Ok(())
}

/// Says of each disk which modes it can go over to: none while the machine is off.
pub fn note_live(vm: &mut VmState) {
    let runs = matches!(vm.state, State::Running | State::Paused);
    for disk in &mut vm.disks {
        let modes: &[_] = match disk.cache.mode {
            _ if !runs => &[],
            CacheMode::None => &[CacheMode::Writeback, CacheMode::Unsafe],
            CacheMode::Writeback => &[CacheMode::None, CacheMode::Unsafe],
            CacheMode::Unsafe => &[CacheMode::None, CacheMode::Writeback],
            CacheMode::Writethrough => &[CacheMode::Directsync],
            CacheMode::Directsync => &[CacheMode::Writethrough],
        };
        disk.live = modes.to_vec();
    }
}

/// Opens the named disks as they are asked to be, all or none.
pub fn change_live(vm: &mut VmState, asked: &[DiskCache]) -> Outcome<()> {
    let mut disks = vm.disks.clone();
    for DiskCache { volume, cache: request } in asked {
        let disk = disks.iter_mut().find(|disk| disk.volume == *volume).ok_or(FailureCode::NotFound)?;
        let wanted = EffectiveCache { sector_bytes: disk.cache.sector_bytes, ..cache(*request) };
        if wanted.mode != disk.cache.mode && !disk.live.contains(&wanted.mode) {
            return Err(FailureCode::Conflict);
        }
        disk.cache = wanted;
    }
    vm.disks = disks;
    vm.taints = vec!["tainted: custom monitor control commands issued".to_owned()];
    note_live(vm);
    Ok(())
}

/// A raw file.
pub fn raw(path: &str, size_bytes: u64) -> Volume {
    Volume {
        path: path.to_owned(),
        format: agent_protocol::vm::Format::Raw,
        size_bytes,
        allocated_bytes: size_bytes,
        backing: None,
    }
}
