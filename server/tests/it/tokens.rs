//! API tokens.

use hyper::Method;
use serde_json::{Value, json};
use server::cli::Role;

use crate::support::Host;

#[tokio::test]
async fn a_token_opens_what_a_session_opens_until_it_is_revoked() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let token = running.token().await;
    let made = running.post(&token, "/api/v1/tokens", &json!({"name": "ci"})).await;
    assert_eq!(made.status.as_u16(), 201);
    let made = made.json();
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("cairn_api_"));
    assert_eq!(
        (&made["token"]["created_by"], &made["token"]["expires_at_ms"]),
        (&json!("admin"), &Value::Null)
    );

    let list = running.get_as(secret, "/api/v1/tokens").await;
    assert_eq!(list.status.as_u16(), 200);
    assert!(!String::from_utf8_lossy(&list.body).contains(secret));
    let change = json!({"value": "5m"});
    running.ask(secret, Method::PUT, "/api/v1/config/vm.shutdownPatience", &change).await;
    let history = running.get_as(secret, "/api/v1/config/vm.shutdownPatience/history").await.json();
    assert_eq!(history["changes"][0]["who"], "token ci");

    let file = std::fs::read(host.layout.database()).unwrap();
    assert!(!file.windows(secret.len()).any(|window| window == secret.as_bytes()));
    assert_eq!(running.post(&token, "/api/v1/tokens", &json!({"name": "ci"})).await.error().1, "name_taken");
    let zero = json!({"name": "now", "expires_in_seconds": 0});
    assert_eq!(running.post(&token, "/api/v1/tokens", &zero).await.error(), (422, "invalid".into()));

    let gone = running.ask(&token, Method::DELETE, "/api/v1/tokens/ci", &Value::Null).await;
    assert_eq!(gone.status.as_u16(), 204);
    assert_eq!(running.get_as(secret, "/api/v1/tokens").await.error(), (401, "no_session".into()));
    running.stop().await;
}
