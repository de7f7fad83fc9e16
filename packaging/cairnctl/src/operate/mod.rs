//! The verbs for an installation that is there: how it is, its services, their logs. What changes more than whether a service
//! runs is a [transaction](crate::transaction). Nothing here stops a virtual machine.

mod args;
mod backup;
mod bundle;
mod change;
mod config;
mod doctor;
mod logs;
mod redact;
mod renew;
mod service;
mod status;

use std::path::Path;

use anyhow::Result;

pub use args::OperateVerb;

use crate::exit::{Code, Exit};
use crate::layout::Layout;
use crate::receipt::Receipt;
use crate::role::Role;
use crate::transaction::{Pending, Program, is_booted, pending};

/// Runs one of them.
///
/// # Errors
/// With the exit code that belongs to the failure.
pub fn command(verb: &OperateVerb, quiet: bool) -> Result<Code> {
    match verb {
        OperateVerb::Status(args) => status::command(args, quiet),
        OperateVerb::Start(args) => service::command(service::Deed::Start, args, quiet),
        OperateVerb::Stop(args) => service::command(service::Deed::Stop, args, quiet),
        OperateVerb::Restart(args) => service::command(service::Deed::Restart, args, quiet),
        OperateVerb::Logs(args) => logs::command(args),
        OperateVerb::Config(args) => config::command(&args.verb, quiet),
        OperateVerb::Doctor(args) => doctor::command(args),
        OperateVerb::SupportBundle(args) => bundle::command(args, quiet),
        OperateVerb::Backup(args) => backup::command(args, quiet),
        OperateVerb::Restore(args) => backup::restore(args, quiet),
        OperateVerb::ResetAdminPassword(args) => renew::reset_admin_password(args, quiet),
        OperateVerb::ChangeAddress(args) => renew::change_address(args, quiet),
    }
}

/// What is installed below a root.
struct Installed {
    layout: Layout,
    receipt: Receipt,
}

impl Installed {
    /// Looks, and changes nothing.
    ///
    /// # Errors
    /// Exit code 1 if nothing is installed there.
    fn find(root: &Path) -> Result<Self> {
        let nothing = || {
            let sentence = format!("nothing is installed below `{}`; use the verb `install`", root.display());
            Exit::error(Code::Usage, sentence)
        };
        if root.symlink_metadata().is_err() {
            return Err(nothing());
        }
        let layout = crate::root::layout(root)?;
        let receipt = Receipt::installed(&layout)?.ok_or_else(nothing)?;
        Ok(Self { layout, receipt })
    }

    /// The programs that are meant by a role on the command line.
    ///
    /// # Errors
    /// Exit code 1 for one that this host does not have.
    fn programs(&self, which: Role) -> Result<Vec<Program>> {
        let own: Vec<Program> = Program::of(self.receipt.role).collect();
        if which == Role::All {
            return Ok(own);
        }
        let wanted: Vec<Program> = Program::of(which).filter(|program| own.contains(program)).collect();
        if wanted.is_empty() {
            let sentence =
                format!("this host has the role {}, and no {which}; leave it out", self.receipt.role);
            return Err(Exit::error(Code::Usage, sentence));
        }
        Ok(wanted)
    }

    /// Whether systemd runs what is installed here.
    fn has_services(&self) -> bool {
        self.layout.is_host() && is_booted()
    }

    /// Sees that systemd runs what is installed here.
    ///
    /// # Errors
    /// Exit code 1 for another root, 3 without systemd.
    fn needs_services(&self) -> Result<()> {
        if !self.layout.is_host() {
            let sentence = "services of another root are not run by systemd; leave out --root";
            return Err(Exit::error(Code::Usage, sentence));
        }
        if !is_booted() {
            let sentence = "systemd does not run this host; start the programs by hand: `cairn-server run`";
            return Err(Exit::error(Code::Unsupported, sentence));
        }
        Ok(())
    }

    /// Sees that no run was interrupted here: what runs and what lies here may be of two versions then.
    ///
    /// # Errors
    /// Exit code 8 if one was.
    fn refuse_pending(&self) -> Result<()> {
        let Some(Pending { verb, what, .. }) = pending(&self.layout) else { return Ok(()) };
        let sentence =
            format!("{what} was interrupted; finish it first: `cairnctl {verb} --resume`, or `--undo`");
        Err(Exit::error(Code::Refused, sentence))
    }
}
