//! One call of cargo, apart from everything that lies around the checkout.
//!
//! Cargo starts in the root folder, so that it finds no configuration above the checkout; the checkout's own is named to
//! it. The toolchain is named too, so that rustup does not search for a toolchain file.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};
use cargo_metadata::{DependencyKind, Message, Metadata, MetadataCommand, Package, PackageId};
use xshell::{Shell, cmd};

use super::Did;
use crate::cache::Slot;
use crate::elf;
use crate::environment::Surroundings;
use crate::failure::Failure;
use crate::plan::{BUNDLE_TIME, Compile, Libc, TARGET};
use crate::progress::Progress;
use crate::supply::{Compiler, Linked};
use crate::tools::Tools;

/// Cargo, for one component.
pub struct Cargo<'a> {
    /// What is built.
    pub compile: &'a Compile,
    /// Where.
    pub slot: Slot,
    /// What builds it, where it is to run on machines with an older C library than this one's.
    pub tools: Option<&'a Tools>,
    /// What is around it.
    pub surroundings: &'a Surroundings,
    /// Where no connection may be opened: the command that fetches what is missing.
    pub offline: Option<&'a str>,
}

impl Cargo<'_> {
    /// Builds the programs into the slot's target folder.
    ///
    /// # Errors
    /// With cargo's own words.
    pub fn build(&self, progress: &Progress) -> Result<(Did, Linked)> {
        let (compile, target) = (self.compile, self.target());
        let metadata = self.metadata()?;
        let root = self.root(&metadata)?.id.clone();
        let crates = crates(&root, &metadata)?;
        let shell = Shell::new()?;
        let (package, profile, jobs) =
            (&compile.package, &compile.profile, self.surroundings.jobs.to_string());
        let bins = compile.bins.iter().flat_map(|bin| ["--bin", bin]);
        let features = compile.features.iter().flat_map(|feature| ["--features", feature]);
        let (program, verb, triple) = match self.tools.filter(|_| compile.libc == Libc::Portable) {
            Some(tools) => (tools.zigbuild(), "zigbuild", Tools::target()),
            None => ("cargo".into(), "build", TARGET.to_owned()),
        };
        let command = cmd!(
            shell,
            "{program} {verb} --locked --message-format=json-render-diagnostics --package {package} --profile {profile}
             --target {triple} --jobs {jobs} {bins...} {features...}"
        );
        let mut command = self.surround(Command::from(command), &self.manifest());
        if let Some(tools) = self.tools {
            tools.use_zig(&mut command);
            tools.list_crates(&mut command, self.offline.is_some(), &self.configuration())?;
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(no_cargo)?;
        let stdout = child.stdout.take().context("cargo has no output")?;
        let mut stderr = child.stderr.take().context("cargo has no output")?;
        let words = std::thread::spawn(move || {
            let mut words = String::new();
            let _ = stderr.read_to_string(&mut words);
            words
        });
        let mut linked = Linked { metadata, root, crates: BTreeMap::new() };
        let for_target = target.join(TARGET);
        let mut seen = BTreeSet::new();
        let (mut compiled, mut fresh) = (0, 0);
        let mut diagnostics = String::new();
        for message in Message::parse_stream(BufReader::new(stdout)) {
            match message.context("cannot read what cargo answers")? {
                Message::CompilerArtifact(artifact) => {
                    *(if artifact.fresh { &mut fresh } else { &mut compiled }) += 1;
                    if artifact.filenames.iter().any(|file| file.starts_with(&for_target)) {
                        let features = linked.crates.entry(artifact.package_id.clone()).or_default();
                        features.extend(artifact.features);
                    }
                    seen.insert(artifact.package_id);
                    progress.at(seen.len() as u64, crates.max(seen.len()) as u64, "crates");
                }
                Message::CompilerMessage(message) => {
                    diagnostics += &message.message.rendered.unwrap_or_default();
                }
                _ => (),
            }
        }
        let status = child.wait()?;
        let words = words.join().unwrap_or_default();
        if !status.success() {
            bail!("cargo failed for component `{}`\n{diagnostics}{}", compile.component, tail(&words, 60));
        }
        if compile.libc == Libc::Static {
            for bin in &compile.bins {
                let program = target.join(TARGET).join(&compile.profile).join(bin);
                if !elf::is_static(&program)? {
                    bail!("`{}` asks for a loader, but has to run where there is none", program.display());
                }
            }
        }
        Ok((Did::Compiled { compiled, fresh }, linked))
    }

    /// Brings every crate of the lock file that this machine's builds need into cargo's home, and rustup's toolchain with it.
    ///
    /// # Errors
    /// With cargo's own words.
    pub fn fetch(&self) -> Result<()> {
        let shell = Shell::new()?;
        let command = Command::from(cmd!(shell, "cargo fetch --locked --target {TARGET}"));
        let mut command = self.surround(command, &self.manifest());
        let output = command.stdin(Stdio::null()).output().map_err(no_cargo)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!(
                "cargo cannot fetch the crates of component `{}`\n{}",
                self.compile.component,
                tail(&said, 60)
            );
        }
        Ok(())
    }

    fn manifest(&self) -> PathBuf {
        self.slot.checkout.join("Cargo.toml")
    }

    /// The graph that is built from, as cargo sees it with the features that are asked for.
    fn metadata(&self) -> Result<Metadata> {
        if self.compile.features.is_empty() {
            return self.ask(&["--filter-platform", TARGET], &self.manifest());
        }
        // Features are those of the package whose manifest is named.
        let members = self.ask(&["--no-deps"], &self.manifest())?;
        let features = self.compile.features.join(",");
        let own = self.root(&members)?.manifest_path.as_std_path();
        self.ask(&["--filter-platform", TARGET, "--features", &features], own)
    }

    fn ask(&self, arguments: &[&str], manifest: &Path) -> Result<Metadata> {
        let shell = Shell::new()?;
        let command = cmd!(shell, "cargo metadata --format-version 1 --locked {arguments...}");
        let mut command = self.surround(Command::from(command), manifest);
        let output = command.stdin(Stdio::null()).output().map_err(no_cargo)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let (component, said) = (&self.compile.component, tail(&said, 60));
            return Err(match self.offline {
                None => anyhow!("cargo cannot read component `{component}`\n{said}"),
                Some(fetch) => Failure::unsupported(format!(
                    "offline, and cargo cannot read component `{component}`\n{said}\n\
                     if it misses a crate or a toolchain; run {fetch} where there is a network"
                )),
            });
        }
        Ok(MetadataCommand::parse(std::str::from_utf8(&output.stdout)?)?)
    }

    /// The package whose programs are built.
    fn root<'a>(&self, metadata: &'a Metadata) -> Result<&'a Package> {
        let compile = self.compile;
        let members = metadata.workspace_packages();
        members.iter().find(|package| package.name.as_str() == compile.package).copied().with_context(|| {
            let names: Vec<&str> = members.iter().map(|package| package.name.as_str()).collect();
            let remedy = crate::suggest::remedy(&compile.package, names);
            format!("component `{}` has no package `{}`{remedy}", compile.component, compile.package)
        })
    }

    /// What cargo makes of the checkout: for this machine, or for others.
    fn target(&self) -> &Path {
        if self.tools.is_some() { &self.slot.portable } else { &self.slot.target }
    }

    /// The checkout's own configuration of cargo.
    fn configuration(&self) -> Vec<String> {
        let own = [".cargo/config.toml", ".cargo/config"].map(|name| self.slot.checkout.join(name));
        own.into_iter().find(|path| path.exists()).iter().map(|path| path.display().to_string()).collect()
    }

    /// Everything about a call of cargo that is the same for all of them.
    fn surround(&self, mut command: Command, manifest: &Path) -> Command {
        let (compile, slot) = (self.compile, &self.slot);
        self.surroundings.restrict(&mut command);
        command.current_dir("/").arg("--manifest-path").arg(manifest);
        for own in self.configuration() {
            command.arg("--config").arg(own);
        }
        if self.offline.is_some() {
            // Rustup, which cargo is called through, would fetch a toolchain.
            command.arg("--offline").env("RUSTUP_AUTO_INSTALL", "0");
        }
        // What is compiled for the target is known by where it lies, whatever the checkout's configuration says. The last one
        // counts.
        let target = toml::Value::String(self.target().display().to_string());
        command.arg("--config").arg(format!("build.build-dir={target}"));
        command.env("RUSTUP_TOOLCHAIN", &compile.channel).env("CARGO_TARGET_DIR", self.target());
        let names = names(slot, self.target());
        command.env("CARGO_ENCODED_RUSTFLAGS", rustflags(compile, &names).join("\x1f"));
        let flags = c_flags(&names);
        command.env("CFLAGS", &flags).env("CXXFLAGS", flags).env("CC_SHELL_ESCAPED_FLAGS", "1");
        // What is compiled for one commit serves others too, so that it has to be the same time for all.
        command.env("SOURCE_DATE_EPOCH", BUNDLE_TIME.to_string());
        command
            .env("CAIRN_STAMP_REF", &compile.stamp.reference)
            .env("CAIRN_STAMP_COMMIT", &compile.stamp.commit);
        command.env("CAIRN_STAMP_DIRTY", compile.stamp.dirty.to_string());
        command
    }
}

/// How many packages stand under the one that is built: what cargo does not say beforehand.
fn crates(root: &PackageId, metadata: &Metadata) -> Result<usize> {
    let resolve = metadata.resolve.as_ref().context("cargo resolved nothing")?;
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let (mut seen, mut open) = (BTreeSet::from([root]), vec![root]);
    while let Some(id) = open.pop() {
        for dependency in nodes.get(id).map_or(&[][..], |node| &node.deps) {
            let built = dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development);
            if built && seen.insert(&dependency.pkg) {
                open.push(&dependency.pkg);
            }
        }
    }
    Ok(seen.len())
}

/// Paths of this machine, and the names that they become, so that they are not part of a program. The last that fits counts.
fn names(slot: &Slot, target: &Path) -> Vec<(String, &'static str)> {
    let home = std::env::var("HOME").unwrap_or_default();
    let of = |variable: &str, default: &str| {
        std::env::var(variable).unwrap_or_else(|_| format!("{home}/{default}"))
    };
    vec![
        (of("CARGO_HOME", ".cargo"), "/cargo"),
        (of("RUSTUP_HOME", ".rustup"), "/rustup"),
        (target.display().to_string(), "/target"),
        (slot.checkout.display().to_string(), "/source"),
    ]
}

fn rustflags(compile: &Compile, names: &[(String, &str)]) -> Vec<String> {
    let mut flags: Vec<String> =
        names.iter().map(|(path, name)| format!("--remap-path-prefix={path}={name}")).collect();
    if compile.libc == Libc::Static {
        flags.extend(["-C".to_owned(), "target-feature=+crt-static".to_owned()]);
    }
    flags
}

/// The same for C, in one line that is read as a shell would.
fn c_flags(names: &[(String, &str)]) -> String {
    let flag =
        |(path, name): &(String, &str)| format!("'-ffile-prefix-map={}={name}'", path.replace('\'', "'\\''"));
    names.iter().map(flag).collect::<Vec<_>>().join(" ")
}

/// What the rustc and cargo of a toolchain say of themselves.
///
/// # Errors
/// If they cannot be run.
pub fn compiler(channel: &str, surroundings: &Surroundings) -> Result<Compiler> {
    let ask = |program: &str, arguments: &[&str]| -> Result<String> {
        let mut command = Command::new(program);
        surroundings.restrict(&mut command);
        command.current_dir("/").env("RUSTUP_TOOLCHAIN", channel).args(arguments).stdin(Stdio::null());
        let output = command.output().map_err(no_cargo)?;
        if !output.status.success() {
            bail!(
                "cannot run `{program}` of toolchain {channel}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let rustc = ask("rustc", &["--version", "--verbose"])?;
    let line = |key: &str| rustc.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    Ok(Compiler {
        channel: channel.to_owned(),
        commit: line("commit-hash:").filter(|commit| commit.len() == 40).map(str::to_owned),
        release: line("release:").unwrap_or_default().to_owned(),
        folder: ask("rustc", &["--print", "sysroot"])?.into(),
        rustc: rustc.lines().next().unwrap_or_default().to_owned(),
        cargo: ask("cargo", &["--version"])?,
    })
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn no_cargo(error: std::io::Error) -> anyhow::Error {
    Failure::unsupported(format!("cannot run `cargo` ({error}); install rustup"))
}

/// The last lines of a text.
fn tail(text: &str, lines: usize) -> String {
    let skip = text.lines().count().saturating_sub(lines);
    text.lines().skip(skip).collect::<Vec<_>>().join("\n")
}
