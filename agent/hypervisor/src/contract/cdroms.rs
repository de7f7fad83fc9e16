//! Inserting and ejecting media.

use super::room::{Room, START, START_PAUSED, done, names, refused};
use crate::cache::CachePlan;
use crate::error::Kind;
use crate::interface::Attempt;
use crate::lifecycle::Action;
use crate::spec::{CacheChoice, CacheMode, CdromDrive, DomainSpec, Machine};
use crate::state::{Domain, State};

const MODE: CacheChoice = CacheChoice::Writeback;

fn sources(domain: &Domain) -> Vec<Option<&std::path::Path>> {
    domain.cdroms.iter().map(|cdrom| cdrom.media.as_ref().map(|media| media.source.as_path())).collect()
}

fn two_drives(room: &Room, suffix: &str) -> DomainSpec {
    DomainSpec { cdroms: vec![CdromDrive::empty(MODE), CdromDrive::empty(MODE)], ..room.bare(suffix) }
}

pub(super) async fn media_come_and_go_while_it_runs(room: &Room) {
    for machine in Machine::ALL.iter().copied() {
        let spec = DomainSpec { machine, ..two_drives(room, machine.as_str()) };
        let media = room.media(&format!("{machine}.iso")).await;
        let source = Some(media.as_path());
        room.define(&spec).await;
        room.act(spec.uuid, START).await;
        let inserted = room.hypervisor.insert_media(spec.uuid, 1, &media, Attempt::First).await;
        assert_eq!(sources(&done(inserted, "inserting")), [None, source]);
        room.act(spec.uuid, Action::Destroy).await;
        let domain = room.act(spec.uuid, START).await;
        assert_eq!(sources(&domain), [None, source], "after a new start");
        let ejected = room.hypervisor.eject_media(spec.uuid, 1, Attempt::First).await;
        assert_eq!(sources(&done(ejected, "ejecting")), [None, None]);
        room.act(spec.uuid, Action::Destroy).await;
        let domain = room.act(spec.uuid, START_PAUSED).await;
        assert_eq!(sources(&domain), [None, None], "after another new start");
        assert_eq!(domain.taints, Vec::<String>::new());
    }
}

pub(super) async fn media_come_and_go_while_it_is_off(room: &Room) {
    let spec = two_drives(room, "vm");
    let media = room.media("iso").await;
    let source = Some(media.as_path());
    room.define(&spec).await;
    let inserted = room.hypervisor.insert_media(spec.uuid, 0, &media, Attempt::First).await;
    let domain = done(inserted, "inserting");
    assert_eq!((sources(&domain), domain.state), (vec![source, None], State::Shutoff));
    assert_eq!(sources(&room.act(spec.uuid, START_PAUSED).await), [source, None]);
    room.act(spec.uuid, Action::Destroy).await;
    let ejected = room.hypervisor.eject_media(spec.uuid, 0, Attempt::First).await;
    assert_eq!(sources(&done(ejected, "ejecting")), [None, None]);
    assert_eq!(sources(&room.act(spec.uuid, START_PAUSED).await), [None, None]);
}

pub(super) async fn a_drive_holds_one_medium(room: &Room) {
    let spec = two_drives(room, "vm");
    let (media, other) = (room.media("iso").await, room.media("other").await);
    let source = Some(media.as_path());
    room.define(&spec).await;
    for state in ["off", "running"] {
        if state == "running" {
            room.act(spec.uuid, START).await;
        }
        let insert = |media, attempt| room.hypervisor.insert_media(spec.uuid, 0, media, attempt);
        let eject = |attempt| room.hypervisor.eject_media(spec.uuid, 0, attempt);
        refused(eject(Attempt::First).await, Kind::Conflict, &format!("ejecting nothing while {state}"));
        assert_eq!(sources(&done(eject(Attempt::Again).await, "ejecting in a later attempt")), [None, None]);
        done(insert(&media, Attempt::First).await, "inserting");
        for (what, medium) in [("the same", &media), ("another", &other)] {
            let full = insert(medium, Attempt::First).await;
            refused(full, Kind::Conflict, &format!("inserting {what} into a full drive while {state}"));
        }
        assert_eq!(sources(&done(insert(&media, Attempt::Again).await, "inserting again")), [source, None]);
        refused(insert(&other, Attempt::Again).await, Kind::Conflict, "inserting another in a later attempt");
        done(eject(Attempt::First).await, "ejecting");
    }
}

pub(super) async fn without_drive_or_medium_nothing_is_inserted(room: &Room) {
    let spec = two_drives(room, "vm");
    let media = room.media("iso").await;
    room.define(&spec).await;
    let missing = room.path("missing");
    for state in ["off", "running"] {
        if state == "running" {
            room.act(spec.uuid, START).await;
            let inserted = room.hypervisor.insert_media(spec.uuid, 0, &missing, Attempt::First).await;
            names(&refused(inserted, Kind::NotFound, "inserting a missing file"), &missing);
        }
        for attempt in [Attempt::First, Attempt::Again] {
            let inserted = room.hypervisor.insert_media(spec.uuid, 2, &media, attempt).await;
            refused(inserted, Kind::NotFound, &format!("inserting into a missing drive while {state}"));
            let ejected = room.hypervisor.eject_media(spec.uuid, 2, attempt).await;
            refused(ejected, Kind::NotFound, &format!("ejecting from a missing drive while {state}"));
            let relative = std::path::Path::new("iso");
            let inserted = room.hypervisor.insert_media(spec.uuid, 0, relative, attempt).await;
            refused(inserted, Kind::Invalid, &format!("inserting a relative path while {state}"));
        }
    }
    assert_eq!(sources(&room.domain(spec.uuid).await), [None, None]);
}

pub(super) async fn without_its_medium_a_domain_stays_off(room: &Room) {
    let source = room.path("missing");
    let mut spec = room.bare("vm");
    spec.cdroms = vec![CdromDrive::with(MODE, source.clone())];
    room.define(&spec).await;
    let started = room.hypervisor.act(spec.uuid, START, Attempt::First).await;
    names(&refused(started, Kind::NotFound, "starting without the medium"), &source);
    done(room.hypervisor.eject_media(spec.uuid, 0, Attempt::First).await, "ejecting what is missing");
    assert_eq!(room.act(spec.uuid, START).await.state, State::Running);
}

pub(super) async fn a_drive_keeps_its_mode_while_it_runs(room: &Room) {
    let mut spec = room.bare("vm");
    spec.cdroms = vec![CdromDrive::empty(CacheChoice::Unsafe)];
    let media = room.media("iso").await;
    room.paused(&spec).await;
    let plan = CachePlan { disks: Vec::new(), cdroms: CacheChoice::Auto.into() };
    assert_eq!(room.settle(spec.uuid, &plan).await.cdroms[0].cache, CacheMode::Unsafe);
    let inserted = room.hypervisor.insert_media(spec.uuid, 0, &media, Attempt::First).await;
    let shown = |domain: &Domain| {
        let media = domain.cdroms[0].media.as_ref().map(|media| (media.source.clone(), media.cache.mode));
        (domain.cdroms[0].cache, media)
    };
    let (now, next) = (CacheMode::Unsafe, CacheMode::Writeback);
    assert_eq!(shown(&done(inserted, "inserting")), (now, Some((media.clone(), now))));
    let domain = room.act(spec.uuid, Action::Destroy).await;
    assert_eq!(shown(&domain), (next, Some((media.clone(), next))), "the medium or what was settled is lost");
    room.act(spec.uuid, START_PAUSED).await;
    let ejected = room.hypervisor.eject_media(spec.uuid, 0, Attempt::First).await;
    assert_eq!(shown(&done(ejected, "ejecting")), (next, None));
    room.act(spec.uuid, Action::Destroy).await;
    let inserted = room.hypervisor.insert_media(spec.uuid, 0, &media, Attempt::First).await;
    assert_eq!(shown(&done(inserted, "inserting while it is off")), (next, Some((media, next))));
}
