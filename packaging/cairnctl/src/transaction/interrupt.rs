//! Signals that ask to stop. Before anything is changed they end the program; a change that is under way ends at the next
//! step, and what was done is put back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{SigId, flag};

use crate::exit::{Code, Exit};

/// The signals that came, and what they do.
pub struct Interrupt {
    came: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    registered: Vec<SigId>,
}

impl Interrupt {
    /// From now on a signal ends the program with its own exit code.
    pub fn new() -> Result<Self> {
        let (came, ends) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
        let mut registered = Vec::new();
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            let code = Code::Interrupted as i32;
            registered.push(
                flag::register_conditional_shutdown(signal, code, Arc::clone(&ends))
                    .context("cannot watch for signals")?,
            );
            registered.push(flag::register(signal, Arc::clone(&came)).context("cannot watch for signals")?);
        }
        Ok(Self { came, ends, registered })
    }

    /// From now on a signal is only noted.
    pub fn only_note(&self) {
        self.ends.store(false, Ordering::SeqCst);
    }

    /// Whether a signal came.
    pub fn came(&self) -> bool {
        self.came.load(Ordering::SeqCst)
    }

    /// An error once a signal came.
    ///
    /// # Errors
    /// Exit code 9.
    pub fn check(&self) -> Result<()> {
        if self.came() { Err(Self::error()) } else { Ok(()) }
    }

    /// What is said then.
    pub fn error() -> anyhow::Error {
        Exit::error(Code::Interrupted, "interrupted by a signal")
    }
}

/// What comes after it watches for itself.
impl Drop for Interrupt {
    fn drop(&mut self) {
        for id in self.registered.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}
