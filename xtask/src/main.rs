//! `cargo xtask`: builds, packages and tests Cairn.
//!
//! `all_in_one` is the way of a package: `buildfile` is read, `refs` become exact commits with the help of `git`, `plan`
//! turns them into steps, `run` does the steps, `supply` tells what is inside and how it was made, `publish` puts the result
//! in its place. `key` and `sign` say who made it, `compare` whether two are the same, `delta` what leads from one to the
//! other. `pin` writes a release down, `fetch` brings what it needs. `os` are packages of operating systems that are carried along,
//! `tools` what portable programs are built with.
//! `check` is what people and CI run before a change is taken, `codegen` writes what such a change makes old, `dev` is what people
//! run to try it, `bench` what shows where packing stands.

mod all_in_one;
mod answer;
mod bench;
mod buildfile;
mod cache;
mod check;
mod choice;
mod cli;
mod codegen;
mod compare;
mod delta;
mod dev;
mod digest;
mod elf;
mod environment;
mod failure;
mod fetch;
mod git;
mod key;
mod os;
mod packages;
mod pin;
mod plan;
mod progress;
mod publish;
mod reach;
mod refs;
mod run;
mod show;
mod sign;
mod suggest;
mod supply;
mod tools;
mod version;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Task};
use failure::{Code, code_of};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Code::Usage } else { Code::Ok } as u8);
        }
    };
    if cli.parse_only {
        return ExitCode::SUCCESS;
    }
    let done = match cli.command {
        Task::AllInOne(args) => all_in_one::command(&args),
        Task::Fetch(args) => fetch::command(&args),
        Task::Verify(args) => show::verify(&args),
        Task::Inspect(args) => show::inspect(&args),
        Task::Compare(args) => show::compare(&args),
        Task::Pin(args) => pin::command(&args),
        Task::Keygen(args) => key::generate(&args),
        Task::Sign(args) => sign::command(&args),
        Task::Delta(args) => delta::command(&args),
        Task::Os(args) => os::command(&args),
        Task::Bench(args) => bench::command(&args),
        Task::Dev(args) => dev::command(&args),
        Task::Test(args) => check::command(&args),
        Task::Codegen => codegen::command(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(code_of(&error) as u8)
        }
    }
}
