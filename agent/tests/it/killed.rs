//! An agent that is killed in the middle of its work, as a process, and what the next one knows.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agent_protocol::call::{ImageImport, VolumeCreate};
use agent_protocol::vm::Format;
use agent_protocol::volume::{CreateRequest, ImportRequest};
use rustix::process::{Pid, Signal, kill_process};
use uuid::Uuid;

use crate::process::{notice, program, spawn_as};
use crate::support::Host;
use crate::wire::Wire;

/// An agent as a process. It is killed when this is dropped.
pub struct Process(Child);

impl Process {
    /// One whose machines are simulated.
    async fn start(host: &Host) -> (Self, Wire) {
        Self::spawn(host, "simulated").await
    }

    /// One whose machines are libvirt's.
    #[cfg(feature = "real-parts")]
    pub async fn on_libvirt(host: &Host) -> (Self, Wire) {
        Self::spawn(host, "libvirt").await
    }

    /// The same, with no more capabilities than these, and this mask for the files it makes, as systemd writes them.
    #[cfg(feature = "real-parts")]
    pub async fn on_libvirt_with(host: &Host, capabilities: &str, mask: &str) -> (Self, Wire) {
        let words = capabilities.split_whitespace().filter_map(|word| word.strip_prefix("CAP_"));
        let set = words.fold("-all".to_owned(), |set, word| format!("{set},+{}", word.to_lowercase()));
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "umask \"$1\" && shift && exec setpriv \"$@\"", "sh", mask]);
        command.env_clear().env("CAIRN_ROOT", host.root()).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.args(["--bounding-set", &set, "--", env!("CARGO_BIN_EXE_cairn-agent"), "run"]);
        Self::spawn_as(host, "libvirt", &mut command).await
    }

    async fn spawn(host: &Host, hypervisor: &str) -> (Self, Wire) {
        Self::spawn_as(host, hypervisor, program(&host.root()).arg("run")).await
    }

    async fn spawn_as(host: &Host, hypervisor: &str, command: &mut Command) -> (Self, Wire) {
        let config = format!("listen = \"127.0.0.1:0\"\nhypervisor = \"{hypervisor}\"\n");
        std::fs::write(host.layout.agent_config(), config).unwrap();
        let _ = std::fs::remove_file(host.root().join("notify.sock"));
        // A group of its own, as systemd gives it one.
        let (child, notices) = spawn_as(command.process_group(0), &host.root(), Stdio::null());
        let process = Self(child);
        let said = tokio::task::spawn_blocking(move || notice(&notices)).await.unwrap();
        let address: SocketAddr = said.trim().rsplit_once("serving on ").unwrap().1.parse().unwrap();
        (process, Wire::at(host, address))
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// Kills it and the programs that it has started, as systemd does, and waits until none of them is left.
    #[cfg(feature = "real-parts")]
    pub async fn kill_all(mut self) {
        let group = self.pid();
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
        self.0.wait().unwrap();
        until(|| !runs(group)).await;
    }

    pub fn kill(mut self) {
        kill_process(self.pid(), Signal::KILL).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a process of this group is there, and not dead already.
#[cfg(feature = "real-parts")]
fn runs(group: Pid) -> bool {
    let group = group.as_raw_nonzero().to_string();
    std::fs::read_dir("/proc").unwrap().any(|entry| {
        let stat = std::fs::read_to_string(entry.unwrap().path().join("stat")).unwrap_or_default();
        // Behind its name: its state, its parent, its group.
        let mut words = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        words.next().is_some_and(|state| state != "Z") && words.nth(1) == Some(&group)
    })
}

fn create(number: usize) -> CreateRequest {
    let path = format!("/volumes/{number}.raw");
    CreateRequest { path, format: Format::Raw, size_bytes: Some(1 << 20), backing: None }
}

/// An import that stays under way: from a pipe that nobody writes to.
fn endless(host: &Host) -> ImportRequest {
    let source = host.root().join("image");
    assert!(Command::new("mkfifo").arg(&source).status().unwrap().success());
    ImportRequest { source: source.display().to_string(), path: "/images/a".to_owned() }
}

/// Waits until something is so. The limit is for failures; nothing is timed by it.
pub async fn until(so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
}

#[tokio::test]
async fn what_was_finished_stays_so_and_what_was_under_way_is_done_again() {
    let host = Host::joined();
    let (process, wire) = Process::start(&host).await;
    let (finished, under_way) = (Uuid::new_v4(), Uuid::new_v4());
    let first = wire.answer::<VolumeCreate>(finished, create(0)).await;
    assert_eq!(first.reply::<VolumeCreate>().path, "/volumes/0.raw");

    let import = endless(&host);
    let source = std::path::PathBuf::from(&import.source);
    let asked = tokio::spawn({
        let (wire, import) = (wire.clone(), import.clone());
        async move { wire.try_answer::<ImageImport>(under_way, import).await }
    });
    let record = host.layout.agent_operations().join(format!("{under_way}.json"));
    until(|| record.exists()).await;
    process.kill();
    assert!(asked.await.unwrap().is_err());
    assert!(std::fs::read_to_string(&record).unwrap().contains("\"started\""));

    // The twin died with the agent, so that only the memory of operations can answer the first one.
    std::fs::remove_file(&source).unwrap();
    std::fs::write(&source, "an image").unwrap();
    let (process, wire) = Process::start(&host).await;
    assert_eq!(wire.answer::<VolumeCreate>(finished, create(0)).await, first);
    let done = wire.answer::<ImageImport>(under_way, import.clone()).await;
    assert_eq!(done.reply::<ImageImport>().volume.size_bytes, 8);
    assert_eq!(wire.answer::<ImageImport>(under_way, import).await, done);
    drop(process);
}

#[tokio::test]
async fn whenever_it_is_killed_no_record_is_half_written_and_no_answer_is_forgotten() {
    let host = Host::joined();
    let mut answered = Vec::new();
    let records = || std::fs::read_dir(host.layout.agent_operations()).map_or(0, Iterator::count);
    let mut ordered = 0;
    for round in 1..=6 {
        let (process, wire) = Process::start(&host).await;
        let before = records();
        let orders: Vec<_> = (0..40)
            .map(|_| {
                ordered += 1;
                let (wire, number, operation) = (wire.clone(), ordered, Uuid::new_v4());
                tokio::spawn(async move {
                    (number, operation, wire.try_answer::<VolumeCreate>(operation, create(number)).await)
                })
            })
            .collect();
        // So many are recorded when it is killed, and some others on the way.
        until(|| records() >= before + 4 * round).await;
        process.kill();
        for order in orders {
            answered.push(order.await.unwrap());
        }
    }
    let (process, wire) = Process::start(&host).await;
    for (number, operation, before) in answered {
        let now = wire.answer::<VolumeCreate>(operation, create(number)).await;
        assert_eq!(now.reply::<VolumeCreate>().path, create(number).path);
        if let Ok(before) = before {
            assert_eq!(now, before);
        }
    }
    drop(process);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let host = Host::joined();
    let (mut process, wire) = Process::start(&host).await;
    let operation = Uuid::new_v4();
    let asked = tokio::spawn({
        let import = endless(&host);
        async move { wire.try_answer::<ImageImport>(operation, import).await }
    });
    let record = host.layout.agent_operations().join(format!("{operation}.json"));
    until(|| record.exists()).await;
    kill_process(Pid::from_child(&process.0), Signal::TERM).unwrap();
    let status = tokio::task::spawn_blocking(move || process.0.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(asked.await.unwrap().is_err());
    assert!(std::fs::read_to_string(record).unwrap().contains("\"started\""));
}
