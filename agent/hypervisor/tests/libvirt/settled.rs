//! Cache modes that are settled while somebody else changes the same configuration: what he did stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agent_hypervisor::cache::CachePlan;
use agent_hypervisor::libvirt::Libvirt;
use agent_hypervisor::spec::{CacheChoice, CacheMode, CacheRequest};
use agent_hypervisor::{Attempt, Domains, Kind};
use agent_libvirt::{Direction, Procedure, SeenFrame};
use xtask_testbed::guest::Kind as GuestKind;
use xtask_testbed::libvirt::Inside;

use super::room::{self, DIRECT, disk, guest, said, spec, start, virsh};

/// A hypervisor beside which somebody does something once it has read a description for the first time after the switch is on.
fn beside(what: fn()) -> (Libvirt, Arc<AtomicBool>) {
    let switch = Arc::new(AtomicBool::new(false));
    let mut options = room::options();
    let on = Arc::clone(&switch);
    options.connect.observer = Some(Arc::new(move |frame: SeenFrame| {
        if frame.known() == Some(Procedure::DomainGetXmlDesc)
            && frame.direction == Direction::In
            && on.swap(false, Ordering::SeqCst)
        {
            what();
        }
    }));
    (Libvirt::start(options), switch)
}

fn describe() {
    virsh(["desc", "vm", "--config", "mine, all mine"]);
}

fn undefine() {
    virsh(["undefine", "vm"]);
}

#[test]
fn what_others_change_meanwhile_stays() {
    room::run("what_others_change_meanwhile_stays", &Inside::default(), async || {
        let (libvirt, switch) = beside(describe);
        let vm = spec("vm", disk(&guest(DIRECT, "vm", GuestKind::Answering), CacheMode::None));
        libvirt.define(&vm, Attempt::First).await.unwrap();
        let plan = |choice: CacheChoice| CachePlan {
            disks: vec![(vm.disks[0].id, CacheRequest::from(choice))],
            cdroms: CacheChoice::Auto.into(),
        };
        switch.store(true, Ordering::SeqCst);
        let off = libvirt.settle_cache(vm.uuid, &plan(CacheChoice::Writeback), Attempt::First).await.unwrap();
        assert!(!switch.load(Ordering::SeqCst), "nothing was done beside");
        assert_eq!(off.disks[0].cache.mode, CacheMode::Writeback);
        assert_eq!(virsh(["desc", "vm", "--config"]), "mine, all mine");
        drop(libvirt);

        let (libvirt, switch) = beside(undefine);
        libvirt.domain(vm.uuid).await.unwrap();
        switch.store(true, Ordering::SeqCst);
        let gone = libvirt.settle_cache(vm.uuid, &plan(CacheChoice::None), Attempt::First).await;
        assert!(!switch.load(Ordering::SeqCst), "nothing was done beside");
        assert_eq!(gone.unwrap_err().kind(), Kind::NotFound);
        assert_eq!(virsh(["list", "--all", "--name"]), "", "it came back");
    });
}

#[test]
fn what_others_change_during_a_live_change_stays() {
    room::run("what_others_change_during_a_live_change_stays", &Inside::default(), async || {
        let (libvirt, switch) = beside(describe);
        let vm = spec("vm", disk(&guest(DIRECT, "vm", GuestKind::Answering), CacheMode::None));
        start(&libvirt, &vm).await.unwrap();
        said(&libvirt, vm.uuid, "GUEST-UP").await;
        switch.store(true, Ordering::SeqCst);
        let change = [(vm.disks[0].id, CacheRequest::from(CacheChoice::Writeback))];
        let now = libvirt.change_cache(vm.uuid, &change, Attempt::First).await.unwrap();
        assert!(!switch.load(Ordering::SeqCst), "nothing was done beside");
        assert_eq!(now.disks[0].cache.mode, CacheMode::Writeback);
        assert_eq!(virsh(["desc", "vm", "--config"]), "mine, all mine");
        assert!(virsh(["dumpxml", "--inactive", "vm"]).contains("cache='writeback'"));
    });
}
