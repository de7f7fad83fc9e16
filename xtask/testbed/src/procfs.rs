//! What /proc tells about the processes the testbed started: who descends from whom, and which of them is the
//! first of a process namespace. Reads only.

use std::fs;

/// A process, as far as the testbed asks.
struct Process {
    pid: u32,
    parent: u32,
    /// One number per nested process namespace, ours first.
    pids: Vec<u32>,
}

/// The process that is number 1 of a namespace below ours and descends from `ancestor`, if there is one yet.
/// The one nearest to `ancestor` where there are several.
pub(crate) fn first_of_namespace_below(ancestor: u32) -> Option<u32> {
    let all = processes();
    let mut generation = vec![ancestor];
    while !generation.is_empty() {
        let children: Vec<&Process> = all.iter().filter(|p| generation.contains(&p.parent)).collect();
        if let Some(first) = children.iter().find(|p| p.pids.len() > 1 && p.pids.last() == Some(&1)) {
            return Some(first.pid);
        }
        generation = children.iter().map(|p| p.pid).collect();
    }
    None
}

/// The name of the program a process runs, cut to 15 bytes by the kernel.
pub(crate) fn program(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim_end().to_owned())
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        // A process may be gone by the time we look.
        .filter_map(|pid| parse(pid, &fs::read_to_string(format!("/proc/{pid}/status")).ok()?))
        .collect()
}

fn parse(pid: u32, status: &str) -> Option<Process> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    Some(Process {
        pid,
        parent: field("PPid:")?.trim().parse().ok()?,
        pids: field("NSpid:")?.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_file_gives_parent_and_nested_numbers() {
        let process = parse(7, "Name:\tsh\nPPid:\t3\nNSpid:\t7\t4\t1\n").expect("process");
        assert_eq!((process.pid, process.parent, process.pids), (7, 3, vec![7, 4, 1]));
        assert!(parse(7, "Name:\tsh\n").is_none());
    }

    #[test]
    fn this_process_is_known_and_has_no_namespace_below() {
        assert!(program(std::process::id()).is_some());
        assert_eq!(first_of_namespace_below(u32::MAX), None);
    }
}
