//! The agents of all hosts: called over mutual TLS ([`Agent`]), and followed so that the server knows what they do
//! ([`link`]); their certificates are renewed ([`renewal`]). Which words of theirs are which of ours is in [`words`].

mod error;
pub mod evidence;
pub mod link;
pub mod renewal;
pub mod words;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::VERSION;
use agent_protocol::call::Call;
use agent_protocol::envelope::{Failure, OperationId, Reply, Request};
use hyper::StatusCode;
use packaging_service::client::{self, ClientError};
use packaging_service::layout::Layout;
use packaging_service::tls::shown::Shown;
use packaging_service::tls::{self, TlsError};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use uuid::Uuid;

use crate::store::host::Host;
pub use error::AgentError;

/// Base name of the certificate and key that the server shows to agents.
pub const IDENTITY: &str = "server-client";

/// The name in the certificate of the agent on the server's own host.
pub const LOCAL_NAME: &str = "localhost";

/// What the server shows to agents, and whom it trusts.
#[derive(Debug, Clone)]
pub struct Agents {
    shown: Arc<Shown>,
    tls: Arc<ClientConfig>,
}

/// How to reach one agent.
#[derive(Debug, Clone)]
pub struct Agent {
    address: SocketAddr,
    name: String,
    tls: Arc<ClientConfig>,
}

impl Agents {
    /// With the certificates of this host.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn new(layout: &Layout) -> Result<Self, TlsError> {
        let shown = tls::identity(layout, IDENTITY)?.shown()?;
        let tls = tls::named_client(shown.clone(), tls::authority(layout)?);
        Ok(Self { shown, tls })
    }

    /// What agents see of this server.
    #[must_use]
    pub fn shown(&self) -> Arc<Shown> {
        self.shown.clone()
    }

    /// The agent that listens on `address` and whose certificate is for `name`.
    #[must_use]
    pub fn at(&self, address: SocketAddr, name: &str) -> Agent {
        Agent { address, name: name.to_owned(), tls: self.tls.clone() }
    }

    /// The agent of a host.
    ///
    /// # Errors
    /// If the address that is stored is none.
    pub fn of(&self, host: &Host) -> Result<Agent, AgentError> {
        let address =
            host.address.parse().map_err(|_| AgentError::NoAddress { address: host.address.clone() })?;
        let name = if host.is_local { LOCAL_NAME.to_owned() } else { host.id.to_string() };
        Ok(self.at(address, &name))
    }
}

impl Agent {
    /// Makes one call. The same `operation` with the same arguments is the same order, however often it is sent.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub async fn call<C: Call>(
        &self,
        operation: Uuid,
        arguments: C::Request,
        limit: Duration,
    ) -> Result<C::Reply, AgentError> {
        let (address, call, operation) = (self.address, C::NAME, OperationId(operation));
        let strange = |cause| self.strange::<C>(cause);
        let request = Request { protocol: VERSION, operation, arguments };
        let request = serde_json::to_vec(&request).map_err(|error| strange(error.to_string()))?;
        let (status, body) = tokio::time::timeout(limit, self.post(C::PATH, request))
            .await
            .map_err(|_| AgentError::Slow { address, limit })?
            .map_err(|cause| AgentError::Unreachable { address, cause })?;
        if status != StatusCode::OK {
            let failure: Failure =
                serde_json::from_slice(&body).map_err(|_| strange(format!("status {status}")))?;
            // It has not understood the question: what it answers says nothing of what was asked.
            if failure.protocol != VERSION {
                return Err(AgentError::Version { address, theirs: failure.protocol });
            }
            return Err(AgentError::Refused { address, call, failure });
        }
        let reply: Reply<C::Reply> =
            serde_json::from_slice(&body).map_err(|error| strange(error.to_string()))?;
        if reply.operation != operation {
            return Err(strange("it belongs to another operation".to_owned()));
        }
        Ok(reply.result)
    }

    /// That it answers `C` with something else than it should.
    #[must_use]
    pub fn strange<C: Call>(&self, cause: String) -> AgentError {
        AgentError::Strange { address: self.address, call: C::NAME, cause }
    }

    /// The certificate that it shows now.
    ///
    /// # Errors
    /// If it cannot be reached, or does not prove who it is.
    pub async fn certificate(&self, limit: Duration) -> Result<CertificateDer<'static>, AgentError> {
        let address = self.address;
        // A session that goes on shows what it began with.
        let mut tls = (*self.tls).clone();
        tls.resumption = Resumption::disabled();
        let stream = tokio::time::timeout(limit, client::connect_tls(address, &self.name, Arc::new(tls)));
        let stream = stream
            .await
            .map_err(|_| AgentError::Slow { address, limit })?
            .map_err(|cause| AgentError::Unreachable { address, cause })?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
        shown.ok_or_else(|| AgentError::Strange {
            address,
            call: "the handshake",
            cause: "it shows no certificate".to_owned(),
        })
    }

    async fn post(
        &self,
        path: &'static str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, hyper::body::Bytes), ClientError> {
        let stream = client::connect_tls(self.address, &self.name, self.tls.clone()).await?;
        client::exchange(stream, client::post_json(path, &self.name, body)).await
    }
}
