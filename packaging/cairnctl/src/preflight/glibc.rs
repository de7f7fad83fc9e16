//! Whether the host's C library is new enough for the binaries. It is read as a file: asking it by a call would ask the
//! one that is linked into this program.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Subject;
use super::os::system_root;
use super::probe::{first_line, program};
use super::report::Finding;

/// No C library is longer than this many bytes; nothing longer is read.
const LONGEST: u64 = 64 << 20;

/// The host's C library.
#[derive(Debug, PartialEq, Eq)]
enum Library {
    Glibc(Version),
    Musl,
    Unknown,
}

/// A version, compared number by number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(Vec<u32>);

impl Version {
    /// Reads the numbers that `text` starts with. Without a dot it is no version.
    pub(super) fn starting(text: &str) -> Option<Self> {
        let end = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
        let numbers: Result<Vec<u32>, _> =
            text[..end].trim_end_matches('.').split('.').map(str::parse).collect();
        numbers.ok().filter(|numbers| numbers.len() > 1).map(Self)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&numbers.join("."))
    }
}

/// Compares the host's glibc with what the binaries ask for.
pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let root = system_root(subject.layout.root());
    vec![finding(&library(root, &subject.target), subject.glibc.as_deref())]
}

fn finding(library: &Library, wanted: Option<&str>) -> Finding {
    let wanted = match wanted.map(|text| (text, Version::starting(text))) {
        None => return Finding::pass("no program in the archive needs it"),
        Some((text, None)) => {
            return Finding::warn(
                format!("the manifest asks for glibc `{text}`, which is no version"),
                "build the archive again",
            );
        }
        Some((_, Some(version))) => version,
    };
    match library {
        Library::Glibc(found) if *found >= wanted => {
            Finding::pass(format!("{found}, and {wanted} is enough"))
        }
        Library::Glibc(found) => Finding::fail(
            format!("{found}, but the programs need {wanted} or newer"),
            "upgrade the operating system, or take an archive that was built portable",
        ),
        Library::Musl => Finding::fail(
            format!("this host has musl as its C library, and the programs need glibc {wanted} or newer"),
            "use a host with glibc, such as Debian",
        ),
        Library::Unknown => Finding::warn(
            format!("no glibc was found, and the programs need {wanted} or newer"),
            "look at what `ldd --version` says",
        ),
    }
}

/// Finds the C library of the system below `root`. glibc wins: Debian can have musl beside it.
fn library(root: &Path, target: &str) -> Library {
    let folders = folders(root, target);
    let version =
        folders.iter().filter_map(|folder| read(&folder.join("libc.so.6")).ok()).find_map(|b| version_in(&b));
    if let Some(version) = version {
        return Library::Glibc(version);
    }
    if folders.iter().any(|folder| has_musl_loader(folder)) {
        return Library::Musl;
    }
    // Distributions that keep the library under a name of its own still have the script that knows.
    let ldd = if root == Path::new("/") { program(&["ldd"]) } else { None };
    let said = ldd.and_then(|ldd| first_line(&ldd, &["--version"]).ok());
    match said.and_then(|line| Version::starting(line.split_whitespace().last()?)) {
        Some(version) => Library::Glibc(version),
        None => Library::Unknown,
    }
}

fn folders(root: &Path, target: &str) -> Vec<PathBuf> {
    let machine = target.split('-').next().unwrap_or_default();
    let multiarch = format!("{}-linux-gnu", if machine == "riscv64gc" { "riscv64" } else { machine });
    ["lib", "usr/lib", "lib64", "usr/lib64"]
        .into_iter()
        .flat_map(|folder| [root.join(folder).join(&multiarch), root.join(folder)])
        .collect()
}

fn has_musl_loader(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("ld-musl-"))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The version of a glibc, given its bytes: what its banner says, else the newest version of its symbols. The banner
/// comes first because vendors add single newer symbols to an older library.
fn version_in(bytes: &[u8]) -> Option<Version> {
    versions_behind(bytes, b" release version ").next().or_else(|| versions_behind(bytes, b"GLIBC_").max())
}

/// The versions that stand directly behind `mark`.
fn versions_behind<'a>(bytes: &'a [u8], mark: &'a [u8]) -> impl Iterator<Item = Version> + 'a {
    let starts = bytes.windows(mark.len()).enumerate().filter(move |(_, window)| *window == mark);
    starts.filter_map(move |(at, _)| {
        let rest = &bytes[at + mark.len()..];
        let end = rest.iter().position(|byte| *byte != b'.' && !byte.is_ascii_digit()).unwrap_or(rest.len());
        Version::starting(std::str::from_utf8(&rest[..end.min(16)]).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::super::report::State;
    use super::*;

    fn version(text: &str) -> Version {
        Version::starting(text).unwrap()
    }

    #[test]
    fn versions_are_numbers() {
        assert!(version("2.9") < version("2.17"));
        assert!(version("2.2.5") < version("2.3"));
        assert_eq!(version("2.36-9+deb12u10"), version("2.36"));
        assert_eq!(version("2.36."), version("2.36"));
        assert_eq!(Version::starting("GLIBC"), None);
        assert_eq!(Version::starting("2"), None);
    }

    #[test]
    fn the_banner_comes_before_the_symbols() {
        let banner = b"\0GLIBC_2.35\0GNU C Library (GNU libc) stable release version 2.34.\nCopyright";
        assert_eq!(version_in(banner), Some(version("2.34")));
        let symbols = b"GLIBC_2.2.5\0GLIBC_2.9\0GLIBC_2.28\0GLIBC_PRIVATE\0GLIBC_2.4";
        assert_eq!(version_in(symbols), Some(version("2.28")));
        assert_eq!(version_in(b"\x7fELF nothing"), None);
    }

    #[test]
    fn the_library_of_a_root_is_read() {
        let root = tempfile::tempdir().unwrap();
        let target = "x86_64-unknown-linux-gnu";
        let folder = root.path().join("usr/lib/x86_64-linux-gnu");
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(library(root.path(), target), Library::Unknown);
        fs::write(root.path().join("usr/lib/ld-musl-x86_64.so.1"), "").unwrap();
        assert_eq!(library(root.path(), target), Library::Musl);
        fs::write(folder.join("libc.so.6"), "GLIBC_2.2.5 GLIBC_2.31").unwrap();
        assert_eq!(library(root.path(), target), Library::Glibc(version("2.31")));
    }

    #[test]
    fn what_is_too_old_fails() {
        let found = Library::Glibc(version("2.28"));
        assert_eq!(finding(&found, None).state, State::Pass);
        assert_eq!(finding(&found, Some("2.17")).state, State::Pass);
        assert_eq!(finding(&found, Some("2.28")).state, State::Pass);
        assert_eq!(finding(&found, Some("2.34")).state, State::Fail);
        assert_eq!(finding(&Library::Musl, Some("2.17")).state, State::Fail);
        assert_eq!(finding(&Library::Unknown, Some("2.17")).state, State::Warn);
    }
}
