//! What this host is and can do, read from the kernel each time it is asked. What cannot be read is absent.

use std::path::{Path, PathBuf};
use std::time::Instant;

use agent_protocol::host::{Accel, Agent, Cpu, Facts, Hypervisor};
use packaging_stamp::Stamp;

/// Where facts are read. Tests have a folder of their own.
#[derive(Debug, Clone)]
pub struct Sources {
    /// `/proc`.
    pub proc: PathBuf,
    /// Sockets that libvirt may listen on, the preferred one first.
    pub libvirt: Vec<PathBuf>,
}

impl Default for Sources {
    fn default() -> Self {
        Self { proc: "/proc".into(), libvirt: agent_hypervisor::libvirt::sockets() }
    }
}

/// What the hypervisor says of itself.
#[derive(Debug, Clone)]
pub struct Machines {
    /// What it is.
    pub hypervisor: Hypervisor,
    /// What `auto` means here.
    pub accel: Accel,
    /// True if there is an image of UEFI.
    pub uefi: bool,
}

/// Reads all facts. `stamp` and `started` are the running program's, `machines` the hypervisor's.
#[must_use]
pub fn read(sources: &Sources, stamp: &Stamp, started: Instant, machines: Machines) -> Facts {
    let proc = |name: &str| line(&sources.proc.join(name));
    Facts {
        agent: Agent {
            reference: stamp.value("ref").map(str::to_owned),
            commit: stamp.value("commit").map(str::to_owned),
            dirty: stamp.value("dirty") == Some("true"),
            uptime_seconds: started.elapsed().as_secs(),
        },
        host_name: proc("sys/kernel/hostname"),
        kernel: proc("sys/kernel/osrelease"),
        uptime_seconds: proc("uptime").and_then(|text| text.split('.').next()?.parse().ok()),
        cpu: cpu(&std::fs::read_to_string(sources.proc.join("cpuinfo")).unwrap_or_default()),
        memory_bytes: memory(&std::fs::read_to_string(sources.proc.join("meminfo")).unwrap_or_default()),
        libvirt_socket: sources
            .libvirt
            .iter()
            .find(|path| path.exists())
            .map(|path| path.display().to_string()),
        hypervisor: machines.hypervisor,
        accel: machines.accel,
        uefi: machines.uefi,
    }
}

fn line(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Reads the text of `/proc/cpuinfo`. Its keys differ between architectures; `processor` is common to all.
fn cpu(text: &str) -> Cpu {
    let values = |wanted: &'static str| {
        text.lines().filter_map(move |line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == wanted).then(|| value.trim())
        })
    };
    Cpu {
        model: values("model name").next().map(str::to_owned),
        count: u32::try_from(values("processor").count()).ok().filter(|count| *count > 0),
    }
}

/// Reads the text of `/proc/meminfo`, which counts in KiB and calls them kB.
fn memory(text: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machines() -> Machines {
        Machines {
            hypervisor: Hypervisor { version: Some("simulated".to_owned()), reason: None },
            accel: Accel { auto: agent_protocol::vm::Accel::Tcg, reason: "simulated".to_owned() },
            uefi: true,
        }
    }

    #[test]
    fn cpuinfo_of_intel_amd_and_arm() {
        let intel = "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu vmx sse\n\nprocessor\t: 1\nmodel name\t: Xeon\n";
        let found = cpu(intel);
        assert_eq!((found.model.as_deref(), found.count), (Some("Xeon"), Some(2)));
        // A flag that only contains the word is another flag.
        let arm = cpu("processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\n");
        assert_eq!((arm.model, arm.count), (None, Some(1)));
    }

    #[test]
    fn what_cannot_be_read_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("nowhere");
        let sources = Sources { proc: nowhere.clone(), libvirt: vec![nowhere] };
        let facts = read(&sources, &Stamp::new(None, None, None), Instant::now(), machines());
        assert_eq!((facts.host_name, facts.kernel, facts.uptime_seconds), (None, None, None));
        assert_eq!((facts.cpu.count, facts.memory_bytes, facts.libvirt_socket), (None, None, None));
    }

    #[test]
    fn facts_are_read_from_the_sources() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        put("sys/kernel/hostname", "node1\n");
        put("sys/kernel/osrelease", "6.1.0\n");
        put("uptime", "86400.12 1.0\n");
        put("meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\n");
        let sources = Sources {
            proc: folder.path().to_owned(),
            libvirt: vec![folder.path().join("none"), put("libvirt-sock", "")],
        };
        let stamp = Stamp::new(Some("0.9"), Some("0123abcd"), Some("true"));
        let facts = read(&sources, &stamp, Instant::now(), machines());
        assert_eq!((facts.agent.reference.as_deref(), facts.agent.dirty), (Some("0.9"), true));
        assert_eq!((facts.host_name.as_deref(), facts.kernel.as_deref()), (Some("node1"), Some("6.1.0")));
        assert_eq!((facts.uptime_seconds, facts.memory_bytes), (Some(86400), Some(16 << 20)));
        assert!(facts.libvirt_socket.unwrap().ends_with("libvirt-sock"));
    }

    #[test]
    fn this_very_host_has_facts() {
        let facts = read(&Sources::default(), &Stamp::new(None, None, None), Instant::now(), machines());
        assert!(facts.kernel.is_some() && facts.cpu.count.is_some() && facts.memory_bytes.is_some());
    }
}
