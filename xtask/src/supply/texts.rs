//! Licence texts: which files of a package are some, and what is the same text.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// What the name of such a file begins with, in capitals.
const NAMES: &[&str] =
    &["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE", "UNLICENCE", "PATENTS"];

/// Code that is called so is no text.
const CODE: &[&str] = &["c", "h", "html", "js", "json", "lock", "py", "rs", "sh", "toml", "yaml", "yml"];

/// The licence files of the package in `folder`, by name: those that lie there, in a folder of licences there, and the one
/// that its manifest names. If there are none, those of the nearest folder above, no further than `top`.
///
/// # Errors
/// If one of them cannot be read.
pub fn of(folder: &Path, named: Option<&Path>, top: &Path) -> Result<Vec<(String, String)>> {
    let mut place = folder;
    let mut files: Vec<PathBuf> =
        named.map(|file| folder.join(file)).into_iter().filter(|file| file.is_file()).collect();
    loop {
        files.extend(in_folder(place)?);
        match place.parent() {
            Some(above) if files.is_empty() && place != top && place.starts_with(top) => place = above,
            _ => break,
        }
    }
    let mut texts = Vec::new();
    for file in files {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if texts.iter().any(|(other, _)| *other == name) {
            continue;
        }
        let text = read(&file)?;
        if !text.is_empty() {
            texts.push((name, text));
        }
    }
    texts.sort();
    Ok(texts)
}

/// A licence text in a file.
///
/// # Errors
/// If it cannot be read.
pub fn read(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    Ok(plain(&String::from_utf8_lossy(&bytes)))
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read the folder `{}`", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
        if path.is_dir() && ["LICENSES", "LICENCES", "LICENSE", "LICENCE"].contains(&&*name) {
            let inner = fs::read_dir(&path)?.collect::<std::io::Result<Vec<_>>>()?;
            files.extend(inner.iter().map(fs::DirEntry::path).filter(|path| path.is_file()));
        } else if path.is_file() && is_license(&name) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a file with this name, in capitals, is one.
fn is_license(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    NAMES.iter().any(|start| name.starts_with(start)) && !CODE.contains(&extension.as_str())
}

/// The text with line feeds alone, and without what nobody sees at its ends: what is left is the same text or another.
fn plain(text: &str) -> String {
    let lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path, named: Option<&str>, top: &Path) -> Vec<String> {
        let texts = of(folder, named.map(Path::new), top).unwrap();
        texts.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn texts_are_told_from_code_and_found_above_where_there_are_none() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path();
        let inner = top.join("a/b");
        fs::create_dir_all(inner.join("LICENSES")).unwrap();
        fs::write(top.join("LICENSE"), "top").unwrap();
        assert_eq!(names(&inner, None, top), ["LICENSE"]);
        assert!(names(&inner, None, &inner).is_empty(), "a package of a registry has nothing above it");
        for name in ["License-MIT", "license.rs", "NOTICE.md", "LICENSES/Zlib.txt", "empty-LICENSE", "terms"]
        {
            fs::write(inner.join(name), name).unwrap();
        }
        fs::write(inner.join("COPYING"), "\r\n").unwrap();
        assert_eq!(names(&inner, None, top), ["License-MIT", "NOTICE.md", "Zlib.txt"]);
        assert_eq!(names(&inner, Some("terms"), top), ["License-MIT", "NOTICE.md", "Zlib.txt", "terms"]);
        assert_eq!(names(&inner, Some("../../LICENSE"), top)[0], "LICENSE");
    }

    #[test]
    fn line_endings_make_no_other_text() {
        assert_eq!(plain("\u{feff}a  \r\n\r\nb\r\n\r\n"), plain("\na\n\nb\n"));
        assert_ne!(plain("a b"), plain("a  b"));
    }
}
