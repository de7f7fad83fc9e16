//! Coming and going.

use hyper::{Method, header};
use server::cli::Role;

use crate::support::{Host, PASSWORD, request};

#[tokio::test]
async fn the_administrator_gets_in_and_out() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let answer = running.login("admin", PASSWORD).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
    let reply = answer.json();
    assert_eq!((reply["user"].as_str(), reply["expires_in_seconds"].as_u64()), (Some("admin"), Some(43_200)));
    let token = reply["token"].as_str().unwrap();

    // No agent on this host: but the session is taken.
    assert_eq!(running.get_as(token, "/api/v1/host/local").await.error(), (404, "no_agent".into()));
    let left = running.send(request(Method::POST, "/api/v1/logout", Some(token), "")).await;
    assert_eq!(left.status.as_u16(), 200);
    let after = running.get_as(token, "/api/v1/host/local").await;
    assert_eq!(after.error(), (401, "no_session".into()));
    assert_eq!(after.header("www-authenticate"), "Bearer");
    running.stop().await;
}

#[tokio::test]
async fn nobody_else_does_and_cannot_tell_why() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let wrong_password = running.login("admin", "wrong horse").await;
    let wrong_user = running.login("root", PASSWORD).await;
    assert_eq!(wrong_password.error(), (401, "bad_credentials".into()));
    assert_eq!(wrong_password.body, wrong_user.body);
    for path in ["/api/v1/host/local"] {
        assert_eq!(running.get(path).await.error(), (401, "no_session".into()));
        assert_eq!(running.get_as("0000", path).await.error(), (401, "no_session".into()));
    }
    running.stop().await;
}

#[tokio::test]
async fn guessing_is_slowed_down_and_success_forgives() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    for _ in 0..4 {
        assert_eq!(running.login("admin", "wrong horse").await.status.as_u16(), 401);
    }
    assert_eq!(running.login("admin", PASSWORD).await.status.as_u16(), 200);
    for _ in 0..5 {
        assert_eq!(running.login("admin", "wrong horse").await.status.as_u16(), 401);
    }
    // Even the right password has to wait now.
    let refused = running.login("admin", PASSWORD).await;
    assert_eq!(refused.error(), (429, "too_many_attempts".into()));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    running.stop().await;
}

#[tokio::test]
async fn a_malformed_request_is_told_so() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let login = |body: String| request(Method::POST, "/api/v1/login", None, &body);
    for body in ["{}", "nonsense", r#"{"user":"admin","password":"x","remember":true}"#] {
        assert_eq!(running.send(login(body.into())).await.error(), (400, "bad_request".into()), "{body}");
    }
    let long = format!(r#"{{"user":"admin","password":"{}"}}"#, "x".repeat(20_000));
    assert_eq!(running.send(login(long)).await.error().0, 400);
    let mut untyped = login(r#"{"user":"admin","password":"x"}"#.into());
    untyped.headers_mut().remove(header::CONTENT_TYPE);
    assert_eq!(running.send(untyped).await.error(), (400, "bad_request".into()));
    running.stop().await;
}
