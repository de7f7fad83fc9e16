//! A backup as one file: the server's data and the configuration of a host, with a record in front that names each file with
//! its SHA-256. It holds keys and the password's hash, and is root's alone. The database in it is a copy that the server itself
//! made, so that it may run meanwhile; a server of before it could has to be stopped.
//!
//! Here is what is in such a file and how it is written, checked and unpacked. What `backup` and `restore` do with it is in
//! `operate/backup`.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::exit::{Code, Exit};
use crate::host;
use crate::layout::Layout;
use crate::receipt::Receipt;
use crate::role::Role;
use crate::tarball::Tarball;
use crate::transaction::{backup, copy_database, now};

/// The generation of the record.
const FORMAT: u32 = 1;

/// The first file in it.
const RECORD: &str = "backup.json";

/// The longest record that is read: a damaged file must not fill the memory.
const RECORD_BYTES: u64 = 4 << 20;

/// What may lie in it, below the root.
pub const FOLDERS: [&str; 2] = ["etc/cairn", SERVER];

/// The server's data, below the root.
pub const SERVER: &str = "var/lib/cairn/server";

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    format: u32,
    /// The product's name.
    pub product: String,
    /// The version that worked with the data.
    pub version: String,
    /// What the host was.
    pub role: Role,
    /// Seconds since 1970.
    pub taken: u64,
    /// The newest migration of the database, where a program could tell.
    pub migration: Option<i64>,
    /// In the order in which they lie in it.
    pub files: Vec<Kept>,
}

/// A file in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Where it lay, below the root.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of its content, as hexadecimal digits.
    pub sha256: String,
    /// Permission bits.
    pub mode: u32,
}

/// Where the files lie of which the backup `to` is made.
pub fn stage_of(to: &Path) -> PathBuf {
    host::beside(&to.with_extension("files"))
}

/// Writes one to `to`, which lies in a folder that is there.
///
/// # Errors
/// Exit code 5 if a server works with the data that cannot be copied while it does.
pub fn write(layout: &Layout, receipt: &Receipt, to: &Path) -> Result<Record> {
    let taken = now();
    let stage = host::Passing::make(stage_of(to))?;
    let data = layout.root().join(SERVER);
    let mut migration = None;
    // Where each lies now, and where it belongs.
    let mut files: Vec<(PathBuf, PathBuf)> = Vec::new();
    if receipt.role.server() && data.is_dir() {
        let copy = stage.path().join("cairn.db");
        let copied = match copy_database(layout, &copy)? {
            Some(found) => {
                migration = found;
                vec![copy].into_iter().filter(|copy| copy.exists()).collect()
            }
            // All of it, while nobody works with it.
            None => {
                let folder = stage.path().join("data");
                backup::take(&data, &folder, &receipt.version, None).map_err(|error| stop_first(&error))?;
                let copies = host::tree(&folder).into_iter().filter(|path| path.is_file());
                copies.filter(|path| is_database(path)).collect::<Vec<_>>()
            }
        };
        for copy in copied {
            let name = copy.file_name().unwrap_or_default().to_owned();
            files.push((copy, Path::new(SERVER).join(name)));
        }
    }
    for folder in FOLDERS {
        let found = host::tree(&layout.root().join(folder)).into_iter();
        let found = found.filter(|path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()));
        for path in found.filter(|path| !is_database(path) && !host::is_passing(path)) {
            let place = path.strip_prefix(layout.root())?.to_owned();
            // A copy, so that the record and what lies behind it are the same whoever writes meanwhile.
            let copy = stage.path().join(files.len().to_string());
            fs::copy(&path, &copy).with_context(|| format!("cannot copy `{}`", path.display()))?;
            files.push((copy, place));
        }
    }
    let kept = files.iter().map(|(copy, place)| kept(layout, copy, place)).collect::<Result<Vec<_>>>()?;
    let record = Record {
        format: FORMAT,
        product: receipt.product.clone(),
        version: receipt.version.clone(),
        role: receipt.role,
        taken,
        migration,
        files: kept,
    };
    let mut tarball = Tarball::begin(to, taken)?;
    tarball.add(RECORD, &serde_json::to_vec_pretty(&record)?)?;
    for (copy, place) in &files {
        tarball.add_file(&place.to_string_lossy(), copy)?;
    }
    tarball.publish()?;
    Ok(record)
}

fn stop_first(error: &anyhow::Error) -> anyhow::Error {
    match crate::exit::code_of(error) {
        Code::Locked => {
            let sentence = "this version of the server cannot be backed up while it runs; stop it first: `cairnctl stop server`, or upgrade";
            Exit::error(Code::Locked, sentence)
        }
        code => Exit::error(code, format!("{error:#}")),
    }
}

fn kept(layout: &Layout, copy: &Path, place: &Path) -> Result<Kept> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(layout.root().join(place)).map_or(0o600, |found| found.permissions().mode());
    let (size, sha256) = (fs::metadata(copy)?.len(), host::sha256_of(copy)?);
    Ok(Kept { path: place.to_owned(), size, sha256, mode: mode & 0o777 })
}

/// The database with what belongs to it.
fn is_database(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cairn.db"))
}

/// What a backup says of itself. The rest of it is not looked at.
///
/// # Errors
/// Exit code 2 if it is none.
pub fn read(file: &Path) -> Result<Record> {
    let mut archive = open(file)?;
    let mut entries = archive.entries().map_err(|error| damaged(file, &error.to_string()))?;
    let first = entries.next().ok_or_else(|| damaged(file, "it is empty"))?;
    record(file, first.map_err(|error| damaged(file, &error.to_string()))?)
}

/// Checks every byte of a backup; with `folder`, which is made, all files are put there too.
///
/// # Errors
/// Exit code 2 for damage.
pub fn unpack(file: &Path, folder: Option<&Path>) -> Result<Record> {
    is_intact(file)?;
    let broken = |error: io::Error| damaged(file, &error.to_string());
    let mut archive = open(file)?;
    let mut entries = archive.entries().map_err(broken)?;
    let first = entries.next().ok_or_else(|| damaged(file, "it is empty"))?.map_err(broken)?;
    let record = record(file, first)?;
    for kept in &record.files {
        let path = kept.path.display();
        let mut entry = match entries.next() {
            Some(entry) => entry.map_err(broken)?,
            None => return Err(damaged(file, &format!("`{path}` is missing"))),
        };
        if entry.path().map_err(broken)? != kept.path || !entry.header().entry_type().is_file() {
            return Err(damaged(file, &format!("`{path}` is not where it should be")));
        }
        let to = folder.map(|folder| folder.join(&kept.path));
        let (size, sha256) = copy(&mut entry, to.as_deref(), kept.mode, file)?;
        if (size, &sha256) != (kept.size, &kept.sha256) {
            return Err(damaged(file, &format!("`{path}` is not what was kept")));
        }
    }
    if entries.next().is_some() {
        return Err(damaged(file, "it holds more than its record names"));
    }
    Ok(record)
}

/// Reads it to its end, where gzip has its own checksum, before anything in it is believed.
fn is_intact(file: &Path) -> Result<()> {
    let opened = File::open(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let mut decoder = flate2::bufread::GzDecoder::new(BufReader::new(opened));
    io::copy(&mut decoder, &mut io::sink()).map_err(|error| damaged(file, &error.to_string()))?;
    match decoder.into_inner().fill_buf() {
        Ok([]) => Ok(()),
        Ok(_) => Err(damaged(file, "something stands behind its end")),
        Err(error) => Err(damaged(file, &error.to_string())),
    }
}

fn open(file: &Path) -> Result<tar::Archive<GzDecoder<File>>> {
    let opened = File::open(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    Ok(tar::Archive::new(GzDecoder::new(opened)))
}

fn record(file: &Path, entry: tar::Entry<'_, impl Read>) -> Result<Record> {
    let is_record = entry.path().is_ok_and(|path| path == Path::new(RECORD));
    let mut json = Vec::new();
    let read = entry.take(RECORD_BYTES).read_to_end(&mut json);
    read.map_err(|error| damaged(file, &error.to_string()))?;
    let record = serde_json::from_slice::<Record>(&json).ok().filter(|_| is_record);
    let record = record.ok_or_else(|| damaged(file, "it has no record of a backup"))?;
    if record.format != FORMAT {
        let sentence = format!(
            "`{}` has format {}, and this program knows {FORMAT}; use the cairnctl of version {}",
            file.display(),
            record.format,
            record.version
        );
        return Err(Exit::error(Code::Refused, sentence));
    }
    let is_plain = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    let is_ours = |path: &Path| FOLDERS.iter().any(|folder| path.starts_with(folder));
    match record.files.iter().find(|kept| !is_plain(&kept.path) || !is_ours(&kept.path)) {
        Some(kept) => Err(damaged(file, &format!("`{}` does not belong into it", kept.path.display()))),
        None => Ok(record),
    }
}

/// Copies what is read to a new file, if there is to be one, and says how much and what it was.
fn copy(from: &mut impl Read, to: Option<&Path>, mode: u32, file: &Path) -> Result<(u64, String)> {
    let cannot = || format!("cannot write `{}`", to.unwrap_or(file).display());
    let mut out = match to {
        Some(to) => {
            fs::create_dir_all(to.parent().unwrap_or(to)).with_context(cannot)?;
            Some(File::create_new(to).with_context(cannot)?)
        }
        None => None,
    };
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 256 << 10]);
    loop {
        let count = from.read(&mut buffer).map_err(|error| damaged(file, &error.to_string()))?;
        if count == 0 {
            break;
        }
        size += count as u64;
        hash.update(&buffer[..count]);
        if let Some(out) = &mut out {
            io::Write::write_all(out, &buffer[..count]).with_context(cannot)?;
        }
    }
    if let Some(to) = to {
        host::set_mode(to, mode & 0o777)?;
    }
    Ok((size, packaging_archive::hex(&hash.finalize())))
}

fn damaged(file: &Path, what: &str) -> anyhow::Error {
    let sentence = format!("`{}` is no whole backup: {what}; take another one", file.display());
    Exit::error(Code::Damaged, sentence)
}
