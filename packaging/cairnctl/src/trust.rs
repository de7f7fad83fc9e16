//! Whose signature this host wants to see. Keys that an operator trusts lie in `/etc/cairn/trusted`, one file each; as soon as
//! there is one, nothing is installed that none of them has signed.
//!
//! The program that asks these questions came out of the file that they are about. Against somebody who made the whole file,
//! the signature beside it is checked first, with a program that was on the host before.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use packaging_archive::{Archive, Fingerprint, PublicKey};

use crate::args::TrustArgs;
use crate::exit::{Code, Exit};
use crate::layout::Layout;
use crate::say::say;

/// What is demanded of a file.
pub struct Trust {
    /// Keys that this host trusts.
    kept: Vec<PublicKey>,
    /// Keys that `--trust` names.
    named: Vec<PublicKey>,
    /// The key that `--require-signature` names.
    required: Option<PublicKey>,
}

/// How a file stands that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Signed by a key that was asked for.
    Trusted(Fingerprint),
    /// Signed, and nobody has said by whom it should be.
    Unchecked(Fingerprint),
    /// Not signed, and nobody has said that it should be.
    Unsigned,
}

impl Trust {
    /// Reads the keys of the host below `layout`, and those that are named.
    ///
    /// # Errors
    /// Exit code 1 for a named file that is no key, 8 for such a file among those of the host: what it was is not known.
    pub fn new(layout: &Layout, args: &TrustArgs) -> Result<Self> {
        let named = args.trust.iter().map(|file| read(file)).collect::<Result<Vec<_>>>()?;
        let required = args.require_signature.as_deref().map(read).transpose()?;
        Ok(Self { kept: kept(&layout.trusted())?, named, required })
    }

    /// Judges the file that is installed from; `None` is a folder that one was extracted into.
    ///
    /// # Errors
    /// Exit code 8 if a signature is demanded and is not there, or is by somebody else.
    pub fn judge(&self, archive: Option<&Archive>) -> Result<Standing> {
        let accepted: Vec<PublicKey> = self.kept.iter().chain(&self.named).copied().collect();
        let demanded: &[&[PublicKey]] = &[self.required.as_slice(), &accepted];
        let signer = archive.and_then(Archive::signer);
        for keys in demanded.iter().filter(|keys| !keys.is_empty()) {
            if !signer.is_some_and(|signer| keys.contains(signer)) {
                return Err(refusal(archive, keys));
            }
        }
        let is_demanded = demanded.iter().any(|keys| !keys.is_empty());
        Ok(match signer.map(PublicKey::fingerprint) {
            Some(fingerprint) if is_demanded => Standing::Trusted(fingerprint),
            Some(fingerprint) => Standing::Unchecked(fingerprint),
            None => Standing::Unsigned,
        })
    }

    /// Keys that this host is to trust from now on, and did not before.
    pub fn new_keys(&self) -> Vec<PublicKey> {
        self.named.iter().filter(|key| !self.kept.contains(key)).copied().collect()
    }
}

impl Standing {
    /// Says it.
    pub fn tell(self, indent: &str) {
        match self {
            Self::Trusted(key) => say!("{indent}signed by {key}, which is trusted here"),
            Self::Unchecked(key) => say!("{indent}signed by {key}, not checked: no trusted key on this host"),
            Self::Unsigned => say!("{indent}not signed"),
        }
    }
}

/// Where a key is kept.
pub fn place(layout: &Layout, key: &PublicKey) -> PathBuf {
    layout.trusted().join(format!("{}.pem", key.fingerprint()))
}

/// Whether a file holds this key.
pub fn is_kept(file: &Path, key: &PublicKey) -> bool {
    fs::read_to_string(file).is_ok_and(|pem| PublicKey::from_pem(&pem).is_ok_and(|kept| kept == *key))
}

fn refusal(archive: Option<&Archive>, keys: &[PublicKey]) -> anyhow::Error {
    let expected: Vec<String> = keys.iter().map(|key| key.fingerprint().to_string()).collect();
    let expected = expected.join(" or ");
    let sentence = match archive.map(|archive| (archive.path().display(), archive.signer())) {
        None => format!(
            "a folder that a file was extracted into has no signature, and one by {expected} is demanded here; install from the .run file"
        ),
        Some((file, None)) => format!(
            "`{file}` is not signed, and a signature by {expected} is demanded here; get a signed file from where it is published"
        ),
        Some((file, Some(signer))) => format!(
            "`{file}` is signed by {}, and a signature by {expected} is demanded here; if you know that the first is right, trust it too: --trust KEY.pub with its public key",
            signer.fingerprint()
        ),
    };
    Exit::error(Code::Refused, sentence)
}

fn read(file: &Path) -> Result<PublicKey> {
    let name = file.display();
    let usage = |sentence| Exit::error(Code::Usage, sentence);
    let pem = fs::read(file).map_err(|error| {
        usage(format!("cannot read the public key `{name}` ({error}); name one that is there"))
    })?;
    PublicKey::from_pem(&String::from_utf8_lossy(&pem)).map_err(|error| {
        usage(format!(
            "`{name}` cannot be trusted: {error}; name the public key that its owner has published"
        ))
    })
}

fn kept(folder: &Path) -> Result<Vec<PublicKey>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", folder.display())),
    };
    let mut keys = Vec::new();
    for entry in entries {
        let path = entry?.path();
        // What a run that was killed has left is swept by the next one.
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        let pem = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let key = PublicKey::from_pem(&String::from_utf8_lossy(&pem)).map_err(|error| {
            let sentence = format!(
                "`{}` should be a key that this host trusts: {error}; put the key back, or remove the file",
                path.display()
            );
            Exit::error(Code::Refused, sentence)
        })?;
        keys.push(key);
    }
    keys.sort_unstable();
    Ok(keys)
}
