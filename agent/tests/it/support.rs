//! A scratch host with an authority of its own, and an agent on it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use agent::config::Config;
use agent::error::Error;
use agent::facts::Sources;
use agent::link::State;
use agent::run::Agent;
use agent_hypervisor::simulated::Simulated;
use agent_protocol::cache::{CacheRequest, Origin};
use agent_protocol::vm::{CacheChoice, CachePlan};
use packaging_service::files::{Access, create_folder};
use packaging_service::layout::Layout;
use packaging_service::stop::{self, Stopper};
use packaging_service::tls;
use packaging_stamp::Stamp;
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::task::JoinHandle;

pub static STAMP: Stamp = Stamp::new(Some("0.9fix"), Some("0123abcd"), Some("false"));

/// A root with nothing but the folder for certificates, and an authority that is written nowhere yet.
pub struct Host {
    root: TempDir,
    pub layout: Layout,
    authority: Authority,
}

pub struct Authority {
    pub issuer: Issuer<'static, KeyPair>,
    pub certificate: CertificateDer<'static>,
    pub pem: String,
}

impl Authority {
    /// One with a name of its own, as every real one has.
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let name = format!("Cairn authority {}", uuid::Uuid::new_v4());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        let made = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate: made.der().clone(), pem: made.pem() }
    }

    /// A certificate for servers for the key of a signing request.
    pub fn sign(&self, request: &str, name: &str) -> String {
        self.sign_for(request, &[name])
    }

    fn sign_for(&self, request: &str, names: &[&str]) -> String {
        let key = CertificateSigningRequestParams::from_pem(request).unwrap().public_key;
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.signed_by(&key, &self.issuer).unwrap().pem()
    }
}

impl Host {
    pub fn new() -> Self {
        tls::install_provider();
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        create_folder(&layout.tls_folder(), Access::Private).unwrap();
        Self { root, layout, authority: Authority::new() }
    }

    /// A host that has joined, and the certificate of its server.
    pub fn joined() -> Self {
        let host = Self::new();
        host.join();
        host.issue_server_client();
        host
    }

    /// What an agent needs, as joining leaves it: the certificate comes last.
    pub fn join(&self) {
        self.join_as(&["localhost"]);
    }

    /// The same with a certificate for these names.
    pub fn join_as(&self, names: &[&str]) {
        std::fs::write(self.layout.tls("ca.pem"), &self.authority.pem).unwrap();
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        self.issue_for(&self.authority, "agent", "cairn-agent", names, usage, (1970, 4096));
    }

    /// A certificate of this host's authority for the server.
    pub fn issue_server_client(&self) {
        self.issue_ours("server-client", "cairn-server", ExtendedKeyUsagePurpose::ClientAuth);
    }

    /// The server's certificate with other dates.
    pub fn issue_server_client_for(&self, file: &str, years: (i32, i32)) {
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        self.issue_for(&self.authority, file, "cairn-server", &["localhost"], usage, years);
    }

    /// A certificate of this host's authority for somebody else.
    pub fn issue_ours(&self, file: &str, name: &str, usage: ExtendedKeyUsagePurpose) {
        self.issue(&self.authority, file, name, usage);
    }

    /// What [`Authority::sign`] of this host's authority gives.
    pub fn sign(&self, request: &str, name: &str) -> String {
        self.authority.sign(request, name)
    }

    /// What [`Host::sign`] gives, for several names.
    pub fn sign_for(&self, request: &str, names: &[&str]) -> String {
        self.authority.sign_for(request, names)
    }

    pub fn issue(&self, by: &Authority, file: &str, name: &str, usage: ExtendedKeyUsagePurpose) {
        self.issue_for(by, file, name, &["localhost"], usage, (1970, 4096));
    }

    /// A certificate for `names` that lasts from the first day of one year to that of another.
    fn issue_for(
        &self,
        by: &Authority,
        file: &str,
        name: &str,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
        years: (i32, i32),
    ) {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let pem = params.signed_by(&key, &by.issuer).unwrap().pem();
        std::fs::write(self.layout.tls(&format!("{file}.key")), key.serialize_pem()).unwrap();
        let beside = self.layout.tls(&format!(".{file}.new"));
        std::fs::write(&beside, pem).unwrap();
        std::fs::rename(beside, self.layout.tls(&format!("{file}.pem"))).unwrap();
    }

    pub fn root(&self) -> PathBuf {
        self.root.path().to_owned()
    }

    pub fn start(&self) -> Running {
        self.start_with(Simulated::new())
    }

    /// Starts an agent on a twin that the test holds the strings of.
    pub fn start_with(&self, twin: Simulated) -> Running {
        let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
        let sources = Sources::default();
        let agent = Arc::new(Agent::new(self.layout.clone(), config, sources, &STAMP, Arc::new(twin)));
        let (stopper, stop) = stop::channel();
        let served = tokio::spawn(agent.clone().serve(stop));
        Running { agent, stopper, served }
    }
}

pub struct Running {
    pub agent: Arc<Agent>,
    stopper: Stopper,
    served: JoinHandle<Result<(), Error>>,
}

impl Running {
    pub async fn until(&self, wanted: impl Fn(&State) -> bool) -> State {
        self.agent.link().wait_for(wanted).await.unwrap().clone()
    }

    pub async fn address(&self) -> SocketAddr {
        match self.until(|state| matches!(state, State::Serving { .. })).await {
            State::Serving { address } => address,
            State::Starting | State::Waiting { .. } | State::Broken { .. } => unreachable!(),
        }
    }

    /// Why it ended by itself.
    pub async fn failure(self) -> String {
        self.served.await.unwrap().unwrap_err().to_string()
    }

    pub async fn stop(self) {
        self.stopper.stop();
        self.served.await.unwrap().unwrap();
    }
}

/// What is asked of a machine of which no disk is named.
pub fn unplanned() -> CachePlan {
    CachePlan { disks: Vec::new(), cdroms: asked(CacheChoice::Auto) }
}

/// What is asked for by the setting, whatever it costs.
pub fn asked(choice: CacheChoice) -> CacheRequest {
    CacheRequest { choice, origin: Origin::Global, accepts_loss: true }
}

/// What a guest knows of a disk of which nobody said anything else.
#[cfg(feature = "real-parts")]
pub const SECTOR: agent_protocol::cache::Sector = agent_protocol::cache::Sector::Fixed { bytes: 512 };
