//! The host, and what its libvirt says about itself.

use super::room::{Host, root};
use agent_libvirt::{DomainCapabilities, Procedure};

#[tokio::test(flavor = "multi_thread")]
async fn the_host_is_as_virsh_says() {
    let root = root();
    let host = Host::start(&root, &[]);
    let connection = host.connect().await;

    let said = host.virsh(["version", "--daemon"]);
    let version = connection.version().await.unwrap();
    assert!(said.contains(&format!("Running hypervisor: QEMU {version}")), "{version} in {said}");
    let lib_version = connection.lib_version().await.unwrap();
    assert!(said.contains(&format!("Running against daemon: {lib_version}")), "{lib_version} in {said}");
    host.shown(&[Procedure::ConnectGetVersion, Procedure::ConnectGetLibVersion]);

    assert_eq!(connection.hostname().await.unwrap(), host.virsh(["hostname"]));
    host.shown(&[Procedure::ConnectGetHostname]);
    assert_eq!(connection.capabilities().await.unwrap().trim(), host.virsh(["capabilities"]));
    host.shown(&[Procedure::ConnectGetCapabilities]);

    let text = |text: &str| Some(text.to_owned());
    let of = DomainCapabilities {
        emulator: None,
        arch: text("x86_64"),
        machine: text("q35"),
        virt_type: text("qemu"),
    };
    let virsh = host.virsh(["domcapabilities", "--arch", "x86_64", "--machine", "q35", "--virttype", "qemu"]);
    assert!(virsh.contains("<machine>pc-q35-"), "{virsh}");
    assert_eq!(connection.domain_capabilities(&of).await.unwrap().trim(), virsh);
    host.shown(&[Procedure::ConnectGetDomainCapabilities]);

    let node = connection.node_info().await.unwrap();
    let fields = [
        ("CPU model:", node.model),
        ("CPU(s):", node.cpus.to_string()),
        ("CPU socket(s):", node.sockets.to_string()),
        ("Core(s) per socket:", node.cores.to_string()),
        ("Thread(s) per core:", node.threads.to_string()),
        ("NUMA cell(s):", node.nodes.to_string()),
        ("Memory size:", format!("{} KiB", node.memory_kib)),
    ];
    // The clock changes all the time.
    let virsh: Vec<String> = host.virsh(["nodeinfo"]).lines().map(str::to_owned).collect();
    for (name, value) in fields {
        let line = virsh.iter().find_map(|line| line.strip_prefix(name)).map(str::trim);
        assert_eq!(line, Some(value.as_str()), "{name} in {virsh:?}");
    }
    host.shown(&[Procedure::NodeGetInfo]);
}
