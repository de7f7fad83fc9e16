//! The agent of the server's own host, for those who ask before there is a database: health, and the first look at a
//! host that was just installed.

use std::net::SocketAddr;
use std::time::Duration;

use agent_protocol::call::Call;
use packaging_service::layout::Layout;
use packaging_service::tls::TlsError;
use uuid::Uuid;

use crate::agents::{Agent, AgentError, Agents, LOCAL_NAME};

/// How to reach the agent of this host.
#[derive(Debug, Clone)]
pub struct LocalAgent {
    agent: Agent,
    limit: Duration,
    layout: Layout,
}

impl LocalAgent {
    /// The agent that listens on `address`, with the certificates of this host. `limit` bounds each call.
    ///
    /// # Errors
    /// If the certificates cannot be used. Whether there is an agent is found out with each call.
    pub fn new(layout: &Layout, address: SocketAddr, limit: Duration) -> Result<Self, TlsError> {
        Ok(Self::of(&Agents::new(layout)?, layout, address, limit))
    }

    /// As [`LocalAgent::new`], with the certificates of `agents`, which may be renewed.
    #[must_use]
    pub fn of(agents: &Agents, layout: &Layout, address: SocketAddr, limit: Duration) -> Self {
        Self { agent: agents.at(address, LOCAL_NAME), limit, layout: layout.clone() }
    }

    /// Makes one call, as an operation of its own.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub async fn call<C: Call>(&self, arguments: C::Request) -> Result<C::Reply, AgentError> {
        if !is_configured(&self.layout) {
            return Err(AgentError::None);
        }
        self.agent.call::<C>(Uuid::new_v4(), arguments, self.limit).await
    }
}

/// True if this host was set up to run an agent that this server knows.
#[must_use]
pub fn is_configured(layout: &Layout) -> bool {
    layout.tls("agent.pem").exists()
}
