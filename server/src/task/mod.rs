//! Work that takes long. A task is planned before it begins: a list of steps, each with the operation that it will be
//! to an agent, stored together with what asked for it. One loop ([`run`]) does the steps; it decides nothing.
//!
//! ```text
//!   Running --------------------> Succeeded
//!      |
//!      +-- failed, cancelled --> Undoing --> Failed | Cancelled
//! ```
//!
//! A server that starts goes on with whatever has not ended. A step whose answer was lost is asked for again under
//! the same operation, and the agent answers from memory.

mod apply;
mod define;
mod perform;
mod perform_vm;
mod run;
pub mod step;
mod undo;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::cloud::Cloud;
use crate::store::Id;

/// The tasks that are being done.
#[derive(Debug, Default)]
pub struct Tasks {
    running: Mutex<HashMap<Id, watch::Sender<bool>>>,
}

/// A task that is being done, as long as this is there: also if its work dies.
struct Running {
    cloud: Arc<Cloud>,
    task: Id,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cloud.tasks.lock().remove(&self.task);
    }
}

impl Tasks {
    /// Begins a task, or goes on with it. One that is being done is left alone.
    pub fn start(&self, cloud: &Arc<Cloud>, task: Id) {
        let cancelled = {
            let mut running = self.lock();
            if running.contains_key(&task) {
                return;
            }
            let (cancel, cancelled) = watch::channel(false);
            running.insert(task, cancel);
            cancelled
        };
        let running = Running { cloud: cloud.clone(), task };
        tokio::spawn(async move { run::run(&running.cloud, task, cancelled).await });
    }

    /// Tells a task that it is cancelled.
    pub fn cancel(&self, task: Id) {
        if let Some(cancel) = self.lock().get(&task) {
            cancel.send_replace(true);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, watch::Sender<bool>>> {
        // No code that holds the lock can leave the map half changed.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
