//! What a hypervisor tells before anything is done: how a disk would be opened, what a folder is worth, whether a domain may
//! migrate. And by what a mode is known afterwards.

use super::MISSING_FOLDER;
use super::room::{Room, START, done, names, refused};
use crate::cache::Supposed;
use crate::cache::evidence::Answer;
use crate::error::Kind;
use crate::interface::Attempt;
use crate::lifecycle::Action;
use crate::migration::{Safe, Unsafe, Verdict};
use crate::simulated::GuestKind;
use crate::spec::{CacheChoice, CacheMode, CacheRequest, DiskBus, Format, Origin, Sector};
use crate::survey::{Flush, Subject, findings};

fn set(choice: CacheChoice, origin: Origin) -> CacheRequest {
    CacheRequest { origin: Some(origin), ..choice.into() }
}

pub(super) async fn a_mode_keeps_where_it_was_set(room: &Room) {
    let mut spec = room.with_guest("vm", GuestKind::Answering).await;
    let ram = room.path_without_direct_io("data");
    room.blank(ram.clone()).await;
    spec.disks[0].cache = set(CacheChoice::Auto, Origin::Storage);
    spec.disks.push(room.disk(ram.clone(), Format::Raw, set(CacheChoice::Auto, Origin::Volume)));
    room.define(&spec).await;
    let on = room.act(spec.uuid, START).await;
    let off = room.act(spec.uuid, Action::Destroy).await;
    let other = room.fixture.hypervisor().await;
    let again = done(other.domain(spec.uuid).await, "looking by another connection");
    for (domain, what) in [(on, "running"), (off, "off"), (again, "by another connection")] {
        let [root, data] = [&domain.disks[0].cache, &domain.disks[1].cache];
        assert_eq!((root.origin, root.mode), (Some(Origin::Storage), CacheMode::None), "{what}");
        assert_eq!((root.layers.len(), root.weakest), (1, None), "{what}: {root:?}");
        assert_eq!(root.layers[0].answer, Answer::Direct, "{what}");
        assert_eq!((data.origin, data.mode), (Some(Origin::Volume), CacheMode::Writeback), "{what}");
        assert_eq!(data.weakest, Some(0), "{what}: {data:?}");
        assert!(matches!(data.layers[0].answer, Answer::Refused(_)), "{what}: {data:?}");
        assert_eq!(data.layers[0].path, ram, "{what}");
    }
}

pub(super) async fn a_mode_that_may_lose_the_disk_needs_consent(room: &Room) {
    let mut spec = room.with_guest("vm", GuestKind::Answering).await;
    spec.disks[0].cache = set(CacheChoice::Unsafe, Origin::Vm);
    let path = spec.disks[0].source.clone();
    let defined = room.hypervisor.define(&spec, Attempt::First).await;
    names(&refused(defined, Kind::LossNotAccepted, "defining it"), &path);
    refused(room.hypervisor.domain(spec.uuid).await, Kind::NotFound, "looking at what was not defined");
    spec.disks[0].cache = set(CacheChoice::Unsafe, Origin::Vm).accepting_loss();
    let defined = room.define(&spec).await;
    assert_eq!(defined.disks[0].cache.mode, CacheMode::Unsafe);
    assert!(defined.disks[0].cache.reason.contains("a crash of the host loses"), "{defined:?}");
    // A disk that is attached, too.
    let mut disk = room.blank_disk("data", CacheMode::Writeback).await;
    disk.cache = CacheChoice::Unsafe.into();
    let attached = room.hypervisor.attach_disk(spec.uuid, &disk, Attempt::First).await;
    names(&refused(attached, Kind::LossNotAccepted, "attaching it"), &disk.source);
    assert_eq!(room.domain(spec.uuid).await.disks.len(), 1);
}

pub(super) async fn what_would_come_of_a_disk_is_told(room: &Room) {
    let disk = |file, choice: CacheChoice| Supposed {
        file,
        format: Format::Raw,
        bus: DiskBus::Virtio,
        cache: set(choice, Origin::Global),
        sector: Sector::Fixed(None),
    };
    let (here, there) = (room.path("supposed"), room.path_without_direct_io("supposed"));
    let disks = [
        disk(here.clone(), CacheChoice::Auto),
        disk(there.clone(), CacheChoice::Auto),
        disk(there.clone(), CacheChoice::None),
        disk(here, CacheChoice::Unsafe),
    ];
    let mut told = room.hypervisor.suppose(&disks).await;
    assert_eq!(told.len(), disks.len());
    refused(told.remove(3), Kind::LossNotAccepted, "supposing `unsafe`");
    names(&refused(told.remove(2), Kind::DirectIo, "supposing `none`"), &there);
    let modes = told.into_iter().map(|told| done(told, "supposing `auto`").mode);
    assert_eq!(modes.collect::<Vec<_>>(), [CacheMode::None, CacheMode::Writeback]);
    // Nothing was made.
    refused(
        room.hypervisor.volume(&there, Format::Raw).await,
        Kind::NotFound,
        "looking at what was supposed",
    );
    assert_eq!(room.hypervisor.suppose(&[]).await.len(), 0);
}

pub(super) async fn a_folder_is_surveyed(room: &Room) {
    for (folder, takes) in [(room.fixture.folder(), true), (room.fixture.folder_without_direct_io(), false)] {
        let survey = done(room.hypervisor.survey(&folder).await, "surveying a folder");
        assert_eq!(survey.path, folder);
        assert_eq!(survey.layer.answer == Answer::Direct, takes, "{survey:?}");
        assert!(survey.available_bytes <= survey.capacity_bytes, "{survey:?}");
        let Flush::Sampled(latency) = survey.flush else { panic!("no flush was measured: {survey:?}") };
        assert!(latency.samples > 0 && latency.median <= latency.percentile_99, "{latency}");
        let findings = findings(&survey);
        for subject in [Subject::DirectIo, Subject::Space, Subject::Inodes, Subject::Flush] {
            let found = findings.iter().filter(|finding| finding.subject == subject);
            assert_eq!(found.count(), 1, "{subject:?} in {findings:?}");
        }
    }
    let missing = room.fixture.folder().join(MISSING_FOLDER);
    let surveyed = room.hypervisor.survey(&missing).await;
    refused(surveyed, Kind::NotFound, "surveying a missing folder");
    refused(room.hypervisor.survey("relative".as_ref()).await, Kind::Invalid, "surveying a relative path");
}

pub(super) async fn what_keeps_a_domain_from_migrating_is_told(room: &Room) {
    let spec = room.with_guest("vm", GuestKind::Answering).await;
    let uuid = spec.uuid;
    refused(room.hypervisor.migration(uuid).await, Kind::NotFound, "judging what is not there");
    room.define(&spec).await;
    let judged = done(room.hypervisor.migration(uuid).await, "judging a migration");
    assert!(!judged.may(), "{judged:?}");
    let verdicts: Vec<_> =
        judged.disks.iter().map(|(disk, verdict)| (disk.name.as_str(), *verdict)).collect();
    let expected = [("vda", Verdict::Unsafe(Unsafe::NotShared)), ("sda", Verdict::Safe(Safe::Empty))];
    assert_eq!(verdicts, expected);
}
