//! systemd, through its own tool.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

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
pub fn start(unit: &str) -> Result<()> {
    systemctl(&["restart", unit])
        .with_context(|| format!("`{unit}` did not start; see what it said with: journalctl --unit {unit}"))
}

/// Stops a service and waits until it has ended.
pub fn stop(unit: &str) -> Result<()> {
    systemctl(&["stop", unit])
}

/// Whether the service starts at boot.
pub fn is_enabled(unit: &str) -> bool {
    quiet(&["is-enabled", "--quiet", unit])
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

fn systemctl(arguments: &[&str]) -> Result<()> {
    let line = format!("systemctl {}", arguments.join(" "));
    let output = Command::new("systemctl")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
