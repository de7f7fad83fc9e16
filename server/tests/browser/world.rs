//! A host with a server and an agent on it, in the room.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use agent::config::Config;
use agent::facts::Sources;
use agent::run::Agent;
use agent_hypervisor::simulated::{Control, File, GuestKind, Simulated};
use agent_hypervisor::spec::Format;
use packaging_service::layout::Layout;
use packaging_service::stop::{self, Stopper};
use packaging_service::tls;
use packaging_stamp::Stamp;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use xtask_testbed::browser::until;

use crate::DASHBOARD;

pub const PASSWORD: &str = "correct horse";

/// An image on the host, whose guest answers its power button.
pub const IMAGE: &str = "/root/debian.qcow2";
/// An image whose guest does not.
pub const SILENT_IMAGE: &str = "/root/silent.qcow2";
/// What lies in a CD-ROM drive.
pub const ISO: &str = "/root/tools.iso";

static STAMP: Stamp = Stamp::new(Some("0.9fix"), Some("0123abcd"), Some("false"));

pub struct World {
    root: TempDir,
    server: Option<Child>,
    agent: Option<(Stopper, JoinHandle<Result<(), agent::error::Error>>)>,
    twin: Simulated,
    /// The strings of the simulated host.
    pub host: Control,
}

impl World {
    /// Sets a host up as the installer does, and waits until its server is healthy, which asks the agent.
    pub async fn start() -> Self {
        tls::install_provider();
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let mut bootstrap = program(root.path());
        bootstrap.args(["bootstrap", "--json", "--role", "all", "--admin-password-stdin"]);
        let mut child = bootstrap.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        let config = format!(
            "listen = \"127.0.0.1:8443\"\nlocal_agent = \"127.0.0.1:7070\"\ndashboard = \"{DASHBOARD}\"\n"
        );
        std::fs::write(layout.server_config(), config).unwrap();

        agent::bootstrap::bootstrap(&layout).unwrap();
        let twin = Simulated::new();
        let host = twin.control();
        host.place(IMAGE, File::image(Format::Qcow2, 4 << 30, GuestKind::Answering));
        host.place(SILENT_IMAGE, File::image(Format::Qcow2, 4 << 30, GuestKind::Silent));
        host.place(ISO, File::blank(Format::Raw, 64 << 20, None));
        let mut world = Self { root, server: None, agent: None, twin, host };
        world.start_agent();
        world.start_server().await;
        world
    }

    pub async fn start_server(&mut self) {
        self.server = Some(program(self.root.path()).arg("run").stderr(Stdio::null()).spawn().unwrap());
        let root = self.root.path().to_owned();
        until("the server is healthy", async || {
            program(&root)
                .args(["health", "--timeout-ms", "2000"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        })
        .await;
    }

    pub fn start_agent(&mut self) {
        let layout = Layout::new(self.root.path());
        let config = Config { listen: "127.0.0.1:7070".parse().unwrap(), ..Config::default() };
        let twin = Arc::new(self.twin.clone());
        let agent = Agent::new(layout, config, Sources::default(), &STAMP, twin);
        let (stopper, stop) = stop::channel();
        self.agent = Some((stopper, tokio::spawn(Arc::new(agent).serve(stop))));
    }

    pub async fn stop_agent(&mut self) {
        if let Some((stopper, served)) = self.agent.take() {
            stopper.stop();
            served.await.unwrap().unwrap();
        }
    }

    pub fn stop_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
            server.wait().unwrap();
        }
    }

    pub async fn stop(mut self) {
        self.stop_server();
        self.stop_agent().await;
    }
}

fn program(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cairn-server"));
    command.env_clear().env("CAIRN_ROOT", root).stdin(Stdio::null());
    command
}
