//! What a program takes, with all processes that it starts: its processor time, the time that passes, memory, and room on the
//! disk.
//!
//! Each program is started by a process of its own (`bench measure`), so that what the system counts for children is that
//! program's alone.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde::{Deserialize, Serialize};

use crate::cli::BenchMeasure;

/// How often it is looked how much lies in the folders. What is there for less may be missed.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What one run took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds of user and system time of the program and of all that it waited for.
    pub cpu_s: f64,
    /// Seconds that passed.
    pub wall_s: f64,
    /// Most memory that any one of its processes had at a time, in bytes. Hardly ever less than `memory_floor_bytes`.
    pub memory_bytes: u64,
    /// What the measuring process itself has: the system counts it for what it starts.
    pub memory_floor_bytes: u64,
    /// Most bytes on disk by which the watched folders grew at any time that was looked at. Of one that makes a file, what is
    /// above the room of that file.
    pub scratch_bytes: u64,
    /// Bytes of the file that it made, if it makes one.
    pub size_bytes: Option<u64>,
    /// How it ended; nothing for a signal.
    #[serde(skip_serializing)]
    pub code: Option<i32>,
}

/// Runs the program and writes the [`Sample`] down.
///
/// # Errors
/// If it cannot be started.
pub fn command(args: &BenchMeasure) -> Result<()> {
    let (program, words) = args.command.split_first().context("there is no program to run")?;
    let memory_floor_bytes = own_peak()?;
    let before = growth_base(args);
    let (sender, ended) = channel::<()>();
    let (grown, wall, status) = std::thread::scope(|scope| {
        let watcher = scope.spawn(move || {
            let mut most = 0;
            loop {
                let end = ended.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout);
                most = most.max(growth_base(args).saturating_sub(before));
                if end {
                    return most;
                }
            }
        });
        let start = Instant::now();
        let status = Command::new(program).args(words).stdin(Stdio::null()).status();
        let wall = start.elapsed();
        drop(sender);
        (watcher.join().unwrap_or_default(), wall, status)
    });
    let status = status.with_context(|| format!("cannot run `{}`", Path::new(program).display()))?;
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = used.user_time().num_microseconds() + used.system_time().num_microseconds();
    let sample = serde_json::json!({
        "cpu_s": micros as f64 / 1e6,
        "wall_s": wall.as_secs_f64(),
        "memory_bytes": used.max_rss() * 1024,
        "memory_floor_bytes": memory_floor_bytes,
        "scratch_bytes": grown,
        "size_bytes": null,
        "code": status.code(),
    });
    fs::write(&args.report, sample.to_string())
        .with_context(|| format!("cannot write `{}`", args.report.display()))
}

/// Bytes on disk of all files in the watched folders.
fn growth_base(args: &BenchMeasure) -> u64 {
    args.grows.iter().map(|folder| on_disk(folder, &args.except)).sum()
}

/// What vanishes while it is looked at counts for nothing.
fn on_disk(folder: &Path, except: &[PathBuf]) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let of = |entry: fs::DirEntry| {
        let path = entry.path();
        match entry.metadata() {
            _ if except.contains(&path) => 0,
            Ok(metadata) if metadata.is_dir() => on_disk(&path, except),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        }
    };
    entries.flatten().map(of).sum()
}

/// The most memory that this process has had, in bytes.
fn own_peak() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = kib.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.context("the system does not say how much memory this process has")? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(script: &str, folder: &Path, except: &[PathBuf]) -> Sample {
        let report = folder.with_extension("json");
        let command = ["sh", "-c", script].map(std::ffi::OsString::from).to_vec();
        let args = BenchMeasure {
            report: report.clone(),
            grows: vec![folder.to_owned()],
            except: except.to_vec(),
            command,
        };
        super::command(&args).unwrap();
        serde_json::from_slice(&fs::read(report).unwrap()).unwrap()
    }

    #[test]
    fn what_grows_counts_and_what_is_left_out_does_not() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("grows");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("before"), vec![1; 1 << 20]).unwrap();
        let write = |name: &str| format!("head -c 3000000 /dev/zero > {}", folder.join(name).display());
        let result = folder.join("result");
        let sample = measured(&write("result"), &folder, std::slice::from_ref(&result));
        assert_eq!((sample.scratch_bytes, sample.code), (0, Some(0)));
        let sample = measured(&format!("{}; exit 3", write("scratch")), &folder, &[result]);
        assert!(sample.scratch_bytes >= 3_000_000 && sample.code == Some(3), "{sample:?}");
        assert!(
            sample.memory_bytes > 0 && sample.memory_floor_bytes > 0 && sample.wall_s > 0.0,
            "{sample:?}"
        );
    }

    #[test]
    fn the_time_of_processes_below_the_program_counts() {
        let outer = tempfile::tempdir().unwrap();
        let busy = "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done";
        let sample = measured(&format!("sh -c '{busy}'; true"), &outer.path().join("none"), &[]);
        assert!(sample.cpu_s > 0.0, "{sample:?}");
    }
}
