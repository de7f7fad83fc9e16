//! `cairnctl`: the helper inside the archive, and the control tool on the host.
//!
//! It is a static program that never asks the C library for a name, of a host or of a user: a static glibc program that
//! does crashes on stock distributions. What needs that, and all secrets, is the business of the programs it installs; it only
//! checks who has signed the file that it came in.

mod answer;
mod args;
mod delta;
mod exit;
mod host;
mod install;
mod layout;
mod nameless;
mod operate;
mod packages;
mod preflight;
mod receipt;
mod role;
mod root;
mod runfile;
mod running;
mod say;
mod show;
mod snapshot;
mod source;
mod tarball;
mod transaction;
mod translate;
mod trust;
mod uninstall;
mod upgrade;
mod verify;

use std::process::ExitCode;

use args::{Cli, DeltaVerb, Verb};
use exit::{Code, code_of};
use packaging_archive::Archive;
use runfile::Start;

packaging_stamp::stamp!();

fn main() -> ExitCode {
    let code = match Start::new(std::env::args_os().skip(1)) {
        Ok(Start::Probe) => {
            say::line(format_args!("runs"));
            Code::Ok
        }
        Ok(Start::Command { archive, run_file, arguments }) => {
            run(archive.map(|archive| *archive), run_file.as_deref(), arguments)
        }
        Err(error) => report("cairnctl", &error),
    };
    ExitCode::from(code as u8)
}

fn run(archive: Option<Archive>, run_file: Option<&str>, arguments: Vec<String>) -> Code {
    let cli = match Cli::read(run_file, arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Standard output for help, standard error for what is wrong.
            let _ = error.print();
            return if error.use_stderr() { Code::Usage } else { Code::Ok };
        }
    };
    let done = match cli.verb {
        Verb::Preflight(args) => delta::whole(archive, args.base.base.as_deref(), &args.host.root)
            .and_then(|archive| preflight::command(&args, archive)),
        Verb::Install(args) => delta::whole(archive, args.base.base.as_deref(), &args.host.root)
            .and_then(|archive| install::command(&args, archive, cli.quiet)),
        Verb::Packages(args) => {
            delta::refuse(archive.as_ref()).and_then(|()| packages::command(&args, archive, cli.quiet))
        }
        Verb::Upgrade(args) => delta::whole(archive, args.base.base.as_deref(), &args.change.root)
            .and_then(|archive| upgrade::upgrade(&args, archive, cli.quiet)),
        Verb::Rollback(args) => upgrade::rollback(&args, cli.quiet),
        Verb::Uninstall(args) => uninstall::command(&args, cli.quiet),
        Verb::Verify(args) => verify::command(&args, archive, cli.quiet),
        Verb::Extract(args) => {
            delta::refuse(archive.as_ref()).and_then(|()| show::extract(&args, archive, cli.quiet))
        }
        Verb::List => delta::refuse(archive.as_ref()).and_then(|()| show::list(archive)),
        Verb::Inspect(args) => show::inspect(&args, archive),
        Verb::Delta(args) => match args.verb {
            DeltaVerb::Apply(args) => delta::apply(&args, archive, cli.quiet),
        },
        Verb::Operate(verb) => operate::command(&verb, cli.quiet),
        Verb::Version => show::version(archive),
    };
    done.unwrap_or_else(|error| report(run_file.unwrap_or("cairnctl"), &error))
}

fn report(program: &str, error: &anyhow::Error) -> Code {
    say::complain(format_args!("{program}: {error:#}"));
    code_of(error)
}
