//! A new certificate for an agent that runs: what it takes, and what it does not.

use agent_protocol::call::{HostFacts, HostRenew, HostSigningRequest};
use agent_protocol::envelope::FailureCode;
use agent_protocol::host::{FactsRequest, RenewRequest, SigningRequest};
use packaging_service::tls;

use crate::support::{Authority, Host};
use crate::wire::Wire;

#[tokio::test]
async fn a_certificate_is_taken_once_it_is_asked_for_and_shown_at_once() {
    let host = Host::joined();
    let running = host.start();
    let wire = Wire::new(&host, &running).await;
    let file = |ending: &str| std::fs::read(host.layout.tls(&format!("agent.{ending}"))).unwrap();
    let before = [file("pem"), file("key")];
    let asked = async || wire.call::<HostSigningRequest>(SigningRequest {}).await.signing_request;
    let renew = async |certificate: String| {
        wire.answer::<HostRenew>(uuid::Uuid::new_v4(), RenewRequest { certificate }).await
    };

    // The connection that comes next sees the new one, which belongs to the key on the disk.
    let seen = wire.shown().await;
    assert_eq!(seen, on_disk(&host));
    assert_eq!(renew(host.sign(&asked().await, "localhost")).await.status.as_u16(), 200);
    let shown = [file("pem"), file("key")];
    assert!(shown[0] != before[0] && shown[1] != before[1]);
    assert_ne!(wire.shown().await, seen);
    assert_eq!(wire.shown().await, on_disk(&host));

    // Nobody asked; by another authority; for another name; for the key of an earlier request.
    let unasked = renew("x".to_owned()).await.failure();
    assert_eq!(unasked.1, FailureCode::Conflict);
    let earlier = asked().await;
    for wrong in [
        Authority::new().sign(&asked().await, "localhost"),
        host.sign(&asked().await, "elsewhere"),
        "nonsense".to_owned(),
    ] {
        asked().await;
        assert_eq!(renew(wrong).await.failure().1, FailureCode::Invalid);
    }
    asked().await;
    assert_eq!(renew(host.sign(&earlier, "localhost")).await.failure().1, FailureCode::Invalid);
    assert_eq!([file("pem"), file("key")], shown);
    assert_eq!(wire.shown().await, on_disk(&host));

    // What was refused takes no key from who comes with the right one.
    let good = host.sign(&asked().await, "localhost");
    assert_eq!(renew("nonsense".to_owned()).await.failure().1, FailureCode::Invalid);
    assert_eq!(renew(good).await.status.as_u16(), 200);
    wire.call::<HostFacts>(FactsRequest {}).await;
    running.stop().await;
}

fn on_disk(host: &Host) -> Vec<u8> {
    tls::certificates(&host.layout.tls("agent.pem")).unwrap()[0].to_vec()
}

#[tokio::test]
async fn a_renewal_that_was_killed_before_it_said_so_is_done_for_the_repeat() {
    let host = Host::joined();
    let running = host.start();
    let wire = Wire::new(&host, &running).await;
    let asked = wire.call::<HostSigningRequest>(SigningRequest {}).await.signing_request;
    let order = RenewRequest { certificate: host.sign(&asked, "localhost") };
    let operation = uuid::Uuid::new_v4();
    wire.answer::<HostRenew>(operation, order.clone()).await.reply::<HostRenew>();
    running.stop().await;
    // As a kill leaves it, between the certificate and the record of the answer.
    let path = host.layout.agent_operations().join(format!("{operation}.json"));
    let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    record["progress"] = "started".into();
    std::fs::write(&path, record.to_string()).unwrap();

    let running = host.start();
    let wire = Wire::new(&host, &running).await;
    let seen = wire.shown().await;
    wire.answer::<HostRenew>(operation, order.clone()).await.reply::<HostRenew>();
    assert_eq!((wire.shown().await, on_disk(&host)), (seen.clone(), seen));
    // Another order with it is none that was begun.
    let (_, code, _) = wire.answer::<HostRenew>(uuid::Uuid::new_v4(), order).await.failure();
    assert_eq!(code, FailureCode::Conflict);
    running.stop().await;
}

#[tokio::test]
async fn a_certificate_is_for_all_names_of_the_present_one() {
    let host = Host::new();
    host.join_as(&["localhost", "node1.example"]);
    host.issue_server_client();
    let running = host.start();
    let wire = Wire::new(&host, &running).await;
    let asked = wire.call::<HostSigningRequest>(SigningRequest {}).await.signing_request;
    for (names, status) in [(&["localhost"][..], 422), (&["node1.example", "localhost"], 200)] {
        let order = RenewRequest { certificate: host.sign_for(&asked, names) };
        let answer = wire.answer::<HostRenew>(uuid::Uuid::new_v4(), order).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    }
    running.stop().await;
}
