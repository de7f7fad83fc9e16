//! `cairn-agent health`: the agent's own view of itself, asked over its local socket.

use std::path::Path;
use std::time::Duration;

use packaging_service::command::{self, HealthArgs};
use packaging_service::exit::Exit;
use packaging_service::layout::Layout;
use packaging_service::report::{Check, Report};
use packaging_service::{client, tls};

use crate::error::Error;
use crate::http::HEALTH_PATH;
use crate::link::{IDENTITY, State};
use crate::run::Agent;

const RENEWAL: &str = "join this host again, or on the server's host move `agent.pem` and `agent.key` away and run `cairn-server bootstrap`";

/// How long the hypervisor may take to say how it is.
const HYPERVISOR_LIMIT: Duration = Duration::from_secs(2);

/// How the agent is, as it sees itself.
pub async fn report(agent: &Agent) -> Report {
    let host = tokio::time::timeout(HYPERVISOR_LIMIT, agent.hypervisor.host()).await;
    let hypervisor = host.map_or_else(
        |_| Err(format!("it does not answer within {} ms", HYPERVISOR_LIMIT.as_millis())),
        |host| host.hypervisor,
    );
    judge(&agent.layout, &agent.link().borrow(), hypervisor)
}

/// `link` is where the agent stands with the server, `hypervisor` what runs virtual machines, or why nothing does.
fn judge(layout: &Layout, link: &State, hypervisor: Result<String, String>) -> Report {
    let socket = Check::pass("socket", format!("`{}` answers", layout.agent_socket().display()));
    let certificate = || tls::lifetime::check(&layout.tls(&format!("{IDENTITY}.pem")), RENEWAL);
    let checks = match link {
        State::Starting => vec![Check::warn("joined", "the agent is starting", "ask again")],
        State::Waiting { why } => vec![Check::warn(
            "joined",
            format!("waiting to be joined: {why}"),
            "join this host to a server; until then its port stays closed",
        )],
        State::Broken { why } => {
            vec![Check::fail(
                "joined",
                format!("port closed: {why}"),
                "put the certificates right; the agent looks every second",
            )]
        }
        State::Serving { address } => vec![
            Check::pass("joined", "certificates are there"),
            Check::pass("port", format!("serving on {address}")),
            certificate(),
        ],
    };
    // An agent without libvirt still serves: it can say so, and can be asked again.
    let hypervisor = match hypervisor {
        Ok(version) => Check::pass("libvirt", version),
        Err(why) => {
            Check::warn("libvirt", why, "start libvirtd; until then this host runs no virtual machines")
        }
    };
    Report::new(std::iter::once(socket).chain(checks).chain([hypervisor]).collect())
}

/// Asks the agent that answers on `socket`. One that does not answer is a failed check.
pub async fn ask(socket: &Path, limit: Duration) -> Report {
    let shown = socket.display();
    let evidence = match tokio::time::timeout(limit, exchange(socket)).await {
        Ok(Ok(report)) => return report,
        Ok(Err(error)) => format!("`{shown}`: {error}"),
        Err(_) => format!("`{shown}` does not answer within {} ms", limit.as_millis()),
    };
    let remedy = "see `systemctl status cairn-agent` and `journalctl --unit cairn-agent`; then start it";
    Report::new(vec![Check::fail("socket", evidence, remedy)])
}

async fn exchange(socket: &Path) -> Result<Report, String> {
    let stream = client::connect_unix(socket).await.map_err(|error| error.to_string())?;
    let request = client::get(HEALTH_PATH, "localhost");
    let (_, body) = client::exchange(stream, request).await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&body).map_err(|error| format!("it answers with something else: {error}"))
}

/// The command.
///
/// # Errors
/// If there is no runtime or nobody takes the answer. An unhealthy agent is an answer.
pub fn run(layout: &Layout, args: &HealthArgs) -> Result<Exit, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let limit = Duration::from_millis(args.timeout_ms);
    let report = runtime.block_on(ask(&layout.agent_socket(), limit));
    Ok(command::answer_health(&report, args)?)
}
