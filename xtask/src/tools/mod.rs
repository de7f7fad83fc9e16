//! The build tools of portable programs: zig, which compiles and links C for an older C library, cargo-zigbuild, which has cargo
//! use it, and cargo-auditable, which puts the list of crates into a program.
//!
//! They are pinned here and live in the cache folder. `install` brings them through this machine's own pip and cargo, which know
//! where from. How cargo is called with them stands here too; what is built with them does not.

mod install;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::json;

use crate::cache::{Cache, used};
use crate::environment::Surroundings;
use crate::failure::Failure;
use crate::plan::{GLIBC_FLOOR, TARGET};
use crate::progress::Progress;

/// A tool at the one version that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it costs to have, in words.
    #[serde(skip)]
    price: &'static str,
}

/// The C compiler and linker, with the symbols of every glibc.
const ZIG: Tool = Tool { name: "zig", version: "0.17.1", price: "downloads 101 MB, keeps 410 MB" };

/// SHA-256 of the package that pip knows it by, for this machine.
const ZIG_SHA256: &str = "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54";

/// Cargo with that compiler.
const ZIGBUILD: Tool =
    Tool { name: "cargo-zigbuild", version: "0.24.1", price: "compiles for about two minutes, keeps 5 MB" };

/// The list of crates in a program.
const AUDITABLE: Tool =
    Tool { name: "cargo-auditable", version: "0.7.7", price: "compiles for about a minute, keeps 2 MB" };

/// All of them.
pub const PINNED: [Tool; 3] = [ZIG, ZIGBUILD, AUDITABLE];

impl Tool {
    /// Where it lies below the folder of tools, whole.
    fn folder(self) -> String {
        format!("{}-{}", self.name, self.version)
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// The tools, ready.
#[derive(Clone, Debug)]
pub struct Tools {
    folder: PathBuf,
    /// What they write that a later build may take.
    scratch: PathBuf,
}

impl Tools {
    /// Those in the cache folder. What is not there is announced and installed, and `true` comes back if nothing was. `offline` is
    /// the command that does so, where no connection may be opened; `channel` the toolchain that compiles them.
    ///
    /// # Errors
    /// If they cannot be had.
    pub fn ready(
        cache: &Cache,
        channel: &str,
        surroundings: &Surroundings,
        offline: Option<&str>,
        progress: &Progress,
    ) -> Result<(Self, bool)> {
        let folder = cache.tools();
        let is_missing = |tool: &&Tool| !used(folder.join(tool.folder())).is_dir();
        let missing: Vec<&Tool> = PINNED.iter().filter(is_missing).collect();
        let tools = Self { scratch: cache.zig(), folder };
        if missing.is_empty() {
            return Ok((tools, true));
        }
        if let Some(fetch) = offline {
            let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
            return Err(Failure::unsupported(format!(
                "offline, and the cache has no {}; run {fetch} where there is a network, or build for this machine's C library \
                 with --native",
                names.join(", ")
            )));
        }
        for tool in &missing {
            let folder = tools.folder.display();
            progress.say(&format!("installing the build tool {tool} into `{folder}`: {}", tool.price));
        }
        for tool in missing {
            install::install(*tool, &tools.folder, channel, surroundings, &|line| progress.say(line))?;
        }
        Ok((tools, false))
    }

    /// Gives another cache folder the same tools, without copying them.
    ///
    /// # Errors
    /// If a file cannot be linked.
    pub fn bring(from: &Cache, to: &Cache) -> Result<()> {
        for tool in PINNED {
            let (from, to) = (from.tools().join(tool.folder()), to.tools().join(tool.folder()));
            link(&from, &to).with_context(|| format!("cannot link `{}`", from.display()))?;
        }
        Ok(())
    }

    /// Cargo that compiles and links for the older C library.
    pub fn zigbuild(&self) -> PathBuf {
        self.folder.join(ZIGBUILD.folder()).join("bin").join(ZIGBUILD.name)
    }

    /// What [`Tools::zigbuild`] calls the target.
    pub fn target() -> String {
        format!("{TARGET}.{GLIBC_FLOOR}")
    }

    /// Has a call of cargo put the list of crates into programs. `configuration` is what cargo is told by `--config`.
    ///
    /// The wrapper goes by a name without a folder: cargo makes its name, as it is given, part of what symbols are called, and so of
    /// the bytes. With the version in it nothing else on the path is called so.
    pub fn list_crates(&self, command: &mut Command, offline: bool, configuration: &[String]) -> Result<()> {
        let wrapper = AUDITABLE.folder();
        let mut path = OsString::from(self.folder.join(&wrapper).join("bin"));
        if let Some(own) = std::env::var_os("PATH") {
            path.push(":");
            path.push(own);
        }
        // What the wrapper, when cargo calls it, wants to know of the call of cargo.
        let call = json!({"offline": offline, "locked": true, "frozen": false, "config": configuration});
        command.env("PATH", path).env("RUSTC_WORKSPACE_WRAPPER", wrapper);
        command.env("CARGO_AUDITABLE_ORIG_ARGS", serde_json::to_string(&call)?);
        Ok(())
    }

    /// Tells [`Tools::zigbuild`] where its compiler is and where the two keep what they make.
    pub fn use_zig(&self, command: &mut Command) {
        command.env("CARGO_ZIGBUILD_ZIG_PATH", self.zig_folder().join("zig"));
        for (variable, name) in [
            ("CARGO_ZIGBUILD_CACHE_DIR", "wrappers"),
            ("ZIG_GLOBAL_CACHE_DIR", "global"),
            ("ZIG_LOCAL_CACHE_DIR", "local"),
        ] {
            command.env(variable, self.scratch.join(name));
        }
    }

    /// What zig links into a program that needs the host's C library, as name, version, licence and the files with its text.
    pub fn linked(&self) -> [(&'static str, &'static str, &'static str, PathBuf); 3] {
        let lib = self.zig_folder().join("lib");
        [
            ("zig-compiler-rt", ZIG.version, "MIT", self.zig_folder().join("LICENSE")),
            ("zig-glibc-start", ZIG.version, "LGPL-2.1-or-later", lib.join("libc/glibc/LICENSES")),
            (
                "zig-libunwind",
                ZIG.version,
                "Apache-2.0 WITH LLVM-exception",
                lib.join("libunwind/LICENSE.TXT"),
            ),
        ]
    }

    fn zig_folder(&self) -> PathBuf {
        self.folder.join(ZIG.folder()).join(install::ZIG_PACKAGE)
    }
}

fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.symlink_metadata()?.is_dir() {
        return std::fs::hard_link(from, to);
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        link(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
