//! Defining, starting and stopping.

use super::room::{Host, root};
use agent_libvirt::{
    AffectFlags, CreateFlags, DefineFlags, DestroyFlags, DomainState, ErrorCode, ListFlags, PausedReason,
    Procedure, RunningReason, ShutoffReason, StateNumber, UndefineFlags, XmlFlags,
};
use uuid::Uuid;
use xtask_testbed::guest;

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_from_definition_to_removal() {
    let root = root();
    let host = Host::start(&root, &[]);
    let connection = host.connect().await;
    host.make_disk("vm");

    let wrong = guest::domain("vm", "<frobnicator/>");
    let error = connection.domain_define_xml(&wrong, DefineFlags::VALIDATE).await.unwrap_err();
    let remote = error.remote().expect("libvirt's error");
    assert_eq!(remote.code, ErrorCode::XmlInvalidSchema, "{error}");
    assert!(remote.str1.is_some() && !remote.message.is_empty(), "{remote:?}");
    assert_eq!(host.virsh(["list", "--all", "--name"]), "");

    let vm = connection.domain_define_xml(&guest::domain("vm", ""), DefineFlags::VALIDATE).await.unwrap();
    assert_eq!(host.virsh(["domuuid", "vm"]), vm.uuid.to_string());
    assert_eq!((vm.name.as_str(), vm.id), ("vm", None));
    host.shown(&[Procedure::AuthList, Procedure::DomainDefineXmlFlags]);

    host.write("/root/other.xml", guest::domain("other", ""));
    host.make_disk("other");
    host.virsh(["create", "--paused", "/root/other.xml"]);
    let names = async |flags| {
        let mut names: Vec<_> = connection.list_all_domains(flags).await.unwrap();
        names.sort_by(|a, b| a.name.cmp(&b.name));
        names.into_iter().map(|domain| domain.name).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(names(ListFlags::empty()).await, host.sh("virsh -q list --all --name | grep . | sort", []));
    for (flags, option) in [
        (ListFlags::ACTIVE, "--state-running --state-paused"),
        (ListFlags::INACTIVE, "--inactive"),
        (ListFlags::PERSISTENT, "--all --persistent"),
        (ListFlags::TRANSIENT, "--all --transient"),
    ] {
        let virsh = host.sh("virsh -q list --name $1 | grep . | sort", [option]);
        assert_eq!(names(flags).await, virsh, "{flags:?}");
    }
    host.shown(&[Procedure::ConnectListAllDomains]);

    let other = connection.domain_lookup_by_name("other").await.unwrap();
    let id: u32 = host.virsh(["domid", "other"]).parse().unwrap();
    assert_eq!(other.id, Some(id));
    assert_eq!(connection.domain_lookup_by_uuid(other.uuid).await.unwrap(), other);
    assert_eq!(host.virsh(["domname", &other.uuid.to_string()]), "other");
    let nobody = connection.domain_lookup_by_uuid(Uuid::from_u128(1)).await.unwrap_err();
    assert_eq!(nobody.remote().unwrap().code, ErrorCode::NoDomain);
    assert_eq!(nobody.remote().unwrap().domain, 10, "the QEMU driver's");
    host.shown(&[Procedure::DomainLookupByName, Procedure::DomainLookupByUuid]);

    assert!(!connection.domain_autostart(&vm).await.unwrap());
    connection.domain_set_autostart(&vm, true).await.unwrap();
    assert!(host.virsh(["dominfo", "vm"]).contains("Autostart:      enable"));
    assert!(connection.domain_autostart(&vm).await.unwrap());
    host.virsh(["autostart", "--disable", "vm"]);
    assert!(!connection.domain_autostart(&vm).await.unwrap());
    host.shown(&[Procedure::DomainSetAutostart, Procedure::DomainGetAutostart]);

    connection.domain_create(&vm, CreateFlags::PAUSED).await.unwrap();
    let uri = "urn:example:mark:1";
    for (word, flags) in [
        ("first", AffectFlags::LIVE | AffectFlags::CONFIG),
        ("next", AffectFlags::CONFIG),
        ("now", AffectFlags::LIVE),
    ] {
        let element = format!("<mark word='{word}'><part of='it'/></mark>");
        connection.domain_set_metadata(&vm, &element, "ex", uri, flags).await.unwrap();
        for (flag, options) in [(AffectFlags::LIVE, "--live"), (AffectFlags::CONFIG, "--config")] {
            let kept = host.sh("virsh -q metadata vm --uri urn:example:mark:1 $1", [options]);
            assert_eq!(kept.contains(&format!("word=\"{word}\"")), flags.contains(flag), "{options}: {kept}");
            assert_eq!(kept.matches("<part of=\"it\"/>").count(), 1, "{options}: {kept}");
        }
    }
    host.virsh(["destroy", "vm"]);
    host.shown(&[Procedure::DomainSetMetadata]);

    for (flags, options) in [(XmlFlags::empty(), ""), (XmlFlags::MIGRATABLE, "--migratable")] {
        let xml = connection.domain_xml_desc(&other, flags).await.unwrap();
        assert_eq!(xml.trim(), host.sh("virsh -q dumpxml other $1", [options]).trim());
    }
    host.shown(&[Procedure::DomainGetXmlDesc]);

    connection.domain_undefine(&vm, UndefineFlags::NVRAM | UndefineFlags::SNAPSHOTS_METADATA).await.unwrap();
    assert_eq!(host.virsh(["list", "--all", "--name"]), "other");
    host.shown(&[Procedure::DomainUndefineFlags]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_from_start_to_end() {
    let root = root();
    let host = Host::start(&root, &[]);
    let connection = host.connect().await;
    let vm = host.define(&connection, "vm", "").await;
    let state = || host.virsh(["domstate", "vm", "--reason"]);
    let client = async || connection.domain_state(&vm).await.unwrap();
    assert_eq!(client().await, DomainState::Shutoff(ShutoffReason::Unknown));

    let started = connection.domain_create(&vm, CreateFlags::PAUSED).await.unwrap();
    assert_eq!(started.id.map(|id| id.to_string()), Some(host.virsh(["domid", "vm"])));
    assert_eq!(state(), "paused (user)");
    assert_eq!(client().await, DomainState::Paused(PausedReason::User));
    host.shown(&[Procedure::DomainCreateWithFlags, Procedure::DomainGetState]);
    let again = connection.domain_create(&vm, CreateFlags::empty()).await.unwrap_err();
    assert_eq!(again.remote().unwrap().code, ErrorCode::OperationInvalid, "{again}");

    connection.domain_resume(&vm).await.unwrap();
    assert_eq!(state(), "running (unpaused)");
    assert_eq!(client().await, DomainState::Running(RunningReason::Unpaused));
    connection.domain_suspend(&vm).await.unwrap();
    assert_eq!(state(), "paused (user)");
    assert_eq!(client().await, DomainState::Paused(PausedReason::User));
    host.shown(&[Procedure::DomainResume, Procedure::DomainSuspend]);

    let info = connection.domain_info(&vm).await.unwrap();
    assert_eq!((info.state, info.vcpus, info.max_memory_kib), (StateNumber::Paused, 1, 32 * 1024));
    let dominfo = host.virsh(["dominfo", "vm"]);
    assert!(dominfo.contains(&format!("Max memory:     {} KiB", info.max_memory_kib)), "{dominfo}");
    assert!(dominfo.contains(&format!("Used memory:    {} KiB", info.memory_kib)), "{dominfo}");
    host.shown(&[Procedure::DomainGetInfo]);

    connection.domain_destroy(&vm, DestroyFlags::GRACEFUL).await.unwrap();
    assert_eq!(state(), "shut off (destroyed)");
    assert_eq!(client().await, DomainState::Shutoff(ShutoffReason::Destroyed));
    host.shown(&[Procedure::DomainDestroyFlags]);

    host.make_disk("brief");
    let brief = connection.domain_create_xml(&guest::domain("brief", ""), CreateFlags::PAUSED).await.unwrap();
    assert!(host.virsh(["dominfo", "brief"]).contains("Persistent:     no"));
    connection.domain_destroy(&brief, DestroyFlags::empty()).await.unwrap();
    assert_eq!(host.virsh(["list", "--all", "--name"]), "vm");
    host.shown(&[Procedure::DomainCreateXml]);
}
