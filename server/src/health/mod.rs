//! `cairn-server health`: the server as a browser on this host would see it, and the agent as the server
//! would. Nothing is asked of the running process but what everybody may ask, so the answer holds whatever it
//! runs in.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::call::HostFacts;
use agent_protocol::host::FactsRequest;
use hyper::StatusCode;
use packaging_service::command;
use packaging_service::exit::Exit;
use packaging_service::layout::Layout;
use packaging_service::report::{Check, Report};
use packaging_service::tls::{certificate, lifetime};
use packaging_service::{client, config, listen, tls};
use packaging_stamp::Stamp;
use rustls::ClientConfig;
use tokio::net::TcpStream;

use crate::agents;
use crate::agents::AgentError;
use crate::cli::LookArgs;
use crate::config::Config;
use crate::error::Error;
use crate::local_agent::{self, LocalAgent};

mod addresses;
mod hosts;

pub use addresses::look_at as look_at_address;
pub use hosts::look as look_at_hosts;

/// The name that is verified: every server's certificate is valid for it, and it needs no resolver.
const NAME: &str = "localhost";

const START: &str = "see `systemctl status cairn-server` and `journalctl --unit cairn-server`; then start it";
const RENEWAL: &str =
    "move `server.pem` and `server.key` away, run `cairn-server bootstrap` and restart the server";
const CLIENT_RENEWAL: &str = "move `server-client.pem` and `server-client.key` away, run `cairn-server bootstrap` \
    and restart the server";
const AUTHORITY_RENEWAL: &str = "move the folder `tls` away, run `cairn-server bootstrap`, restart server and agent, \
    and let the other hosts join again";
const PAGE: &str = "put the dashboard's files back, or set `dashboard` in server.toml to where they are";
const SAME_RELEASE: &str = "install one release on this host, and restart what runs: `cairnctl restart`";
const AGENT: &str = "see `systemctl status cairn-agent` and `journalctl --unit cairn-agent`; then start it";

/// Looks at the server that listens on `address`, with the certificates under `layout`. Each check takes at
/// most `limit`; one that needs another that failed is left out.
pub async fn look(layout: &Layout, address: SocketAddr, agent: SocketAddr, limit: Duration) -> Report {
    let address = listen::loopback_of(address);
    let mut checks = vec![port(address, limit).await];
    if checks[0].remedy.is_none() {
        match tls::authority(layout) {
            Ok(roots) => {
                let tls = tls::anonymous_client(roots);
                checks.push(certificate(address, tls.clone(), limit).await);
                checks.push(page(address, tls, limit).await);
            }
            Err(error) => checks.push(Check::fail(lifetime::NAME, error.to_string(), RENEWAL)),
        }
    }
    // The first is shown to agents, the second is what everybody trusts: nobody sees them end but those whom
    // it locks out.
    for (name, file, renewal) in
        [("client-certificate", agents::IDENTITY, CLIENT_RENEWAL), ("authority", "ca", AUTHORITY_RENEWAL)]
    {
        let check = lifetime::check(&layout.tls(&format!("{file}.pem")), renewal);
        checks.push(Check { name: name.to_owned(), ..check });
    }
    if local_agent::is_configured(layout) {
        checks.push(agent_answers(layout, agent, limit).await);
    }
    Report::new(checks)
}

async fn port(address: SocketAddr, limit: Duration) -> Check {
    match within(limit, TcpStream::connect(address)).await {
        Ok(_) => Check::pass("port", format!("{address} answers")),
        Err(error) => Check::fail("port", format!("{address}: {error}"), START),
    }
}

async fn certificate(address: SocketAddr, tls: Arc<ClientConfig>, limit: Duration) -> Check {
    let stream = match within(limit, client::connect_tls(address, NAME, tls)).await {
        Ok(stream) => stream,
        Err(error) => return Check::fail(lifetime::NAME, format!("{address}: {error}"), RENEWAL),
    };
    let facts = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first)
        .map_or(Err("there is none".to_owned()), certificate::facts);
    match facts {
        Ok(facts) => {
            lifetime::judge(&format!("the certificate of {address} verifies and"), facts.days_left, RENEWAL)
        }
        Err(error) => Check::fail(lifetime::NAME, format!("the certificate of {address}: {error}"), RENEWAL),
    }
}

async fn page(address: SocketAddr, tls: Arc<ClientConfig>, limit: Duration) -> Check {
    let answer = within(limit, async {
        let stream = client::connect_tls(address, NAME, tls).await?;
        client::exchange(stream, client::get("/", NAME)).await
    });
    match answer.await {
        Ok((StatusCode::OK, body)) => {
            Check::pass("page", format!("`/` answers 200 with {} bytes", body.len()))
        }
        Ok((status, _)) => Check::fail("page", format!("`/` answers {}", status.as_u16()), PAGE),
        Err(error) => Check::fail("page", format!("`/` of {address}: {error}"), START),
    }
}

async fn agent_answers(layout: &Layout, address: SocketAddr, limit: Duration) -> Check {
    let agent = match LocalAgent::new(layout, address, limit) {
        Ok(agent) => agent,
        Err(error) => return Check::fail("agent", error.to_string(), "run `cairn-server bootstrap`"),
    };
    match agent.call::<HostFacts>(FactsRequest {}).await {
        Ok(facts) => {
            let version = facts.agent.reference.unwrap_or("built outside the toolchain".to_owned());
            Check::pass("agent", format!("{address} answers over mutual TLS ({version})"))
        }
        Err(error @ AgentError::Version { .. }) => Check::fail("agent", error.to_string(), SAME_RELEASE),
        Err(error) => Check::fail("agent", error.to_string(), AGENT),
    }
}

/// The outcome of `work` if it comes within `limit`, and otherwise a sentence.
async fn within<T, E: std::fmt::Display>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(limit, work).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} ms", limit.as_millis())),
    }
}

/// The command.
///
/// # Errors
/// If the configuration cannot be read, there is no runtime, or nobody takes the answer. An unhealthy server is an
/// answer.
pub fn run(layout: &Layout, stamp: &Stamp, args: &LookArgs) -> Result<Exit, Error> {
    tls::install_provider();
    let config: Config = config::load(&layout.server_config())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let limit = Duration::from_millis(args.common.timeout_ms);
    let report = runtime.block_on(async {
        let mut checks = look(layout, config.listen, config.local_agent, limit).await.checks;
        checks.extend(look_at_hosts(&layout.database(), stamp).await);
        for address in &args.addresses {
            checks.push(look_at_address(layout, config.listen, address, limit).await);
        }
        Report::new(checks)
    });
    Ok(command::answer_health(&report, &args.common)?)
}
