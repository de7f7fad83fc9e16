//! Whom the agent lets in, over real connections, and what it answers them.

use std::net::SocketAddr;
use std::sync::Arc;

use agent_protocol::VERSION;
use agent_protocol::call::{Call, HostFacts};
use agent_protocol::envelope::{Failure, FailureCode, OperationId, Reply, Request};
use agent_protocol::host::{Facts, FactsRequest};
use hyper::StatusCode;
use hyper::body::Bytes;
use packaging_service::client::{self, ClientError};
use packaging_service::tls;
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rustls::ClientConfig;
use uuid::Uuid;

use crate::support::{Authority, Host};

fn facts() -> Vec<u8> {
    let operation = OperationId(Uuid::new_v4());
    serde_json::to_vec(&Request { protocol: VERSION, operation, arguments: FactsRequest {} }).unwrap()
}

async fn ask(
    address: SocketAddr,
    config: Arc<ClientConfig>,
    path: &'static str,
    body: Vec<u8>,
) -> Result<(StatusCode, Bytes), ClientError> {
    let stream = client::connect_tls(address, "localhost", config).await?;
    client::exchange(stream, client::post_json(path, "localhost", body)).await
}

/// Whether TLS refused with this alert.
fn refused(answer: Result<(StatusCode, Bytes), ClientError>, alert: &str) -> bool {
    match answer {
        Err(ClientError::Http(cause)) => {
            assert!(cause.contains(alert), "{cause}");
            true
        }
        Err(ClientError::Tls(cause)) => {
            assert!(cause.to_string().contains(alert), "{cause}");
            true
        }
        Err(ClientError::Connect(_)) | Ok(_) => false,
    }
}

#[tokio::test]
async fn only_the_server_gets_in() {
    let host = Host::new();
    host.join();
    host.issue_server_client();
    host.issue(&Authority::new(), "stranger", "cairn-server", ClientAuth);
    let running = host.start();
    let address = running.address().await;
    let roots = || tls::authority(&host.layout).unwrap();
    let named =
        |file| tls::named_client(tls::identity(&host.layout, file).unwrap().shown().unwrap(), roots());

    let nobody = ask(address, tls::anonymous_client(roots()), HostFacts::PATH, facts()).await;
    assert!(refused(nobody, "CertificateRequired"));
    // Ours, and a client's, but nobody whom an agent obeys; and an agent's own, which is made for servers.
    host.issue_ours("other", "cairn-agent", ClientAuth);
    host.issue_ours("reversed", "cairn-server", ServerAuth);
    for (file, alert) in [
        ("stranger", "DecryptError"),
        ("other", "AccessDenied"),
        ("reversed", "UnsupportedCertificate"),
        ("agent", "UnsupportedCertificate"),
    ] {
        let answer = ask(address, named(file), HostFacts::PATH, facts()).await;
        assert!(refused(answer, alert), "{file}");
    }

    let (status, body) = ask(address, named("server-client"), HostFacts::PATH, facts()).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    let reply: Reply<Facts> = serde_json::from_slice(&body).unwrap();
    assert_eq!(reply.result.agent.reference.as_deref(), Some("0.9fix"));
    assert!(reply.result.kernel.is_some());
    running.stop().await;
}

#[tokio::test]
async fn the_server_is_told_what_is_wrong_with_its_request() {
    let host = Host::new();
    host.join();
    host.issue_server_client();
    let running = host.start();
    let address = running.address().await;
    let identity = tls::identity(&host.layout, "server-client").unwrap();
    let server = tls::named_client(identity.shown().unwrap(), tls::authority(&host.layout).unwrap());
    let failure = async |path, body: &str| {
        let (status, body) = ask(address, server.clone(), path, body.into()).await.unwrap();
        let failure: Failure = serde_json::from_slice(&body).unwrap();
        (status.as_u16(), failure.code, failure.message)
    };

    let (status, code, message) = failure("/v3/host/paint", "{}").await;
    assert_eq!((status, code), (404, FailureCode::UnknownCall));
    assert!(message.contains("`/v3/host/paint`"), "{message}");

    let (status, code, message) = failure("/v1/vm/start", "{}").await;
    assert_eq!((status, code), (400, FailureCode::Protocol));
    assert_eq!(
        message,
        "this agent speaks version 3 of the protocol, and `/v1/vm/start` is of version 1; bring server and agent to the \
         same release"
    );

    // A newer server may send what this version does not know: the version must be what it hears about.
    let (status, code, message) = failure(HostFacts::PATH, r#"{"protocol":4,"trace":"x"}"#).await;
    assert_eq!((status, code), (400, FailureCode::Protocol));
    assert_eq!(
        message,
        "this agent speaks version 3 of the protocol, and the request is of version 4; bring server and agent to the same \
         release"
    );

    let operation = Uuid::new_v4();
    let strange = format!(r#"{{"protocol":3,"operation":"{operation}","arguments":{{"all":true}}}}"#);
    let (status, code, message) = failure(HostFacts::PATH, &strange).await;
    assert_eq!((status, code), (400, FailureCode::Request));
    assert!(message.contains("unknown field `all`"), "{message}");

    let unnamed = r#"{"protocol":3,"operation":"7","arguments":{}}"#;
    assert_eq!(failure(HostFacts::PATH, unnamed).await.1, FailureCode::Request);
    running.stop().await;
}
