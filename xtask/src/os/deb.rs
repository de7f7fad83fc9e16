//! What a package says of itself: its control file and its copyright file, read from the package.

use std::io::Read as _;
use std::path::{Component, Path};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::copyright;
use crate::digest::hex_of;
use crate::environment;
use crate::failure::Failure;

/// To be raised whenever more, or something else, is read.
const GENERATION: u32 = 1;

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The control file.
    pub control: String,
    /// Where its licences are told.
    pub copyright: Copyright,
}

/// A package's copyright file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Copyright {
    /// Licences by their short names, as it has them.
    Read(Vec<String>),
    /// It is prose.
    Prose,
    /// It is that of another package.
    Of(String),
    /// There is none.
    Missing,
}

/// What the package `file` says, by what is kept in `kept` if that is of this program.
///
/// # Errors
/// If it is no package.
pub fn facts(file: &Path, kept: &Path) -> Result<Facts> {
    if let Some(facts) = read_kept(kept) {
        return Ok(facts);
    }
    let control = control(file)?;
    let name = field(&control, "Package").context("it has no name")?;
    let facts = Facts { copyright: copyright_of(file, name)?, control };
    let json = serde_json::to_string(&facts)?;
    let new = kept.with_added_extension("new");
    std::fs::write(&new, format!("{}\n{json}", seal(&json)))
        .and_then(|()| std::fs::rename(&new, kept))
        .with_context(|| format!("cannot write `{}`", kept.display()))?;
    Ok(facts)
}

fn read_kept(kept: &Path) -> Option<Facts> {
    let text = std::fs::read_to_string(kept).ok()?;
    let (digest, json) = text.split_once('\n')?;
    (seal(json) == digest).then(|| serde_json::from_str(json).ok()).flatten()
}

fn seal(json: &str) -> String {
    hex_of(format!("{GENERATION} {json}"))
}

/// The value of a field of a control file that has one line.
pub fn field<'a>(control: &'a str, name: &str) -> Option<&'a str> {
    let fields = control.lines().filter_map(|line| line.split_once(':'));
    fields.filter(|(field, _)| *field == name).map(|(_, value)| value.trim()).next()
}

/// Name and version of the source that a package was made from.
pub fn source(control: &str) -> Option<(String, String)> {
    let (name, version) = (field(control, "Package")?, field(control, "Version")?);
    let Some(source) = field(control, "Source") else { return Some((name.to_owned(), version.to_owned())) };
    match source.split_once(" (") {
        Some((source, version)) => Some((source.to_owned(), version.strip_suffix(')')?.to_owned())),
        None => Some((source.to_owned(), version.to_owned())),
    }
}

fn control(file: &Path) -> Result<String> {
    let output = dpkg_deb("--field", file).stdin(Stdio::null()).output().map_err(cannot_run)?;
    if !output.status.success() {
        bail!(
            "`dpkg-deb --field {}` failed: {}",
            file.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let text = String::from_utf8(output.stdout).with_context(|| format!("in `{}`", file.display()))?;
    Ok(text.trim_end().to_owned() + "\n")
}

fn copyright_of(file: &Path, name: &str) -> Result<Copyright> {
    let mut command = dpkg_deb("--fsys-tarfile", file);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(cannot_run)?;
    let stream = child.stdout.take().context("no output")?;
    let found = search(&mut tar::Archive::new(stream), name);
    // One that is not read to its end is told so by a signal.
    let ended = child.wait().context("cannot wait for `dpkg-deb`")?;
    match found.with_context(|| format!("in `{}`", file.display()))? {
        Some(found) => Ok(found),
        None if ended.success() => Ok(Copyright::Missing),
        None => bail!("`dpkg-deb --fsys-tarfile {}` failed", file.display()),
    }
}

/// Looks for the copyright file of the package `name`, or for a link that stands for it.
fn search(files: &mut tar::Archive<impl std::io::Read>, name: &str) -> std::io::Result<Option<Copyright>> {
    let folder = Path::new("usr/share/doc").join(name);
    for entry in files.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let path = path.strip_prefix(".").unwrap_or(&path);
        let is_file = path == folder.join("copyright");
        if !is_file && path != folder {
            continue;
        }
        if let Some(target) = entry.link_name()? {
            return Ok(Some(owner(&target).map_or(Copyright::Missing, Copyright::Of)));
        }
        if is_file {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            let licenses = copyright::licenses(&String::from_utf8_lossy(&bytes));
            return Ok(Some(if licenses.is_empty() { Copyright::Prose } else { Copyright::Read(licenses) }));
        }
    }
    Ok(None)
}

/// The package that a link below `usr/share/doc` leads to: `other`, `../other/copyright`, `/usr/share/doc/other`.
fn owner(target: &Path) -> Option<String> {
    let names = target.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
    });
    names.filter(|name| !["usr", "share", "doc", "copyright"].contains(name)).map(str::to_owned).next()
}

fn dpkg_deb(option: &str, file: &Path) -> Command {
    let mut command = Command::new("dpkg-deb");
    environment::restrict(&mut command);
    command.arg(option).arg(file);
    command
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn cannot_run(error: std::io::Error) -> anyhow::Error {
    Failure::unsupported(format!(
        "cannot run `dpkg-deb` ({error}); carry packages of Debian on a Debian machine"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_where_it_differs() {
        let is = |text: &str, expected: (&str, &str)| {
            assert_eq!(source(text), Some((expected.0.to_owned(), expected.1.to_owned())), "{text}");
        };
        is("Package: a\nVersion: 1:2\n", ("a", "1:2"));
        is("Package: a\nSource: b\nVersion: 1:2\n", ("b", "1:2"));
        is("Package: a\nSource: b (1:1)\nVersion: 1:2+b1\n", ("b", "1:1"));
    }

    #[test]
    fn links_name_the_package_that_has_the_file() {
        for target in ["gcc-12-base", "../gcc-12-base/copyright", "/usr/share/doc/gcc-12-base"] {
            assert_eq!(owner(Path::new(target)).as_deref(), Some("gcc-12-base"));
        }
        assert_eq!(owner(Path::new("..")), None);
    }

    #[test]
    fn a_copyright_file_is_found_among_files_and_as_a_link() {
        let with = |path: &str, link: Option<&str>, content: &str| {
            let mut tar = tar::Builder::new(Vec::new());
            for (path, link, content) in [("./usr/bin/a", None, "x"), (path, link, content)] {
                let mut header = tar::Header::new_gnu();
                header.set_size(content.len() as u64);
                header.set_mode(0o644);
                if let Some(link) = link {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_link_name(link).unwrap();
                }
                tar.append_data(&mut header, path, content.as_bytes()).unwrap();
            }
            let bytes = tar.into_inner().unwrap();
            search(&mut tar::Archive::new(&bytes[..]), "a").unwrap()
        };
        let readable = "Format: https://x/copyright-format/1.0/\nLicense: Expat\n";
        let file = "./usr/share/doc/a/copyright";
        assert_eq!(with(file, None, readable), Some(Copyright::Read(vec!["Expat".into()])));
        assert_eq!(with(file, None, "prose"), Some(Copyright::Prose));
        assert_eq!(with("./usr/share/doc/a", Some("b"), ""), Some(Copyright::Of("b".into())));
        assert_eq!(with("./usr/share/doc/b/copyright", None, readable), None);
    }
}
