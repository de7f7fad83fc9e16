//! What the verbs have in common that change an installation by a transaction.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::Result;

use super::Installed;
use crate::answer::Answer;
use crate::args::RecoveryArgs;
use crate::exit::{Code, Exit};
use crate::install::{confirmed, no_terminal};
use crate::root::Root;
use crate::say::say;
use crate::transaction::{
    self, Context, Deed, Head, Interrupt, Secrets, Settled, Step, Wanted, may_change, settle,
};

/// A verb that changes an installation.
pub struct Change<'a> {
    /// The verb, as it is typed.
    pub verb: &'static str,
    /// The root that was given to `install`.
    pub root: &'a Path,
    /// What becomes of a run that was interrupted.
    pub recovery: &'a RecoveryArgs,
    /// Whether to print the plan and stop.
    pub dry_run: bool,
    /// What to ask before it is done, at a terminal.
    pub question: Option<&'static str>,
    /// Whether to say nothing.
    pub quiet: bool,
}

/// An installation that is held, on which nothing is left undone.
pub struct Held<'a> {
    change: &'a Change<'a>,
    interrupt: Interrupt,
    _root: Root,
    /// What is installed.
    pub installed: Installed,
}

/// What is to be done.
#[derive(Default)]
pub struct Plan {
    /// In order. Each can be taken back.
    pub steps: Vec<Step>,
    /// When all that holds.
    pub closing: Vec<Deed>,
    /// What to say in front of it, a line each.
    pub notes: Vec<String>,
    /// The administrator's password, if the operator chose one.
    pub password: Option<String>,
}

/// What came of it.
pub struct Done {
    /// As the answer says it.
    pub state: &'static str,
    /// What the server said when it made secrets.
    pub secrets: Option<Secrets>,
}

impl<'a> Change<'a> {
    /// Holds the installation and sees to a run that was interrupted: what is wanted now may be something else, so that it is
    /// put back first unless --resume is given. The word is how this run ends, if it ends with that.
    ///
    /// # Errors
    /// Exit code 1 if nothing is installed, 5 if another run is at work.
    pub fn begin(&'a self) -> Result<std::result::Result<Held<'a>, &'static str>> {
        let interrupt = Interrupt::new()?;
        let installed = Installed::find(self.root)?;
        may_change(&installed.layout, self.dry_run)?;
        let nothing = "nothing is installed; use the verb `install`";
        let root = Root::find(self.root)?.ok_or_else(|| Exit::error(Code::Usage, nothing))?;
        let wanted = Wanted {
            verb: "",
            to: None,
            source: None,
            ask: self.question.is_some(),
            dry_run: self.dry_run,
            password: None,
        };
        let settled = settle(root.layout(), self.recovery, &wanted, &interrupt, self.quiet)?;
        Ok(match settled {
            Settled::Clear => {
                // What was put back may be another installation.
                let installed = Installed::find(self.root)?;
                Ok(Held { change: self, interrupt, _root: root, installed })
            }
            Settled::Resumed => Err("done"),
            Settled::Undone => Err("undone"),
            Settled::Shown => Err("planned"),
        })
    }
}

impl Held<'_> {
    /// Shows the plan, asks if that is wanted, and does it.
    ///
    /// # Errors
    /// With the exit code that belongs to the failure; everything has been put back then, or the message says what was not.
    pub fn carry_out(&self, plan: Plan, answer: &mut Answer) -> Result<Done> {
        let (change, Installed { layout, receipt }) = (self.change, &self.installed);
        answer.from = Some(receipt.version.clone());
        answer.to = Some(receipt.version.clone());
        answer.steps = plan.steps.iter().map(ToString::to_string).collect();
        answer.kept.extend(plan.notes.iter().cloned());
        let ended = |state| Ok(Done { state, secrets: None });
        if plan.steps.is_empty() {
            if !change.quiet {
                plan.notes.iter().for_each(|note| say!("{note}"));
                say!("nothing to do");
            }
            return ended("nothing-to-do");
        }
        let question = change.question.filter(|_| !change.dry_run);
        if question.is_some() && !std::io::stdin().is_terminal() {
            return Err(no_terminal(false));
        }
        if !change.quiet {
            plan.notes.iter().for_each(|note| say!("{note}"));
            if change.dry_run || question.is_some() {
                say!("plan:");
                plan.steps.iter().for_each(|step| say!("  {step}"));
            }
        }
        if change.dry_run {
            return ended("planned");
        }
        if let Some(question) = question
            && !confirmed(question)?
        {
            return Err(Exit::error(Code::Interrupted, "nothing was changed"));
        }
        let context = Context {
            layout,
            source: None,
            role: receipt.role,
            start: self.installed.has_services(),
            password: plan.password,
            secrets: RefCell::new(None),
        };
        let head = Head {
            from: Some(receipt.version.clone()),
            to: Some(receipt.version.clone()),
            start: context.start,
            steps: plan.steps,
            closing: plan.closing,
            ..Head::new(change.verb, &receipt.product, receipt.role)
        };
        transaction::perform(&context, head, &BTreeSet::new(), &self.interrupt, change.quiet)?;
        Ok(Done { state: "done", secrets: context.secrets.take() })
    }
}
