//! Signals that ask to stop. A change that is under way ends at the next step, and what was done is put back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::exit::{Code, Exit};

/// Whether a signal came since it was made.
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on a signal is only noted.
    pub fn watch() -> Result<Self> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&came)).context("cannot watch for signals")?;
        }
        Ok(Self(came))
    }

    /// Whether a signal came.
    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
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
