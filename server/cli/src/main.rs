//! `cairn`: what a user types to work with a cloud. Parse, make one context, match. It speaks the public API and
//! nothing else: what it can do, any program can.

mod account;
mod ask;
mod cache;
mod cli;
mod client;
mod config;
mod exit;
mod login;
mod pin;
mod show;
mod size;
mod vm;
mod wait;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use exit::{Code, Failure};

packaging_stamp::stamp!();

const PROGRAM: &str = "cairn";

fn main() -> ExitCode {
    // Fails only if it was done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed standard output is not worth a second complaint.
            let _ = error.print();
            return if error.use_stderr() { Code::Usage } else { Code::Ok }.into();
        }
    };
    match execute(cli) {
        Ok(()) => Code::Ok.into(),
        Err(failure) => {
            eprintln!("{PROGRAM}: {failure}");
            failure.code().into()
        }
    }
}

fn execute(cli: Cli) -> Result<(), Failure> {
    let common = cli.common;
    if common.version {
        let executable = std::env::current_exe().unwrap_or_default();
        return show::line(&STAMP.version_text(PROGRAM, &executable));
    }
    match cli.command {
        None => Err(Failure::Usage("no command given; see `cairn --help`".to_owned())),
        Some(Command::Login(args)) => login::login(&common, &args),
        Some(Command::Logout) => login::logout(&common),
        Some(Command::Host(command)) => ask::host(&common, command),
        Some(Command::Storage(command)) => ask::storage(&common, command),
        Some(Command::Image(command)) => ask::image(&common, command),
        Some(Command::Volume(command)) => ask::volume(&common, command),
        Some(Command::Vm(command)) => vm::run(&common, command),
        Some(Command::Config(command)) => config::run(&common, command),
        Some(Command::Task(command)) => ask::task(&common, command),
        Some(Command::Token(command)) => ask::token(&common, command),
        Some(Command::Audit { limit, before }) => ask::audit(&common, limit, before.as_deref()),
    }
}
