//! `cairn-agent run`: the agent as it runs. The local socket opens first; the port opens when there are certificates.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_hypervisor::Hypervisor;
use agent_hypervisor::libvirt::{self, Libvirt};
use agent_hypervisor::simulated::Simulated;
use agent_protocol::envelope::FailureCode;
use agent_protocol::host::Facts;
use agent_protocol::vm::{WatchReply, WatchRequest};
use packaging_service::exit::Exit;
use packaging_service::files::{Access, create_folder};
use packaging_service::layout::Layout;
use packaging_service::stop::{self, Stop};
use packaging_service::{config, listen, log, notify, serve, tls};
use packaging_stamp::Stamp;
use tokio::sync::watch;

use crate::config::{Config, HypervisorName};
use crate::convert::from_host;
use crate::error::Error;
use crate::facts::{self, Sources};
use crate::http;
use crate::link::{self, State};
use crate::operations::Operations;
use crate::refusal::Refusal;
use crate::renewal::Renewal;
use crate::watch::History;

/// How often an agent looks whether it has been joined.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long operations may take once the agent is told to stop. One that takes longer carries on when the server asks
/// the next agent.
const GRACE: Duration = Duration::from_secs(10);

/// How long libvirt may take to answer what it was asked last. It takes milliseconds.
const LEAVE: Duration = Duration::from_secs(2);

/// How long a call waits for a libvirt that is about to answer. Short: the server waits for the facts of a host without
/// one, too.
const LIBVIRT_PATIENCE: Duration = Duration::from_secs(1);

/// A running agent: what its answers are made of.
#[derive(Debug)]
pub struct Agent {
    /// Where its files lie.
    pub layout: Layout,
    /// What the server ordered.
    pub operations: Arc<Operations>,
    /// What runs virtual machines.
    pub hypervisor: Arc<dyn Hypervisor>,
    /// Its next certificate.
    pub renewal: Renewal,
    history: Arc<History>,
    config: Config,
    sources: Sources,
    stamp: &'static Stamp,
    started: Instant,
    link: watch::Sender<State>,
}

impl Agent {
    /// An agent that does not serve yet. To be called within a runtime.
    #[must_use]
    pub fn new(
        layout: Layout,
        config: Config,
        sources: Sources,
        stamp: &'static Stamp,
        hypervisor: Arc<dyn Hypervisor>,
    ) -> Self {
        let link = watch::Sender::new(State::Starting);
        let operations = Operations::new(layout.agent_operations());
        let history = History::follow(hypervisor.changes());
        Self {
            layout,
            operations,
            hypervisor,
            renewal: Renewal::default(),
            history,
            config,
            sources,
            stamp,
            started: Instant::now(),
            link,
        }
    }

    /// Follows the link to the server.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<State> {
        self.link.subscribe()
    }

    /// What this host is and can do.
    ///
    /// # Errors
    /// If the agent failed.
    pub async fn facts(self: Arc<Self>) -> Result<Facts, Refusal> {
        let machines = from_host(self.hypervisor.host().await);
        let read = move || facts::read(&self.sources, self.stamp, self.started, machines);
        tokio::task::spawn_blocking(read).await.map_err(|error| {
            let message = format!("cannot read the facts of this host: {error}; ask again");
            Refusal::new(FailureCode::Internal, message)
        })
    }

    /// What changed, once something has.
    ///
    /// # Errors
    /// As the hypervisor's.
    pub async fn news(&self, request: WatchRequest) -> Result<WatchReply, Refusal> {
        Ok(self.history.news(self.hypervisor.as_ref(), request).await?)
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
        let (shown, certificates) = loop {
            match link::certificates(&self.layout) {
                Ok(loaded) => break loaded,
                Err(state) => self.stay_closed(&state),
            }
            tokio::select! {
                () = stop.ordered() => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        };
        self.renewal.shows(shown);
        let operations = self.operations.clone();
        // Fails only if the look back panicked, which has been logged.
        let _ = tokio::task::spawn_blocking(move || operations.look_back()).await;
        let listener = listen::tcp(self.config.listen, &self.layout.agent_config())?;
        let address = listener.local_addr()?;
        tracing::info!("serving the server on {address}");
        self.link.send_replace(State::Serving { address });
        notify::ready(&format!("serving on {address}"));
        let served = serve::tls(listener, certificates, http::calls(self.clone()), stop.clone());
        tokio::join!(served, self.wind_up(stop));
        Ok(())
    }

    /// Once told to stop: sends home who waits for news or for a turn, and lets operations under way finish.
    async fn wind_up(&self, mut stop: Stop) {
        stop.ordered().await;
        self.operations.end();
        self.history.end();
        if tokio::time::timeout(GRACE, self.operations.idle()).await.is_err() {
            tracing::warn!("operations are under way; they carry on when the server asks the next agent");
        }
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let stop = stop::on_signals()?;
        let hypervisor = hypervisor(config.hypervisor, layout);
        let agent = Agent::new(layout.clone(), config, Sources::default(), stamp, Arc::clone(&hypervisor));
        let served = Arc::new(agent).serve(stop).await;
        // Where it is not done by then, something hangs.
        let _ = tokio::time::timeout(LEAVE, hypervisor.leave()).await;
        served
    });
    // What blocks a thread, such as the copying of an image, is not waited for: the next agent does it again.
    runtime.shutdown_background();
    served?;
    tracing::info!("stopped");
    Ok(Exit::Ok)
}

/// What the operator wants to run virtual machines.
fn hypervisor(name: HypervisorName, layout: &Layout) -> Arc<dyn Hypervisor> {
    match name {
        HypervisorName::Libvirt => Arc::new(Libvirt::start(libvirt::Options {
            connect_patience: LIBVIRT_PATIENCE,
            probe_notes: Some(layout.agent_probes()),
            ..libvirt::Options::new(layout.console_folder())
        })),
        HypervisorName::Simulated => {
            tracing::warn!("virtual machines are simulated; set `hypervisor = \"libvirt\"` for real ones");
            Arc::new(Simulated::new().real_files(true))
        }
    }
}
