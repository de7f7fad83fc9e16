//! A cell: a root in memory with a shell, the few tools that the stub calls, and the file under test. Everything but
//! `/scratch` has to be the same after each run.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Tells the test program that it runs in a cell, and where its job stands.
pub const ENV_JOB: &str = "CAIRN_FLIPS_JOB";

/// How long an altered file may run.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the file lies, its name and place being among what it takes for scratch.
const FILE: &str = "/scratch/media/payload.run";

/// A shell that the stub has to hold under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// Debian's `/bin/sh`.
    Dash,
    /// The shell of small systems.
    Busybox,
}

impl Shell {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Dash, Self::Busybox];
}

/// What is `gzip` in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gzip {
    /// Debian's.
    Real,
    /// pigz, which understands the same options and takes a third of the time for a helper that is not compressed.
    Quick,
}

impl Gzip {
    /// All of them.
    const ALL: [Self; 2] = [Self::Real, Self::Quick];

    fn program(self) -> &'static str {
        match self {
            Self::Real => "gzip",
            Self::Quick => "pigz",
        }
    }
}

/// What is done in a cell: altered files, how they are run, and what has to come of it.
#[derive(Clone, Debug)]
pub struct Job {
    pub shell: Shell,
    pub gzip: Gzip,
    pub expect: Expect,
    pub changes: Vec<Change>,
}

/// How the file is altered.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// Not at all.
    None,
    /// One bit is the other way round.
    Flip { bit: u64 },
    /// Only this many bytes are left.
    Cut { bytes: u64 },
    /// One byte more.
    Append,
}

impl Change {
    /// Writes the altered file to `to`.
    pub fn write(&self, from: &Path, to: &Path) {
        let mut bytes = fs::read(from).unwrap();
        match *self {
            Self::None => (),
            Self::Flip { bit } => bytes[(bit / 8) as usize] ^= 1 << (bit % 8),
            Self::Cut { bytes: left } => bytes.truncate(left as usize),
            Self::Append => bytes.push(b'x'),
        }
        fs::write(to, bytes).unwrap();
    }
}

/// How a run has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Installed.
    Success,
    /// With any code but 0, and without an effect.
    Refusal,
    /// The same, when it is only asked to check itself.
    CheckRefusal,
    /// With code 2, and without an effect.
    Damage,
}

impl Expect {
    /// All of them.
    const ALL: [Self; 4] = [Self::Success, Self::Refusal, Self::CheckRefusal, Self::Damage];

    /// What the file is asked to do.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::CheckRefusal => &["--check"],
            Self::Success | Self::Refusal | Self::Damage => &["--yes", "--no-start", "--root", "/target"],
        }
    }
}

/// The job as text, a line each.
pub fn encode(file: &Path, job: &Job) -> String {
    let Job { shell, gzip, expect, changes } = job;
    let file = file.display();
    let head = format!("{file}\n{}\n{shell:?}\n{gzip:?}\n{expect:?}\n", super::archive::helper().display());
    let changes = changes.iter().map(|change| match change {
        Change::None => "none 0".to_owned(),
        Change::Flip { bit } => format!("flip {bit}"),
        Change::Cut { bytes } => format!("cut {bytes}"),
        Change::Append => "append 0".to_owned(),
    });
    head + &changes.collect::<Vec<_>>().join("\n")
}

/// The reverse of [`encode`].
pub fn decode(text: &str) -> (PathBuf, Job) {
    let mut lines = text.lines();
    let file = PathBuf::from(lines.next().unwrap());
    lines.next();
    let shell = lines.next().unwrap();
    let shell = Shell::ALL.into_iter().find(|known| format!("{known:?}") == shell).unwrap();
    let gzip = lines.next().unwrap();
    let gzip = Gzip::ALL.into_iter().find(|known| format!("{known:?}") == gzip).unwrap();
    let expect = lines.next().unwrap();
    let expect = Expect::ALL.into_iter().find(|known| format!("{known:?}") == expect).unwrap();
    let changes = lines.map(|line| {
        let (kind, number) = line.split_once(' ').unwrap();
        let number = number.parse().unwrap();
        match kind {
            "none" => Change::None,
            "flip" => Change::Flip { bit: number },
            "cut" => Change::Cut { bytes: number },
            "append" => Change::Append,
            other => panic!("`{other}` is no change"),
        }
    });
    (file, Job { shell, gzip, expect, changes: changes.collect() })
}

/// A root of its own. This process has entered it and does not come back.
pub struct Cell {
    shell: Shell,
    original: Vec<u8>,
    target: File,
    said: File,
    before: BTreeMap<PathBuf, (u32, u64, i64, i64)>,
}

impl Cell {
    /// Makes the root and enters it. Has to run in namespaces of its own.
    pub fn new(file: &Path, shell: Shell, gzip: Gzip) -> Self {
        let original = fs::read(file).unwrap();
        let root = Path::new("/mnt");
        mount(&["-t", "tmpfs", "tmpfs", "/mnt"]);
        for folder in
            ["bin", "lib64", "lib/x86_64-linux-gnu", "dev", "home", "proc", "scratch/cwd", "scratch/media"]
        {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        File::create(root.join("dev/null")).unwrap();
        mount(&["--bind", "/dev/null", "/mnt/dev/null"]);
        mount(&["-t", "proc", "proc", "/mnt/proc"]);
        let busybox = which("busybox");
        fs::copy(&busybox, root.join("bin/busybox")).unwrap();
        for tool in "mkdir chmod rm rmdir tr tar printf".split(' ') {
            symlink("busybox", root.join("bin").join(tool)).unwrap();
        }
        // Those of busybox go byte by byte, and megabytes go through them tens of thousands of times.
        for tool in "tail head sha256sum wc cat".split(' ') {
            fs::copy(which(tool), root.join("bin").join(tool)).unwrap();
        }
        fs::copy(which(gzip.program()), root.join("bin/gzip")).unwrap();
        fs::copy(which("dash"), root.join("bin/dash")).unwrap();
        symlink("dash", root.join("bin/sh")).unwrap();
        let libraries = ["libc.so.6", "libm.so.6", "libpthread.so.0", "libz.so.1"]
            .map(|name| format!("lib/x86_64-linux-gnu/{name}"));
        for library in libraries.iter().map(String::as_str).chain(["lib64/ld-linux-x86-64.so.2"]) {
            fs::copy(Path::new("/").join(library), root.join(library)).unwrap();
        }
        fs::write(root.join(&FILE[1..]), &original).unwrap();
        let said = tempfile::tempfile().unwrap();
        std::os::unix::fs::chroot(root).unwrap();
        std::env::set_current_dir("/").unwrap();
        let target = File::options().read(true).write(true).open(FILE).unwrap();
        Self { shell, original, target, said, before: listing() }
    }

    /// Alters the file, runs it, and puts everything back. Returns what went wrong.
    pub fn try_out(&mut self, change: &Change, expect: Expect) -> Option<String> {
        self.alter(change);
        let code = self.run(expect.words());
        let mut said = String::new();
        self.said.seek(SeekFrom::Start(0)).unwrap();
        let mut bytes = Vec::new();
        self.said.read_to_end(&mut bytes).unwrap();
        said.push_str(&String::from_utf8_lossy(&bytes));
        let after = listing();
        self.restore();
        let fault = if expect == Expect::Success {
            let installed = after.contains_key(Path::new("/target/opt/cairn/versions/1/share/big"));
            (code != Some(0) || !installed).then_some("it did not install")
        } else if code == Some(0) {
            Some("it ended with 0")
        } else if code.is_none() {
            Some("it did not end")
        } else if expect == Expect::Damage && code != Some(2) {
            Some("it did not end with 2")
        } else if after != self.before {
            Some("it left something outside its scratch folder")
        } else if said.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word.eq_ignore_ascii_case("ok"))
        {
            Some("it said ok")
        } else {
            None
        };
        let fault = fault.map(|fault| {
            let changed = after.iter().filter(|(path, found)| self.before.get(*path) != Some(*found));
            let changed: Vec<_> = changed.map(|(path, _)| path).collect();
            format!(
                "{:?} {change:?}: {fault}; code {code:?}, changed {changed:?}, said: {}",
                self.shell,
                said.trim()
            )
        });
        if expect == Expect::Success {
            fs::remove_dir_all("/target").unwrap();
        } else if after != self.before {
            // What the next runs are compared with.
            self.before = listing();
        }
        fault
    }

    fn alter(&self, change: &Change) {
        match *change {
            Change::None => (),
            Change::Flip { bit } => {
                let byte = self.original[(bit / 8) as usize] ^ (1 << (bit % 8));
                self.target.write_all_at(&[byte], bit / 8).unwrap();
            }
            Change::Cut { bytes } => self.target.set_len(bytes).unwrap(),
            Change::Append => self.target.write_all_at(b"x", self.original.len() as u64).unwrap(),
        }
    }

    fn restore(&mut self) {
        for entry in fs::read_dir("/scratch").unwrap().chain(fs::read_dir("/scratch/cwd").unwrap()) {
            let path = entry.unwrap().path();
            match path.to_str() {
                Some("/scratch/cwd" | "/scratch/media") => (),
                _ if path.is_dir() => fs::remove_dir_all(&path).unwrap(),
                _ => fs::remove_file(&path).unwrap(),
            }
        }
        for entry in fs::read_dir("/scratch/media").unwrap() {
            let path = entry.unwrap().path();
            if path != Path::new(FILE) {
                let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
            }
        }
        self.target.write_all_at(&self.original, 0).unwrap();
        self.target.set_len(self.original.len() as u64).unwrap();
    }

    /// The exit code, 128 and the signal's number for one that was killed, or `None` for one that had to be.
    fn run(&mut self, words: &[&str]) -> Option<i32> {
        self.said.set_len(0).unwrap();
        self.said.seek(SeekFrom::Start(0)).unwrap();
        let mut command = match self.shell {
            Shell::Dash => Command::new("/bin/dash"),
            Shell::Busybox => Command::new("/bin/busybox"),
        };
        if self.shell == Shell::Busybox {
            command.arg("sh");
        }
        command.arg(FILE).args(words);
        command.env_clear().env("PATH", "/bin").env("HOME", "/home").env("TMPDIR", "/scratch");
        // A thread more costs pigz more than it gains.
        command.env("PIGZ", "--processes 1").current_dir("/scratch/cwd").stdin(Stdio::null());
        command.stdout(self.said.try_clone().unwrap()).stderr(self.said.try_clone().unwrap());
        let mut child = command.spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let ended = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        let mut wait = [rustix::event::PollFd::new(&ended, rustix::event::PollFlags::IN)];
        let limit = rustix::event::Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
        if rustix::event::poll(&mut wait, Some(&limit)).unwrap() == 0 {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        let status = child.wait().unwrap();
        use std::os::unix::process::ExitStatusExt as _;
        status.code().or(status.signal().map(|signal| 128 + signal))
    }
}

/// Everything but scratch and the kernel's own: kind and mode, size, and when it changed.
fn listing() -> BTreeMap<PathBuf, (u32, u64, i64, i64)> {
    let (mut found, mut open) = (BTreeMap::new(), vec![PathBuf::from("/")]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path == Path::new("/scratch") || path == Path::new("/proc") {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                open.push(path.clone());
            }
            found.insert(path, (metadata.mode(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()));
        }
    }
    found
}

fn mount(arguments: &[&str]) {
    assert!(Command::new("mount").args(arguments).status().unwrap().success(), "mount {arguments:?}");
}

fn which(program: &str) -> PathBuf {
    let found = ["/bin", "/usr/bin", "/usr/local/bin"].map(|folder| Path::new(folder).join(program));
    let found = found.into_iter().find(|path| path.exists());
    let found =
        found.unwrap_or_else(|| panic!("there is no `{program}`; run `cargo xtask test`, which installs it"));
    found.canonicalize().unwrap()
}
