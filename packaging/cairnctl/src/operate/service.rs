//! `start`, `stop`, `restart`: the services, through systemd. One that was started has to become healthy.

use anyhow::Result;

use super::Installed;
use super::args::ServiceArgs;
use crate::answer::Answer;
use crate::exit::{Code, Exit};
use crate::root::Root;
use crate::running;
use crate::say::{self, say};
use crate::transaction::{Interrupt, Program, is_idle, is_running, may_change, systemd};

/// What to do with the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Those that do not run.
    Start,
    /// Those that run, or are about to.
    Stop,
    /// All.
    Restart,
}

impl Deed {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }

    /// Whether there is something to do with a unit.
    fn is_due(self, unit: &str) -> bool {
        match self {
            Self::Start => !is_running(unit),
            Self::Stop => !is_idle(unit),
            Self::Restart => true,
        }
    }
}

/// Runs the verb.
///
/// # Errors
/// Exit code 7 for a service that does not start, stop, or become healthy.
pub fn command(deed: Deed, args: &ServiceArgs, quiet: bool) -> Result<Code> {
    let mut answer = Answer::of(deed.word());
    let done = done(deed, args, quiet || args.at.json, &mut answer);
    answer.give(args.at.json, done)
}

fn done(deed: Deed, args: &ServiceArgs, quiet: bool, answer: &mut Answer) -> Result<&'static str> {
    let interrupt = Interrupt::new()?;
    let installed = Installed::find(&args.at.root)?;
    let mut programs = installed.programs(args.which)?;
    installed.needs_services()?;
    may_change(&installed.layout, args.dry_run)?;
    let _root = Root::find(&args.at.root)?;
    installed.refuse_pending()?;
    if deed == Deed::Stop {
        // The reverse of the order in which they start.
        programs.reverse();
    }
    let due: Vec<Program> = programs.iter().copied().filter(|program| deed.is_due(&program.unit())).collect();
    answer.steps = due.iter().map(|program| format!("{} {}", deed.word(), program.unit())).collect();
    if args.dry_run {
        if !quiet {
            answer.steps.iter().for_each(|step| say!("{step}"));
        }
        return Ok("planned");
    }
    for program in &due {
        act(deed, *program, quiet)?;
        interrupt.check()?;
    }
    if deed != Deed::Stop {
        // Also of those that ran: whoever starts them wants to know.
        for program in &programs {
            program.wait_healthy(&installed.layout)?;
            if !quiet {
                say!("{} is healthy", program.name());
            }
        }
    }
    let vms = running::all(&installed.layout);
    if deed == Deed::Stop && !quiet && !vms.is_empty() {
        say!("virtual machines go on running: {}", running::names(&vms));
    }
    if due.is_empty() && !quiet && deed == Deed::Stop {
        say!("nothing runs; nothing to do");
    }
    Ok(if due.is_empty() { "nothing-to-do" } else { "done" })
}

fn act(deed: Deed, program: Program, quiet: bool) -> Result<()> {
    let unit = program.unit();
    if !quiet {
        say::begin(format_args!("{} {unit} ... ", deed.word()));
    }
    let done = match deed {
        Deed::Start | Deed::Restart => systemd::start(&unit),
        Deed::Stop => systemd::stop(&unit),
    };
    if !quiet {
        say!("{}", if done.is_ok() { "ok" } else { "failed" });
    }
    done.map_err(|error| Exit::error(Code::Failed, format!("cannot {} {unit}: {error:#}", deed.word())))
}
