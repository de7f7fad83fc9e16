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

const RENEWAL: &str = "join this host again, or on the server's host move `agent.pem` and `agent.key` away and run `cairn-server bootstrap`";

/// How the agent is, as it sees itself: `link` is where it stands with the server.
#[must_use]
pub fn report(layout: &Layout, link: &State) -> Report {
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
    Report::new(std::iter::once(socket).chain(checks).collect())
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
