//! Where this machine's apt takes Debian from. The addresses come from its own configuration; none stands here.
//!
//! `apt-get indextargets` answers alike for one-line and deb822 sources: one stanza per index, fields as `Name:
//! value`, an empty line between stanzas.

use anyhow::{Context, Result, bail};
use std::process::Command;

/// One line of a sources list, for the component `main`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    uri: String,
    suite: String,
}

impl Source {
    /// As a line of a sources list.
    pub fn line(&self) -> String {
        format!("deb {} {} main", self.uri, self.suite)
    }

    /// The same for source packages.
    pub fn source_line(&self) -> String {
        format!("deb-src {} {} main", self.uri, self.suite)
    }
}

/// The sources of `suite` that this machine is configured with: the suite itself, and its updates and security
/// suites where they are configured too.
///
/// # Errors
/// Where apt knows no Debian mirror at all, for example before the first `apt-get update`.
pub fn sources(suite: &str) -> Result<Vec<Source>> {
    let out = Command::new("apt-get")
        .args(["indextargets", "Created-By: Packages"])
        .env("LC_ALL", "C")
        .output()
        .context("cannot run `apt-get indextargets`; the testbed needs a Debian machine")?;
    if !out.status.success() {
        bail!("`apt-get indextargets` failed: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    from_targets(&String::from_utf8_lossy(&out.stdout), suite)
}

fn from_targets(targets: &str, suite: &str) -> Result<Vec<Source>> {
    let mut found: Vec<Source> = Vec::new();
    let mut elsewhere = None;
    for stanza in targets.split("\n\n") {
        let field = |name: &str| {
            stanza
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find_map(|(key, value)| (key == name).then_some(value.trim()))
                .unwrap_or_default()
        };
        let uri = match field("Repo-URI") {
            "" => field("Site"),
            uri => uri,
        };
        if field("Component") != "main" || uri.is_empty() || uri.starts_with("cdrom:") {
            continue;
        }
        let codename = match field("Release") {
            "" => field("Codename"),
            release => release,
        };
        let source = Source { uri: uri.to_owned(), suite: codename.to_owned() };
        let tail = codename.strip_prefix(suite);
        if matches!(tail, Some("" | "-updates" | "-security")) && !found.contains(&source) {
            found.push(source);
        } else if field("Label") == "Debian" && !codename.contains('-') {
            // A machine of another Debian release: its mirror has our suite as well.
            elsewhere.get_or_insert(Source { uri: uri.to_owned(), suite: suite.to_owned() });
        }
    }
    if !found.iter().any(|source| source.suite == suite) {
        found.extend(elsewhere);
    }
    if !found.iter().any(|source| source.suite == suite) {
        bail!(
            "apt on this machine knows no mirror of Debian `{suite}`; configure one and run `apt-get update`"
        );
    }
    // The suite itself first, whatever the order in the machine's files.
    found.sort_by_key(|source| source.suite.len());
    Ok(found)
}

/// The settings of this machine's apt without which its mirror might not be reached: proxies, and whether dates
/// are checked. Pairs of name and value.
///
/// # Errors
/// Where there is no apt.
pub fn transport_options() -> Result<Vec<(String, String)>> {
    let out = Command::new("apt-config")
        .args(["dump", "--no-empty", "--format", "%f\t%v\n", "Acquire"])
        .env("LC_ALL", "C")
        .output()
        .context("cannot run `apt-config dump`; the testbed needs a Debian machine")?;
    Ok(transport(&String::from_utf8_lossy(&out.stdout)))
}

fn transport(dump: &str) -> Vec<(String, String)> {
    let wanted = ["Acquire::http::", "Acquire::https::", "Acquire::Check-", "Acquire::Retries"];
    dump.lines()
        .filter_map(|line| line.split_once('\t'))
        .filter(|(name, value)| wanted.iter().any(|w| name.starts_with(w)) && !value.contains('"'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As apt prints it; `entry` is what differs between the two forms of a sources file.
    fn stanza(site: &str, release: &str, component: &str, label: &str, entry: &str) -> String {
        format!(
            "MetaKey: {component}/binary-amd64/Packages\nURI: {site}/dists/{release}/{component}/Packages\n\
             Codename: {release}\nLabel: {label}\nOrigin: Debian\nSuite: oldstable\nComponent: {component}\n\
             Created-By: Packages\nFallback-Of: \nRelease: {release}\nRepo-URI: {site}/\nSite: {site}\n\
             Sourcesentry: {entry}\nTarget-Of: deb\n\n"
        )
    }

    fn lines(targets: &str) -> Vec<String> {
        from_targets(targets, "bookworm").expect("sources").iter().map(Source::line).collect()
    }

    #[test]
    fn deb822_sources_bring_updates_and_security() {
        let entry = "/etc/apt/sources.list.d/debian.sources:1";
        let targets = [
            stanza(
                "http://mirror.test/debian-security",
                "bookworm-security",
                "main",
                "Debian-Security",
                entry,
            ),
            stanza("http://mirror.test/debian", "bookworm-updates", "main", "Debian", entry),
            stanza("http://mirror.test/debian", "bookworm", "main", "Debian", entry),
            stanza("http://mirror.test/debian", "bookworm", "contrib", "Debian", entry),
            stanza("http://mirror.test/debian", "bookworm-backports", "main", "Debian Backports", entry),
            stanza("http://other.test/tool", "nodistro", "main", ". tool", entry),
        ]
        .concat();
        assert_eq!(
            lines(&targets),
            [
                "deb http://mirror.test/debian/ bookworm main",
                "deb http://mirror.test/debian/ bookworm-updates main",
                "deb http://mirror.test/debian-security/ bookworm-security main",
            ]
        );
    }

    #[test]
    fn one_line_sources_are_read_alike_and_repeats_count_once() {
        let one =
            stanza("http://mirror.test/debian", "bookworm", "main", "Debian", "/etc/apt/sources.list:1");
        let repeat =
            stanza("http://mirror.test/debian", "bookworm", "main", "Debian", "/etc/apt/sources.list:7");
        assert_eq!(lines(&(one + &repeat)), ["deb http://mirror.test/debian/ bookworm main"]);
    }

    #[test]
    fn a_machine_of_another_release_lends_its_mirror() {
        let targets = [
            stanza("cdrom:[disc]", "trixie", "main", "Debian", "/etc/apt/sources.list:1"),
            stanza("http://mirror.test/debian", "trixie", "main", "Debian", "/etc/apt/sources.list:2"),
        ]
        .concat();
        assert_eq!(lines(&targets), ["deb http://mirror.test/debian/ bookworm main"]);
    }

    #[test]
    fn without_a_mirror_the_error_names_the_suite_and_the_remedy() {
        for targets in ["", &stanza("http://other.test/tool", "nodistro", "main", ". tool", "x:1")] {
            let error = from_targets(targets, "bookworm").expect_err("no mirror").to_string();
            assert!(error.contains("`bookworm`") && error.contains("`apt-get update`"), "{error}");
        }
    }

    #[test]
    fn only_settings_of_the_transport_are_carried_over() {
        let dump = "Acquire::Languages::\tnone\nAcquire::http::Proxy\thttp://proxy.test:3128\n\
                    Acquire::Check-Date\tfalse\nAcquire::http::User-Agent\ta \"b\"\n";
        let expected = [("Acquire::http::Proxy", "http://proxy.test:3128"), ("Acquire::Check-Date", "false")];
        assert_eq!(transport(dump), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
