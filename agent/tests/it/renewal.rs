//! A new certificate for an agent that runs: what it takes, and what it does not.

use agent_protocol::call::{HostFacts, HostRenew, HostSigningRequest};
use agent_protocol::envelope::FailureCode;
use agent_protocol::host::{FactsRequest, RenewRequest, SigningRequest};

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

    // Nobody asked; by another authority; for another name; for the key of an earlier request.
    let unasked = renew(host.sign(&asked().await, "localhost")).await;
    assert_eq!(unasked.status.as_u16(), 200);
    let unasked = renew("x".to_owned()).await.failure();
    assert_eq!(unasked.1, FailureCode::Conflict);
    let shown = [file("pem"), file("key")];
    assert!(shown[0] != before[0] && shown[1] != before[1]);

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

    // The connection that comes now sees the new one, which belongs to the key on the disk.
    wire.call::<HostFacts>(FactsRequest {}).await;
    running.stop().await;
}
