//! The keys that sign packed files: made, found, and read. A private key comes from a file or from a variable, its passphrase
//! from a variable, a file or the terminal. None of them is printed, put into a journal, or handed to another program on its
//! command line.

use std::fs::{self, File};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use packaging_archive::{PrivateKey, PublicKey};

use crate::answer::answer;
use crate::cli::{KeyArgs, Keygen, PassphraseArgs};
use crate::failure::Failure;

/// The variable that may hold the key itself, where a build has no place for a secret file.
const KEY_PEM: &str = "CAIRN_KEY_PEM";

/// The variable that may hold the passphrase.
const PASSPHRASE: &str = "CAIRN_KEY_PASSPHRASE";

/// Makes a pair of keys.
///
/// # Errors
/// If one of the files exists, or cannot be written; nothing is left then.
pub fn generate(args: &Keygen) -> Result<()> {
    let public_file = public_beside(&args.file);
    for file in [&args.file, &public_file] {
        if file.symlink_metadata().is_ok() {
            return Err(Failure::usage(format!(
                "`{}` is there already; a key is never overwritten, choose another name",
                file.display()
            )));
        }
    }
    let passphrase = if args.no_passphrase { None } else { Some(new_passphrase(&args.passphrase)?) };
    let key = PrivateKey::generate()?;
    write_new(&args.file, &key.to_pem(passphrase.as_deref())?)?;
    if let Err(error) =
        key.public().to_pem().map_err(Into::into).and_then(|pem| write_new(&public_file, &pem))
    {
        let _ = fs::remove_file(&args.file);
        return Err(error);
    }
    let how = if passphrase.is_some() { "encrypted" } else { "not encrypted" };
    answer!("private key  {} ({how})", args.file.display())?;
    answer!("public key   {}", public_file.display())?;
    answer!("fingerprint  {}", key.public().fingerprint())?;
    Ok(())
}

/// The key that is to sign, if one was given.
///
/// # Errors
/// Exit code 1 if it cannot be read.
pub fn given(args: &KeyArgs) -> Result<Option<PrivateKey>> {
    let (name, pem) = match (&args.key, variable(KEY_PEM)?) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage(format!("a key file is named, and {KEY_PEM} holds a key; keep one")));
        }
        (Some(file), None) => read(file)?,
        (None, Some(pem)) => (format!("the key in {KEY_PEM}"), pem),
        (None, None) => return Ok(None),
    };
    let passphrase =
        if PrivateKey::is_encrypted(&pem) { Some(passphrase(&args.passphrase, &name)?) } else { None };
    let key = PrivateKey::from_pem(&pem, passphrase.as_deref());
    key.map(Some).map_err(|error| Failure::usage(format!("cannot sign with {name}: {error}")))
}

/// Reads a public key.
///
/// # Errors
/// Exit code 1 if it is none.
pub fn public(file: &Path) -> Result<PublicKey> {
    let name = file.display();
    let pem = fs::read_to_string(file).map_err(|error| {
        Failure::usage(format!("cannot read the public key `{name}`: {error}; name one that is there"))
    })?;
    PublicKey::from_pem(&pem).map_err(|error| {
        Failure::usage(format!("`{name}` cannot be trusted: {error}; name the `.pub` that keygen has made"))
    })
}

fn read(file: &Path) -> Result<(String, String)> {
    if file.to_string_lossy().contains("-----BEGIN") {
        // Its own sentence, because every other one would print the key.
        return Err(Failure::usage(format!(
            "CAIRN_KEY and --key name a file; a key itself goes into {KEY_PEM}"
        )));
    }
    let name = format!("`{}`", file.display());
    let pem = fs::read_to_string(file).map_err(|error| {
        Failure::usage(format!("cannot read the key {name}: {error}; name one that is there"))
    })?;
    Ok((name, pem))
}

fn public_beside(file: &Path) -> PathBuf {
    file.with_added_extension("pub")
}

fn write_new(file: &Path, text: &str) -> Result<()> {
    let write = || -> io::Result<()> {
        let mut out = File::options().write(true).create_new(true).mode(0o600).open(file)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()
    };
    write().with_context(|| format!("cannot write `{}`", file.display()))
}

/// A variable that is set. An empty one is a secret that did not arrive: no reason to go on without.
fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(text) if text.trim().is_empty() => {
            Err(Failure::usage(format!("{name} is set and empty; give it a value, or unset it")))
        }
        Ok(text) => Ok(Some(text)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Failure::usage(format!("{name} is not UTF-8 text"))),
    }
}

fn passphrase(args: &PassphraseArgs, of: &str) -> Result<String> {
    match prepared(args)? {
        Some(passphrase) => Ok(passphrase),
        None => ask(&format!("Passphrase of {of}: ")),
    }
}

fn new_passphrase(args: &PassphraseArgs) -> Result<String> {
    if let Some(passphrase) = prepared(args)? {
        return Ok(passphrase);
    }
    let passphrase = ask("Passphrase for the private key: ")?;
    if passphrase.is_empty() {
        return Err(Failure::usage(
            "an empty passphrase protects nothing; choose one, or write --no-passphrase",
        ));
    }
    if ask("The same again: ")? != passphrase {
        return Err(Failure::usage("these were two different passphrases; try again"));
    }
    Ok(passphrase)
}

fn prepared(args: &PassphraseArgs) -> Result<Option<String>> {
    if let Some(passphrase) = variable(PASSPHRASE)? {
        return Ok(Some(passphrase));
    }
    let Some(file) = &args.passphrase_file else { return Ok(None) };
    let mut line = String::new();
    File::open(file).and_then(|file| io::BufReader::new(file).read_line(&mut line)).map_err(|error| {
        Failure::usage(format!("cannot read the passphrase in `{}`: {error}", file.display()))
    })?;
    let passphrase = line.trim_end_matches(['\r', '\n']);
    if passphrase.is_empty() {
        return Err(Failure::usage(format!(
            "the first line of `{}` is empty; write the passphrase there",
            file.display()
        )));
    }
    Ok(Some(passphrase.to_owned()))
}

fn ask(question: &str) -> Result<String> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "there is no terminal to ask for a passphrase on; set {PASSPHRASE}, or name a file with --passphrase-file"
        )));
    }
    rpassword::prompt_password(question).context("cannot ask for a passphrase")
}
