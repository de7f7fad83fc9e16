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

/// Runs the verb.
///
/// # Errors
/// With the exit code that belongs to the failure; a second run goes on where this one stopped.
pub fn command(args: &UninstallArgs, quiet: bool) -> Result<Code> {
    let layout = install::layout(&args.root)?;
    let _lock = host::lock(layout.root())?;
    let receipt = Receipt::read(&layout)?;
    let plan = Plan::new(&layout, receipt.as_ref(), args.purge);
    if plan.is_empty() {
        if !quiet {
            println!("nothing of this product is installed below {}", layout.root().display());
        }
        return Ok(Code::Ok);
    }
    if !quiet || args.dry_run {
        plan.print();
    }
    if args.dry_run {
        return Ok(Code::Ok);
    }
    if !args.yes && !install::confirmed(std::io::stdin().is_terminal(), "Uninstall?")? {
        return Err(Exit::error(Code::Interrupted, "nothing was changed"));
    }
    plan.perform(&layout)?;
    if !quiet {
        println!("uninstalled");
    }
    Ok(Code::Ok)
}

/// What a removal consists of.
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
    receipt: PathBuf,
}

impl Plan {
    fn new(layout: &Layout, receipt: Option<&Receipt>, purge: bool) -> Self {
        let mut plan = Self {
            services: Vec::new(),
            files: Vec::new(),
            trees: Vec::new(),
            folders: vec![layout.archives(), layout.state(), layout.configuration(), layout.logs()],
            kept: Vec::new(),
            receipt: layout.receipt(),
        };
        if let Some(receipt) = receipt {
            plan.programs(layout, receipt, purge);
        }
        plan.data(layout, purge);
        if receipt.is_none() && plan.files.is_empty() && plan.trees.is_empty() {
            plan.kept.clear();
        }
        plan
    }

    fn programs(&mut self, layout: &Layout, receipt: &Receipt, purge: bool) {
        for unit in &receipt.units {
            let path = below_root(layout, &unit.path);
            if let (true, Some(name)) = (receipt.started && layout.is_host(), path.file_name()) {
                self.services.push(name.to_string_lossy().into_owned());
            }
            self.unless_changed(path, &unit.sha256, purge);
        }
        for file in &receipt.configuration {
            self.unless_changed(below_root(layout, &file.path), &file.sha256, purge);
        }
        self.files.push(layout.current());
        self.files.push(layout.archives().join(format!("{}.run", receipt.version)));
        self.trees.push(layout.versions().join(&receipt.version));
        self.trees.push(layout.runtime());
        self.folders.extend([layout.versions(), layout.prefix()]);
        self.folders.extend(receipt.folders.iter().map(|folder| below_root(layout, folder)));
        self.files.retain(|path| path.symlink_metadata().is_ok());
        self.trees.retain(|path| path.exists());
    }

    fn unless_changed(&mut self, path: PathBuf, sha256: &str, purge: bool) {
        match sha256_of(&path) {
            Err(_) => (),
            Ok(found) if purge || found == sha256 => self.files.push(path),
            Ok(_) => self.kept.push((path, "was changed by the operator")),
        }
    }

    fn data(&mut self, layout: &Layout, purge: bool) {
        let data = [
            (layout.configuration().join("tls"), "certificates and keys"),
            (layout.state().join("admin-password"), "the administrator's first password"),
            (layout.state().join("server"), "the server's data"),
            (layout.state().join("agent"), "the agent's data"),
            (layout.state().join("images"), "images"),
            (layout.volumes(), "volumes"),
            (layout.logs(), "logs"),
        ];
        for (path, what) in data {
            if path.symlink_metadata().is_err() {
                continue;
            }
            if purge {
                self.trees.push(path);
            } else if is_empty_folder(&path) {
                self.folders.push(path);
            } else {
                self.kept.push((path, what));
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.trees.is_empty() && !self.receipt.exists()
    }

    fn print(&self) {
        println!("plan:");
        for service in &self.services {
            println!("  stop and disable {service}");
        }
        for path in self.files.iter().chain(&self.trees) {
            println!("  remove {}", path.display());
        }
        for (path, why) in &self.kept {
            println!("  keep {}: {why}", path.display());
        }
        if !self.kept.is_empty() {
            println!("  (to remove those too: --purge)");
        }
    }

    fn perform(&self, layout: &Layout) -> Result<()> {
        for service in &self.services {
            if install::is_running(service) {
                install::stop(service)?;
            }
            // A unit whose file is gone cannot be disabled, and need not be.
            if layout.units().join(service).exists() {
                install::disable(service)?;
            }
        }
        for path in &self.files {
            host::remove(path)?;
        }
        if !self.services.is_empty() {
            install::reload()?;
        }
        for tree in &self.trees {
            host::remove_tree(tree)?;
        }
        // Last of what matters: as long as it is there, a second run can finish.
        host::remove(&self.receipt)?;
        // A folder lies behind the one that it is in, so backwards is inside out.
        for folder in self.folders.iter().collect::<BTreeSet<_>>().into_iter().rev() {
            if is_empty_folder(folder) {
                host::remove(folder)?;
            }
        }
        Ok(())
    }
}
