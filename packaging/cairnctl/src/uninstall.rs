//! `uninstall`: the reverse of `install`, from the receipt. Data, certificates, logs and files that the operator changed
//! stay and are named, unless `--purge`. What is gone already is no error.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::Result;

use crate::args::UninstallArgs;
use crate::exit::{Code, Exit};
use crate::host::{self, is_empty_folder, sha256_of};
use crate::install;
use crate::layout::Layout;
use crate::receipt::{Receipt, below_root};
use crate::root::Root;
use crate::say::say;

/// Runs the verb.
///
/// # Errors
/// With the exit code that belongs to the failure; a second run goes on where this one stopped.
pub fn command(args: &UninstallArgs, quiet: bool) -> Result<Code> {
    let root = Root::find(&args.root)?;
    let plan = root.as_ref().map(|root| Plan::new(root.layout(), args.purge)).transpose()?.flatten();
    let (Some(root), Some(plan)) = (root, plan) else {
        if !quiet {
            say!("nothing of this product is installed below {}; nothing to do", args.root.display());
        }
        return Ok(Code::Ok);
    };
    if let Plan { only_data: true, .. } = plan {
        if !quiet {
            say!("nothing is installed below {}; nothing to do", args.root.display());
            plan.print_kept();
        }
        return Ok(Code::Ok);
    }
    let ask = !args.dry_run && !args.yes;
    if ask && !std::io::stdin().is_terminal() {
        return Err(install::no_terminal(false));
    }
    if !quiet || args.dry_run {
        say!("{}", if args.dry_run || ask { "plan:" } else { "uninstalling:" });
        plan.print();
    }
    if args.dry_run {
        return Ok(Code::Ok);
    }
    if root.layout().is_host() && !rustix::process::geteuid().is_root() {
        return Err(Exit::error(Code::Unsupported, "this needs the superuser; run it again as root"));
    }
    if ask && !install::confirmed("Uninstall?")? {
        return Err(Exit::error(Code::Interrupted, "nothing was changed"));
    }
    plan.perform(root.layout())?;
    if !quiet {
        say!("uninstalled");
    }
    Ok(Code::Ok)
}

/// What a removal consists of.
#[derive(Default)]
struct Plan {
    /// Services to stop and disable.
    services: Vec<String>,
    /// Files and links, in order.
    files: Vec<PathBuf>,
    /// Folders with all that is in them.
    trees: Vec<PathBuf>,
    /// Folders that go if nothing is left in them, in no order.
    folders: Vec<PathBuf>,
    /// What stays, and why.
    kept: Vec<(PathBuf, &'static str)>,
    /// Where the record lies, and what it says as long as something is kept.
    receipt: PathBuf,
    reminder: Option<Receipt>,
    /// Whether all but data was removed before, and data is not to be.
    only_data: bool,
}

impl Plan {
    /// `None` if nothing of this product is there.
    fn new(layout: &Layout, purge: bool) -> Result<Option<Self>> {
        let receipt = Receipt::read(layout)?;
        let mut plan = Self { receipt: layout.receipt(), ..Self::default() };
        plan.folders.extend([layout.configuration(), layout.state(), layout.logs()]);
        plan.folders.extend([layout.archives(), layout.versions(), layout.prefix()]);
        if let Some(receipt) = &receipt {
            plan.programs(layout, receipt, purge);
        }
        if purge {
            plan.everything(layout);
        } else {
            plan.data(layout);
        }
        if receipt.is_none() && plan.trees.is_empty() && plan.files.is_empty() {
            return Ok(None);
        }
        plan.only_data = !purge
            && !plan.kept.is_empty()
            && receipt.as_ref().is_none_or(|receipt| receipt.removed)
            && plan.files.is_empty();
        if let (Some(receipt), false) = (receipt, plan.kept.is_empty()) {
            plan.kept.push((layout.receipt(), "what a later removal has to know"));
            plan.reminder = Some(Receipt { removed: true, ..receipt });
        }
        Ok(Some(plan))
    }

    fn programs(&mut self, layout: &Layout, receipt: &Receipt, purge: bool) {
        for unit in &receipt.units {
            let path = below_root(layout, &unit.path);
            if let (true, Some(name)) = (layout.is_host() && install::is_booted(), path.file_name()) {
                self.services.push(name.to_string_lossy().into_owned());
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
        self.services.retain(|unit| !install::is_idle(unit) || install::is_enabled(unit));
        self.files.push(layout.current());
        // A receipt of an older program does not name it.
        let kept = receipt.archive.as_ref().map(|path| below_root(layout, path));
        self.files.push(kept.unwrap_or_else(|| layout.archives().join(format!("{}.run", receipt.version))));
        self.trees.push(layout.versions().join(&receipt.version));
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
            (layout.configuration().join("tls"), "certificates and keys"),
            (layout.trusted(), "keys whose files are trusted here"),
            (layout.first_password(), "the administrator's first password"),
            (layout.state().join("server"), "the server's data"),
            (layout.state().join("agent"), "the agent's data"),
            (layout.state().join("images"), "images"),
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
                self.trees.push(path);
            }
        }
    }

    fn print(&self) {
        for service in &self.services {
            say!("  stop and disable {service}");
        }
        for path in self.files.iter().chain(&self.trees) {
            say!("  remove {}", path.display());
        }
        self.print_kept();
    }

    fn print_kept(&self) {
        for (path, why) in &self.kept {
            say!("  keep {}: {why}", path.display());
        }
        if !self.kept.is_empty() {
            say!("  (to remove those too: --purge)");
        }
    }

    fn perform(&self, layout: &Layout) -> Result<()> {
        layout.written().iter().try_for_each(|folder| host::sweep(folder))?;
        for service in &self.services {
            if !install::is_idle(service) {
                install::stop(service)?;
            }
            // A unit whose file is gone cannot be disabled, and need not be.
            if install::is_enabled(service) {
                install::disable(service)?;
            }
        }
        for path in &self.files {
            host::remove(path)?;
        }
        if install::is_booted() && !self.services.is_empty() {
            install::reload()?;
        }
        for tree in &self.trees {
            host::remove_tree(tree)?;
        }
        // Last of what matters: as long as it is there, a second run can finish.
        match &self.reminder {
            Some(reminder) => host::write_whole(&self.receipt, &reminder.json()?, 0o644)?,
            None => host::remove(&self.receipt)?,
        }
        // A folder lies behind the one that it is in, so backwards is inside out.
        for folder in self.folders.iter().collect::<BTreeSet<_>>().into_iter().rev() {
            if is_empty_folder(folder) {
                host::remove(folder)?;
            }
        }
        Ok(())
    }
}
