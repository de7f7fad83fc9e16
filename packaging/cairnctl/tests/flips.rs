//! Damage, by enumeration: the real stub and the real helper around a small payload, with every bit of the stub
//! flipped, and behind it random flips, cuts at member borders and an appended byte.
//!
//! Each altered file is asked to install itself. It must end by itself with a code other than 0 (2 for damage
//! behind the stub), say nothing like "ok", and leave nothing outside its scratch folder. The work is cut into
//! slices; each runs in a process of its own, in namespaces of its own, in a root that holds little more than a
//! shell.
//!
//! With `CAIRN_TEST_FULL`, which `cargo xtask test --full` sets, every bit of all 4096 bytes is tried under each
//! shell, and each file is asked to check itself too. Without it every byte of every line is tried with one bit of it flipped,
//! another one than in its neighbours; the shells take turns, and a quicker program stands in the place of gzip unless the line names
//! that. Of the line feeds behind the last line, which fill the stub up, some are tried: a shell reads
//! a line when those before it are done, and the last one, the call of `main`, ends the script.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

#[path = "flips/archive.rs"]
mod archive;
#[path = "flips/cell.rs"]
mod cell;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use cell::{Cell, Change, Expect, Gzip, Job, Shell};
use packaging_archive::{Archive, TRAILER_BYTES};

/// Altered files that one process works through.
const SLICE: usize = 512;

/// Of the bits behind the last line, which no shell comes to, one in so many is tried: a prime, so that all places in a
/// byte have their turn.
const UNREAD_STEP: usize = 61;

/// Seed of the random flips: the same ones every time.
const SEED: u64 = 0x0ca1_4217;

/// Whether to take the time that all of it takes.
fn full() -> bool {
    std::env::var_os("CAIRN_TEST_FULL").is_some()
}

#[test]
fn no_flipped_bit_of_the_stub_goes_through() {
    let folder = tempfile::tempdir().unwrap();
    let file = archive::small(folder.path());
    let stub_bytes = Archive::open(&file).unwrap().trailer().stub_bytes;
    let stub = std::fs::read(&file).unwrap()[..stub_bytes as usize].to_vec();
    let bits = stub_bytes * 8;
    let mut jobs = VecDeque::new();
    let mut add = |shell, gzip, expect, bits: Vec<u64>| {
        for slice in bits.chunks(SLICE) {
            let changes = slice.iter().map(|&bit| Change::Flip { bit }).collect();
            jobs.push_back(Job { shell, gzip, expect, changes });
        }
    };
    for shell in Shell::ALL {
        if full() {
            for expect in [Expect::Refusal, Expect::CheckRefusal] {
                add(shell, Gzip::Real, expect, (0..bits).collect());
            }
            continue;
        }
        let read = lines_bytes(&stub) * 8;
        let (named, others) =
            (0..read).filter(|&bit| has_turn(bit, shell)).partition(|&bit| names_gzip(&stub, bit));
        add(shell, Gzip::Real, Expect::Refusal, named);
        add(shell, Gzip::Quick, Expect::Refusal, others);
        add(shell, Gzip::Quick, Expect::Refusal, (read..bits).step_by(UNREAD_STEP).collect());
    }
    let wanted: usize = jobs.iter().map(|job| job.changes.len()).sum();
    assert_eq!(in_cells(&file, jobs), wanted);
}

/// How many bytes of the stub are lines. Behind the last of them there are only line feeds.
fn lines_bytes(stub: &[u8]) -> u64 {
    let last = b"\nmain \"$@\"\n";
    let at = stub.windows(last.len()).position(|window| window == last).expect("the line that calls `main`");
    let bytes = at + last.len();
    assert!(stub[bytes..].iter().all(|&byte| byte == b'\n'), "something follows the call of `main`");
    bytes as u64
}

/// Whether the bit is in a line in which `gzip` stands.
fn names_gzip(stub: &[u8], bit: u64) -> bool {
    let (before, behind) = stub.split_at((bit / 8) as usize);
    let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let end = before.len() + behind.iter().position(|&byte| byte == b'\n').unwrap_or(behind.len());
    stub[start..end].windows(4).any(|word| word == b"gzip")
}

/// Whether a byte is tried under this shell, and with this bit of it.
fn has_turn(bit: u64, shell: Shell) -> bool {
    let place = Shell::ALL.iter().position(|&other| other == shell).expect("one of them") as u64;
    let (byte, shells) = (bit / 8, Shell::ALL.len() as u64);
    // Five is prime to eight: of eight bytes in a row that a shell reads, each has another bit tried.
    byte % shells == place && (byte / shells * 5 + place * 3) % 8 == bit % 8
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
    let job = |shell, slice: &[Change]| Job {
        shell,
        gzip: Gzip::Real,
        expect: Expect::Damage,
        changes: slice.to_vec(),
    };
    let jobs =
        Shell::ALL.into_iter().flat_map(|shell| changes.chunks(64).map(move |slice| job(shell, slice)));
    assert_eq!(in_cells(&file, jobs.collect()), changes.len() * Shell::ALL.len());
}

#[test]
fn the_unaltered_file_installs_in_the_same_cell() {
    let folder = tempfile::tempdir().unwrap();
    let file = archive::small(folder.path());
    let job = |shell, gzip| Job { shell, gzip, expect: Expect::Success, changes: vec![Change::None] };
    let jobs = Shell::ALL.into_iter().flat_map(|shell| [job(shell, Gzip::Real), job(shell, Gzip::Quick)]);
    assert_eq!(in_cells(&file, jobs.collect()), 4, "the other tests would pass without it");
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

/// Runs the jobs, as many at once as there are processors, and returns how many altered files were run.
fn in_cells(file: &Path, jobs: VecDeque<Job>) -> usize {
    let jobs = Mutex::new(jobs);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let work = || {
            let (mut runs, mut faults) = (0, String::new());
            loop {
                let next = jobs.lock().unwrap().pop_front();
                let Some(job) = next else { return (runs, faults) };
                match in_cell(file, &job) {
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
fn in_cell(file: &Path, job: &Job) -> Result<usize, String> {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("job");
    std::fs::write(&written, cell::encode(file, job)).unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "inside", "--nocapture", "--include-ignored"])
        .env(cell::ENV_JOB, &written)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let ran = said.lines().find_map(|line| line.strip_prefix("ran ")?.parse().ok());
    match ran {
        Some(ran) if output.status.success() => Ok(ran),
        _ => Err(format!("{:?}:\n{said}{}\n", job.shell, String::from_utf8_lossy(&output.stderr))),
    }
}

/// What runs in a cell. Called by nobody else it has nothing to do.
#[test]
fn inside() {
    let Some(job) = std::env::var_os(cell::ENV_JOB) else { return };
    let (file, job) = cell::decode(&std::fs::read_to_string(PathBuf::from(job)).unwrap());
    let Job { shell, gzip, expect, changes } = job;
    let mut cell = Cell::new(&file, shell, gzip);
    let faults: Vec<String> = changes.iter().filter_map(|change| cell.try_out(change, expect)).collect();
    assert!(faults.is_empty(), "{} of {} went wrong:\n{}", faults.len(), changes.len(), faults.join("\n"));
    println!("\nran {}", changes.len());
}
