//! The process that a set of namespaces lives and dies with.
//!
//! A holder runs one of the scripts beside this file as the first process of a process namespace. The script mounts
//! what it has to, says `ready`, and waits for the end of its input, which is a pipe from us. However we end,
//! that pipe closes; the script ends, and with it, by the kernel's hand, every process below it and every mount in
//! its namespace. The script waits by `wait`, not `read`, since a shell reaps orphans only while it waits.

use crate::{process, procfs};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// How long the kernel may take to kill what runs in a namespace and to take down its mounts.
const END: Duration = Duration::from_secs(60);

/// A running holder. Dropping it ends all that runs in its namespaces, and waits for that.
#[derive(Debug)]
pub(crate) struct Holder {
    child: Child,
    input: Option<ChildStdin>,
    first: u32,
}

impl Holder {
    /// Starts `command`, which ends in one of the scripts, and waits until that is ready. `what` is named in
    /// errors.
    pub(crate) fn start(mut command: Command, what: &str) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().with_context(|| format!("cannot start `{program}` for {what}"))?;
        drop(command);
        let input = child.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).context("cannot read from a holder")?;
        }
        // From here on dropping it takes everything down.
        let mut holder = Self { child, input, first: 0 };
        if line.trim_end() == "ready" {
            let id = holder.child.id();
            holder.first = procfs::first_of_namespace_below(id)
                .with_context(|| format!("the process that holds {what} is gone; was it killed?"))?;
            return Ok(holder);
        }
        holder.input.take();
        let mut complaint = String::new();
        if let Some(mut stderr) = holder.child.stderr.take() {
            stderr.read_to_string(&mut complaint).context("cannot read from a holder")?;
        }
        bail!("cannot set up {what}: {}", complaint.trim())
    }

    /// The process we started ourselves. It is in the mount namespace, but not in the process namespace.
    pub(crate) fn outer(&self) -> u32 {
        self.child.id()
    }

    /// The first process of the process namespace, in our numbering.
    pub(crate) fn first(&self) -> u32 {
        self.first
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.input.take();
        if let Ok(Some(_)) = process::wait(&mut self.child, END) {
            return;
        }
        // `unshare --kill-child` passes it on. There is nobody left to tell if this fails too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
