//! The server's side of a conversation with an agent, over a real connection.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use agent_protocol::VERSION;
use agent_protocol::call::Call;
use agent_protocol::envelope::{Failure, FailureCode, OperationId, Reply, Request};
use hyper::StatusCode;
use hyper::body::Bytes;
use packaging_service::client::{self, ClientError};
use packaging_service::tls;
use rustls::ClientConfig;
use rustls::client::Resumption;
use serde_json::Value;
use uuid::Uuid;

use crate::support::{Host, Running};

/// A server that an agent obeys.
#[derive(Clone)]
pub struct Wire {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Wire {
    pub async fn new(host: &Host, running: &Running) -> Self {
        Self::at(host, running.address().await)
    }

    pub fn at(host: &Host, address: SocketAddr) -> Self {
        let identity = tls::identity(&host.layout, "server-client").unwrap();
        let tls = tls::named_client(identity.shown().unwrap(), tls::authority(&host.layout).unwrap());
        Self { address, tls }
    }

    /// Posts one body.
    pub async fn post(&self, path: &'static str, body: Vec<u8>) -> Answer {
        self.try_post(path, body).await.unwrap()
    }

    async fn try_post(&self, path: &'static str, body: Vec<u8>) -> Result<Answer, ClientError> {
        let stream = client::connect_tls(self.address, "localhost", self.tls.clone()).await?;
        let request = client::post_json(path, "localhost", body);
        let (status, body) = client::exchange(stream, request).await?;
        Ok(Answer { status, body })
    }

    /// The certificate that a new connection sees.
    pub async fn shown(&self) -> Vec<u8> {
        // A session that goes on shows what it began with.
        let mut tls = (*self.tls).clone();
        tls.resumption = Resumption::disabled();
        let stream = client::connect_tls(self.address, "localhost", Arc::new(tls)).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    /// Makes one call as the operation with this id.
    pub async fn answer<C: Call>(&self, operation: Uuid, arguments: C::Request) -> Answer {
        self.try_answer::<C>(operation, arguments).await.unwrap()
    }

    /// The same with an agent that may be gone by then.
    pub async fn try_answer<C: Call>(
        &self,
        operation: Uuid,
        arguments: C::Request,
    ) -> Result<Answer, ClientError> {
        let request = Request { protocol: VERSION, operation: OperationId(operation), arguments };
        self.try_post(C::PATH, serde_json::to_vec(&request).unwrap()).await
    }

    /// Makes one call that is expected to work, as an operation of its own.
    pub async fn call<C: Call>(&self, arguments: C::Request) -> C::Reply {
        self.answer::<C>(Uuid::new_v4(), arguments).await.reply::<C>()
    }
}

impl Answer {
    pub fn reply<C: Call>(&self) -> C::Reply {
        assert_eq!(self.status, StatusCode::OK, "{}: {:?}", C::NAME, self.body);
        serde_json::from_slice::<Reply<C::Reply>>(&self.body).unwrap().result
    }

    pub fn failure(&self) -> (u16, FailureCode, String) {
        let failure: Failure = serde_json::from_slice(&self.body).unwrap();
        (self.status.as_u16(), failure.code, failure.message)
    }
}

/// The arguments that a call's golden file shows.
pub fn golden<C: Call>() -> C::Request {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol/golden");
    let text = std::fs::read_to_string(folder.join(format!("{}.json", C::NAME))).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(golden["request"]["arguments"].clone()).unwrap()
}
