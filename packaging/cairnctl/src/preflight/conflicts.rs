//! Services of others that want what Cairn wants: the host's libvirt, its virtual machines, its bridges. Which run is read from
//! systemd's own record of what it has started; without systemd nothing is known.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::Subject;
use super::report::Finding;

/// Services that manage virtual machines of a host, and whose they are.
const OTHERS: [(&str, &str); 13] = [
    ("cloudstack-agent", "CloudStack"),
    ("cloudstack-management", "CloudStack"),
    ("zstack-kvmagent", "ZStack"),
    ("zstack-server", "ZStack"),
    ("nova-compute", "OpenStack"),
    ("openstack-nova-compute", "OpenStack"),
    ("vdsmd", "oVirt"),
    ("pvedaemon", "Proxmox VE"),
    ("opennebula", "OpenNebula"),
    ("opennebula-node", "OpenNebula"),
    ("incus", "Incus"),
    ("lxd", "LXD"),
    ("xend", "Xen"),
];

/// Daemons of libvirt of which one is enough, in the older and the newer arrangement.
const LIBVIRT: [&str; 2] = ["libvirtd", "virtqemud"];

/// Where systemd notes each unit that it has started.
const STARTED: &str = "/run/systemd/units";

/// Whether somebody else manages this host.
pub(super) fn check(_: &Subject) -> Vec<Finding> {
    vec![finding(&running(Path::new(STARTED)))]
}

fn finding(running: &BTreeSet<String>) -> Finding {
    let is_running = |name: &str| running.contains(name);
    let found: Vec<(&str, &str)> = OTHERS.into_iter().filter(|(name, _)| is_running(name)).collect();
    if !found.is_empty() {
        let seen: Vec<String> = found.iter().map(|(name, product)| format!("`{name}` ({product})")).collect();
        let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        return Finding::warn(
            format!("{} runs here, and manages virtual machines as Cairn does", seen.join(", ")),
            format!("run `systemctl disable --now {}`, or take another host", names.join(" ")),
        );
    }
    if LIBVIRT.iter().all(|name| is_running(name)) {
        return Finding::warn(
            "`libvirtd` and `virtqemud` both run, and each takes the host's virtual machines for its own",
            "run `systemctl disable --now libvirtd libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket`",
        );
    }
    Finding::pass("no other service that manages virtual machines runs")
}

/// Services that systemd has started, without `.service`. An entry is a link called `invocation:UNIT`.
fn running(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name();
            Some(name.to_str()?.strip_prefix("invocation:")?.strip_suffix(".service")?.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::report::State;
    use super::*;

    #[test]
    fn services_of_others_are_named_with_what_they_belong_to() {
        let folder = tempfile::tempdir().unwrap();
        let start = |unit: &str| {
            std::os::unix::fs::symlink("0123", folder.path().join(format!("invocation:{unit}"))).unwrap();
        };
        assert_eq!(finding(&running(&folder.path().join("none"))).state, State::Pass);
        for unit in ["ssh.service", "libvirtd.service", "nova-compute.socket", "cairn-agent.service"] {
            start(unit);
        }
        assert_eq!(finding(&running(folder.path())).state, State::Pass);
        start("virtqemud.service");
        assert!(finding(&running(folder.path())).evidence.contains("both run"));
        start("cloudstack-agent.service");
        start("nova-compute.service");
        let found = finding(&running(folder.path()));
        assert_eq!(found.state, State::Warn);
        assert!(
            found.evidence.starts_with("`cloudstack-agent` (CloudStack), `nova-compute` (OpenStack) runs")
        );
        assert!(found.remedy.unwrap().contains("disable --now cloudstack-agent nova-compute`"));
    }
}
