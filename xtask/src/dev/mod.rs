//! `dev`: a server and an agent of this tree on this machine, to try things. Virtual machines are simulated, everything
//! lies below one folder, and nothing is installed.
//!
//! It goes the way of the installer: both programs' `bootstrap`, then `run`, then `health`, as
//! `packaging/control-contract.md` says, so that what works here works there.

mod place;
mod service;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::MetadataCommand;
use serde::Deserialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use xshell::{Shell, cmd};

use crate::all_in_one::tree;
use crate::cli::Dev;
use crate::failure::Failure;
use place::{Place, Ports};
use service::{Program, Service};

/// How long both may take until they are healthy.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether something happened.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the server's `bootstrap` answers, as far as it matters here.
#[derive(Deserialize)]
struct Bootstrap {
    admin: Admin,
}

#[derive(Deserialize)]
struct Admin {
    user: String,
    password: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// If something does not compile or start, or one of the two ends by itself.
pub fn command(args: &Dev) -> Result<()> {
    let metadata = MetadataCommand::new().current_dir(tree()).no_deps().exec()?;
    let target = metadata.target_directory.as_std_path();
    let shell = Shell::new()?;
    shell.change_dir(tree());
    cmd!(shell, "cargo build --locked --package server --package agent").run()?;
    let programs = target.join("debug");

    let root = args.root.clone().unwrap_or_else(|| target.join("dev"));
    let place = Place::open(&root, args.fresh)?;
    let ports = Ports::choose(args.port)?;
    place.configure(&ports, &tree().join("server/dashboard"))?;
    let (server, agent) =
        (Program::new(&programs, "cairn-server", &root), Program::new(&programs, "cairn-agent", &root));
    let admin = bootstrap(&place, &server, &agent)?;

    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    // Whichever way this function ends, both are stopped when these are dropped: the server first.
    let mut agent = Service::start(&agent, "agent ")?;
    let mut server_runs = Service::start(&server, "server")?;
    let mut both = [&mut server_runs, &mut agent];
    if !wait_until_healthy(&server, &mut both, &stop)? {
        return Ok(());
    }
    println!("dashboard  https://localhost:{}/", ports.server);
    println!("user       {}", admin.user);
    println!("password   {}", place.password()?);
    println!("authority  {}", root.join("etc/cairn/tls/ca.pem").display());
    println!("all files  {} (kept; `--fresh` begins anew)", root.display());
    println!("Ctrl-C stops both.");
    while !stop.load(Ordering::Relaxed) {
        look(&mut both)?;
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Makes what is missing; the server issues the agent's certificate.
fn bootstrap(place: &Place, server: &Program, agent: &Program) -> Result<Admin> {
    let Bootstrap { admin } = serde_json::from_str(&server.ask(&["bootstrap", "--json"])?)
        .context("the server's bootstrap answers with something else")?;
    if let Some(password) = &admin.password {
        place.keep_password(password)?;
    }
    agent.ask(&["bootstrap", "--json"])?;
    Ok(admin)
}

/// Waits until the server is healthy, which asks its agent. False if it was stopped before.
fn wait_until_healthy(server: &Program, both: &mut [&mut Service; 2], stop: &AtomicBool) -> Result<bool> {
    let until = Instant::now() + PATIENCE;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        look(both)?;
        let Err(error) = server.ask(&["health", "--timeout-ms", "2000"]) else { return Ok(true) };
        if Instant::now() > until {
            return Err(error.context("server and agent run and are not healthy; see what they say above"));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Whether both run.
fn look(both: &mut [&mut Service; 2]) -> Result<()> {
    for service in both {
        if let Some(status) = service.ended()? {
            bail!("`{}` ended by itself, {status}; see what it says above", service.program());
        }
    }
    Ok(())
}

/// Runs a program that answers and ends.
fn answer(command: &mut Command) -> Result<String> {
    let name =
        Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let output =
        command.output().with_context(|| format!("cannot run `{name}`; build it with `cargo build`"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stderr, output.stdout].map(|said| String::from_utf8_lossy(&said).trim().to_owned());
    bail!("{name} ended with {}: {}", output.status, said.join("\n").trim())
}

/// A port that somebody chose and somebody else has.
fn taken(port: u16) -> anyhow::Error {
    Failure::usage(format!("port {port} is taken; choose another with `--port`, or leave it out"))
}
