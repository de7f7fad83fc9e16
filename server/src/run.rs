//! `cairn-server run`: everything is loaded, then the door opens, then systemd is told.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use packaging_service::exit::Exit;
use packaging_service::layout::Layout;
use packaging_service::stop::{self, Stop};
use packaging_service::{config, listen, log, notify, serve, tls};
use packaging_stamp::Stamp;
use rustls::ServerConfig;
use tokio::net::TcpListener;

use crate::about::Origin;
use crate::bootstrap::plan::Identity;
use crate::cloud::Cloud;
use crate::config::Config;
use crate::dashboard::Dashboard;
use crate::error::Error;
use crate::http;
use crate::local_agent::LocalAgent;
use crate::login::Login;
use crate::login::credential::Credential;
use crate::renewal::{self, Renewal};

/// Longest time for one call to the agent of this host.
const AGENT_LIMIT: Duration = Duration::from_secs(5);

/// A running server: what its answers are made of.
#[derive(Debug)]
pub struct Server {
    /// What is installed.
    pub origin: Origin,
    /// The dashboard's files.
    pub dashboard: Dashboard,
    /// Who gets in.
    pub login: Login,
    /// The agent of this host.
    pub local_agent: LocalAgent,
    /// Its own certificates.
    pub renewal: Arc<Renewal>,
    /// The cloud.
    pub cloud: Arc<Cloud>,
}

impl Server {
    /// Loads what the server needs. `executable` is the running program: the dashboard and the manifest of its package
    /// lie beside it.
    ///
    /// # Errors
    /// If certificates, credential or database cannot be used.
    pub async fn load(
        layout: &Layout,
        config: &Config,
        stamp: &Stamp,
        executable: &Path,
        stop: Stop,
    ) -> Result<(Self, Arc<ServerConfig>), Error> {
        // What ended while no server ran is renewed before anybody sees it. Without its authority's key a server runs on.
        if let Err(error) = renewal::renew(layout, SystemTime::now()) {
            tracing::warn!("cannot look after the certificates: {error}");
        }
        let page = renewal::load(layout, Identity::Server)?.shown()?;
        let credential = Credential::load(&layout.admin())?;
        let tls = tls::public_server(page.clone());
        let cloud = Cloud::open(layout, config, stop).await?;
        let session = Duration::from_secs(u64::from(config.session_hours.get()) * 60 * 60);
        let login = Login::new(credential, session);
        cloud.resume_sessions(&login).await?;
        let server = Self {
            origin: Origin::read(stamp, executable),
            dashboard: Dashboard::locate(&config.dashboard, executable),
            login,
            local_agent: LocalAgent::of(&cloud.agents, layout, config.local_agent, AGENT_LIMIT),
            renewal: Arc::new(Renewal::new(layout, page, cloud.agents.shown())),
            cloud,
        };
        Ok((server, tls))
    }

    /// Serves on `listener` until the order to stop that it was loaded with.
    ///
    /// # Errors
    /// If the database fails before it begins.
    pub async fn serve(self, listener: TcpListener, tls: Arc<ServerConfig>) -> Result<(), Error> {
        let (cloud, stop) = (self.cloud.clone(), self.cloud.stop.clone());
        cloud.run().await?;
        tokio::spawn(self.renewal.clone().keep(stop.clone()));
        serve::tls(listener, tls, http::router(Arc::new(self)), stop).await;
        cloud.store.close().await;
        Ok(())
    }
}

/// The command.
///
/// # Errors
/// If something cannot be loaded or the door does not open.
pub fn run(layout: &Layout, stamp: &'static Stamp, filter: &str) -> Result<Exit, Error> {
    log::start(filter).map_err(Error::Log)?;
    tls::install_provider();
    let config: Config = config::load(&layout.server_config())?;
    let executable = std::env::current_exe()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = stop::on_signals()?;
        let (server, tls) = Server::load(layout, &config, stamp, &executable, stop).await?;
        let listener = listen::tcp(config.listen, &layout.server_config())?;
        let address = listener.local_addr()?;
        tracing::info!("serving on {address}");
        notify::ready(&format!("serving on {address}"));
        server.serve(listener, tls).await
    })?;
    tracing::info!("stopped");
    Ok(Exit::Ok)
}
