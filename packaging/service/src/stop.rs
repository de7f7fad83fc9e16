//! When to stop: one flag that turns once, waited for by whoever serves.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::notify;

/// Waits for the order to stop. Clones wait for the same order.
#[derive(Debug, Clone)]
pub struct Stop {
    ordered: watch::Receiver<bool>,
}

/// Gives the order to stop.
#[derive(Debug, Clone)]
pub struct Stopper {
    order: watch::Sender<bool>,
}

/// A pair: who orders and who waits. The order also counts as given when every [`Stopper`] is gone.
#[must_use]
pub fn channel() -> (Stopper, Stop) {
    let (order, ordered) = watch::channel(false);
    (Stopper { order }, Stop { ordered })
}

/// Waits for SIGTERM and SIGINT from now on, and tells systemd as soon as one comes. To be called within a runtime,
/// before the service says that it is up.
///
/// # Errors
/// If the signals cannot be caught.
pub fn on_signals() -> std::io::Result<Stop> {
    let (stopper, stop) = channel();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!("stopping on {name}");
        notify::stopping();
        stopper.stop();
        // A second signal must not kill the process while requests finish: both stay caught.
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
    });
    Ok(stop)
}

impl Stopper {
    /// Gives the order.
    pub fn stop(&self) {
        self.order.send_replace(true);
    }
}

impl Stop {
    /// Returns once the order is given.
    pub async fn ordered(&mut self) {
        // An error means that nobody is left who could give the order: stop then, too.
        let _ = self.ordered.wait_for(|ordered| *ordered).await;
    }
}
