//! How a build tool comes into the cache folder: made under another name, asked for its version, and renamed. What a killed run
//! left is of that other name, and removed by the next.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow};

use super::{AUDITABLE, Tool, ZIG, ZIG_SHA256};
use crate::environment::{self, Surroundings};
use crate::failure::Failure;
use crate::packages;

/// The folder of zig in its package, and the package.
pub(super) const ZIG_PACKAGE: &str = "ziglang";

/// What names of variables begin with that say how pip reaches its index.
const PIP: &str = "PIP_";

/// Installs one tool.
pub(super) fn install(
    tool: Tool,
    folder: &Path,
    channel: &str,
    surroundings: &Surroundings,
    say: &dyn Fn(&str),
) -> Result<()> {
    let (place, new) = (folder.join(tool.folder()), folder.join(format!("{}.new", tool.folder())));
    let installed = || -> Result<()> {
        remove(&new)?;
        fs::create_dir_all(&new).with_context(|| format!("cannot create `{}`", new.display()))?;
        let call = Call { new: &new, channel, surroundings };
        if tool == ZIG {
            packages::require(packages::PIP, false, say)?;
            call.zig()?;
        } else {
            call.cargo(tool)?;
        }
        fs::rename(&new, &place).with_context(|| format!("cannot write `{}`", place.display()))
    };
    installed().map_err(|error| {
        // What is left of it is of no use; why it failed is what matters.
        let _ = remove(&new);
        // No room is no reason to build otherwise.
        if crate::failure::code_of(&error) == crate::failure::Code::NoSpace {
            return error;
        }
        Failure::unsupported(format!(
            "cannot install the build tool {tool}: {error:#}\nbring about what it lacks, or build for this machine's C library \
             with --native"
        ))
    })
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove `{}`", folder.display()))?;
    }
    Ok(())
}

/// The calls that make a tool in the folder `new`.
struct Call<'a> {
    new: &'a Path,
    channel: &'a str,
    surroundings: &'a Surroundings,
}

impl Call<'_> {
    /// Zig, from the package of its name for Python: what is in it is zig's own release, and its SHA-256 is known.
    fn zig(&self) -> Result<()> {
        let [venv, unpacked, list] = ["venv", "unpacked", "list"].map(|name| self.new.join(name));
        self.run(self.command("python3").args(["-m", "venv"]).arg(&venv))?;
        let wanted = format!("{ZIG_PACKAGE}=={} --hash=sha256:{ZIG_SHA256}\n", ZIG.version);
        fs::write(&list, wanted).with_context(|| format!("cannot write `{}`", list.display()))?;
        let mut pip = self.command(&venv.join("bin/python").to_string_lossy());
        pip.envs(std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with(PIP)));
        pip.args([
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--no-input",
            "install",
            "--quiet",
            "--no-user",
        ]);
        pip.args(["--no-deps", "--only-binary=:all:", "--require-hashes", "--no-compile", "--no-cache-dir"]);
        self.run(pip.arg("--target").arg(&unpacked).arg("--requirement").arg(&list))?;
        fs::rename(unpacked.join(ZIG_PACKAGE), self.new.join(ZIG_PACKAGE))
            .context("the package holds something else")?;
        for folder in [&venv, &unpacked] {
            remove(folder)?;
        }
        fs::remove_file(&list)?;
        let program = self.new.join(ZIG_PACKAGE).join("zig");
        let said = self.run(self.command(&program.to_string_lossy()).arg("version"))?;
        is_said(&said, ZIG.version)
    }

    /// A program that cargo knows.
    fn cargo(&self, tool: Tool) -> Result<()> {
        let built = self.new.join("build");
        let mut cargo = self.command("cargo");
        cargo.args(["install", "--quiet", "--locked", "--root"]).arg(self.new);
        cargo.env("CARGO_TARGET_DIR", &built).args(["--version", &format!("={}", tool.version), tool.name]);
        self.run(&mut cargo)?;
        remove(&built)?;
        let program = self.new.join("bin").join(tool.name);
        if tool == AUDITABLE {
            // It has no option that says its version; cargo knows what it installed.
            let said = self.run(self.command("cargo").args(["install", "--list", "--root"]).arg(self.new))?;
            is_said(&said, &format!("v{}:", tool.version))?;
            return fs::rename(&program, self.new.join("bin").join(tool.folder()))
                .with_context(|| format!("cargo made no `{}`", program.display()));
        }
        let said = self.run(self.command(&program.to_string_lossy()).arg("--version"))?;
        is_said(&said, tool.version)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        self.surroundings.restrict(&mut command);
        command.current_dir("/").env(environment::TOOLCHAIN, self.channel).stdin(Stdio::null());
        command
    }

    /// What a call says, if it succeeds.
    fn run(&self, command: &mut Command) -> Result<String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = command.output().with_context(|| format!("cannot run `{program}`"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        let words = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
        let lines: Vec<&str> = words.lines().collect();
        let last = lines[lines.len().saturating_sub(20)..].join("\n");
        Err(anyhow!("`{program}` failed\n{last}"))
    }
}

fn is_said(said: &str, version: &str) -> Result<()> {
    if said.split_whitespace().any(|word| word == version) {
        return Ok(());
    }
    Err(anyhow!("it says `{}`, which is not {version}", said.trim()))
}
