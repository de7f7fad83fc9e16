//! The dashboard's files, the public answers, and what every answer carries.

use hyper::{Method, header};
use server::cli::Role;

use crate::support::{Host, request};

#[tokio::test]
async fn the_dashboard_is_served_from_disk_with_a_tag() {
    let host = Host::new(Role::Server);
    let folder = host.install_dashboard();
    let running = host.start().await;
    let page = running.get("/").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(page.body, std::fs::read(folder.join("index.html")).unwrap());
    for (path, media_type) in [
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/js/dom.js", "text/javascript; charset=utf-8"),
        ("/js/pages/config.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/favicon.svg", "image/svg+xml"),
        ("/version.json", "application/json"),
    ] {
        assert_eq!(running.get(path).await.header("content-type"), media_type, "{path}");
    }

    let tag = page.header("etag").to_owned();
    let mut again = request(Method::GET, "/", None, "");
    again.headers_mut().insert(header::IF_NONE_MATCH, format!("\"x\", W/{tag}").parse().unwrap());
    let unchanged = running.send(again.clone()).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.header("etag"), tag);
    std::fs::write(folder.join("index.html"), "new").unwrap();
    assert_eq!(running.send(again).await.body, "new");

    let head = running.send(request(Method::HEAD, "/", None, "")).await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.body.len()), (200, "3", 0));
    running.stop().await;
}

#[tokio::test]
async fn no_path_leads_out_of_the_dashboard() {
    let host = Host::new(Role::Server);
    let folder = host.install_dashboard();
    std::os::unix::fs::symlink(host.layout.admin(), folder.join("admin.json")).unwrap();
    let running = host.start().await;
    for path in [
        "/../../manifest.json",
        "/%2e%2e/%2e%2e/etc/cairn/tls/ca.key",
        "/..%2f..%2fetc/cairn/tls/ca.key",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/admin.json",
        "/.",
        "/app.js/",
        "/app.js%00",
        "/nothing.html",
    ] {
        assert_eq!(running.get(path).await.error(), (404, "not_found".into()), "{path}");
    }
    running.stop().await;
}

#[tokio::test]
async fn without_a_dashboard_the_page_says_what_to_do() {
    let host = Host::new(Role::Server);
    let running = host.start().await;
    let answer = running.get("/").await;
    assert_eq!(answer.error(), (503, "dashboard_missing".into()));
    assert!(answer.json()["next"].as_str().unwrap().contains("`dashboard` in server.toml"));
    running.stop().await;
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_guard_a_browser() {
    let host = Host::new(Role::Server);
    host.install_dashboard();
    let running = host.start().await;
    for path in ["/", "/nothing", "/api/v1/health", "/api/v1/nothing", "/api/v1/host/local"] {
        let answer = running.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(
            answer.header("cache-control"),
            if path == "/" { "no-cache" } else { "no-store" },
            "{path}"
        );
    }
    running.stop().await;
}

#[tokio::test]
async fn the_page_keeps_to_its_own_policy() {
    let host = Host::bare();
    let page = std::fs::read_to_string(host.install_dashboard().join("index.html")).unwrap();
    for inline in ["<style", "style=", " onclick", " onload", " onsubmit", "javascript:", "<script>"] {
        assert!(!page.contains(inline), "{inline}");
    }
}

#[tokio::test]
async fn the_public_answers() {
    let host = Host::new(Role::Server);
    host.install_dashboard();
    let manifest = r#"{"product":"cairn","version":"0.9fix-qa"}"#;
    std::fs::write(host.root.path().join("package/manifest.json"), manifest).unwrap();
    let running = host.start().await;
    assert_eq!(running.get("/api/v1/health").await.body, r#"{"status":"ok"}"#);
    let about = running.get("/api/v1/about").await.json();
    assert_eq!(about["server"], serde_json::json!({"ref": "0.9fix", "commit": "0123abcd", "dirty": false}));
    assert_eq!(about["product"], serde_json::json!({"name": "cairn", "version": "0.9fix-qa"}));
    assert_eq!(about["dashboard"], serde_json::json!({"version": "0.9"}));
    running.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_an_error_in_json() {
    let host = Host::new(Role::Server);
    host.install_dashboard();
    let running = host.start().await;
    for path in ["/api", "/api/", "/api/v1/cows", "/api/v2/health"] {
        assert_eq!(running.get(path).await.error(), (404, "not_found".into()), "{path}");
    }
    for (method, path) in
        [(Method::GET, "/api/v1/login"), (Method::POST, "/"), (Method::DELETE, "/api/v1/about")]
    {
        let answer = running.send(request(method, path, None, "")).await;
        assert_eq!(answer.error(), (405, "method_not_allowed".into()), "{path}");
    }
    running.stop().await;
}
