//! `uninstall`: the reverse of `install`, from the receipt. Data, certificates, logs and files that the operator changed
//! stay and are named, unless `--purge`. What is gone already is no error. Packages of the operating system stay and are named, too;
//! with `--remove-packages` they go last, when nothing of Cairn's needs them any more.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::Result;

use crate::answer::Answer;
use crate::args::UninstallArgs;
use crate::exit::{Code, Exit};
use crate::host::{self, is_empty_folder, sha256_of};
use crate::install;
use crate::layout::Layout;
use crate::packages::{Added, Removal};
use crate::receipt::{Receipt, below_root};
use crate::role::Role;
use crate::root::Root;
use crate::running;
use crate::say::say;
use crate::transaction::{
    self, Context, Deed, Head, Interrupt, Settled, Step, Wanted, is_booted, is_enabled, is_idle, may_change,
    settle, systemd,
};

/// Runs the verb.
///
/// # Errors
/// With the exit code that belongs to the failure; everything has been put back then, or a second run goes on.
pub fn command(args: &UninstallArgs, quiet: bool) -> Result<Code> {
    let mut answer = Answer::of("uninstall");
    let done = uninstalled(args, quiet || args.change.json, &mut answer);
    answer.give(args.change.json, done)
}

fn uninstalled(args: &UninstallArgs, quiet: bool, answer: &mut Answer) -> Result<&'static str> {
    let interrupt = Interrupt::new()?;
    let root = Root::find(&args.change.root)?;
    if let Some(root) = &root {
        let wanted = Wanted {
            verb: "uninstall",
            to: None,
            source: None,
            ask: !args.change.yes,
            dry_run: args.change.dry_run,
            password: None,
        };
        may_change(root.layout(), args.change.dry_run)?;
        match settle(root.layout(), &args.change.recovery, &wanted, &interrupt, quiet)? {
            Settled::Clear => (),
            Settled::Resumed => {
                if !quiet {
                    say!("uninstalled");
                }
                return Ok("done");
            }
            Settled::Undone => return Ok("undone"),
            Settled::Shown => return Ok("planned"),
        }
    }
    let plan = root.as_ref().map(|root| Plan::new(root.layout(), args.purge, args.remove_packages));
    let plan = plan.transpose()?.flatten();
    let (Some(root), Some(plan)) = (root, plan) else {
        if !quiet {
            say!("nothing of this product is installed below {}; nothing to do", args.change.root.display());
        }
        return Ok("nothing-to-do");
    };
    let removes_packages = args.remove_packages && !plan.packages.is_empty() && root.layout().is_host();
    if plan.only_data && !removes_packages {
        if !quiet {
            say!("nothing is installed below {}; nothing to do", args.change.root.display());
            plan.print_kept();
        }
        return Ok("nothing-to-do");
    }
    answer.from = plan.installed.as_ref().map(|(_, version, _)| version.clone());
    answer.steps = plan.steps().iter().map(ToString::to_string).collect();
    answer.steps.extend(plan.data.iter().map(|path| format!("remove {}", path.display())));
    answer.kept = plan.kept.iter().map(|(path, why)| format!("{}: {why}", path.display())).collect();
    let vms = running::all(root.layout());
    if !vms.is_empty() && !args.stop_vms {
        let sentence = format!(
            "virtual machines run here: {}; shut them down first, or have them turned off with --stop-vms",
            running::names(&vms)
        );
        return Err(Exit::error(Code::Refused, sentence));
    }
    answer.steps.splice(0..0, vms.iter().map(|vm| format!("turn off {}", vm.name)));
    let removal = if removes_packages {
        Some(removal(root.layout(), &plan.packages, args)?)
    } else {
        answer.kept.extend(plan.packages.lines());
        answer.kept.extend(plan.note_on_packages().map(str::to_owned));
        None
    };
    answer.steps.extend(removal.iter().map(Removal::to_string));
    let ask = !args.change.dry_run && !args.change.yes;
    if ask && !std::io::stdin().is_terminal() {
        return Err(install::no_terminal(false));
    }
    if !quiet || (args.change.dry_run && !args.change.json) {
        say!("{}", if args.change.dry_run || ask { "plan:" } else { "uninstalling:" });
        vms.iter().for_each(|vm| say!("  turn off virtual machine {}", vm.name));
        plan.print(removal.as_ref());
    }
    if args.change.dry_run {
        return Ok("planned");
    }
    if ask && !install::confirmed("Uninstall?")? {
        return Err(Exit::error(Code::Interrupted, "nothing was changed"));
    }
    vms.iter().try_for_each(running::turn_off)?;
    if !plan.only_data {
        plan.perform(root.layout(), &interrupt)?;
    }
    if let Some(removal) = removal {
        removal.perform()?;
        forget(root.layout(), &removal, args.purge, &interrupt)?;
    }
    if !quiet {
        say!("uninstalled");
    }
    Ok("done")
}

/// What becomes of the packages.
fn removal(layout: &Layout, packages: &Added, args: &UninstallArgs) -> Result<Removal> {
    let others = running::others(layout);
    if !others.is_empty() {
        let names: Vec<String> = others.iter().map(|name| format!("`{name}`")).collect();
        let sentence = format!(
            "libvirt has virtual machines here that are not Cairn's: {}; leave out --remove-packages, or delete them first",
            names.join(", ")
        );
        return Err(Exit::error(Code::Refused, sentence));
    }
    may_change(layout, false)?;
    Removal::prepare(packages, args.purge, args.wait.patience())
}

/// The record loses what is removed, and goes when there is nothing else to remember.
fn forget(layout: &Layout, removal: &Removal, purge: bool, interrupt: &Interrupt) -> Result<()> {
    if let Some(mut receipt) = Receipt::read(layout)? {
        receipt.packages.installed.retain(|name, _| !purge && !removal.names.contains(name));
        if receipt.packages.installed.is_empty() {
            receipt.packages.upgraded.clear();
        }
        host::write_whole(&layout.receipt(), &receipt.json()?, 0o644)?;
    }
    match Plan::new(layout, purge, false)? {
        Some(plan) if !plan.only_data => plan.perform(layout, interrupt),
        _ => Ok(()),
    }
}

/// What a removal consists of.
#[derive(Default)]
struct Plan {
    /// Services to stop and disable.
    services: Vec<String>,
    /// Files and links, in order.
    files: Vec<PathBuf>,
    /// Folders of programs, with all that is in them.
    trees: Vec<PathBuf>,
    /// Data, which goes when nothing is put back any more.
    data: Vec<PathBuf>,
    /// Folders that go if nothing is left in them, in no order.
    folders: Vec<PathBuf>,
    /// What stays, and why.
    kept: Vec<(PathBuf, &'static str)>,
    /// Where the record lies, and what it says as long as something is kept.
    receipt: PathBuf,
    reminder: Option<Receipt>,
    /// What is removed: product, version and role.
    installed: Option<(String, String, Role)>,
    /// Whether all but data was removed before, and data is not to be.
    only_data: bool,
    /// Packages of the operating system that came with it.
    packages: Added,
}

impl Plan {
    /// `None` if nothing of this product is there.
    fn new(layout: &Layout, purge: bool, remove_packages: bool) -> Result<Option<Self>> {
        let receipt = Receipt::read(layout)?;
        let mut plan = Self { receipt: layout.receipt(), ..Self::default() };
        plan.folders.extend([layout.configuration(), layout.state(), layout.logs()]);
        plan.folders.extend([layout.archives(), layout.versions(), layout.prefix()]);
        if let Some(receipt) = &receipt {
            plan.installed = Some((receipt.product.clone(), receipt.version.clone(), receipt.role));
            plan.programs(layout, receipt, purge);
            plan.packages = receipt.packages.clone();
        }
        if purge {
            plan.everything(layout);
        } else {
            plan.data(layout);
        }
        if receipt.is_none() && plan.trees.is_empty() && plan.files.is_empty() && plan.data.is_empty() {
            return Ok(None);
        }
        // What was removed with everything is named once more, and forgotten, unless it goes after this.
        let remembers_packages = !plan.packages.is_empty() && (remove_packages || !purge);
        let stays = !plan.kept.is_empty() || remembers_packages;
        plan.only_data = (!purge || remembers_packages)
            && stays
            && receipt.as_ref().is_none_or(|receipt| receipt.removed)
            && plan.files.is_empty()
            && plan.data.is_empty();
        if let (Some(receipt), true) = (receipt, stays) {
            plan.kept.push((layout.receipt(), "what a later removal has to know"));
            plan.reminder = Some(Receipt { removed: true, ..receipt });
        }
        Ok(Some(plan))
    }

    fn programs(&mut self, layout: &Layout, receipt: &Receipt, purge: bool) {
        for unit in &receipt.units {
            let path = below_root(layout, &unit.path);
            if let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) {
                self.files.extend(systemd::stamp(layout, &name));
                if layout.is_host() && is_booted() {
                    self.services.push(name);
                }
            }
            let changes = path.with_added_extension("d");
            if purge {
                self.trees.push(changes);
            } else if changes.exists() {
                self.kept.push((changes, "the operator's changes of a unit"));
            }
            self.unless_changed(path, &unit.sha256, purge);
        }
        for file in &receipt.configuration {
            self.unless_changed(below_root(layout, &file.path), &file.sha256, purge);
        }
        self.services.retain(|unit| !is_idle(unit) || is_enabled(unit));
        self.files.push(layout.current());
        // A receipt of an older program does not name it.
        let kept = receipt.archive.as_ref().map(|path| below_root(layout, path));
        self.files.push(kept.unwrap_or_else(|| layout.archives().join(format!("{}.run", receipt.version))));
        self.trees.push(layout.versions().join(&receipt.version));
        if let Some(previous) = &receipt.previous {
            self.trees.push(layout.versions().join(&previous.version));
            self.files.extend(previous.archive.iter().map(|path| below_root(layout, path)));
        }
        self.trees.push(layout.runtime());
        self.folders.extend(receipt.folders.iter().map(|folder| below_root(layout, folder)));
        self.files.retain(|path| path.symlink_metadata().is_ok());
        self.trees.retain(|path| path.symlink_metadata().is_ok());
    }

    fn unless_changed(&mut self, path: PathBuf, sha256: &str, purge: bool) {
        match sha256_of(&path) {
            Err(_) => (),
            Ok(found) if purge || found == sha256 => self.files.push(path),
            Ok(_) => self.kept.push((path, "was changed by the operator")),
        }
    }

    /// What is not to be lost.
    fn data(&mut self, layout: &Layout) {
        let data = [
            (layout.backups(), "backups of the server's data"),
            (layout.configuration().join("tls"), "certificates and keys"),
            (layout.trusted(), "keys whose files are trusted here"),
            (layout.first_password(), "the administrator's first password"),
            (layout.state().join("server"), "the server's data"),
            (layout.state().join("agent"), "the agent's data"),
            (layout.images(), "images"),
            (layout.volumes(), "volumes"),
            (layout.logs(), "logs"),
        ];
        for (path, what) in data {
            if is_empty_folder(&path) {
                self.folders.push(path);
            } else if path.symlink_metadata().is_ok() {
                self.kept.push((path, what));
            }
        }
    }

    /// All that lies in folders that are this product's alone. A file system may be mounted at one of them, so that they
    /// are emptied and not removed whole; the record goes last.
    fn everything(&mut self, layout: &Layout) {
        let whole = [layout.prefix(), layout.configuration(), layout.logs()];
        let known = self.files.clone();
        let inside = |folder: &PathBuf| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<BTreeSet<_>>()
        };
        for path in whole.iter().chain([&layout.state()]).flat_map(inside) {
            if path != self.receipt && !known.contains(&path) && !self.trees.contains(&path) {
                self.data.push(path);
            }
        }
    }

    fn print(&self, removal: Option<&Removal>) {
        for service in &self.services {
            say!("  stop and disable {service}");
        }
        for path in self.files.iter().chain(&self.trees).chain(&self.data) {
            say!("  remove {}", path.display());
        }
        match removal {
            Some(removal) => {
                say!("  {removal}");
                self.print_kept_data();
            }
            None => self.print_kept(),
        }
    }

    fn print_kept(&self) {
        self.print_kept_data();
        self.packages.lines().iter().for_each(|line| say!("  keep {line}"));
        if let Some(note) = self.note_on_packages() {
            say!("  ({note})");
        }
    }

    /// What to know about packages that stay. The record is what names them later, and may go.
    fn note_on_packages(&self) -> Option<&'static str> {
        if self.packages.is_empty() {
            None
        } else if self.reminder.is_some() {
            Some("to remove what nothing else needs of them: --remove-packages")
        } else {
            Some(
                "the record that names them goes with --purge: keep this list, or add --remove-packages now, which removes \
                 what nothing else needs of them",
            )
        }
    }

    fn print_kept_data(&self) {
        for (path, why) in &self.kept {
            say!("  keep {}: {why}", path.display());
        }
        if !self.kept.is_empty() {
            say!("  (to remove those too: --purge)");
        }
    }

    fn perform(&self, layout: &Layout, interrupt: &Interrupt) -> Result<()> {
        let (product, version, role) =
            self.installed.clone().unwrap_or_else(|| ("cairn".to_owned(), String::new(), Role::All));
        // A folder lies behind the one that it is in, so backwards is inside out.
        let folders: BTreeSet<PathBuf> = self.folders.iter().cloned().collect();
        let trees = self.data.iter().cloned().map(Deed::RemoveTree);
        let head = Head {
            from: Some(version).filter(|version| !version.is_empty()),
            steps: self.steps(),
            closing: trees.chain(folders.iter().rev().cloned().map(Deed::Remove)).collect(),
            ..Head::new("uninstall", &product, role)
        };
        let context = Context {
            layout,
            source: None,
            role,
            start: false,
            password: None,
            secrets: std::cell::RefCell::new(None),
        };
        transaction::perform(&context, head, &folders, interrupt, true)
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for unit in &self.services {
            if !is_idle(unit) {
                steps.push(Step::Stop { unit: unit.clone() });
            }
            // A unit whose file is gone cannot be disabled, and need not be.
            if is_enabled(unit) {
                steps.push(Step::Disable { unit: unit.clone() });
            }
        }
        // Before and behind: whichever way it goes, systemd reads them when they are as they will be.
        let reload = (is_booted() && !self.services.is_empty()).then_some(Step::Reload);
        steps.extend(reload.clone());
        steps.extend(self.files.iter().chain(&self.trees).map(|path| Step::SetAside { path: path.clone() }));
        steps.extend(reload);
        steps.push(match &self.reminder {
            Some(reminder) => Step::WriteReceipt { receipt: Box::new(reminder.clone()) },
            None => Step::SetAside { path: self.receipt.clone() },
        });
        steps
    }
}
