//! `reset-admin-password` and `change-address`: what the server's bootstrap made, made anew. The old is put aside until the server
//! is healthy with the new; a server that does not run is not started. The authority stays, and with it whoever trusts it.

use std::path::PathBuf;

use anyhow::Result;

use super::args::{AddressArgs, ResetArgs};
use super::change::{Change, Held, Plan};
use crate::answer::Answer;
use crate::args::RecoveryArgs;
use crate::exit::{Code, Exit};
use crate::install::password;
use crate::role::Role;
use crate::say::{self, say};
use crate::transaction::{Program, Step, is_running};

/// Runs `reset-admin-password`.
///
/// # Errors
/// With the exit code that belongs to the failure; the old password is valid then, or the message says what is not put back.
pub fn reset_admin_password(args: &ResetArgs, quiet: bool) -> Result<Code> {
    let mut answer = Answer::of("reset-admin-password");
    let done = reset(args, quiet || args.at.json, &mut answer);
    answer.give(args.at.json, done)
}

fn reset(args: &ResetArgs, quiet: bool, answer: &mut Answer) -> Result<&'static str> {
    // A password that an interrupted run made was seen by nobody: such a run is always put back.
    let recovery = RecoveryArgs::default();
    let change = Change {
        verb: answer.verb,
        root: &args.at.root,
        recovery: &recovery,
        dry_run: args.dry_run,
        question: None,
        quiet,
    };
    let held = match change.begin()? {
        Ok(held) => held,
        Err(state) => return Ok(state),
    };
    let layout = held.installed.layout.clone();
    let mut plan = renew(&held, vec![layout.state().join("server/admin.json")], Vec::new())?;
    if args.password_stdin && !args.dry_run {
        plan.password = Some(password::read_line(std::io::stdin().lock())?);
    }
    if layout.first_password().exists() {
        plan.steps.insert(0, Step::SetAside { path: layout.first_password() });
    }
    let done = held.carry_out(plan, answer)?;
    if let Some(admin) = done.secrets.and_then(|secrets| secrets.admin) {
        match admin.password {
            // What was asked for, so that it is said also to those who want little said.
            Some(password) if !args.at.json => {
                say::answer(
                    format!("user {}, password {password} (shown only now)\n", admin.user).as_bytes(),
                )?;
            }
            Some(password) => answer.password = Some(password),
            None if !quiet => say!("user {}, with the password that was given", admin.user),
            None => (),
        }
    }
    Ok(done.state)
}

/// Runs `change-address`.
///
/// # Errors
/// With the exit code that belongs to the failure; the old certificate is there again then, or the message says what is not.
pub fn change_address(args: &AddressArgs, quiet: bool) -> Result<Code> {
    let mut answer = Answer::of("change-address");
    let done = changed(args, quiet || args.at.json, &mut answer);
    answer.give(args.at.json, done)
}

fn changed(args: &AddressArgs, quiet: bool, answer: &mut Answer) -> Result<&'static str> {
    if let Some(option) = args.addresses.iter().find(|address| address.starts_with('-')) {
        return Err(Exit::error(Code::Usage, format!("`{option}` is no name and no address; leave it out")));
    }
    let change = Change {
        verb: answer.verb,
        root: &args.at.root,
        recovery: &args.recovery,
        dry_run: args.dry_run,
        question: None,
        quiet,
    };
    let held = match change.begin()? {
        Ok(held) => held,
        Err(state) => return Ok(state),
    };
    let tls = held.installed.layout.configuration().join("tls");
    let files = ["server.key", "server.pem"].map(|name| tls.join(name));
    let plan = renew(&held, files.into(), args.addresses.clone())?;
    let done = held.carry_out(plan, answer)?;
    if let Some(url) = done.secrets.and_then(|secrets| secrets.url) {
        if !quiet {
            say!("the dashboard is at {url}");
        }
        answer.url = Some(url);
    }
    Ok(done.state)
}

/// The files made anew, and a server that runs started with them.
fn renew(held: &Held<'_>, files: Vec<PathBuf>, addresses: Vec<String>) -> Result<Plan> {
    let program = held.installed.programs(Role::Server)?.first().copied().unwrap_or(Program::Server);
    let check = (!addresses.is_empty()).then(|| Step::CheckAddresses { addresses: addresses.clone() });
    let mut plan = Plan { steps: vec![Step::Renew { files, addresses }], ..Plan::default() };
    if held.installed.has_services() && is_running(&program.unit()) {
        plan.steps.insert(0, Step::KeepRunning { unit: program.unit() });
        plan.steps.push(Step::Start { unit: program.unit() });
        plan.steps.push(Step::CheckHealth { program });
        plan.steps.extend(check);
    }
    Ok(plan)
}
