//! How the roots are built: the bare ones by mmdebstrap, what stands on one by apt in a clone. Where the result goes
//! is not decided here.

use crate::clones::{CloneOptions, RootClone, Upper};
use crate::invocation::Invocation;
use crate::mount::{Bind, Mount};
use crate::process::{self, Input};
use crate::recipe::{BUSYBOX, BUSYBOX_PACKAGE, Recipe, SUITE};
use crate::room::{Network, Room};
use crate::root::Root;
use crate::{aptconf, cgroup, needs, overlay};
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const LAYER: &str = include_str!("scripts/layer.sh");

/// Where apt's settings lie while a layer is built.
const SETTINGS: &str = "/run/testbed-apt.conf";

/// A bare host.
pub(crate) fn host(tree: &Path, work: &Path) -> Result<()> {
    debian(tree, SUITE, Recipe::Host.packages())?;
    add_busybox(tree, work)
}

/// The least of Debian and these packages, by mmdebstrap.
pub(crate) fn debian(tree: &Path, suite: &str, packages: &[&str]) -> Result<()> {
    // mmdebstrap mounts things; in a namespace of its own they go with it, however it ends.
    let mut command = cgroup::command(&[], "setpriv");
    command.envs(proxies()).args(["--pdeathsig", "KILL", "unshare", "--mount", "--propagation=private"]);
    command.args(["--pid", "--mount-proc", "--fork", "--kill-child", "mmdebstrap", "--mode=root"]);
    command.args(["--variant=minbase", "--format=directory", "--dpkgopt=force-unsafe-io"]);
    command.arg(format!("--include={}", packages.join(",")));
    for (name, value) in aptconf::transport_options()? {
        command.arg(format!("--aptopt={name} \"{value}\""));
    }
    command.arg(suite).arg(tree).arg("-");
    let sources: String = aptconf::sources(suite)?.iter().map(|source| source.line() + "\n").collect();
    let sources = sources.into_bytes();
    check("mmdebstrap", &process::finish(command, Input::Bytes(sources), needs::APT_LIMIT)?)?;
    make_neutral(tree)
}

/// Takes out what mmdebstrap has for its own use and what it copied from this machine.
fn make_neutral(tree: &Path) -> Result<()> {
    for path in ["etc/apt/apt.conf.d/99mmdebstrap", "etc/dpkg/dpkg.cfg.d/99mmdebstrap", "etc/resolv.conf"] {
        remove_if_there(&tree.join(path))?;
    }
    let files =
        [("etc/hostname", "host\n"), ("etc/hosts", "127.0.0.1 localhost\n127.0.1.1 host\n::1 localhost\n")];
    for (path, content) in files {
        let path = tree.join(path);
        fs::write(&path, content)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o644)))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

/// Puts a static busybox where tests of shell scripts find it, without dpkg or PATH in the root knowing.
fn add_busybox(tree: &Path, work: &Path) -> Result<()> {
    let downloads = work.join("downloads");
    let unpacked = downloads.join("unpacked");
    fs::create_dir_all(&unpacked).with_context(|| format!("cannot create `{}`", unpacked.display()))?;
    let download = || {
        let mut command = process::plain("apt-get");
        // As root: apt's own user cannot write here.
        command.envs(proxies()).args(["--option", "APT::Sandbox::User=root", "download", BUSYBOX_PACKAGE]);
        command.current_dir(&downloads);
        check("apt-get download", &process::finish(command, Input::Nothing, needs::APT_LIMIT)?)
    };
    // This machine's lists may be older than what the mirror still has.
    download().or_else(|_| needs::update().and_then(|()| download()))?;
    let package = fs::read_dir(&downloads)
        .with_context(|| format!("cannot list `{}`", downloads.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("`apt-get download {BUSYBOX_PACKAGE}` brought no package"))?;
    let mut command = process::plain("dpkg-deb");
    command.arg("--extract").arg(package).arg(&unpacked);
    check("dpkg-deb --extract", &process::finish(command, Input::Nothing, needs::APT_LIMIT)?)?;
    let place = tree.join(BUSYBOX);
    let found = ["bin/busybox", "usr/bin/busybox"].map(|path| unpacked.join(path));
    let found = found.iter().find(|path| path.is_file());
    let found = found.with_context(|| format!("`{BUSYBOX_PACKAGE}` has no busybox"))?;
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)
            .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("cannot create `{}`", folder.display()))?;
    }
    fs::copy(found, &place).with_context(|| format!("cannot create `{}`", place.display()))?;
    fs::remove_dir_all(&downloads).with_context(|| format!("cannot remove `{}`", downloads.display()))
}

/// A clone of `base` with these packages.
pub(crate) fn layer(base: &Root, packages: &[&str]) -> Result<RootClone> {
    if !overlay::can_carry(&base.clones())? {
        bail!(
            "`{}` is on an overlay, which cannot carry another; choose a cache folder on an ordinary disk",
            base.clones().display()
        );
    }
    let clone = RootClone::new(base, CloneOptions { upper: Upper::Disk })?;
    run_with_network(&clone, Invocation::sh(LAYER).args(packages.iter().copied()))?;
    Ok(clone)
}

/// Runs a command in the clone, with this machine's network and its apt's way to the mirror.
pub(crate) fn run_with_network(clone: &RootClone, command: Invocation) -> Result<()> {
    let lent = ["/etc/resolv.conf", "/etc/hosts"].into_iter().filter(|path| Path::new(path).exists());
    let mounts: Vec<Mount> = lent.map(|path| Bind::read_only(path, path).into()).collect();
    let room = Room::open(clone, Network::Machine, &mounts)?;
    let mut settings = "DPkg::Options:: \"--force-unsafe-io\";\n".to_owned();
    for (name, value) in aptconf::transport_options()? {
        settings.push_str(&format!("{name} \"{value}\";\n"));
    }
    clone.write(SETTINGS, 0o644, settings)?;
    let mut command = command.limit(needs::APT_LIMIT);
    command = command.env("DEBIAN_FRONTEND", "noninteractive").env("APT_CONFIG", SETTINGS);
    for (name, value) in proxies() {
        command = command.env(name, value);
    }
    room.run(command)?.checked()?;
    drop(room);
    // resolv.conf: the place where this machine's was mounted.
    for path in ["etc/resolv.conf", SETTINGS.trim_start_matches('/')] {
        remove_if_there(&clone.path().join(path))?;
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done.with_context(|| format!("cannot remove `{}`", path.display())),
    }
}

/// This machine's proxies, which the plain environment of a command lacks.
fn proxies() -> Vec<(&'static str, String)> {
    let names = ["http_proxy", "https_proxy", "no_proxy"];
    names.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?))).collect()
}

fn check(what: &str, done: &process::Finished) -> Result<()> {
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let lines: Vec<&str> = said.lines().collect();
    bail!("`{what}` failed ({}):\n{}", done.status, lines[lines.len().saturating_sub(40)..].join("\n"))
}
