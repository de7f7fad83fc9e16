//! Which processes listen on a TCP port, from `/proc`: the kernel's table names a socket by its inode, and a process that
//! holds it has a descriptor of that name. Without root, other people's processes are not seen.

use std::fs;
use std::path::{Path, PathBuf};

/// The state of a listening socket in the kernel's table.
const LISTEN: &str = "0A";

/// A process that holds a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// Its process id.
    pub(super) pid: u32,
    /// Its name, which is cut at 15 bytes by the kernel.
    pub(super) name: String,
    /// Its program, as far as this run may know.
    pub(super) program: Option<PathBuf>,
}

/// The processes below `proc` (that is `/proc`) that listen on `port`, by process id.
pub(super) fn holders(proc: &Path, port: u16) -> Vec<Holder> {
    let tables =
        ["net/tcp", "net/tcp6"].map(|table| fs::read_to_string(proc.join(table)).unwrap_or_default());
    let inodes: Vec<u64> = tables.iter().flat_map(|table| listening(table, port)).collect();
    if inodes.is_empty() {
        return Vec::new();
    }
    let names: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let Ok(entries) = fs::read_dir(proc) else { return Vec::new() };
    let mut pids: Vec<u32> = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids.into_iter()
        .filter(|pid| holds(&proc.join(pid.to_string()), &names))
        .map(|pid| holder(proc, pid))
        .collect()
}

fn holds(process: &Path, names: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    descriptors
        .flatten()
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .any(|target| names.iter().any(|name| target.as_os_str() == name.as_str()))
}

fn holder(proc: &Path, pid: u32) -> Holder {
    let process = proc.join(pid.to_string());
    let name = fs::read(process.join("comm")).unwrap_or_default();
    Holder {
        pid,
        name: String::from_utf8_lossy(&name).trim_end().to_owned(),
        program: fs::read_link(process.join("exe")).ok(),
    }
}

/// The inodes of the sockets that listen on `port` in one table, `/proc/net/tcp` or `tcp6`. Of its columns the second is
/// the local address with the port behind a colon, the fourth the state, the tenth the inode.
fn listening(table: &str, port: u16) -> Vec<u64> {
    let port = format!("{port:04X}");
    table
        .lines()
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let (_, local) = columns.get(1)?.rsplit_once(':')?;
            let found = local == port && *columns.get(3)? == LISTEN;
            found.then(|| columns.get(9)?.parse().ok()).flatten()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_read() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:20FB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000
   1: 0100007F:20FB 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000
   2: 00000000000000000000000000000000:1B9E 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 4713 1
   3: cut off
";
        assert_eq!(listening(table, 8443), [4711]);
        assert_eq!(listening(table, 7070), [4713]);
        assert_eq!(listening(table, 0xA1B2), [] as [u64; 0]);
    }
}
