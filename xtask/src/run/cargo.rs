//! One call of cargo, apart from everything that lies around the checkout.
//!
//! Cargo starts in the root folder, so that it finds no configuration above the checkout; the checkout's own is named to
//! it. The toolchain is named too, so that rustup does not search for a toolchain file.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Read as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};
use cargo_metadata::{DependencyKind, Message, MetadataCommand, PackageId};
use xshell::{Shell, cmd};

use super::Did;
use crate::cache::Slot;
use crate::elf;
use crate::environment::Surroundings;
use crate::failure::Failure;
use crate::plan::{Compile, TARGET};
use crate::progress::Progress;

/// Cargo, for one component.
pub struct Cargo<'a> {
    /// What is built.
    pub compile: &'a Compile,
    /// Where.
    pub slot: Slot,
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
    pub fn build(&self, progress: &Progress) -> Result<Did> {
        let (compile, slot) = (self.compile, &self.slot);
        let crates = self.crates()?;
        let shell = Shell::new()?;
        let (package, profile, jobs) =
            (&compile.package, &compile.profile, self.surroundings.jobs.to_string());
        let bins = compile.bins.iter().flat_map(|bin| ["--bin", bin]);
        let features = compile.features.iter().flat_map(|feature| ["--features", feature]);
        let command = cmd!(
            shell,
            "cargo build --locked --message-format=json-render-diagnostics --package {package} --profile {profile}
             --target {TARGET} --jobs {jobs} {bins...} {features...}"
        );
        let mut command = self.surround(Command::from(command));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(no_cargo)?;
        let stdout = child.stdout.take().context("cargo has no output")?;
        let mut stderr = child.stderr.take().context("cargo has no output")?;
        let words = std::thread::spawn(move || {
            let mut words = String::new();
            let _ = stderr.read_to_string(&mut words);
            words
        });
        let mut seen = BTreeSet::new();
        let (mut compiled, mut fresh) = (0, 0);
        let mut diagnostics = String::new();
        for message in Message::parse_stream(BufReader::new(stdout)) {
            match message.context("cannot read what cargo answers")? {
                Message::CompilerArtifact(artifact) => {
                    *(if artifact.fresh { &mut fresh } else { &mut compiled }) += 1;
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
        if compile.static_libc {
            for bin in &compile.bins {
                let program = slot.target.join(TARGET).join(&compile.profile).join(bin);
                if !elf::is_static(&program)? {
                    bail!("`{}` asks for a loader, but has to run where there is none", program.display());
                }
            }
        }
        Ok(Did::Compiled { compiled, fresh })
    }

    /// Brings every crate of the lock file that this machine's builds need into cargo's home, and rustup's toolchain with it.
    ///
    /// # Errors
    /// With cargo's own words.
    pub fn fetch(&self) -> Result<()> {
        let shell = Shell::new()?;
        let mut command = self.surround(Command::from(cmd!(shell, "cargo fetch --locked --target {TARGET}")));
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

    /// How many packages stand under the one that is built: what cargo does not say beforehand.
    fn crates(&self) -> Result<usize> {
        let compile = self.compile;
        let shell = Shell::new()?;
        let command = cmd!(shell, "cargo metadata --format-version 1 --locked --filter-platform {TARGET}");
        let mut command = self.surround(Command::from(command));
        let output = command.stdin(Stdio::null()).output().map_err(no_cargo)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let (component, said) = (&compile.component, tail(&said, 60));
            return Err(match self.offline {
                None => anyhow!("cargo cannot read component `{component}`\n{said}"),
                Some(fetch) => Failure::unsupported(format!(
                    "offline, and cargo cannot read component `{component}`\n{said}\n\
                 if it misses a crate or a toolchain; run {fetch} where there is a network"
                )),
            });
        }
        let metadata = MetadataCommand::parse(std::str::from_utf8(&output.stdout)?)?;
        let resolve = metadata.resolve.as_ref().context("cargo resolved nothing")?;
        let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
        let members = metadata.workspace_packages();
        let Some(root) = members.iter().find(|package| package.name.as_str() == compile.package) else {
            let names: Vec<&str> = members.iter().map(|package| package.name.as_str()).collect();
            let remedy = crate::suggest::remedy(&compile.package, names);
            bail!("component `{}` has no package `{}`{remedy}", compile.component, compile.package);
        };
        let (mut seen, mut open) = (BTreeSet::from([&root.id]), vec![&root.id]);
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

    /// Everything about a call of cargo that is the same for all of them.
    fn surround(&self, mut command: Command) -> Command {
        let (compile, slot) = (self.compile, &self.slot);
        self.surroundings.restrict(&mut command);
        command.current_dir("/").arg("--manifest-path").arg(slot.checkout.join("Cargo.toml"));
        for own in [".cargo/config.toml", ".cargo/config"] {
            if slot.checkout.join(own).exists() {
                command.arg("--config").arg(slot.checkout.join(own));
                break;
            }
        }
        if self.offline.is_some() {
            // Rustup, which cargo is called through, would fetch a toolchain.
            command.arg("--offline").env("RUSTUP_AUTO_INSTALL", "0");
        }
        command.env("RUSTUP_TOOLCHAIN", &compile.channel).env("CARGO_TARGET_DIR", &slot.target);
        command.env("CARGO_ENCODED_RUSTFLAGS", rustflags(compile, slot).join("\x1f"));
        command
            .env("CAIRN_STAMP_REF", &compile.stamp.reference)
            .env("CAIRN_STAMP_COMMIT", &compile.stamp.commit);
        command.env("CAIRN_STAMP_DIRTY", compile.stamp.dirty.to_string());
        command
    }
}

/// Paths of this machine become names, so that they are not part of a program.
fn rustflags(compile: &Compile, slot: &Slot) -> Vec<String> {
    let mut flags = vec![format!("--remap-path-prefix={}=/source", slot.checkout.display())];
    let home = std::env::var("HOME").unwrap_or_default();
    for (variable, default, name) in
        [("CARGO_HOME", ".cargo", "/cargo"), ("RUSTUP_HOME", ".rustup", "/rustup")]
    {
        let folder = std::env::var(variable).unwrap_or_else(|_| format!("{home}/{default}"));
        flags.push(format!("--remap-path-prefix={folder}={name}"));
    }
    if compile.static_libc {
        flags.extend(["-C".to_owned(), "target-feature=+crt-static".to_owned()]);
    }
    flags
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
