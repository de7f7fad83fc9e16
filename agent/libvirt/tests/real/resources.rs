//! Memory, processors and network interfaces.

use super::room::{Host, root, within};
use agent_libvirt::{
    AddressSource, CreateFlags, ErrorCode, Interface, InterfaceAddress, MemoryFlags, MemoryStatisticTag,
    Procedure, StatsGroups, TypedValue, VcpuFlags,
};
use xtask_testbed::Device;

/// The firmware boots from it: it asks for an address.
const NIC: &str = "<interface type='network'><source network='default'/><mac address='52:54:00:00:00:07'/>
                   <target dev='tap7'/><boot order='1'/></interface>";

/// What libvirt's helper of its DHCP server would write.
const LEASES: &str = r#"[{"ip-address": "192.168.122.7", "mac-address": "52:54:00:00:00:07", "hostname": "vm",
                         "expiry-time": 4102444800}]"#;

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_processors_are_set() {
    let root = root();
    let host = Host::start(&root, &[]);
    let connection = host.connect().await;
    let vm = host.define(&connection, "vm", "").await;

    connection.domain_set_memory(&vm, 96 << 10, MemoryFlags::CONFIG | MemoryFlags::MAXIMUM).await.unwrap();
    connection.domain_set_memory(&vm, 64 << 10, MemoryFlags::CONFIG).await.unwrap();
    assert_eq!(connection.domain_max_memory(&vm).await.unwrap(), 96 << 10);
    let info = host.virsh(["dominfo", "vm"]);
    assert!(
        info.contains("Max memory:     98304 KiB") && info.contains("Used memory:    65536 KiB"),
        "{info}"
    );
    host.shown(&[Procedure::DomainSetMemoryFlags, Procedure::DomainGetMaxMemory]);

    connection.domain_set_vcpus(&vm, 3, VcpuFlags::CONFIG | VcpuFlags::MAXIMUM).await.unwrap();
    connection.domain_set_vcpus(&vm, 2, VcpuFlags::CONFIG).await.unwrap();
    assert_eq!(host.virsh(["vcpucount", "vm", "--maximum", "--config"]), "3");
    assert_eq!(host.virsh(["vcpucount", "vm", "--current", "--config"]), "2");
    assert_eq!(connection.domain_vcpus(&vm, VcpuFlags::CONFIG | VcpuFlags::MAXIMUM).await.unwrap(), 3);
    assert_eq!(connection.domain_vcpus(&vm, VcpuFlags::CONFIG).await.unwrap(), 2);
    host.shown(&[Procedure::DomainSetVcpusFlags, Procedure::DomainGetVcpusFlags]);
    let off = connection.domain_vcpus(&vm, VcpuFlags::LIVE).await.unwrap_err();
    assert_eq!(off.remote().unwrap().code, ErrorCode::OperationInvalid, "{off}");

    connection.domain_create(&vm, CreateFlags::PAUSED).await.unwrap();
    let stats = connection.domain_memory_stats(&vm).await.unwrap();
    let balloon = stats.iter().find(|one| one.tag == MemoryStatisticTag::ActualBalloon).unwrap();
    let rss = stats.iter().find(|one| one.tag == MemoryStatisticTag::Rss).unwrap();
    let virsh = host.virsh(["dommemstat", "vm"]);
    assert!(virsh.contains(&format!("actual {}", balloon.value)), "{balloon:?} in {virsh}");
    assert!(virsh.contains("rss ") && rss.value > 1024, "{rss:?} in {virsh}");
    host.shown(&[Procedure::DomainMemoryStats]);

    let groups = StatsGroups::STATE | StatsGroups::VCPU | StatsGroups::BALLOON | StatsGroups::CPU_TOTAL;
    let stats = connection.all_domain_stats(&[], groups).await.unwrap();
    assert_eq!((stats.len(), stats[0].domain.uuid), (1, vm.uuid));
    let virsh = host.virsh(["domstats", "--state", "--vcpu", "--balloon"]);
    for field in ["state.state", "state.reason", "vcpu.current", "vcpu.maximum", "balloon.maximum"] {
        let value = stats[0].value(field).and_then(TypedValue::as_u64).expect(field);
        assert!(virsh.contains(&format!("{field}={value}")), "{field}={value} in {virsh}");
    }
    host.shown(&[Procedure::ConnectGetAllDomainStats]);
}

#[tokio::test(flavor = "multi_thread")]
async fn interfaces_are_as_virsh_says() {
    let root = root();
    let host = Host::start(&root, &[Device::Tun.into()]);
    let connection = host.connect().await;
    let vm = host.define(&connection, "vm", NIC).await;
    host.virsh(["net-start", "default"]);
    host.write("/var/lib/libvirt/dnsmasq/virbr0.status", LEASES);
    connection.domain_create(&vm, CreateFlags::PAUSED).await.unwrap();

    let interfaces = connection.domain_interface_addresses(&vm, AddressSource::Lease).await.unwrap();
    let addrs = vec![InterfaceAddress { addr: "192.168.122.7".to_owned(), prefix: 24 }];
    let hwaddr = Some("52:54:00:00:00:07".to_owned());
    assert_eq!(interfaces, [Interface { name: "tap7".to_owned(), hwaddr, addrs }]);
    let virsh = host.virsh(["domifaddr", "vm", "--source", "lease"]);
    assert!(virsh.contains("tap7") && virsh.contains("192.168.122.7/24"), "{virsh}");
    host.shown(&[Procedure::DomainInterfaceAddresses]);

    // Once frames have gone both ways, it stands still, and so do all numbers.
    connection.domain_resume(&vm).await.unwrap();
    within(async {
        loop {
            let stats = connection.domain_interface_stats(&vm, "tap7").await.unwrap();
            if stats.rx_packets > 0 && stats.tx_packets > 0 {
                return;
            }
        }
    })
    .await;
    connection.domain_suspend(&vm).await.unwrap();
    let stats = connection.domain_interface_stats(&vm, "tap7").await.unwrap();
    let virsh = host.virsh(["domifstat", "vm", "tap7"]);
    let said: Vec<String> = virsh.lines().map(|line| line.trim().to_owned()).collect();
    let counted = [
        ("rx_bytes", stats.rx_bytes),
        ("rx_packets", stats.rx_packets),
        ("rx_errs", stats.rx_errs),
        ("rx_drop", stats.rx_drop),
        ("tx_bytes", stats.tx_bytes),
        ("tx_packets", stats.tx_packets),
        ("tx_errs", stats.tx_errs),
        ("tx_drop", stats.tx_drop),
    ];
    assert_eq!(said, counted.map(|(name, value)| format!("tap7 {name} {value}")));
    // Zeros would fit in any order.
    let told = [stats.rx_bytes, stats.rx_packets, stats.tx_bytes, stats.tx_packets];
    assert!(told.iter().all(|value| *value > 0), "{stats:?}");
    host.shown(&[Procedure::DomainInterfaceStats]);
}
