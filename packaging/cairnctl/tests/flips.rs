//! Damage, by enumeration: the real stub and the real helper around a small payload, with every bit of the stub flipped
//! under each shell, and behind it random flips, cuts at member borders and an appended byte.
//!
//! Each altered file is asked to install itself, and in the full run to check itself too. It must end by itself with a code other than 0 (2 for damage behind
//! the stub), say nothing like "ok", and leave nothing outside its scratch folder. The work is cut into slices; each runs
//! in a process of its own, in namespaces of its own, in a root that holds little more than a shell.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

#[path = "flips/archive.rs"]
mod archive;
#[path = "flips/cell.rs"]
mod cell;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use cell::{Cell, Change, Expect, Shell};
use packaging_archive::{Archive, TRAILER_BYTES};

/// Bits that one process works through.
const SLICE: u64 = 2048;

/// Seed of the random flips: the same ones every time.
const SEED: u64 = 0x0ca1_4217;

#[test]
fn no_flipped_bit_of_the_stub_goes_through() {
    let folder = tempfile::tempdir().unwrap();
    let file = archive::small(folder.path());
    let bits = Archive::open(&file).unwrap().trailer().stub_bytes * 8;
    let mut slices = VecDeque::new();
    let full = std::env::var_os("CAIRN_TEST_FULL").is_some();
    let asked = if full { &[Expect::Refusal, Expect::CheckRefusal][..] } else { &[Expect::Refusal] };
    for shell in Shell::ALL {
        for &expect in asked {
            let starts = (0..bits).step_by(SLICE as usize);
            slices.extend(starts.map(|from| (shell, expect, from..(from + SLICE).min(bits))));
        }
    }
    let flips = |range: std::ops::Range<u64>| range.map(|bit| Change::Flip { bit }).collect::<Vec<_>>();
    let jobs = slices.into_iter().map(|(shell, expect, range)| (shell, expect, flips(range)));
    let runs = in_cells(&file, jobs.collect());
    assert_eq!(runs, bits as usize * Shell::ALL.len() * asked.len(), "every bit under every shell");
}

#[test]
fn damage_behind_the_stub_is_called_damage() {
    let folder = tempfile::tempdir().unwrap();
    let file = archive::small(folder.path());
    let changes = changes_behind_the_stub(&file);
    for change in &changes {
        let altered = folder.path().join("altered.run");
        change.write(&file, &altered);
        let verified = Command::new(archive::helper()).arg("verify").arg(&altered).output().unwrap();
        assert_eq!(verified.status.code(), Some(2), "cairnctl verify, {change:?}");
        let read = Archive::open(&altered).and_then(|archive| archive.verify_contents(&mut |_| ()));
        assert!(read.unwrap_err().is_damage(), "the reader, {change:?}");
    }
    let jobs = Shell::ALL
        .into_iter()
        .flat_map(|shell| changes.chunks(64).map(move |chunk| (shell, Expect::Damage, chunk.to_vec())));
    assert_eq!(in_cells(&file, jobs.collect()), changes.len() * Shell::ALL.len());
}

#[test]
fn the_unaltered_file_installs_in_the_same_cell() {
    let folder = tempfile::tempdir().unwrap();
    let file = archive::small(folder.path());
    let jobs = Shell::ALL.into_iter().map(|shell| (shell, Expect::Success, vec![Change::None]));
    assert_eq!(in_cells(&file, jobs.collect()), Shell::ALL.len(), "the other tests would pass without it");
}

fn changes_behind_the_stub(file: &Path) -> Vec<Change> {
    let archive = Archive::open(file).unwrap();
    let (trailer, manifest) = (archive.trailer(), archive.manifest());
    let mut state = SEED;
    let mut random = || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let behind = (trailer.file_bytes - trailer.stub_bytes) * 8;
    let mut changes: Vec<Change> =
        (0..300).map(|_| Change::Flip { bit: trailer.stub_bytes * 8 + random() % behind }).collect();
    let data = trailer.stub_bytes + trailer.head_bytes;
    let mut borders = vec![trailer.stub_bytes, data, trailer.file_bytes - TRAILER_BYTES as u64];
    borders.extend(manifest.members.iter().map(|member| data + member.offset + member.size));
    for border in borders {
        changes.extend([border - 1, border, border + 1].map(|bytes| Change::Cut { bytes }));
    }
    changes.push(Change::Cut { bytes: trailer.file_bytes - 1 });
    changes.push(Change::Append);
    changes
}

type Job = (Shell, Expect, Vec<Change>);

/// Runs the jobs, as many at once as there are processors, and returns how many altered files were run.
fn in_cells(file: &Path, jobs: VecDeque<Job>) -> usize {
    let jobs = Mutex::new(jobs);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let work = || {
            let (mut runs, mut faults) = (0, String::new());
            loop {
                let next = jobs.lock().unwrap().pop_front();
                let Some((shell, expect, changes)) = next else { return (runs, faults) };
                match in_cell(file, shell, expect, &changes) {
                    Ok(count) => runs += count,
                    Err(what) => {
                        // At once: the rest takes minutes.
                        eprintln!("{what}");
                        faults += &what;
                    }
                }
            }
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().map(|worker| worker.join().unwrap());
        let (runs, faults) =
            results.fold((0, String::new()), |sum, (runs, faults)| (sum.0 + runs, sum.1 + faults.as_str()));
        assert!(faults.is_empty(), "{faults}");
        runs
    })
}

/// Runs this test program again in new namespaces, where [`inside`] does the job.
fn in_cell(file: &Path, shell: Shell, expect: Expect, changes: &[Change]) -> Result<usize, String> {
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job");
    std::fs::write(&job, cell::encode(file, shell, expect, changes)).unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "inside", "--nocapture", "--include-ignored"])
        .env(cell::ENV_JOB, &job)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let ran = said.lines().find_map(|line| line.strip_prefix("ran ")?.parse().ok());
    match ran {
        Some(ran) if output.status.success() => Ok(ran),
        _ => Err(format!("{shell:?}:\n{said}{}\n", String::from_utf8_lossy(&output.stderr))),
    }
}

/// What runs in a cell. Called by nobody else it has nothing to do.
#[test]
fn inside() {
    let Some(job) = std::env::var_os(cell::ENV_JOB) else { return };
    let (file, shell, expect, changes) = cell::decode(&std::fs::read_to_string(PathBuf::from(job)).unwrap());
    let mut cell = Cell::new(&file, shell);
    let faults: Vec<String> = changes.iter().filter_map(|change| cell.try_out(change, expect)).collect();
    assert!(faults.is_empty(), "{} of {} went wrong:\n{}", faults.len(), changes.len(), faults.join("\n"));
    println!("\nran {}", changes.len());
}
