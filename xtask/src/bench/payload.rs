//! What is packed: the files of a real release, and a part like packages of an operating system, which are compressed already.
//! Both sides pack the same files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use packaging_archive::{Archive, EntryPath, HELPER, MANIFEST, Mode};
use serde::Serialize;

use super::pack::{Packed, Spec};
use super::room::Room;
use super::seeded::Seeded;

/// The section, and folder, of the part that is like packages. No release has one of this name.
const PACKAGES: &str = "bench-packages";

/// The size of the binary that is changed.
const BINARY_BYTES: u64 = 10_000_000;

/// A byte of the changed binary differs in every so many, so that each of its members does.
const CHANGE_EVERY_BYTES: usize = 1 << 20;

/// A tree, what it is made of, and the same after a change.
#[derive(Debug)]
pub struct Payload {
    /// What is packed of it.
    pub spec: Spec,
    /// The same with one component changed.
    pub changed: Spec,
    /// The binary that differs between the two.
    pub binary: EntryPath,
    /// For people and the report.
    pub facts: Facts,
}

/// What a payload is.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// The product and version that the files are of.
    pub release: String,
    /// Files of the release.
    pub release_files: usize,
    /// Bytes of them.
    pub release_bytes: u64,
    /// Files of the part that is like packages.
    pub package_files: usize,
    /// Bytes of them.
    pub package_bytes: u64,
    /// How they were made.
    pub packages: &'static str,
    /// The binary that is changed, for what is measured after a change, and in which section every file gets a newer time.
    pub changed: String,
    /// Bytes of that binary.
    pub changed_bytes: u64,
}

impl Facts {
    /// Bytes of everything.
    pub fn bytes(&self) -> u64 {
        self.release_bytes + self.package_bytes
    }
}

/// Puts the payload into the room.
///
/// # Errors
/// If the release is damaged, or something cannot be written or compressed.
pub fn stage(release: &Archive, room: &Room, packages_bytes: u64) -> Result<Payload> {
    let manifest = release.manifest();
    let tree = room.tree();
    release.verify(&mut |_| ())?;
    release.extract(&tree, &|_| true, &mut |_| ())?;
    // Ours writes its own; makeself has none.
    fs::remove_file(tree.join(MANIFEST))?;
    let mut sections: Vec<(String, Vec<String>)> =
        manifest.sections.iter().map(|section| (section.name.clone(), section.roles.clone())).collect();
    sections.push((PACKAGES.to_owned(), Vec::new()));
    let file = |path: EntryPath, section: &str, mode: Mode| {
        let from = path.below(&tree);
        Packed { path, section: section.to_owned(), mode, mtime: manifest.created, from }
    };
    let mut files: Vec<Packed> =
        manifest.entries.iter().map(|entry| file(entry.path.clone(), &entry.section, entry.mode)).collect();
    let release_bytes = manifest.entries.iter().map(|entry| entry.size).sum();

    let made = packages(&tree.join(PACKAGES), packages_bytes)?;
    let package_bytes = made.iter().map(|(_, bytes)| bytes).sum();
    for (name, _) in &made {
        let path = EntryPath::new(format!("{PACKAGES}/{name}")).map_err(anyhow::Error::msg)?;
        files.push(file(path, PACKAGES, Mode::File));
    }
    let binary = binary(release)?;
    let facts = Facts {
        release: format!("{} {}", manifest.product, manifest.version),
        release_files: manifest.entries.len(),
        release_bytes,
        package_files: made.len(),
        package_bytes,
        packages: "bytes that follow from a seed, compressed with zstd",
        changed: binary.0.to_string(),
        changed_bytes: fs::metadata(binary.0.below(&tree))?.len(),
    };
    let spec = Spec::of(manifest, sections, files);
    let changed = change(&spec, &binary, &room.changed())?;
    Ok(Payload { spec, changed, binary: binary.0, facts })
}

/// Files of so many bytes in all, or a few more, each made by a real compressor, with their names and sizes.
fn packages(folder: &Path, bytes: u64) -> Result<Vec<(String, u64)>> {
    fs::create_dir_all(folder)?;
    let (mut seeded, mut made, mut total) = (Seeded::new(1), Vec::new(), 0);
    while total < bytes {
        let name = format!("{:03}.zst", made.len() + 1);
        let wanted = seeded.package_bytes(bytes);
        let raw = seeded.bytes(wanted as usize * 5 / 4);
        let file = folder.join(&name);
        let mut zstd = Command::new("zstd")
            .args(["--quiet", "-3", "--single-thread", "-o"])
            .arg(&file)
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot run `zstd`")?;
        let mut input = zstd.stdin.take().context("zstd reads nothing")?;
        std::io::Write::write_all(&mut input, &raw).context("cannot write to `zstd`")?;
        drop(input);
        if !zstd.wait()?.success() {
            bail!("`zstd` made no package of `{}`", folder.display());
        }
        // The umask of whoever runs this is no part of the payload.
        fs::set_permissions(&file, fs::Permissions::from_mode(Mode::File.bits()))?;
        let size = fs::metadata(&file)?.len();
        total += size;
        made.push((name, size));
    }
    Ok(made)
}

/// The program of the release whose size is nearest to [`BINARY_BYTES`], with its section. The helper counts for none.
fn binary(release: &Archive) -> Result<(EntryPath, String)> {
    let entries = release
        .manifest()
        .entries
        .iter()
        .filter(|entry| entry.mode == Mode::Executable && entry.path.as_str() != HELPER);
    let nearest = entries.min_by_key(|entry| entry.size.abs_diff(BINARY_BYTES));
    let nearest = nearest.with_context(|| format!("`{}` holds no program", release.path().display()))?;
    Ok((nearest.path.clone(), nearest.section.clone()))
}

/// The tree after a commit in one component: its binary is another in every part, and its files have another time. As
/// `all-in-one` has it, packages are the same files as before, and all else is copied anew.
fn change(spec: &Spec, (binary, section): &(EntryPath, String), folder: &Path) -> Result<Spec> {
    let mut changed = spec.clone();
    for file in &mut changed.files {
        let to = file.path.below(folder);
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        if file.path == *binary {
            let mut bytes = fs::read(&file.from)?;
            bytes.iter_mut().step_by(CHANGE_EVERY_BYTES).skip(1).for_each(|byte| *byte ^= 0xff);
            if let Some(last) = bytes.last_mut() {
                *last ^= 0xff;
            }
            fs::write(&to, bytes)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(file.mode.bits()))?;
        } else if file.section == PACKAGES {
            // makeself wants them in the tree.
            fs::hard_link(&file.from, &to)?;
            continue;
        } else {
            fs::copy(&file.from, &to)?;
        }
        file.from = to;
        file.mtime += u64::from(file.section == *section);
    }
    Ok(changed)
}

/// The helper, and the packages under so many names that they are at least `bytes`.
pub fn large(payload: &Payload, bytes: u64) -> Result<Spec> {
    let mut large = payload.spec.clone();
    let (packages, helper): (Vec<Packed>, Vec<Packed>) = large
        .files
        .into_iter()
        .filter(|file| file.section == PACKAGES || file.path.as_str() == HELPER)
        .partition(|file| file.section == PACKAGES);
    large.files = helper;
    let (mut total, mut copy) = (0, 0);
    while total < bytes && !packages.is_empty() {
        copy += 1;
        for file in &packages {
            let path = EntryPath::new(format!("large-{copy}/{}", file.path)).map_err(anyhow::Error::msg)?;
            total += fs::metadata(&file.from)?.len();
            large.files.push(Packed { path, ..file.clone() });
        }
    }
    Ok(large)
}

/// Every file below a folder: its path, its permissions, and the digest of its bytes.
pub fn listing(folder: &Path) -> Result<Vec<(PathBuf, u32, String)>> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("cannot read `{}`", next.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mode = fs::symlink_metadata(&path)?.permissions().mode() & 0o7777;
            let digest = crate::digest::hex_of_file(&path)?;
            files.push((path.strip_prefix(folder)?.to_owned(), mode, digest));
        }
    }
    files.sort();
    Ok(files)
}
