//! One step of an installation: whether it is done, how it is done, and how it is undone. A new kind of step is a
//! variant here and a line in `plan.rs`.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use packaging_archive::{Archive, Entry, PublicKey};

use super::program::Program;
use super::systemd;
use super::undo::Undo;
use crate::host;
use crate::layout::Layout;
use crate::receipt::Receipt;
use crate::role::Role;
use crate::source::Source;
use crate::trust;
use crate::verify;

/// What steps need to know.
pub struct Context<'a> {
    /// Where things lie.
    pub layout: &'a Layout,
    /// What is installed.
    pub source: &'a Source,
    /// Keys that this host is to trust from now on.
    pub trust: Vec<PublicKey>,
    /// What this host is.
    pub role: Role,
    /// Whether services are enabled and started.
    pub start: bool,
    /// Whether the root was made for this run.
    pub root_is_new: bool,
    /// The administrator's password, if the operator chose one.
    pub password: Option<String>,
    /// Whether a new password is shown when all is done, instead of being written to a file.
    pub show_password: bool,
    /// What the server said when it made its secrets.
    pub secrets: std::cell::RefCell<Option<super::program::Secrets>>,
}

/// A step.
#[derive(Debug)]
pub enum Step {
    /// A folder of Cairn's, and those above it.
    MakeFolder { path: PathBuf, mode: u32 },
    /// The record, before what it lists.
    WriteReceipt { receipt: Receipt },
    /// A key whose files are installed here from now on.
    TrustKey { key: PublicKey, to: PathBuf },
    /// The files of the version, beside, then by rename.
    Unpack { folder: PathBuf },
    /// The archive itself, for a later way back.
    KeepArchive { to: PathBuf },
    /// A default configuration, where there is none.
    WriteConfiguration { entry: Entry, to: PathBuf },
    /// `current` to this version.
    SwitchLink { link: PathBuf, version: String },
    /// Secrets and certificates.
    Bootstrap { program: Program },
    /// A systemd unit.
    WriteUnit { entry: Entry, to: PathBuf },
    /// The service, at every boot.
    Enable { unit: String },
    /// The service, now.
    Start { unit: String },
    /// The program's own word that it works.
    CheckHealth { program: Program },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeFolder { path, .. } => write!(f, "make folder {}", path.display()),
            Self::WriteReceipt { .. } => write!(f, "write the receipt"),
            Self::TrustKey { key, to } => {
                write!(f, "trust the key {} from now on, in {}", key.fingerprint(), to.display())
            }
            Self::Unpack { folder } => write!(f, "unpack to {}", folder.display()),
            Self::KeepArchive { to } => write!(f, "keep the archive as {}", to.display()),
            Self::WriteConfiguration { to, .. } => write!(f, "write default configuration {}", to.display()),
            Self::SwitchLink { link, version } => write!(f, "point {} at {version}", link.display()),
            Self::Bootstrap { program } => write!(f, "create secrets and certificates of {}", program.name()),
            Self::WriteUnit { to, .. } => write!(f, "write unit {}", to.display()),
            Self::Enable { unit } => write!(f, "enable {unit}"),
            Self::Start { unit } => write!(f, "start {unit}"),
            Self::CheckHealth { program } => write!(f, "check the health of {}", program.name()),
        }
    }
}

impl Step {
    /// Whether nothing is left to do. `before` is the record of an earlier installation.
    pub fn is_done(&self, context: &Context<'_>, before: Option<&Receipt>) -> Result<bool> {
        Ok(match self {
            Self::MakeFolder { path, .. } => path.is_dir(),
            Self::WriteReceipt { receipt } => before == Some(receipt),
            Self::TrustKey { key, to } => trust::is_kept(to, key),
            Self::Unpack { folder } => {
                folder.is_dir()
                    && verify::version(folder, context.source.manifest(), context.role)?.is_empty()
            }
            Self::KeepArchive { to } => {
                context.source.archive().is_some_and(|archive| same_archive(archive, to))
            }
            Self::WriteConfiguration { to, .. } => to.exists(),
            Self::SwitchLink { link, version } => {
                fs::read_link(link).is_ok_and(|target| target == link_target(version))
            }
            Self::Bootstrap { program } => {
                before.is_some() && program.is_bootstrapped(context.layout, context.role)
            }
            Self::WriteUnit { entry, to } => host::sha256_of(to).is_ok_and(|sha256| sha256 == entry.sha256),
            Self::Enable { unit } => systemd::is_enabled(unit),
            Self::Start { unit } => systemd::is_running(unit),
            Self::CheckHealth { .. } => false,
        })
    }

    /// Does it, and pushes how to undo what it did.
    pub fn apply(&self, context: &Context<'_>, undo: &mut Vec<Undo>) -> Result<()> {
        match self {
            Self::MakeFolder { path, mode } => {
                for folder in host::missing_folders(path) {
                    host::make_folder(&folder, 0o755)?;
                    undo.push(Undo::Remove(folder));
                }
                if !path.is_dir() {
                    bail!("`{}` is not a folder; move it out of the way", path.display());
                }
                host::set_mode(path, *mode)
            }
            Self::WriteReceipt { receipt } => {
                replace(&context.layout.receipt(), &receipt.json()?, 0o644, undo)
            }
            Self::TrustKey { key, to } => replace(to, key.to_pem()?.as_bytes(), 0o644, undo),
            Self::Unpack { folder } => unpack(context, folder, undo),
            Self::KeepArchive { to } => keep_archive(context, to, undo),
            Self::WriteConfiguration { entry, to } => replace(to, &context.source.read(entry)?, 0o644, undo),
            Self::SwitchLink { link, version } => {
                undo.push(match fs::read_link(link) {
                    Ok(target) => Undo::Link { link: link.clone(), target },
                    Err(error) if error.kind() == ErrorKind::NotFound => Undo::Remove(link.clone()),
                    Err(_) => bail!("`{}` is no symbolic link; move it out of the way", link.display()),
                });
                host::link_whole(link, &link_target(version))
            }
            Self::Bootstrap { program } => program.bootstrap(context, undo),
            Self::WriteUnit { entry, to } => {
                if context.start {
                    undo.push(Undo::Reload);
                }
                replace(to, &context.source.read(entry)?, 0o644, undo)?;
                if context.start { systemd::reload() } else { Ok(()) }
            }
            Self::Enable { unit } => {
                undo.push(Undo::Disable(unit.clone()));
                systemd::enable(unit)
            }
            Self::Start { unit } => {
                undo.push(Undo::remove_new(context.layout.runtime()));
                undo.push(Undo::Stop(unit.clone()));
                systemd::start(unit)
            }
            Self::CheckHealth { program } => program.wait_healthy(context.layout),
        }
    }
}

/// Relative, so that the link is right below any root.
fn link_target(version: &str) -> PathBuf {
    Path::new("versions").join(version)
}

fn replace(path: &Path, bytes: &[u8], mode: u32, undo: &mut Vec<Undo>) -> Result<()> {
    undo.push(match fs::read(path) {
        Ok(bytes) => {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(path).map_or(mode, |metadata| metadata.permissions().mode() & 0o7777);
            Undo::Write { path: path.to_owned(), bytes, mode }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Undo::Remove(path.to_owned()),
        Err(error) => return Err(error).with_context(|| format!("cannot replace `{}`", path.display())),
    });
    host::write_whole(path, bytes, mode)
}

fn unpack(context: &Context<'_>, folder: &Path, undo: &mut Vec<Undo>) -> Result<()> {
    let beside = host::beside(folder);
    undo.push(Undo::RemoveTree(beside.clone()));
    context.source.unpack(context.role, &beside)?;
    rustix::fs::sync();
    Undo::make_way(folder, undo)?;
    host::rename(&beside, folder)
}

/// Copies what was checked, and not what has its name by now: a file that a delta made has none.
fn keep_archive(context: &Context<'_>, to: &Path, undo: &mut Vec<Undo>) -> Result<()> {
    let Some(archive) = context.source.archive() else { return Ok(()) };
    let beside = host::beside(to);
    undo.push(Undo::RemoveTree(beside.clone()));
    let keep = || -> Result<()> {
        let mut file = fs::File::create_new(&beside)?;
        archive.copy_to(&mut file)?;
        Ok(file.sync_all()?)
    };
    keep().with_context(|| format!("cannot copy the archive to `{}`", to.display()))?;
    host::set_mode(&beside, 0o755)?;
    Undo::make_way(to, undo)?;
    host::rename(&beside, to)
}

/// Whether it was kept, every byte: a delta will want to start from it.
fn same_archive(archive: &Archive, kept: &Path) -> bool {
    let same = |kept: Archive| kept.trailer() == archive.trailer() && kept.verify(&mut |_| ()).is_ok();
    Archive::open(kept).is_ok_and(same)
}
