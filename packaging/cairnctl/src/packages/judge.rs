//! What installing carried packages would do to a host, judged: from what the package manager says that it would do, and what a
//! host has. Pure, so that it can be tried on every host there is not.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::Result;
use serde::Serialize;

use super::carried::Record;
use super::version::compare;
use crate::exit::{Code, Exit};

/// What will be done, in the order of names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Whether an earlier run of the package manager was interrupted, and is finished first.
    pub unfinished: bool,
    /// What comes to the host: name and version.
    pub install: BTreeMap<String, String>,
    /// What the host has in an older version: name, that version and the new one.
    pub upgrade: BTreeMap<String, (String, String)>,
    /// About how much room that takes, in bytes, the older versions not counted.
    pub bytes: u64,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        !self.unfinished && self.install.is_empty() && self.upgrade.is_empty()
    }

    /// What it comes to, in a few words.
    pub fn summary(&self) -> String {
        let (install, upgrade) = (self.install.len(), self.upgrade.len());
        let mut parts = Vec::new();
        if self.unfinished {
            parts.push("finish what the package manager was interrupted in".to_owned());
        }
        if install > 0 {
            parts.push(format!("install {install} packages of the operating system"));
        }
        if upgrade > 0 {
            parts.push(format!("upgrade {upgrade} packages of the operating system"));
        }
        parts.join(", ")
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unfinished {
            writeln!(f, "finish what the package manager was interrupted in")?;
        }
        if !self.install.is_empty() {
            writeln!(f, "install {} packages ({} MB):", self.install.len(), self.bytes.div_ceil(1_000_000))?;
            for (name, version) in &self.install {
                writeln!(f, "  {name} {version}")?;
            }
        }
        if !self.upgrade.is_empty() {
            writeln!(f, "upgrade {} packages that these need newer:", self.upgrade.len())?;
            for (name, (old, new)) in &self.upgrade {
                writeln!(f, "  {name} {old} -> {new}")?;
            }
        }
        Ok(())
    }
}

/// Judges what the package manager has said of itself in a simulation, a line each: `Inst name [old] (new ...)`, `Conf ...`,
/// `Remv name [old]`.
///
/// # Errors
/// Exit code 8 if something would be removed or become older, 2 if something would come from elsewhere.
pub fn judge(simulation: &str, record: &Record, unfinished: bool) -> Result<Plan> {
    let mut plan = Plan { unfinished, ..Plan::default() };
    for line in simulation.lines() {
        let mut words = line.split(' ');
        let (what, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let bracketed = |open: char, close: char| {
            let (_, rest) = line.split_once(open)?;
            rest.split([close, ' ']).next()
        };
        // Behind the new version stand packages that become unusable for a moment, in brackets too.
        let old = line
            .split('(')
            .next()
            .and_then(|head| head.split_once('['))
            .map(|(_, old)| old.split(']').next().unwrap_or(old));
        match what {
            "Remv" => {
                return Err(refused(&format!(
                    "would remove `{name}` {}, which this host has",
                    old.unwrap_or_default()
                )));
            }
            "Inst" => {
                let new = bracketed('(', ')').unwrap_or_default();
                let plain = name.split(':').next().unwrap_or(name);
                let carried =
                    record.packages.iter().find(|package| package.name == plain && package.version == new);
                let Some(carried) = carried else {
                    let sentence = format!(
                        "the package manager would install `{name}` {new}, which is not carried; get the file again"
                    );
                    return Err(Exit::error(Code::Damaged, sentence));
                };
                plan.bytes += carried.installed_kib * 1024;
                match old {
                    None => drop(plan.install.insert(plain.to_owned(), new.to_owned())),
                    Some(old) if compare(old, new) == Ordering::Less => {
                        plan.upgrade.insert(plain.to_owned(), (old.to_owned(), new.to_owned()));
                    }
                    // The same again: it was not installed whole.
                    Some(old) if old == new => drop(plan.install.insert(plain.to_owned(), new.to_owned())),
                    Some(old) => {
                        return Err(refused(&format!("would replace `{name}` {old} by the older {new}")));
                    }
                }
            }
            _ => (),
        }
    }
    Ok(plan)
}

fn refused(what: &str) -> anyhow::Error {
    let sentence = format!(
        "installing what Cairn needs {what}; nothing is ever removed or made older: install QEMU and libvirt yourself, in \
         versions that go with what is there, and run this again"
    );
    Exit::error(Code::Refused, sentence)
}

/// What the package manager says that keeps packages from being installed, in its own words, if it says that.
pub fn unmet(said: &str) -> Option<String> {
    let lines: Vec<&str> = said
        .lines()
        .skip_while(|line| !line.starts_with("The following packages have unmet dependencies:"))
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .map(str::trim)
        .collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// Whether a host's package database says that something was begun and not ended. `status` is its list of packages, `updates` the
/// names of what it has not yet written there.
pub fn is_unfinished(status: &str, updates: &[String]) -> bool {
    let begun = ["half-installed", "unpacked", "half-configured", "triggers-pending", "triggers-awaited"];
    let states = status.lines().filter_map(|line| line.strip_prefix("Status: "));
    let is_begun = |state: &str| {
        let mut words = state.split(' ');
        let (error, state) = (words.nth(1), words.next());
        error == Some("reinstreq") || state.is_some_and(|state| begun.contains(&state))
    };
    let is_number = |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    updates.iter().any(is_number) || states.into_iter().any(is_begun)
}

/// The packages that a host's package database calls installed, by name.
pub fn installed_names(status: &str) -> BTreeSet<String> {
    let paragraphs = status.split("\n\n").filter(|paragraph| {
        let mut states = paragraph.lines().filter_map(|line| line.strip_prefix("Status: "));
        states.any(|state| state.ends_with(" ok installed"))
    });
    paragraphs
        .filter_map(|paragraph| paragraph.lines().find_map(|line| line.strip_prefix("Package: ")))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::carried::Package;
    use super::*;
    use crate::exit::code_of;

    fn record() -> Record {
        let package = |name: &str, version: &str| Package {
            name: name.into(),
            version: version.into(),
            file: format!("{name}.deb"),
            sha256: String::new(),
            installed_kib: 1000,
        };
        let packages = vec![
            package("qemu-utils", "1:7.2-3"),
            package("libc6", "2.36-9+deb12u13"),
            package("libc-bin", "2.36-9+deb12u13"),
        ];
        Record { os: "debian-12".into(), roles: BTreeMap::new(), packages }
    }

    #[test]
    fn what_comes_and_what_becomes_newer_is_told_apart() {
        let said = "NOTE: This is only a simulation!\nReading package lists...\n\
                    Inst libc6 [2.36-9+deb12u9] (2.36-9+deb12u13 offline [amd64]) [libc-bin:amd64 ]\n\
                    Conf libc6 (2.36-9+deb12u13 offline [amd64])\n\
                    Inst libc-bin [2.36-9] (2.36-9+deb12u13 offline [amd64])\n\
                    Inst qemu-utils (1:7.2-3 offline [amd64])\nConf qemu-utils (1:7.2-3 offline [amd64])\n";
        let plan = judge(said, &record(), false).unwrap();
        assert_eq!(
            plan.install.iter().collect::<Vec<_>>(),
            [(&"qemu-utils".to_owned(), &"1:7.2-3".to_owned())]
        );
        assert_eq!(plan.upgrade["libc6"], ("2.36-9+deb12u9".into(), "2.36-9+deb12u13".into()));
        assert_eq!((plan.upgrade.len(), plan.bytes, plan.is_empty()), (2, 3_072_000, false));
        let shown = plan.to_string();
        assert!(shown.contains("install 1 packages (4 MB):\n  qemu-utils 1:7.2-3\n"), "{shown}");
        assert!(judge("Reading package lists...\n", &record(), false).unwrap().is_empty());
        assert!(!judge("", &record(), true).unwrap().is_empty());
    }

    #[test]
    fn nothing_is_removed_and_nothing_becomes_older() {
        for (said, code, sentence) in [
            ("Remv systemd-oomd [252.1]\n", Code::Refused, "would remove `systemd-oomd` 252.1,"),
            (
                "Inst libc6 [2.37-1] (2.36-9+deb12u13 offline [amd64])\n",
                Code::Refused,
                "would replace `libc6` 2.37-1 by the older",
            ),
            (
                "Inst libc6 (2.36-1 elsewhere [amd64])\n",
                Code::Damaged,
                "would install `libc6` 2.36-1, which is not carried",
            ),
            ("Inst stranger (1 elsewhere [amd64])\n", Code::Damaged, "`stranger` 1, which is not carried"),
        ] {
            let error = judge(said, &record(), false).unwrap_err();
            assert_eq!(code_of(&error), code, "{said}");
            assert!(error.to_string().contains(sentence), "{error}");
        }
    }

    #[test]
    fn what_keeps_packages_from_being_installed_is_told_in_the_managers_words() {
        let said = "Some packages could not be installed.\n\nThe following packages have unmet dependencies:\n \
                    qemu-utils : Breaks: qemu-system-common (< 1:8.0)\n  x : Depends: y\nE: Unable to correct problems\n";
        assert_eq!(
            unmet(said).as_deref(),
            Some("qemu-utils : Breaks: qemu-system-common (< 1:8.0), x : Depends: y")
        );
        assert_eq!(unmet("E: Unable to locate package x\n"), None);
    }

    #[test]
    fn what_is_installed_is_read_from_the_database() {
        let status = "Package: a\nStatus: install ok installed\n\nPackage: b\nStatus: deinstall ok config-files\n\n\
                      Package: c\nStatus: hold ok installed\nDescription: x\n y\n\nPackage: d\nStatus: install ok unpacked\n";
        assert_eq!(installed_names(status).into_iter().collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn an_interruption_shows_in_states_and_in_unwritten_updates() {
        let status = |state: &str| {
            format!("Package: a\nStatus: {state}\nVersion: 1\n\nPackage: b\nStatus: install ok installed\n")
        };
        for state in [
            "install ok unpacked",
            "install ok half-configured",
            "install reinstreq half-installed",
            "install ok triggers-pending",
        ] {
            assert!(is_unfinished(&status(state), &[]), "{state}");
        }
        for state in [
            "install ok installed",
            "deinstall ok config-files",
            "hold ok installed",
            "unknown ok not-installed",
        ] {
            assert!(!is_unfinished(&status(state), &["tmp.i".into()]), "{state}");
        }
        assert!(is_unfinished("", &["0003".into()]));
    }
}
