//! What is asked for and what comes of it: `auto` goes by the file system, a plan counts from the next start on, and what was
//! asked for is remembered.

use std::path::Path;

use super::room::{Room, START, START_PAUSED, check_cache, check_choice, done};
use crate::cache::CachePlan;
use crate::interface::Attempt;
use crate::lifecycle::Action;
use crate::simulated::GuestKind;
use crate::spec::{
    CacheChoice, CacheMode, CacheRequest, CdromDrive, DiskId, DomainSpec, Firmware, Format, Machine,
};
use crate::state::{Domain, Effective};

const AUTO: CacheChoice = CacheChoice::Auto;

/// Checks what `auto` came to, and that the reason names where.
#[track_caller]
fn automatic(cache: &Effective, mode: CacheMode, active: bool, at: &Path, what: &str) {
    check_choice(cache, AUTO, mode, active, what);
    let folder = format!("`{}`", at.display());
    assert!(cache.reason.contains(&folder), "{what}: the reason does not name {folder}: {}", cache.reason);
}

fn plan(disks: &[(DiskId, CacheChoice)], cdroms: CacheChoice) -> CachePlan {
    let disks = disks.iter().map(|(id, choice)| (*id, CacheRequest::from(*choice).accepting_loss()));
    CachePlan { disks: disks.collect(), cdroms: cdroms.into() }
}

fn modes(domain: &Domain) -> Vec<(CacheChoice, CacheMode)> {
    domain.disks.iter().map(|disk| (disk.cache.requested, disk.cache.mode)).collect()
}

/// A guest's disk and three ways to more of them, in one folder.
async fn automatic_disks(
    room: &Room,
    folder: &Path,
    path: impl Fn(&str) -> std::path::PathBuf,
    mode: CacheMode,
) {
    let root = path("root");
    room.fixture.guest(&root, GuestKind::Answering).await;
    let mut spec = room.with_root("vm", root, AUTO);
    for file in ["data", "off", "hot"] {
        room.blank(path(file)).await;
    }
    let disk = |file: &str| room.disk(path(file), Format::Raw, AUTO);
    spec.disks.push(disk("data"));
    room.define(&spec).await;
    let check = |domain: &Domain, count: usize, what: &str| {
        assert_eq!(domain.disks.len(), count, "{what}");
        for disk in &domain.disks {
            automatic(&disk.cache, mode, domain.state.is_active(), folder, what);
        }
        assert_eq!(domain.taints, Vec::<String>::new());
    };
    check(&room.domain(spec.uuid).await, 2, "a new domain");
    let attached = room.hypervisor.attach_disk(spec.uuid, &disk("off"), Attempt::First).await;
    check(&done(attached, "attaching while it is off"), 3, "attached while it is off");
    check(&room.act(spec.uuid, START).await, 3, "a domain that runs");
    room.writes(spec.uuid, 0).await;
    let hot = disk("hot");
    for attempt in [Attempt::First, Attempt::Again] {
        let attached = room.hypervisor.attach_disk(spec.uuid, &hot, attempt).await;
        check(&done(attached, "attaching while it runs"), 4, "attached while it runs");
    }
    check(&room.domain(spec.uuid).await, 4, "looked at again");
    check(&room.act(spec.uuid, Action::Destroy).await, 4, "a domain that is off again");
    check(&room.act(spec.uuid, START_PAUSED).await, 4, "a domain that was started again");
    let other = room.fixture.hypervisor().await;
    let seen = done(other.domain(spec.uuid).await, "looking by another connection");
    check(&seen, 4, "by another connection");
}

pub(super) async fn auto_is_none_where_o_direct_is_taken(room: &Room) {
    automatic_disks(room, &room.fixture.folder(), |file| room.path(file), CacheMode::None).await;
}

pub(super) async fn auto_is_writeback_where_o_direct_is_refused(room: &Room) {
    let folder = room.fixture.folder_without_direct_io();
    let path = |file: &str| room.path_without_direct_io(file);
    automatic_disks(room, &folder, path, CacheMode::Writeback).await;
}

pub(super) async fn auto_takes_every_medium(room: &Room) {
    let spec = DomainSpec { cdroms: vec![CdromDrive::empty(AUTO)], ..room.bare("vm") };
    assert_eq!(room.define(&spec).await.cdroms[0].cache, CacheMode::Writeback);
    for action in [Action::Destroy, START] {
        let domain =
            done(room.hypervisor.act(spec.uuid, action, Attempt::Again).await, "turning it off or on");
        for source in [room.path("iso"), room.path_without_direct_io("iso")] {
            if !domain.state.is_active() {
                room.blank(source.clone()).await;
            }
            let inserted = room.hypervisor.insert_media(spec.uuid, 0, &source, Attempt::First).await;
            let media = done(inserted, "inserting").cdroms.remove(0).media;
            let Some(media) = media else { panic!("nothing lies in the drive") };
            let active = domain.state.is_active();
            check_choice(&media.cache, AUTO, CacheMode::Writeback, active, "a medium");
            done(room.hypervisor.eject_media(spec.uuid, 0, Attempt::First).await, "ejecting");
        }
    }
}

pub(super) async fn a_plan_counts_from_the_next_start(room: &Room) {
    let mut spec = room.with_guest("vm", GuestKind::Answering).await;
    spec.disks.push(room.blank_disk("data", CacheMode::Unsafe).await);
    room.booted(&spec).await;
    let [root, data] = [spec.disks[0].id, spec.disks[1].id];
    let before = room.domain(spec.uuid).await;
    let asked = plan(&[(root, AUTO), (DiskId(room.uuid()), CacheChoice::None)], CacheChoice::Directsync);
    for attempt in [Attempt::First, Attempt::Again] {
        let settled = room.hypervisor.settle_cache(spec.uuid, &asked, attempt).await;
        assert_eq!(done(settled, "settling while it runs"), before, "what runs was touched");
    }
    room.act(spec.uuid, Action::Reset).await;
    assert_eq!(modes(&room.domain(spec.uuid).await), modes(&before), "a reset is no start");
    let expected = [(AUTO, CacheMode::None), (CacheChoice::Unsafe, CacheMode::Unsafe)];
    for action in [Action::Destroy, START] {
        let domain = room.act(spec.uuid, action).await;
        assert_eq!((modes(&domain), domain.cdroms[0].cache), (expected.to_vec(), CacheMode::Directsync));
    }
    let domain = room.domain(spec.uuid).await;
    automatic(&domain.disks[0].cache, CacheMode::None, true, &room.fixture.folder(), "a settled disk");
    check_cache(&domain.disks[1].cache, CacheMode::Unsafe, true, "a disk that the plan does not name");
    room.act(spec.uuid, Action::Destroy).await;
    // Off, it can be seen at once.
    let settled = room.settle(spec.uuid, &plan(&[(data, CacheChoice::Writethrough)], AUTO)).await;
    check_cache(&settled.disks[1].cache, CacheMode::Writethrough, false, "a disk settled while it is off");
    assert_eq!((modes(&settled)[0], settled.cdroms[0].cache), (expected[0], CacheMode::Writeback));
}

pub(super) async fn a_reboot_applies_a_plan(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.booted(&spec).await;
    let disk = spec.disks[0].id;
    for (choice, mode) in [(AUTO, CacheMode::None), (CacheChoice::Directsync, CacheMode::Directsync)] {
        room.settle(spec.uuid, &plan(&[(disk, choice)], AUTO)).await;
        let written = room.console_size(spec.uuid).await;
        let domain = room.act(spec.uuid, Action::Reboot { patience: room.fixture.patience() }).await;
        check_choice(&domain.disks[0].cache, choice, mode, true, "the root disk after a reboot");
        room.writes(spec.uuid, written).await;
    }
}

pub(super) async fn a_disk_is_attached_beside_what_is_settled(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.paused(&spec).await;
    room.settle(spec.uuid, &plan(&[(spec.disks[0].id, AUTO)], AUTO)).await;
    let hot = room.blank_disk("hot", AUTO).await;
    let attached = room.hypervisor.attach_disk(spec.uuid, &hot, Attempt::First).await;
    let now = [(CacheChoice::Writeback, CacheMode::Writeback), (AUTO, CacheMode::None)];
    assert_eq!(modes(&done(attached, "attaching")), now);
    let next = [(AUTO, CacheMode::None); 2];
    assert_eq!(modes(&room.act(spec.uuid, Action::Destroy).await), next);
    assert_eq!(modes(&room.act(spec.uuid, START_PAUSED).await), next);
}

pub(super) async fn a_disk_that_comes_again_is_asked_anew(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    room.define(&spec).await;
    let mut disk = room.blank_disk("data", AUTO).await;
    for choice in [AUTO, CacheChoice::None, AUTO] {
        disk.cache = choice.into();
        let attached = room.hypervisor.attach_disk(spec.uuid, &disk, Attempt::First).await;
        let domain = done(attached, "attaching");
        check_choice(&domain.disks[1].cache, choice, CacheMode::None, false, "a disk that was here before");
        done(room.hypervisor.detach_disk(spec.uuid, disk.id, Attempt::First).await, "detaching");
    }
}

pub(super) async fn a_plan_suits_every_board_and_firmware(room: &Room) {
    let uefi = room.hypervisor.host().await.uefi;
    let firmware = Firmware::ALL.iter().filter(|firmware| uefi || **firmware == Firmware::Bios);
    for firmware in firmware.copied() {
        for machine in Machine::ALL.iter().copied() {
            let mut spec = room.with_guest(&format!("{machine}-{firmware}"), GuestKind::Answering).await;
            (spec.machine, spec.firmware) = (machine, firmware);
            room.paused(&spec).await;
            for (choice, mode) in [(AUTO, CacheMode::None), (CacheChoice::Unsafe, CacheMode::Unsafe)] {
                room.settle(spec.uuid, &plan(&[(spec.disks[0].id, choice)], choice)).await;
                room.act(spec.uuid, Action::Destroy).await;
                let domain = room.act(spec.uuid, START_PAUSED).await;
                check_choice(&domain.disks[0].cache, choice, mode, true, "settled while it ran");
                assert_eq!((domain.machine, domain.firmware), (machine, firmware));
            }
        }
    }
}

pub(super) async fn without_its_folder_nothing_is_guessed(room: &Room) {
    let path = room.fixture.folder().join(super::MISSING_FOLDER).join(room.name("root"));
    for choice in [AUTO, CacheChoice::None] {
        let spec = room.with_root("vm", path.clone(), choice);
        let defined = room.hypervisor.define(&spec, Attempt::First).await;
        let error = super::room::refused(defined, crate::Kind::NotFound, "defining what has no folder");
        super::room::names(&error, &path);
    }
}
