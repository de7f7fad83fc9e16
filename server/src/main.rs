//! `cairn-server`: parse, make one context, match.

use std::process::ExitCode;

use packaging_service::command;
use packaging_service::exit::Exit;
use packaging_service::layout::Layout;
use server::cli::{Cli, Command};
use server::error::Error;
use server::{bootstrap, data, health, run};

packaging_stamp::stamp!();

const PROGRAM: &str = "cairn-server";

fn main() -> ExitCode {
    let outcome = match command::parse::<Cli>() {
        Ok(cli) => execute(&cli),
        Err(exit) => return exit.into(),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            command::complain(PROGRAM, &error);
            error.exit().into()
        }
    }
}

fn execute(cli: &Cli) -> Result<Exit, Error> {
    let layout = Layout::new(&cli.common.root);
    match &cli.command {
        _ if cli.common.version => {
            let executable = std::env::current_exe().unwrap_or_default();
            command::answer(&STAMP.version_text(PROGRAM, &executable))?;
            Ok(Exit::Ok)
        }
        Some(Command::Run) => run::run(&layout, &STAMP, &cli.common.log),
        Some(Command::Bootstrap(args)) => bootstrap::run(&layout, args),
        Some(Command::Health(args)) => health::run(&layout, &STAMP, args),
        Some(Command::Inspect(args)) => data::inspect(&layout, args),
        Some(Command::Migrate(args)) => data::migrate(&layout, args),
        Some(Command::Backup(args)) => data::backup(&layout, args),
        None => Err(Error::NoCommand),
    }
}
