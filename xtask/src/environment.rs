//! What a build sees of the caller's environment: a list of names, and nothing else.
//!
//! A variable that changes what a compiler makes, such as `RUSTFLAGS`, `CARGO_PROFILE_*` or the `RUSTUP_TOOLCHAIN` that
//! `cargo xtask` itself sets, would make two builds of the same commits differ.

use std::ffi::OsString;
use std::fmt;
use std::process::Command;

use rustix::fs::Mode;
use rustix::process::umask;
use serde::Serialize;

/// Names that pass: where things are, who the user is, how the network is reached.
const NAMES: &[&str] = &[
    "ALL_PROXY",
    "CARGO_HOME",
    "CURL_CA_BUNDLE",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LOGNAME",
    "NO_PROXY",
    "PATH",
    "RUSTUP_AUTO_INSTALL",
    "RUSTUP_DIST_SERVER",
    "RUSTUP_HOME",
    "RUSTUP_UPDATE_ROOT",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Beginnings of names that pass: how cargo reaches its registries.
const PREFIXES: &[&str] =
    &["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_", "CARGO_SOURCE_"];

/// Beginnings of names that are worth a line when they are dropped: somebody set them for a reason.
const NOTEWORTHY: &[&str] = &["AR", "CARGO", "CC", "CFLAGS", "CXX", "LD_", "RUST", "SOURCE_DATE_EPOCH"];

/// A locale that is the same everywhere.
const LOCALE: &str = "C";

/// Which toolchain cargo is.
pub const TOOLCHAIN: &str = "RUSTUP_TOOLCHAIN";

/// What `cargo run` sets for its child. Dropping these is nobody's loss.
const FROM_CARGO: &[&str] = &[
    "CARGO",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_BIN_",
    "RUST_RECURSION_COUNT",
    "LD_LIBRARY_PATH",
    "CARGO_PRIMARY_PACKAGE",
    "RUSTUP_TOOLCHAIN_SOURCE",
    "CARGO_CRATE_NAME",
];

/// Gives `command` the variables that pass, a locale that is the same everywhere, and nothing else.
pub fn restrict(command: &mut Command) {
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| passes(name))).env("LC_ALL", LOCALE);
}

/// What may be otherwise on another machine, and must make no difference to what is built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Surroundings {
    /// How many things are done at once.
    pub jobs: usize,
    /// Which permissions new files do not get.
    pub umask: u32,
    /// `LC_ALL`.
    pub locale: String,
    /// `TZ`; without one it is the machine's.
    pub time_zone: Option<String>,
}

impl Surroundings {
    /// Those of this process, with so many jobs.
    pub fn own(jobs: usize) -> Self {
        Self { jobs, umask: own_umask().bits(), locale: LOCALE.to_owned(), time_zone: None }
    }

    /// Others than these in every respect.
    pub fn others(&self) -> Self {
        Self {
            jobs: if self.jobs > 1 { self.jobs - 1 } else { 2 },
            umask: if self.umask == 0o077 { 0o022 } else { 0o077 },
            locale: "C.UTF-8".to_owned(),
            // As POSIX writes a zone, so that it needs no table of zones: 13 hours and 45 minutes east.
            time_zone: Some("<+1345>-13:45".to_owned()),
        }
    }

    /// Gives `command` these surroundings, and the variables that [`restrict`] lets pass.
    pub fn restrict(&self, command: &mut Command) {
        restrict(command);
        command.env("LC_ALL", &self.locale).envs(self.time_zone.as_ref().map(|zone| ("TZ", zone)));
    }

    /// Gives this process, and so all that it starts, the umask, until what is returned is dropped.
    pub fn enter(&self) -> Umask {
        Umask(umask(Mode::from_bits_truncate(self.umask)))
    }
}

impl fmt::Display for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "jobs {}, umask {:03o}, LC_ALL {}", self.jobs, self.umask, self.locale)?;
        self.time_zone.as_ref().map_or(Ok(()), |zone| write!(f, ", TZ {zone}"))
    }
}

/// The umask to go back to.
pub struct Umask(Mode);

impl Drop for Umask {
    fn drop(&mut self) {
        umask(self.0);
    }
}

/// The umask cannot be read without being set.
fn own_umask() -> Mode {
    let own = umask(Mode::from_bits_truncate(0o077));
    umask(own);
    own
}

/// Names of noteworthy variables that a build does not see. `channel` is the toolchain of the running tree.
pub fn dropped(channel: &str) -> Vec<String> {
    let text = |name: &str| std::env::var(name).ok();
    let source = text("RUSTUP_TOOLCHAIN_SOURCE");
    let chosen = text(TOOLCHAIN).is_some_and(|value| is_chosen(&value, source.as_deref(), channel));
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let noteworthy = |name: &String| if name == TOOLCHAIN { chosen } else { is_noteworthy(name) };
    let mut names: Vec<String> = names.filter(noteworthy).collect();
    names.sort();
    names
}

/// Whether somebody set `RUSTUP_TOOLCHAIN`. rustup gives it to every program that it starts, so that its being there says
/// nothing; newer ones say beside it who chose, and a value that is not the tree's own was chosen in any case.
fn is_chosen(value: &str, source: Option<&str>, channel: &str) -> bool {
    let of_the_tree =
        value == channel || value.strip_prefix(channel).is_some_and(|rest| rest.starts_with('-'));
    !of_the_tree || source.is_some_and(|source| !["toolchain-file", "default"].contains(&source))
}

fn passes(name: &OsString) -> bool {
    let Some(name) = name.to_str() else { return false };
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn is_noteworthy(name: &str) -> bool {
    let starts = |list: &[&str]| list.iter().any(|prefix| name.starts_with(prefix));
    let from_cargo =
        FROM_CARGO.iter().any(|known| name == *known || (known.ends_with('_') && name.starts_with(known)));
    starts(NOTEWORTHY) && !from_cargo && !passes(&name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_surroundings_differ_in_every_respect() {
        for (jobs, umask) in [(1, 0o077), (2, 0o022)] {
            let here = Surroundings { jobs, umask, ..Surroundings::own(jobs) };
            let there = here.others();
            assert!(here.jobs != there.jobs && there.jobs > 0 && here.umask != there.umask, "{there}");
            assert!(here.locale != there.locale && here.time_zone != there.time_zone, "{there}");
        }
    }

    #[test]
    fn what_changes_a_build_does_not_pass() {
        for name in [
            "RUSTFLAGS",
            "CARGO_PROFILE_RELEASE_LTO",
            "RUSTUP_TOOLCHAIN",
            "CARGO_BUILD_TARGET",
            "CFLAGS",
            "RUSTC_WRAPPER",
        ] {
            assert!(!passes(&name.into()), "{name}");
        }
        for name in ["PATH", "HOME", "CARGO_HOME", "https_proxy", "CARGO_NET_OFFLINE"] {
            assert!(passes(&name.into()), "{name}");
        }
    }

    #[test]
    fn a_toolchain_that_somebody_chose_is_told_from_the_one_that_rustup_found() {
        let found = "1.95.0-x86_64-unknown-linux-gnu";
        for (value, source, chosen) in [
            (found, Some("toolchain-file"), false),
            (found, None, false),
            ("1.95.0", None, false),
            (found, Some("env"), true),
            (found, Some("cli"), true),
            ("1.95.01", None, true),
            ("nightly", None, true),
            ("nightly", Some("toolchain-file"), true),
        ] {
            assert_eq!(is_chosen(value, source, "1.95.0"), chosen, "{value} {source:?}");
        }
    }

    #[test]
    fn what_somebody_set_is_worth_a_line_and_what_cargo_set_is_not() {
        assert!(
            is_noteworthy("RUSTFLAGS") && is_noteworthy("CARGO_PROFILE_DEV_DEBUG") && is_noteworthy("CC")
        );
        assert!(!is_noteworthy("CARGO_PKG_NAME") && !is_noteworthy("EDITOR"));
    }
}
