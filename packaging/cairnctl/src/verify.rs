//! `verify`: of a .run file, or of what is installed, compared with the manifest of its version.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use packaging_archive::{Archive, MANIFEST, Manifest};

use crate::args::VerifyArgs;
use crate::exit::{Code, Exit};
use crate::host::sha256_of;
use crate::layout::Layout;
use crate::receipt::{Receipt, below_root};
use crate::role::Role;
use crate::say::{self, say};
use crate::source::{Source, entries_of};
use crate::trust::{Standing, Trust};

/// Runs the verb. `archive` was verified when it was opened.
///
/// # Errors
/// Exit code 2 for damage, each piece of it named, 8 for a file that has to be signed and is not.
pub fn command(args: &VerifyArgs, archive: Option<Archive>, quiet: bool) -> Result<Code> {
    let archive = match &args.file {
        Some(file) => {
            let archive = Archive::open(file)?;
            archive.verify(&mut |_| ())?;
            Some(archive)
        }
        None => archive,
    };
    match archive {
        Some(archive) => {
            let standing = Trust::new(&Layout::new(&args.root), &args.trust)?.judge(Some(&archive))?;
            if !quiet {
                let manifest = archive.manifest();
                let what = match &manifest.delta {
                    None => format!("{} entries", manifest.entries.len()),
                    Some(delta) => format!("a delta from {}", delta.base.version),
                };
                say!("ok: {} {}, {what}, every byte as it was packed", manifest.product, manifest.version);
                if let Some(delta) = &manifest.delta {
                    say!("it starts from the file with the digest {}", delta.base.digest);
                }
                standing.tell("");
                match standing {
                    Standing::Trusted(_) => (),
                    Standing::Unchecked(_) | Standing::Unsigned => {
                        say!("this shows that the file is undamaged, not who made it");
                    }
                }
            }
            Ok(Code::Ok)
        }
        None if args.trust.is_given() => {
            let sentence = "a signature is that of a .run file; name the file";
            Err(Exit::error(Code::Usage, sentence))
        }
        None => installation(&crate::root::layout(&args.root)?, quiet),
    }
}

fn installation(layout: &Layout, quiet: bool) -> Result<Code> {
    let Some(receipt) = Receipt::installed(layout)? else {
        let sentence = format!("nothing is installed below `{}`", layout.root().display());
        return Err(Exit::error(Code::Usage, sentence));
    };
    let faults = faults(layout, &receipt)?;
    for file in receipt.configuration.iter().filter(|_| !quiet) {
        let path = below_root(layout, &file.path);
        if path.exists() && sha256_of(&path)? != file.sha256 {
            say!("note: {} was changed by the operator", path.display());
        }
    }
    if faults.is_empty() {
        if !quiet {
            say!("ok: {} {} is installed as it was packed", receipt.product, receipt.version);
        }
        return Ok(Code::Ok);
    }
    for fault in &faults {
        say::complain(format_args!("{fault}"));
    }
    Err(Exit::error(Code::Damaged, "the installation is damaged; install the same version again to mend it"))
}

/// What is wrong with an installation, a sentence each. What the operator changed of the configuration is not wrong.
///
/// # Errors
/// If its version has no manifest.
pub fn faults(layout: &Layout, receipt: &Receipt) -> Result<Vec<String>> {
    let folder = layout.versions().join(&receipt.version);
    let source = Source::folder(&folder)?;
    let mut faults = version(&folder, source.manifest(), receipt.role)?;
    if std::fs::canonicalize(layout.current()).ok() != std::fs::canonicalize(&folder).ok() {
        faults.push(format!("{} does not point at {}", layout.current().display(), folder.display()));
    }
    for unit in &receipt.units {
        let path = below_root(layout, &unit.path);
        match sha256_of(&path) {
            Ok(sha256) if sha256 == unit.sha256 => (),
            Ok(_) => faults.push(format!("{} was changed", path.display())),
            Err(_) => faults.push(format!("{} is missing", path.display())),
        }
    }
    let configuration = receipt.configuration.iter().map(|file| below_root(layout, &file.path));
    let missing = configuration.filter(|path| !path.exists());
    faults.extend(missing.map(|path| format!("{} is missing", path.display())));
    Ok(faults)
}

/// What is wrong with the folder of a version, a sentence each: files that are missing, altered or too many.
pub fn version(folder: &Path, manifest: &Manifest, role: Role) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut known: BTreeSet<PathBuf> = BTreeSet::from([folder.join(MANIFEST)]);
    for entry in entries_of(manifest, role) {
        let path = entry.path.below(folder);
        match sha256_of(&path) {
            Err(_) => faults.push(format!("{} is missing", path.display())),
            Ok(sha256) if sha256 != entry.sha256 => faults.push(format!("{} was changed", path.display())),
            Ok(_) => {
                use std::os::unix::fs::PermissionsExt as _;
                if std::fs::metadata(&path)?.permissions().mode() & 0o7777 != entry.mode.bits() {
                    faults.push(format!(
                        "{} has another mode than {:04o}",
                        path.display(),
                        entry.mode.bits()
                    ));
                }
            }
        }
        known.insert(path);
    }
    match std::fs::read(folder.join(MANIFEST)).map(|json| serde_json::from_slice::<Manifest>(&json)) {
        Ok(Ok(installed)) if installed == *manifest => (),
        _ => faults.push(format!("{} is missing or was changed", folder.join(MANIFEST).display())),
    }
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&next) else { continue };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if !known.contains(&entry.path()) {
                faults.push(format!("{} does not belong there", entry.path().display()));
            }
        }
    }
    Ok(faults)
}
