//! The OpenAPI document that is checked in, and what it promises.

use serde_json::json;
use server::cli::Role;

use crate::support::{Host, request};

/// After a change of the API: `cargo xtask codegen`.
#[test]
fn the_document_that_is_checked_in_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let current = server::http::openapi().unwrap();
    if std::env::var_os("CAIRN_CODEGEN").is_some() {
        std::fs::write(path, &current).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(kept == current, "server/openapi.json is old; run `cargo xtask codegen`");
}

/// What answers without a session, and why it may. Nothing else does: where hosts join, which is between programs and not
/// in the document, is closed by a token of its own.
const OPEN: [(&str, &str, &str); 4] = [
    (
        "GET",
        "/api/v1/health",
        "whoever watches the server has no account; it says nothing but whether it is well",
    ),
    ("GET", "/api/v1/about", "the login page names the version; it knows nothing of the cloud"),
    ("POST", "/api/v1/login", "it is how a session begins"),
    ("GET", "/api/v1/openapi.json", "it describes the program, which anybody may read, and no cloud"),
];

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];

#[tokio::test]
async fn every_path_is_served_and_closed_unless_it_is_in_the_list() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let document = running.get("/api/v1/openapi.json").await.json();
    let mut marked = vec![("GET".to_owned(), "/api/v1/openapi.json".to_owned())];
    let mut answering = Vec::new();
    let mut routes = vec![("/api/v1/openapi.json".to_owned(), vec!["GET".to_owned()])];
    for (path, operations) in document["paths"].as_object().unwrap() {
        let methods = operations.as_object().unwrap();
        for (method, operation) in methods {
            if operation["security"] == json!([{}]) {
                marked.push((method.to_uppercase(), path.clone()));
            }
        }
        routes.push((path.clone(), methods.keys().map(|method| method.to_uppercase()).collect()));
    }
    assert!(routes.len() > 25);
    for (path, methods) in &routes {
        let parts = path.split('/').map(|part| if part.starts_with('{') { "0" } else { part });
        let place = parts.collect::<Vec<_>>().join("/");
        for method in METHODS {
            let answer = running.send(request(method.parse().unwrap(), &place, None, "")).await;
            let status = answer.status.as_u16();
            if !methods.iter().any(|known| known == method) {
                assert_eq!(answer.error(), (405, "method_not_allowed".into()), "{method} {path}");
            } else if status != 401 {
                assert!(!matches!(status, 404 | 405), "{method} {path}: {status}");
                answering.push((method.to_owned(), path.clone()));
            } else {
                assert_eq!(answer.error(), (401, "no_session".into()), "{method} {path}");
                // A token that is none opens nothing either.
                let answer = running.send(request(method.parse().unwrap(), &place, Some("0"), "")).await;
                assert_eq!(answer.error(), (401, "no_session".into()), "{method} {path}");
            }
        }
    }
    let mut open: Vec<_> =
        OPEN.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    for list in [&mut open, &mut marked, &mut answering] {
        list.sort();
    }
    assert_eq!(marked, open, "what the document marks as open is not what the list names");
    assert_eq!(answering, open, "what answers without a session is not what the list names");
    running.stop().await;
}
