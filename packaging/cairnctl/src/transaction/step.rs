//! One step of a transaction: whether it is done, how it is taken back, and how it is done. `undo` looks before anything is
//! changed, and what it says is written down; `act` then does no more than that can take back.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use packaging_archive::{Archive, Entry, PublicKey};
use serde::{Deserialize, Serialize};

use super::deed::Deed;
use super::program::{Program, Secrets};
use super::{backup, fault, systemd};
use crate::exit::{Code, Exit};
use crate::host;
use crate::layout::Layout;
use crate::receipt::Receipt;
use crate::role::Role;
use crate::snapshot;
use crate::source::Source;
use crate::trust;
use crate::verify;

/// What steps need to know.
pub struct Context<'a> {
    /// Where things lie.
    pub layout: &'a Layout,
    /// What is installed, where something is.
    pub source: Option<&'a Source>,
    /// What this host is.
    pub role: Role,
    /// Whether systemd is to hear of it.
    pub start: bool,
    /// The administrator's password, if the operator chose one.
    pub password: Option<String>,
    /// What the server said when it made its secrets.
    pub secrets: std::cell::RefCell<Option<Secrets>>,
}

impl Context<'_> {
    fn source(&self) -> Result<&Source> {
        let sentence = "this step needs the file that the transaction began with; run that file";
        self.source.ok_or_else(|| Exit::error(Code::Usage, sentence))
    }
}

/// A step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Nothing, but if a later step fails the service runs again when all else has been put back.
    KeepRunning { unit: String },
    /// A folder of Cairn's, and those above it.
    MakeFolder { path: PathBuf, mode: u32 },
    /// The record.
    WriteReceipt { receipt: Box<Receipt> },
    /// A key, as PEM, whose files are installed here from now on.
    TrustKey { pem: String, to: PathBuf },
    /// The files of the version, beside, then by rename.
    Unpack { folder: PathBuf },
    /// The archive itself, for a later way back.
    KeepArchive { to: PathBuf },
    /// Whether the programs in this folder can read what lies here.
    JudgeData { folder: PathBuf },
    /// The service, until it is started again.
    Stop { unit: String },
    /// A copy of the server's data.
    BackUp { folder: PathBuf, version: String },
    /// A default configuration.
    WriteConfiguration { entry: Entry, to: PathBuf },
    /// `current` to this version. Taken back, it also puts back the data of this backup.
    SwitchLink { link: PathBuf, version: String, backup: Option<PathBuf> },
    /// The server's data from a backup, with what there is now in another.
    RestoreBackup { from: PathBuf, present: PathBuf },
    /// The database to what the new program works with.
    Migrate,
    /// Secrets and certificates.
    Bootstrap { program: Program },
    /// A systemd unit.
    WriteUnit { entry: Entry, to: PathBuf },
    /// systemd reads its units again, also when this is taken back.
    Reload,
    /// The service, at every boot.
    Enable { unit: String },
    /// The service, not at boot.
    Disable { unit: String },
    /// The service, now.
    Start { unit: String },
    /// The program's own word that it works.
    CheckHealth { program: Program },
    /// The server's own word that it is who these addresses promise.
    CheckAddresses { addresses: Vec<String> },
    /// These files of the server's, made anew by its own bootstrap, with a certificate for these addresses.
    Renew { files: Vec<PathBuf>, addresses: Vec<String> },
    /// The server's data and the configuration as they are, in one file that stays.
    KeepPresent { file: PathBuf, receipt: Box<Receipt> },
    /// A backup, every byte of it checked, for the time of the transaction.
    UnpackBackup { file: PathBuf, folder: PathBuf },
    /// A file in place of another one or of none, with this mode.
    ReplaceFile { from: PathBuf, to: PathBuf, mode: u32 },
    /// A text of the operator's.
    WriteText { to: PathBuf, text: String, mode: u32 },
    /// What has to go, under another name until nothing is taken back any more.
    SetAside { path: PathBuf },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeepRunning { unit } => write!(f, "have {unit} run again if a step fails"),
            Self::MakeFolder { path, .. } => write!(f, "make folder {}", path.display()),
            Self::WriteReceipt { .. } => write!(f, "write the receipt"),
            Self::TrustKey { pem, to } => match PublicKey::from_pem(pem) {
                Ok(key) => {
                    write!(f, "trust the key {} from now on, in {}", key.fingerprint(), to.display())
                }
                Err(_) => write!(f, "trust the key in {} from now on", to.display()),
            },
            Self::Unpack { folder } => write!(f, "unpack to {}", folder.display()),
            Self::KeepArchive { to } => write!(f, "keep the archive as {}", to.display()),
            Self::JudgeData { folder } => write!(f, "see that {} reads the data", name(folder)),
            Self::Stop { unit } => write!(f, "stop {unit}"),
            Self::BackUp { folder, .. } => write!(f, "back up the server's data to {}", folder.display()),
            Self::WriteConfiguration { to, .. } => write!(f, "write default configuration {}", to.display()),
            Self::SwitchLink { link, version, .. } => write!(f, "point {} at {version}", link.display()),
            Self::RestoreBackup { from, .. } => {
                write!(f, "restore the server's data from {}", from.display())
            }
            Self::Migrate => write!(f, "migrate the database"),
            Self::Bootstrap { program } => write!(f, "create secrets and certificates of {}", program.name()),
            Self::WriteUnit { to, .. } => write!(f, "write unit {}", to.display()),
            Self::Reload => write!(f, "have systemd read its units"),
            Self::Enable { unit } => write!(f, "enable {unit}"),
            Self::Disable { unit } => write!(f, "disable {unit}"),
            Self::Start { unit } => write!(f, "start {unit}"),
            Self::CheckHealth { program } => write!(f, "check the health of {}", program.name()),
            Self::CheckAddresses { addresses } => write!(f, "check the server at {}", addresses.join(" ")),
            Self::Renew { files, addresses } => {
                let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
                write!(f, "make {} anew", files.join(" and "))?;
                if addresses.is_empty() { Ok(()) } else { write!(f, ", for {}", addresses.join(" ")) }
            }
            Self::KeepPresent { file, .. } => write!(f, "keep what there is in {}", file.display()),
            Self::UnpackBackup { file, .. } => write!(f, "unpack {}", file.display()),
            Self::ReplaceFile { to, .. } | Self::WriteText { to, .. } => write!(f, "write {}", to.display()),
            Self::SetAside { path } => write!(f, "remove {}", path.display()),
        }
    }
}

fn name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

impl Step {
    /// Whether nothing is left to do. `before` is the record of an earlier installation.
    pub fn is_done(&self, context: &Context<'_>, before: Option<&Receipt>) -> Result<bool> {
        Ok(match self {
            Self::MakeFolder { path, .. } => path.is_dir(),
            Self::WriteReceipt { receipt } => before == Some(receipt),
            Self::TrustKey { pem, to } => PublicKey::from_pem(pem).is_ok_and(|key| trust::is_kept(to, &key)),
            Self::Unpack { folder } => {
                folder.is_dir()
                    && verify::version(folder, context.source()?.manifest(), context.role)?.is_empty()
            }
            Self::KeepArchive { to } => {
                context.source()?.archive().is_some_and(|archive| same_archive(archive, to))
            }
            Self::WriteConfiguration { to, .. } => to.exists(),
            Self::SwitchLink { link, version, .. } => {
                fs::read_link(link).is_ok_and(|target| target == link_target(version))
            }
            Self::Bootstrap { program } => {
                before.is_some() && program.is_bootstrapped(context.layout, context.role)
            }
            Self::WriteUnit { entry, to } => host::sha256_of(to).is_ok_and(|sha256| sha256 == entry.sha256),
            Self::Enable { unit } => systemd::is_enabled(unit),
            Self::Disable { unit } => !systemd::is_enabled(unit),
            Self::Start { unit } => systemd::is_running(unit),
            Self::Stop { unit } => systemd::is_idle(unit),
            Self::SetAside { path } => path.symlink_metadata().is_err(),
            Self::WriteText { to, text, .. } => fs::read(to).is_ok_and(|found| found == text.as_bytes()),
            Self::KeepRunning { .. }
            | Self::JudgeData { .. }
            | Self::BackUp { .. }
            | Self::RestoreBackup { .. }
            | Self::Migrate
            | Self::Renew { .. }
            | Self::KeepPresent { .. }
            | Self::UnpackBackup { .. }
            | Self::ReplaceFile { .. }
            | Self::Reload
            | Self::CheckAddresses { .. }
            | Self::CheckHealth { .. } => false,
        })
    }

    /// How it is taken back, last first, however far it got. Changes nothing.
    ///
    /// # Errors
    /// If it cannot be done at all.
    pub fn undo(&self, context: &Context<'_>) -> Result<Vec<Deed>> {
        let server = context.layout.state().join("server");
        Ok(match self {
            Self::KeepRunning { unit } => vec![Deed::Start(unit.clone())],
            Self::MakeFolder { path, .. } => {
                host::missing_folders(path).into_iter().map(Deed::Remove).collect()
            }
            Self::WriteReceipt { .. } => replacing(&context.layout.receipt())?,
            Self::TrustKey { to, .. }
            | Self::Unpack { folder: to }
            | Self::KeepArchive { to }
            | Self::SetAside { path: to } => Deed::before_replacing(to),
            Self::WriteConfiguration { to, .. }
            | Self::ReplaceFile { to, .. }
            | Self::WriteText { to, .. } => replacing(to)?,
            Self::KeepPresent { file, .. } => {
                let stage = Deed::RemoveTree(snapshot::stage_of(file));
                Deed::before_replacing(file).into_iter().chain([stage]).collect()
            }
            Self::UnpackBackup { folder, .. } => Deed::before_replacing(folder),
            Self::BackUp { folder, .. } => {
                vec![Deed::RemoveTree(folder.clone()), Deed::Remove(backup::record(folder))]
            }
            Self::SwitchLink { link, backup, .. } => {
                let mut deeds: Vec<Deed> = Vec::new();
                deeds.extend(backup.clone().map(|backup| Deed::Restore { backup, to: server }));
                deeds.push(match fs::read_link(link) {
                    Ok(target) => Deed::Link { link: link.clone(), target },
                    Err(error) if error.kind() == ErrorKind::NotFound => Deed::Remove(link.clone()),
                    Err(_) => bail!("`{}` is no symbolic link; move it out of the way", link.display()),
                });
                deeds.push(Deed::Remove(host::beside(link)));
                // First, since the others need that room.
                deeds.extend(backup.as_ref().map(|backup| Deed::Remove(backup::spare(backup))));
                deeds
            }
            Self::RestoreBackup { present, .. } => {
                let spare = Deed::Remove(backup::spare(present));
                vec![Deed::Restore { backup: present.clone(), to: server }, spare]
            }
            Self::Bootstrap { program } => program.undo_bootstrap(context.layout),
            Self::Renew { files, .. } => {
                // Taken back last, when what was put aside has its name again: bootstrap makes whatever else is missing.
                let others = Deed::remove_new(context.layout.configuration().join("tls"));
                let files = files.iter().flat_map(|file| Deed::before_replacing(file));
                std::iter::once(others).chain(files).collect()
            }
            Self::WriteUnit { to, .. } => {
                let reload = context.start.then_some(Deed::Reload);
                reload.into_iter().chain(replacing(to)?).collect()
            }
            Self::Reload => vec![Deed::Reload],
            Self::Enable { unit } if !systemd::is_enabled(unit) => vec![Deed::Disable(unit.clone())],
            Self::Disable { unit } if systemd::is_enabled(unit) => vec![Deed::Enable(unit.clone())],
            Self::Start { unit } => {
                let stamp = systemd::stamp(context.layout, unit).filter(|stamp| !stamp.exists());
                let runtime = Deed::remove_new(context.layout.runtime());
                stamp.map(Deed::Remove).into_iter().chain([runtime, Deed::Stop(unit.clone())]).collect()
            }
            Self::Stop { unit } if systemd::is_running(unit) => vec![Deed::Start(unit.clone())],
            // What migrating does to the data is taken back with the link.
            Self::Migrate
            | Self::JudgeData { .. }
            | Self::CheckHealth { .. }
            | Self::CheckAddresses { .. }
            | Self::Enable { .. }
            | Self::Disable { .. }
            | Self::Stop { .. } => Vec::new(),
        })
    }

    /// Does it.
    pub fn act(&self, context: &Context<'_>) -> Result<()> {
        let (layout, role) = (context.layout, context.role);
        match self {
            Self::KeepRunning { .. } => Ok(()),
            Self::MakeFolder { path, mode } => {
                for folder in host::missing_folders(path) {
                    host::make_folder(&folder, 0o755)?;
                    fault::point()?;
                }
                if !path.is_dir() {
                    bail!("`{}` is not a folder; move it out of the way", path.display());
                }
                host::set_mode(path, *mode)
            }
            Self::WriteReceipt { receipt } => replace(&layout.receipt(), &receipt.json()?),
            Self::TrustKey { pem, to } => replace(to, pem.as_bytes()),
            Self::Unpack { folder } => {
                let beside = host::beside(folder);
                context.source()?.unpack(role, &beside)?;
                host::sync_tree(&beside)?;
                fault::point()?;
                host::put_aside(folder)?;
                fault::point()?;
                host::rename(&beside, folder)
            }
            Self::KeepArchive { to } => keep_archive(context, to),
            Self::JudgeData { folder } => super::program::judge(layout, folder),
            Self::Stop { unit } => {
                if systemd::is_idle(unit) {
                    Ok(())
                } else {
                    systemd::stop(unit)
                }
            }
            Self::BackUp { folder, version } => {
                let migration = super::program::inspect(layout, &layout.current())?;
                let migration = migration.and_then(|found| found.applied);
                backup::take(&layout.state().join("server"), folder, version, migration)?;
                backup::reserve(folder)
            }
            Self::WriteConfiguration { entry, to } | Self::WriteUnit { entry, to } => {
                replace(to, &context.source()?.read(entry)?)
            }
            Self::KeepPresent { file, receipt } => snapshot::write(layout, receipt, file).map(drop),
            Self::UnpackBackup { file, folder } => unpack_backup(file, folder),
            Self::ReplaceFile { from, to, mode } => replace_with_mode(to, &fs::read(from)?, *mode),
            Self::WriteText { to, text, mode } => replace_with_mode(to, text.as_bytes(), *mode),
            Self::SwitchLink { link, version, .. } => host::link_whole(link, &link_target(version)),
            Self::RestoreBackup { from, .. } => {
                if backup::read(from)?.is_none() {
                    let sentence =
                        format!("there is no backup in `{}`; leave out --restore-backup", from.display());
                    return Err(Exit::error(Code::Refused, sentence));
                }
                backup::restore(from, &layout.state().join("server"))
            }
            Self::Migrate => super::program::migrate(layout).and_then(|()| flush(layout)),
            Self::Bootstrap { program } => program.bootstrap(context).and_then(|()| flush(layout)),
            Self::Renew { files, addresses } => {
                for file in files {
                    host::put_aside(file)?;
                    fault::point()?;
                    host::remove(file)?;
                    fault::point()?;
                }
                super::program::renew(context, addresses).and_then(|()| flush(layout))
            }
            Self::Reload => systemd::reload(),
            Self::Enable { unit } => systemd::enable(unit),
            Self::Disable { unit } => Deed::Disable(unit.clone()).apply(),
            Self::Start { unit } => systemd::start(unit),
            Self::CheckHealth { program } => program.wait_healthy(layout),
            Self::CheckAddresses { addresses } => super::program::check_addresses(layout, addresses),
            Self::SetAside { path } => {
                host::put_aside(path)?;
                fault::point()?;
                host::remove(path)
            }
        }?;
        if matches!(self, Self::WriteUnit { .. }) && context.start { systemd::reload() } else { Ok(()) }
    }
}

/// Sees that what programs have written is on the disk before the journal says that they have done it.
fn flush(layout: &Layout) -> Result<()> {
    let state = layout.state();
    let folders = [layout.configuration(), state.join("server"), state.join("agent")];
    folders.iter().filter(|folder| folder.is_dir()).try_for_each(|folder| host::sync_tree(folder))
}

/// Relative, so that the link is right below any root.
fn link_target(version: &str) -> PathBuf {
    Path::new("versions").join(version)
}

/// How a file that is about to be written is taken back. A folder of that name is not moved out of the way.
fn replacing(path: &Path) -> Result<Vec<Deed>> {
    if path.is_dir() {
        bail!("cannot replace `{}`: it is a folder; move it out of the way", path.display());
    }
    Ok(Deed::before_replacing(path))
}

/// Where the server's data lies in the folder that a backup was unpacked to: a backup of the other kind.
pub fn data_of(unpacked: &Path) -> PathBuf {
    unpacked.join(snapshot::SERVER)
}

fn unpack_backup(file: &Path, folder: &Path) -> Result<()> {
    host::remove_tree(folder)?;
    host::make_folder(folder, 0o700)?;
    fault::point()?;
    let record = snapshot::unpack(file, Some(folder))?;
    host::sync_tree(folder)?;
    let data = data_of(folder);
    if data.is_dir() {
        backup::adopt(&data, &record.version, record.taken, record.migration)?;
    }
    Ok(())
}

fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_with_mode(path, bytes, 0o644)
}

fn replace_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    host::put_aside(path)?;
    fault::point()?;
    host::write_whole(path, bytes, mode)
}

/// Copies what was checked, and not what has its name by now: a file that a delta made has none.
fn keep_archive(context: &Context<'_>, to: &Path) -> Result<()> {
    let Some(archive) = context.source()?.archive() else { return Ok(()) };
    let beside = host::beside(to);
    let keep = || -> Result<()> {
        let mut file = fs::File::create_new(&beside)?;
        archive.copy_to(&mut file)?;
        Ok(file.sync_all()?)
    };
    keep().with_context(|| format!("cannot copy the archive to `{}`", to.display()))?;
    host::set_mode(&beside, 0o755)?;
    fault::point()?;
    host::put_aside(to)?;
    fault::point()?;
    host::rename(&beside, to)
}

/// Whether it was kept, every byte: a delta will want to start from it.
fn same_archive(archive: &Archive, kept: &Path) -> bool {
    let same = |kept: Archive| kept.trailer() == archive.trailer() && kept.verify(&mut |_| ()).is_ok();
    Archive::open(kept).is_ok_and(same)
}
