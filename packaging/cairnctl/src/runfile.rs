//! How the program was started: by the stub of a .run file, by a person who names one, or on an installed host.
//!
//! The stub puts `--scratch DIR --from DIR --archive FILE` in front of what the operator typed. Whoever names an archive, nothing
//! is done, not even help printed, before every byte of it has been checked: the stub that called may itself be damaged. Only
//! what shows a part of the file, its table or some entries, reads that part alone. Members and entries are compared with their
//! SHA-256 in the table then, the table with its checksum, and nothing of the host changes by it.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use packaging_archive::Archive;

use crate::args::Cli;
use crate::exit::{Code, Exit};
use crate::translate::translate;

/// What the program was started for.
pub enum Start {
    /// The stub asks whether a program can run where it lies.
    Probe,
    /// A command, about `archive` where one was named; it has been verified.
    Command {
        /// The archive.
        archive: Option<Box<Archive>>,
        /// The name of the .run file, if one was started: how the operator calls this program.
        run_file: Option<String>,
        /// What follows, with a verb in front.
        arguments: Vec<String>,
    },
}

impl Start {
    /// Reads the options in front of the command.
    ///
    /// # Errors
    /// Usage, or the archive's damage.
    pub fn new(words: impl Iterator<Item = OsString>) -> Result<Self> {
        let mut words = words.peekable();
        let (mut archive, mut from_stub) = (None, false);
        let of_stub =
            |word: &OsString| ["--scratch", "--from", "--archive", "--probe"].iter().any(|own| word == own);
        while let Some(option) = words.next_if(of_stub) {
            if option == "--probe" {
                return Ok(Self::Probe);
            }
            let missing = || Exit::error(Code::Usage, format!("`{}` needs a path", option.display()));
            let value = PathBuf::from(words.next().ok_or_else(missing)?);
            if option == "--scratch" {
                from_stub = true;
                remove_scratch(&value);
            } else if option == "--from" {
                // The stub had to leave the folder that relative paths of the operator start from.
                std::env::set_current_dir(&value)
                    .with_context(|| format!("cannot go back to `{}`", value.display()))?;
            } else {
                archive = Some(value);
            }
        }
        if from_stub && archive.is_none() {
            return Err(Exit::error(Code::Damaged, "the head of the file is damaged; copy it again"));
        }
        let archive = archive.map(Archive::open).transpose()?;
        let run_file = archive.as_ref().filter(|_| from_stub).and_then(|archive| archive.path().file_name());
        let run_file = run_file.map(|name| name.to_string_lossy().into_owned());
        let arguments = understood(words, from_stub);
        if let Some(archive) = archive.as_ref().filter(|_| !is_about_a_part(run_file.as_deref(), &arguments))
        {
            archive.verify(&mut |_| ())?;
        }
        let arguments = arguments?;
        Ok(Self::Command { archive: archive.map(Box::new), run_file, arguments })
    }
}

/// What was typed, with a verb in front.
fn understood(words: impl Iterator<Item = OsString>, from_stub: bool) -> Result<Vec<String>> {
    let not_text = |word: OsString| {
        Exit::error(Code::Usage, format!("`{}` is not UTF-8 text; use a path that is", word.display()))
    };
    let arguments = words.map(|word| word.into_string().map_err(not_text)).collect::<Result<Vec<_>>>()?;
    if !from_stub {
        return Ok(arguments);
    }
    translate(arguments).map_err(|sentence| Exit::error(Code::Usage, sentence))
}

/// Whether this is a command that shows a part of a file. What is no command at all is not.
fn is_about_a_part(run_file: Option<&str>, arguments: &Result<Vec<String>>) -> bool {
    let cli = arguments.as_ref().ok().and_then(|words| Cli::read(run_file, words.clone()).ok());
    cli.is_some_and(|cli| cli.verb.is_about_a_part())
}

/// Removes the folder that the stub made for this program. The running file stays in memory. Nothing else is removed:
/// the folder must hold this very file under its name.
fn remove_scratch(folder: &Path) {
    let program = folder.join("cairnctl");
    let (Ok(named), Ok(running)) = (program.symlink_metadata(), std::fs::metadata("/proc/self/exe")) else {
        return;
    };
    if (named.dev(), named.ino()) == (running.dev(), running.ino()) {
        let _ = std::fs::remove_file(program);
        // What the program was cut out of.
        let _ = std::fs::remove_file(folder.join("helper"));
        let _ = std::fs::remove_dir(folder);
    }
}
