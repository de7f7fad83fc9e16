//! How a host comes in, played by a client that does what an agent does.

use agent_protocol::join::{JoinToken, PATH};
use hyper::Method;
use packaging_service::tls;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};
use server::cli::Role;
use sha2::{Digest, Sha256};

use crate::support::{Host, Running, request};

async fn token(running: &Running, session: &str) -> JoinToken {
    let asked = json!({"server": "cloud.example:8443", "expires_in_seconds": 600});
    let made = running.post(session, "/api/v1/hosts/tokens", &asked).await;
    assert_eq!(made.status.as_u16(), 201, "{:?}", made.body);
    made.json()["token"].as_str().unwrap().parse().unwrap()
}

fn ask(token: &JoinToken) -> (Value, KeyPair) {
    let key = KeyPair::generate().unwrap();
    // What it asks for is not what it gets.
    let mut params = CertificateParams::new(["cloud.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "cairn-server");
    let signing_request = params.serialize_request(&key).unwrap().pem().unwrap();
    let body = json!({
        "token": token.id, "secret": serde_json::to_value(&token.secret).unwrap(),
        "signing_request": signing_request, "host_name": "node2", "agent_port": 7070
    });
    (body, key)
}

#[tokio::test]
async fn a_host_joins_once_under_the_identity_that_it_is_given() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let session = running.token().await;
    let token = token(&running, &session).await;
    assert_eq!(
        (token.server().as_str(), token.authority),
        ("cloud.example:8443", {
            let authority = tls::certificates(&host.layout.tls("ca.pem")).unwrap();
            <[u8; 32]>::from(Sha256::digest(&authority[0]))
        })
    );
    let (body, _) = ask(&token);
    let join = || running.send(request(Method::POST, PATH, None, &body.to_string()));
    let joined = join().await;
    assert_eq!(joined.status.as_u16(), 200, "{:?}", joined.body);
    let reply = joined.json();
    let id = reply["host"].as_str().unwrap();
    assert_eq!(reply["authority"], std::fs::read_to_string(host.layout.tls("ca.pem")).unwrap());
    let path = host.root.path().join("agent.pem");
    std::fs::write(&path, reply["certificate"].as_str().unwrap()).unwrap();
    let facts = tls::certificate::facts(&tls::certificates(&path).unwrap()[0]).unwrap();
    assert_eq!((facts.names, facts.common_name.as_deref()), (vec![id.to_owned()], Some(id)));
    assert!(!facts.for_clients);

    let shown = running.get_as(&session, "/api/v1/hosts/node2").await.json();
    assert_eq!((&shown["id"], &shown["address"]), (&json!(id), &json!("127.0.0.1:7070")));
    // For the same key once more, and the same host; for another not at all.
    let again = join().await.json();
    assert_eq!((&again["host"], again["certificate"] == reply["certificate"]), (&json!(id), false));
    let another = ask(&token).0.to_string();
    let used = running.send(request(Method::POST, PATH, None, &another)).await;
    assert_eq!(used.error(), (410, "used".into()));
    assert!(used.json()["message"].as_str().unwrap().contains("; make a new one with `cairn host add`"));
    let listed = running.get_as(&session, "/api/v1/hosts").await.json();
    assert_eq!(listed["hosts"].as_array().unwrap().len(), 1, "{listed}");
    let gone = running.ask(&session, Method::DELETE, "/api/v1/hosts/node2", &Value::Null).await;
    assert_eq!(gone.status.as_u16(), 204);
    assert_eq!(join().await.error(), (410, "used".into()));
    running.stop().await;
}

#[tokio::test]
async fn a_host_that_joins_again_stays_the_host_that_it_is() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let session = running.token().await;
    let (mut body, _) = ask(&token(&running, &session).await);
    let first = running.send(request(Method::POST, PATH, None, &body.to_string())).await.json();
    let again = json!({"server": "cloud.example:8443", "host": "node2"});
    let made = running.post(&session, "/api/v1/hosts/tokens", &again).await.json();
    let again: JoinToken = made["token"].as_str().unwrap().parse().unwrap();
    let key = body["signing_request"].clone();
    (body, _) = ask(&again);
    assert_ne!(body["signing_request"], key);
    (body["host_name"], body["agent_port"]) = ("renamed".into(), 7071.into());
    let second = running.send(request(Method::POST, PATH, None, &body.to_string())).await;
    assert_eq!((second.status.as_u16(), &second.json()["host"]), (200, &first["host"]));
    let hosts = running.get_as(&session, "/api/v1/hosts").await.json();
    assert_eq!(hosts["hosts"].as_array().unwrap().len(), 1, "{hosts}");
    assert_eq!(
        (&hosts["hosts"][0]["name"], &hosts["hosts"][0]["address"]),
        (&json!("node2"), &json!("127.0.0.1:7071"))
    );
    let unknown = running
        .post(&session, "/api/v1/hosts/tokens", &json!({"server": "cloud.example", "host": "nobody"}))
        .await;
    assert_eq!(unknown.error(), (404, "not_found".into()));
    running.stop().await;
}

#[tokio::test]
async fn guessing_tokens_is_slowed_down_and_waits_for_nobody() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let session = running.token().await;
    let token = token(&running, &session).await;
    let (good, _) = ask(&token);
    let mut wrong = good.clone();
    wrong["token"] = uuid::Uuid::new_v4().to_string().into();
    // Somebody writes: a guess is answered all the same.
    let writing = running.cloud.store.write().await.unwrap();
    for _ in 0..5 {
        let answer = running.send(request(Method::POST, PATH, None, &wrong.to_string())).await;
        assert_eq!(answer.error(), (403, "unknown".into()));
    }
    drop(writing);
    let answer = running.send(request(Method::POST, PATH, None, &good.to_string())).await;
    assert_eq!(answer.error(), (400, "request".into()));
    assert!(answer.json()["message"].as_str().unwrap().contains("; try again in"), "{:?}", answer.body);
    running.stop().await;
}

#[tokio::test]
async fn nobody_joins_with_anything_else() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let session = running.token().await;
    let token = token(&running, &session).await;
    let (good, _) = ask(&token);
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for (wrong, status, code) in [
        (with("token", uuid::Uuid::new_v4().to_string().into()), 403, "unknown"),
        (with("secret", "A".repeat(43).into()), 403, "unknown"),
        (with("signing_request", "nonsense".into()), 400, "request"),
        (with("agent_port", "many".into()), 400, "request"),
        (with("more", 1.into()), 400, "request"),
    ] {
        let answer = running.send(request(Method::POST, PATH, None, &wrong.to_string())).await;
        assert_eq!(answer.error(), (status, code.to_owned()), "{wrong}");
    }
    assert_eq!(running.get_as(&session, "/api/v1/hosts").await.json(), json!({"hosts": []}));
    for wrong in [json!({"expires_in_seconds": 5}), json!({"server": "not a name"})] {
        assert_eq!(
            running.post(&session, "/api/v1/hosts/tokens", &wrong).await.error(),
            (422, "invalid".into())
        );
    }
    running.stop().await;
}
