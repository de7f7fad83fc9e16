//! The agent of this host, called over mutual TLS: both sides prove that the authority of this installation knows them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::VERSION;
use agent_protocol::call::Call;
use agent_protocol::envelope::{Failure, OperationId, Reply, Request};
use hyper::StatusCode;
use packaging_service::client::{self, ClientError};
use packaging_service::layout::Layout;
use packaging_service::tls::{self, TlsError};
use rustls::ClientConfig;
use thiserror::Error;
use uuid::Uuid;

/// Base name of the certificate and key that the server shows to agents.
pub const IDENTITY: &str = "server-client";

/// The name in the agent's certificate that is verified: on its own host an agent is `localhost`.
const NAME: &str = "localhost";

/// How to reach the agent of this host.
#[derive(Debug, Clone)]
pub struct LocalAgent {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    limit: Duration,
    layout: Layout,
}

/// Why a call has no answer.
#[derive(Debug, Error)]
pub enum AgentError {
    /// This host was set up without one.
    #[error("this host has no agent")]
    None,
    /// It cannot be reached, or does not prove who it is.
    #[error("the agent at `{address}` does not answer: {cause}")]
    Unreachable {
        /// Where it should be.
        address: SocketAddr,
        /// What went wrong.
        cause: ClientError,
    },
    /// It takes too long.
    #[error("the agent at `{address}` does not answer within {} ms", limit.as_millis())]
    Slow {
        /// Where it is.
        address: SocketAddr,
        /// How long it had.
        limit: Duration,
    },
    /// It answers that it did not do it.
    #[error("the agent at `{address}` refuses `{call}`: {}", failure.message)]
    Refused {
        /// Where it is.
        address: SocketAddr,
        /// The call.
        call: &'static str,
        /// Its answer.
        failure: Failure,
    },
    /// It answers with something else.
    #[error("the agent at `{address}` answers `{call}` with something else: {cause}")]
    Strange {
        /// Where it is.
        address: SocketAddr,
        /// The call.
        call: &'static str,
        /// The complaint.
        cause: String,
    },
}

impl LocalAgent {
    /// The agent that listens on `address`, with the certificates of this host. `limit` bounds each call.
    ///
    /// # Errors
    /// If the certificates cannot be used. Whether there is an agent is found out with each call.
    pub fn new(layout: &Layout, address: SocketAddr, limit: Duration) -> Result<Self, TlsError> {
        let tls = tls::named_client(tls::identity(layout, IDENTITY)?, tls::authority(layout)?)?;
        Ok(Self { address, tls, limit, layout: layout.clone() })
    }

    /// Makes one call, as an operation of its own.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub async fn call<C: Call>(&self, arguments: C::Request) -> Result<C::Reply, AgentError> {
        if !is_configured(&self.layout) {
            return Err(AgentError::None);
        }
        let (address, call, limit) = (self.address, C::NAME, self.limit);
        let strange = |cause: String| AgentError::Strange { address, call, cause };
        let operation = OperationId(Uuid::new_v4());
        let request = Request { protocol: VERSION, operation, arguments };
        let request = serde_json::to_vec(&request).map_err(|error| strange(error.to_string()))?;
        let (status, body) = tokio::time::timeout(limit, self.post(C::PATH, request))
            .await
            .map_err(|_| AgentError::Slow { address, limit })?
            .map_err(|cause| AgentError::Unreachable { address, cause })?;
        if status != StatusCode::OK {
            let failure = serde_json::from_slice(&body).map_err(|_| strange(format!("status {status}")))?;
            return Err(AgentError::Refused { address, call, failure });
        }
        let reply: Reply<C::Reply> =
            serde_json::from_slice(&body).map_err(|error| strange(error.to_string()))?;
        if reply.operation != operation {
            return Err(strange("it belongs to another operation".to_owned()));
        }
        Ok(reply.result)
    }

    async fn post(
        &self,
        path: &'static str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, hyper::body::Bytes), ClientError> {
        let stream = client::connect_tls(self.address, NAME, self.tls.clone()).await?;
        client::exchange(stream, client::post_json(path, NAME, body)).await
    }
}

/// True if this host was set up to run an agent that this server knows.
#[must_use]
pub fn is_configured(layout: &Layout) -> bool {
    layout.tls("agent.pem").exists()
}
