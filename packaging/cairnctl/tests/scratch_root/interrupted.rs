//! Runs that are stopped half-way. A bootstrap waits for the lock of its folder, which the test holds: so an
//! installation can be stopped, and looked at, at a place that is always the same.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::site::{Done, Site};

/// How long to wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// An installation whose bootstrap of the server waits.
pub struct Blocked {
    installer: Child,
    bootstrap: Pid,
    lock: File,
}

impl Blocked {
    /// Starts it, and returns when it waits.
    pub fn install(site: &Site, more: &[&str]) -> Self {
        let tls = site.at("/etc/cairn/tls");
        if !tls.exists() {
            fs::create_dir_all(tls.parent().unwrap()).unwrap();
            DirBuilder::new().mode(0o700).create(&tls).unwrap();
        }
        let lock = File::open(&tls).unwrap();
        lock.lock().unwrap();
        let mut command = site.install_command(more);
        let installer = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let server = fs::canonicalize(site.root()).unwrap().join("opt/cairn/versions");
        let bootstrap = wait_for(|| {
            let waits = processes().into_iter().find(|process| {
                let program = fs::read_link(process.join("exe")).unwrap_or_default();
                program.starts_with(&server) && program.ends_with("cairn-server")
            })?;
            // Its descriptor of the folder is open, so all that is left is the lock.
            let descriptors = fs::read_dir(waits.join("fd")).ok()?.flatten();
            let mut targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
            targets.any(|target| target.ends_with("etc/cairn/tls")).then(|| pid_of(&waits))
        });
        Self { installer, bootstrap, lock }
    }

    /// Command line and environment of the installer and of the bootstrap.
    pub fn processes(&self) -> Vec<(String, String)> {
        let installer = Pid::from_child(&self.installer);
        let files = [installer, self.bootstrap].into_iter().flat_map(|pid| {
            ["cmdline", "environ"].map(|name| format!("/proc/{}/{name}", pid.as_raw_nonzero()))
        });
        let read = |file: String| {
            let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
            assert!(!text.is_empty(), "{file} is empty");
            (file, text)
        };
        files.map(read).collect()
    }

    /// Sends the installer a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.installer), signal).unwrap();
    }

    /// Lets the bootstrap go on, and waits for the end of both.
    pub fn release(self) -> Done {
        drop(self.lock);
        let done = self.installer.wait_with_output().unwrap().into();
        let bootstrap = format!("/proc/{}", self.bootstrap.as_raw_nonzero());
        wait_for(|| (!Path::new(&bootstrap).exists()).then_some(()));
        done
    }
}

fn processes() -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.join("exe").is_symlink()).collect()
}

fn pid_of(process: &Path) -> Pid {
    Pid::from_raw(process.file_name().unwrap().to_str().unwrap().parse().unwrap()).unwrap()
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "what has to come does not come");
        std::thread::yield_now();
    }
}

#[test]
fn a_signal_puts_everything_back() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let site = Site::new();
        site.write(&site.at("/etc/cairn/tls/mine"), 0o600, "");
        fs::set_permissions(site.at("/etc/cairn/tls"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .unwrap();
        let before = site.listing();
        let blocked = Blocked::install(&site, &[]);
        blocked.signal(signal);
        blocked.release().expect(9).says("interrupted").says("everything was put back");
        assert_eq!(before.diff(&site.listing()), "", "{signal:?}");
    }
}

#[test]
fn after_a_kill_it_is_finished_or_removed() {
    for finish in [true, false] {
        let site = Site::new();
        let blocked = Blocked::install(&site, &[]);
        blocked.signal(Signal::KILL);
        assert_eq!(blocked.release().code, None);
        if finish {
            site.install(&[]).expect(0).says("was interrupted at `create secrets").says("is installed");
            site.ctl("verify").expect(0);
            site.install(&[]).expect(0).says("nothing to do");
        }
        site.uninstall(&["--purge"]).expect(0);
        let left: Vec<_> = site.listing().entries().map(|(path, _)| path.to_owned()).collect();
        // The folder that the lock lay in was there before.
        assert!(left.iter().all(|path| path == Path::new("/etc")), "{left:?}");
    }
}

#[test]
fn nobody_reading_does_not_stop_it() {
    let site = Site::new();
    let mut child = site.install_command(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    site.ctl("verify").expect(0);
}
