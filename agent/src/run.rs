//! `cairn-agent run`: the agent as it runs. The local socket opens first; the port opens when there are certificates.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_protocol::host::Facts;
use packaging_service::exit::Exit;
use packaging_service::files::{Access, create_folder};
use packaging_service::layout::Layout;
use packaging_service::stop::{self, Stop};
use packaging_service::{config, listen, log, notify, serve, tls};
use packaging_stamp::Stamp;
use tokio::sync::watch;

use crate::config::Config;
use crate::error::Error;
use crate::facts::{self, Sources};
use crate::http;
use crate::link::{self, State};

/// How often an agent looks whether it has been joined.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A running agent: what its answers are made of.
#[derive(Debug)]
pub struct Agent {
    /// Where its files lie.
    pub layout: Layout,
    config: Config,
    sources: Sources,
    stamp: &'static Stamp,
    started: Instant,
    link: watch::Sender<State>,
}

impl Agent {
    /// An agent that does not serve yet.
    #[must_use]
    pub fn new(layout: Layout, config: Config, sources: Sources, stamp: &'static Stamp) -> Self {
        let link = watch::Sender::new(State::Starting);
        Self { layout, config, sources, stamp, started: Instant::now(), link }
    }

    /// Follows the link to the server.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<State> {
        self.link.subscribe()
    }

    /// What this host is and can do. Reads files.
    #[must_use]
    pub fn facts(&self) -> Facts {
        facts::read(&self.sources, self.stamp, self.started)
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// If a door does not open.
    pub async fn serve(self: Arc<Self>, stop: Stop) -> Result<(), Error> {
        create_folder(&self.layout.run_folder(), Access::Public)?;
        let socket = self.layout.agent_socket();
        let local = listen::unix(&socket)?;
        tracing::info!("answering health questions on `{}`", socket.display());
        let local = tokio::spawn(serve::unix(local, http::local(self.clone()), stop.clone()));
        let served = self.clone().serve_server(stop).await;
        if served.is_ok() {
            // Fails only if the local server panicked, which has been logged.
            let _ = local.await;
        }
        // A socket file without a process is harmless, and one less is tidier.
        let _ = std::fs::remove_file(&socket);
        served
    }

    /// Waits for certificates, then serves the server.
    async fn serve_server(self: Arc<Self>, mut stop: Stop) -> Result<(), Error> {
        let certificates = loop {
            match link::certificates(&self.layout) {
                Ok(certificates) => break certificates,
                Err(state) => self.stay_closed(&state),
            }
            tokio::select! {
                () = stop.ordered() => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        };
        let listener = listen::tcp(self.config.listen, &self.layout.agent_config())?;
        let address = listener.local_addr()?;
        tracing::info!("serving the server on {address}");
        self.link.send_replace(State::Serving { address });
        notify::ready(&format!("serving on {address}"));
        serve::tls(listener, certificates, http::calls(self.clone()), stop).await;
        Ok(())
    }

    /// Notes why the port stays closed; says it once.
    fn stay_closed(&self, state: &State) {
        let status = match state {
            State::Waiting { why } => format!("waiting to be joined: {why}"),
            State::Broken { why } => format!("port closed: {why}"),
            State::Starting | State::Serving { .. } => return,
        };
        if self.link.send_replace(state.clone()) != *state {
            tracing::warn!("{status}");
            notify::ready(&status);
        }
    }
}

/// The command.
///
/// # Errors
/// If the configuration cannot be used or a door does not open.
pub fn run(layout: &Layout, stamp: &'static Stamp, filter: &str) -> Result<Exit, Error> {
    log::start(filter).map_err(Error::Log)?;
    tls::install_provider();
    let config: Config = config::load(&layout.agent_config())?;
    let agent = Agent::new(layout.clone(), config, Sources::default(), stamp);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = stop::on_signals()?;
        Arc::new(agent).serve(stop).await
    })?;
    tracing::info!("stopped");
    Ok(Exit::Ok)
}
