//! A world of its own for the package client: its own sources, lists and settings, and a host on which nothing is installed.
//! The machine's configuration tells where packages come from and whose signatures are good; the client checks them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use xtask_testbed::aptconf;

use super::lock::Package;
use crate::environment;
use crate::failure::Failure;

/// Keys that sign Debian, where a machine keeps them for those who name them.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What of a mirror is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// Packages that can be installed.
    Binary,
    /// Their sources as well.
    Source,
}

/// The world, in a folder.
#[derive(Debug)]
pub struct World {
    folder: PathBuf,
}

impl World {
    /// Makes the world in `folder`, or finds it there with the lists that it has: of `suite`, for hosts of `architecture`.
    ///
    /// # Errors
    /// Exit code 3 if the machine's package client knows no mirror of the suite.
    pub fn open(folder: &Path, suite: &str, architecture: &str, lists: Lists) -> Result<Self> {
        let sources = aptconf::sources(suite).map_err(|error| Failure::unsupported(format!("{error:#}")))?;
        let lines = sources.iter().map(|source| match lists {
            Lists::Binary => source.line() + "\n",
            Lists::Source => format!("{}\n{}\n", source.line(), source.source_line()),
        });
        let world = Self { folder: folder.to_owned() };
        let files = [
            ("etc/sources.list", lines.collect()),
            ("status", String::new()),
            ("apt.conf", world.settings(architecture)?),
        ];
        for name in
            ["etc/apt.conf.d", "etc/preferences.d", "etc/sources.list.d", "lists/partial", "archives/partial"]
        {
            let path = folder.join(name);
            fs::create_dir_all(&path).with_context(|| format!("cannot create `{}`", path.display()))?;
        }
        for (name, text) in files {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        world.trust()?;
        Ok(world)
    }

    fn settings(&self, architecture: &str) -> Result<String> {
        let folder = crate::all_in_one::text(&self.folder)?;
        if folder.contains(['"', '\\', ';']) {
            return Err(Failure::usage(format!(
                "`{folder}` holds what apt's settings cannot; name another cache folder"
            )));
        }
        let mut settings = format!(
            "Dir::Etc \"{folder}/etc/\";\nDir::Etc::trusted \"/dev/null\";\nDir::Etc::trustedparts \"{folder}/trusted/\";\n\
             Dir::State \"{folder}/\";\nDir::State::lists \"{folder}/lists/\";\nDir::State::status \"{folder}/status\";\n\
             Dir::Cache \"{folder}/\";\nDir::Cache::archives \"{folder}/archives/\";\nDir::Cache::srcpkgcache \"\";\nDebug::NoLocking \"true\";\n\
             APT::Architecture \"{architecture}\";\nAPT::Architectures {{ \"{architecture}\"; }};\n\
             APT::Install-Recommends \"false\";\nAPT::Install-Suggests \"false\";\nAPT::Sandbox::User \"root\";\n\
             APT::Get::AllowUnauthenticated \"false\";\nAPT::Update::Error-Mode \"any\";\n\
             Acquire::Languages \"none\";\nAcquire::ForceHash \"SHA256\";\n"
        );
        for (name, value) in aptconf::transport_options()? {
            settings.push_str(&format!("{name} \"{value}\";\n"));
        }
        Ok(settings)
    }

    /// Lends the world the keys that the machine trusts for its own packages.
    fn trust(&self) -> Result<()> {
        let folder = self.folder.join("trusted");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove `{}`", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        let output = Command::new("apt-config").args(["shell", "PARTS", "Dir::Etc::trustedparts/d"]).output();
        let output = output.context("cannot run `apt-config`")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let parts = said.trim().strip_prefix("PARTS='").and_then(|rest| rest.strip_suffix('\''));
        let entries = parts.map(fs::read_dir).into_iter().flatten().flatten().flatten();
        let mut keys: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        keys.push(KEYRING.into());
        let is_key = |path: &&PathBuf| path.extension().is_some_and(|end| end == "gpg" || end == "asc");
        for key in keys.iter().filter(|key| key.is_file()).filter(is_key) {
            let to = folder.join(key.file_name().unwrap_or_default());
            fs::copy(key, &to).with_context(|| format!("cannot copy `{}`", key.display()))?;
        }
        Ok(())
    }

    /// Brings the lists up to date, and checks who signed them.
    ///
    /// # Errors
    /// If one cannot be had, or is not signed by whom the machine trusts.
    pub fn update(&self) -> Result<()> {
        self.run("apt-get", &["--quiet", "update"], &self.folder).map(drop)
    }

    /// Everything that installing `names` takes on a host that has nothing, by the lists that are there.
    ///
    /// # Errors
    /// If there is no such package, or they cannot be together.
    pub fn closure(&self, names: &[&str]) -> Result<Vec<Package>> {
        let words = [&["--quiet", "--yes", "--print-uris", "install"], names].concat();
        let said = self.run("apt-get", &words, &self.folder)?;
        let lines = said.lines().filter(|line| line.starts_with('\''));
        lines
            .map(|line| {
                package(line).with_context(|| format!("apt-get says `{line}`, which names no package"))
            })
            .collect()
    }

    /// Which versions of these packages the lists have, newest first.
    ///
    /// # Errors
    /// If the package client cannot be asked.
    pub fn versions(&self, names: &[&str]) -> Result<BTreeMap<String, Vec<String>>> {
        let said = self.run("apt-cache", &[&["madison"], names].concat(), &self.folder)?;
        Ok(versions(&said))
    }

    /// Puts the files of packages into `folder`, under names of the client's choice. It checks their digests.
    ///
    /// # Errors
    /// If one cannot be had.
    pub fn download(&self, packages: &[&Package], folder: &Path) -> Result<()> {
        let exact: Vec<String> = packages.iter().map(|p| format!("{}={}", p.name, p.version)).collect();
        let exact: Vec<&str> = exact.iter().map(String::as_str).collect();
        self.run("apt-get", &[&["--quiet", "download"], &exact[..]].concat(), folder).map(drop)
    }

    /// Puts the files of source packages, each a name and a version, into `folder`.
    ///
    /// # Errors
    /// If one cannot be had.
    pub fn download_sources(&self, sources: &[(String, String)], folder: &Path) -> Result<()> {
        let exact: Vec<String> = sources.iter().map(|(name, version)| format!("{name}={version}")).collect();
        let exact: Vec<&str> = exact.iter().map(String::as_str).collect();
        let words = ["--quiet", "--download-only", "--only-source", "source"];
        self.run("apt-get", &[&words, &exact[..]].concat(), folder).map(drop)
    }

    fn run(&self, program: &str, words: &[&str], folder: &Path) -> Result<String> {
        let mut command = Command::new(program);
        environment::restrict(&mut command);
        command.env("APT_CONFIG", self.folder.join("apt.conf")).current_dir(folder).args(words);
        let output = command.stdin(Stdio::null()).output().map_err(|error| {
            let sentence =
                format!("cannot run `{program}` ({error}); carry packages of Debian on a Debian machine");
            Failure::unsupported(sentence)
        })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let faults: Vec<&str> =
                said.lines().filter(|line| line.starts_with("E: ") || line.starts_with("W: ")).collect();
            let said = if faults.is_empty() { said.trim().to_owned() } else { faults.join("\n") };
            bail!(
                "`{program} {}` failed: {said}",
                words.iter().take(4).copied().collect::<Vec<_>>().join(" ")
            );
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{program}` says what is no text"))
    }
}

/// `'URI' name_version_architecture.deb SIZE SHA256:DIGITS`, with `%3a` for what a file's name cannot hold.
fn package(line: &str) -> Option<Package> {
    let (_, rest) = line.strip_prefix('\'')?.split_once("' ")?;
    let mut words = rest.split(' ');
    let file = words.next()?.strip_suffix(".deb")?;
    let size = words.next()?.parse().ok()?;
    let sha256 = words.next()?.strip_prefix("SHA256:")?.to_owned();
    let mut parts = file.split('_').map(plain);
    let [name, version, architecture] = [parts.next()??, parts.next()??, parts.next()??];
    (sha256.len() == 64 && parts.next().is_none()).then_some(Package {
        name,
        version,
        architecture,
        sha256,
        size,
    })
}

/// Takes the percent signs out of a word.
fn plain(word: &str) -> Option<String> {
    let mut parts = word.split('%');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let byte = u8::from_str_radix(part.get(..2)?, 16).ok().filter(u8::is_ascii)?;
        text.push(byte.into());
        text.push_str(&part[2..]);
    }
    Some(text)
}

/// Lines `name | version | where`, newest first.
fn versions(said: &str) -> BTreeMap<String, Vec<String>> {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in said.lines() {
        let mut words = line.split('|').map(str::trim);
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            let known = versions.entry(name.to_owned()).or_default();
            if !known.iter().any(|other| other == version) {
                known.push(version.to_owned());
            }
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_prints_is_read() {
        let digest = "a".repeat(64);
        let line = format!(
            "'http://mirror.test/pool/z/zlib/zlib1g_1.2%2bx_amd64.deb' zlib1g_1%3a1.2+x-4~b_amd64.deb 86684 SHA256:{digest}"
        );
        let expected = Package {
            name: "zlib1g".into(),
            version: "1:1.2+x-4~b".into(),
            architecture: "amd64".into(),
            sha256: digest,
            size: 86684,
        };
        assert_eq!(package(&line), Some(expected));
        for bad in
            [line.replace("SHA256", "MD5Sum"), line.replace("%3a", "%zz"), line.replace("_amd64.deb 8", "")]
        {
            assert_eq!(package(&bad), None, "{bad}");
        }
        let said = "  a | 2 | http://mirror.test x\n  a | 2 | http://other.test x\na | 1:1 | y\n b | 3 | z\n";
        let found = versions(said);
        assert_eq!(
            (&found["a"][..], &found["b"][..]),
            (&["2".to_owned(), "1:1".into()][..], &["3".to_owned()][..])
        );
    }
}
