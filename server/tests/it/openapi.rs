//! The OpenAPI document that is checked in, and what it promises.

use serde_json::Value;
use server::cli::Role;

use crate::support::Host;

/// After a change of the API: `SNAPSHOTS=overwrite cargo test -p server openapi`.
#[test]
fn the_document_that_is_checked_in_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let current = server::http::openapi().unwrap();
    if std::env::var("SNAPSHOTS").is_ok_and(|value| value == "overwrite") {
        std::fs::write(path, &current).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept == current,
        "server/openapi.json is old; run `SNAPSHOTS=overwrite cargo test -p server openapi`"
    );
}

#[tokio::test]
async fn every_path_of_it_is_served() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let document = running.get("/api/v1/openapi.json").await.json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 25);
    for (path, methods) in paths {
        let path = path.split('/').map(|part| if part.starts_with('{') { "0" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        for (method, operation) in methods.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            let answer = running.send(crate::support::request(method, &path, None, "")).await;
            let open = operation["security"] == Value::Array(vec![serde_json::json!({})]);
            let expected = if open { answer.status.as_u16() } else { 401 };
            assert_eq!(answer.status.as_u16(), expected, "{path}");
            assert!(!matches!(answer.status.as_u16(), 404 | 405), "{path}");
        }
    }
    running.stop().await;
}
