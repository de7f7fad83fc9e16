//! Deltas: the new file, put together from a delta and the file that the host has. As a file with a name (`delta apply`),
//! or without one, for the verbs that look at the new file and do not keep it.
//!
//! Whose signature the new file carries is for those who install it; here only its bytes count.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use packaging_archive::{Archive, Delta};

use crate::args::ApplyArgs;
use crate::exit::{Code, Exit, code_of};
use crate::layout::Layout;
use crate::nameless::Nameless;
use crate::receipt::Receipt;
use crate::say::say;
use crate::transaction::Interrupt;

/// Runs `delta apply`. `archive` is the delta if none is named; it was verified when it was opened.
///
/// # Errors
/// Exit code 2 for a damaged delta or base, 8 for a base that is another one, 4 if there is no room. Nothing is left then.
pub fn apply(args: &ApplyArgs, archive: Option<Archive>, quiet: bool) -> Result<Code> {
    let delta = match &args.delta {
        Some(file) => verified(file)?,
        None => archive.ok_or_else(|| {
            Exit::error(Code::Usage, "no delta is named; write cairnctl delta apply DELTA --out FILE")
        })?,
    };
    let Some(plan) = delta.delta() else {
        let sentence = format!(
            "`{}` is no delta but a whole file of {} {}; run it as it is",
            delta.path().display(),
            delta.manifest().product,
            delta.manifest().version
        );
        return Err(Exit::error(Code::Usage, sentence));
    };
    let base = base(&delta, plan, args.base.base.as_deref(), &Layout::new(&args.root))?;
    refuse_own_place(&args.out, &[&delta, &base])?;

    let interrupt = Interrupt::new()?;
    interrupt.only_note();
    let mut file = Nameless::beside(&args.out).map_err(|error| unwritable(error, &args.out))?;
    let written = write(&delta, &base, plan, file.file(), &args.out, &interrupt).and_then(|()| {
        file.publish(&args.out).with_context(|| format!("cannot write `{}`", args.out.display()))
    });
    if written.is_err() {
        interrupt.check()?;
    }
    written?;
    if !quiet {
        let manifest = delta.manifest();
        say!(
            "made {} {} of {}: {}, {} bytes, sha256 {}",
            manifest.product,
            manifest.version,
            plan.base.version,
            args.out.display(),
            plan.size,
            plan.sha256
        );
    }
    Ok(Code::Ok)
}

/// What a verb about a whole file works on: the archive that was given, or the one that a delta makes.
///
/// # Errors
/// As [`apply`]; exit code 1 for a base without a delta.
pub fn whole(archive: Option<Archive>, base_file: Option<&Path>, root: &Path) -> Result<Option<Archive>> {
    let Some((delta, plan)) = archive.as_ref().and_then(|archive| Some((archive, archive.delta()?))) else {
        if base_file.is_some() {
            let sentence = "--base is the file that a delta starts from, and this is none; leave it out";
            return Err(Exit::error(Code::Usage, sentence));
        }
        return Ok(archive);
    };
    let layout = Layout::new(std::path::absolute(root)?);
    let base = base(delta, plan, base_file, &layout)?;
    // A signal ends the program at once, and the file with it.
    let interrupt = Interrupt::new()?;
    let mut file = somewhere(&layout)?;
    let manifest = delta.manifest();
    let name = format!("{} {} out of {}", manifest.product, manifest.version, delta.path().display());
    let name = PathBuf::from(name);
    write(delta, &base, plan, &mut file, &name, &interrupt)?;
    let archive = Archive::of(file, name)?;
    archive.verify(&mut |_| ())?;
    Ok(Some(archive))
}

/// Refuses a verb that a delta has no answer to.
///
/// # Errors
/// Exit code 1, with what to do.
pub fn refuse(archive: Option<&Archive>) -> Result<()> {
    let Some((archive, plan)) = archive.and_then(|archive| Some((archive, archive.delta()?))) else {
        return Ok(());
    };
    let (manifest, file) = (archive.manifest(), archive.path().display());
    let sentence = format!(
        "`{file}` is a delta, which makes {} {} of {}; make the whole file first: sh {file} apply --out FILE",
        manifest.product, manifest.version, plan.base.version
    );
    Err(Exit::error(Code::Usage, sentence))
}

fn verified(file: &Path) -> Result<Archive> {
    let archive = Archive::open(file)?;
    archive.verify(&mut |_| ())?;
    Ok(archive)
}

/// The file that the delta starts from: the one that is named, or the one that the installation has kept.
fn base(delta: &Archive, plan: &Delta, named: Option<&Path>, layout: &Layout) -> Result<Archive> {
    let base = match named {
        Some(file) => verified(file)?,
        None => {
            let file = kept(delta, plan, layout)?;
            verified(&file).map_err(|error| match code_of(&error) {
                Code::Damaged => Exit::error(
                    Code::Damaged,
                    format!(
                        "the archive that was kept is of no use: {error:#}, and name it with --base FILE"
                    ),
                ),
                _ => error,
            })?
        }
    };
    packaging_archive::fits(delta, &base)?;
    Ok(base)
}

fn kept(delta: &Archive, plan: &Delta, layout: &Layout) -> Result<PathBuf> {
    let (product, wanted, digest) = (&delta.manifest().product, &plan.base.version, &plan.base.digest);
    let starts =
        format!("`{}` starts from {product} {wanted} with the digest {digest}", delta.path().display());
    let Some(receipt) = Receipt::installed(layout)? else {
        let sentence = format!(
            "{starts}, and nothing is installed below `{}`; name that file with --base FILE",
            layout.root().display()
        );
        return Err(Exit::error(Code::Usage, sentence));
    };
    let file = layout.archives().join(format!("{}.run", receipt.version));
    if (&receipt.product, &receipt.version) != (product, wanted) {
        let digest = Archive::open(&file).map_or_else(
            |_| "no digest that can be read".to_owned(),
            |archive| format!("the digest {}", packaging_archive::hex(&archive.trailer().digest)),
        );
        let sentence = format!(
            "{starts}, and {} {} with {digest} is installed here; get the delta that starts from this version, or the whole file of {}",
            receipt.product,
            receipt.version,
            delta.manifest().version
        );
        return Err(Exit::error(Code::Refused, sentence));
    }
    if !file.exists() {
        let sentence = format!(
            "{starts}, and `{}` is not there: {wanted} was installed from a folder; name that file with --base FILE",
            file.display()
        );
        return Err(Exit::error(Code::Usage, sentence));
    }
    Ok(file)
}

/// The name of what the new file is made of is no place for it.
fn refuse_own_place(out: &Path, sources: &[&Archive]) -> Result<()> {
    let Ok(there) = fs::metadata(out) else { return Ok(()) };
    if !there.is_file() {
        let what = if there.is_dir() { "a folder; name a file in it" } else { "no file; name one" };
        return Err(Exit::error(Code::Usage, format!("`{}` is {what}", out.display())));
    }
    let same = |source: &&&Archive| {
        fs::metadata(source.path()).is_ok_and(|own| (own.dev(), own.ino()) == (there.dev(), there.ino()))
    };
    match sources.iter().find(same) {
        None => Ok(()),
        Some(_) => {
            let sentence = format!("`{}` is what the new file is made of; name another", out.display());
            Err(Exit::error(Code::Usage, sentence))
        }
    }
}

fn unwritable(error: io::Error, out: &Path) -> anyhow::Error {
    let sentence = format!("cannot write `{}`: {error}; name a file where one can be written", out.display());
    let code = code_of(&error.into());
    Exit::error(if code == Code::NoSpace { code } else { Code::Usage }, sentence)
}

/// A file without a name where the installation will keep the archive, or else where programs put temporary files.
fn somewhere(layout: &Layout) -> Result<File> {
    let kept = layout.archives();
    let there = kept.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    let scratch = [std::env::temp_dir(), "/var/tmp".into(), "/tmp".into()];
    let mut first = None;
    for folder in std::iter::once(there).chain(scratch.iter().map(PathBuf::as_path)) {
        match Nameless::beside(&folder.join("delta")).and_then(Nameless::into_file) {
            Ok(file) => return Ok(file),
            Err(error) => first = first.or(Some(error)),
        }
    }
    let error = first.unwrap_or_else(|| io::ErrorKind::NotFound.into());
    Err(error).with_context(|| {
        format!("cannot put the new file together in `{}`; set TMPDIR to a folder with room", there.display())
    })
}

fn write(
    delta: &Archive,
    base: &Archive,
    plan: &Delta,
    file: &mut File,
    name: &Path,
    interrupt: &Interrupt,
) -> Result<()> {
    let mut out = Noticing { file, interrupt };
    packaging_archive::apply(delta, base, &mut out, name, &mut |_| ()).map_err(|error| {
        if error.is_no_space() {
            let sentence = format!(
                "no room for the {} bytes of `{}`: {:#}; make room, or name another place",
                plan.size,
                name.display(),
                anyhow::Error::new(error)
            );
            return Exit::error(Code::NoSpace, sentence);
        }
        error.into()
    })
}

/// A file that takes no more once a signal came.
struct Noticing<'a> {
    file: &'a mut File,
    interrupt: &'a Interrupt,
}

impl Write for Noticing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.interrupt.came() {
            return Err(io::Error::other("interrupted"));
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
