//! systemd, through its own tool.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::layout::Layout;

/// What systemd writes down about a timer that catches up on what it missed, and leaves when the timer goes.
pub fn stamp(layout: &Layout, unit: &str) -> Option<PathBuf> {
    let place = layout.root().join("var/lib/systemd/timers").join(format!("stamp-{unit}"));
    unit.ends_with(".timer").then_some(place)
}

/// Reads the unit files again.
pub fn reload() -> Result<()> {
    systemctl(&["daemon-reload"])
}

/// Has a service start at every boot.
pub fn enable(unit: &str) -> Result<()> {
    systemctl(&["enable", "--quiet", unit])
}

/// The reverse of [`enable`].
pub fn disable(unit: &str) -> Result<()> {
    systemctl(&["disable", "--quiet", unit])
}

/// Starts a service and waits until it says that it is ready. One that runs is restarted: its program may be new.
///
/// # Errors
/// With the last words of the service, and where to find the others.
pub fn start(unit: &str) -> Result<()> {
    let Err(error) = systemctl(&["restart", unit]) else { return Ok(()) };
    let more = format!("for more: journalctl --unit {unit}");
    Err(match last_words(unit) {
        Some(words) => anyhow::anyhow!("it said `{words}`; {more}"),
        None => error.context(more),
    })
}

/// What the service itself said last, without systemd's own words about it.
fn last_words(unit: &str) -> Option<String> {
    let _ = run("journalctl", &["--sync"]);
    let unit = format!("_SYSTEMD_UNIT={unit}");
    let said = run("journalctl", &[&unit, "--lines=1", "--output=cat", "--quiet"]).ok()?;
    let said = said.trim();
    (!said.is_empty()).then(|| said.to_owned())
}

/// Stops a service and waits until it has ended. That it failed before is forgotten with it.
pub fn stop(unit: &str) -> Result<()> {
    systemctl(&["stop", unit])?;
    // One that did not fail is not known to this command any more, which is as good.
    let _ = systemctl(&["reset-failed", unit]);
    Ok(())
}

/// Whether the service starts at boot.
pub fn is_enabled(unit: &str) -> bool {
    // One that something else starts counts as enabled by its code, too.
    run("systemctl", &["is-enabled", unit]).is_ok_and(|state| state.starts_with("enabled"))
}

/// Whether systemd has nothing to do with the service: it neither runs nor is about to, nor has it failed.
pub fn is_idle(unit: &str) -> bool {
    let state = run("systemctl", &["show", "--value", "--property=ActiveState", unit]);
    state.is_ok_and(|state| state.trim() == "inactive")
}

/// One property of a unit, as systemd shows it; `None` if it shows none.
pub fn property(unit: &str, name: &str) -> Option<String> {
    let shown = run("systemctl", &["show", "--value", &format!("--property={name}"), unit]).ok()?;
    Some(shown.trim().to_owned()).filter(|shown| !shown.is_empty())
}

/// Whether the service runs.
pub fn is_running(unit: &str) -> bool {
    quiet(&["is-active", "--quiet", unit])
}

fn quiet(arguments: &[&str]) -> bool {
    let mut command = Command::new("systemctl");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether systemd runs this host.
pub fn is_booted() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn systemctl(arguments: &[&str]) -> Result<()> {
    run("systemctl", arguments).map(drop)
}

fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let line = format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{line}`"))?;
    if !output.status.success() {
        // The first line says what; the others are advice that fits no host without these units.
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed: {}", said.lines().next().unwrap_or_default());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
