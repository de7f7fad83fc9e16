//! Devices that come and go, and what is told of it.

use super::room::{Host, event, root, within};
use agent_libvirt::{
    CreateFlags, DeviceFlags, ErrorCode, Event, EventKind, Procedure, StatsGroups, TrayReason, TypedValue,
};
use std::time::Duration;
use xtask_testbed::guest::image;

const CD: &str = "<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/><readonly/></disk>
                  <controller type='usb' model='piix3-uhci'/>";

/// A stick: unlike a PCI device, it can be pulled without the guest's help.
const STICK: &str = "<disk type='file' device='disk'><driver name='qemu' type='raw'/>
    <source file='/var/lib/libvirt/images/stick.raw'/><target dev='sda' bus='usb'/></disk>";

#[tokio::test(flavor = "multi_thread")]
async fn devices_come_and_go() {
    let root = root();
    let host = Host::start(&root, &[]);
    let connection = host.connect().await;
    let kinds = [EventKind::DeviceAdded, EventKind::DeviceRemoved, EventKind::TrayChange];
    let mut events = connection.subscribe(&kinds).await.unwrap();
    let vm = host.define(&connection, "vm", CD).await;
    host.make_disk("stick");
    host.make_disk("cd");
    let vm = connection.domain_create(&vm, CreateFlags::PAUSED).await.unwrap();

    let both = DeviceFlags::LIVE | DeviceFlags::CONFIG;
    connection.domain_attach_device(&vm, STICK, both).await.unwrap();
    let stick = image("stick");
    for which in ["", "--inactive"] {
        let disks = host.sh("virsh -q domblklist vm $1", [which]);
        assert!(disks.lines().any(|line| line.contains("sda") && line.contains(&stick)), "{disks}");
    }
    let added = event(&mut events, |event| matches!(event.event, Event::DeviceAdded { .. })).await;
    let Event::DeviceAdded { dev_alias } = &added.event else { unreachable!() };
    assert!(host.virsh(["dumpxml", "vm"]).contains(&format!("<alias name='{dev_alias}'/>")), "{dev_alias}");
    let again = connection.domain_attach_device(&vm, STICK, DeviceFlags::LIVE).await.unwrap_err();
    assert_eq!(again.remote().unwrap().code, ErrorCode::XmlError, "{again}");
    host.shown(&[Procedure::DomainAttachDeviceFlags, Procedure::DomainEventCallbackDeviceAdded]);

    let stats = connection.all_domain_stats(std::slice::from_ref(&vm), StatsGroups::BLOCK).await.unwrap();
    assert_eq!(stats[0].value("block.count").and_then(TypedValue::as_u64), Some(3));
    assert!(host.virsh(["domstats", "vm", "--block"]).contains("block.count=3"));
    assert_eq!(stats[0].value("block.0.name"), Some(&TypedValue::String("vda".to_owned())));

    connection.domain_detach_device(&vm, STICK, both).await.unwrap();
    let gone = |event: &agent_libvirt::DomainEvent| matches!(&event.event, Event::DeviceRemoved { dev_alias: alias } if alias == dev_alias);
    event(&mut events, gone).await;
    assert!(!host.virsh(["domblklist", "vm"]).contains(&stick));
    assert!(!host.virsh(["domblklist", "vm", "--inactive"]).contains(&stick));
    host.shown(&[Procedure::DomainDetachDeviceFlags, Procedure::DomainEventCallbackDeviceRemoved]);

    let cd = format!(
        "<disk type='file' device='cdrom'><source file='{}'/><target dev='hdc' bus='ide'/><readonly/></disk>",
        image("cd")
    );
    connection.domain_update_device(&vm, &cd, DeviceFlags::LIVE).await.unwrap();
    assert!(host.virsh(["domblklist", "vm"]).contains(&image("cd")));

    host.virsh(["change-media", "vm", "hdc", "--eject", "--live"]);
    let tray = event(&mut events, |event| matches!(event.event, Event::TrayChange { .. })).await;
    assert!(
        matches!(&tray.event, Event::TrayChange { dev_alias, .. } if dev_alias == "ide0-1-0"),
        "{tray:?}"
    );
    let opened = |event: &agent_libvirt::DomainEvent| {
        matches!(event.event, Event::TrayChange { reason: TrayReason::Open, .. })
    };
    if !opened(&tray) {
        event(&mut events, opened).await;
    }
    // Inserting may move the tray, too: its event may have come at any time since.
    host.shown(&[Procedure::DomainUpdateDeviceFlags, Procedure::DomainEventCallbackTrayChange]);

    // Firmware resets the drive's channel, which closes the tray, and QEMU says nothing of it. Libvirt looks when the domain is
    // described for another host.
    let open = || host.virsh(["dumpxml", "vm"]).contains("tray='open'");
    let eject = r#"{"execute": "blockdev-open-tray", "arguments": {"id": "ide0-1-0"}}"#;
    host.virsh(["qemu-monitor-command", "vm", eject]);
    within(async {
        while !open() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    for bits in ["4", "0"] {
        host.virsh(["qemu-monitor-command", "vm", "--hmp", &format!("o /b 0x376 {bits}")]);
    }
    assert!(open());
    let refused = connection.domain_update_device(&vm, &cd, DeviceFlags::LIVE).await.unwrap_err();
    assert!(refused.to_string().contains("is not open"), "{refused}");
    let there = connection.domain_migrate_begin(&vm).await.unwrap();
    assert!(there.contains("<name>vm</name>") && !there.contains("tray='open'"), "{there}");
    assert!(!open());
    assert_eq!(host.virsh(["domjobinfo", "vm"]).split_whitespace().last(), Some("None"));
    connection.domain_update_device(&vm, &cd, DeviceFlags::LIVE).await.unwrap();
    assert!(host.virsh(["domblklist", "vm"]).contains(&image("cd")));
    host.shown(&[Procedure::DomainMigrateBegin3]);
}
