//! A scratch host that runs server and agent, and a user with a home folder.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use agent::facts::Sources;
use agent::link::State;
use agent::run::Agent;
use agent_hypervisor::simulated::{File, GuestKind, Simulated};
use agent_hypervisor::spec::Format;
use argon2::Params;
use packaging_service::layout::Layout;
use packaging_service::stop::{self, Stopper};
use packaging_service::tls;
use packaging_stamp::Stamp;
use serde_json::Value;
use server::bootstrap::{Wish, bootstrap};
use server::cli::Role;
use server::login::credential::Credential;
use server::run::Server;
use tempfile::TempDir;

pub const PASSWORD: &str = "correct horse";
static STAMP: Stamp = Stamp::new(Some("0.9fix"), Some("0123abcd"), Some("false"));

pub struct Scene {
    pub root: TempDir,
    pub layout: Layout,
    pub address: SocketAddr,
    pub agent: Stopper,
    _server: Stopper,
}

/// Starts an agent whose virtual machines are simulated. Two images lie on its host: the guest of one does not answer. Below
/// `/srv/ram` no file opens with O_DIRECT.
pub fn start_agent(layout: &Layout, listen: SocketAddr) -> (Arc<Agent>, Stopper) {
    let simulated = Simulated::new();
    let image = |guest| File::image(Format::Raw, 2 << 30, guest);
    simulated.control().place("/root/debian.img", image(GuestKind::Answering));
    simulated.control().place("/root/silent.img", image(GuestKind::Silent));
    simulated.control().refuse_direct_io("/srv/ram");
    let config = agent::config::Config { listen, ..agent::config::Config::default() };
    let agent = Agent::new(layout.clone(), config, Sources::default(), &STAMP, Arc::new(simulated));
    let agent = Arc::new(agent);
    let (stopper, stop) = stop::channel();
    tokio::spawn(agent.clone().serve(stop));
    (agent, stopper)
}

/// How a run of the program ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    /// What it printed, if it ended well.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }
}

impl Scene {
    pub async fn new() -> Self {
        tls::install_provider();
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let wish = Wish { role: Role::All, addresses: Vec::new(), password: Some(PASSWORD.into()) };
        bootstrap(&layout, wish).unwrap();
        let cheap = Params::new(8, 1, 1, None).unwrap();
        let credential = Credential::with_params("admin", PASSWORD, cheap).unwrap();
        std::fs::write(layout.admin(), serde_json::to_string(&credential).unwrap()).unwrap();

        let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (agent, agent_stopper) = start_agent(&layout, loopback);
        let mut link = agent.link();
        let state = link.wait_for(|state| matches!(state, State::Serving { .. })).await.unwrap().clone();
        let State::Serving { address: local_agent } = state else { unreachable!() };

        let config = server::config::Config { listen: loopback, local_agent, ..Default::default() };
        let (stopper, stop) = stop::channel();
        let executable = root.path().join("package/bin/cairn-server");
        let (server, tls) = Server::load(&layout, &config, &STAMP, &executable, stop).await.unwrap();
        let listener = tokio::net::TcpListener::bind(config.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(server.serve(listener, tls));
        Self { root, layout, address, agent: agent_stopper, _server: stopper }
    }

    /// With a user who is logged in, and a storage with an image.
    pub async fn ready() -> Self {
        let scene = Self::new().await;
        let ca = scene.layout.tls("ca.pem").display().to_string();
        scene.run_with(&["login", &scene.url(), "--ca", &ca], PASSWORD).await.ok();
        scene.run(&["storage", "create", "default", "--path", "/srv/cairn"]).await.ok();
        scene.run(&["image", "import", "debian", "--source", "/root/debian.img", "--wait"]).await.ok();
        scene
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub fn login_file(&self) -> PathBuf {
        self.root.path().join("home/.config/cairn/login.json")
    }

    pub async fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "").await
    }

    /// Runs the program until what it prints is as it should be. The limit is for failures; nothing is timed by it.
    pub async fn until(&self, arguments: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
        let wait = async {
            loop {
                let answer = self.run(arguments).await.json();
                if wanted(&answer) {
                    return answer;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(120), wait).await.expect("what was waited for did not come")
    }

    /// The program, with nothing of this process's environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
        command.env_clear().env("HOME", self.root.path().join("home")).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program with text and the end of a line on its standard input.
    pub async fn run_with(&self, arguments: &[&str], line: &str) -> Ran {
        let mut command = self.command(arguments);
        let line = format!("{line}\n");
        let run = move || -> Output {
            let mut child = command.spawn().unwrap();
            // Who needs no line may be gone.
            let _ = child.stdin.take().unwrap().write_all(line.as_bytes());
            child.wait_with_output().unwrap()
        };
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
