//! Places at which a test can have this program fail or die. Nothing happens at them unless the variable `CAIRN_FAULT` says
//! so: `kill:N` is a SIGKILL at the N-th place that a run comes by, counted from 0, `error:N` an error there, `stop:N` a SIGSTOP,
//! so that a test can do something to the host; a comma stands between several. So a test finds every place by counting up until
//! nothing happens.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, bail};
use rustix::process::{Signal, getpid, kill_process};

const VARIABLE: &str = "CAIRN_FAULT";

static PASSED: AtomicUsize = AtomicUsize::new(0);

/// A place between two changes of the host.
///
/// # Errors
/// If a test wants one here.
pub fn point() -> Result<()> {
    let Ok(wanted) = std::env::var(VARIABLE) else { return Ok(()) };
    let number = PASSED.fetch_add(1, Ordering::SeqCst);
    for (kind, at) in wanted.split(',').filter_map(|fault| fault.split_once(':')) {
        if at.parse() == Ok(number) {
            match kind {
                "kill" => kill_process(getpid(), Signal::KILL)?,
                "stop" => kill_process(getpid(), Signal::STOP)?,
                "error" => bail!("a test wants an error at place {number}"),
                _ => (),
            }
        }
    }
    Ok(())
}
