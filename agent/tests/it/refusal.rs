//! Whom the agent lets in, over real connections, and what it answers them.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
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

use crate::process::{notice, program, spawn_as};
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

/// The next line of the log about a peer.
fn next_refusal(log: &mut impl BufRead) -> String {
    let mut line = String::new();
    while !line.contains("refused 127.0.0.1:") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the log ended");
    }
    line
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What an operator reads: in the log of the agent, and of whoever asked.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_server_gets_in_and_the_log_says_why_others_do_not() {
    let host = Host::joined();
    std::fs::write(host.layout.agent_config(), "listen = \"127.0.0.1:0\"\nhypervisor = \"simulated\"\n")
        .unwrap();
    let root = host.root();
    let (agent, notices) = spawn_as(program(&root).arg("run"), &root, Stdio::piped());
    let mut agent = Killed(agent);
    let ready = notice(&notices);
    let address = ready.split("serving on ").nth(1).unwrap_or_else(|| panic!("{ready}"));
    let address: SocketAddr = address.lines().next().unwrap().parse().unwrap();
    let mut log = BufReader::new(agent.0.stderr.take().unwrap());

    let roots = || tls::authority(&host.layout).unwrap();
    let named =
        |file| tls::named_client(tls::identity(&host.layout, file).unwrap().shown().unwrap(), roots());
    host.issue(&Authority::new(), "stranger", "cairn-server", ClientAuth);
    host.issue_ours("other", "cairn-agent", ClientAuth);
    host.issue_ours("reversed", "cairn-server", ServerAuth);
    host.issue_server_client_for("ended", (1990, 2000));
    host.issue_server_client_for("early", (4000, 4096));
    let only_server = "only the certificate of its server (`server-client.pem` there) opens an agent";
    let clocks = "see that the clocks of both hosts are right, and restart the server";
    for (file, said, told, remedy) in [
        (None, "it shows no certificate", "none was shown (CertificateRequired)", only_server),
        (
            Some("stranger"),
            "its certificate is signed by another authority than the one that this host joined",
            "it joined another authority (UnknownCA)",
            "make a token there with `cairn host add --for HOST` and join again with `--replace`",
        ),
        (
            Some("other"),
            "its certificate is for clients, and bears another name than the server's",
            "it bears another name than a server's (AccessDenied)",
            only_server,
        ),
        // Its own: made for servers, whatever it is called. One line for both: the cause is the same.
        (
            Some("agent"),
            "its certificate is made for servers, as an agent's is, and not for clients",
            "it is made for servers, as an agent's is (UnsupportedCertificate)",
            only_server,
        ),
        (Some("reversed"), "", "it is made for servers, as an agent's is (UnsupportedCertificate)", ""),
        (Some("ended"), "its certificate has expired", "it has expired, or is not valid yet", clocks),
        (Some("early"), "its certificate is not valid yet", "it has expired, or is not valid yet", clocks),
    ] {
        let config = file.map_or_else(|| tls::anonymous_client(roots()), named);
        let refused = ask(address, config, HostFacts::PATH, facts()).await.unwrap_err();
        assert!(refused.to_string().contains(told) && refused.remedy().is_some(), "{file:?}: {refused}");
        if !said.is_empty() {
            let line = next_refusal(&mut log);
            assert!(line.contains(&format!(": {said}; ")) && line.contains(remedy), "{file:?}: {line}");
        }
    }

    let (status, body) = ask(address, named("server-client"), HostFacts::PATH, facts()).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    let reply: Reply<Facts> = serde_json::from_slice(&body).unwrap();
    assert!(reply.result.kernel.is_some());
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
