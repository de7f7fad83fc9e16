//! What the simulated twin does for tests beyond what a hypervisor does.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent_hypervisor::lifecycle::{Action, Start};
use agent_hypervisor::simulated::{Call, Control, File, GuestKind, Moment, Outside};
use agent_hypervisor::spec::{
    Accel, AccelChoice, BootDevice, CacheChoice, CacheMode, CacheRequest, Disk, DiskBus, DiskId, DomainSpec,
    Firmware, Format, Guest, Machine, Sector,
};
use agent_hypervisor::state::{Change, Host, State};
use agent_hypervisor::storage::VolumeSpec;
use agent_hypervisor::{Attempt, Domains, Error, Kind, Simulated, Storage};
use uuid::Uuid;

const VM: Uuid = Uuid::from_u128(1);
const ROOT: DiskId = DiskId(Uuid::from_u128(2));
const START: Action = Action::Start(Start::Running);
const SHUTDOWN: Action = Action::Shutdown { patience: Duration::from_secs(60) };

fn spec(cache: CacheChoice) -> DomainSpec {
    let disk = Disk {
        id: ROOT,
        source: "/volumes/root".into(),
        format: Format::Raw,
        bus: DiskBus::Virtio,
        cache: CacheRequest::from(cache).accepting_loss(),
        sector: Sector::Fixed(None),
    };
    DomainSpec {
        uuid: VM,
        name: "web".to_owned(),
        memory_bytes: 64 << 20,
        vcpus: 1,
        machine: Machine::Q35,
        firmware: Firmware::Bios,
        accel: AccelChoice::Tcg,
        guest: Guest::Linux,
        boot: vec![BootDevice::Hd],
        disks: vec![disk],
        cdroms: Vec::new(),
        interfaces: Vec::new(),
    }
}

/// A host with one domain, which runs a guest that answers.
async fn running() -> (Arc<Simulated>, Control) {
    let twin = Arc::new(Simulated::new());
    let control = twin.control();
    control.guest("/volumes/root", GuestKind::Answering);
    twin.define(&spec(CacheChoice::None), Attempt::First).await.unwrap();
    twin.act(VM, START, Attempt::First).await.unwrap();
    (twin, control)
}

fn volume(path: &str, size_bytes: u64) -> VolumeSpec {
    VolumeSpec { path: path.into(), format: Format::Raw, size_bytes: Some(size_bytes), backing: None }
}

#[tokio::test]
async fn the_next_call_fails_once_before_or_after_its_work() {
    let (twin, control) = running().await;
    let broken = || Error::Failed { what: "x".to_owned(), cause: "y".to_owned(), remedy: "z".to_owned() };
    control.fail_next(Call::Destroy, Moment::Before, broken());
    control.fail_next(Call::Destroy, Moment::After, broken());
    assert_eq!(twin.act(VM, Action::Destroy, Attempt::First).await.unwrap_err(), broken());
    assert_eq!(twin.domain(VM).await.unwrap().state, State::Running, "it failed before its work");
    assert_eq!(twin.act(VM, Action::Destroy, Attempt::Again).await.unwrap_err(), broken());
    assert_eq!(twin.domain(VM).await.unwrap().state, State::Shutoff, "it failed after its work");
    twin.act(VM, Action::Destroy, Attempt::Again).await.unwrap();
    assert_eq!(control.calls().iter().filter(|call| **call == Call::Destroy).count(), 3);
}

#[tokio::test]
async fn calls_wait_where_they_are_held() {
    let (twin, control) = running().await;
    let before = control.hold(Call::Suspend, Moment::Before);
    let after = control.hold(Call::Suspend, Moment::After);
    let waiting = tokio::spawn({
        let twin = twin.clone();
        async move { twin.act(VM, Action::Suspend, Attempt::First).await }
    });
    before.arrived(1).await;
    assert_eq!(twin.domain(VM).await.unwrap().state, State::Running, "nothing was done yet");
    before.release();
    after.arrived(1).await;
    assert_eq!(twin.domain(VM).await.unwrap().state, State::Paused, "all was done");
    assert!(!waiting.is_finished(), "and the caller does not know");
    after.release();
    assert_eq!(waiting.await.unwrap().unwrap().state, State::Paused);
}

#[tokio::test]
async fn a_call_that_is_given_up_while_held_did_nothing_or_everything() {
    let (twin, control) = running().await;
    for (moment, then) in [(Moment::Before, State::Running), (Moment::After, State::Shutoff)] {
        let hold = control.hold(Call::Destroy, moment);
        let waiting = tokio::spawn({
            let twin = twin.clone();
            async move { twin.act(VM, Action::Destroy, Attempt::First).await }
        });
        hold.arrived(1).await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        hold.release();
        assert_eq!(twin.domain(VM).await.unwrap().state, then, "given up {moment:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_takes_its_time() {
    let (twin, control) = running().await;
    control.delay(Call::Domains, Duration::from_secs(3600));
    let start = tokio::time::Instant::now();
    twin.domains().await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(3600));
}

#[tokio::test]
async fn libvirt_goes_and_comes_back() {
    let (twin, control) = running().await;
    let mut changes = twin.changes();
    control.unavailable("no such socket");
    assert_eq!(twin.host().await.hypervisor, Err("no such socket".to_owned()));
    let refused = twin.domain(VM).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable);
    twin.create_volume(&volume("/v", 512), Attempt::First).await.unwrap();
    assert_eq!(twin.delete_volume(Path::new("/v"), Attempt::First).await.unwrap_err(), refused);
    control.available();
    assert_eq!(twin.domain(VM).await.unwrap().state, State::Running, "domains run on");
    assert_eq!(changes.recv().await.unwrap(), Change::Resync);
}

#[tokio::test]
async fn everybody_hears_what_others_do() {
    let (twin, control) = running().await;
    let mut changes = twin.changes();
    control.outside(Outside::Suspend(VM)).unwrap();
    control.outside(Outside::Resume(VM)).unwrap();
    control.crash(VM).unwrap();
    control.outside(Outside::Start(VM)).unwrap();
    control.power_off(VM).unwrap();
    control.outside(Outside::Undefine(VM)).unwrap();
    for state in [State::Paused, State::Running, State::Crashed, State::Running, State::Shutoff] {
        match changes.recv().await.unwrap() {
            Change::Changed(domain) => assert_eq!((domain.uuid, domain.state), (VM, state)),
            other => panic!("{other:?} instead of {state}"),
        }
    }
    assert_eq!(changes.recv().await.unwrap(), Change::Gone(VM));
    assert_eq!(control.outside(Outside::Start(VM)).unwrap_err(), Error::NoDomain { uuid: VM });
}

#[tokio::test]
async fn guests_are_what_lies_on_the_root_disk() {
    let twin = Simulated::new();
    let control = twin.control();
    control.place("/images/silent", File::image(Format::Raw, 1 << 20, GuestKind::Silent));
    control.place("/images/answering", File::image(Format::Raw, 1 << 20, GuestKind::Answering));
    let root = PathBuf::from("/volumes/root");
    twin.create_volume(&volume("/volumes/root", 1 << 20), Attempt::First).await.unwrap();
    twin.define(&spec(CacheChoice::Writeback), Attempt::First).await.unwrap();
    for (image, answers) in
        [(None, false), (Some("/images/silent"), false), (Some("/images/answering"), true)]
    {
        if let Some(image) = image {
            twin.control().remove(&root);
            twin.import_image(Path::new(image), &root, Attempt::First).await.unwrap();
        }
        twin.act(VM, START, Attempt::First).await.unwrap();
        let shut = twin.act(VM, SHUTDOWN, Attempt::First).await;
        assert_eq!(shut.is_ok(), answers, "{image:?}: {shut:?}");
        twin.act(VM, Action::Destroy, Attempt::Again).await.unwrap();
    }
}

#[tokio::test]
async fn a_disk_that_was_opened_anew_says_so() {
    let (twin, control) = running().await;
    let cache = control.reopen(VM, ROOT, false).unwrap().disks[0].cache.clone();
    assert_eq!(
        (cache.requested, cache.mode, cache.direct),
        (CacheChoice::None, CacheMode::Writeback, Some(false))
    );
    twin.act(VM, Action::Destroy, Attempt::First).await.unwrap();
    let domain = twin.act(VM, START, Attempt::First).await.unwrap();
    assert_eq!(domain.disks[0].cache.mode, CacheMode::None, "a start begins anew");
}

#[tokio::test]
async fn large_blocks_are_shown_to_a_guest_that_knows_no_others() {
    let twin = Simulated::new();
    let control = twin.control();
    control.large_blocks("/large");
    control.share("/volumes");
    control.guest("/volumes/root", GuestKind::Answering);
    twin.create_volume(&volume("/large/blank", 1 << 20), Attempt::First).await.unwrap();
    twin.define(&spec(CacheChoice::Writeback), Attempt::First).await.unwrap();
    let id = DiskId(Uuid::from_u128(3));
    let path = PathBuf::from("/large/blank");
    let (bus, cache) = (DiskBus::Scsi, CacheChoice::Auto.into());
    let blank = |sector| Disk { id, source: path.clone(), format: Format::Raw, bus, cache, sector };
    for (sector, mode, bytes) in [
        (Sector::Fixed(None), CacheMode::Writeback, None),
        (Sector::Free, CacheMode::None, Some(4096)),
        (Sector::Fixed(Some(4096)), CacheMode::None, Some(4096)),
    ] {
        let domain = twin.attach_disk(VM, &blank(sector), Attempt::First).await.unwrap();
        let shown = &domain.disks[1].cache;
        assert_eq!((shown.mode, shown.sector_bytes), (mode, bytes), "{sector:?}");
        twin.detach_disk(VM, id, Attempt::First).await.unwrap();
    }
    let ahci = Disk { bus: DiskBus::Sata, ..blank(Sector::Fixed(Some(4096))) };
    let refused = twin.attach_disk(VM, &ahci, Attempt::First).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Invalid, "{refused}");
    // What other hosts have, too, is no obstacle to a migration.
    assert!(twin.migration(VM).await.unwrap().may());
}

#[tokio::test]
async fn a_file_system_gets_full() {
    let twin = Simulated::new();
    twin.control().capacity("/small", 4096);
    twin.create_volume(&volume("/small/a", 3072), Attempt::First).await.unwrap();
    let full = twin.create_volume(&volume("/small/b", 2048), Attempt::First).await.unwrap_err();
    assert_eq!(full.kind(), Kind::NoSpace);
    assert_eq!(twin.volume(Path::new("/small/b"), Format::Raw).await.unwrap_err().kind(), Kind::NotFound);
    let grown =
        twin.resize_volume(Path::new("/small/a"), Format::Raw, 8192, Attempt::First).await.unwrap_err();
    assert_eq!(grown.kind(), Kind::NoSpace);
    let folder = twin.folder(Path::new("/small/below")).await.unwrap();
    assert_eq!((folder.capacity_bytes, folder.available_bytes), (4096, 1024));
    twin.create_volume(&volume("/elsewhere/b", 2048), Attempt::First).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_is_gone_is_made_below_one_that_is_there() {
    let twin = Simulated::new();
    twin.control().remove_folder("/pool");
    assert_eq!(
        twin.create_volume(&volume("/pool/a", 512), Attempt::First).await.unwrap_err().kind(),
        Kind::Invalid
    );
    assert_eq!(twin.folder(Path::new("/pool/below")).await.unwrap_err().kind(), Kind::Invalid);
    twin.folder(Path::new("/pool")).await.unwrap();
    twin.create_volume(&volume("/pool/a", 512), Attempt::First).await.unwrap();
}

#[tokio::test]
async fn real_images_are_measured_where_they_lie() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"abc").unwrap();
    let path = file.path().to_owned();
    let to = Path::new("/volumes/image");
    let closed = Simulated::new().import_image(&path, to, Attempt::First).await.unwrap_err();
    assert_eq!(closed.kind(), Kind::NotFound);
    let twin = Simulated::new().real_files(true);
    let image = twin.import_image(&path, to, Attempt::First).await.unwrap();
    assert_eq!(image.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!((image.volume.format, image.volume.size_bytes), (Format::Raw, 3));

    // An empty qcow2 file of 1 MiB begins like this; the second one has the place of a backing file's name in it.
    let mut head = [b"QFI\xfb\0\0\0\x03".as_slice(), &[0; 16], &(1_u64 << 20).to_be_bytes()].concat();
    std::fs::write(&path, &head).unwrap();
    let image = twin.import_image(&path, Path::new("/volumes/qcow2"), Attempt::First).await.unwrap();
    assert_eq!((image.volume.format, image.volume.size_bytes), (Format::Qcow2, 1 << 20));
    head[15] = 104;
    std::fs::write(&path, &head).unwrap();
    let refused = twin.import_image(&path, Path::new("/volumes/overlay"), Attempt::First).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Invalid);
}

#[tokio::test]
async fn a_domain_keeps_the_accelerator_that_it_was_defined_with() {
    let twin = Simulated::new();
    let control = twin.control();
    control.guest("/volumes/root", GuestKind::Answering);
    let is_there = |accel| Host {
        hypervisor: Ok("simulated".to_owned()),
        accel,
        accel_reason: "as the test wants it".to_owned(),
        uefi: true,
    };
    control.host(is_there(Accel::Kvm));
    let spec = DomainSpec { accel: AccelChoice::Auto, ..spec(CacheChoice::None) };
    assert_eq!(twin.define(&spec, Attempt::First).await.unwrap().accel, Accel::Kvm);
    control.host(is_there(Accel::Tcg));
    assert_eq!(twin.act(VM, START, Attempt::First).await.unwrap_err().kind(), Kind::Unsupported);
    control.host(is_there(Accel::Kvm));
    assert_eq!(twin.act(VM, START, Attempt::First).await.unwrap().accel, Accel::Kvm);
    twin.act(VM, Action::Destroy, Attempt::First).await.unwrap();
    let defined = DomainSpec { accel: AccelChoice::Tcg, ..spec };
    twin.define(&defined, Attempt::Again).await.unwrap();
    assert_eq!(twin.act(VM, START, Attempt::First).await.unwrap().accel, Accel::Tcg);
}
