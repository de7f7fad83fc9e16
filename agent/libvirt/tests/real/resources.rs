//! Memory, processors and network interfaces.

use super::room::{Host, root};
use agent_libvirt::{
    AddressSource, CreateFlags, ErrorCode, Interface, InterfaceAddress, MemoryFlags, MemoryStatisticTag,
    Procedure, StatsGroups, TypedValue, VcpuFlags,
};
use xtask_testbed::Device;

const NIC: &str = "<interface type='network'><source network='default'/><mac address='52:54:00:00:00:07'/>
                   <target dev='tap7'/></interface>";

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

    let stats = connection.domain_interface_stats(&vm, "tap7").await.unwrap();
    let virsh = host.virsh(["domifstat", "vm", "tap7"]);
    assert!(virsh.contains(&format!("rx_errs {}", stats.rx_errs)), "{stats:?} in {virsh}");
    assert!(virsh.contains(&format!("tx_bytes {}", stats.tx_bytes)), "{stats:?} in {virsh}");
    host.shown(&[Procedure::DomainInterfaceStats]);
}
